//! Chat and completions streams: `chat.completion.chunk`s until `[DONE]`.
//!
//! Most servers write `"finish_reason":null` into every delta. A chunk like
//! that, without usage or error, is only searched; others are parsed.

use super::scan::{Key, first_text, key};
use super::{Ending, Seen, Watch};
use crate::dialect::json::scan::Scan;
use crate::dialect::json::{elements, fields, says_something, text};
use crate::dialect::{Finish, Usage, usage};

pub(crate) static FINISH_REASON: Key = key!("finish_reason");
static USAGE: Key = key!("usage");
static ERROR: Key = key!("error");

/// Where a delta's text may be, the most frequent first.
static TEXTS: [Key; 5] = [
    key!("content"),
    key!("text"),
    key!("arguments"),
    key!("reasoning_content"),
    key!("reasoning"),
];

pub(super) fn see(watch: &mut Watch, event: Option<&[u8]>, data: &[u8]) -> Seen {
    if data.trim_ascii() == b"[DONE]" {
        return Seen {
            end: true,
            ..Seen::default()
        };
    }
    let text = first_text(&TEXTS, data);
    watch.add_text(text.as_ref());
    if text.is_some() && event.is_none() && watch.events > 0 && is_plain_delta(data) {
        watch.delta_text = text;
        return Seen {
            content: true,
            ..Seen::default()
        };
    }
    let Ok(data) = std::str::from_utf8(data) else {
        return Seen::default();
    };
    let mut seen = parse(watch, data);
    seen.error |= event == Some(b"error");
    seen
}

/// Whether a chunk carries nothing but a delta.
fn is_plain_delta(data: &[u8]) -> bool {
    FINISH_REASON
        .value(data)
        .is_some_and(|value| value.starts_with(b"null"))
        && !USAGE.is_set(data)
        && !ERROR.is_set(data)
}

fn parse(watch: &mut Watch, data: &str) -> Seen {
    let names = ["id", "model", "choices", "usage", "error", "x_groq"];
    let Some([id, model, choices, usage, error, x_groq]) = fields(data, names) else {
        return Seen::default();
    };
    watch.name(text(id).as_deref(), text(model).as_deref());
    let reported = usage.and_then(openai).or_else(|| groq_usage(x_groq?));
    let choices = choices.and_then(Choice::all);
    let seen = Seen {
        content: choices.iter().flatten().any(Choice::has_content),
        end: false,
        error: error.is_some_and(is_an_error),
        usage_only: reported.is_some() && choices.as_ref().is_some_and(Vec::is_empty),
    };
    for choice in choices.iter().flatten() {
        if let Some(word) = text(choice.finish_reason) {
            watch.finish = Some(Finish::from_word(&word));
            if watch.ending == Ending::Open {
                watch.ending = Ending::Implied;
            }
        }
    }
    watch.report(reported, true);
    seen
}

/// SDKs raise on any `error` that is truthy.
pub(crate) fn is_an_error(raw: &str) -> bool {
    says_something(raw) && !matches!(raw, "false" | "0")
}

fn openai(usage: &str) -> Option<Usage> {
    usage::openai(&mut Scan::new(usage))
}

/// Groq's older place for it.
fn groq_usage(x_groq: &str) -> Option<Usage> {
    let [usage] = fields(x_groq, ["usage"])?;
    openai(usage?)
}

/// The fields of a choice that are read, as they are written.
struct Choice<'a> {
    delta: Option<&'a str>,
    text: Option<&'a str>,
    finish_reason: Option<&'a str>,
}

impl<'a> Choice<'a> {
    fn all(choices: &'a str) -> Option<Vec<Self>> {
        elements(choices)?.into_iter().map(Self::read).collect()
    }

    fn read(choice: &'a str) -> Option<Self> {
        let [delta, text, finish_reason] = fields(choice, ["delta", "text", "finish_reason"])?;
        Some(Self {
            delta,
            text,
            finish_reason,
        })
    }

    fn has_content(&self) -> bool {
        self.text.is_some_and(says_something) || self.delta.is_some_and(is_content)
    }
}

/// The fields of a delta that are part of the answer, at any provider.
const CONTENT: [&str; 11] = [
    "content",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "images",
    "annotations",
];

/// Whether a delta says anything of the answer. Its role doesn't, nor do the
/// notes providers add (`channel`, `provider_metadata`).
fn is_content(delta: &str) -> bool {
    let mut is_content = false;
    let whole = Scan::new(delta).object(|scan, key| {
        let says = says_something(scan.skip()?);
        is_content |= says && CONTENT.contains(&&*key);
        Ok(())
    });
    whole.is_ok() && is_content
}
