//! The calls that wait for a connection, in the order they came, and the
//! connections that are being opened for them.
//!
//! Nothing here is touched on the plain path but one atomic load. How many
//! dials the waiting ones need is a pure function, [`Demand::dials`].
//!
//! Nobody is forgotten: whatever is given back is offered to all who wait, and
//! is kept only if it is good for none of them. Each of those has room for a
//! connection of its own; at every change of the counts the dials are booked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::Fault;
use super::pool::{Lease, Pool};

/// More waiting calls than this are turned away: memory is bounded.
const MAX_WAITING: usize = 10_000;

/// What a connection to this upstream can be expected to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yield {
    /// No connection has told yet whether it is HTTP/1.1 or 2.
    Unknown,
    /// So many calls at a time; 1 for HTTP/1.1.
    Calls(usize),
}

/// What is asked for and what is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Calls without a connection.
    pub(super) waiting: usize,
    /// Dials that are not overdue.
    pub(super) coming: usize,
    /// Dials, overdue or not.
    pub(super) dialing: usize,
    /// HTTP/2 connections in use by one call that will carry more as soon as
    /// the peer has said how many.
    pub(super) settling: usize,
    pub(super) open: usize,
    pub(super) max: usize,
    pub(super) yields: Yield,
}

impl Demand {
    /// How many connections to open now.
    pub(super) fn dials(&self) -> usize {
        let each = self.each();
        let short = self.waiting.saturating_sub(self.covered());
        let room = self.max.saturating_sub(self.open + self.dialing);
        // An overdue dial is replaced, and its replacement; not for ever.
        let patience = (3 * self.waiting.div_ceil(each)).saturating_sub(self.dialing);
        short.div_ceil(each).min(room).min(patience)
    }

    /// How many of the waiting ones what is on its way will serve.
    fn covered(&self) -> usize {
        let each = self.each();
        self.coming * each + self.settling * (each - 1)
    }

    fn each(&self) -> usize {
        match self.yields {
            Yield::Calls(calls) => calls.max(1),
            // Four at a time: enough not to serialise if it is HTTP/1.1, and
            // no flood of handshakes if one HTTP/2 connection will do.
            Yield::Unknown => self.waiting.div_ceil(4).max(1),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Line {
    /// How many wait. Read on the plain path.
    waiting: AtomicUsize,
    /// Locked on the cold path, for a push or a scan.
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiters: VecDeque<Waiter>,
    next: u64,
    coming: usize,
    dialing: usize,
    settling: usize,
    open: usize,
}

struct Waiter {
    id: u64,
    since: Instant,
    /// Only a connection younger than the wait will do, as long as there is
    /// room for one.
    fresh: bool,
    /// Failed dials that would have served it.
    failures: u8,
    slot: oneshot::Sender<Result<Lease, Fault>>,
}

impl Line {
    /// Joins the line; `None` if it is too long already. If `fresh`, only a
    /// connection opened from now on will do; with no room for another, one
    /// that is in use has to.
    pub(super) fn join(pool: &Arc<Pool>, since: Instant, fresh: bool) -> Option<Place> {
        let (slot, served) = oneshot::channel();
        let line = &pool.line;
        let mut queue = line.queue.lock();
        if queue.waiters.len() >= MAX_WAITING {
            return None;
        }
        let fresh = fresh && !queue.is_full(pool.options.max_connections);
        let id = queue.next;
        queue.next += 1;
        queue.waiters.push_back(Waiter {
            id,
            since,
            fresh,
            failures: 0,
            slot,
        });
        line.waiting.fetch_add(1, Ordering::SeqCst);
        Some(Place {
            id,
            fresh,
            served,
            pool: pool.clone(),
        })
    }

    /// Somebody waits.
    pub(super) fn is_anyone(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Hands `lease` to the first call it is good for; returns it if there is
    /// none. `max` connections may be open.
    pub(super) fn hand_over(&self, mut lease: Lease, max: usize) -> Option<Lease> {
        loop {
            let born = lease.link().born;
            let waiter = {
                let mut queue = self.queue.lock();
                let is_full = queue.is_full(max);
                let fits = |waiter: &Waiter| !waiter.fresh || is_full || born >= waiter.since;
                let first = queue.waiters.iter().position(fits);
                first.and_then(|at| self.remove(&mut queue, at))
            };
            let Some(waiter) = waiter else {
                return Some(lease);
            };
            match waiter.slot.send(Ok(lease)) {
                Ok(()) => return None,
                // It has just gone away.
                Err(Ok(back)) => lease = back,
                Err(Err(_)) => return None,
            }
        }
    }

    /// Books the dials that are needed now and says how many.
    pub(super) fn book(&self, yields: Yield, max: usize) -> usize {
        let mut queue = self.queue.lock();
        let dials = queue.demand(yields, max).dials();
        queue.coming += dials;
        queue.dialing += dials;
        dials
    }

    /// Books one dial nobody waits for, if there is room for it.
    pub(super) fn book_spare(&self, max: usize) -> bool {
        let mut queue = self.queue.lock();
        let room = !queue.is_full(max);
        if room {
            queue.coming += 1;
            queue.dialing += 1;
        }
        room
    }

    /// What is on its way: dials, and connections that will carry more.
    pub(super) fn on_its_way(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.coming, queue.settling)
    }

    /// Changes the counts under the lock.
    fn count(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue.lock());
    }

    /// A dial is taking long: it is no longer relied on.
    pub(super) fn overdue(&self) {
        self.count(|queue| queue.coming -= 1);
    }

    /// A dial has ended.
    pub(super) fn dialled(&self, overdue: bool) {
        self.count(|queue| {
            queue.dialing -= 1;
            queue.coming -= usize::from(!overdue);
        });
    }

    /// A connection is open.
    pub(super) fn opened(&self) {
        self.count(|queue| queue.open += 1);
    }

    /// A connection is closed.
    pub(super) fn closed(&self) {
        self.count(|queue| queue.open -= 1);
    }

    /// A connection has begun (or ceased) to promise more.
    pub(super) fn settling(&self, begins: bool) {
        self.count(|queue| match begins {
            true => queue.settling += 1,
            false => queue.settling -= 1,
        });
    }

    pub(super) fn open(&self) -> usize {
        self.queue.lock().open
    }

    pub(super) fn dialing(&self) -> usize {
        self.queue.lock().dialing
    }

    /// A dial has failed: tells those who now wait for nothing, if it is not
    /// their first disappointment or nobody else shares their dial.
    pub(super) fn disappoint(&self, fault: &Fault, yields: Yield, max: usize) {
        let mut told = Vec::new();
        {
            let mut queue = self.queue.lock();
            let covered = queue.demand(yields, max).covered();
            let without = queue.waiters.len().saturating_sub(covered);
            // Who has a dial of its own to a host that nothing else speaks for
            // is told at once.
            let bearable = u8::from(yields != Yield::Calls(1) || queue.open > 0);
            let mut at = 0;
            for _ in 0..without {
                queue.waiters[at].failures += 1;
                if queue.waiters[at].failures > bearable {
                    told.extend(self.remove(&mut queue, at));
                } else {
                    at += 1;
                }
            }
        }
        for waiter in told {
            // One that has gone away does not need to know.
            let _gone = waiter.slot.send(Err(fault.share()));
        }
    }

    fn remove(&self, queue: &mut Queue, at: usize) -> Option<Waiter> {
        let waiter = queue.waiters.remove(at)?;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(waiter)
    }
}

impl Queue {
    /// There is no room for another connection.
    fn is_full(&self, max: usize) -> bool {
        self.open + self.dialing >= max
    }

    fn demand(&self, yields: Yield, max: usize) -> Demand {
        Demand {
            waiting: self.waiters.len(),
            coming: self.coming,
            dialing: self.dialing,
            settling: self.settling,
            open: self.open,
            max,
            yields,
        }
    }
}

/// A call's place in the line; left when dropped.
pub(super) struct Place {
    id: u64,
    /// Only a connection opened from now on will do.
    pub(super) fresh: bool,
    /// What the call is waiting for.
    pub(super) served: oneshot::Receiver<Result<Lease, Fault>>,
    pool: Arc<Pool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let line = &self.pool.line;
        let mut queue = line.queue.lock();
        if let Ok(at) = queue
            .waiters
            .binary_search_by_key(&self.id, |waiter| waiter.id)
        {
            let left = line.remove(&mut queue, at);
            drop(queue);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_dials_as_the_waiting_need() {
        use Yield::{Calls, Unknown};
        let check = |waiting, coming, dialing, settling, open, yields, expected: usize| {
            let demand = Demand {
                waiting,
                coming,
                dialing,
                settling,
                open,
                max: 256,
                yields,
            };
            assert_eq!(demand.dials(), expected, "{demand:?}");
        };
        // Nobody waits, nothing is dialled.
        check(0, 0, 0, 0, 0, Unknown, 0);
        // HTTP/1.1: one each, and none twice.
        check(10, 0, 0, 0, 5, Calls(1), 10);
        check(10, 10, 10, 0, 5, Calls(1), 0);
        check(10, 4, 4, 0, 5, Calls(1), 6);
        // HTTP/2: as many as share.
        check(100, 0, 0, 0, 0, Calls(90), 2);
        check(90, 0, 0, 0, 2, Calls(5), 18);
        check(10, 0, 0, 2, 2, Calls(6), 0);
        check(11, 0, 0, 2, 2, Calls(6), 1);
        // Unknown: four at most.
        check(100, 0, 0, 0, 0, Unknown, 4);
        check(2, 0, 0, 0, 0, Unknown, 2);
        check(100, 4, 4, 0, 0, Unknown, 0);
        // No more than may be open.
        check(300, 0, 0, 0, 0, Calls(1), 256);
        check(300, 6, 6, 0, 250, Calls(1), 0);
        // Overdue dials are replaced, up to thrice as many.
        check(1, 0, 1, 0, 0, Calls(1), 1);
        check(1, 0, 2, 0, 0, Calls(1), 1);
        check(1, 0, 3, 0, 0, Calls(1), 0);
    }
}
