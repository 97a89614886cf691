//! Writes a legacy completion's stream.

use super::{probabilities, write};
use crate::dialect::Usage;
use crate::dialect::chat::{self, Chat};
use crate::dialect::ir::{Event, Opening, Piece, Place, Start, Text};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Codec as _, Encode, Exchange, write_frame};

#[derive(Debug)]
pub(super) struct Encoder {
    exchange: Exchange,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    /// The parts of words that have opened.
    words: Vec<Place>,
    /// Characters that probabilities were told for, by choice.
    told: Vec<(u32, u64)>,
    usage: Option<Usage>,
}

impl Encode for Encoder {
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Open { place, opening } => match opening {
                Opening::Text | Opening::Refusal => self.words.push(*place),
                Opening::Reasoning { .. } | Opening::Call { .. } | Opening::Whole(_) => {
                    losses.dropped(format_args!("response.content[{}]", place.part));
                }
            },
            Event::Delta { place, piece } if self.words.contains(place) => match piece {
                Piece::Text(text) => self.chunk(place.choice, text, None, None, out),
                Piece::Logprobs(content) => {
                    let from = self.told(place.choice);
                    let mut json = Vec::new();
                    *from = probabilities::write(&mut json, content, *from);
                    self.chunk(place.choice, &Text::default(), Some(&json), None, out);
                }
                Piece::Citation(_) => losses.dropped("response.citations"),
                Piece::Seal(_) => {}
            },
            Event::Delta { .. } | Event::Close { .. } => {}
            Event::Finish { choice, finish, .. } => {
                let word = write::finish_reason(Some(*finish));
                self.chunk(*choice, &Text::default(), None, Some(word), out);
            }
            Event::Usage(later) => {
                self.usage = Some(self.usage.unwrap_or_default().merged(*later));
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            Event::Failed(failure) => write_frame(out, None, |out| {
                out.extend_from_slice(&Chat.encode_failure(failure, &self.exchange).1);
            }),
        }
    }
}

impl Encoder {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            exchange: exchange.clone(),
            head: Vec::new(),
            words: Vec::new(),
            told: Vec::new(),
            usage: None,
        }
    }

    fn start(&mut self, start: &Start<'_>) {
        self.head.clear();
        // The brace that closes it is left for every chunk to write.
        let mut object = ObjectWriter::begin(&mut self.head);
        let created = start.created.unwrap_or(self.exchange.created);
        write::head(
            &mut object,
            &start.id,
            &start.model,
            created,
            &self.exchange,
        );
    }

    fn told(&mut self, choice: u32) -> &mut u64 {
        let at = self.told.iter().position(|(other, _)| *other == choice);
        let at = at.unwrap_or_else(|| {
            self.told.push((choice, 0));
            self.told.len() - 1
        });
        &mut self.told[at].1
    }

    fn chunk(
        &self,
        choice: u32,
        text: &Text<'_>,
        logprobs: Option<&[u8]>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        write_frame(out, None, |out| {
            out.extend_from_slice(&self.head);
            let mut rest = ObjectWriter::resume(out);
            let mut choices = rest.list("choices");
            let mut object = choices.object();
            object.said("text", text).count("index", u64::from(choice));
            match logprobs {
                Some(json) => object.key("logprobs").extend_from_slice(json),
                None => drop(object.raw("logprobs", "null")),
            }
            match finish {
                Some(word) => object.text("finish_reason", word),
                None => object.raw("finish_reason", "null"),
            };
            object.end();
            choices.end();
            rest.end();
        });
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.exchange.include_usage) {
            write_frame(out, None, |out| {
                out.extend_from_slice(&self.head);
                let mut rest = ObjectWriter::resume(out);
                rest.raw("choices", "[]");
                chat::write_usage(rest.key("usage"), usage);
                rest.end();
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
