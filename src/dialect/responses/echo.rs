//! What a response repeats of what was asked.
//!
//! Every response, whole or in a stream's events, says how it was asked for:
//! the caller's fields, and the defaults of those it left out where the schema
//! wants them. They are written once, when the call is read.

use crate::dialect::members::{Members, ObjectWriter, is_null};

/// The fields, and what each is where the caller says nothing; those without
/// are left out then.
const FIELDS: [(&str, Option<&str>); 21] = [
    ("background", Some("false")),
    ("instructions", Some("null")),
    ("max_output_tokens", Some("null")),
    ("max_tool_calls", Some("null")),
    ("metadata", Some("{}")),
    ("parallel_tool_calls", Some("true")),
    ("previous_response_id", Some("null")),
    ("prompt_cache_key", Some("null")),
    ("prompt_cache_retention", None),
    ("prompt_cache_options", None),
    ("reasoning", Some(r#"{"effort":null,"summary":null}"#)),
    ("safety_identifier", Some("null")),
    // Nothing is kept by providers of other formats.
    ("store", Some("false")),
    ("temperature", Some("null")),
    ("text", Some(r#"{"format":{"type":"text"}}"#)),
    ("tool_choice", Some(r#""auto""#)),
    ("tools", Some("[]")),
    ("top_logprobs", Some("0")),
    ("top_p", Some("null")),
    ("truncation", Some(r#""disabled""#)),
    ("user", None),
];

/// The repeated fields of the call `asked`, as an object.
pub(super) fn of(asked: &Members<'_>) -> String {
    let mut out = Vec::with_capacity(1024);
    let mut fields = ObjectWriter::begin(&mut out);
    for (field, default) in FIELDS {
        let given = asked.get(field).filter(|raw| !is_null(raw));
        match (field, given) {
            ("tools", Some(_)) => tools(&mut fields, asked),
            ("text", Some(raw)) => text(&mut fields, raw),
            (_, Some(raw)) => drop(fields.raw(field, raw)),
            (_, None) => {
                if let Some(default) = default {
                    fields.raw(field, default);
                }
            }
        }
    }
    fields.end();
    String::from_utf8(out).expect("what is written of texts is UTF-8")
}

/// Whether a caller of which `asked` is repeated wants to see a summary of
/// the reasoning.
pub(super) fn wants_summary(asked: &str) -> bool {
    let summary = || {
        let reasoning = Members::of(Members::of(asked)?.get("reasoning")?)?;
        let summary = reasoning.get("summary").filter(|raw| !is_null(raw));
        summary.or_else(|| reasoning.get("generate_summary"))
    };
    summary().is_some_and(|raw| !is_null(raw))
}

/// Tools with all fields that a function has in a response.
fn tools(fields: &mut ObjectWriter<'_>, asked: &Members<'_>) {
    let mut list = fields.list("tools");
    for json in asked.list("tools") {
        let Some(tool) = Members::of(json) else {
            continue;
        };
        let mut object = list.object();
        for (key, raw) in tool.iter() {
            object.raw(key, raw);
        }
        if tool.text("type").as_deref() == Some("function") {
            for (key, json) in [("parameters", "null"), ("strict", "null")] {
                if tool.get(key).is_none() {
                    object.raw(key, json);
                }
            }
        }
        object.end();
    }
    list.end();
}

/// `text` with a form, where only something else of it was said.
fn text(fields: &mut ObjectWriter<'_>, raw: &str) {
    let members = Members::of(raw).unwrap_or_default();
    let mut text = fields.object("text");
    if members.get("format").is_none_or(is_null) {
        text.raw("format", r#"{"type":"text"}"#);
    }
    for (key, raw) in members.iter().filter(|(_, raw)| !is_null(raw)) {
        text.raw(key, raw);
    }
    text.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> String {
        super::of(&Members::of(body).unwrap())
    }

    #[test]
    fn what_was_asked_is_repeated_with_its_defaults() {
        let of = |body| serde_json::from_str::<serde_json::Value>(&of(body)).unwrap();
        let none = of("{}");
        for (field, default) in FIELDS {
            assert_eq!(none.get(field).is_some(), default.is_some(), "{field}");
        }
        let said = of(
            r#"{"temperature":0.5,"instructions":"a","text":{"verbosity":"low"},
            "tools":[{"type":"function","name":"f"}],"input":"b","user":"u","metadata":null}"#,
        );
        assert_eq!(said["temperature"], 0.5);
        assert_eq!(said["instructions"], "a");
        assert_eq!(said["text"]["format"]["type"], "text");
        assert_eq!(said["text"]["verbosity"], "low");
        assert!(said["tools"][0].get("strict").unwrap().is_null());
        assert_eq!(said["user"], "u");
        assert!(said["metadata"].is_object());
        assert!(said.get("input").is_none());
    }

    #[test]
    fn a_summary_is_wanted_where_it_was_asked_for() {
        let rows = [
            (r#"{"reasoning":{"summary":"auto"}}"#, true),
            (r#"{"reasoning":{"generate_summary":"auto"}}"#, true),
            (r#"{"reasoning":{"summary":null,"effort":"low"}}"#, false),
            ("{}", false),
        ];
        for (body, wanted) in rows {
            assert_eq!(wants_summary(&of(body)), wanted, "{body}");
        }
        assert!(!wants_summary(""));
    }
}
