//! Writes a chat stream: chunks that all begin alike.

use super::write;
use crate::dialect::Usage;
use crate::dialect::ir::{
    Content, Event, MediaKind, Opening, Piece, Place, Reasoned, Seal, Start, Text,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{Encode, Exchange, write_frame};

/// What is known of the answer so far.
#[derive(Debug)]
pub(super) struct Encoder {
    exchange: Exchange,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    /// The parts that have opened, by the order they did.
    parts: Vec<Part>,
    /// The choices whose role was told.
    roles: Vec<u32>,
    usage: Option<Usage>,
    /// The beginning and the end of the last text's chunk: most are followed
    /// by more of their kind.
    last: Option<(Place, Vec<u8>)>,
}

#[derive(Debug)]
struct Part {
    place: Place,
    kind: Kind,
    /// Characters said, where citations count them.
    from: u64,
    said: u64,
    /// The thinking so far: it is told again with its mark.
    thought: Option<Text<'static>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
    /// A call, its index among the calls of its choice, and whether it is
    /// custom.
    Call(usize, bool),
    Whole,
}

/// What every chunk of a choice ends with, while it goes on.
const MORE: &[u8] = b"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";

impl Encode for Encoder {
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.start(start, out),
            Event::Open { place, opening } => self.open(*place, opening, out, losses),
            Event::Delta { place, piece } => match piece {
                Piece::Text(text) => self.say(*place, text, out),
                piece => self.add(*place, piece, out, losses),
            },
            Event::Close { .. } => {}
            Event::Finish { choice, finish, .. } => {
                self.role(*choice, out);
                self.chunk(out, |chunk| {
                    let mut choices = chunk.list("choices");
                    let mut object = choices.object();
                    object
                        .count("index", u64::from(*choice))
                        .raw("delta", "{}")
                        .raw("logprobs", "null")
                        .text("finish_reason", write::finish_reason(Some(*finish)));
                    object.end();
                    choices.end();
                });
            }
            Event::Usage(later) => {
                self.usage = Some(self.usage.unwrap_or_default().merged(*later));
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            Event::Failed(failure) => write_frame(out, None, |out| {
                out.extend_from_slice(&write::failure(failure).1);
            }),
        }
    }
}

impl Encoder {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            exchange: exchange.clone(),
            head: Vec::new(),
            parts: Vec::new(),
            roles: Vec::new(),
            usage: None,
            last: None,
        }
    }

    fn start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        self.head.clear();
        // The brace that closes it is left for every chunk to write.
        let mut object = ObjectWriter::begin(&mut self.head);
        let created = start.created.unwrap_or(self.exchange.created);
        let kind = "chat.completion.chunk";
        write::head(
            &mut object,
            &start.id,
            &start.model,
            created,
            kind,
            &self.exchange,
        );
        object.said_if("service_tier", start.service_tier.as_ref());
        self.role(0, out);
    }

    /// Tells who speaks, once for each choice.
    fn role(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.roles.contains(&choice) {
            return;
        }
        self.roles.push(choice);
        self.delta(choice, out, |delta| {
            delta
                .text("role", "assistant")
                .text("content", "")
                .raw("refusal", "null");
        });
    }

    /// Writes a chunk that is `head` and what `write` adds.
    fn chunk(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        write_frame(out, None, |out| {
            out.extend_from_slice(&self.head);
            let mut rest = ObjectWriter::resume(out);
            write(&mut rest);
            rest.end();
        });
    }

    /// Writes a chunk with a delta.
    fn delta(&self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.chunk(out, |chunk| {
            let mut choices = chunk.list("choices");
            let mut object = choices.object();
            object.count("index", u64::from(choice));
            let mut delta = object.object("delta");
            write(&mut delta);
            delta.end();
            object.raw("logprobs", "null").raw("finish_reason", "null");
            object.end();
            choices.end();
        });
    }

    fn open(
        &mut self,
        place: Place,
        opening: &Opening<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        self.role(place.choice, out);
        let of_choice = |part: &&Part| part.place.choice == place.choice;
        let calls = self.parts.iter().filter(of_choice);
        let calls = calls
            .filter(|part| matches!(part.kind, Kind::Call(..)))
            .count();
        let texts = self.parts.iter().filter(of_choice);
        let from = texts
            .filter(|part| part.kind == Kind::Text)
            .map(|part| part.said)
            .sum();
        let kind = match opening {
            Opening::Text => Kind::Text,
            Opening::Reasoning { .. } => Kind::Reasoning,
            Opening::Refusal => Kind::Refusal,
            Opening::Call { is_custom, .. } => Kind::Call(calls, *is_custom),
            Opening::Whole(_) => Kind::Whole,
        };
        self.parts.push(Part {
            place,
            kind,
            from,
            said: 0,
            thought: None,
        });
        match opening {
            Opening::Call {
                id,
                name,
                is_custom,
            } => {
                self.call_delta(place.choice, calls, out, |call| {
                    let (kind, input) = call_words(*is_custom);
                    call.said("id", id).text("type", kind);
                    let mut tool = call.object(kind);
                    tool.said("name", name).text(input, "");
                    tool.end();
                });
            }
            Opening::Whole(content) => self.whole(place, content, out, losses),
            Opening::Text | Opening::Reasoning { .. } | Opening::Refusal => {}
        }
    }

    fn whole(&self, place: Place, content: &Content<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match content {
            Content::Reasoning(Reasoned { text, seal, .. }) => {
                self.delta(place.choice, out, |delta| {
                    let mut blocks = delta.list("thinking_blocks");
                    write::thinking_block(blocks.next(), text, seal.as_ref());
                    blocks.end();
                });
            }
            Content::Media(media) if media.kind == MediaKind::Image => {
                self.delta(place.choice, out, |delta| {
                    let mut images = delta.list("images");
                    write::image(&mut images, media);
                    images.end();
                });
            }
            _ => losses.dropped(format_args!("response.content[{}]", place.part)),
        }
    }

    fn call_delta(
        &self,
        choice: u32,
        index: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        self.delta(choice, out, |delta| {
            let mut calls: ListWriter<'_> = delta.list("tool_calls");
            let mut call = calls.object();
            call.number("index", index);
            write(&mut call);
            call.end();
            calls.end();
        });
    }

    fn say(&mut self, place: Place, text: &Text<'_>, out: &mut Vec<u8>) {
        if let Some((last, start)) = &self.last
            && *last == place
        {
            out.extend_from_slice(start);
        } else {
            let Some(part) = self.parts.iter().rfind(|part| part.place == place) else {
                return;
            };
            let start = self.text_start(part);
            out.extend_from_slice(&start);
            self.last = Some((place, start));
        }
        out.extend_from_slice(text.as_escaped().as_bytes());
        let Some(part) = self.parts.iter_mut().rfind(|part| part.place == place) else {
            return;
        };
        out.extend_from_slice(match part.kind {
            Kind::Call(..) => b"\"}}]",
            _ => b"\"",
        });
        out.extend_from_slice(MORE);
        match part.kind {
            Kind::Reasoning => part.thought.get_or_insert_default().push(text),
            Kind::Text => part.said += text.chars(),
            _ => {}
        }
    }

    /// What a chunk with a text of this part begins with.
    fn text_start(&self, part: &Part) -> Vec<u8> {
        let mut start = b"data: ".to_vec();
        start.extend_from_slice(&self.head);
        let inner = match part.kind {
            Kind::Text | Kind::Whole => "\"content\":\"".to_owned(),
            Kind::Reasoning => "\"reasoning_content\":\"".to_owned(),
            Kind::Refusal => "\"refusal\":\"".to_owned(),
            Kind::Call(index, is_custom) => {
                let (kind, input) = call_words(is_custom);
                format!("\"tool_calls\":[{{\"index\":{index},\"{kind}\":{{\"{input}\":\"")
            }
        };
        let choice = part.place.choice;
        let head = format!(",\"choices\":[{{\"index\":{choice},\"delta\":{{{inner}");
        start.extend_from_slice(head.as_bytes());
        start
    }

    fn add(&mut self, place: Place, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(part) = self.parts.iter().rfind(|part| part.place == place) else {
            return;
        };
        match (piece, part.kind) {
            (Piece::Seal(seal), Kind::Reasoning) => {
                let text = part.thought.clone().unwrap_or_default();
                self.sealed(place.choice, &text, seal, out);
            }
            (Piece::Seal(seal), Kind::Call(index, is_custom)) => {
                let (kind, input) = call_words(is_custom);
                self.call_delta(place.choice, index, out, |call| {
                    // Some clients take no delta of a call without it.
                    let mut tool = call.object(kind);
                    tool.text(input, "");
                    tool.end();
                    write::call_mark(call, seal);
                });
            }
            (Piece::Citation(citation), Kind::Text) if citation.url.is_none() => {
                losses.dropped("response.citations");
            }
            (Piece::Citation(citation), Kind::Text) => {
                self.delta(place.choice, out, |delta| {
                    let mut list = delta.list("annotations");
                    write::annotation(&mut list, citation, part.from, part.said);
                    list.end();
                });
            }
            (Piece::Logprobs(content), Kind::Text) => self.chunk(out, |chunk| {
                let mut choices = chunk.list("choices");
                let mut object = choices.object();
                object
                    .count("index", u64::from(place.choice))
                    .raw("delta", "{}");
                let mut logprobs = object.object("logprobs");
                logprobs
                    .raw("content", content.as_str())
                    .raw("refusal", "null");
                logprobs.end();
                object.raw("finish_reason", "null");
                object.end();
                choices.end();
            }),
            _ => {}
        }
    }

    /// The thinking once more, whole and with its mark: what a caller sends
    /// back.
    fn sealed(&self, choice: u32, text: &Text<'_>, seal: &Seal<'_>, out: &mut Vec<u8>) {
        self.delta(choice, out, |delta| {
            let mut blocks = delta.list("thinking_blocks");
            write::thinking_block(blocks.next(), text, Some(seal));
            blocks.end();
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.exchange.include_usage) {
            self.chunk(out, |chunk| {
                chunk.raw("choices", "[]");
                write::usage(chunk.key("usage"), usage);
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

fn call_words(is_custom: bool) -> (&'static str, &'static str) {
    match is_custom {
        true => ("custom", "input"),
        false => ("function", "arguments"),
    }
}
