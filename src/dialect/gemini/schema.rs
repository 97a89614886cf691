//! Google's own schemas as JSON schemas.
//!
//! `parameters` and `responseSchema` are OpenAPI's, with types in capitals and
//! `nullable`; everybody else, and Google's newer fields, want JSON schemas.

use crate::dialect::ir::Json;
use crate::dialect::json::write_string;
use crate::dialect::members::{ListWriter, Members, ObjectWriter, inside_quotes, is_object};

/// `schema` as a JSON schema.
pub(super) fn json_schema(schema: &str) -> Json<'static> {
    let mut out = Vec::with_capacity(schema.len() + 16);
    write(schema, DEEPEST, &mut out);
    let written = String::from_utf8(out).unwrap_or_default();
    Json::checked(&written).map_or_else(|| Json::scanned("{}"), Json::into_owned)
}

/// No deeper than protobuf's JSON may be nested.
const DEEPEST: usize = 100;

/// What is `left` levels deeper is left as it was written.
fn write(schema: &str, left: usize, out: &mut Vec<u8>) {
    let Some(members) = Members::of(schema).filter(|_| left > 0) else {
        return out.extend_from_slice(schema.as_bytes());
    };
    let is_nullable = members.get("nullable") == Some("true");
    let mut object = ObjectWriter::begin(out);
    for (key, raw) in members.iter() {
        match key {
            "nullable" => {}
            "type" => write_type(raw, is_nullable, object.key("type")),
            "properties" | "$defs" | "defs" => {
                let key = if key == "defs" { "$defs" } else { key };
                let mut inner = object.object(key);
                for (name, schema) in Members::of(raw).unwrap_or_default().iter() {
                    write(schema, left - 1, inner.key(name));
                }
                inner.end();
            }
            "items" | "additionalProperties" | "additional_properties" if is_object(raw) => {
                let key = if key == "items" {
                    key
                } else {
                    "additionalProperties"
                };
                write(raw, left - 1, object.key(key));
            }
            "anyOf" | "any_of" => {
                let mut list: ListWriter<'_> = object.list("anyOf");
                for schema in members.list(key) {
                    write(schema, left - 1, list.next());
                }
                list.end();
            }
            "ref" => drop(object.raw("$ref", raw)),
            // Protobuf's JSON has whole numbers as texts.
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
            | "maxProperties" => {
                let number = inside_quotes(raw).filter(|text| text.parse::<u64>().is_ok());
                object.raw(key, number.unwrap_or(raw));
            }
            _ => drop(object.raw(key, raw)),
        }
    }
    object.end();
}

fn write_type(raw: &str, is_nullable: bool, out: &mut Vec<u8>) {
    let Some(word) = inside_quotes(raw) else {
        return out.extend_from_slice(raw.as_bytes());
    };
    let word = word.to_ascii_lowercase();
    if !is_nullable {
        return write_string(out, &word);
    }
    let mut list = ListWriter::begin(out);
    write_string(list.next(), &word);
    write_string(list.next(), "null");
    list.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_schemas_become_json_schemas() {
        let rows = [
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"INTEGER"},"minItems":"1"}},"required":["type"]}"#,
                r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"integer"},"minItems":1}},"required":["type"]}"#,
            ),
            (
                r#"{"anyOf":[{"type":"STRING"},{"type":"NULL"}],"description":"d","enum":["TYPE"]}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"null"}],"description":"d","enum":["TYPE"]}"#,
            ),
            (
                r#"{"ref":"x","defs":{"x":{"type":"BOOLEAN"}}}"#,
                r#"{"$ref":"x","$defs":{"x":{"type":"boolean"}}}"#,
            ),
            (
                r#"{"type":"object","additionalProperties":false}"#,
                r#"{"type":"object","additionalProperties":false}"#,
            ),
        ];
        for (google, json) in rows {
            assert_eq!(json_schema(google).as_str(), json);
            assert_eq!(json_schema(json).as_str(), json, "said twice");
        }
    }
}
