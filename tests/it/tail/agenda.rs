//! What will happen when: a heap of events on virtual time. Nothing sleeps, and
//! of two events at the same instant the one that was entered first is first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

/// Events to come.
pub(crate) struct Agenda<E> {
    base: Instant,
    /// Nanoseconds since the beginning.
    now: u64,
    entered: u64,
    heap: BinaryHeap<Reverse<Entry<E>>>,
}

impl<E> Agenda<E> {
    /// An empty one that begins at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            base: now,
            now: 0,
            entered: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Instant {
        self.base + self.at()
    }

    /// The time since the beginning.
    pub(crate) fn at(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Enters an event, for the present where `at` is past.
    pub(crate) fn enter(&mut self, at: Instant, event: E) {
        let at = at.saturating_duration_since(self.base).as_nanos();
        let at = u64::try_from(at).expect("no scenario lasts for centuries");
        self.entered += 1;
        self.heap.push(Reverse(Entry {
            key: u128::from(at.max(self.now)) << 64 | u128::from(self.entered),
            event,
        }));
    }

    /// The next event, whose instant becomes the present.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = (entry.key >> 64) as u64;
        Some(entry.event)
    }
}

struct Entry<E> {
    /// Nanoseconds since the beginning, then the order of entering. One number,
    /// because a heap compares little else.
    key: u128,
    event: E,
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Entry<E> {}
