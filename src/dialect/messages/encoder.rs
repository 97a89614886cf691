//! Writes a Messages stream.
//!
//! Blocks come one after another, so what belongs to a part that opens while
//! another is open waits until that one closes. The stop reason and the last
//! counts are one event, so they wait for the end.

use super::write;
use crate::dialect::Usage;
use crate::dialect::ir::{
    Content, Event, Finish, Opening, Piece, Place, Reasoned, Seal, Start, Text,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Encode, Exchange, write_frame};

/// Events that wait for another part's end, at most: more than any answer has
/// interleaved.
const MOST_WAITING: usize = 65_536;

/// What is known of the answer so far.
#[derive(Debug)]
pub(super) struct Encoder {
    exchange: Exchange,
    has_started: bool,
    /// The number of blocks that have opened.
    blocks: usize,
    open: Option<Open>,
    waiting: Vec<Event<'static>>,
    finish: Finish,
    stopped_by: Option<Text<'static>>,
    refused: bool,
    usage: Usage,
    tier: Option<Text<'static>>,
    /// The last call's id, if it has closed without a mark: one may follow.
    last_call: Option<Text<'static>>,
    /// What a text delta's event begins with, for the block that is open.
    delta_start: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    place: Place,
    kind: Kind,
    /// The mark on a call and the call's id: it has a block of its own.
    mark: Option<(Text<'static>, Option<Seal<'static>>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Input,
    /// A free text, told as `{"input": …}`.
    FreeInput,
    /// It came whole.
    Whole,
    /// The format has no block for it.
    Lost,
}

impl Encode for Encoder {
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Delta {
                place,
                piece: Piece::Text(text),
            } if self.is_open(*place) => self.say(text, out),
            Event::Start(start) => self.start(start, out),
            Event::Open { place, .. } | Event::Delta { place, .. } | Event::Close { place } => {
                if place.choice > 0 {
                    losses.dropped("response.choices[1]");
                } else if self.open.is_some() && !self.is_open(*place) {
                    self.hold(event, out);
                } else {
                    self.part(event, out, losses);
                }
            }
            Event::Finish {
                choice: 0,
                finish,
                stopped_by,
            } => {
                self.finish = *finish;
                self.stopped_by = stopped_by.clone().map(Text::into_owned);
            }
            Event::Finish { .. } => {}
            Event::Usage(later) => self.usage = self.usage.merged(*later),
            // No event comes before the message's start.
            Event::Ping if !self.has_started => out.extend_from_slice(b": ping\n\n"),
            Event::Ping => write_frame(out, Some("ping"), |out| {
                out.extend_from_slice(br#"{"type": "ping"}"#);
            }),
            Event::End => self.end(out),
            Event::Failed(failure) => write_frame(out, Some("error"), |out| {
                out.extend_from_slice(&write::failure(failure, &self.exchange).1);
            }),
        }
    }
}

impl Encoder {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            exchange: exchange.clone(),
            has_started: false,
            blocks: 0,
            open: None,
            waiting: Vec::new(),
            finish: Finish::Stop,
            stopped_by: None,
            refused: false,
            usage: Usage::default(),
            tier: None,
            last_call: None,
            delta_start: Vec::new(),
        }
    }

    fn is_open(&self, place: Place) -> bool {
        self.open.as_ref().is_some_and(|open| open.place == place)
    }

    fn start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        self.has_started = true;
        self.tier = start.service_tier.clone().map(Text::into_owned);
        event(out, "message_start", |event| {
            let mut message = event.object("message");
            write::head(&mut message, &start.id, &start.model, &self.exchange);
            message
                .raw("content", "[]")
                .raw("stop_reason", "null")
                .raw("stop_sequence", "null");
            write::usage(&mut message, Usage::default(), self.tier.as_ref());
            message.end();
        });
    }

    /// Keeps what must wait. An answer that interleaves without end is cut
    /// where it stands: the part that is open is taken for complete.
    fn hold(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.waiting.push(event.clone().into_owned());
        if self.waiting.len() > MOST_WAITING {
            self.close(out);
        }
    }

    fn part(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Open { place, opening } => self.open(*place, opening, out, losses),
            Event::Delta { piece, .. } => self.add(piece, out, losses),
            Event::Close { place } if self.is_open(*place) => {
                self.close(out);
                for event in std::mem::take(&mut self.waiting) {
                    self.put(&event, out, losses);
                }
            }
            _ => {}
        }
    }

    fn open(
        &mut self,
        place: Place,
        opening: &Opening<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        self.refused |= matches!(
            opening,
            Opening::Refusal | Opening::Whole(Content::Refusal(_))
        );
        let kind = match opening {
            Opening::Text | Opening::Refusal => Kind::Text,
            Opening::Reasoning { .. } => Kind::Thinking,
            Opening::Call {
                is_custom: true, ..
            } => Kind::FreeInput,
            Opening::Call { .. } => Kind::Input,
            Opening::Whole(Content::Reasoning(Reasoned { seal: Some(_), .. })) => Kind::Whole,
            Opening::Whole(_) => Kind::Lost,
        };
        let mark = match opening {
            Opening::Call { id, .. } => Some((id.clone().into_owned(), None)),
            _ => None,
        };
        self.open = Some(Open { place, kind, mark });
        if kind == Kind::Lost {
            return losses.dropped(format_args!("response.content[{}]", place.part));
        }
        self.block(out, |block| open_block(block, opening));
        let (delta, key) = match kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking => ("thinking_delta", "thinking"),
            Kind::Input | Kind::FreeInput => ("input_json_delta", "partial_json"),
            Kind::Whole | Kind::Lost => return,
        };
        self.delta_start.clear();
        self.delta_start.extend_from_slice(
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"{delta}\",\"{key}\":\"",
                self.blocks - 1
            )
            .as_bytes(),
        );
        if kind == Kind::FreeInput {
            self.more(r#"{\"input\":\""#, out);
        }
    }

    /// Opens the next block.
    fn block(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        event(out, "content_block_start", |event| {
            event.number("index", self.blocks);
            write(event.key("content_block"));
        });
        self.blocks += 1;
    }

    fn say(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        match self.open.as_ref().map(|open| open.kind) {
            Some(Kind::Lost) => {}
            // JSON in a text in JSON.
            Some(Kind::FreeInput) => self.more(Text::owned(text.as_escaped()).as_escaped(), out),
            _ => self.more(text.as_escaped(), out),
        }
    }

    /// A delta of the block that is open, its text escaped.
    fn more(&self, escaped: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.delta_start);
        out.extend_from_slice(escaped.as_bytes());
        out.extend_from_slice(b"\"}}\n\n");
    }

    fn add(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(open) = &mut self.open else {
            if let (Piece::Seal(seal), Some(id)) = (piece, self.last_call.take()) {
                self.marked(&id, seal, out);
            }
            return;
        };
        match (piece, open.kind) {
            (Piece::Text(text), _) => self.say(text, out),
            (Piece::Seal(seal), Kind::Thinking) => self.delta(out, |delta| {
                delta
                    .text("type", "signature_delta")
                    .said("signature", &write::mark(seal));
            }),
            (Piece::Seal(seal), Kind::Input | Kind::FreeInput) => {
                if let Some((_, mark)) = &mut open.mark {
                    *mark = Some(seal.clone().into_owned());
                }
            }
            (Piece::Citation(citation), Kind::Text) => self.delta(out, |delta| {
                delta.text("type", "citations_delta");
                write::citation(delta.key("citation"), citation);
            }),
            (Piece::Logprobs(_), _) => losses.dropped("response.logprobs"),
            _ => {}
        }
    }

    fn delta(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        event(out, "content_block_delta", |event| {
            event.number("index", self.blocks - 1);
            let mut delta = event.object("delta");
            write(&mut delta);
            delta.end();
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        if open.kind == Kind::Lost {
            return;
        }
        if open.kind == Kind::FreeInput {
            self.more(r#"\"}"#, out);
        }
        self.stop(out);
        self.last_call = None;
        match open.mark {
            Some((id, Some(seal))) => self.marked(&id, &seal, out),
            Some((id, None)) => self.last_call = Some(id),
            None => {}
        }
    }

    /// The mark on a call that is complete.
    fn marked(&mut self, call: &Text<'_>, seal: &Seal<'_>, out: &mut Vec<u8>) {
        self.block(out, |block| write::call_mark(block, call, seal));
        self.stop(out);
    }

    fn stop(&self, out: &mut Vec<u8>) {
        event(out, "content_block_stop", |event| {
            event.number("index", self.blocks - 1);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let finish = if self.refused {
            Finish::ContentFilter
        } else {
            self.finish
        };
        event(out, "message_delta", |event| {
            let mut delta = event.object("delta");
            write::end(&mut delta, finish, self.stopped_by.as_ref());
            delta.end();
            write::usage(event, self.usage, None);
        });
        event(out, "message_stop", |_| {});
    }
}

fn open_block(out: &mut Vec<u8>, opening: &Opening<'_>) {
    if let Opening::Whole(Content::Reasoning(reasoned)) = opening {
        return write::thinking(out, reasoned);
    }
    let mut block = ObjectWriter::begin(out);
    match opening {
        Opening::Reasoning { .. } => {
            block
                .text("type", "thinking")
                .text("thinking", "")
                .text("signature", "");
        }
        Opening::Call { id, name, .. } => {
            block
                .text("type", "tool_use")
                .said("id", id)
                .said("name", name)
                .raw("input", "{}");
        }
        _ => drop(block.text("type", "text").text("text", "")),
    }
    block.end();
}

/// Appends one event with its type.
fn event(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    write_frame(out, Some(name), |out| {
        let mut event = ObjectWriter::begin(out);
        event.text("type", name);
        write(&mut event);
        event.end();
    });
}
