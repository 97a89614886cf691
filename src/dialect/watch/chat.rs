//! Chat and completions streams: `chat.completion.chunk`s until `[DONE]`.
//!
//! Most servers write `"finish_reason":null` into every delta. A chunk like
//! that, without usage or error, is only searched; others are parsed.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scan::{Key, first_text, key};
use super::{Ending, Seen, Watch};
use crate::dialect::json::{read, says_something, text};
use crate::dialect::{Finish, usage};

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
    let Some(chunk) = read::<Chunk<'_>>(data) else {
        return Seen::default();
    };
    watch.name(text(chunk.id).as_deref(), text(chunk.model).as_deref());
    let reported = chunk
        .usage
        .and_then(|raw| usage::openai(raw.get()))
        .or_else(|| groq_usage(chunk.x_groq?));
    let choices: Option<Vec<Choice<'_>>> = chunk.choices.and_then(|raw| read(raw.get()));
    let seen = Seen {
        content: choices.iter().flatten().any(Choice::has_content),
        end: false,
        error: chunk.error.is_some_and(is_an_error),
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
fn is_an_error(raw: &RawValue) -> bool {
    says_something(raw) && !matches!(raw.get(), "false" | "0")
}

/// Groq's older place for it.
fn groq_usage(raw: &RawValue) -> Option<crate::dialect::Usage> {
    #[derive(Deserialize)]
    struct Groq<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    usage::openai(read::<Groq<'_>>(raw.get())?.usage?.get())
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl Choice<'_> {
    fn has_content(&self) -> bool {
        self.text.is_some_and(says_something)
            || self
                .delta
                .and_then(|raw| read::<HasContent>(raw.get()))
                .is_some_and(|delta| delta.0)
    }
}

/// Whether a delta says anything of the answer. Its role doesn't, nor do the
/// notes providers add (`channel`, `provider_metadata`).
struct HasContent(bool);

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

impl<'de> Deserialize<'de> for HasContent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Delta;

        impl<'de> Visitor<'de> for Delta {
            type Value = HasContent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a delta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HasContent, A::Error> {
                let mut has_content = false;
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    if CONTENT.contains(&&*key) {
                        has_content |= says_something(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(HasContent(has_content))
            }
        }

        deserializer.deserialize_map(Delta)
    }
}
