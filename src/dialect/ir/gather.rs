//! From events to the whole answer they add up to.
//!
//! What a stream says and what the whole answer says is the same, so that a
//! decoder's two halves can be held against each other.

use super::{
    Answer, Choice, Content, Event, Failure, Opening, Part, Piece, Place, Reasoned, Text, ToolCall,
};

/// Gathers one answer.
#[derive(Clone, Debug, Default)]
pub struct Gather {
    answer: Answer<'static>,
    failure: Option<Failure>,
    has_ended: bool,
}

impl Gather {
    /// Takes the next event. What doesn't fit the order of events is left out.
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(start) => {
                self.answer.id = start.id.into_owned();
                self.answer.model = start.model.into_owned();
                self.answer.created = start.created;
                self.answer.service_tier = start.service_tier.map(Text::into_owned);
            }
            Event::Open { place, opening } => {
                let choice = self.choice(place.choice);
                choice.parts.push(Part::from(opened(opening)));
            }
            Event::Delta { place, piece } => {
                if let Some(part) = self.part(place) {
                    add(&mut part.content, piece);
                }
            }
            Event::Close { .. } | Event::Ping => {}
            Event::Finish {
                choice,
                finish,
                stopped_by,
            } => {
                let choice = self.choice(choice);
                choice.finish = Some(finish);
                choice.stopped_by = stopped_by.map(Text::into_owned);
            }
            Event::Usage(later) => {
                self.answer.usage = Some(match self.answer.usage {
                    Some(earlier) => earlier.merged(later),
                    None => later,
                });
            }
            Event::End => self.has_ended = true,
            Event::Failed(failure) => self.failure = Some(failure),
        }
    }

    /// The answer, if it is whole.
    pub fn finish(self) -> Result<Answer<'static>, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None if self.has_ended => Ok(self.answer),
            None => Err(Failure::cut()),
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice<'static> {
        let index = index as usize;
        if self.answer.choices.len() <= index {
            self.answer.choices.resize_with(index + 1, Choice::default);
        }
        &mut self.answer.choices[index]
    }

    fn part(&mut self, place: Place) -> Option<&mut Part<'static>> {
        self.choice(place.choice).parts.get_mut(place.part as usize)
    }
}

fn opened(opening: Opening<'_>) -> Content<'static> {
    match opening {
        Opening::Text => Content::text(Text::default()),
        Opening::Reasoning { is_summary } => Content::Reasoning(Reasoned {
            is_summary,
            ..Reasoned::default()
        }),
        Opening::Refusal => Content::Refusal(Text::default()),
        Opening::Call {
            id,
            name,
            is_custom,
        } => Content::Call(ToolCall {
            id: id.into_owned(),
            name: name.into_owned(),
            arguments: Text::default(),
            is_custom,
            seal: None,
        }),
        Opening::Whole(content) => content.into_owned(),
    }
}

fn add(content: &mut Content<'static>, piece: Piece<'_>) {
    match (content, piece) {
        (
            Content::Text { text, .. }
            | Content::Refusal(text)
            | Content::Reasoning(Reasoned { text, .. })
            | Content::Call(ToolCall {
                arguments: text, ..
            }),
            Piece::Text(more),
        ) => text.push(&more),
        (
            Content::Reasoning(Reasoned { seal, .. }) | Content::Call(ToolCall { seal, .. }),
            Piece::Seal(sealed),
        ) => *seal = Some(sealed.into_owned()),
        (Content::Text { citations, .. }, Piece::Citation(citation)) => {
            citations.push(citation.into_owned());
        }
        (Content::Text { logprobs, .. }, Piece::Logprobs(more)) => {
            *logprobs = Some(match logprobs.take() {
                Some(earlier) => earlier.joined(&more),
                None => more.into_owned(),
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Finish, Json};
    use super::*;

    #[test]
    fn events_add_up() {
        let place = Place::default();
        let call = Place { part: 1, ..place };
        let text = |text| Piece::Text(Text::plain(text));
        let mut gather = Gather::default();
        for event in [
            Event::Ping,
            Event::Start(super::super::Start {
                id: Text::plain("a"),
                ..Default::default()
            }),
            Event::Open {
                place,
                opening: Opening::Text,
            },
            Event::Delta {
                place,
                piece: text("b"),
            },
            Event::Delta {
                place,
                piece: Piece::Logprobs(Json::checked("[1]").unwrap()),
            },
            Event::Open {
                place: call,
                opening: Opening::Call {
                    id: Text::plain("i"),
                    name: Text::plain("n"),
                    is_custom: false,
                },
            },
            Event::Delta {
                place,
                piece: text("c"),
            },
            Event::Delta {
                place,
                piece: Piece::Logprobs(Json::checked("[2,3]").unwrap()),
            },
            Event::Delta {
                place: call,
                piece: text("{}"),
            },
            Event::Close { place },
            Event::Close { place: call },
            Event::Finish {
                choice: 0,
                finish: Finish::ToolCalls,
                stopped_by: None,
            },
        ] {
            gather.take(event);
        }
        assert_eq!(gather.clone().finish(), Err(Failure::cut()));
        gather.take(Event::End);
        let answer = gather.finish().unwrap();
        let [said, called] = &answer.choices[0].parts[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(
            said.content,
            Content::Text {
                text: Text::plain("bc"),
                citations: Vec::new(),
                logprobs: Json::checked("[1,2,3]"),
            }
        );
        let Content::Call(called) = &called.content else {
            panic!("{called:?}");
        };
        assert_eq!(called.arguments, Text::plain("{}"));
    }
}
