//! Reads an object of a caller's, field by field.
//!
//! Whoever reads takes the fields it knows; what is left over nobody knows, and
//! is told. A field of the wrong type is refused with its path. Null says the
//! same as not being there.

use std::borrow::Cow;

use super::ir::{At, Json, Text};
use super::json::{elements, says_something};
use super::members::{Members, inside_quotes, is_null, is_object};
use crate::error::Error;

/// One object on its way to be taken apart.
pub(super) struct Reading<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// Where the object is; a field's path is this, a dot and its name.
    path: String,
}

impl<'a> Reading<'a> {
    /// Opens the whole body.
    pub(super) fn body(json: &'a str) -> Result<Self, Error> {
        Self::of(json, String::new())
            .map_err(|_| Error::invalid("reading the request body: it is not a JSON object"))
    }

    /// Opens the object at `path`.
    pub(super) fn of(json: &'a str, path: String) -> Result<Self, Error> {
        match Members::of(json) {
            Some(members) => Ok(Self {
                members: members.into_list(),
                path,
            }),
            None => Err(wrong(path, "an object")),
        }
    }

    /// Opens the object at `at`.
    pub(super) fn at(json: &'a str, at: At) -> Result<Self, Error> {
        Self::of(json, at.to_string())
    }

    /// Where the field `key` is.
    pub(super) fn path(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// The error of a field that is not `wanted` (`a text`).
    pub(super) fn wrong(&self, key: &str, wanted: &str) -> Error {
        wrong(self.path(key), wanted)
    }

    /// Takes the value of `key`, the last where there are several.
    pub(super) fn raw(&mut self, key: &str) -> Option<&'a str> {
        let mut value = None;
        self.members.retain(|(name, raw)| {
            let is_it = name == key;
            if is_it {
                value = Some(*raw);
            }
            !is_it
        });
        value.filter(|raw| !is_null(raw))
    }

    /// Takes a value as it is written.
    pub(super) fn json(&mut self, key: &str) -> Option<Json<'a>> {
        self.raw(key).map(Json::scanned)
    }

    /// Takes an object, unopened.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<&'a str>, Error> {
        match self.raw(key) {
            Some(raw) if !is_object(raw) => Err(self.wrong(key, "an object")),
            raw => Ok(raw),
        }
    }

    /// Takes an object and opens it.
    pub(super) fn open(&mut self, key: &str) -> Result<Option<Self>, Error> {
        match self.object(key)? {
            Some(raw) => Self::of(raw, self.path(key)).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<Text<'a>>, Error> {
        match self.raw(key) {
            None => Ok(None),
            Some(raw) => match Text::of_json(raw) {
                None => Err(self.wrong(key, "a text")),
                text => Ok(text),
            },
        }
    }

    /// Takes a text that must be there.
    pub(super) fn need_text(&mut self, key: &str) -> Result<Text<'a>, Error> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "a text"))
    }

    /// Takes a word, its escapes resolved.
    pub(super) fn word(&mut self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.text(key)?.map(|text| text.resolved().into_owned()))
    }

    /// Takes a number, as it is written.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<Json<'a>>, Error> {
        match self.json(key) {
            Some(json) if json.as_f64().is_none() => Err(self.wrong(key, "a number")),
            json => Ok(json),
        }
    }

    /// Takes a whole number that isn't negative.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<u64>, Error> {
        let Some(number) = self.number(key)? else {
            return Ok(None);
        };
        let whole = number.as_str().parse().ok();
        // Clients that compute it write `1e3` or `1024.0`.
        let whole = whole.or_else(|| {
            let value = number.as_f64()?;
            (value >= 0.0 && value.fract() == 0.0 && value < 1e15).then_some(value as u64)
        });
        match whole {
            None => Err(self.wrong(key, "a whole number of at least 0")),
            whole => Ok(whole),
        }
    }

    /// Takes true or false.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.raw(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// Takes an array's elements as they are written; none where it isn't
    /// there.
    pub(super) fn list(&mut self, key: &str) -> Result<Vec<&'a str>, Error> {
        match self.raw(key) {
            None => Ok(Vec::new()),
            Some(raw) => elements(raw).ok_or_else(|| self.wrong(key, "an array")),
        }
    }

    /// Takes an array of texts, or one text by itself.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<Text<'a>>, Error> {
        let Some(raw) = self.raw(key) else {
            return Ok(Vec::new());
        };
        let texts = match inside_quotes(raw) {
            Some(_) => vec![raw],
            None => elements(raw).unwrap_or_default(),
        };
        let texts: Option<Vec<_>> = texts.into_iter().map(Text::of_json).collect();
        match texts {
            Some(texts) if raw != "[]" && texts.is_empty() => {
                Err(self.wrong(key, "a text or an array of texts"))
            }
            Some(texts) => Ok(texts),
            None => Err(self.wrong(key, "a text or an array of texts")),
        }
    }

    /// Leaves a field out of account: it changes nothing for any provider.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.raw(key);
        }
    }

    /// Hands over what nobody took, unless it says nothing.
    pub(super) fn leave(self, unknown: &mut Vec<(String, Json<'a>)>) {
        for (key, raw) in &self.members {
            if says_something(raw) && *raw != "false" {
                unknown.push((self.path(key), Json::scanned(raw)));
            }
        }
    }
}

/// The error of the field at `path` that is not `wanted`.
pub(super) fn wrong(path: String, wanted: &str) -> Error {
    Error::invalid(format!("reading the request: {path} must be {wanted}")).param(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_and_the_rest_is_left() {
        let json =
            r#"{"a":1,"b":null,"c":"x","d":[1],"e":true,"f":{},"g":false,"h":{"i":2},"c":"y"}"#;
        let mut reading = Reading::at(json, At::element("list", 3)).unwrap();
        assert_eq!(reading.count("a").unwrap(), Some(1));
        assert_eq!(reading.count("b").unwrap(), None);
        assert_eq!(reading.need_text("c").unwrap(), Text::plain("y"));
        assert_eq!(reading.list("d").unwrap(), ["1"]);
        assert_eq!(reading.flag("e").unwrap(), Some(true));
        let mut unknown = Vec::new();
        reading.leave(&mut unknown);
        let paths: Vec<&str> = unknown.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["list[3].h"]);
    }

    #[test]
    fn what_has_the_wrong_type_is_refused_by_its_path() {
        type Take = fn(&mut Reading<'_>) -> Option<Error>;
        let rows: [(&str, Take, &str); 7] = [
            (r#"{"a":1}"#, |r| r.text("a").err(), "must be a text"),
            (r#"{}"#, |r| r.need_text("a").err(), "must be a text"),
            (r#"{"a":"1"}"#, |r| r.count("a").err(), "must be a number"),
            (r#"{"a":-1}"#, |r| r.count("a").err(), "whole number"),
            (r#"{"a":1}"#, |r| r.flag("a").err(), "true or false"),
            (r#"{"a":{}}"#, |r| r.list("a").err(), "an array"),
            (r#"{"a":[1]}"#, |r| r.texts("a").err(), "array of texts"),
        ];
        for (json, take, says) in rows {
            let mut reading = Reading::of(json, "x".to_owned()).unwrap();
            let error = take(&mut reading).unwrap();
            assert_eq!(error.field(), Some("x.a"), "{json}");
            assert!(error.message().contains(says), "{error}");
        }
        assert!(Reading::body("[]").is_err());
    }
}
