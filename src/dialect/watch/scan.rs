//! Finding one key's value in JSON text without reading the text.
//!
//! A key with its quotes, followed by a colon, can't be inside a string (its
//! quotes would be escaped there), so a match is a key at some depth. Whether
//! it is the right one, the caller knows or parses to learn.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

/// A key to look for. Built once: preparing a search costs more than one.
pub(crate) struct Key(LazyLock<Finder<'static>>);

macro_rules! key {
    ($name:literal) => {
        $crate::dialect::watch::scan::Key::new(|| {
            memchr::memmem::Finder::new(concat!("\"", $name, "\""))
        })
    };
}
pub(super) use key;

impl Key {
    pub(super) const fn new(build: fn() -> Finder<'static>) -> Self {
        Self(LazyLock::new(build))
    }

    /// What follows the first such key and its colon.
    pub(crate) fn value<'a>(&self, json: &'a [u8]) -> Option<&'a [u8]> {
        let needle = self.0.needle().len();
        let mut left = json;
        loop {
            let at = self.0.find(left)?;
            left = &left[at + needle..];
            if let [b':', rest @ ..] = left.trim_ascii_start() {
                return Some(rest.trim_ascii_start());
            }
        }
    }

    /// Whether the key is there with a value that isn't null.
    pub(super) fn is_set(&self, json: &[u8]) -> bool {
        self.value(json)
            .is_some_and(|value| !value.starts_with(b"null"))
    }

    /// Where the key's string value lies in `json`, as written, without its
    /// quotes; nothing where the key is absent or its value no string or an
    /// empty one.
    pub(super) fn text_span(&self, json: &[u8]) -> Option<Range<usize>> {
        match self.value(json) {
            Some([b'"', text @ ..]) => {
                let start = json.len() - text.len();
                Some(start..start + string_len(text)).filter(|span| !span.is_empty())
            }
            _ => None,
        }
    }
}

/// The first text that one of `keys` has in `json`.
pub(super) fn first_text(keys: &[Key], json: &[u8]) -> Option<Range<usize>> {
    keys.iter().find_map(|key| key.text_span(json))
}

/// The length of a string whose opening quote was taken off, to its closing
/// one.
pub(super) fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(stop) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += stop;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// The `type` of an event whose JSON begins with it, as most do.
pub(super) fn leading_type(json: &[u8]) -> Option<&[u8]> {
    let rest = json
        .trim_ascii_start()
        .strip_prefix(b"{")?
        .trim_ascii_start();
    let rest = rest.strip_prefix(b"\"type\"")?.trim_ascii_start();
    let rest = rest.strip_prefix(b":")?.trim_ascii_start();
    let text = rest.strip_prefix(b"\"")?;
    Some(&text[..string_len(text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEXT: Key = key!("text");

    #[test]
    fn a_key_is_found_and_its_text_measured() {
        let rows: [(&str, bool, u64); 11] = [
            (r#"{"text":"abc"}"#, true, 3),
            (r#"{"text" : "abc"}"#, true, 3),
            (r#"{"a":"text","text":"abc"}"#, true, 3),
            (r#"{"a":"\"text\":","text":""}"#, true, 0),
            (r#"{"text":"a\"b\\"}"#, true, 6),
            (r#"{"text":null}"#, false, 0),
            (r#"{"text":["x"]}"#, true, 0),
            (r#"{"other":1}"#, false, 0),
            (r#"{"text":"cut"#, true, 3),
            (r#"{"text":"cut\"#, true, 4),
            (r#"{"text""#, false, 0),
        ];
        for (json, set, len) in rows {
            assert_eq!(TEXT.is_set(json.as_bytes()), set, "{json}");
            let span = TEXT.text_span(json.as_bytes()).unwrap_or_default();
            assert_eq!(span.len() as u64, len, "{json}");
        }
    }

    #[test]
    fn a_leading_type_is_read() {
        let rows: [(&str, Option<&str>); 4] = [
            (r#"{"type":"a.b","x":1"#, Some("a.b")),
            (r#" { "type" : "a" "#, Some("a")),
            (r#"{"x":1,"type":"a"}"#, None),
            ("[DONE]", None),
        ];
        for (json, name) in rows {
            assert_eq!(leading_type(json.as_bytes()), name.map(str::as_bytes));
        }
    }
}
