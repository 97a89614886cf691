//! Responses streams: named events until `response.completed`,
//! `response.incomplete` or `response.failed`, whose `response` has the usage.
//!
//! Content is every `*.delta` (text, reasoning, arguments, audio, code), a
//! partial image, and a finished output item, since a hosted tool's item may
//! come without any delta.

use std::borrow::Cow;

use super::scan::{Key, key, leading_type};
use super::{Seen, Watch};
use crate::dialect::json::scan::Scan;
use crate::dialect::json::{fields, text};
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
fn event_type(data: &[u8]) -> Option<Cow<'_, str>> {
    let [kind] = fields(std::str::from_utf8(data).ok()?, ["type"])?;
    text(kind)
}

/// Reads a terminal event.
fn end(watch: &mut Watch, name: &[u8], data: &[u8]) {
    watch.finish = Some(match name {
        b"response.completed" if watch.called => Finish::ToolCalls,
        b"response.completed" => Finish::Stop,
        b"response.incomplete" => Finish::Length,
        _ => Finish::Error,
    });
    let Some([id, model, usage, incomplete_details]) = response(data) else {
        return;
    };
    watch.name(text(id).as_deref(), text(model).as_deref());
    if let Some(reason) = incomplete_details.and_then(incomplete_reason) {
        watch.finish = Some(reason);
    }
    let reported = usage.and_then(|raw| usage::openai(&mut Scan::new(raw)));
    watch.report(reported, true);
}

/// What is read of the response in a terminal event.
fn response(data: &[u8]) -> Option<[Option<&str>; 4]> {
    let [response] = fields(std::str::from_utf8(data).ok()?, ["response"])?;
    fields(response?, ["id", "model", "usage", "incomplete_details"])
}

/// Why a response is incomplete.
pub(crate) fn incomplete_reason(details: &str) -> Option<Finish> {
    let [reason] = fields(details, ["reason"])?;
    text(reason).map(|reason| Finish::from_word(&reason))
}
