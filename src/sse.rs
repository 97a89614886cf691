//! Server-sent events: frames over bytes. Knows no JSON and does no I/O.
//!
//! A frame is what lies between two blank lines, its own closing blank line
//! included, so frames joined together are the stream itself. [`Framer`] cuts
//! a stream into them; [`event_name`] and [`data`] look into one; [`event`]
//! writes one. Lines end as the WHATWG standard allows: LF, CRLF or CR.

mod framer;
mod fuzz;

pub use framer::{Framer, Frames, MAX_FRAME, Piece, Run};
#[doc(hidden)]
pub use fuzz::fuzz_framer;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2;

/// A byte order mark; a stream may begin with one, and it is no part of its
/// first field's name.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Appends `name` (if any) and `data` as one event to `out`. Data of several
/// lines becomes several `data:` lines, so any bytes are safe here; a name
/// must be a single line, and what follows its first line break is left out.
pub fn write_event(out: &mut Vec<u8>, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.lines().next().unwrap_or_default().as_bytes());
        out.push(b'\n');
    }
    for line in DataLines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// One event as bytes of its own; see [`write_event`].
pub fn event(name: Option<&str>, data: &[u8]) -> Bytes {
    let name_len = name.map_or(0, |name| name.len() + 8);
    let mut out = Vec::with_capacity(data.len() + name_len + 8);
    write_event(&mut out, name, data);
    out.into()
}

/// The value of the frame's last `event` field; `None` where it has none.
pub fn event_name(frame: &[u8]) -> Option<&[u8]> {
    Fields::of(frame).event
}

/// The frame's data: its `data` lines joined with line feeds; `None` where it
/// has none (a comment, a lone blank line).
///
/// Borrowed unless there are several lines.
pub fn data(frame: &[u8]) -> Option<Cow<'_, [u8]>> {
    Fields::of(frame).data
}

/// What one frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Its `event` field, wherever in the frame it stands.
    pub event: Option<&'a [u8]>,
    /// Its `data` lines, joined with line feeds.
    pub data: Option<Cow<'a, [u8]>>,
}

impl<'a> Fields<'a> {
    /// Reads `frame` in one pass. Comments and other fields are passed over.
    pub fn of(frame: &'a [u8]) -> Self {
        if let Some(data) = only_data(frame) {
            return Self {
                event: None,
                data: Some(Cow::Borrowed(data)),
            };
        }
        let mut fields = Self::default();
        for line in Lines(frame.strip_prefix(BOM).unwrap_or(frame)) {
            if let Some(value) = value_of(line, b"data") {
                fields.data = Some(match fields.data {
                    None => Cow::Borrowed(value),
                    Some(data) => {
                        let mut joined = data.into_owned();
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                        Cow::Owned(joined)
                    }
                });
            } else if let Some(value) = value_of(line, b"event") {
                fields.event = Some(value);
            }
        }
        fields
    }
}

/// The data of a frame that is one `data` line, as most are.
fn only_data(frame: &[u8]) -> Option<&[u8]> {
    let line = frame.strip_prefix(b"data: ")?;
    let (value, end) = line.split_at(memchr2(b'\n', b'\r', line)?);
    matches!(end, b"\n\n" | b"\r\n\r\n").then_some(value)
}

/// The value of `line` if its field is called `name`: what follows the colon
/// and at most one space, or nothing where there is no colon.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        [] => Some(&[]),
        _ => None,
    }
}

/// The lines of a frame, their ends taken off; the last may lack one.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let Some(end) = memchr2(b'\n', b'\r', self.0) else {
            return Some(std::mem::take(&mut self.0));
        };
        let (line, rest) = self.0.split_at(end);
        let width = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        self.0 = &rest[width..];
        Some(line)
    }
}

/// The lines of data to be written: unlike [`Lines`] a trailing line break
/// begins one more (empty) line, and empty data is one empty line, so that a
/// reader gets back what was written.
struct DataLines<'a>(&'a [u8]);

impl<'a> IntoIterator for DataLines<'a> {
    type Item = &'a [u8];
    type IntoIter = DataLinesIter<'a>;

    fn into_iter(self) -> DataLinesIter<'a> {
        DataLinesIter(Some(self.0))
    }
}

struct DataLinesIter<'a>(Option<&'a [u8]>);

impl<'a> Iterator for DataLinesIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let left = self.0?;
        let Some(end) = memchr2(b'\n', b'\r', left) else {
            self.0 = None;
            return Some(left);
        };
        let (line, rest) = left.split_at(end);
        let width = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        self.0 = Some(&rest[width..]);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_as_the_standard_says() {
        type Row = (&'static [u8], Option<&'static [u8]>, Option<&'static [u8]>);
        let rows: [Row; 16] = [
            (b"data: a\n\n", None, Some(b"a")),
            (b"data:a\n\n", None, Some(b"a")),
            (b"data:  a \n\n", None, Some(b" a ")),
            (b"data\n\n", None, Some(b"")),
            (b"data:\n\n", None, Some(b"")),
            (b"data: a\r\n\r\n", None, Some(b"a")),
            (b"data: a\r\r", None, Some(b"a")),
            (b"event: x\ndata: a\n\n", Some(b"x"), Some(b"a")),
            (b"data: a\nevent: x\n\n", Some(b"x"), Some(b"a")),
            (b"data: a\ndata: b\n\n", None, Some(b"a\nb")),
            (
                b"data: a\n: note\nid: 7\nretry: 1\ndata: b",
                None,
                Some(b"a\nb"),
            ),
            (b": OPENING\n\n", None, None),
            (b"\n", None, None),
            (b"datum: a\n\n", None, None),
            (b" data: a\n\n", None, None),
            (b"\xEF\xBB\xBFdata: a\n\n", None, Some(b"a")),
        ];
        for (frame, event, data) in rows {
            let fields = Fields::of(frame);
            assert_eq!(fields.event, event, "{frame:?}");
            assert_eq!(fields.data.as_deref(), data, "{frame:?}");
        }
    }

    #[test]
    fn events_are_written_plainly() {
        assert_eq!(event(None, b"{}"), "data: {}\n\n");
        assert_eq!(event(Some("done"), b"{}"), "event: done\ndata: {}\n\n");
        assert_eq!(event(Some("a\nb"), b"1"), "event: a\ndata: 1\n\n");
        assert_eq!(event(None, b"a\r\nb\n"), "data: a\ndata: b\ndata: \n\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_one_frame_and_reads_back(data in "[a\n :]{0,40}", name in "[a-z.]{1,9}") {
            let frame = event(Some(&name), data.as_bytes());
            let mut framer = Framer::new(1 << 20);
            framer.push(frame.clone());
            prop_assert_eq!(framer.next(), Some(Piece::Frame(frame.clone())));
            prop_assert_eq!(framer.next(), None);
            let fields = Fields::of(&frame);
            prop_assert_eq!(fields.event, Some(name.as_bytes()));
            prop_assert_eq!(fields.data.as_deref(), Some(data.as_bytes()));
        }
    }
}
