//! Reads an object of a caller's, field by field.
//!
//! Whoever reads takes the fields it knows; what is left over nobody knows, and
//! is told. A field of the wrong type is refused with its path. Null says the
//! same as not being there.

use std::borrow::Cow;
use std::fmt;

use super::ir::{At, Json, Text};
use super::json::scan::Scan;
use super::json::{elements, says_something};
use super::members::{Members, NULL, inside_quotes, is_array, is_null, is_object};
use crate::error::Error;

/// One object on its way to be taken apart.
pub(super) struct Reading<'a> {
    members: Members<'a>,
    path: Path,
}

/// An element of a list.
pub(super) struct Element<'a> {
    /// As it is written.
    pub(super) json: &'a str,
    /// Nothing where it isn't an object.
    pub(super) members: Option<Members<'a>>,
}

impl<'a> From<&'a str> for Element<'a> {
    fn from(json: &'a str) -> Self {
        let members = Members::of(json);
        Self { json, members }
    }
}

/// The elements of an array that was scanned, opened as they come: the same
/// words aren't passed once more to find where each ends.
pub(super) struct Elements<'a>(Scan<'a>);

impl<'a> Elements<'a> {
    /// Nothing where `raw` isn't an array.
    pub(super) fn of(raw: &'a str) -> Option<Self> {
        is_array(raw).then(|| Self(Scan::new(raw)))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let Self(scan) = self;
        if !scan.another() {
            return None;
        }
        scan.peek();
        let left = scan.rest();
        let before = scan.clone();
        let members = Members::take(scan).ok();
        if members.is_none() {
            // Another kind of value, or an object with a key that means nothing.
            *scan = before;
            scan.skip().ok()?;
        }
        let json = &left[..left.len() - scan.rest().len()];
        Some(Element { json, members })
    }
}

/// Where an object is. Written out only for those who must be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    at: At,
    /// Fields in what is there, each with its place in the list it may be;
    /// those not used have no name. Deeper ones are told by the last.
    fields: [(&'static str, Option<u32>); 3],
}

impl Path {
    /// The field `name` of the body.
    pub(super) fn field(name: &'static str) -> Self {
        Self::default().key(name)
    }

    /// The field `name` of what is here.
    pub(super) fn key(mut self, name: &'static str) -> Self {
        if let Some(free) = self.fields.iter_mut().find(|(name, _)| name.is_empty()) {
            *free = (name, None);
        }
        self
    }

    /// The element `index` of the list that is here.
    pub(super) fn element(mut self, index: usize) -> Self {
        let mut fields = self.fields.iter_mut().rev();
        if let Some((_, place)) = fields.find(|(name, _)| !name.is_empty()) {
            *place = u32::try_from(index).ok();
        }
        self
    }
}

impl From<At> for Path {
    fn from(at: At) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.at.to_string();
        f.write_str(&start)?;
        let mut is_first = start.is_empty();
        for (name, index) in self.fields.iter().take_while(|(name, _)| !name.is_empty()) {
            if !std::mem::take(&mut is_first) {
                f.write_str(".")?;
            }
            f.write_str(name)?;
            if let Some(index) = index {
                write!(f, "[{index}]")?;
            }
        }
        Ok(())
    }
}

impl<'a> Reading<'a> {
    /// Opens the whole body.
    pub(super) fn body(json: &'a str) -> Result<Self, Error> {
        Self::of(json, Path::default())
            .map_err(|_| Error::invalid("reading the request body: it is not a JSON object"))
    }

    /// Opens the object at `path`.
    pub(super) fn of(json: impl Into<Element<'a>>, path: impl Into<Path>) -> Result<Self, Error> {
        let path = path.into();
        match json.into().members {
            Some(members) => Ok(Self { members, path }),
            None => Err(wrong(path, "an object")),
        }
    }

    /// The same with its keys spelled as protobuf's JSON has them, which takes
    /// `inline_data` for `inlineData`.
    pub(super) fn camel(mut self) -> Self {
        for (key, _) in &mut self.members.0 {
            if key.contains('_') {
                let mut words = key.split('_');
                let mut camel = words.next().unwrap_or_default().to_owned();
                for word in words {
                    camel.extend(word.chars().take(1).flat_map(char::to_uppercase));
                    camel.extend(word.chars().skip(1));
                }
                *key = Cow::Owned(camel);
            }
        }
        self
    }

    /// What nobody took until now.
    pub(super) fn members(&self) -> &Members<'a> {
        &self.members
    }

    /// Where the field `key` is.
    pub(super) fn path(&self, key: &'static str) -> Path {
        self.path.key(key)
    }

    /// The error of a field that is not `wanted` (`a text`).
    pub(super) fn wrong(&self, key: &'static str, wanted: &str) -> Error {
        wrong(self.path(key), wanted)
    }

    /// Takes the value of `key`, the last where there are several.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a str> {
        let mut value = None;
        for (name, raw) in &mut self.members.0 {
            if name == key {
                // Null is as good as gone.
                value = Some(std::mem::replace(raw, NULL));
            }
        }
        value.filter(|raw| !is_null(raw))
    }

    /// Takes a value as it is written.
    pub(super) fn json(&mut self, key: &'static str) -> Option<Json<'a>> {
        self.raw(key).map(Json::scanned)
    }

    /// Takes an object, unopened.
    pub(super) fn object(&mut self, key: &'static str) -> Result<Option<&'a str>, Error> {
        match self.raw(key) {
            Some(raw) if !is_object(raw) => Err(self.wrong(key, "an object")),
            raw => Ok(raw),
        }
    }

    /// Takes an object and opens it.
    pub(super) fn open(&mut self, key: &'static str) -> Result<Option<Self>, Error> {
        match self.object(key)? {
            Some(raw) => Self::of(raw, self.path(key)).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Text<'a>>, Error> {
        match self.raw(key) {
            None => Ok(None),
            Some(raw) => match Text::of_json(raw) {
                None => Err(self.wrong(key, "a text")),
                text => Ok(text),
            },
        }
    }

    /// Takes a text that must be there.
    pub(super) fn need_text(&mut self, key: &'static str) -> Result<Text<'a>, Error> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "a text"))
    }

    /// Takes a word, its escapes resolved.
    pub(super) fn word(&mut self, key: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        Ok(self.text(key)?.map(Text::into_resolved))
    }

    /// Takes a number, as it is written.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<Json<'a>>, Error> {
        match self.json(key) {
            Some(json) if json.as_f64().is_none() => Err(self.wrong(key, "a number")),
            json => Ok(json),
        }
    }

    /// Takes a whole number that isn't negative.
    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
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
    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        match self.raw(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// Takes an array's elements as they are written; none where it isn't
    /// there.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Vec<&'a str>, Error> {
        match self.raw(key) {
            None => Ok(Vec::new()),
            Some(raw) => elements(raw).ok_or_else(|| self.wrong(key, "an array")),
        }
    }

    /// The same, opened as they come.
    pub(super) fn each(&mut self, key: &'static str) -> Result<Elements<'a>, Error> {
        let raw = self.raw(key).unwrap_or("[]");
        Elements::of(raw).ok_or_else(|| self.wrong(key, "an array"))
    }

    /// Takes an array of texts, or one text by itself.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<Text<'a>>, Error> {
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
    pub(super) fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.raw(key);
        }
    }

    /// Hands over what nobody took, unless it says nothing.
    pub(super) fn leave(self, unknown: &mut Vec<(String, Json<'a>)>) {
        for (key, raw) in self.members.iter() {
            if says_something(raw) && raw != "false" {
                let path = self.path.to_string();
                let path = match path.is_empty() {
                    true => key.to_owned(),
                    false => format!("{path}.{key}"),
                };
                unknown.push((path, Json::scanned(raw)));
            }
        }
    }
}

/// The error of the field at `path` that is not `wanted`.
pub(super) fn wrong(path: impl fmt::Display, wanted: &str) -> Error {
    Error::invalid(format!("reading the request: {path} must be {wanted}")).param(path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_and_the_rest_is_left() {
        let json =
            r#"{"a":1,"b":null,"c":"x","d":[1],"e":true,"f":{},"g":false,"h":{"i":2},"c":"y"}"#;
        let mut reading = Reading::of(json, At::element("list", 3)).unwrap();
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
    fn elements_are_opened_as_they_come() {
        let json = r#"[ {"a":1} ,2,[{"b":[]}], {} ,{"\ud800":1},{"c":"]"}]"#;
        let seen: Vec<_> = Elements::of(json)
            .unwrap()
            .map(|element| (element.json, element.members.map(|it| it.iter().count())))
            .collect();
        let expected = [
            (r#"{"a":1}"#, Some(1)),
            ("2", None),
            (r#"[{"b":[]}]"#, None),
            ("{}", Some(0)),
            (r#"{"\ud800":1}"#, None),
            (r#"{"c":"]"}"#, Some(1)),
        ];
        assert_eq!(seen, expected);
        assert_eq!(Elements::of("[ ]").unwrap().count(), 0);
        assert!(Elements::of("{}").is_none());
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
            let mut reading = Reading::of(json, Path::field("x")).unwrap();
            let error = take(&mut reading).unwrap();
            assert_eq!(error.field(), Some("x.a"), "{json}");
            assert!(error.message().contains(says), "{error}");
        }
        assert!(Reading::body("[]").is_err());
        let mut reading = Reading::body(r#"{"inline_data":1,"mimeType":2}"#).unwrap();
        reading = reading.camel();
        assert_eq!(reading.raw("inlineData"), Some("1"));
        assert_eq!(reading.raw("mimeType"), Some("2"));
        let path = Path::from(At::element("a", 0).within("b", 1));
        assert_eq!(
            path.key("c").key("d").element(2).to_string(),
            "a[0].b[1].c.d[2]"
        );
    }
}
