//! The fields of a message, kept as the lines HTTP/1.1 writes.
//!
//! They are read once and written by copying: one text for all of them, and
//! for each its place in it and its [`Name`]. What is added stands behind; what
//! is removed stays in the text and loses its place. Nothing that is put in can
//! end a line: a byte that may not stand in a value becomes `?`.

mod parse;

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::line::{is_control, may_have_control};
use super::name::{Name, NameSet};

pub(crate) use parse::Parsed;

/// The fields of a message, in their order.
#[derive(Clone, Default)]
pub struct Fields {
    /// `name: value`, each ended by CR LF.
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Which names occur. May hold one that was removed since.
    names: NameSet,
}

/// Where a field stands in the text. A head is far smaller than 4 GiB.
#[derive(Clone, Copy)]
struct Line {
    start: u32,
    /// Where its name ends.
    colon: u32,
    /// After its CR LF.
    end: u32,
    name: Name,
}

/// What stands between a name and its value.
const COLON: &[u8] = b": ";
const LINE_END: &[u8] = b"\r\n";

/// One field.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// What it is.
    pub name: Name,
    /// Its name, as it was written.
    pub text: &'a [u8],
    /// Its value, without white space around it.
    pub value: &'a [u8],
}

impl Fields {
    /// None, with room for so many lines and bytes.
    pub fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            lines: Vec::with_capacity(lines),
            names: NameSet::NONE,
        }
    }

    fn note(&mut self, line: Line) {
        self.names = self.names.and(line.name);
        self.lines.push(line);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether one of that name may be there: a quick no.
    pub fn may_have(&self, names: NameSet) -> bool {
        self.names.meet(names)
    }

    /// Whether there is one of that name.
    pub fn has(&self, name: Name) -> bool {
        self.get(name).is_some()
    }

    /// The value of the first of that name.
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The same, where it is visible ASCII.
    pub fn text(&self, name: Name) -> Option<&str> {
        as_text(self.get(name)?)
    }

    /// Whether there is one of the name of `field`.
    pub fn has_one_like(&self, field: Field<'_>) -> bool {
        let is_like = |own: &Line| {
            own.name == field.name
                && (field.name.text().is_some()
                    || self.field(own).text.eq_ignore_ascii_case(field.text))
        };
        self.names.has(field.name) && self.lines.iter().any(is_like)
    }

    /// The values of all of that name.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        let lines: &[Line] = match self.names.has(name) {
            true => &self.lines,
            false => &[],
        };
        lines
            .iter()
            .filter(move |line| line.name == name)
            .map(|line| self.field(line).value)
    }

    /// The parts of all values of that name, as a list is written: apart by
    /// commas, without white space around them (RFC 9110, 5.6.1).
    pub fn list(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.lines.iter().map(|line| self.field(line))
    }

    fn field(&self, line: &Line) -> Field<'_> {
        let (start, colon, end) = (line.start as usize, line.colon as usize, line.end as usize);
        Field {
            name: line.name,
            text: &self.text[start..colon],
            value: &self.text[colon + COLON.len()..end - LINE_END.len()],
        }
    }

    /// Adds one. `name` is one with a text of its own.
    pub fn push(&mut self, name: Name, value: impl AsRef<[u8]>) {
        let start = self.text.len();
        let text = name.to_value().expect("only a class of names has no text");
        let value = value.as_ref();
        self.text.reserve(text.len() + value.len() + LINE_END.len());
        self.text.extend_from_slice(text.as_bytes());
        self.write(name, start, value);
    }

    /// Adds one of whatever name, which is a token.
    pub fn push_text(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(!name.is_empty(), "a name has a letter");
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(COLON);
        self.write(Name::of(name), start, value);
    }

    /// Writes the value of a line that begins at `start`.
    fn write(&mut self, name: Name, start: usize, value: &[u8]) {
        let at = self.text.len();
        self.text.extend_from_slice(value);
        if may_have_control(value) {
            for byte in &mut self.text[at..] {
                if is_control(*byte) {
                    *byte = b'?';
                }
            }
        }
        self.text.extend_from_slice(LINE_END);
        self.note(Line {
            start: start as u32,
            colon: (at - COLON.len()) as u32,
            end: self.text.len() as u32,
            name,
        });
    }

    /// Puts one in the place of all of that name, at the end.
    pub fn set(&mut self, name: Name, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes all of that name.
    pub fn remove(&mut self, name: Name) {
        if self.names.has(name) {
            self.lines.retain(|line| line.name != name);
        }
    }

    /// Leaves those that `stays` says.
    pub fn retain(&mut self, mut stays: impl FnMut(Field<'_>) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| stays(self.field(line)));
        self.lines = lines;
    }

    /// Adds those of `other` that `comes` says.
    pub fn extend(&mut self, other: &Self, mut comes: impl FnMut(Field<'_>) -> bool) {
        let mut run = 0..0;
        for line in &other.lines {
            if !comes(other.field(line)) {
                continue;
            }
            let (start, end) = (line.start as usize, line.end as usize);
            if run.end != start {
                self.text.extend_from_slice(&other.text[run]);
                run = start..start;
            }
            run.end = end;
            // Behind all that was and will have been copied before it.
            let moved = self.text.len() + start - run.start;
            self.note(Line {
                start: moved as u32,
                colon: (moved + line.colon as usize - start) as u32,
                end: (moved + end - start) as u32,
                name: line.name,
            });
        }
        self.text.extend_from_slice(&other.text[run]);
    }

    /// Writes them as HTTP/1.1 does, each line with its end.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in &self.lines {
            if run.end != line.start as usize {
                out.extend_from_slice(&self.text[run]);
                run = line.start as usize..0;
            }
            run.end = line.end as usize;
        }
        out.extend_from_slice(&self.text[run]);
    }

    /// Bytes they take when they are written, at most.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// The same as a map, for HTTP/2. What has no place in one is left out.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for field in self.iter() {
            let name = HeaderName::from_bytes(field.text);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
                map.append(name, value);
            }
        }
        map
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Self::with_capacity(map.len() + 8, 64 * map.len() + 256);
        for (name, value) in map {
            fields.push_text(name.as_str().as_bytes(), value.as_bytes());
        }
        fields
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs {
            fields.push_text(name.as_ref().as_bytes(), value.as_ref());
        }
        fields
    }
}

/// NameSet in any case are the same; their order counts.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, two)| one.text.eq_ignore_ascii_case(two.text) && one.value == two.value)
    }
}

/// Keys and cookies don't show.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|field| {
            let is_secret = SECRET.has(field.name)
                || field.text.eq_ignore_ascii_case(b"cookie")
                || field.text.eq_ignore_ascii_case(b"set-cookie");
            let value = match is_secret {
                true => "…".into(),
                false => String::from_utf8_lossy(field.value),
            };
            (String::from_utf8_lossy(field.text), value)
        });
        f.debug_map().entries(shown).finish()
    }
}

const SECRET: NameSet = NameSet::of(&[
    Name::ApiKey,
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::XApiKey,
    Name::XGoogApiKey,
]);

/// A value as text, where it is visible ASCII.
pub(super) fn as_text(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    is_visible
        .then(|| std::str::from_utf8(value).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fields {
        let parsed = Fields::parse(text.as_bytes(), 16, (2, 64)).unwrap();
        assert_eq!(parsed.length, text.len());
        parsed.fields
    }

    fn written(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_read_is_found_and_written_as_it_was() {
        let text = "Host: a\r\nX-Mine: 1\r\nx-request-id: r\r\nx-mine: 2\r\nx-empty: \r\n";
        let fields = read(&format!("{text}\r\n"));
        assert_eq!(written(&fields), text);
        assert_eq!(fields.get(Name::Host), Some(&b"a"[..]));
        assert_eq!(fields.text(Name::XRequestId), Some("r"));
        assert_eq!(fields.get(Name::Via), None);
        assert_eq!(fields.len(), 5);
        assert_eq!(
            fields.iter().last().map(|field| field.value),
            Some(&b""[..])
        );
    }

    #[test]
    fn what_is_written_otherwise_is_written_anew() {
        for (sent, expected) in [
            ("a:1\r\nb: 2\r\n\r\n", "a: 1\r\nb: 2\r\n"),
            ("a: 1 \r\nb:  2\t\r\n\r\n", "a: 1\r\nb: 2\r\n"),
            ("a: 1\nb: 2\n\n", "a: 1\r\nb: 2\r\n"),
            ("a:\r\nb: 2\r\n\r\n", "a: \r\nb: 2\r\n"),
            ("a: 1\r\nb:2\r\nc: 3\r\n\r\n", "a: 1\r\nb: 2\r\nc: 3\r\n"),
            ("a:  \r\nb: 2\r\n\r\n", "a: \r\nb: 2\r\n"),
            ("\r\n", ""),
        ] {
            assert_eq!(written(&read(sent)), expected, "{sent:?}");
        }
    }

    #[test]
    fn what_are_no_fields_is_told_from_what_has_not_all_come() {
        use crate::http1::line::Stop::{self, Partial, Wrong};
        use crate::http1::malformed::Malformed::{FieldName, FieldValue, TooManyFields};
        let parse = |text: &str| -> Result<bool, Stop> {
            Ok(Fields::parse(text.as_bytes(), 3, (0, 0))?.is_bare)
        };
        for (text, expected) in [
            ("a: 1\r\n\r\n", Ok(false)),
            ("a: 1\n\r\n", Ok(true)),
            ("a: 1\r\n\n", Ok(true)),
            ("a : 1\r\n\r\n", Err(Wrong(FieldName))),
            (": 1\r\n\r\n", Err(Wrong(FieldName))),
            ("a\r\n\r\n", Err(Wrong(FieldName))),
            ("a: 1\r\n b\r\n\r\n", Err(Wrong(FieldName))),
            ("\u{e9}: 1\r\n\r\n", Err(Wrong(FieldName))),
            ("a: 1\r\n\rx", Err(Wrong(FieldValue))),
            ("a: 1\0\r\n\r\n", Err(Wrong(FieldValue))),
            ("a: 1\rb\r\n\r\n", Err(Wrong(FieldValue))),
            ("a: 1\r\nb: 2\r\nc: 3\r\n\r\n", Ok(false)),
            (
                "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n",
                Err(Wrong(TooManyFields)),
            ),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
            if expected == Ok(false) {
                let parts = (0..text.len()).map(|size| parse(&text[..size]));
                assert!(
                    parts.into_iter().all(|part| part == Err(Partial)),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn fields_are_added_set_and_removed() {
        let mut fields = read("te: x\r\nvia: 1.1 a\r\nb: 2\r\nvia: 1.1 b, 1.1 c\r\n\r\n");
        let hops: Vec<_> = fields.list(Name::Via).collect();
        assert_eq!(hops, [&b"1.1 a"[..], b"1.1 b", b"1.1 c"]);
        fields.set(Name::Via, "1.1 d");
        fields.remove(Name::Te);
        fields.push(Name::Age, "1");
        fields.retain(|field| field.text != b"b");
        assert_eq!(written(&fields), "via: 1.1 d\r\nage: 1\r\n");
        assert!(!fields.has(Name::Te));
    }

    #[test]
    fn some_of_anothers_come_in_their_order() {
        let theirs = read("a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\n\r\n");
        let all = ["a: 1\r\n", "b: 2\r\n", "c: 3\r\n", "d: 4\r\n", "e: 5\r\n"];
        for mask in 0..32 {
            let mut fields = read("x: 0\r\n\r\n");
            let comes = |field: Field<'_>| mask >> (field.text[0] - b'a') & 1 == 1;
            fields.extend(&theirs, comes);
            fields.push(Name::Age, "9");
            let some: String = (0..5)
                .filter(|at| mask >> at & 1 == 1)
                .map(|at| all[at])
                .collect();
            assert_eq!(written(&fields), format!("x: 0\r\n{some}age: 9\r\n"));
            let values: Vec<_> = fields.iter().map(|field| field.value[0]).collect();
            assert_eq!((values[0], values.len()), (b'0', 2 + some.len() / 6));
        }
    }

    #[test]
    fn no_value_ends_its_line() {
        let mut fields = Fields::default();
        fields.push(Name::XNowaitModel, "a\r\nset-cookie: b\0\x7f\tc\u{e9}");
        assert_eq!(
            written(&fields),
            "x-nowait-model: a??set-cookie: b??\tc\u{e9}\r\n"
        );
    }

    #[test]
    fn maps_hold_the_same_fields() {
        let fields = read("Set-Cookie: a\r\nset-cookie: b\r\nAge: 1\r\n\r\n");
        let map = fields.to_map();
        let cookies: Vec<_> = map.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a", "b"]);
        assert_eq!(Fields::from(&map), fields);
    }

    #[test]
    fn keys_do_not_show() {
        let fields = read("Authorization: Bearer k-1\r\nSet-Cookie: k-2\r\nx-mine: 1\r\n\r\n");
        let shown = format!("{fields:?}");
        assert!(!shown.contains("k-") && shown.contains("\"1\""), "{shown}");
    }
}
