//! JSON that a schema would accept, made up from a seed.
//!
//! Good enough for a client that validates the arguments of a tool or a
//! structured answer; it does not know every keyword (`pattern`, `not`,
//! conditionals), and says something of the right type where it does not.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::text::Text;

/// Deeper than this everything is null: schemas may contain themselves.
const DEPTH: usize = 12;

/// A value that `schema` accepts.
pub(crate) fn value(schema: &Value, dice: &mut Dice) -> Value {
    Maker { root: schema, dice }.make(schema, 0)
}

struct Maker<'a> {
    /// Where `$ref` points into.
    root: &'a Value,
    dice: &'a mut Dice,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values
                .get(self.dice.below(values.len()))
                .cloned()
                .unwrap_or(Value::Null);
        }
        if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.root.pointer(path.trim_start_matches('#')).cloned();
            return self.make(&target.unwrap_or(Value::Null), depth + 1);
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(word).and_then(|options| options.get(0)) {
                return self.make(first, depth + 1);
            }
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(self.number(schema, 1.0) as i64),
            "number" => json!(self.number(schema, 0.5)),
            "boolean" => json!(self.dice.below(2) == 1),
            "null" => Value::Null,
            _ => self.string(schema),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                object.insert(name.clone(), self.make(property, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let least = schema
            .get("minItems")
            .and_then(Value::as_u64)
            .unwrap_or(1)
            .clamp(1, 16);
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..least).map(|_| self.make(item, depth + 1)).collect()
    }

    /// A multiple of `step` within the schema's bounds.
    fn number(&mut self, schema: &Value, step: f64) -> f64 {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        let low = bound("minimum").or(bound("exclusiveMinimum").map(|low| low + step));
        let high = bound("maximum").or(bound("exclusiveMaximum").map(|high| high - step));
        let low = low.unwrap_or_else(|| high.map_or(1.0, |high| high - 99.0));
        let high = high.unwrap_or(low + 99.0).max(low);
        let step = bound("multipleOf")
            .filter(|step| *step > 0.0)
            .unwrap_or(step);
        let steps = ((high - low) / step) as usize;
        (low / step).ceil() * step + step * self.dice.below(steps.max(1)) as f64
    }

    fn string(&mut self, schema: &Value) -> Value {
        match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => return json!("2026-01-02T03:04:05Z"),
            Some("date") => return json!("2026-01-02"),
            Some("time") => return json!("03:04:05Z"),
            Some("email") => return json!("sim@example.com"),
            Some("uri") => return json!("https://example.com/"),
            Some("uuid") => return json!("00000000-0000-4000-8000-000000000000"),
            _ => {}
        }
        let mut text = Text::words(2, self.dice)
            .as_str()
            .trim_end_matches('.')
            .to_owned();
        let bound = |name| schema.get(name).and_then(Value::as_u64);
        while (text.len() as u64) < bound("minLength").unwrap_or(0).min(4096) {
            text.push_str(" more");
        }
        if let Some(most) = bound("maxLength") {
            text.truncate(most as usize);
        }
        Value::String(text)
    }
}

/// The schema's type; of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        type Check = fn(&Value) -> bool;
        let rows: [(Value, Check); 11] = [
            (json!({"type": "string"}), |v| {
                v.as_str().is_some_and(|s| !s.is_empty())
            }),
            (
                json!({"type": "string", "minLength": 30, "maxLength": 32}),
                |v| v.as_str().is_some_and(|s| (30..=32).contains(&s.len())),
            ),
            (json!({"enum": ["c", "f"]}), |v| v == "c" || v == "f"),
            (json!({"const": 4}), |v| v == 4),
            (
                json!({"type": "integer", "minimum": 3, "maximum": 5}),
                |v| v.as_i64().is_some_and(|n| (3..=5).contains(&n)),
            ),
            (json!({"type": "number", "maximum": -2}), |v| {
                v.as_f64().is_some_and(|n| n <= -2.0)
            }),
            (json!({"type": ["null", "boolean"]}), Value::is_boolean),
            (
                json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}),
                |v| {
                    v.as_array()
                        .is_some_and(|a| a.len() == 2 && a.iter().all(Value::is_i64))
                },
            ),
            (
                json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
                Value::is_i64,
            ),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {
                    "again": {"$ref": "#/$defs/a"}, "day": {"type": "string", "format": "date"}}}}}),
                |v| v["day"] == "2026-01-02" && v["again"]["again"].is_object(),
            ),
            (json!({}), Value::is_string),
        ];
        for (schema, fits) in rows {
            for seed in 0..20 {
                let made = value(&schema, &mut Dice::new(seed));
                assert!(fits(&made), "{schema} made {made}");
            }
        }
    }
}
