//! Reading a request's JSON by need: one pass finds the fields, and only those
//! that matter are looked into.
//!
//! A field of the wrong type is refused by its path, the way a provider does.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;

/// One JSON object, its values unread.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// Where it stands in the request, with the dot that precedes a field.
    path: String,
    fields: Fields<'a>,
}

#[derive(Debug)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some((Text(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl<'a> Object<'a> {
    /// The request's own object.
    pub(crate) fn root(body: &'a [u8]) -> Result<Self, Refusal> {
        let fields = serde_json::from_slice(body).map_err(|error| {
            Refusal::of(400, None, format!("the body is not a JSON object: {error}"))
        })?;
        Ok(Self {
            path: String::new(),
            fields,
        })
    }

    /// An object inside the request.
    pub(crate) fn at(path: &str, raw: &'a RawValue) -> Result<Self, Refusal> {
        let fields =
            serde_json::from_str(raw.get()).map_err(|_| mistyped(path, "an object", raw))?;
        Ok(Self {
            path: format!("{path}."),
            fields,
        })
    }

    /// A field's path.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A field that is there and not null. The last of several wins.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.fields.0.iter().rev().find(|field| field.0 == name)?;
        (field.1.get() != "null").then_some(field.1)
    }

    /// A field that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&'a RawValue, Refusal> {
        self.get(name).ok_or_else(|| {
            let path = self.path(name);
            let message = format!("missing required parameter: '{path}'");
            Refusal::field("missing_required_parameter", path, message)
        })
    }

    /// A string.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
        self.get(name)
            .map(|raw| text(&self.path(name), raw))
            .transpose()
    }

    /// A string that must be there.
    pub(crate) fn need_text(&self, name: &str) -> Result<Cow<'a, str>, Refusal> {
        text(&self.path(name), self.need(name)?)
    }

    /// A boolean; false where absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name).map(|raw| (raw, raw.get())) {
            None | Some((_, "false")) => Ok(false),
            Some((_, "true")) => Ok(true),
            Some((raw, _)) => Err(mistyped(&self.path(name), "a boolean", raw)),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn count(&self, name: &str, least: u64) -> Result<Option<u64>, Refusal> {
        let Some(raw) = self.get(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        let number: i64 =
            serde_json::from_str(raw.get()).map_err(|_| mistyped(&path, "an integer", raw))?;
        match u64::try_from(number) {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => {
                let message = format!("invalid '{path}': {number} is less than {least}");
                Err(Refusal::field("integer_below_min_value", path, message))
            }
        }
    }

    /// An array.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>, Refusal> {
        self.get(name)
            .map(|raw| list(&self.path(name), raw))
            .transpose()
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Object<'a>>, Refusal> {
        self.get(name)
            .map(|raw| Object::at(&self.path(name), raw))
            .transpose()
    }
}

/// Reads a string.
pub(crate) fn text<'a>(path: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
    serde_json::from_str::<Text<'a>>(raw.get())
        .map(|text| text.0)
        .map_err(|_| mistyped(path, "a string", raw))
}

/// Reads an array.
pub(crate) fn list<'a>(path: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, Refusal> {
    serde_json::from_str(raw.get()).map_err(|_| mistyped(path, "an array", raw))
}

/// Reads a string, or an array of strings.
pub(crate) fn texts<'a>(path: &str, raw: &'a RawValue) -> Result<Vec<Cow<'a, str>>, Refusal> {
    if raw.get().starts_with('"') {
        return Ok(vec![text(path, raw)?]);
    }
    let mut texts = Vec::new();
    for (at, item) in list(path, raw)?.into_iter().enumerate() {
        texts.push(text(&format!("{path}[{at}]"), item)?);
    }
    Ok(texts)
}

/// The refusal of a field of the wrong type.
pub(crate) fn mistyped(path: &str, wanted: &str, raw: &RawValue) -> Refusal {
    let found = match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    let message = format!("invalid type for '{path}': expected {wanted}, got {found}");
    Refusal::field("invalid_type", path, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_typed() {
        let body = br#"{"a":"x\n","b":true,"c":3,"d":[1,"y"],"e":{"f":null},"a":"last"}"#;
        let object = Object::root(body).unwrap();
        assert_eq!(object.text("a").unwrap().unwrap(), "last");
        assert!(object.flag("b").unwrap());
        assert_eq!(object.count("c", 1).unwrap(), Some(3));
        assert_eq!(object.list("d").unwrap().unwrap().len(), 2);
        let inner = object.object("e").unwrap().unwrap();
        assert!(inner.get("f").is_none());
        assert_eq!(inner.need("f").unwrap_err().param.unwrap(), "e.f");
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let object = Object::root(br#"{"a":1,"b":"yes","c":0,"d":[1]}"#).unwrap();
        let rows = [
            (object.text("a").map(drop), "invalid_type", "a"),
            (object.flag("b").map(drop), "invalid_type", "b"),
            (
                object.count("c", 1).map(drop),
                "integer_below_min_value",
                "c",
            ),
            (object.count("b", 1).map(drop), "invalid_type", "b"),
            (
                texts("d", object.need("d").unwrap()).map(drop),
                "invalid_type",
                "d[0]",
            ),
        ];
        for (result, code, param) in rows {
            let refusal = result.unwrap_err();
            assert_eq!(
                (refusal.code, refusal.param.as_deref()),
                (Some(code), Some(param))
            );
        }
        for body in ["", "[]", "{", "nothing", "{\"a\":\"\u{1}\"}x"] {
            assert_eq!(
                Object::root(body.as_bytes()).unwrap_err().status,
                400,
                "{body}"
            );
        }
    }
}
