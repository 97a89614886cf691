//! Bytes in the order they came, let go from the front.
//!
//! A model's words come in pieces of some hundred bytes. Those who are up to
//! date want them like that; for those who come later, and for memory's sake,
//! they are joined into blocks. The log ends in loose pieces, fewer than
//! [`MOST_LOOSE`] and less than [`BLOCK`] bytes in all, which bounds both what
//! one copy costs and how many pieces there are.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces as large as this are handed out as they are: it fills a TLS record,
/// and copying it takes a microsecond.
const BLOCK: u64 = 16 << 10;

/// How many loose pieces there may be, whatever they hold.
const MOST_LOOSE: usize = 64;

/// See the top of the file.
#[derive(Default)]
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
    /// How many of the last are loose.
    loose: usize,
    /// Bytes ever pushed.
    end: u64,
}

struct Piece {
    /// The bytes before it.
    start: u64,
    bytes: Bytes,
}

impl Pieces {
    /// Bytes ever pushed.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends.
    pub(super) fn push(&mut self, bytes: Bytes) {
        let len = bytes.len() as u64;
        if len == 0 {
            return;
        }
        if len >= BLOCK {
            self.settle();
            self.append(bytes);
            self.loose = 0;
            return;
        }
        self.append(bytes);
        let start = self.pieces[self.first_loose()].start;
        if self.end - start >= BLOCK {
            self.settle();
        } else if self.loose == MOST_LOOSE {
            self.join(self.first_loose());
        }
    }

    /// What there is from `at` on: one piece, or all loose ones as one.
    /// `None` if there is nothing yet. What was let go may not be asked for.
    pub(super) fn read(&mut self, at: u64) -> Option<Bytes> {
        if at == self.end {
            return None;
        }
        let index = self.pieces.partition_point(|piece| piece.start <= at) - 1;
        if index >= self.first_loose() {
            self.join(index);
        }
        let piece = &self.pieces[index];
        Some(piece.bytes.slice((at - piece.start) as usize..))
    }

    /// Lets go of the pieces that end before `at`.
    pub(super) fn release(&mut self, at: u64) {
        while let Some(piece) = self.pieces.front()
            && piece.start + piece.bytes.len() as u64 <= at
        {
            self.pieces.pop_front();
        }
        self.loose = self.loose.min(self.pieces.len());
    }

    /// All that is held.
    pub(super) fn held(&self) -> Vec<Bytes> {
        self.pieces
            .iter()
            .map(|piece| piece.bytes.clone())
            .collect()
    }

    /// Puts the same bytes in one piece; returns what held them before.
    pub(super) fn replace(&mut self, body: Bytes) -> Self {
        let mut whole = Self::default();
        if !body.is_empty() {
            whole.append(body);
            whole.loose = 0;
        }
        std::mem::replace(self, whole)
    }

    fn first_loose(&self) -> usize {
        self.pieces.len() - self.loose
    }

    fn append(&mut self, bytes: Bytes) {
        let start = self.end;
        self.end += bytes.len() as u64;
        self.pieces.push_back(Piece { start, bytes });
        self.loose += 1;
    }

    /// Makes a block of what is loose.
    fn settle(&mut self) {
        self.join(self.first_loose());
        self.loose = 0;
    }

    /// Makes one loose piece of those from `index` on, all of them loose.
    fn join(&mut self, index: usize) {
        if self.pieces.len() < index + 2 {
            return;
        }
        let tail = self.pieces.split_off(index);
        let parts: Vec<Bytes> = tail.into_iter().map(|piece| piece.bytes).collect();
        let bytes = joined(&parts);
        self.end -= bytes.len() as u64;
        self.loose -= parts.len();
        self.append(bytes);
    }
}

/// One piece of many, in an allocation of just its size.
pub(super) fn joined(parts: &[Bytes]) -> Bytes {
    parts.concat().into()
}
