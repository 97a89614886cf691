//! Reads a whole legacy completion.

use super::probabilities;
use crate::dialect::ir::{Answer, Choice, Content, Finish, Part, Text};
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, is_array};
use crate::dialect::usage;
use crate::dialect::watch::is_an_error;

pub(super) fn decode(body: &str) -> Option<Answer<'_>> {
    let answer = Members::of(body)?;
    if answer.get("error").is_some_and(is_an_error) {
        return None;
    }
    answer.get("choices").filter(|raw| is_array(raw))?;
    let choices = answer.list("choices").into_iter().map(choice);
    let text = |key: &str| answer.get(key).and_then(Text::of_json);
    Some(Answer {
        id: text("id").unwrap_or_default(),
        model: text("model").unwrap_or_default(),
        created: answer.get("created").and_then(|raw| raw.parse().ok()),
        choices: choices.collect::<Option<_>>()?,
        usage: answer
            .get("usage")
            .and_then(|raw| usage::openai(&mut Scan::new(raw))),
        service_tier: None,
    })
}

fn choice(json: &str) -> Option<Choice<'_>> {
    let choice = Members::of(json)?;
    let text = choice.get("text").and_then(Text::of_json)?;
    let words = Part::from(Content::Text {
        text,
        citations: Vec::new(),
        logprobs: choice.get("logprobs").and_then(probabilities::read),
    });
    Some(Choice {
        parts: vec![words],
        finish: choice
            .text("finish_reason")
            .map(|word| Finish::from_word(&word)),
        stopped_by: None,
    })
}
