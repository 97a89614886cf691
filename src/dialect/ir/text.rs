//! Texts and values as they are written in JSON.
//!
//! Nearly everything a call carries is passed on unread. So a text stays as it
//! was escaped between its quotes, and moving it from one document into
//! another is one copy; half a surrogate pair at the end of one delta and half
//! at the beginning of the next come out as the pair.

use std::borrow::Cow;
use std::fmt;

use super::super::json::scan::{Scan, plain_len};
use super::super::json::write_escaped;

/// A text as it stands between the quotes of a JSON string.
///
/// Always what a JSON string may hold: escapes are whole, and quotes and
/// control characters are escaped. Two are equal if they are spelled alike.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text of `raw`, a JSON value that was scanned; nothing where it
    /// isn't a string.
    pub(crate) fn of_json(raw: &'a str) -> Option<Self> {
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(Cow::Borrowed(inner)))
    }

    /// `text`, which has no escapes to resolve, written as JSON has it.
    pub fn plain(text: &'a str) -> Self {
        if plain_len(text.as_bytes()) == text.len() {
            return Self(Cow::Borrowed(text));
        }
        Self(Cow::Owned(escaped(text)))
    }

    /// The same of a text nobody else holds.
    pub fn owned(text: &str) -> Text<'static> {
        Text(Cow::Owned(escaped(text)))
    }

    /// What is between the quotes, as JSON has it.
    pub fn as_escaped(&self) -> &str {
        &self.0
    }

    /// The text itself, its escapes resolved. Half a surrogate pair, which has
    /// no meaning by itself, comes out as U+FFFD.
    pub fn resolved(&self) -> Cow<'_, str> {
        if !has_escapes(&self.0) {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(resolve(&self.0))
    }

    /// The text itself, for as long as what it was read from.
    pub fn into_resolved(self) -> Cow<'a, str> {
        if has_escapes(&self.0) {
            return Cow::Owned(resolve(&self.0));
        }
        self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is `word`, which must be one that needs no escapes.
    pub fn is(&self, word: &str) -> bool {
        self.0 == word || (has_escapes(&self.0) && self.resolved() == word)
    }

    /// Without white space at its end.
    pub fn trimmed_end(&self) -> Text<'_> {
        let mut left = &*self.0;
        loop {
            let cut = left.trim_end_matches(' ');
            let cut = ["\\n", "\\r", "\\t"]
                .iter()
                .find_map(|space| {
                    let before = cut.strip_suffix(space)?;
                    let slashes = before.len() - before.trim_end_matches('\\').len();
                    (slashes % 2 == 0).then_some(before)
                })
                .unwrap_or(cut);
            if cut.len() == left.len() {
                return Text(Cow::Borrowed(left));
            }
            left = cut;
        }
    }

    /// The number of characters.
    pub fn chars(&self) -> u64 {
        self.resolved().chars().count() as u64
    }

    /// Whether it says nothing but white space.
    pub fn is_blank(&self) -> bool {
        let mut left = &*self.0;
        // Most say something at once.
        while !left.is_empty() {
            let rest = [" ", "\\n", "\\t", "\\r"]
                .iter()
                .find_map(|space| left.strip_prefix(space));
            match rest {
                Some(rest) => left = rest,
                None if left.as_bytes()[0].is_ascii() && !left.starts_with("\\u") => return false,
                None => return self.resolved().trim().is_empty(),
            }
        }
        true
    }

    /// The same text, held by a borrow of this one.
    pub fn borrowed(&self) -> Text<'_> {
        Text(Cow::Borrowed(&self.0))
    }

    /// The same text, held by itself.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// The part of it between two places of [`Self::as_escaped`], neither of
    /// them within an escape.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Self {
        match &self.0 {
            Cow::Borrowed(text) => Self(Cow::Borrowed(&text[start..end])),
            Cow::Owned(text) => Self(Cow::Owned(text[start..end].to_owned())),
        }
    }

    /// Appends another text.
    pub fn push(&mut self, more: &Text<'_>) {
        self.0.to_mut().push_str(&more.0);
    }

    /// Appends it with its quotes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }
}

fn has_escapes(text: &str) -> bool {
    memchr::memchr(b'\\', text.as_bytes()).is_some()
}

fn escaped(text: &str) -> String {
    // A value of JSON, which has many quotes, grows by a few of its parts.
    let mut escaped = Vec::with_capacity(text.len() + text.len() / 4 + 16);
    write_escaped(&mut escaped, text);
    String::from_utf8(escaped).expect("what is escaped of UTF-8 is UTF-8")
}

/// Resolves escapes, those of half surrogate pairs too.
fn resolve(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut units = Vec::new();
    let mut left = escaped;
    loop {
        // Nothing but an escape ends what is plain between quotes.
        let (plain, rest) = left.split_at(plain_len(left.as_bytes()));
        out.push_str(plain);
        let Some(&escape) = rest.as_bytes().get(1) else {
            return out;
        };
        left = rest.get(2..).unwrap_or_default();
        if escape == b'u' {
            // Units that follow each other may be pairs.
            units.clear();
            loop {
                let unit = left
                    .get(..4)
                    .and_then(|hex| u16::from_str_radix(hex, 16).ok());
                units.push(unit.unwrap_or(0xfffd));
                left = left.get(4..).unwrap_or_default();
                match left.strip_prefix("\\u") {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
            out.push_str(&String::from_utf16_lossy(&units));
            continue;
        }
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            other => char::from(other),
        });
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A JSON value as it was written: a schema, a tool's input, a number.
///
/// Always one valid value without white space around it. Two are equal if they
/// are spelled alike, but for white space between their tokens.
#[derive(Clone)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// `raw`, which was scanned as one value.
    pub(crate) fn scanned(raw: &'a str) -> Self {
        Self(Cow::Borrowed(raw))
    }

    /// `json` if it is one valid value.
    pub fn checked(json: &'a str) -> Option<Self> {
        let mut scan = Scan::new(json);
        let value = scan.skip().ok()?;
        scan.end().ok()?;
        Some(Self(Cow::Borrowed(value)))
    }

    /// The value that a text holds: what `"{\"a\":1}"` is about.
    pub fn inside(text: &Text<'a>) -> Option<Self> {
        if let (Text(Cow::Borrowed(plain)), false) = (text, has_escapes(&text.0)) {
            return Self::checked(plain);
        }
        let resolved = text.resolved();
        Json::checked(&resolved).map(|json| Self(Cow::Owned(json.0.into_owned())))
    }

    /// The value as text: what goes between the quotes of a string that holds
    /// it.
    pub fn as_text(&self) -> Text<'static> {
        Text::owned(&self.0)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its value, where it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    /// The same value, held by a borrow of this one.
    pub fn borrowed(&self) -> Json<'_> {
        Json(Cow::Borrowed(&self.0))
    }

    /// This array with the elements of another behind its own; the other where
    /// this has none.
    pub fn joined(&self, more: &Json<'_>) -> Json<'static> {
        let inner = |json: &'_ str| -> Option<String> {
            let inner = json.strip_prefix('[')?.strip_suffix(']')?.trim_ascii();
            Some(inner.to_owned()).filter(|inner| !inner.is_empty())
        };
        match (inner(&self.0), inner(&more.0)) {
            (Some(mine), Some(more)) => Json(Cow::Owned(format!("[{mine},{more}]"))),
            (Some(_), None) => self.clone().into_owned(),
            (None, _) => more.clone().into_owned(),
        }
    }

    /// The same value, held by itself.
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }
}

impl From<f64> for Json<'static> {
    /// A number; null where it isn't one JSON knows.
    fn from(number: f64) -> Self {
        Self(Cow::Owned(match number.is_finite() {
            true => {
                serde_json::Number::from_f64(number).map_or_else(String::new, |n| n.to_string())
            }
            false => "null".to_owned(),
        }))
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || tokens(&self.0).eq(tokens(&other.0))
    }
}

/// The bytes of `json` without the white space between its tokens.
fn tokens(json: &str) -> impl Iterator<Item = u8> {
    let mut in_string = false;
    let mut escaped = false;
    json.bytes().filter(move |byte| {
        let is_token = in_string || !byte.is_ascii_whitespace();
        if *byte == b'"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && *byte == b'\\' && !escaped;
        is_token
    })
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_as_it_was_escaped() {
        let rows = [
            (r#""plain é""#, "plain é"),
            (r#""""#, ""),
            (r#""a\n\"\\\/\t\b\f\r\u00e9""#, "a\n\"\\/\t\u{8}\u{c}\ré"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00b""#, "\u{fffd}b"),
            (r#""\ud83dx\u0041""#, "\u{fffd}xA"),
            (r#""\\ud83d""#, "\\ud83d"),
        ];
        for (json, resolved) in rows {
            let text = Text::of_json(json).unwrap();
            assert_eq!(text.resolved(), resolved, "{json}");
            let mut out = Vec::new();
            text.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
            assert_eq!(Text::plain(&text.resolved()).resolved(), resolved);
        }
        assert_eq!(Text::of_json("7"), None);
    }

    #[test]
    fn white_space_at_the_end_goes() {
        let rows = [
            (r"a ", "a"),
            (r"a\n \t", "a"),
            (r"a\\n", r"a\\n"),
            (r"a\\\n", r"a\\"),
            (r"\n", ""),
            (" a", " a"),
        ];
        for (text, trimmed) in rows {
            let json = format!("\"{text}\"");
            let text = Text::of_json(&json).unwrap();
            assert_eq!(text.trimmed_end().as_escaped(), trimmed);
        }
    }

    #[test]
    fn what_says_nothing_is_blank() {
        let rows = [
            ("", true),
            (r" \n\t\r", true),
            (r" \n a", false),
            (r"\\n", false),
            (r"\u0020", true),
            (r"\u0041", false),
            ("\u{a0}", true),
            ("\u{a0}é", false),
        ];
        for (text, blank) in rows {
            let json = format!("\"{text}\"");
            assert_eq!(Text::of_json(&json).unwrap().is_blank(), blank, "{text}");
        }
    }

    #[test]
    fn halves_of_a_pair_become_the_pair() {
        let mut text = Text::of_json(r#""\ud83d""#).unwrap();
        text.push(&Text::of_json(r#""\ude00""#).unwrap());
        assert_eq!(text.resolved(), "😀");
    }

    #[test]
    fn a_value_inside_a_text_is_found_and_put_back() {
        let rows = [
            (r#""{\"a\":[1, 2]}""#, Some(r#"{"a":[1, 2]}"#)),
            (r#"" 7 ""#, Some("7")),
            (r#""""#, None),
            (r#""{""#, None),
            (r#""{} {}""#, None),
        ];
        for (text, json) in rows {
            let text = Text::of_json(text).unwrap();
            let inside = Json::inside(&text);
            assert_eq!(inside.as_ref().map(Json::as_str), json);
            let again = inside.and_then(|json| Json::inside(&json.as_text()).map(Json::into_owned));
            assert_eq!(again.as_ref().map(Json::as_str), json);
        }
    }

    #[test]
    fn values_are_equal_whatever_the_space_between_tokens() {
        let rows = [
            (r#"{"a": [1, "b c"]}"#, r#"{"a":[1,"b c"]}"#, true),
            (r#"{"a":"b c"}"#, r#"{"a":"bc"}"#, false),
            (r#"["\\", " "]"#, r#"["\\"," "]"#, true),
            (r#"["\\"," "]"#, r#"["\\",""]"#, false),
        ];
        for (a, b, equal) in rows {
            let (a, b) = (Json::checked(a).unwrap(), Json::checked(b).unwrap());
            assert_eq!(a == b, equal, "{a:?} {b:?}");
        }
    }
}
