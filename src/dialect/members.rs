//! The members of a JSON object as they were written, in their order.
//!
//! Folding and unfolding move members between objects and read few of them,
//! so values stay the text they came as: numbers keep their digits, strings
//! their escapes.

use std::borrow::Cow;

use super::ir::{Json, Text};
use super::json::scan::{Invalid, Scan};
use super::json::{elements, text, write_string};

/// An object's members. A key that occurs twice is here twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    /// Reads an object; nothing where `json` is something else.
    pub(super) fn of(json: &'a str) -> Option<Self> {
        let mut scan = Scan::new(json);
        let members = Self::take(&mut scan).ok()?;
        scan.end().ok()?;
        Some(members)
    }

    /// Takes the object at the cursor.
    pub(super) fn take(scan: &mut Scan<'a>) -> Result<Self, Invalid> {
        let mut members = Vec::with_capacity(8);
        scan.object(|scan, key| {
            members.push((key, scan.skip()?));
            Ok(())
        })?;
        Ok(Self(members))
    }

    /// The value of `key`; the last where there are several.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.0.iter().rfind(|(name, _)| name == key);
        found.map(|(_, value)| *value)
    }

    /// The text `key` has.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text(self.get(key))
    }

    /// The elements of the array `key` has; none where it has no array.
    pub(super) fn list(&self, key: &str) -> Vec<&'a str> {
        self.get(key).and_then(elements).unwrap_or_default()
    }

    /// The members in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }
}

/// Whether a value is an object.
pub(super) fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

/// Whether a value is an array.
pub(super) fn is_array(raw: &str) -> bool {
    raw.starts_with('[')
}

/// The value that says nothing.
pub(super) const NULL: &str = "null";

/// Whether a value is null.
pub(super) fn is_null(raw: &str) -> bool {
    raw == NULL
}

/// What is between the quotes of a string, as written.
pub(super) fn inside_quotes(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// Writes one object, member by member.
#[derive(Debug)]
pub(super) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    /// Opens an object at the end of `out`; [`Self::end`] closes it.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    /// Goes on with an object at the end of `out` that has members already.
    pub(super) fn resume(out: &'o mut Vec<u8>) -> Self {
        Self {
            out,
            is_empty: false,
        }
    }

    /// Opens the next member; its value is to be appended to what this gives.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        write_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).extend_from_slice(json.as_bytes());
        self
    }

    /// A member that is a text.
    pub(super) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        write_string(self.key(key), text);
        self
    }

    /// A member that is a number.
    pub(super) fn number(&mut self, key: &str, number: usize) -> &mut Self {
        let mut digits = itoa::Buffer::new();
        self.raw(key, digits.format(number))
    }

    /// A member that is a count.
    pub(super) fn count(&mut self, key: &str, count: u64) -> &mut Self {
        self.raw(key, itoa::Buffer::new().format(count))
    }

    /// A member that is true or false.
    pub(super) fn flag(&mut self, key: &str, flag: bool) -> &mut Self {
        self.raw(key, if flag { "true" } else { "false" })
    }

    /// A member that is a text as it was escaped.
    pub(super) fn said(&mut self, key: &str, text: &Text<'_>) -> &mut Self {
        text.write(self.key(key));
        self
    }

    /// The same where there is one.
    pub(super) fn said_if(&mut self, key: &str, text: Option<&Text<'_>>) -> &mut Self {
        if let Some(text) = text {
            self.said(key, text);
        }
        self
    }

    /// A member that is a value as it was written, where there is one.
    pub(super) fn json_if(&mut self, key: &str, json: Option<&Json<'_>>) -> &mut Self {
        if let Some(json) = json {
            self.raw(key, json.as_str());
        }
        self
    }

    /// The members of another object, an object as it was written.
    pub(super) fn rest(&mut self, object: &str) -> &mut Self {
        let inner = object.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
            if !std::mem::take(&mut self.is_empty) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(inner.as_bytes());
        }
        self
    }

    /// A member that is an array.
    pub(super) fn list(&mut self, key: &str) -> ListWriter<'_> {
        ListWriter::begin(self.key(key))
    }

    /// A member that is itself an object.
    pub(super) fn object(&mut self, key: &str) -> ObjectWriter<'_> {
        ObjectWriter::begin(self.key(key))
    }

    /// Closes the object.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// Writes one array, element by element.
#[derive(Debug)]
pub(super) struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ListWriter<'o> {
    /// Opens an array at the end of `out`; [`Self::end`] closes it.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self {
            out,
            is_empty: true,
        }
    }

    /// Opens the next element; its value is to be appended to what this gives.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out
    }

    /// An element that is an object.
    pub(super) fn object(&mut self) -> ObjectWriter<'_> {
        ObjectWriter::begin(self.next())
    }

    /// Closes the array.
    pub(super) fn end(self) {
        self.out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_spelling() {
        let json = r#"{ "b" : 1.50 , "\u0061":"x\n", "b":[ 1,2 ] }"#;
        let members = Members::of(json).unwrap();
        let mut out = Vec::new();
        let mut object = ObjectWriter::begin(&mut out);
        for (key, value) in members.iter() {
            object.raw(key, value);
        }
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"b":1.50,"a":"x\n","b":[ 1,2 ]}"#
        );
        assert_eq!(members.get("b").unwrap(), "[ 1,2 ]");
        assert_eq!(members.list("b").len(), 2);
        assert_eq!(members.text("a").as_deref(), Some("x\n"));
        assert!(Members::of("[1]").is_none());
    }

    #[test]
    fn objects_are_written() {
        let mut out = Vec::new();
        let mut object = ObjectWriter::begin(&mut out);
        object.text("a\"", "b").number("n", 7);
        object.object("o").end();
        let mut list = object.list("l");
        let mut inner = list.object();
        inner.flag("f", true).count("c", 0);
        inner.end();
        list.next().push(b'1');
        list.end();
        object.end();
        assert_eq!(out, br#"{"a\"":"b","n":7,"o":{},"l":[{"f":true,"c":0},1]}"#);
    }
}
