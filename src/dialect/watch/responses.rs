//! Responses streams: named events until `response.completed`,
//! `response.incomplete` or `response.failed`, whose `response` has the usage.
//!
//! Content is every `*.delta` (text, reasoning, arguments, audio, code), a
//! partial image, and a finished output item, since a hosted tool's item may
//! come without any delta.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::scan::{Key, key, leading_type};
use super::{Seen, Watch};
use crate::dialect::json::{read, text};
use crate::dialect::{Finish, usage};

static DELTA: Key = key!("delta");

pub(super) fn see(watch: &mut Watch, event: Option<&[u8]>, data: &[u8]) -> Seen {
    // OpenRouter ends with chat's sentinel after the terminal event.
    if data.trim_ascii() == b"[DONE]" {
        return Seen {
            end: true,
            ..Seen::default()
        };
    }
    let typed;
    let name = match event.or_else(|| leading_type(data)) {
        Some(name) => name,
        None => {
            typed = event_type(data);
            typed.as_deref().unwrap_or_default().as_bytes()
        }
    };
    let seen = kind(name);
    if name.ends_with(b".delta") {
        let text = DELTA.text_span(data);
        watch.add_text(text.as_ref());
        watch.delta_text = text;
        watch.called |= name == b"response.function_call_arguments.delta"
            || name == b"response.custom_tool_call_input.delta";
    }
    if name == b"response.function_call_arguments.done" {
        watch.called = true;
    }
    if seen.end {
        end(watch, name, data);
    }
    seen
}

/// What an event of that name is.
pub(super) fn kind(name: &[u8]) -> Seen {
    let failed = name == b"response.failed";
    Seen {
        content: name.ends_with(b".delta")
            || name.ends_with(b".partial_image")
            || name == b"response.output_item.done",
        end: failed || name == b"response.completed" || name == b"response.incomplete",
        error: failed || name == b"error",
        usage_only: false,
    }
}

/// The type of an event without a name whose JSON doesn't begin with it.
fn event_type(data: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    text(read::<Typed<'_>>(std::str::from_utf8(data).ok()?)?.kind)
}

/// Reads a terminal event.
fn end(watch: &mut Watch, name: &[u8], data: &[u8]) {
    #[derive(Deserialize)]
    struct Terminal<'a> {
        #[serde(borrow)]
        response: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        model: Option<&'a RawValue>,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        #[serde(borrow)]
        incomplete_details: Option<&'a RawValue>,
    }
    watch.finish = Some(match name {
        b"response.completed" if watch.called => Finish::ToolCalls,
        b"response.completed" => Finish::Stop,
        b"response.incomplete" => Finish::Length,
        _ => Finish::Error,
    });
    let response = std::str::from_utf8(data)
        .ok()
        .and_then(read::<Terminal<'_>>)
        .and_then(|terminal| read::<Response<'_>>(terminal.response?.get()));
    let Some(response) = response else { return };
    watch.name(
        text(response.id).as_deref(),
        text(response.model).as_deref(),
    );
    if let Some(reason) = response.incomplete_details.and_then(incomplete_reason) {
        watch.finish = Some(reason);
    }
    let reported = response.usage.and_then(|raw| usage::openai(raw.get()));
    watch.report(reported, true);
}

/// Why a response is incomplete.
pub(crate) fn incomplete_reason(raw: &RawValue) -> Option<Finish> {
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow)]
        reason: Option<&'a RawValue>,
    }
    let reason = text(read::<Details<'_>>(raw.get())?.reason)?;
    Some(Finish::from_word(&reason))
}
