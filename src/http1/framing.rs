//! Where the body of a message ends, and what of the bytes on the wire is data
//! (RFC 9112, 6 and 7).
//!
//! Works on whatever has been read: however the bytes are cut, the data are the
//! same. Framing is squeezed out in place, so that one read makes one piece.

use std::ops::Range;

use http::HeaderMap;

use super::malformed::Malformed;
use super::told;

/// Bytes of chunk extensions in one body; nobody uses them.
const MAX_EXTENSIONS: u32 = 16 << 10;

/// Bytes of the fields after the last chunk.
const MAX_TRAILERS: usize = 16 << 10;

/// How the body of a message is told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked,
    /// By the connection's end, as only answers may.
    UntilClose,
}

/// The body of a message as far as it has been read.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Of chunk extensions so far.
    extensions: u32,
    trailers: Option<Box<Trailers>>,
}

/// What is left to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data of known length.
    Length(u64),
    UntilClose,
    /// The size of a chunk, `digits` of which have come.
    Size {
        size: u64,
        digits: u8,
    },
    /// What may stand between a chunk's size and the end of its line.
    Extension {
        size: u64,
    },
    /// The line feed after a chunk's size.
    SizeEnd {
        size: u64,
    },
    /// Data of a chunk, never 0.
    Chunk(u64),
    /// The carriage return and the line feed after a chunk's data.
    ChunkEnd,
    ChunkEndFeed,
    /// Fields, up to an empty line.
    Trailers,
    Done,
    Wrong(Malformed),
}

/// What has come after the last chunk.
#[derive(Debug, Default)]
struct Trailers {
    bytes: Vec<u8>,
    fields: Option<HeaderMap>,
}

/// What some bytes have turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Where the data are now.
    pub(crate) data: Range<usize>,
    /// How many bytes belong to the body; what follows does not.
    pub(crate) taken: usize,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::UntilClose => State::UntilClose,
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Self {
            state,
            extensions: 0,
            trailers: None,
        }
    }

    /// Takes what belongs to the body from the front of `bytes`, and moves the
    /// data in it together.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Decoded {
        let mut data = 0..0;
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            match self.take_data(bytes.len() - at) {
                0 => at += self.take_framing(&bytes[at..]),
                size if data.is_empty() => {
                    data = at..at + size;
                    at += size;
                }
                size => {
                    bytes.copy_within(at..at + size, data.end);
                    data.end += size;
                    at += size;
                }
            }
        }
        Decoded { data, taken: at }
    }

    /// How many of the next `most` bytes are data.
    fn take_data(&mut self, most: usize) -> usize {
        let (left, then) = match &mut self.state {
            State::UntilClose => return most,
            State::Length(left) => (left, State::Done),
            State::Chunk(left) => (left, State::ChunkEnd),
            _ => return 0,
        };
        let size = usize::try_from(*left).map_or(most, |left| left.min(most));
        *left -= size as u64;
        if *left == 0 {
            self.state = then;
        }
        size
    }

    /// Reads framing from the front of `bytes`, which are not empty, and says
    /// how much of it there was.
    fn take_framing(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Trailers => return self.take_trailers(bytes),
            // What is written and cut as nearly always is read at once.
            State::ChunkEnd if bytes.starts_with(b"\r\n") => {
                self.state = State::Size { size: 0, digits: 0 };
                return 2;
            }
            State::Size { digits: 0, .. } => {
                if let Some((size, length)) = size_line(bytes) {
                    self.state = match size {
                        0 => State::Trailers,
                        size => State::Chunk(size),
                    };
                    return length;
                }
            }
            _ => {}
        }
        let byte = bytes[0];
        self.state = match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                // Sixteen digits are all that a u64 holds.
                match digits {
                    16 => State::Wrong(Malformed::ChunkSize),
                    _ => State::Size {
                        size: size << 4 | u64::from(hex(byte)),
                        digits: digits + 1,
                    },
                }
            }
            (State::Size { digits: 0, .. }, _) => State::Wrong(Malformed::ChunkSize),
            (State::Size { size, .. }, b'\r') => State::SizeEnd { size },
            (State::Size { size, .. }, b';' | b' ' | b'\t') => self.extend(size),
            (State::Extension { size }, b'\r') => State::SizeEnd { size },
            // RFC 9112, 2.2: a bare line feed here is how one peer's chunk
            // becomes another's extension.
            (State::Extension { .. }, b'\n') => State::Wrong(Malformed::ChunkSize),
            (State::Extension { size }, _) => self.extend(size),
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { size }, b'\n') => State::Chunk(size),
            (State::ChunkEnd, b'\r') => State::ChunkEndFeed,
            (State::ChunkEndFeed, b'\n') => State::Size { size: 0, digits: 0 },
            (State::ChunkEnd | State::ChunkEndFeed, _) => State::Wrong(Malformed::ChunkEnd),
            _ => State::Wrong(Malformed::ChunkSize),
        };
        1
    }

    fn extend(&mut self, size: u64) -> State {
        self.extensions += 1;
        match self.extensions > MAX_EXTENSIONS {
            true => State::Wrong(Malformed::Extensions),
            false => State::Extension { size },
        }
    }

    /// Up to a line's end at a time.
    fn take_trailers(&mut self, bytes: &[u8]) -> usize {
        // No fields, as nearly always.
        if self.trailers.is_none() && bytes.starts_with(b"\r\n") {
            self.state = State::Done;
            return 2;
        }
        let size = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let trailers = self.trailers.get_or_insert_default();
        trailers.bytes.extend_from_slice(&bytes[..size]);
        let seen = &trailers.bytes;
        if seen.len() > MAX_TRAILERS {
            self.state = State::Wrong(Malformed::Trailers);
        } else if seen == b"\r\n" {
            self.trailers = None;
            self.state = State::Done;
        } else if seen.ends_with(b"\n\r\n") {
            self.state = match told::trailers(seen) {
                Ok(fields) => {
                    **trailers = Trailers {
                        bytes: Vec::new(),
                        fields: Some(fields),
                    };
                    State::Done
                }
                Err(wrong) => State::Wrong(wrong),
            };
        }
        size
    }

    /// The connection has ended; whether the body has, too.
    pub(crate) fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// All of it has come.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What came is not a body: nothing after this is.
    pub(crate) fn wrong(&self) -> Option<Malformed> {
        match self.state {
            State::Wrong(why) => Some(why),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Wrong(_))
    }

    /// How much is left, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The fields that came after the last chunk, once.
    pub(crate) fn take_fields(&mut self) -> Option<HeaderMap> {
        self.trailers
            .take_if(|trailers| trailers.fields.is_some())?
            .fields
    }

    /// There are fields to take.
    pub(crate) fn has_fields(&self) -> bool {
        self.trailers.is_some() && self.is_done()
    }
}

/// The size of a chunk and the length of its line, if all of that is here and it
/// has no extension.
fn size_line(bytes: &[u8]) -> Option<(u64, usize)> {
    let digits = bytes
        .iter()
        .take(17)
        .position(|it| !it.is_ascii_hexdigit())?;
    if digits == 0 || !bytes[digits..].starts_with(b"\r\n") {
        return None;
    }
    let digit = |size, digit: &u8| size << 4 | u64::from(hex(*digit));
    Some((bytes[..digits].iter().fold(0, digit), digits + 2))
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
