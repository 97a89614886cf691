//! Writes a Responses stream.
//!
//! Its parts are items, which may be open together. Words that follow each
//! other are one message, and texts in it one text: a message is done when
//! something else begins or the answer ends. The last event has the whole
//! response, so all of it is kept until then.

mod item;

use super::echo;
use super::write::{self, Head, Status};
use crate::dialect::Usage;
use crate::dialect::ids;
use crate::dialect::ir::{
    Class, Content, Event, Failure, Finish, Maker, Media, MediaKind, Opening, Piece, Place, Source,
    Text, ToolCall,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Encode, Exchange, write_frame};
use item::{Item, Kind, Words};

/// The largest answer that is kept to be told whole at the end: what one
/// event may have.
const MOST_KEPT: usize = 32 << 20;

/// What is known of the answer so far.
#[derive(Debug)]
pub(super) struct Encoder {
    head: Head,
    has_started: bool,
    /// All reasoning is shown as a summary, because one was asked for.
    wants_summary: bool,
    events: Events,
    /// The number of items that have begun.
    begun: usize,
    /// Those that aren't done.
    open: Vec<Item>,
    /// Those that are, by their place in the output.
    done: Vec<(usize, Vec<u8>)>,
    /// The last call that is done without a mark: one may follow.
    last_call: Option<(Place, Text<'static>)>,
    finish: Finish,
    usage: Option<Usage>,
    kept: usize,
    /// It was too large to go on.
    has_failed: bool,
}

/// Writes events, each with its number.
#[derive(Debug, Default)]
struct Events {
    next: u64,
}

impl Events {
    fn put(&mut self, out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        let number = self.next;
        self.next += 1;
        write_frame(out, Some(name), |out| {
            let mut event = ObjectWriter::begin(out);
            event.text("type", name).count("sequence_number", number);
            write(&mut event);
            event.end();
        });
    }
}

impl Encode for Encoder {
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Delta { place, piece } if place.choice == 0 => {
                self.add(*place, piece, out);
            }
            Event::Start(start) => {
                self.head.start(start, losses);
                self.start(out);
            }
            Event::Open { place, .. } | Event::Delta { place, .. } if place.choice > 0 => {
                losses.dropped("response.choices[1]");
            }
            Event::Open { place, opening } => self.open(*place, opening, out, losses),
            Event::Close { place } => self.close(*place, out, losses),
            Event::Finish {
                choice: 0, finish, ..
            } => {
                self.finish = *finish;
                self.settle(out);
            }
            Event::Delta { .. } | Event::Finish { .. } => {}
            Event::Usage(later) => {
                self.usage = Some(self.usage.unwrap_or_default().merged(*later));
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            Event::Failed(failure) => self.fail(failure, out),
        }
        if self.kept > MOST_KEPT {
            let say = "the answer is too large to be told whole at its end";
            self.fail(&Failure::new(Class::Server, say), out);
        }
    }
}

impl Encoder {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            head: Head::new(exchange),
            has_started: false,
            wants_summary: echo::wants_summary(&exchange.asked),
            events: Events::default(),
            begun: 0,
            open: Vec::new(),
            done: Vec::new(),
            last_call: None,
            finish: Finish::Stop,
            usage: None,
            kept: 0,
            has_failed: false,
        }
    }

    /// The response, when all of it was put.
    pub(super) fn whole(mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        let output = self.output();
        let status = Status::Ended(self.finish);
        self.head.write(&mut out, status, &output, self.usage);
        out
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        self.has_started = true;
        for name in ["response.created", "response.in_progress"] {
            self.tell(name, Status::InProgress, &[], out);
        }
    }

    fn tell(&mut self, name: &str, status: Status<'_>, output: &[u8], out: &mut Vec<u8>) {
        let usage = match status {
            Status::InProgress => None,
            Status::Failed(_) | Status::Ended(_) => self.usage,
        };
        let head = &self.head;
        self.events.put(out, name, |event| {
            head.write(event.key("response"), status, output, usage);
        });
    }

    /// The items that are done, in their order.
    fn output(&mut self) -> Vec<u8> {
        self.done.sort_by_key(|(index, _)| *index);
        let items: Vec<&[u8]> = self.done.iter().map(|(_, item)| &**item).collect();
        items.join(&b","[..])
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        let output = self.output();
        let status = Status::Ended(self.finish);
        self.tell(status.event(), status, &output, out);
    }

    fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        self.has_failed = true;
        self.events.put(out, "error", |event| {
            write::error_event(event, failure);
        });
        if self.has_started {
            let output = self.output();
            let status = Status::Failed(failure);
            self.tell(status.event(), status, &output, out);
        }
    }

    /// An id for the next item, which needs one that begins like this.
    fn next_id(&self, prefix: &str) -> String {
        let answer = ids::fit(&self.head.id, 40);
        format!("{prefix}_{}_{}", answer.as_escaped(), self.begun)
    }

    fn open(
        &mut self,
        place: Place,
        opening: &Opening<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        match opening {
            Opening::Text => self.words(place, Words::Text, out),
            Opening::Refusal => self.words(place, Words::Refusal, out),
            Opening::Reasoning { is_summary } => {
                let is_summary = *is_summary || self.wants_summary;
                self.begin("rs", place, Kind::reasoning(is_summary), out);
            }
            Opening::Call {
                id,
                name,
                is_custom,
            } => {
                let prefix = if *is_custom { "ctc" } else { "fc" };
                self.begin(prefix, place, Kind::call(id, name, *is_custom), out);
            }
            Opening::Whole(content) => self.open_whole(place, content, out, losses),
        }
    }

    /// Opens a part and says all of it.
    fn open_whole(
        &mut self,
        place: Place,
        content: &Content<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        let (opening, text) = match content {
            Content::Text { text, .. } => (Opening::Text, text),
            Content::Refusal(text) => (Opening::Refusal, text),
            Content::Reasoning(reasoned) => {
                let is_summary = reasoned.is_summary;
                (Opening::Reasoning { is_summary }, &reasoned.text)
            }
            Content::Call(ToolCall {
                id,
                name,
                arguments,
                is_custom,
                ..
            }) => {
                let opening = Opening::Call {
                    id: id.borrowed(),
                    name: name.borrowed(),
                    is_custom: *is_custom,
                };
                (opening, arguments)
            }
            content => return self.raw(place, content, out, losses),
        };
        self.open(place, &opening, out, losses);
        self.add(place, &Piece::Text(text.borrowed()), out);
        match content {
            Content::Text {
                citations,
                logprobs,
                ..
            } => {
                let citations = citations.iter().cloned().map(Piece::Citation);
                let logprobs = logprobs.clone().map(Piece::Logprobs);
                for piece in logprobs.into_iter().chain(citations) {
                    self.add(place, &piece, out);
                }
            }
            Content::Reasoning(reasoned) => {
                if let Some(seal) = &reasoned.seal {
                    self.add(place, &Piece::Seal(seal.clone()), out);
                }
            }
            Content::Call(ToolCall {
                seal: Some(seal), ..
            }) => self.add(place, &Piece::Seal(seal.clone()), out),
            _ => {}
        }
    }

    /// An item that has no parts of ours.
    fn raw(&mut self, place: Place, content: &Content<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let mut item = Vec::new();
        match content {
            Content::Foreign {
                maker: Maker::OpenAi,
                json,
            } => item.extend_from_slice(json.as_str().as_bytes()),
            Content::Media(Media {
                kind: MediaKind::Image,
                source: Source::Base64 { media_type, data },
                ..
            }) => item::image(&mut item, &self.next_id("ig"), media_type, data),
            _ => return losses.dropped(format_args!("response.content[{}]", place.part)),
        }
        self.at_once(item, out);
    }

    /// Words go on with the message before them, unless something else has
    /// begun since.
    fn words(&mut self, place: Place, words: Words, out: &mut Vec<u8>) {
        let begun = self.begun;
        let last = self.open.last_mut();
        if let Some(item) = last.filter(|item| item.index + 1 == begun && item.part.is_none()) {
            return item.go_on(place, words, &mut self.events, out);
        }
        self.begin("msg", place, Kind::message(), out);
        if let Some(item) = self.open.last_mut() {
            item.go_on(place, words, &mut self.events, out);
        }
    }

    fn begin(&mut self, prefix: &str, place: Place, kind: Kind, out: &mut Vec<u8>) {
        self.settle(out);
        let id = self.next_id(prefix);
        let item = Item::begin(self.begun, id, place, kind, &mut self.events, out);
        self.begun += 1;
        self.open.push(item);
    }

    /// An item that begins and is done at once.
    fn at_once(&mut self, item: Vec<u8>, out: &mut Vec<u8>) {
        self.settle(out);
        let index = self.begun;
        self.begun += 1;
        for name in ["response.output_item.added", "response.output_item.done"] {
            self.events.put(out, name, |event| {
                event.number("output_index", index);
                event.key("item").extend_from_slice(&item);
            });
        }
        self.keep(index, item);
    }

    fn keep(&mut self, index: usize, item: Vec<u8>) {
        self.kept += item.len();
        self.done.push((index, item));
    }

    fn add(&mut self, place: Place, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if let Piece::Text(text) = piece {
            self.kept += text.as_escaped().len();
        }
        let open = self.open.iter_mut().find(|it| it.part == Some(place));
        if let Some(item) = open {
            return item.add(piece, &mut self.events, out);
        }
        if let (Piece::Seal(seal), Some((last, call))) = (piece, &self.last_call)
            && *last == place
        {
            let mut item = Vec::new();
            write::call_mark(&mut item, &self.next_id("rs"), call, seal);
            self.last_call = None;
            self.at_once(item, out);
        }
    }

    fn close(&mut self, place: Place, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(at) = self.open.iter().position(|it| it.part == Some(place)) else {
            return;
        };
        let item = &mut self.open[at];
        item.close(&mut self.events, out, losses);
        let is_last = item.index + 1 == self.begun;
        if item.is_message() && is_last {
            return;
        }
        let item = self.complete(at, "completed", out);
        if let Some((call, seal)) = item.called() {
            match seal {
                None => self.last_call = Some((place, call)),
                Some(seal) => {
                    let mut mark = Vec::new();
                    write::call_mark(&mut mark, &self.next_id("rs"), &call, &seal);
                    self.at_once(mark, out);
                }
            }
        }
    }

    fn complete(&mut self, at: usize, status: &str, out: &mut Vec<u8>) -> Item {
        let mut item = self.open.remove(at);
        let json = item.complete(status, &mut self.events, out);
        self.keep(item.index, json);
        item
    }

    /// Finishes the message that could have gone on.
    fn settle(&mut self, out: &mut Vec<u8>) {
        let status = match self.finish {
            Finish::Length | Finish::ContentFilter => "incomplete",
            _ => "completed",
        };
        while let Some(at) = self.open.iter().position(|item| item.part.is_none()) {
            self.complete(at, status, out);
        }
    }
}
