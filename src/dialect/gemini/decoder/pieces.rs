//! A call's arguments that come value by value.
//!
//! Each piece says where it belongs (`$.city`, `$.days[0].name`) and what it
//! adds: a value, or more of a text. Only those who ask Vertex for it get
//! them; they are put together and told when the call is complete.

use serde_json::{Map, Value};

use crate::dialect::members::Members;

/// What has come of the arguments.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// An object, or nothing yet.
    arguments: Value,
}

/// Deeper than any function's arguments.
const DEEPEST: usize = 64;

impl Pieces {
    /// Takes a piece; one that makes no sense is left out.
    pub(super) fn take(&mut self, piece: &str) {
        let _ = self.try_take(piece);
    }

    fn try_take(&mut self, piece: &str) -> Option<()> {
        let piece = Members::of(piece)?;
        let path = piece.text("jsonPath")?;
        let mut slot = &mut self.arguments;
        for step in steps(&path)? {
            slot = inner(slot, &step)?;
        }
        let read = |key: &str| serde_json::from_str::<Value>(piece.get(key)?).ok();
        if let Some(more) = piece.text("stringValue") {
            match slot {
                Value::String(text) => text.push_str(&more),
                slot => *slot = Value::String(more.into_owned()),
            }
        } else {
            let value = read("numberValue").or_else(|| read("boolValue"));
            *slot = value.unwrap_or(Value::Null);
        }
        Some(())
    }

    /// The arguments as they add up.
    pub(super) fn finish(self) -> String {
        match self.arguments {
            Value::Null => "{}".to_owned(),
            arguments => arguments.to_string(),
        }
    }
}

enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// The place in `value`, which becomes what has such places.
fn inner<'v>(value: &'v mut Value, step: &Step<'_>) -> Option<&'v mut Value> {
    match step {
        Step::Key(key) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let fields = value.as_object_mut()?;
            Some(fields.entry(key.to_string()).or_insert(Value::Null))
        }
        Step::Index(index) => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let list = value.as_array_mut()?;
            // They come in order.
            if list.len() == *index {
                list.push(Value::Null);
            }
            list.get_mut(*index)
        }
    }
}

/// The steps of a path: `$.a.b[0]["c d"]`.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut left = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !left.is_empty() {
        if let Some(rest) = left.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Key(&rest[..end]));
            left = &rest[end..];
        } else {
            let (inner, rest) = left.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"']
                .iter()
                .find_map(|quote| inner.strip_prefix(*quote)?.strip_suffix(*quote));
            steps.push(match quoted {
                Some(key) => Step::Key(key),
                None => Step::Index(inner.parse().ok()?),
            });
            left = rest;
        }
        if steps.len() > DEEPEST {
            return None;
        }
    }
    matches!(steps.first(), Some(Step::Key(_))).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up() {
        let mut pieces = Pieces::default();
        for piece in [
            r#"{"jsonPath":"$.city","stringValue":"San ","willContinue":true}"#,
            r#"{"jsonPath":"$.city","stringValue":"José"}"#,
            r#"{"jsonPath":"$.days[0]['a b']","boolValue":true}"#,
            r#"{"jsonPath":"$.days[1].n","numberValue":2.5}"#,
            r#"{"jsonPath":"$.none","nullValue":"NULL_VALUE"}"#,
            r#"{"jsonPath":"$.days[99999]","numberValue":1}"#,
            r#"{"jsonPath":"city","numberValue":1}"#,
            r#"{"jsonPath":"$","numberValue":1}"#,
            "7",
        ] {
            pieces.take(piece);
        }
        let told: Value = serde_json::from_str(&pieces.finish()).unwrap();
        let expected = serde_json::json!({
            "city": "San José",
            "days": [{"a b": true}, {"n": 2.5}],
            "none": null,
        });
        assert_eq!(told, expected);
        assert_eq!(Pieces::default().finish(), "{}");
    }
}
