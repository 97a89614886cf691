//! Calls of tools that only stood for something else, told as what they are.
//!
//! A form that a provider doesn't know goes out as a tool to answer by: its
//! arguments are the answer's words. A tool of free text that a provider
//! doesn't know goes out as a function with one text: that text is its input.
//! A tool whose name a provider doesn't take goes out under another.

use super::{Exchange, FORM_TOOL};
use crate::dialect::ir::{
    Answer, Content, Event, Finish, Json, Opening, Piece, Place, Text, ToolCall,
};
use crate::dialect::members::Members;

/// Retells a whole answer.
pub(super) fn answer(answer: &mut Answer<'_>, exchange: &Exchange) {
    for choice in &mut answer.choices {
        let mut is_form = false;
        for part in &mut choice.parts {
            let Content::Call(call) = &mut part.content else {
                continue;
            };
            if let Some(meant) = meant(&call.name, exchange) {
                call.name = meant;
            }
            if exchange.form_tool && call.name.is(FORM_TOOL) {
                is_form = true;
                part.content = Content::text(std::mem::take(&mut call.arguments));
            } else if is_free_text(&call.name, exchange) {
                free(call);
            }
        }
        if is_form && choice.finish == Some(Finish::ToolCalls) {
            choice.finish = Some(Finish::Stop);
        }
    }
}

fn is_free_text(name: &Text<'_>, exchange: &Exchange) -> bool {
    exchange.free_text_tools.iter().any(|tool| name.is(tool))
}

/// The caller's name for a tool, where it was sent under another.
fn meant(sent: &Text<'_>, exchange: &Exchange) -> Option<Text<'static>> {
    let mut renamed = exchange.renamed_tools.iter();
    let (_, meant) = renamed.find(|(name, _)| sent.is(name))?;
    Some(Text::owned(meant))
}

fn free(call: &mut ToolCall<'_>) {
    call.is_custom = true;
    if let Some(input) = input_of(&call.arguments) {
        call.arguments = input;
    }
}

/// The text in `{"input": …}`.
fn input_of(arguments: &Text<'_>) -> Option<Text<'static>> {
    let json = Json::inside(arguments)?;
    let input = Members::of(json.as_str())?.get("input")?;
    Text::of_json(input).map(Text::into_owned)
}

/// Retells a stream.
#[derive(Debug, Default)]
pub(super) struct Retelling {
    /// Parts that are a form's words.
    forms: Vec<Place>,
    /// Calls of free text, with what has come of their arguments: their text
    /// is inside JSON, so that they wait for its end.
    held: Vec<(Place, Text<'static>)>,
}

impl Retelling {
    /// Whether there is anything to retell in such an exchange.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let needed = exchange.form_tool
            || !exchange.free_text_tools.is_empty()
            || !exchange.renamed_tools.is_empty();
        needed.then(Self::default)
    }

    /// Gives `each` the event as it is to be told.
    pub(super) fn take(
        &mut self,
        event: Event<'_>,
        exchange: &Exchange,
        each: &mut dyn FnMut(Event<'_>),
    ) {
        match renamed(event, exchange) {
            Event::Open {
                place,
                opening: Opening::Call { name, .. },
            } if exchange.form_tool && name.is(FORM_TOOL) => {
                self.forms.push(place);
                let opening = Opening::Text;
                each(Event::Open { place, opening });
            }
            Event::Open {
                place,
                opening: Opening::Call { id, name, .. },
            } if is_free_text(&name, exchange) => {
                self.held.push((place, Text::default()));
                let opening = Opening::Call {
                    id,
                    name,
                    is_custom: true,
                };
                each(Event::Open { place, opening });
            }
            Event::Delta {
                place,
                piece: Piece::Text(text),
            } if self.held(place).is_some() => {
                if let Some(held) = self.held(place) {
                    held.push(&text);
                }
            }
            Event::Close { place } => {
                if let Some(at) = self.held.iter().position(|(held, _)| *held == place) {
                    let (_, arguments) = self.held.swap_remove(at);
                    let input = input_of(&arguments).unwrap_or(arguments);
                    if !input.is_empty() {
                        let piece = Piece::Text(input);
                        each(Event::Delta { place, piece });
                    }
                }
                each(Event::Close { place });
            }
            Event::Finish {
                choice,
                finish: Finish::ToolCalls,
                stopped_by,
            } if self.forms.iter().any(|form| form.choice == choice) => each(Event::Finish {
                choice,
                finish: Finish::Stop,
                stopped_by,
            }),
            event => each(event),
        }
    }

    fn held(&mut self, place: Place) -> Option<&mut Text<'static>> {
        let found = self.held.iter_mut().find(|(held, _)| *held == place);
        found.map(|(_, text)| text)
    }
}

/// The event with the caller's name of the tool it calls.
fn renamed<'a>(mut event: Event<'a>, exchange: &Exchange) -> Event<'a> {
    if let Event::Open {
        opening: Opening::Call { name, .. },
        ..
    } = &mut event
        && let Some(meant) = meant(name, exchange)
    {
        *name = meant;
    }
    event
}
