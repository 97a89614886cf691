//! What the recorder and the readers of one recording agree on: every
//! decision, none of the waiting. The lock around it and the wake-ups are
//! [`super`]'s.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use super::pieces::Pieces;
use super::{Broken, End};

/// Everything behind a recording's lock.
pub(super) struct State<H, F> {
    pub(super) head: Option<Arc<H>>,
    pub(super) pieces: Pieces,
    /// Set once; nothing is appended after it.
    pub(super) end: Option<End<F>>,
    /// Nobody takes a cut reader's place, because nobody joins past the limit.
    readers: Slab<Reader>,
    /// The task that writes, if it waits.
    pub(super) recorder: Option<Waker>,
    /// The recorder waits for room: readers who read wake it.
    pub(super) is_full: bool,
    /// The last reader left before the end. Stays so.
    pub(super) is_deserted: bool,
}

struct Reader {
    /// The bytes it has taken.
    at: u64,
    waker: Option<Waker>,
}

impl<H, F> Default for State<H, F> {
    fn default() -> Self {
        Self {
            head: None,
            pieces: Pieces::default(),
            end: None,
            readers: Slab::new(),
            recorder: None,
            is_full: false,
            is_deserted: false,
        }
    }
}

impl<H, F: Clone> State<H, F> {
    /// A new reader's place, from the first byte on.
    pub(super) fn admit(&mut self) -> usize {
        self.readers.insert(Reader { at: 0, waker: None })
    }

    /// A newcomer's place, if all there was is held and more, if there is
    /// more, will come.
    pub(super) fn join(&mut self, limit: u64) -> Option<usize> {
        let lives = match &self.end {
            None => !self.is_deserted,
            Some(end) => end.is_ok(),
        };
        (lives && self.pieces.end() <= limit).then(|| self.admit())
    }

    /// What the reader knows before the first byte, if there is anything.
    pub(super) fn head(&self, place: usize) -> Option<Result<Arc<H>, Broken<F>>> {
        if let Some(head) = &self.head {
            return Some(Ok(head.clone()));
        }
        if !self.readers.contains(place) {
            return Some(Err(Broken::Lagging));
        }
        self.end.clone()?.err().map(Err)
    }

    /// What the reader has next, if there is anything.
    pub(super) fn read(&mut self, place: usize) -> Option<Result<Option<Bytes>, Broken<F>>> {
        let Some(reader) = self.readers.get_mut(place) else {
            return Some(Err(Broken::Lagging));
        };
        if let Some(bytes) = self.pieces.read(reader.at) {
            reader.at += bytes.len() as u64;
            return Some(Ok(Some(bytes)));
        }
        self.end.clone().map(|end| end.map(|()| None))
    }

    /// Where the reader's waker goes, if it was not cut.
    pub(super) fn waker(&mut self, place: usize) -> Option<&mut Option<Waker>> {
        self.readers.get_mut(place).map(|reader| &mut reader.waker)
    }

    /// Takes a reader out: its waker and the recorder's, if that must know.
    pub(super) fn leave(&mut self, place: usize) -> (Option<Waker>, Option<Waker>) {
        let left = self
            .readers
            .try_remove(place)
            .and_then(|reader| reader.waker);
        if self.readers.is_empty() && self.end.is_none() {
            self.is_deserted = true;
            return (left, self.recorder.take());
        }
        (left, self.recorder_if_full())
    }

    /// The recorder, if it waits for readers to read.
    pub(super) fn recorder_if_full(&mut self) -> Option<Waker> {
        if std::mem::take(&mut self.is_full) {
            self.recorder.take()
        } else {
            None
        }
    }

    /// Moves the wakers of all who wait into `woken`.
    pub(super) fn take_wakers(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(
            self.readers
                .iter_mut()
                .filter_map(|(_, reader)| reader.waker.take()),
        );
    }

    /// Whether less than a window is unread. What everybody has read goes;
    /// if that is not enough and somebody has read all there is, who would
    /// keep that one waiting is cut.
    pub(super) fn make_room(&mut self, limit: u64, woken: &mut Vec<Waker>) -> bool {
        let end = self.pieces.end();
        let marks = || self.readers.iter().map(|(_, reader)| reader.at);
        let (Some(slowest), Some(fastest)) = (marks().min(), marks().max()) else {
            self.pieces.release(end);
            return true;
        };
        self.pieces.release(slowest);
        if end - slowest <= limit {
            return true;
        }
        if fastest < end {
            return false;
        }
        self.readers.retain(|_, reader| {
            let stays = end - reader.at <= limit;
            if !stays {
                woken.extend(reader.waker.take());
            }
            stays
        });
        let slowest = self.readers.iter().map(|(_, reader)| reader.at).min();
        self.pieces.release(slowest.unwrap_or(end));
        true
    }
}
