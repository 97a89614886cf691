//! The fields of a head from bytes (RFC 9112, 5), in one pass.
//!
//! Lines written as nearly everybody writes them are copied together, as they
//! are; any other is written anew.

use super::{COLON, Fields, Line};
use crate::http1::line::{Stop, line_end, name_end, text_end, token_end};
use crate::http1::malformed::Malformed;
use crate::http1::name::{Name, NameSet};

/// Fields as they were read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) fields: Fields,
    /// How many bytes they took, the empty line behind them included.
    pub(crate) length: usize,
    /// A line ends in a bare line feed.
    pub(crate) is_bare: bool,
}

/// Lines that a head has as a rule.
const USUAL: usize = 16;

impl Fields {
    /// Reads the fields that `bytes` begin with, `most` at most, and the empty
    /// line behind them, and leaves room for so many lines and bytes more.
    pub(crate) fn parse(
        bytes: &[u8],
        most: usize,
        (lines, room): (usize, usize),
    ) -> Result<Parsed, Stop> {
        let mut fields = Self {
            text: Vec::new(),
            lines: Vec::with_capacity(USUAL + lines),
            names: NameSet::NONE,
        };
        let mut is_bare = false;
        // What has been read from there on is to be copied as it is.
        let mut run = 0;
        let mut at = 0;
        loop {
            if let Some(b'\r' | b'\n') = bytes.get(at) {
                let size = line_end(bytes, at, Malformed::FieldName)?;
                fields.text.reserve_exact(at - run + room);
                fields.text.extend_from_slice(&bytes[run..at]);
                return Ok(Parsed {
                    fields,
                    length: at + size,
                    is_bare: is_bare || size == 1,
                });
            }
            if fields.lines.len() == most && at < bytes.len() {
                return Err(Stop::Wrong(Malformed::TooManyFields));
            }
            let read = read(bytes, at)?;
            let Read { colon, value, .. } = read;
            let name = Name::of(&bytes[at..colon]);
            // A known one is a token.
            if name.text().is_none() && token_end(&bytes[at..colon]) != colon - at {
                return Err(Stop::Wrong(Malformed::FieldName));
            }
            if read.is_usual(bytes) {
                let start = fields.text.len() + at - run;
                fields.note(Line {
                    start: start as u32,
                    colon: (start + colon - at) as u32,
                    end: (start + read.next - at) as u32,
                    name,
                });
            } else {
                fields.text.extend_from_slice(&bytes[run..at]);
                let value = bytes[value..read.end].trim_ascii_end();
                fields.push_text(&bytes[at..colon], value);
                run = read.next;
                is_bare |= read.next == read.end + 1;
            }
            at = read.next;
        }
    }
}

/// Where the parts of a line stand.
struct Read {
    colon: usize,
    value: usize,
    /// Where the value ends, and white space behind it.
    end: usize,
    next: usize,
}

impl Read {
    /// Written as `Fields` writes it.
    fn is_usual(&self, bytes: &[u8]) -> bool {
        let Self {
            colon,
            value,
            end,
            next,
        } = *self;
        value == colon + COLON.len()
            && bytes[colon + 1] == b' '
            && next == end + 2
            && (value == end || !matches!(bytes[end - 1], b' ' | b'\t'))
    }
}

/// Reads the line at `at`.
fn read(bytes: &[u8], at: usize) -> Result<Read, Stop> {
    let colon = at + name_end(&bytes[at..]);
    match bytes.get(colon) {
        Some(b':') if colon > at => {}
        Some(_) => return Err(Stop::Wrong(Malformed::FieldName)),
        None => return Err(Stop::Partial),
    }
    let mut value = colon + 1;
    while let Some(b' ' | b'\t') = bytes.get(value) {
        value += 1;
    }
    let end = value + text_end(&bytes[value..]);
    let size = line_end(bytes, end, Malformed::FieldValue)?;
    Ok(Read {
        colon,
        value,
        end,
        next: end + size,
    })
}
