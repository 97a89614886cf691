//! The fields of a head from bytes (RFC 9112, 5), in one pass.
//!
//! Lines written as nearly everybody writes them are copied together, as they
//! are; any other is written anew.

use super::{Fields, Line};
use crate::http1::line::{Stop, line_end, text_end, token_end};
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
            let colon = at + token_end(&bytes[at..]);
            if colon == at
                && let Some(size) = empty_line(bytes, at)?
            {
                fields.text.reserve_exact(at - run + room);
                fields.text.extend_from_slice(&bytes[run..at]);
                return Ok(Parsed {
                    fields,
                    length: at + size,
                    is_bare: is_bare || size == 1,
                });
            }
            match bytes.get(colon) {
                Some(b':') if colon > at => {}
                Some(_) => return Err(Stop::Wrong(Malformed::FieldName)),
                None => return Err(Stop::Partial),
            }
            if fields.lines.len() == most {
                return Err(Stop::Wrong(Malformed::TooManyFields));
            }
            let end = colon + 1 + text_end(&bytes[colon + 1..]);
            let next = end + line_end(bytes, end, Malformed::FieldValue)?;
            is_bare |= next == end + 1;
            let name = Name::of(&bytes[at..colon]);
            if next == end + 2 && is_usual(&bytes[colon + 1..end]) {
                let start = fields.text.len() + at - run;
                fields.note(Line {
                    start: start as u32,
                    colon: (start + colon - at) as u32,
                    end: (start + next - at) as u32,
                    name,
                });
            } else {
                fields.text.extend_from_slice(&bytes[run..at]);
                fields.push_text(&bytes[at..colon], bytes[colon + 1..end].trim_ascii());
                run = next;
            }
            at = next;
        }
    }
}

/// The length of the end of an empty line, if one is at `at`.
fn empty_line(bytes: &[u8], at: usize) -> Result<Option<usize>, Stop> {
    match bytes.get(at) {
        None | Some(b'\r' | b'\n') => line_end(bytes, at, Malformed::FieldValue).map(Some),
        Some(_) => Ok(None),
    }
}

/// Whether what stands between a colon and the end of its line is written as
/// `Fields` writes it.
fn is_usual(value: &[u8]) -> bool {
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
    match value {
        [b' ', value @ ..] => {
            !value.first().is_some_and(is_white) && !value.last().is_some_and(is_white)
        }
        _ => false,
    }
}
