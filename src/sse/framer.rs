//! Cuts a byte stream into frames, however the network cut it into chunks.
//!
//! The relay wants two things of every chunk: all complete frames in it as one
//! slice to pass on ([`Framer::next_run`]), and a look at each of them
//! ([`Run::frames`]). Only an incomplete tail is held back, and copied only
//! because its frame lies in two chunks. A frame over the limit is never held:
//! it passes in parts.
//!
//! Where frames end depends on the bytes alone, never on the chunking.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The largest frame held to be looked at. The largest that a provider sends
/// as a matter of course are final Responses events repeating the whole
/// answer, tens of kilobytes; images inside events go far beyond and pass in
/// parts.
pub const MAX_FRAME: usize = 1 << 20;

/// What of a long frame is held in one piece: it is not copied again and again
/// as the frame grows.
const PIECE: usize = 64 << 10;

/// See the module's page.
#[derive(Debug)]
pub struct Framer {
    max: usize,
    /// What the last `push` brought and has not been handed out.
    chunk: Bytes,
    /// The beginning of a frame whose end is not in earlier chunks: `full`
    /// pieces of it, and behind them `held`, which is not empty then. At most
    /// `max` bytes between two calls, unless they are parts to be handed out.
    full: VecDeque<Bytes>,
    held: BytesMut,
    /// Where in a frame the bytes handed out or held have led to.
    at: At,
    /// Whether the current frame has outgrown `max` and passes in parts.
    oversized: bool,
    /// Reused for the ends of the frames of one run.
    ends: Vec<usize>,
}

/// Frames to pass on, or a part of a frame too large to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The bytes, in the stream's order; never empty.
    pub bytes: Bytes,
    /// Where each frame in `bytes` ends; empty for a part.
    ends: &'a [usize],
    /// The first part of an oversized frame: its `event` field is likely
    /// here, and [`crate::dialect::Watch::see_part`] wants to see it.
    pub opens_part: bool,
}

impl Run<'_> {
    /// The complete frames in it, each with its closing blank line.
    pub fn frames(&self) -> Frames<'_> {
        Frames {
            bytes: &self.bytes,
            from: 0,
            ends: self.ends,
        }
    }

    /// Whether this is a part of a frame too large to be looked at.
    pub fn is_part(&self) -> bool {
        self.ends.is_empty()
    }
}

/// The frames of a [`Run`].
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    from: usize,
    ends: &'a [usize],
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&end, ends) = self.ends.split_first()?;
        let frame = &self.bytes[self.from..end];
        self.from = end;
        self.ends = ends;
        Some(frame)
    }
}

/// One frame, or a part of one that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A complete frame with its closing blank line.
    Frame(Bytes),
    /// A part of a frame over the limit.
    Part(Bytes),
}

impl Piece {
    /// The bytes of either.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Frame(bytes) | Self::Part(bytes) => bytes,
        }
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(MAX_FRAME)
    }
}

impl Framer {
    /// A framer at the start of a stream that holds no frame over `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            chunk: Bytes::new(),
            full: VecDeque::new(),
            held: BytesMut::new(),
            at: At::LineStart,
            oversized: false,
            ends: Vec::new(),
        }
    }

    /// Takes the next chunk of the stream. What an earlier chunk left to be
    /// handed out comes first; it costs a copy, so take everything between
    /// two calls.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            joined.extend_from_slice(&self.chunk);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The longest run of complete frames that lies in one piece of memory;
    /// `None` until more is pushed.
    ///
    /// A chunk that ends with a frame, as most do, is one run without a copy.
    /// One that begins in the middle of a frame is two: that frame, joined,
    /// and the rest.
    pub fn next_run(&mut self) -> Option<Run<'_>> {
        let (bytes, opens_part) = self.advance(usize::MAX)?;
        Some(Run {
            bytes,
            ends: &self.ends,
            opens_part,
        })
    }

    /// The next frame by itself; `None` until more is pushed.
    #[expect(
        clippy::should_implement_trait,
        reason = "not an iterator: None means not yet"
    )]
    pub fn next(&mut self) -> Option<Piece> {
        let (bytes, _) = self.advance(1)?;
        Some(if self.ends.is_empty() {
            Piece::Part(bytes)
        } else {
            Piece::Frame(bytes)
        })
    }

    /// Whatever is left at the end of the stream: an unfinished frame, or one
    /// whose closing blank line is missing. Empty in a well-formed stream.
    ///
    /// The framer is as good as new afterwards.
    pub fn rest(&mut self) -> Bytes {
        let chunk = mem::take(&mut self.chunk);
        self.at = At::LineStart;
        self.oversized = false;
        if self.held.is_empty() && self.full.is_empty() {
            return chunk;
        }
        self.hold(&chunk);
        self.take_held()
    }

    /// Holds more of a frame.
    fn hold(&mut self, bytes: &[u8]) {
        if !self.held.is_empty() && self.held.len() + bytes.len() > PIECE {
            self.full.push_back(mem::take(&mut self.held).freeze());
        }
        self.held.extend_from_slice(bytes);
    }

    fn held(&self) -> usize {
        self.full.iter().map(Bytes::len).sum::<usize>() + self.held.len()
    }

    /// All that is held, in one piece.
    fn take_held(&mut self) -> Bytes {
        if self.full.is_empty() {
            return self.held.split().freeze();
        }
        let mut joined = BytesMut::with_capacity(self.held());
        self.full
            .drain(..)
            .for_each(|piece| joined.extend_from_slice(&piece));
        joined.extend_from_slice(&mem::take(&mut self.held));
        joined.freeze()
    }

    /// Hands out up to `most` frames, or a part; leaves the frames' ends in
    /// `self.ends` and says whether a part is its frame's first.
    fn advance(&mut self, most: usize) -> Option<(Bytes, bool)> {
        self.ends.clear();
        if self.oversized {
            let part = self.full.pop_front().or_else(|| self.finish_oversized());
            if let Some(bytes) = part {
                return Some((bytes, false));
            }
        }
        if self.chunk.is_empty() {
            return None;
        }
        if !self.held.is_empty() {
            return self.finish_held();
        }
        self.take_run(most)
    }

    /// The rest of an oversized frame as far as it is here.
    fn finish_oversized(&mut self) -> Option<Bytes> {
        let bytes = match find_end(&self.chunk, &mut self.at) {
            Some(end) => {
                self.oversized = false;
                self.chunk.split_to(end)
            }
            None => mem::take(&mut self.chunk),
        };
        // Empty where the frame had ended with the last part and only this
        // chunk tells: its closing CR was not half a CRLF.
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The frame that an earlier chunk began, if it ends in this one.
    fn finish_held(&mut self) -> Option<(Bytes, bool)> {
        let before = self.at;
        let end = find_end(&self.chunk, &mut self.at);
        let here = end.unwrap_or(self.chunk.len());
        if self.held() + here > self.max {
            // Let go of what is held, piece by piece; the chunk is scanned
            // again as the frame's next part.
            self.full.push_back(mem::take(&mut self.held).freeze());
            self.oversized = true;
            self.at = before;
            return self.full.pop_front().map(|first| (first, true));
        }
        let more = self.chunk.split_to(here);
        self.hold(&more);
        end?;
        let frame = self.take_held();
        self.ends.push(frame.len());
        Some((frame, false))
    }

    /// Complete frames at the beginning of the chunk. Holds an incomplete one
    /// behind them.
    fn take_run(&mut self, most: usize) -> Option<(Bytes, bool)> {
        let mut taken = 0;
        while self.ends.len() < most && taken < self.chunk.len() {
            let left = &self.chunk[taken..];
            let end = find_end(left, &mut self.at);
            let length = end.unwrap_or(left.len());
            if length > self.max {
                return Some(self.open_part(taken, length, end.is_none()));
            }
            if end.is_none() {
                let left = self.chunk.split_off(taken);
                self.hold(&left);
                break;
            }
            taken += length;
            self.ends.push(taken);
        }
        (taken > 0).then(|| (self.chunk.split_to(taken), false))
    }

    /// An oversized frame begins at `taken`: hands out the frames before it,
    /// or else as much of it as is here.
    fn open_part(&mut self, taken: usize, length: usize, unfinished: bool) -> (Bytes, bool) {
        if taken > 0 {
            self.at = At::LineStart;
            return (self.chunk.split_to(taken), false);
        }
        self.oversized = unfinished;
        (self.chunk.split_to(length), true)
    }
}

/// Where a scan stands between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of a line, the last one having ended with a line feed, or
    /// at the start of a frame. A line end here closes the frame.
    LineStart,
    /// Within a line.
    Line,
    /// After a line's CR: an LF is still part of that line's end, and a
    /// second CR closes the frame at once. (Waiting for an LF to follow that
    /// one too would hold every frame of a CR-only stream until the next.)
    AfterCr,
    /// After the CR of a blank line in a stream of LF or CRLF: an LF would
    /// belong to it, so the frame's end is known with the next byte.
    BlankCr,
}

/// The end of the first frame that ends in `bytes`, its closing line end
/// included; 0 if it ended just before. Leaves `at` where the scan stopped,
/// which is the start of the next frame if one ended.
fn find_end(bytes: &[u8], at: &mut At) -> Option<usize> {
    let mut next = 0;
    while let Some(&byte) = bytes.get(next) {
        *at = match (*at, byte) {
            (At::BlankCr, b'\n') | (At::LineStart, b'\n') | (At::AfterCr, b'\r') => {
                *at = At::LineStart;
                return Some(next + 1);
            }
            (At::BlankCr, _) => {
                *at = At::LineStart;
                return Some(next);
            }
            (At::LineStart, b'\r') => At::BlankCr,
            (At::AfterCr, b'\n') => At::LineStart,
            (At::LineStart | At::AfterCr | At::Line, _) => {
                let Some(end) = memchr2(b'\n', b'\r', &bytes[next..]) else {
                    *at = At::Line;
                    return None;
                };
                next += end;
                if bytes[next] == b'\n' {
                    At::LineStart
                } else {
                    At::AfterCr
                }
            }
        };
        next += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sse::fuzz_framer;

    #[test]
    fn a_long_frame_is_held_in_pieces_and_comes_whole_or_in_parts() {
        let frame = format!("data: {}\n\n", "x".repeat(3 * PIECE));
        for (max, frames) in [(4 * PIECE, 1), (2 * PIECE, 0)] {
            let mut framer = Framer::new(max);
            let (mut came, mut whole) = (Vec::new(), 0);
            for chunk in frame.as_bytes().chunks(1000) {
                framer.push(Bytes::copy_from_slice(chunk));
                while let Some(run) = framer.next_run() {
                    assert!(run.bytes.len() <= PIECE || !run.is_part());
                    whole += run.frames().count();
                    came.extend_from_slice(&run.bytes);
                }
            }
            assert_eq!((came.as_slice(), whole), (frame.as_bytes(), frames));
            assert!(framer.rest().is_empty());
        }
    }

    fn frames_of(stream: &str) -> (Vec<String>, String) {
        let mut framer = Framer::default();
        framer.push(Bytes::copy_from_slice(stream.as_bytes()));
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let frames = std::iter::from_fn(|| framer.next())
            .map(|piece| text(piece.into_bytes()))
            .collect();
        (frames, text(framer.rest()))
    }

    #[test]
    fn frames_end_with_a_blank_line_of_any_kind() {
        let rows: [(&str, &[&str], &str); 13] = [
            ("", &[], ""),
            ("data: a\n\n", &["data: a\n\n"], ""),
            ("data: a\n\ndata: b", &["data: a\n\n"], "data: b"),
            ("a\r\n\r\nb\r\n\r\n", &["a\r\n\r\n", "b\r\n\r\n"], ""),
            ("a\r\rb\r\r", &["a\r\r", "b\r\r"], ""),
            ("a\n\r\nb\r\n\n", &["a\n\r\n", "b\r\n\n"], ""),
            ("a\n\rb", &["a\n\r"], "b"),
            ("a\n\r", &[], "a\n\r"),
            ("a\r\r\n", &["a\r\r", "\n"], ""),
            ("a\nb\r\nc\rd\n\n", &["a\nb\r\nc\rd\n\n"], ""),
            (": note\n\n\n", &[": note\n\n", "\n"], ""),
            ("\r\na\n\n", &["\r\n", "a\n\n"], ""),
            ("\u{feff}data: a\n\n", &["\u{feff}data: a\n\n"], ""),
        ];
        for (stream, frames, rest) in rows {
            let (got, left) = frames_of(stream);
            assert_eq!(got, frames, "{stream:?}");
            assert_eq!(left, rest, "{stream:?}");
        }
    }

    #[test]
    fn a_chunk_of_whole_frames_is_one_run_without_a_copy() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n: c\n\n");
        let mut framer = Framer::default();
        framer.push(chunk.clone());
        let run = framer.next_run().unwrap();
        assert_eq!(run.bytes.as_ptr(), chunk.as_ptr());
        assert_eq!(run.bytes, chunk);
        assert_eq!(run.frames().count(), 3);
        assert_eq!(framer.next_run(), None);
        assert!(framer.rest().is_empty());
    }

    #[test]
    fn only_the_incomplete_tail_waits() {
        let mut framer = Framer::default();
        framer.push(Bytes::from_static(b"data: a\n\ndata: "));
        assert_eq!(framer.next_run().unwrap().bytes, "data: a\n\n");
        assert_eq!(framer.next_run(), None);
        framer.push(Bytes::from_static(b"b\n\ndata: c\n\nda"));
        assert_eq!(framer.next_run().unwrap().bytes, "data: b\n\n");
        assert_eq!(framer.next_run().unwrap().bytes, "data: c\n\n");
        assert_eq!(framer.next_run(), None);
        assert_eq!(framer.rest(), "da");
    }

    #[test]
    fn an_oversized_frame_passes_without_being_held() {
        let mut framer = Framer::new(10);
        framer.push(Bytes::from_static(b"a\n\ndata: 6"));
        assert_eq!(framer.next_run().unwrap().bytes, "a\n\n");
        assert_eq!(framer.next_run(), None);
        framer.push(Bytes::from_static(b"89012"));
        for (bytes, opens) in [("data: 6", true), ("89012", false)] {
            let run = framer.next_run().unwrap();
            assert!(run.is_part());
            assert_eq!((&run.bytes[..], run.opens_part), (bytes.as_bytes(), opens));
        }
        assert_eq!(framer.next_run(), None);
        framer.push(Bytes::from_static(b"3\n\nb\n\n"));
        assert_eq!(framer.next(), Some(Piece::Part("3\n\n".into())));
        assert_eq!(framer.next(), Some(Piece::Frame("b\n\n".into())));
        assert_eq!(framer.next(), None);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            stream in "[ad:\n\r]{0,120}",
            max in 1u8..,
            sizes in proptest::array::uniform8(0u8..9),
        ) {
            let mut input = vec![max];
            input.extend(sizes);
            input.extend(stream.as_bytes());
            fuzz_framer(&input);
        }
    }
}
