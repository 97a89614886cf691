//! The few fields of a request body that routing needs, in one pass, and the
//! splice that changes one of them.
//!
//! A body is never parsed into a tree and written again: re-serialising it
//! would change the prefix a provider's prompt cache is keyed by. What isn't
//! read here is only checked to be JSON, by a cursor that doesn't recurse into
//! what it skips, so depth costs no stack. What it refuses is read once more by
//! serde_json, which says where and why.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json::scan::{Invalid, Scan};
use super::json::span_in;
use super::sharing::is_zero;
use crate::error::Error;

/// What [`peek`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// The `model` field, if there is one.
    pub model: Option<Field>,
    /// Whether `stream` is true; false where it is absent or null.
    pub stream: bool,
    /// Whether `stream_options.include_usage` is true: the caller expects a
    /// usage chunk.
    pub include_usage: bool,
    /// Whether `temperature` is 0, as far as it may be: only then can a
    /// generation be meant to come out the same again.
    pub may_be_cold: bool,
    /// Where the value of `stream_options` lies in the body.
    stream_options: Option<Range<usize>>,
    /// Where the value of `stream_options.include_usage` lies in the body.
    include_usage_at: Option<Range<usize>>,
}

/// A string field of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its text, escapes resolved.
    pub value: String,
    /// Where it lies in the body, quotes included.
    pub span: Range<usize>,
}

/// Why a body is not a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field at fault; `None` where it is the body itself.
    pub param: Option<&'static str>,
    /// What is wrong with it and what to do, for the caller.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let error = Self::invalid(fault.message);
        match fault.param {
            Some(path) => error.param(path),
            None => error,
        }
    }
}

/// Reads the routing fields of a JSON object.
///
/// Refuses what is not one JSON object in UTF-8, a field read here that is of
/// the wrong type or there twice (providers differ in which of two they
/// believe, and nowait must not route by the other one), and an empty model.
/// Other fields may hold anything.
pub fn peek(body: &[u8]) -> Result<Peek, Fault> {
    let text = simdutf8::compat::from_utf8(body).map_err(|error| Fault {
        param: None,
        message: format!(
            "the body is not UTF-8 (first at byte {}); send JSON in UTF-8",
            error.valid_up_to()
        ),
    })?;
    let seen = Outline::read(text).map_err(|Invalid| unreadable(text))?;
    seen.into_peek(text)
}

/// The body with another model name, as three slices to be sent in turn: what
/// is before the name and after it isn't copied. `span` is [`Field::span`] of
/// the same body.
pub fn splice(body: &Bytes, span: Range<usize>, new_model: &str) -> [Bytes; 3] {
    [
        body.slice(..span.start),
        super::json::string(new_model).into(),
        body.slice(span.end..),
    ]
}

/// The body with `stream_options.include_usage` set and, where given, another
/// model name: for `stream_usage = "ask"`, which changes what the caller sent
/// and so costs one copy. `peek` is of the same body.
pub fn ask_usage(body: &[u8], peek: &Peek, new_model: Option<&str>) -> Bytes {
    let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::with_capacity(2);
    if let (Some(field), Some(name)) = (&peek.model, new_model) {
        edits.push((field.span.clone(), super::json::string(name)));
    }
    if !peek.include_usage {
        edits.push(usage_edit(body, peek));
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut from = 0;
    for (span, text) in edits {
        out.extend_from_slice(&body[from..span.start]);
        out.extend_from_slice(&text);
        from = span.end;
    }
    out.extend_from_slice(&body[from..]);
    out.into()
}

/// The edit that sets `include_usage` and keeps what else is there.
fn usage_edit(body: &[u8], peek: &Peek) -> (Range<usize>, Vec<u8>) {
    if let Some(span) = &peek.include_usage_at {
        return (span.clone(), b"true".to_vec());
    }
    let options = peek.stream_options.clone();
    if let Some(span) = options.clone().filter(|span| body[span.start] != b'{') {
        return (span, br#"{"include_usage":true}"#.to_vec());
    }
    // Right behind the opening brace of the options, else of the body itself.
    let outer = options.map_or(0, |span| span.start);
    let open = memchr::memchr(b'{', &body[outer..]).map_or(0, |brace| outer + brace + 1);
    let is_empty = body[open..].trim_ascii_start().first() == Some(&b'}');
    let mut text = match peek.stream_options {
        Some(_) => br#""include_usage":true"#.to_vec(),
        None => br#""stream_options":{"include_usage":true}"#.to_vec(),
    };
    if !is_empty {
        text.push(b',');
    }
    (open..open, text)
}

/// Fields read, still as written.
#[derive(Default)]
struct Outline<'a> {
    model: Option<&'a str>,
    stream: Option<&'a str>,
    stream_options: Option<&'a str>,
    /// A temperature is 0.
    is_cold: bool,
    /// A field that is there twice.
    twice: Option<&'static str>,
}

impl<'a> Outline<'a> {
    fn read(text: &'a str) -> Result<Self, Invalid> {
        let mut seen = Self::default();
        let mut scan = Scan::new(text);
        scan.object(|scan, key| {
            let raw = scan.skip()?;
            let (slot, path) = match &*key {
                "model" => (&mut seen.model, "model"),
                "stream" => (&mut seen.stream, "stream"),
                "stream_options" => (&mut seen.stream_options, "stream_options"),
                "temperature" => {
                    seen.is_cold |= is_zero(raw);
                    return Ok(());
                }
                _ => return Ok(()),
            };
            if slot.replace(raw).is_some() {
                seen.twice = Some(path);
            }
            Ok(())
        })?;
        scan.end()?;
        Ok(seen)
    }

    fn into_peek(self, body: &str) -> Result<Peek, Fault> {
        if let Some(path) = self.twice {
            return Err(Fault {
                param: Some(path),
                message: format!("{path} is in the body twice; send it once"),
            });
        }
        let model = match self.model {
            None => None,
            Some(raw) => Some(Field {
                value: model_name(raw)?,
                span: span_in(body, raw),
            }),
        };
        let asked = match self.stream_options {
            None => None,
            Some(raw) => usage_option(raw)?,
        };
        Ok(Peek {
            model,
            stream: flag(self.stream, "stream")?,
            include_usage: flag(asked, "stream_options.include_usage")?,
            may_be_cold: self.is_cold,
            stream_options: self.stream_options.map(|raw| span_in(body, raw)),
            include_usage_at: asked.map(|raw| span_in(body, raw)),
        })
    }
}

fn model_name(raw: &str) -> Result<String, Fault> {
    if !raw.starts_with('"') {
        return Err(wrong_type("model", "a string", raw));
    }
    let name = Scan::new(raw).string().map_err(|Invalid| Fault {
        param: Some("model"),
        message: "model is a string with a broken escape; write the name plainly".to_owned(),
    })?;
    if name.is_empty() {
        return Err(Fault {
            param: Some("model"),
            message: "model is empty; name the model to call".to_owned(),
        });
    }
    Ok(name.into_owned())
}

fn flag(raw: Option<&str>, path: &'static str) -> Result<bool, Fault> {
    match raw {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(wrong_type(path, "true or false", other)),
    }
}

/// The value of `include_usage` in the stream options, if it is there.
fn usage_option(raw: &str) -> Result<Option<&str>, Fault> {
    if raw == "null" {
        return Ok(None);
    }
    if !raw.starts_with('{') {
        return Err(wrong_type("stream_options", "an object", raw));
    }
    let mut found = None;
    let mut is_twice = false;
    let read = Scan::new(raw).object(|scan, key| {
        let value = scan.skip()?;
        if key == "include_usage" {
            is_twice |= found.replace(value).is_some();
        }
        Ok(())
    });
    let wrong = match read {
        Err(Invalid) => "has a field whose name has a broken escape; write it plainly",
        Ok(()) if is_twice => "has include_usage twice; send it once",
        Ok(()) => return Ok(found),
    };
    Err(Fault {
        param: Some("stream_options"),
        message: format!("stream_options {wrong}"),
    })
}

fn wrong_type(path: &'static str, wanted: &str, raw: &str) -> Fault {
    let got = match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Fault {
        param: Some(path),
        message: format!("{path} must be {wanted}, not {got}"),
    }
}

/// What is wrong with a body that was refused, for which it is read again.
fn unreadable(text: &str) -> Fault {
    let mut reader = serde_json::Deserializer::from_str(text);
    let error = reader
        .deserialize_map(Object)
        .and_then(|()| reader.end())
        .err();
    let is_data = error.as_ref().is_some_and(serde_json::Error::is_data);
    let message = match text.trim_start().chars().next() {
        None => "the body is empty; send a JSON object".to_owned(),
        Some('\u{feff}') => {
            "the body begins with a byte order mark; send JSON without one".to_owned()
        }
        Some(_) if is_data => "the body must be a JSON object".to_owned(),
        Some(_) => error.map_or_else(
            || "the body is not valid JSON".to_owned(),
            |error| format!("the body is not valid JSON: {error}"),
        ),
    };
    Fault {
        param: None,
        message,
    }
}

/// Any JSON object, to serde_json.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Fuzz body: the first byte is the length of a model name, the name follows,
/// the rest is a body. Panics where a body that was understood isn't the same
/// after a splice but for its model, or an edited one isn't understood.
#[doc(hidden)]
pub fn fuzz_peek(input: &[u8]) {
    let Some((&length, rest)) = input.split_first() else {
        return;
    };
    let (name, body) = rest.split_at(usize::from(length).min(rest.len()));
    let name = match String::from_utf8_lossy(name) {
        name if name.is_empty() => "m".to_owned(),
        name => name.into_owned(),
    };
    let Ok(before) = peek(body) else { return };
    serde_json::from_slice::<IgnoredAny>(body).expect("a peeked body is JSON");
    let asked = peek(&ask_usage(body, &before, Some(&name))).expect("an edited body");
    assert!(asked.include_usage);
    assert_eq!(asked.stream, before.stream);
    assert_eq!(asked.model.is_some(), before.model.is_some());
    let Some(field) = before.model.clone() else {
        return;
    };
    assert_eq!(asked.model.map(|model| model.value), Some(name.clone()));
    let body = Bytes::copy_from_slice(body);
    let parts = splice(&body, field.span.clone(), &name);
    assert_eq!(parts[0], body[..field.span.start]);
    assert_eq!(parts[2], body[field.span.end..]);
    let after = peek(&parts.concat()).expect("a spliced body");
    assert_eq!(after.stream, before.stream);
    assert_eq!(after.include_usage, before.include_usage);
    assert_eq!(after.model.map(|model| model.value), Some(name));
}

#[cfg(test)]
mod tests;
