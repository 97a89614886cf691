//! Responses: numbered events that build up the output item by item, and the
//! whole response in the last.

use super::named_event;
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_array};

pub(super) fn unfold(whole: &str) -> Option<Vec<u8>> {
    let response = Members::of(whole)?;
    let terminal = match response.text("status").as_deref()? {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        _ => return None,
    };
    response.get("output").filter(|raw| is_array(raw))?;
    if response.get("error").is_some_and(says_something) {
        return None;
    }
    let mut events = Events {
        out: Vec::with_capacity(3 * whole.len() + 2048),
        number: 0,
    };
    for name in ["response.created", "response.in_progress"] {
        events.push(name, |event| {
            opened(event.object("response"), &response, UNFINISHED);
        });
    }
    for (index, raw) in response.list("output").into_iter().enumerate() {
        events.item(index, raw, &Members::of(raw)?);
    }
    events.push(terminal, |event| {
        event.raw("response", whole);
    });
    Some(events.out)
}

/// What a response has before it is done.
const UNFINISHED: &[(&str, &str)] = &[
    ("status", "\"in_progress\""),
    ("output", "[]"),
    ("usage", "null"),
    ("incomplete_details", "null"),
    ("completed_at", "null"),
];

/// Calls whose text is streamed: the item's type, the field, the events.
const CALLS: [(&str, &str, &str); 4] = [
    (
        "function_call",
        "arguments",
        "response.function_call_arguments",
    ),
    (
        "custom_tool_call",
        "input",
        "response.custom_tool_call_input",
    ),
    ("mcp_call", "arguments", "response.mcp_call_arguments"),
    (
        "code_interpreter_call",
        "code",
        "response.code_interpreter_call_code",
    ),
];

/// Parts whose text is streamed: the part's type, the field, the events.
const PARTS: [(&str, &str, &str); 3] = [
    ("output_text", "text", "response.output_text"),
    ("refusal", "refusal", "response.refusal"),
    ("reasoning_text", "text", "response.reasoning_text"),
];

/// The stream so far.
#[derive(Debug)]
struct Events {
    out: Vec<u8>,
    /// The next event's.
    number: usize,
}

/// Where in the output an event belongs: the item's id, its index, and which
/// part of it under which name.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    item: &'a str,
    output: usize,
    part: Option<(&'static str, usize)>,
}

impl Events {
    fn push(&mut self, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        let number = self.number;
        self.number += 1;
        named_event(&mut self.out, name, |event| {
            event.number("sequence_number", number);
            write(event);
        });
    }

    /// One output item. One whose making isn't known opens whole.
    fn item(&mut self, output: usize, raw: &str, item: &Members<'_>) {
        let place = Place {
            item: item.get("id").map_or("\"\"", |raw| raw),
            output,
            part: None,
        };
        let kind = item.text("type").unwrap_or_default();
        let call = CALLS.iter().find(|(name, ..)| *name == kind);
        let call = call.filter(|(_, field, _)| is_text(item, field));
        let empty: &[(&str, &str)] = match (&*kind, call) {
            ("message" | "reasoning", _) => &[
                ("status", "\"in_progress\""),
                ("content", "[]"),
                ("summary", "[]"),
            ],
            (_, Some((_, field, _))) => &[("status", "\"in_progress\""), (field, "\"\"")],
            _ => &[],
        };
        self.push("response.output_item.added", |event| {
            event.number("output_index", output);
            opened(event.object("item"), item, empty);
        });
        if let Some((_, field, events)) = call {
            self.call(place, item, field, events);
        } else if matches!(&*kind, "message" | "reasoning") {
            for (index, part) in item.list("summary").into_iter().enumerate() {
                self.summary(place.part("summary_index", index), part);
            }
            for (index, part) in item.list("content").into_iter().enumerate() {
                self.content(place.part("content_index", index), part);
            }
        }
        self.push("response.output_item.done", |event| {
            event.number("output_index", output).raw("item", raw);
        });
    }

    fn call(&mut self, place: Place<'_>, item: &Members<'_>, field: &str, events: &str) {
        let text = item.get(field).map_or("\"\"", |raw| raw);
        self.push(&[events, ".delta"].concat(), |event| {
            place.write(event);
            event.raw("delta", text);
        });
        self.push(&[events, ".done"].concat(), |event| {
            place.write(event);
            event.raw(field, text);
            if let Some(name) = item.get("name") {
                event.raw("name", name);
            }
        });
    }

    fn summary(&mut self, place: Place<'_>, part: &str) {
        let members = Members::of(part).unwrap_or_default();
        self.push("response.reasoning_summary_part.added", |event| {
            place.write(event);
            opened(event.object("part"), &members, &[("text", "\"\"")]);
        });
        if is_text(&members, "text") {
            let text = members.get("text").map_or("\"\"", |raw| raw);
            let events = "response.reasoning_summary_text";
            self.texts(place, events, ("text", text), None, &[]);
        }
        self.push("response.reasoning_summary_part.done", |event| {
            place.write(event);
            event.raw("part", part);
        });
    }

    fn content(&mut self, place: Place<'_>, part: &str) {
        let members = Members::of(part).unwrap_or_default();
        let kind = members.text("type").unwrap_or_default();
        let streamed = PARTS.iter().find(|(name, ..)| *name == kind);
        let streamed = streamed.filter(|(_, field, _)| is_text(&members, field));
        let empty: &[(&str, &str)] = match streamed {
            None => &[],
            Some((_, field, _)) => &[(field, "\"\""), ("annotations", "[]"), ("logprobs", "[]")],
        };
        self.push("response.content_part.added", |event| {
            place.write(event);
            opened(event.object("part"), &members, empty);
        });
        if let Some((_, field, events)) = streamed {
            let text = members.get(field).map_or("\"\"", |raw| raw);
            let logprobs = members.get("logprobs").map_or("[]", |raw| raw);
            let logprobs = (kind == "output_text").then_some(logprobs);
            let annotations = members.list("annotations");
            self.texts(place, events, (field, text), logprobs, &annotations);
        }
        self.push("response.content_part.done", |event| {
            place.write(event);
            event.raw("part", part);
        });
    }

    /// A text: its delta, what belongs to it, and all of it again.
    fn texts(
        &mut self,
        place: Place<'_>,
        events: &str,
        (field, text): (&str, &str),
        logprobs: Option<&str>,
        annotations: &[&str],
    ) {
        let told = |event: &mut ObjectWriter<'_>, field: &str| {
            place.write(event);
            event.raw(field, text);
            if let Some(logprobs) = logprobs {
                event.raw("logprobs", logprobs);
            }
        };
        if text != "\"\"" {
            self.push(&[events, ".delta"].concat(), |event| told(event, "delta"));
        }
        for (index, annotation) in annotations.iter().enumerate() {
            self.push(&[events, ".annotation.added"].concat(), |event| {
                place.write(event);
                event.number("annotation_index", index);
                event.raw("annotation", annotation);
            });
        }
        self.push(&[events, ".done"].concat(), |event| told(event, field));
    }
}

impl Place<'_> {
    /// That part of the item.
    fn part(self, name: &'static str, index: usize) -> Self {
        Self {
            part: Some((name, index)),
            ..self
        }
    }

    fn write(self, event: &mut ObjectWriter<'_>) {
        event.raw("item_id", self.item);
        event.number("output_index", self.output);
        if let Some((name, index)) = self.part {
            event.number(name, index);
        }
    }
}

/// Writes an object as it is before what is in `empty` is filled in.
fn opened(mut out: ObjectWriter<'_>, members: &Members<'_>, empty: &[(&str, &str)]) {
    for (key, raw) in members.iter() {
        let at_first = empty.iter().find(|(name, _)| *name == key);
        out.raw(key, at_first.map_or(raw, |(_, json)| json));
    }
    out.end();
}

fn is_text(members: &Members<'_>, field: &str) -> bool {
    members
        .get(field)
        .is_some_and(|raw| inside_quotes(raw).is_some())
}
