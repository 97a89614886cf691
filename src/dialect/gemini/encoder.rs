//! Writes a stream: chunks that are answers with one part.
//!
//! A call comes whole here, so it waits for its end, and for the mark that may
//! follow it. Why answers ended and what they took is told by the last chunk.

use super::{cited, finish_reason, logprobs, saying, write};
use crate::dialect::Usage;
use crate::dialect::ir::{
    Content, Event, Finish, Opening, Piece, Place, Reasoned, Seal, Start, Text, ToolCall,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{Encode, Exchange, write_frame};

/// What is known of the answer so far.
#[derive(Debug)]
pub(super) struct Encoder {
    exchange: Exchange,
    id: Text<'static>,
    model: Text<'static>,
    tier: Option<Text<'static>>,
    /// The parts that are open.
    open: Vec<Part>,
    /// The last call, which is complete but for a mark.
    call: Option<(Place, ToolCall<'static>)>,
    /// The answers that have begun, and why they ended.
    choices: Vec<(u32, Option<Finish>)>,
    /// Answers that refuse.
    refused: Vec<u32>,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Part {
    place: Place,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Words, and what they say so far: citations count its bytes.
    Text(String),
    Thought,
    Call(ToolCall<'static>),
    Whole,
}

impl Encode for Encoder {
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Open { place, opening } => {
                self.flush(out);
                self.open(*place, opening, out, losses);
            }
            Event::Delta { place, piece } => self.add(*place, piece, out, losses),
            Event::Close { place } => self.close(*place, out),
            Event::Finish { choice, finish, .. } => {
                self.flush(out);
                let finish = match self.refused.contains(choice) {
                    true => Finish::ContentFilter,
                    false => *finish,
                };
                self.choice(*choice).1 = Some(finish);
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
            id: Text::default(),
            model: Text::default(),
            tier: None,
            open: Vec::new(),
            call: None,
            choices: Vec::new(),
            refused: Vec::new(),
            usage: None,
        }
    }

    fn start(&mut self, start: &Start<'_>) {
        self.id = start.id.clone().into_owned();
        self.model = start.model.clone().into_owned();
        self.tier = start.service_tier.clone().map(Text::into_owned);
    }

    /// The answer of that number, which has begun if it hadn't.
    fn choice(&mut self, index: u32) -> &mut (u32, Option<Finish>) {
        let at = match self.choices.iter().position(|(known, _)| *known == index) {
            Some(at) => at,
            None => {
                self.choices.push((index, None));
                self.choices.len() - 1
            }
        };
        &mut self.choices[at]
    }

    /// Writes a chunk of one answer.
    fn chunk(&self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        write_frame(out, None, |out| {
            let mut chunk = ObjectWriter::begin(out);
            let mut candidates = chunk.list("candidates");
            let mut candidate = candidates.object();
            write(&mut candidate);
            candidate.count("index", u64::from(choice));
            candidate.end();
            candidates.end();
            write::usage(&mut chunk, None, self.tier.as_ref());
            write::tail(&mut chunk, &self.id, &self.model, &self.exchange);
            chunk.end();
        });
    }

    /// Writes a chunk with parts.
    fn say(&self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut ListWriter<'_>)) {
        self.chunk(choice, out, |candidate| {
            let mut content = candidate.object("content");
            let mut parts = content.list("parts");
            write(&mut parts);
            parts.end();
            content.text("role", "model");
            content.end();
        });
    }

    fn open(
        &mut self,
        place: Place,
        opening: &Opening<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        self.choice(place.choice);
        let kind = match opening {
            Opening::Text => Kind::Text(String::new()),
            Opening::Refusal => {
                self.refused.push(place.choice);
                Kind::Text(String::new())
            }
            Opening::Reasoning { .. } => Kind::Thought,
            Opening::Call {
                id,
                name,
                is_custom,
            } => Kind::Call(ToolCall {
                id: id.clone().into_owned(),
                name: name.clone().into_owned(),
                arguments: Text::default(),
                is_custom: *is_custom,
                seal: None,
            }),
            Opening::Whole(content) => {
                self.whole(place, content, out, losses);
                Kind::Whole
            }
        };
        self.open.push(Part { place, kind });
    }

    fn whole(
        &mut self,
        place: Place,
        content: &Content<'_>,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        let mut written = Vec::new();
        let mut parts = ListWriter::begin(&mut written);
        if write::part_of(&mut parts, content) {
            self.say(place.choice, out, |parts| {
                parts.next().extend_from_slice(&written[1..]);
            });
        } else {
            losses.dropped(format_args!("response.content[{}]", place.part));
        }
    }

    fn add(&mut self, place: Place, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        if let (Some((called, call)), Piece::Seal(seal)) = (&mut self.call, piece)
            && *called == place
        {
            call.seal = Some(seal.clone().into_owned());
            return;
        }
        let mut open = std::mem::take(&mut self.open);
        if let Some(part) = open.iter_mut().rfind(|part| part.place == place) {
            self.add_to(part, piece, out, losses);
        }
        self.open = open;
    }

    fn add_to(&self, part: &mut Part, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let choice = part.place.choice;
        match (piece, &mut part.kind) {
            (Piece::Text(text), Kind::Text(said)) => {
                said.push_str(&text.resolved());
                self.say(choice, out, |parts| saying::text(parts, text, None));
            }
            (Piece::Text(text), Kind::Thought) => self.thought(choice, text.borrowed(), None, out),
            (Piece::Text(text), Kind::Call(call)) => call.arguments.push(text),
            (Piece::Seal(seal), Kind::Thought) => {
                self.thought(choice, Text::default(), Some(seal), out);
            }
            (Piece::Seal(seal), Kind::Call(call)) => call.seal = Some(seal.clone().into_owned()),
            (Piece::Citation(citation), Kind::Text(_)) if citation.url.is_none() => {
                losses.dropped("response.citations");
            }
            (Piece::Citation(citation), Kind::Text(said)) => self.chunk(choice, out, |candidate| {
                let mut metadata = candidate.object("citationMetadata");
                let mut list = metadata.list("citations");
                cited::write_one(list.next(), citation, said);
                list.end();
                metadata.end();
            }),
            (Piece::Logprobs(content), Kind::Text(_)) => self.chunk(choice, out, |candidate| {
                logprobs::write(candidate, content);
            }),
            _ => {}
        }
    }

    fn thought(&self, choice: u32, text: Text<'_>, seal: Option<&Seal<'_>>, out: &mut Vec<u8>) {
        let reasoned = Reasoned {
            text,
            is_summary: true,
            seal: seal.cloned(),
        };
        self.say(choice, out, |parts| saying::thought(parts, &reasoned));
    }

    fn close(&mut self, place: Place, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().rposition(|part| part.place == place) else {
            return;
        };
        if let Kind::Call(call) = self.open.remove(at).kind {
            self.flush(out);
            self.call = Some((place, call));
        }
    }

    /// Writes the call that waits for a mark: none follows.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some((place, call)) = self.call.take() {
            self.say(place.choice, out, |parts| {
                let mark = call.seal.as_ref().map(saying::mark);
                saying::call(parts, &call, &call.name, mark.as_ref());
            });
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.choice(0);
        write_frame(out, None, |out| {
            let mut chunk = ObjectWriter::begin(out);
            let mut candidates = chunk.list("candidates");
            for (choice, finish) in &self.choices {
                // A server that gave no reason has answered all the same.
                let finish = finish.unwrap_or(Finish::Stop);
                let mut candidate = candidates.object();
                candidate
                    .text("finishReason", finish_reason(finish))
                    .count("index", u64::from(*choice));
                candidate.end();
            }
            candidates.end();
            write::usage(&mut chunk, self.usage, self.tier.as_ref());
            write::tail(&mut chunk, &self.id, &self.model, &self.exchange);
            chunk.end();
        });
    }
}
