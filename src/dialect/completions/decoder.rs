//! Reads a legacy completion's stream: one part of words per choice, open
//! until its reason to end.

use super::probabilities;
use crate::dialect::Usage;
use crate::dialect::ir::{Event, Failure, Finish, Opening, Piece, Place, Start, Text};
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, is_null};
use crate::dialect::translate::Decode;
use crate::dialect::usage;
use crate::dialect::watch::is_an_error;

/// More answers than anybody asks for; they are searched one by one.
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    has_started: bool,
    /// The choices that were met, and whether each has ended.
    choices: Vec<(u32, bool)>,
    usage: Option<Usage>,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Decode for Decoder {
    fn take<'d>(
        &mut self,
        _: Option<&[u8]>,
        data: &'d str,
        each: Each<'_>,
    ) -> Option<(Place, &'d str)> {
        if data == "[DONE]" {
            self.end(each);
            return None;
        }
        let chunk = Members::of(data)?;
        if chunk.get("error").is_some_and(is_an_error) {
            each(Event::Failed(Failure::read(None, data.as_bytes())));
            return None;
        }
        if !self.has_started {
            self.has_started = true;
            let text = |key: &str| chunk.get(key).and_then(Text::of_json).unwrap_or_default();
            each(Event::Start(Start {
                id: text("id"),
                model: text("model"),
                created: chunk.get("created").and_then(|raw| raw.parse().ok()),
                service_tier: None,
            }));
        }
        for choice in chunk.list("choices").into_iter().filter_map(Members::of) {
            self.choice(&choice, each);
        }
        let counts = chunk.get("usage").filter(|raw| !is_null(raw));
        if let Some(usage) = counts.and_then(|raw| usage::openai(&mut Scan::new(raw))) {
            self.usage = Some(usage);
            each(Event::Usage(usage));
        }
        None
    }

    fn may_end(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|(_, ended)| *ended)
    }
}

impl Decoder {
    fn choice(&mut self, choice: &Members<'_>, each: Each<'_>) {
        let index = choice.get("index").and_then(|raw| raw.parse().ok());
        let index = index.unwrap_or(0);
        let place = Place {
            choice: index,
            part: 0,
        };
        let known = self.choices.iter().position(|(other, _)| *other == index);
        let at = match known {
            Some(at) => at,
            None if self.choices.len() == MOST => return,
            None => {
                self.choices.push((index, false));
                each(Event::Open {
                    place,
                    opening: Opening::Text,
                });
                self.choices.len() - 1
            }
        };
        if self.choices[at].1 {
            return;
        }
        let text = choice.get("text").and_then(Text::of_json);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let piece = Piece::Text(text);
            each(Event::Delta { place, piece });
        }
        let told = choice.get("logprobs").filter(|raw| !is_null(raw));
        if let Some(told) = told.and_then(probabilities::read) {
            let piece = Piece::Logprobs(told);
            each(Event::Delta { place, piece });
        }
        if let Some(word) = choice.text("finish_reason") {
            self.choices[at].1 = true;
            each(Event::Close { place });
            each(Event::Finish {
                choice: index,
                finish: Finish::from_word(&word),
                stopped_by: None,
            });
        }
    }

    /// The sentinel.
    fn end(&mut self, each: Each<'_>) {
        for (choice, ended) in &mut self.choices {
            if !std::mem::replace(ended, true) {
                let choice = *choice;
                let place = Place { choice, part: 0 };
                each(Event::Close { place });
            }
        }
        each(Event::End);
    }
}
