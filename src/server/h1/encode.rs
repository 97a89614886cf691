//! The head of an answer as bytes (RFC 9112, 4), and how its body is framed.
//!
//! The framing is decided here and nowhere else; what the answer's own fields
//! say of its length is believed where its body doesn't know better.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::HeaderMap;
use http::{HeaderName, StatusCode};

use super::head::Manner;
use crate::http1::{Fields, Name, NameSet, told};

/// How the body of an answer is told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever the head announces.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks (RFC 9112, 7.1).
    Chunked,
    /// By the connection's end, for who doesn't know chunks.
    UntilClose,
}

impl Framing {
    /// That of an answer with `fields`, whose body has so many bytes if that is
    /// known, to a request made in that manner (RFC 9112, 6.3).
    pub(super) fn of(
        status: StatusCode,
        fields: &Fields,
        length: Option<u64>,
        manner: Manner,
    ) -> Self {
        if manner.to_head || is_bodiless(status) {
            return Self::None;
        }
        let announced = || told::number(fields.get(Name::ContentLength)?);
        match length.or_else(announced) {
            Some(length) => Self::Length(length),
            None if manner.is_old => Self::UntilClose,
            None => Self::Chunked,
        }
    }
}

fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// What is written here, whatever the answer's fields say of it.
const OURS: NameSet = NameSet::of(&[
    Name::Connection,
    Name::ContentLength,
    Name::KeepAlive,
    Name::TransferEncoding,
]);

/// The same but the length, which stands as it is where it is right.
const OURS_BUT_LENGTH: NameSet =
    NameSet::of(&[Name::Connection, Name::KeepAlive, Name::TransferEncoding]);

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    pub(super) framing: Framing,
    /// That of the body it has, or would have if the method were not HEAD.
    pub(super) length: Option<u64>,
    pub(super) manner: Manner,
}

impl Head {
    /// Writes it, with what says how its body is framed.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        self.write_status(out);
        let fields = &self.fields;
        let length = self.length();
        let announced = fields.get(Name::ContentLength).and_then(told::number);
        let stands = match self.framing {
            Framing::Length(_) => announced == length,
            Framing::None => length.is_none() && self.status != StatusCode::NO_CONTENT,
            Framing::Chunked | Framing::UntilClose => false,
        };
        if fields.may_have(if stands { OURS_BUT_LENGTH } else { OURS }) {
            let is_ours = |name| OURS.has(name) && !(stands && name == Name::ContentLength);
            for field in fields.iter().filter(|field| !is_ours(field.name)) {
                write(out, field.text, field.value);
            }
        } else {
            fields.write_to(out);
        }
        if let Some(length) = length.filter(|_| !stands) {
            let mut digits = itoa::Buffer::new();
            write(out, b"content-length", digits.format(length).as_bytes());
        }
        if self.framing == Framing::Chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        if !fields.has(Name::Date) {
            write(out, b"date", &date());
        }
        match self.manner {
            Manner { keeps: false, .. } => out.extend_from_slice(b"connection: close\r\n"),
            Manner { is_old: true, .. } => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        let status = self.status;
        if status == StatusCode::OK {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
            return;
        }
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// The length that is written here (RFC 9110, 8.6): the body's, or what it
    /// would have been.
    fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::None if self.manner.to_head && !is_bodiless(self.status) => self.length,
            _ => None,
        }
    }
}

fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes what stands before a chunk of `size` bytes.
pub(super) fn chunk_size(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (4 * at)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and what follows it.
pub(super) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if may_trail(name) {
            write(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a field may come after the body: none that says how the message is
/// read or where it goes (RFC 9110, 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    const NEVER: NameSet = OURS.or(NameSet::of(&[
        Name::Authorization,
        Name::CacheControl,
        Name::ContentEncoding,
        Name::ContentType,
        Name::Host,
        Name::Te,
        Name::Trailer,
        Name::Upgrade,
    ]));
    !NEVER.has(Name::of(name.as_str().as_bytes())) && name != "set-cookie"
}

/// Now, as `date` says it (RFC 9110, 5.6.7).
fn date() -> [u8; 29] {
    thread_local! {
        /// The last second written: most answers are of the same one.
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [0; 29])) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (last, mut text) = LAST.get();
    if last != second {
        let written = httpdate::fmt_http_date(now);
        text.copy_from_slice(written.as_bytes());
        LAST.set((second, text));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for size in [0, 1, 9, 10, 15, 16, 255, 256, 4_096, 0xfedc_ba98] {
            let mut out = Vec::new();
            chunk_size(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn the_date_is_written_where_none_is_given() {
        for (given, count) in [(None, 1), (Some("x"), 1)] {
            let head = Head {
                status: StatusCode::IM_A_TEAPOT,
                fields: given.map(|date| ("date", date)).into_iter().collect(),
                framing: Framing::Length(3),
                length: Some(3),
                manner: Manner {
                    to_head: false,
                    is_old: false,
                    keeps: true,
                },
            };
            let mut out = Vec::new();
            head.write_to(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with("HTTP/1.1 418 I'm a teapot\r\n"), "{text}");
            let dates: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix("date: "))
                .collect();
            assert_eq!(dates.len(), count);
            assert!(
                dates[0] == "x" || httpdate::parse_http_date(dates[0]).is_ok(),
                "{text}"
            );
        }
    }
}
