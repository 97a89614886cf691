//! The fields of a head from bytes (RFC 9112, 5), in one pass.
//!
//! Lines written as nearly everybody writes them are copied together, as they
//! are; any other is written anew.

use super::{COLON, Fields, Line};
use crate::http1::line::{Stop, is_control, line_end, token_end};
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
            let line = Read::line(bytes, at)?;
            is_bare |= line.next == line.end + 1;
            if line.end == at {
                // All at once, which costs less than line by line.
                if bytes[..at]
                    .iter()
                    .fold(false, |any, byte| any | is_wrong(*byte))
                {
                    return Err(Stop::Wrong(Malformed::FieldValue));
                }
                fields.text.reserve_exact(at - run + room);
                fields.text.extend_from_slice(&bytes[run..at]);
                return Ok(Parsed {
                    fields,
                    length: line.next,
                    is_bare,
                });
            }
            if fields.lines.len() == most {
                return Err(Stop::Wrong(Malformed::TooManyFields));
            }
            let colon = at + token_end(&bytes[at..line.end]);
            if colon == at || bytes[colon] != b':' {
                return Err(Stop::Wrong(Malformed::FieldName));
            }
            let text = &bytes[at..colon];
            let name = Name::of(text);
            if line.is_usual(bytes, colon) {
                let start = fields.text.len() + at - run;
                fields.note(Line {
                    start: start as u32,
                    colon: (start + colon - at) as u32,
                    end: (start + line.next - at) as u32,
                    name,
                });
            } else {
                fields.text.extend_from_slice(&bytes[run..at]);
                let value = bytes[colon + 1..line.end].trim_ascii();
                fields.push_text(text, value);
                run = line.next;
            }
            at = line.next;
        }
    }
}

/// Where a line ends and the next one begins.
struct Read {
    end: usize,
    next: usize,
}

impl Read {
    /// The line at `at`.
    fn line(bytes: &[u8], at: usize) -> Result<Self, Stop> {
        let end = memchr::memchr2(b'\r', b'\n', &bytes[at..]);
        let end = at + end.ok_or(Stop::Partial)?;
        Ok(Self {
            end,
            next: end + line_end(bytes, end, Malformed::FieldValue)?,
        })
    }

    /// Written as `Fields` writes it.
    fn is_usual(&self, bytes: &[u8], colon: usize) -> bool {
        let is_white = |at: usize| matches!(bytes[at], b' ' | b'\t');
        let value = colon + COLON.len();
        bytes[colon + 1] == b' '
            && self.next == self.end + 2
            && (value == self.end || !(is_white(value) || is_white(self.end - 1)))
    }
}

/// What may stand nowhere in a head; the ends of its lines were looked at.
fn is_wrong(byte: u8) -> bool {
    is_control(byte) && byte != b'\r' && byte != b'\n'
}
