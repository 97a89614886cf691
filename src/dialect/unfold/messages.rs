//! Messages: the message without its content, its blocks one after another,
//! its end.

use super::named_event;
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_array, is_object};

/// What is only known at the end: null at first, then in the last delta.
const LATER: [&str; 4] = ["stop_reason", "stop_sequence", "stop_details", "container"];

/// What stands beside the last delta.
const BESIDE: &str = "context_management";

/// The usage that is known before the answer.
const EARLY_USAGE: [&str; 6] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "service_tier",
    "inference_geo",
];

pub(super) fn unfold(whole: &str) -> Option<Vec<u8>> {
    let message = Members::of(whole)?;
    let is_message = message.text("type").is_none_or(|kind| kind == "message");
    if !is_message || message.get("error").is_some_and(says_something) {
        return None;
    }
    message.get("content").filter(|raw| is_array(raw))?;
    let mut out = Vec::with_capacity(whole.len() + 2048);
    start(&mut out, &message);
    for (index, block) in message.list("content").into_iter().enumerate() {
        unfold_block(&mut out, index, &Members::of(block)?);
    }
    end(&mut out, &message);
    Some(out)
}

fn start(out: &mut Vec<u8>, message: &Members<'_>) {
    named_event(out, "message_start", |event| {
        let mut opening = event.object("message");
        for (key, raw) in message.iter() {
            match key {
                "content" => drop(opening.raw(key, "[]")),
                "usage" => early_usage(opening.key(key), raw),
                BESIDE => {}
                _ if LATER.contains(&key) => drop(opening.raw(key, "null")),
                _ => drop(opening.raw(key, raw)),
            }
        }
        opening.end();
    });
}

fn early_usage(out: &mut Vec<u8>, usage: &str) {
    let Some(members) = Members::of(usage) else {
        return out.extend_from_slice(usage.as_bytes());
    };
    let mut early = ObjectWriter::begin(out);
    for (key, raw) in members.iter() {
        if key == "output_tokens" && raw != "0" {
            // The provider's first report counts a token or so.
            early.raw(key, "1");
        } else if key == "output_tokens" || EARLY_USAGE.contains(&key) {
            early.raw(key, raw);
        }
    }
    early.end();
}

fn end(out: &mut Vec<u8>, message: &Members<'_>) {
    named_event(out, "message_delta", |event| {
        let mut delta = event.object("delta");
        for (key, raw) in message.iter().filter(|(key, _)| LATER.contains(key)) {
            delta.raw(key, raw);
        }
        delta.end();
        for (key, raw) in message.iter() {
            if key == "usage" || key == BESIDE {
                event.raw(key, raw);
            }
        }
    });
    named_event(out, "message_stop", |_| {});
}

/// One block: opened empty, filled by deltas, closed. A block that isn't
/// streamed (a hosted tool's result, redacted thinking, an unknown one) opens
/// whole.
fn unfold_block(out: &mut Vec<u8>, index: usize, block: &Members<'_>) {
    named_event(out, "content_block_start", |event| {
        event.number("index", index);
        let mut opening = event.object("content_block");
        for (key, raw) in block.iter() {
            let empty = Part::of(block, key, raw).map(Part::empty);
            opening.raw(key, empty.unwrap_or(raw));
        }
        opening.end();
    });
    for (key, raw) in block.iter() {
        match Part::of(block, key, raw) {
            None => {}
            Some(Part::Text(kind)) if says_something(raw) => {
                delta(out, index, kind, |delta| {
                    delta.raw(key, raw);
                });
            }
            Some(Part::Text(_)) => {}
            Some(Part::Input) => delta(out, index, "input_json_delta", |delta| {
                let input = if says_something(raw) { raw } else { "" };
                delta.text("partial_json", input);
            }),
            Some(Part::Citations) => {
                for citation in block.list(key) {
                    delta(out, index, "citations_delta", |delta| {
                        delta.raw("citation", citation);
                    });
                }
            }
        }
    }
    named_event(out, "content_block_stop", |event| {
        event.number("index", index);
    });
}

/// A field of a block that comes in deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A text, in deltas of this type.
    Text(&'static str),
    /// A tool's input, as JSON in strings.
    Input,
    /// One delta each.
    Citations,
}

impl Part {
    fn of(block: &Members<'_>, key: &str, value: &str) -> Option<Self> {
        let kind = block.text("type");
        let is_text = inside_quotes(value).is_some();
        match (kind.as_deref()?, key) {
            ("text", "text") if is_text => Some(Self::Text("text_delta")),
            ("text", "citations") if is_array(value) => Some(Self::Citations),
            ("thinking", "thinking") if is_text => Some(Self::Text("thinking_delta")),
            ("thinking", "signature") if is_text => Some(Self::Text("signature_delta")),
            (_, "input") if is_object(value) => Some(Self::Input),
            _ => None,
        }
    }

    /// What the block has there when it opens.
    fn empty(self) -> &'static str {
        match self {
            Self::Text(_) => "\"\"",
            Self::Input => "{}",
            Self::Citations => "[]",
        }
    }
}

fn delta(out: &mut Vec<u8>, index: usize, kind: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    named_event(out, "content_block_delta", |event| {
        event.number("index", index);
        let mut delta = event.object("delta");
        delta.text("type", kind);
        write(&mut delta);
        delta.end();
    });
}
