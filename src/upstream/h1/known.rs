//! Heads like one before: a provider says nearly the same each time.
//!
//! Each thread remembers the last few shapes of heads. One that differs from
//! one of them in some values only is that one with those values put in: no
//! names are parsed and nothing is hashed. A line that is the same byte for
//! byte means the same; whatever else differs makes it a head to be parsed.

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};

use super::Malformed;
use super::framing::Framing;
use super::head::{self, Head, Parsed};

/// Shapes that a thread remembers: those of a few providers, with what they
/// say when they stream, when they don't and when they refuse.
const MAX_KNOWN: usize = 8;

/// Bytes of a head worth remembering.
const MAX_TEXT: usize = 4 << 10;

/// Values that may differ. A head with more is remembered anew.
const MAX_CHANGES: usize = 24;

thread_local! {
    /// The one used last stands last.
    static KNOWN: Cell<Vec<Known>> = const { Cell::new(Vec::new()) };
}

/// As [`head::parse`] does it, with less work for a head like one before.
pub(super) fn parse(bytes: &[u8], to_head: bool) -> Result<Parsed, Malformed> {
    if to_head {
        return head::parse(bytes, to_head);
    }
    let mut all = KNOWN.take();
    let parsed = match recall(&mut all, bytes) {
        Some((length, head)) => Ok(Parsed::Final(length, head)),
        None => head::parse(bytes, to_head).inspect(|parsed| remember(&mut all, bytes, parsed)),
    };
    KNOWN.set(all);
    parsed
}

/// The head of that length, if one of `all` is like it.
fn recall(all: &mut [Known], bytes: &[u8]) -> Option<(usize, Head)> {
    let (at, found) = all
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, known)| Some((at, known.read(bytes)?)))?;
    all[at..].rotate_left(1);
    Some(found)
}

fn remember(all: &mut Vec<Known>, bytes: &[u8], parsed: &Parsed) {
    if let Parsed::Final(length, head) = parsed
        && let Some(known) = Known::new(&bytes[..*length], head)
    {
        if all.len() == MAX_KNOWN {
            all.remove(0);
        }
        all.push(known);
    }
}

/// A head that was parsed.
struct Known {
    text: Box<[u8]>,
    /// The status line and a line for each field, in this order.
    lines: Box<[Line]>,
    /// What all of it means; the fields are in the order of their lines.
    head: Head,
}

/// A line of a head, by places in its text.
struct Line {
    start: usize,
    /// Where its value begins, after the name, the colon and a space.
    value: usize,
    end: usize,
    role: Role,
}

/// What it means if a line is another than before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing: it is passed on.
    Passed,
    /// The body has another length.
    Length,
    /// The connection is another's, or the body is framed otherwise.
    Fixed,
}

impl Known {
    /// Remembers the head that `text` is, if it is a usual one: every line is
    /// a field of its own, and its body is framed by what they say.
    fn new(text: &[u8], head: &Head) -> Option<Self> {
        let headers = head.response.headers();
        let fields = text
            .strip_suffix(b"\r\n")
            .filter(|_| text.len() <= MAX_TEXT)?;
        let mut lines = Vec::with_capacity(1 + headers.len());
        let mut rest = headers.iter();
        let mut start = 0;
        for line in fields.split_inclusive(|byte| *byte == b'\n') {
            let mut value = start;
            let mut role = Role::Fixed;
            if start > 0 {
                let colon = memchr::memchr(b':', line)?;
                let (name, _) = rest.next()?;
                if !line[..colon].eq_ignore_ascii_case(name.as_str().as_bytes()) {
                    return None;
                }
                role = match *name {
                    CONNECTION | TRANSFER_ENCODING => Role::Fixed,
                    CONTENT_LENGTH => Role::Length,
                    _ => Role::Passed,
                };
                value += colon + 1 + usize::from(line[colon + 1..].starts_with(b" "));
            }
            let end = start + line.len();
            lines.push(Line {
                start,
                value,
                end,
                role,
            });
            start = end;
        }
        let lengths = lines
            .iter()
            .filter(|line| line.role == Role::Length)
            .count();
        let framed = match head.framing {
            Framing::Length(length) => lengths == 1 && length > 0,
            Framing::Chunked | Framing::UntilClose => lengths == 0,
        };
        (framed && rest.next().is_none()).then(|| Self {
            text: text.into(),
            lines: lines.into(),
            head: head.clone(),
        })
    }

    /// Reads a head like this one from the beginning of `bytes`.
    fn read(&self, bytes: &[u8]) -> Option<(usize, Head)> {
        let mut changes = [const { (0, 0..0) }; MAX_CHANGES];
        let mut count = 0;
        let mut framing = self.head.framing;
        let mut rest = bytes;
        for (at, line) in self.lines.iter().enumerate() {
            if let Some(after) = rest.strip_prefix(&self.text[line.start..line.end]) {
                rest = after;
                continue;
            }
            let told = rest.strip_prefix(&self.text[line.start..line.value])?;
            let value = value(told)?;
            match line.role {
                Role::Passed => {}
                Role::Length => framing = Framing::Length(length(value)?),
                Role::Fixed => return None,
            }
            let start = bytes.len() - told.len();
            *changes.get_mut(count)? = (at - 1, start..start + value.len());
            count += 1;
            rest = &told[value.len() + 2..];
        }
        let rest = rest.strip_prefix(b"\r\n")?;
        let mut head = Head {
            framing,
            ..self.head.clone()
        };
        put(&mut head, &changes[..count], bytes)?;
        Some((bytes.len() - rest.len(), head))
    }
}

/// The value that a line ends with, if it is written in the usual way.
fn value(bytes: &[u8]) -> Option<&[u8]> {
    let value = &bytes[..memchr::memchr(b'\r', bytes)?];
    let (first, last) = (value.first()?, value.last()?);
    let is_padded = first.is_ascii_whitespace() || last.is_ascii_whitespace();
    (!is_padded && bytes[value.len() + 1..].starts_with(b"\n")).then_some(value)
}

/// A length of a few digits and nothing else.
fn length(digits: &[u8]) -> Option<u64> {
    if digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |length, digit| {
        digit
            .is_ascii_digit()
            .then(|| length * 10 + u64::from(digit - b'0'))
    })
}

/// Puts in the values of those fields; each pair is a field's place and where
/// in `bytes` its value stands. Nothing if one is not a value.
fn put(head: &mut Head, changes: &[(usize, Range<usize>)], bytes: &[u8]) -> Option<()> {
    // Only what is new is kept, in one allocation.
    let mut new = Vec::with_capacity(changes.iter().map(|(_, value)| value.len()).sum());
    for (_, value) in changes {
        new.extend_from_slice(&bytes[value.clone()]);
    }
    let mut new = Bytes::from(new);
    let mut values = head.response.headers_mut().values_mut();
    let mut next = 0;
    for (at, value) in changes {
        let slot = values.nth(at - next)?;
        let value = new.split_to(value.len());
        *slot = HeaderValue::from_maybe_shared(value).ok()?;
        next = at + 1;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "HTTP/1.1 200 OK\r\nDate: x\r\ncontent-type: a/b\r\nx-empty:\r\n\
        Content-Length: 7\r\nset-cookie: a=1\r\nSet-Cookie: b=1\r\nconnection: keep-alive\r\n\r\n";

    /// What is read where `before` was read before, and whether it was known.
    fn after(before: &str, text: &str) -> (Result<Parsed, Malformed>, bool) {
        let mut all = Vec::new();
        remember(
            &mut all,
            before.as_bytes(),
            &head::parse(before.as_bytes(), false).unwrap(),
        );
        match recall(&mut all, text.as_bytes()) {
            Some((length, head)) => (Ok(Parsed::Final(length, head)), true),
            None => (head::parse(text.as_bytes(), false), false),
        }
    }

    #[test]
    fn a_known_head_means_what_it_would_if_parsed() {
        for (from, to, known) in [
            ("", "", true),
            ("Date: x", "Date: \u{e9} y\tz", true),
            ("Content-Length: 7", "Content-Length: 0", true),
            (
                "Content-Length: 7",
                "Content-Length: 123456789012345678",
                true,
            ),
            (
                "Content-Length: 7",
                "Content-Length: 1234567890123456789",
                false,
            ),
            ("Content-Length: 7", "Content-Length: 7, 7", false),
            ("Content-Length: 7", "Content-Length: 7, 8", false),
            ("Content-Length: 7", "Content-Length: +7", false),
            ("Content-Length: 7", "content-length: 7", false),
            ("Content-Length: 7\r\n", "", false),
            (
                "Content-Length: 7",
                "Content-Length: 7\r\ncontent-length: 8",
                false,
            ),
            ("Content-Length: 7", "Transfer-Encoding: chunked", false),
            ("b=1", "a much longer one; path=/", true),
            ("a=1", "", false),
            ("x-empty:", "x-empty: no more", false),
            ("x-empty:", "x-empty:no more", true),
            ("Date: x", "Date:  x", false),
            ("Date: x", "Date: x ", false),
            ("Date: x", "Date : x", false),
            ("Date: x", "Date: x\n folded", false),
            ("Date: x", "Date: x\r\n folded", false),
            ("Date: x", "Date: x\nconnection: close", false),
            ("Date: x\r\n", "Date: x\n", false),
            ("Date: x", "Date: x\rconnection: close", false),
            ("Date: x", "Date: x\0", false),
            ("Date: x", "Dat: x", false),
            ("keep-alive", "close", false),
            ("200 OK", "204 OK", false),
            ("200 OK", "100 OK", false),
            ("1.1", "1.0", false),
            ("\r\n\r\n", "\r\nx: y\r\n\r\n", false),
            ("\r\n\r\n", "\r\n", false),
            ("\r\n\r\n", "\r\n\n", false),
            ("HTTP", "\r\nHTTP", false),
        ] {
            let text = format!("{}rest", FIRST.replacen(from, to, 1));
            let (read, was_known) = after(FIRST, &text);
            let parsed = head::parse(text.as_bytes(), false);
            assert_eq!(format!("{read:?}"), format!("{parsed:?}"), "{to:?}");
            assert_eq!(was_known, known, "{to:?}");
        }
    }

    #[test]
    fn whatever_byte_is_another_it_is_never_misread() {
        let parsed = head::parse(FIRST.as_bytes(), false).unwrap();
        let mut all = Vec::new();
        remember(&mut all, FIRST.as_bytes(), &parsed);
        let mut known = 0;
        for at in 0..FIRST.len() {
            for byte in *b"\0\t\n\r :,+0a\x7f\xff" {
                for end in [at, at + 1] {
                    let mut text = FIRST.as_bytes().to_vec();
                    text.splice(at..end, [byte]);
                    let Some((length, head)) = recall(&mut all, &text) else {
                        continue;
                    };
                    known += 1;
                    let read = Parsed::Final(length, head);
                    let parsed = head::parse(&text, false).unwrap();
                    assert_eq!(format!("{read:?}"), format!("{parsed:?}"), "{text:?}");
                }
            }
        }
        assert!(known > 100, "{known}");
    }

    #[test]
    fn only_usual_heads_are_remembered() {
        for (text, known) in [
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 429 Slow\r\nconnection: close\r\n\r\n", true),
            ("HTTP/1.0 200\r\n\r\n", true),
            ("HTTP/1.1 200 OK\na: b\ncontent-length: 1\n\r\n", true),
            ("HTTP/1.1 200 OK\na: b\ncontent-length: 1\n\n", false),
            ("\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", false),
            ("HTTP/1.1 204 x\r\ncontent-length: 5\r\n\r\n", false),
            (
                "HTTP/1.1 204 x\r\ntransfer-encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 200 OK\r\na: 1\r\nb: 1\r\na: 2\r\n\r\n", false),
        ] {
            let (read, was_known) = after(text, text);
            let parsed = head::parse(text.as_bytes(), false);
            assert_eq!(format!("{read:?}"), format!("{parsed:?}"), "{text:?}");
            assert_eq!(was_known, known, "{text:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut all = Vec::new();
        let text = |name: usize| format!("HTTP/1.1 200 OK\r\nx-{name}: y\r\n\r\n");
        let mut read = |name| {
            let text = text(name);
            if let Some((length, _)) = recall(&mut all, text.as_bytes()) {
                return (length == text.len(), all.len());
            }
            let parsed = head::parse(text.as_bytes(), false).unwrap();
            remember(&mut all, text.as_bytes(), &parsed);
            (false, all.len())
        };
        for name in 0..MAX_KNOWN {
            assert_eq!(read(name), (false, name + 1));
        }
        assert_eq!(read(0), (true, MAX_KNOWN));
        // The one that was not used for longest makes room.
        assert_eq!(read(MAX_KNOWN), (false, MAX_KNOWN));
        assert_eq!(read(0), (true, MAX_KNOWN));
        assert_eq!(read(1), (false, MAX_KNOWN));

        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(MAX_TEXT));
        assert!(!after(&long, &long).1);
        let many = |value| {
            let field = |at| format!("x-{at}: {value}\r\n");
            let fields: String = (0..=MAX_CHANGES).map(field).collect();
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
        };
        assert!(after(&many(1), &many(1)).1);
        assert!(!after(&many(1), &many(2)).1);
    }
}
