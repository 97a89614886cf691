//! Reads a Responses stream.
//!
//! Its events name the item they belong to, by its place in the output. One
//! part of words is open at a time: another that begins closes it, so that
//! nobody waits for a server that closes its items at the end. Calls may be
//! open together. What only the end of an item says (marks, citations) is
//! read there, and so is all of one that came without deltas.

use super::items::{self, Item};
use super::read;
use crate::dialect::ir::{
    Content, Event, Failure, Finish, Opening, Piece, Place, Reasoned, Seal, Text, ToolCall,
};
use crate::dialect::members::{Members, inside_quotes};
use crate::dialect::translate::Decode;

/// More items than any answer has; they are searched one by one.
const MOST: usize = 1024;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    has_started: bool,
    parts: u32,
    /// The part of words that is open.
    words: Option<Words>,
    calls: Vec<Call>,
    /// The items of which something was said, and whether they are done.
    items: Vec<(u64, bool)>,
}

/// A part of words that is open.
#[derive(Clone, Copy, Debug)]
struct Words {
    key: Key,
    place: Place,
    /// Which of the sections of reasoning was said last.
    section: u64,
    has_logprobs: bool,
}

/// What words are, and where in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    kind: WordsKind,
    item: u64,
    /// The part of a message; the parts of reasoning are one.
    part: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordsKind {
    Text,
    Refusal,
    Thought,
    Summary,
}

/// A call, open or not.
#[derive(Debug)]
struct Call {
    item: u64,
    id: Text<'static>,
    place: Place,
    is_custom: bool,
    is_open: bool,
    has_arguments: bool,
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
        let words = match &*kind {
            "response.output_text.delta" => WordsKind::Text,
            "response.refusal.delta" => WordsKind::Refusal,
            "response.reasoning_text.delta" => WordsKind::Thought,
            "response.reasoning_summary_text.delta" => WordsKind::Summary,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                return self.argue(&event, each);
            }
            _ => {
                self.take_other(&kind, &event, data, each);
                return None;
            }
        };
        self.say(words, &event, each)
    }

    fn may_end(&self) -> bool {
        false
    }
}

/// A whole number; 0 where there is none.
fn number(event: &Members<'_>, key: &str) -> u64 {
    event.get(key).and_then(|raw| raw.parse().ok()).unwrap_or(0)
}

impl Decoder {
    fn start(&mut self, event: &Members<'_>, each: Each<'_>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let response = event.get("response").and_then(Members::of);
        each(Event::Start(read::start(&response.unwrap_or_default())));
    }

    fn next_place(&mut self) -> Place {
        let part = self.parts;
        self.parts += 1;
        Place { choice: 0, part }
    }

    /// Takes an event that adds no words.
    fn take_other(&mut self, kind: &str, event: &Members<'_>, data: &str, each: Each<'_>) {
        let item = number(event, "output_index");
        match kind {
            "error" | "response.failed" => {
                each(Event::Failed(Failure::read(None, data.as_bytes())));
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(event, each);
            }
            "response.output_item.added" => {
                if let Some(json) = event.get("item") {
                    self.item_added(item, json, each);
                }
            }
            "response.content_part.done" => {
                let part = event.get("part").and_then(items::content);
                let at = number(event, "content_index");
                self.words_done(item, at, part.as_ref(), each);
            }
            "response.output_item.done" => {
                if let Some(json) = event.get("item") {
                    self.item_done(item, json, each);
                }
            }
            "response.completed" | "response.incomplete" => self.end(event, each),
            // There are more, and later versions have others.
            _ => {}
        }
    }

    /// Something is said of an item. False where there are more than any
    /// answer has.
    fn note(&mut self, item: u64) -> bool {
        if self.items.iter().any(|(known, _)| *known == item) {
            return true;
        }
        let has_room = self.items.len() < MOST;
        if has_room {
            self.items.push((item, false));
        }
        has_room
    }

    fn say<'d>(
        &mut self,
        kind: WordsKind,
        event: &Members<'d>,
        each: Each<'_>,
    ) -> Option<(Place, &'d str)> {
        self.start(&Members::default(), each);
        let item = number(event, "output_index");
        let raw = event.get("delta")?;
        let text = inside_quotes(raw)?;
        let logprobs = event.get("logprobs").and_then(items::logprobs);
        if (text.is_empty() && logprobs.is_none()) || !self.note(item) {
            return None;
        }
        let content = number(event, "content_index");
        let (part, section) = match kind {
            WordsKind::Text | WordsKind::Refusal => (content, 0),
            WordsKind::Thought => (0, content),
            WordsKind::Summary => (0, number(event, "summary_index")),
        };
        let key = Key { kind, item, part };
        let open = self.words.filter(|open| open.key == key);
        let is_next = open.is_some_and(|open| open.section != section);
        let is_only = open.is_some() && !is_next && logprobs.is_none();
        let words = open.unwrap_or_else(|| self.open_words(key, section, each));
        let place = words.place;
        self.words = Some(Words {
            section,
            has_logprobs: words.has_logprobs || logprobs.is_some(),
            ..words
        });
        if is_next {
            let piece = Piece::Text(items::between());
            each(Event::Delta { place, piece });
        }
        if !text.is_empty() {
            let piece = Piece::Text(Text::of_json(raw)?);
            each(Event::Delta { place, piece });
        }
        if let Some(logprobs) = logprobs {
            let piece = Piece::Logprobs(logprobs);
            each(Event::Delta { place, piece });
        }
        is_only.then_some((place, text))
    }

    fn open_words(&mut self, key: Key, section: u64, each: Each<'_>) -> Words {
        self.close_words(each);
        let place = self.next_place();
        let opening = match key.kind {
            WordsKind::Text => Opening::Text,
            WordsKind::Refusal => Opening::Refusal,
            WordsKind::Thought => Opening::Reasoning { is_summary: false },
            WordsKind::Summary => Opening::Reasoning { is_summary: true },
        };
        each(Event::Open { place, opening });
        Words {
            key,
            place,
            section,
            has_logprobs: false,
        }
    }

    fn close_words(&mut self, each: Each<'_>) {
        if let Some(Words { place, .. }) = self.words.take() {
            each(Event::Close { place });
        }
    }

    /// More of a call's arguments.
    fn argue<'d>(&mut self, event: &Members<'d>, each: Each<'_>) -> Option<(Place, &'d str)> {
        let item = number(event, "output_index");
        let raw = event.get("delta")?;
        let text = inside_quotes(raw).filter(|text| !text.is_empty())?;
        let call = self.calls.iter_mut().rfind(|call| call.item == item)?;
        if !call.is_open {
            return None;
        }
        let place = call.place;
        let is_more = std::mem::replace(&mut call.has_arguments, true);
        let piece = Piece::Text(Text::of_json(raw)?);
        each(Event::Delta { place, piece });
        is_more.then_some((place, text))
    }

    fn item_added(&mut self, item: u64, json: &str, each: Each<'_>) {
        self.start(&Members::default(), each);
        if let Item::Done(list) = read::item(json)
            && let [Content::Call(call)] = &list[..]
        {
            self.open_call(item, call, each);
        }
    }

    fn open_call(&mut self, item: u64, call: &ToolCall<'_>, each: Each<'_>) {
        if !self.note(item) || self.calls.iter().any(|known| known.item == item) {
            return;
        }
        self.close_words(each);
        let place = self.next_place();
        let opening = Opening::Call {
            id: call.id.borrowed(),
            name: call.name.borrowed(),
            is_custom: call.is_custom,
        };
        each(Event::Open { place, opening });
        self.calls.push(Call {
            item,
            id: call.id.clone().into_owned(),
            place,
            is_custom: call.is_custom,
            is_open: true,
            has_arguments: false,
        });
    }

    /// Words of a message that are open are whole, as `part` has them.
    fn words_done(&mut self, item: u64, at: u64, part: Option<&Content<'_>>, each: Each<'_>) {
        let is_it = |open: &Words| {
            let is_message = matches!(open.key.kind, WordsKind::Text | WordsKind::Refusal);
            is_message && open.key.item == item && open.key.part == at
        };
        let Some(open) = self.words.filter(is_it) else {
            return;
        };
        if let Some(part) = part {
            notes(open.place, part, open.has_logprobs, each);
        }
        self.close_words(each);
    }

    fn item_done(&mut self, item: u64, json: &str, each: Each<'_>) {
        self.start(&Members::default(), each);
        let was_said = self.items.iter().any(|(known, _)| *known == item);
        if !self.note(item) {
            return;
        }
        let known = self.items.iter_mut().find(|(known, _)| *known == item);
        if known.is_none_or(|(_, is_done)| std::mem::replace(is_done, true)) {
            return;
        }
        match read::item(json) {
            Item::Message(_, parts) if was_said => {
                if let Some(Words { key, .. }) = self.words {
                    let part = usize::try_from(key.part).ok().and_then(|at| parts.get(at));
                    self.words_done(item, key.part, part.map(|part| &part.content), each);
                }
            }
            Item::Message(_, parts) => {
                for part in parts.iter().filter(|part| read::says(part)) {
                    self.whole(&part.content, each);
                }
            }
            Item::Done(list) => {
                for content in &list {
                    match content {
                        Content::Call(call) => {
                            self.open_call(item, call, each);
                            self.close_call(item, Some(call), each);
                        }
                        Content::Reasoning(reasoned) if was_said => {
                            self.thought(item, reasoned, each);
                        }
                        content => self.whole(content, each),
                    }
                }
                let is_its = self.words.is_some_and(|open| open.key.item == item);
                if is_its && was_said {
                    self.close_words(each);
                }
            }
            Item::Result(_) => self.whole(&items::foreign(json), each),
            Item::Mark(seal) => self.marked(seal, each),
        }
    }

    /// The mark on reasoning that was said. Where something else has begun
    /// since, it is a part of its own.
    fn thought(&mut self, item: u64, reasoned: &Reasoned<'_>, each: Each<'_>) {
        let Some(seal) = &reasoned.seal else { return };
        match self.words.filter(|open| open.key.item == item) {
            Some(Words { place, .. }) => {
                let piece = Piece::Seal(seal.clone());
                each(Event::Delta { place, piece });
            }
            None => {
                let seal = Some(seal.clone());
                let mark = Reasoned {
                    seal,
                    ..Reasoned::default()
                };
                self.whole(&Content::Reasoning(mark), each);
            }
        }
    }

    /// A mark on a call that is complete.
    fn marked(&mut self, seal: Seal<'_>, each: Each<'_>) {
        let call = self
            .calls
            .iter()
            .find(|it| Some(&it.id) == seal.id.as_ref());
        if let Some(Call { place, .. }) = call {
            let piece = Piece::Seal(Seal { id: None, ..seal });
            each(Event::Delta {
                place: *place,
                piece,
            });
        }
    }

    /// A call is complete, as `call` has it.
    fn close_call(&mut self, item: u64, call: Option<&ToolCall<'_>>, each: Each<'_>) {
        let found = self.calls.iter_mut().find(|known| known.item == item);
        if let Some(known) = found.filter(|known| known.is_open) {
            known.close(call, each);
        }
    }

    /// A part that came without deltas.
    fn whole(&mut self, content: &Content<'_>, each: Each<'_>) {
        self.close_words(each);
        let place = self.next_place();
        let (opening, text) = match content {
            Content::Text { text, .. } => (Opening::Text, text.borrowed()),
            Content::Refusal(text) => (Opening::Refusal, text.borrowed()),
            Content::Reasoning(it) if !it.text.is_empty() => {
                let is_summary = it.is_summary;
                (Opening::Reasoning { is_summary }, it.text.borrowed())
            }
            content => (Opening::Whole(content.clone()), Text::default()),
        };
        let is_whole = matches!(opening, Opening::Whole(_));
        each(Event::Open { place, opening });
        if !text.is_empty() {
            let piece = Piece::Text(text);
            each(Event::Delta { place, piece });
        }
        if !is_whole {
            notes(place, content, false, each);
        }
        each(Event::Close { place });
    }

    fn end(&mut self, event: &Members<'_>, each: Each<'_>) {
        self.start(event, each);
        let response = event.get("response").and_then(Members::of);
        let response = response.unwrap_or_default();
        // Some servers send nothing before it.
        if self.items.is_empty() {
            for (item, json) in (0..).zip(response.list("output")) {
                self.item_done(item, json, each);
            }
        }
        self.close_words(each);
        for call in self.calls.iter_mut().filter(|call| call.is_open) {
            call.close(None, each);
        }
        each(Event::Finish {
            choice: 0,
            finish: read::finish(&response, !self.calls.is_empty()).unwrap_or(Finish::Stop),
            stopped_by: None,
        });
        if let Some(usage) = read::counts(&response) {
            each(Event::Usage(usage));
        }
        each(Event::End);
    }
}

impl Call {
    fn close(&mut self, call: Option<&ToolCall<'_>>, each: Each<'_>) {
        self.is_open = false;
        let place = self.place;
        let arguments = match call {
            Some(call) => call.arguments.borrowed(),
            None if self.is_custom => Text::default(),
            None => Text::plain("{}"),
        };
        if !self.has_arguments && !arguments.is_empty() {
            let piece = Piece::Text(arguments);
            each(Event::Delta { place, piece });
        }
        each(Event::Close { place });
    }
}

/// Tells what is beside a part's words.
fn notes(place: Place, part: &Content<'_>, has_logprobs: bool, each: Each<'_>) {
    let mut tell = |piece| each(Event::Delta { place, piece });
    match part {
        Content::Text {
            citations,
            logprobs,
            ..
        } => {
            if let Some(logprobs) = logprobs.clone().filter(|_| !has_logprobs) {
                tell(Piece::Logprobs(logprobs));
            }
            for citation in citations.iter().cloned() {
                tell(Piece::Citation(citation));
            }
        }
        Content::Reasoning(Reasoned {
            seal: Some(seal), ..
        }) => tell(Piece::Seal(seal.clone())),
        _ => {}
    }
}
