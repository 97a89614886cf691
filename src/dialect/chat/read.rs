//! Reads a whole chat completion.

use super::said;
use crate::dialect::ir::{
    Answer, At, Choice, Content, Finish, Json, Media, MediaKind, Part, Reasoned, Source, Text,
};
use crate::dialect::json::elements;
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, is_array};
use crate::dialect::reading::{Path, Reading};
use crate::dialect::watch::is_an_error;
use crate::dialect::{Usage, usage};

pub(super) fn decode(body: &str) -> Option<Answer<'_>> {
    let answer = Members::of(body)?;
    if answer.get("error").is_some_and(is_an_error) {
        return None;
    }
    answer.get("choices").filter(|raw| is_array(raw))?;
    let choices = answer
        .list("choices")
        .into_iter()
        .map(choice)
        .collect::<Option<Vec<_>>>()?;
    let text = |key: &str| answer.get(key).and_then(Text::of_json);
    Some(Answer {
        id: text("id").unwrap_or_default(),
        model: text("model").unwrap_or_default(),
        created: answer.get("created").and_then(|raw| raw.parse().ok()),
        choices,
        usage: counts(&answer),
        service_tier: text("service_tier"),
    })
}

/// What the usage counts, at the top or where Groq's streams have it.
pub(super) fn counts(answer: &Members<'_>) -> Option<Usage> {
    let groq = || Members::of(answer.get("x_groq")?)?.get("usage");
    let usage = answer
        .get("usage")
        .filter(|raw| *raw != "null")
        .or_else(groq)?;
    usage::openai(&mut Scan::new(usage))
}

fn choice(json: &str) -> Option<Choice<'_>> {
    let choice = Members::of(json)?;
    let message = choice.get("message")?;
    let mut parts = parts(message)?;
    if let Some(logprobs) = choice.get("logprobs").and_then(content_logprobs)
        && let Some(Content::Text { logprobs: told, .. }) = parts
            .iter_mut()
            .map(|part| &mut part.content)
            .find(|it| matches!(it, Content::Text { .. }))
    {
        *told = Some(logprobs);
    }
    Some(Choice {
        parts,
        finish: choice
            .text("finish_reason")
            .map(|word| Finish::from_word(&word)),
        stopped_by: None,
    })
}

/// The probabilities of the words, an array.
pub(super) fn content_logprobs(logprobs: &str) -> Option<Json<'_>> {
    let content = Members::of(logprobs)?.get("content")?;
    is_array(content).then(|| Json::scanned(content))
}

fn parts(message: &str) -> Option<Vec<Part<'_>>> {
    // A server's own fields beside ours are nobody's business.
    let mut reading = Reading::of(message, Path::default()).ok()?;
    let images = reading.raw("images");
    let content = reading.raw("content").map(words_of);
    let mut parts = said::parts(&mut reading, At::default(), &mut Vec::new()).ok()?;
    let at = parts
        .iter()
        .position(|part| !matches!(part.content, Content::Reasoning(_)))
        .unwrap_or(parts.len());
    let Words { mut thought, text } = content.unwrap_or_default();
    let mut cited = Vec::new();
    if !text.is_empty() {
        let annotations = Members::of(message)?.get("annotations");
        cited = annotations
            .map(|raw| said::citations(raw, &text))
            .unwrap_or_default();
    }
    let mut words = Vec::new();
    words.append(&mut thought);
    if !text.is_empty() {
        words.push(Part::from(Content::Text {
            text,
            citations: cited,
            logprobs: None,
        }));
    }
    words.extend(
        images
            .and_then(elements)
            .unwrap_or_default()
            .into_iter()
            .filter_map(image),
    );
    parts.splice(at..at, words);
    Some(parts)
}

/// What a `content` says.
#[derive(Default)]
struct Words<'a> {
    thought: Vec<Part<'a>>,
    text: Text<'a>,
}

/// A text, or (Mistral's reasoning models) parts of which some think.
fn words_of(content: &str) -> Words<'_> {
    if let Some(text) = Text::of_json(content) {
        return Words {
            thought: Vec::new(),
            text,
        };
    }
    let mut words = Words::default();
    for json in elements(content).unwrap_or_default() {
        let Some(part) = Members::of(json) else {
            continue;
        };
        match part.get("thinking").and_then(elements) {
            Some(thoughts) => {
                let mut text = Text::default();
                for thought in thoughts.into_iter().filter_map(Members::of) {
                    text.push(
                        &thought
                            .get("text")
                            .and_then(Text::of_json)
                            .unwrap_or_default(),
                    );
                }
                words.thought.push(Part::from(Content::Reasoning(Reasoned {
                    text: text.into_owned(),
                    ..Default::default()
                })));
            }
            None => {
                let more = part.get("text").and_then(Text::of_json).unwrap_or_default();
                words.text.push(&more);
            }
        }
    }
    words
}

/// An image that was made (OpenRouter).
fn image(json: &str) -> Option<Part<'_>> {
    let url = Members::of(Members::of(json)?.get("image_url")?)?.get("url")?;
    let source: Source<'_> = super::parts::source(Text::of_json(url)?);
    Some(Part::from(Content::Media(Media {
        kind: MediaKind::Image,
        source,
        name: None,
        detail: None,
    })))
}
