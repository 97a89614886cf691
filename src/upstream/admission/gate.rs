//! The counts of an admission in one word, so that taking a place is one
//! compare-and-swap and never goes past the limit.
//!
//! Bits, from the lowest: 21 each for the calls in flight, those of them that
//! are answering, and the limit; the highest says that the gate is *attended*:
//! whoever comes or goes has to see to the lock behind it. The bit is only
//! changed under that lock. Whoever sets it looks at the counts afterwards, and
//! whoever gives a place back looks at the bit in the same step: so one of the
//! two sees the other, and nobody waits beside a free place.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::upstream::limit::Load;

const BITS: u32 = 21;
/// Two million calls: no process has as many.
const MOST: u64 = (1 << BITS) - 1;
const IN_FLIGHT: u64 = 1;
const ANSWERING: u64 = 1 << BITS;
const LIMIT: u64 = 1 << (2 * BITS);
const ATTENDED: u64 = 1 << (3 * BITS);

/// See the module.
#[derive(Debug)]
pub(super) struct Gate(AtomicU64);

/// What the word says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) fn in_flight(self) -> usize {
        (self.0 & MOST) as usize
    }

    pub(super) fn answering(self) -> usize {
        ((self.0 / ANSWERING) & MOST) as usize
    }

    pub(super) fn limit(self) -> usize {
        ((self.0 / LIMIT) & MOST) as usize
    }

    pub(super) fn is_attended(self) -> bool {
        self.0 & ATTENDED != 0
    }

    pub(super) fn load(self, waiting: usize) -> Load {
        Load {
            in_flight: self.in_flight(),
            answering: self.answering(),
            waiting,
        }
    }
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self(AtomicU64::new((limit as u64).min(MOST) * LIMIT))
    }

    pub(super) fn see(&self) -> Seen {
        Seen(self.0.load(Ordering::SeqCst))
    }

    /// Takes a place if the gate is not attended and `share` of the limit is
    /// not in use.
    pub(super) fn pass(&self, share: impl Fn(usize) -> usize) -> bool {
        let take = |word| {
            let seen = Seen(word);
            let free = !seen.is_attended() && seen.in_flight() < share(seen.limit());
            free.then_some(word + IN_FLIGHT)
        };
        let (set, fetch) = (Ordering::SeqCst, Ordering::Relaxed);
        self.0.fetch_update(set, fetch, take).is_ok()
    }

    /// Takes a place under the lock: with the gate attended nobody else does.
    pub(super) fn take(&self) {
        self.0.fetch_add(IN_FLIGHT, Ordering::SeqCst);
    }

    /// A call is heard of.
    pub(super) fn answering(&self) {
        self.0.fetch_add(ANSWERING, Ordering::SeqCst);
    }

    /// Gives a place back; whether the lock is to be seen to.
    pub(super) fn give(&self, answering: bool) -> bool {
        let given = IN_FLIGHT + if answering { ANSWERING } else { 0 };
        Seen(self.0.fetch_sub(given, Ordering::SeqCst)).is_attended()
    }

    /// From here on everybody sees to the lock, which the caller holds.
    pub(super) fn attend(&self) {
        if !self.see().is_attended() {
            self.0.fetch_or(ATTENDED, Ordering::SeqCst);
        }
    }

    /// Nobody need see to the lock, which the caller holds.
    pub(super) fn leave_alone(&self) {
        self.0.fetch_and(!ATTENDED, Ordering::SeqCst);
    }

    /// Sets the limit; the caller holds the lock.
    pub(super) fn set_limit(&self, limit: usize) {
        if self.see().limit() == limit {
            return;
        }
        let limit = (limit as u64).min(MOST) * LIMIT;
        let set = |word| Some((word & !(MOST * LIMIT)) | limit);
        let (order, fetch) = (Ordering::SeqCst, Ordering::Relaxed);
        // It always sets.
        let _before = self.0.fetch_update(order, fetch, set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_word_do_not_touch() {
        let gate = Gate::new(usize::MAX);
        assert_eq!(gate.see().limit(), MOST as usize);
        gate.set_limit(3);
        assert!(gate.pass(|limit| limit));
        assert!(gate.pass(|limit| limit - 1));
        assert!(
            !gate.pass(|limit| limit - 1),
            "a share of the limit is not all"
        );
        assert!(gate.pass(|limit| limit));
        assert!(!gate.pass(|limit| limit));
        gate.answering();
        gate.set_limit(MOST as usize);
        let load = gate.see().load(7);
        assert_eq!((load.in_flight, load.answering, load.waiting), (3, 1, 7));
        assert!(!gate.give(true));
        gate.attend();
        assert!(!gate.pass(|limit| limit), "attended: through the lock");
        gate.take();
        assert!(gate.give(false));
        gate.leave_alone();
        assert!(!gate.give(false) && !gate.give(false));
        let seen = gate.see();
        assert_eq!((seen.in_flight(), seen.answering()), (0, 0));
        assert_eq!(seen.limit(), MOST as usize);
    }
}
