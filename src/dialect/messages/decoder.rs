//! Reads a Messages stream.
//!
//! Its events open, fill and close one block after another, which is what the
//! IR's events do. A block that isn't the caller's business (a hosted tool's)
//! is given whole when it closes.

use super::blocks::{self, Block};
use super::read::{self, text};
use crate::dialect::ir::{
    Content, Event, Failure, Finish, Json, Maker, Opening, Piece, Place, Seal, Start, Text,
};
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_object};
use crate::dialect::translate::Decode;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The block that is open.
    open: Option<Open>,
    /// The number of parts so far.
    parts: u32,
    /// Whether the message has begun: a provider that falls back to another
    /// model in the middle begins again.
    has_started: bool,
    /// The last call: a mark on it follows as a block of its own.
    last_call: Option<(Text<'static>, Place)>,
}

#[derive(Debug)]
enum Open {
    /// A part whose deltas are passed on.
    Part(Place),
    /// A call, and whether it has got arguments.
    Call(Place, bool),
    /// A block that is given when it is whole: it as it opened, and the input
    /// that followed.
    Whole(String, Text<'static>),
    /// Nothing of it is passed on: it came whole, or it is a mark.
    Done,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Decode for Decoder {
    fn take<'d>(
        &mut self,
        name: Option<&[u8]>,
        data: &'d str,
        each: Each<'_>,
    ) -> Option<(Place, &'d str)> {
        let event = Members::of(data)?;
        let kind = match name {
            Some(name) => std::str::from_utf8(name).ok()?.to_owned().into(),
            None => event.text("type")?,
        };
        match &*kind {
            "content_block_delta" => return self.delta(&event, each),
            "message_start" => self.start(&event, each),
            "content_block_start" => self.open(&event, each),
            "content_block_stop" => self.close(each),
            "message_delta" => {
                self.close(each);
                conclude(&event, each);
            }
            "message_stop" => each(Event::End),
            "ping" => each(Event::Ping),
            "error" => each(Event::Failed(Failure::read(None, data.as_bytes()))),
            // Later versions have more events; they must be passed over.
            _ => {}
        }
        None
    }

    fn may_end(&self) -> bool {
        false
    }
}

fn conclude(event: &Members<'_>, each: Each<'_>) {
    let delta = event.get("delta").and_then(Members::of).unwrap_or_default();
    if let Some(word) = delta.text("stop_reason") {
        each(Event::Finish {
            choice: 0,
            finish: Finish::from_word(&word),
            stopped_by: delta.get("stop_sequence").and_then(Text::of_json),
        });
    }
    if let Some(counts) = event.get("usage").and_then(read::counts) {
        each(Event::Usage(counts));
    }
}

impl Decoder {
    fn start(&mut self, event: &Members<'_>, each: Each<'_>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let message = event
            .get("message")
            .and_then(Members::of)
            .unwrap_or_default();
        let usage = message.get("usage");
        each(Event::Start(Start {
            id: text(&message, "id"),
            model: text(&message, "model"),
            created: None,
            service_tier: usage.and_then(read::service_tier),
        }));
        if let Some(counts) = usage.and_then(read::counts) {
            each(Event::Usage(counts));
        }
    }

    fn next_place(&mut self) -> Place {
        let part = self.parts;
        self.parts += 1;
        Place { choice: 0, part }
    }

    fn open(&mut self, event: &Members<'_>, each: Each<'_>) {
        // Servers that forget to close a block mean to.
        self.close(each);
        let Some(json) = event.get("content_block") else {
            return;
        };
        let block = Members::of(json).unwrap_or_default();
        let kind = block.text("type").unwrap_or_default();
        self.open = Some(match &*kind {
            "text" => self.open_words(&block, "text", Opening::Text, each),
            "thinking" => {
                let opening = Opening::Reasoning { is_summary: false };
                let open = self.open_words(&block, "thinking", opening, each);
                let mark = text(&block, "signature");
                if let (Open::Part(place), false) = (&open, mark.is_empty()) {
                    sign(*place, mark, each);
                }
                open
            }
            "redacted_thinking" => self.redacted(text(&block, "data"), each),
            "tool_use" => self.open_call(&block, each),
            _ => Open::Whole(json.to_owned(), Text::default()),
        });
    }

    /// Opens a part of words, with those it opens with.
    fn open_words(
        &mut self,
        block: &Members<'_>,
        key: &str,
        opening: Opening<'_>,
        each: Each<'_>,
    ) -> Open {
        let place = self.next_place();
        each(Event::Open { place, opening });
        say(place, text(block, key), each);
        for json in block.list("citations") {
            cite(place, json, each);
        }
        Open::Part(place)
    }

    fn redacted(&mut self, data: Text<'_>, each: Each<'_>) -> Open {
        match blocks::redacted(data) {
            Block::Part(content) => {
                let place = self.next_place();
                let opening = Opening::Whole(content);
                each(Event::Open { place, opening });
                each(Event::Close { place });
            }
            Block::Mark(seal) => {
                if let Some((id, place)) = &self.last_call
                    && Some(id) == seal.id.as_ref()
                {
                    let place = *place;
                    let piece = Piece::Seal(Seal { id: None, ..seal });
                    each(Event::Delta { place, piece });
                }
            }
        }
        Open::Done
    }

    fn open_call(&mut self, block: &Members<'_>, each: Each<'_>) -> Open {
        let place = self.next_place();
        self.last_call = Some((text(block, "id").into_owned(), place));
        let opening = Opening::Call {
            id: text(block, "id"),
            name: text(block, "name"),
            is_custom: false,
        };
        each(Event::Open { place, opening });
        // Some servers have the whole input here.
        let input = block
            .get("input")
            .filter(|raw| is_object(raw) && says_something(raw));
        if let Some(input) = input {
            say(place, Json::scanned(input).as_text(), each);
        }
        Open::Call(place, input.is_some())
    }

    fn close(&mut self, each: Each<'_>) {
        match self.open.take() {
            None | Some(Open::Done) => {}
            Some(Open::Part(place)) => each(Event::Close { place }),
            Some(Open::Call(place, has_arguments)) => {
                if !has_arguments {
                    say(place, Text::plain("{}"), each);
                }
                each(Event::Close { place });
            }
            Some(Open::Whole(json, input)) => {
                let place = self.next_place();
                let json = with_input(json, &input);
                let opening = Opening::Whole(Content::Foreign {
                    maker: Maker::Anthropic,
                    json: Json::scanned(&json),
                });
                each(Event::Open { place, opening });
                each(Event::Close { place });
            }
        }
    }

    fn delta<'d>(&mut self, event: &Members<'d>, each: Each<'_>) -> Option<(Place, &'d str)> {
        let delta = event.get("delta").and_then(Members::of)?;
        let kind = delta.text("type").unwrap_or_default();
        let raw = |key: &str| delta.get(key).and_then(inside_quotes);
        let more = |key: &str| delta.get(key).and_then(Text::of_json).unwrap_or_default();
        match (self.open.as_mut()?, &*kind) {
            (Open::Part(place), "text_delta" | "thinking_delta") => {
                let key = if kind == "text_delta" {
                    "text"
                } else {
                    "thinking"
                };
                let text = raw(key).filter(|text| !text.is_empty())?;
                say(*place, more(key), each);
                return Some((*place, text));
            }
            (Open::Part(place), "signature_delta") => sign(*place, more("signature"), each),
            (Open::Part(place), "citations_delta") => {
                cite(*place, delta.get("citation")?, each);
            }
            (Open::Call(place, has_arguments), "input_json_delta") => {
                let text = raw("partial_json").filter(|text| !text.is_empty())?;
                let is_first = !std::mem::replace(has_arguments, true);
                say(*place, more("partial_json"), each);
                return (!is_first).then_some((*place, text));
            }
            (Open::Whole(_, input), "input_json_delta") => input.push(&more("partial_json")),
            _ => {}
        }
        None
    }
}

fn say(place: Place, text: Text<'_>, each: Each<'_>) {
    if !text.is_empty() {
        let piece = Piece::Text(text);
        each(Event::Delta { place, piece });
    }
}

fn sign(place: Place, mark: Text<'_>, each: Each<'_>) {
    if !mark.is_empty() {
        let seal: Seal<'_> = blocks::signature(mark);
        let piece = Piece::Seal(seal);
        each(Event::Delta { place, piece });
    }
}

fn cite(place: Place, json: &str, each: Each<'_>) {
    if let Some(citation) = blocks::citation(json) {
        let piece = Piece::Citation(citation);
        each(Event::Delta { place, piece });
    }
}

/// A block with the input that was streamed after it opened.
fn with_input(json: String, input: &Text<'_>) -> String {
    let Some(input) = Json::inside(input) else {
        return json;
    };
    let mut out = Vec::new();
    let mut block = ObjectWriter::begin(&mut out);
    for (key, raw) in Members::of(&json).unwrap_or_default().iter() {
        let raw = if key == "input" { input.as_str() } else { raw };
        block.raw(key, raw);
    }
    block.end();
    String::from_utf8(out).unwrap_or(json)
}
