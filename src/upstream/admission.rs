//! Who may proceed to an upstream now, who waits, and who is turned away.
//!
//! [`Admission`] hands out [`Permit`]s, no more at a time than its [`Limit`]
//! allows. While there is room a permit costs one compare-and-swap
//! ([`gate`]); only where the limit is watching, or somebody waits, is there a
//! lock. The order of those who wait is decided by [`queue`], which is pure.
//!
//! Nothing here belongs to a runtime: whoever gives a permit back wakes who is
//! next, on whatever thread that is.

mod gate;
pub mod queue;
mod service;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::limit::{Class, Limit, Mark, Outcome, Rule};
use gate::Gate;
pub use queue::{Ask, Priority, Turned, Why};
use queue::{Next, Queue, Ticket};

#[cfg(test)]
mod tests;

/// The way in to one upstream. See the module.
#[derive(Debug)]
pub struct Admission {
    gate: Gate,
    /// Locked by whoever finds the gate attended, for less than a microsecond;
    /// nobody is woken within.
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    limit: Limit,
    queue: Queue<Slot>,
}

/// Where a waiting call is told. If the call is gone, the permit is dropped and
/// so goes to the next.
type Slot = oneshot::Sender<Result<Permit, Turned>>;

/// What is told to whom, as soon as the lock is open.
type News = Vec<(Slot, Result<Permit, Turned>)>;

/// How an admission stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Calls that may be in flight; `None` while there is no limit.
    pub limit: Option<usize>,
    /// Calls that are.
    pub in_flight: usize,
    /// Interactive calls that wait.
    pub interactive: usize,
    /// Batch calls that wait.
    pub batch: usize,
}

impl Admission {
    /// An admission by `rule`, before which at most `queue` calls wait.
    pub fn new(rule: Rule, queue: usize, now: Instant) -> Arc<Self> {
        let limit = Limit::new(rule, now);
        let gate = Gate::new(limit.most(now));
        if limit.is_watching(now) {
            gate.attend();
        }
        let queue = Queue::new(queue);
        let inside = Mutex::new(Inside { limit, queue });
        Arc::new(Self { gate, inside })
    }

    /// Waits for a permit, in the order of [`queue`]. Dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    /// If the queue is full, or the deadline of `ask` would pass or has passed
    /// before the call could be done.
    pub async fn enter(self: &Arc<Self>, now: Instant, ask: &Ask) -> Result<Permit, Turned> {
        if self.gate.pass(|limit| ask.priority.share(limit)) {
            return Ok(Permit::new(self, Mark::unseen(now)));
        }
        match self.arrive(now, ask)? {
            Arrived::In(permit) => Ok(permit),
            Arrived::Waits(place) => place.wait(ask.by).await,
        }
    }

    /// A permit without waiting, or past anybody who waits: for a call that
    /// need not be made.
    pub fn try_enter(self: &Arc<Self>, now: Instant, ask: &Ask) -> Option<Permit> {
        if self.gate.pass(|limit| ask.priority.share(limit)) {
            return Some(Permit::new(self, Mark::unseen(now)));
        }
        self.within(now, |inside, _| {
            let waits = inside.queue.len();
            (waits == 0).then(|| self.pass(now, ask, inside)).flatten()
        })
    }

    /// The limit, and how much of it is used.
    pub fn gauges(&self, now: Instant) -> Gauges {
        let in_flight = self.gate.see().in_flight();
        let inside = self.inside.lock();
        Gauges {
            limit: inside.limit.current(now),
            in_flight,
            interactive: inside.queue.waiting(Priority::Interactive),
            batch: inside.queue.waiting(Priority::Batch),
        }
    }

    /// A call that came now would have to wait.
    pub fn is_full(&self, now: Instant) -> bool {
        let seen = self.gate.see();
        if !seen.is_attended() {
            return seen.in_flight() >= seen.limit();
        }
        let inside = self.inside.lock();
        !inside.queue.is_empty() || seen.in_flight() >= inside.limit.most(now)
    }

    /// Nine tenths of the limit are in use, or somebody waits: no time for
    /// calls that need not be made.
    pub fn is_near(&self) -> bool {
        let seen = self.gate.see();
        seen.in_flight() * 10 >= seen.limit() * 9
    }

    /// A call that has not found the gate open.
    fn arrive(self: &Arc<Self>, now: Instant, ask: &Ask) -> Result<Arrived, Turned> {
        self.within(now, |inside, news| {
            if let Some(permit) = self.pass(now, ask, inside) {
                return Ok(Arrived::In(permit));
            }
            let (slot, told) = oneshot::channel();
            let load = self.gate.see().load(inside.queue.len());
            let joined = inside.queue.join(now, ask, &inside.limit, load, slot)?;
            if let Some((slot, turned)) = joined.displaced {
                news.push((slot, Err(turned)));
            }
            Ok(Arrived::Waits(Place {
                ticket: joined.ticket,
                told,
                admission: self.clone(),
            }))
        })
    }

    /// A permit at once, if that is fair.
    fn pass(self: &Arc<Self>, now: Instant, ask: &Ask, inside: &mut Inside) -> Option<Permit> {
        let load = self.gate.see().load(inside.queue.len());
        let most = inside.limit.most(now);
        let passes = inside.queue.passes(ask.priority, load, most);
        passes.then(|| self.permit(now, ask.class, inside))
    }

    /// Runs `act` under the lock, then lets in whoever may begin.
    fn within<R>(
        self: &Arc<Self>,
        now: Instant,
        act: impl FnOnce(&mut Inside, &mut News) -> R,
    ) -> R {
        let mut news = News::new();
        let result = {
            let mut inside = self.inside.lock();
            self.gate.attend();
            let result = act(&mut inside, &mut news);
            self.let_in(now, &mut inside, &mut news);
            result
        };
        for (slot, news) in news {
            // What a call that is gone was told is dropped: a permit comes
            // back here and finds the lock open.
            let _gone = slot.send(news);
        }
        result
    }

    fn let_in(self: &Arc<Self>, now: Instant, inside: &mut Inside, news: &mut News) {
        loop {
            let load = self.gate.see().load(inside.queue.len());
            inside.limit.tick(now, load);
            match inside.queue.next(now, &inside.limit, load) {
                Some(Next::Served(slot, class)) => {
                    news.push((slot, Ok(self.permit(now, class, inside))));
                }
                Some(Next::Late(slot, turned)) => news.push((slot, Err(turned))),
                None => break,
            }
        }
        self.gate.set_limit(inside.limit.most(now));
        if inside.queue.is_empty() && !inside.limit.is_watching(now) {
            self.gate.leave_alone();
        }
    }

    /// Takes a place, which is free.
    fn permit(self: &Arc<Self>, now: Instant, class: Option<Class>, inside: &mut Inside) -> Permit {
        self.gate.take();
        let load = self.gate.see().load(inside.queue.len());
        Permit::new(self, inside.limit.begin(now, class, load))
    }
}

enum Arrived {
    In(Permit),
    Waits(Place),
}

/// A call's place in the queue; left when dropped.
struct Place {
    ticket: Ticket,
    told: oneshot::Receiver<Result<Permit, Turned>>,
    admission: Arc<Admission>,
}

impl Place {
    async fn wait(mut self, by: Option<Instant>) -> Result<Permit, Turned> {
        loop {
            let look = self
                .admission
                .inside
                .lock()
                .limit
                .look_again(Instant::now());
            let Some(until) = by.into_iter().chain(look).min() else {
                return self.hear().await;
            };
            tokio::select! {
                biased;
                told = self.hear() => return told,
                () = sleep_until(until) => {}
            }
            let now = Instant::now();
            if by.is_some_and(|by| by <= now) {
                return match self.admission.give_up(now, self.ticket) {
                    Some(turned) => Err(turned),
                    // It has just been let in, or told.
                    None => self.hear().await,
                };
            }
            // Time alone may have made room.
            self.admission.within(now, |_, _| {});
        }
    }

    async fn hear(&mut self) -> Result<Permit, Turned> {
        let told = (&mut self.told).await;
        told.expect("whoever leaves the queue is told, or has dropped its place")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whether it had been told or not: what it was told is dropped next,
        // and a permit goes on to the next call.
        let _left = self.admission.give_up(Instant::now(), self.ticket);
    }
}

impl Admission {
    /// Takes a call out of the queue, if it is in there.
    fn give_up(self: &Arc<Self>, now: Instant, ticket: Ticket) -> Option<Turned> {
        let (slot, turned) = self.within(now, |inside, _| {
            let slot = inside.queue.leave(now, ticket)?;
            let load = self.gate.see().load(inside.queue.len());
            Some((slot, inside.queue.late(now, &inside.limit, load)))
        })?;
        drop(slot);
        Some(turned)
    }
}

/// The right to have one call in flight; given back when dropped, which is when
/// the last byte of the answer has come.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    mark: Mark,
    answering: bool,
    reported: bool,
}

impl Permit {
    fn new(admission: &Arc<Admission>, mark: Mark) -> Self {
        Self {
            admission: admission.clone(),
            mark,
            answering: false,
            reported: false,
        }
    }

    /// When it was given.
    pub fn since(&self) -> Instant {
        self.mark.since
    }

    /// The first that is heard of the call: its first content, or how it
    /// failed. What is reported later is ignored; what is never reported was
    /// cancelled.
    pub fn report(&mut self, now: Instant, outcome: Outcome) {
        if self.reported {
            return;
        }
        self.reported = true;
        self.answers();
        let seen = self.admission.gate.see();
        if seen.is_attended() || matches!(outcome, Outcome::Overloaded { .. }) {
            let mark = self.mark;
            self.admission.learn(now, mark, outcome);
        }
    }

    fn answers(&mut self) {
        if !self.answering {
            self.answering = true;
            self.admission.gate.answering();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.admission.gate.give(self.answering) {
            return;
        }
        let now = Instant::now();
        self.admission.within(now, |inside, _| {
            if !self.reported {
                let load = self.admission.gate.see().load(inside.queue.len());
                let mark = self.mark;
                inside.limit.learn(now, mark, Outcome::Cancelled, load);
            }
            inside.queue.ended(now);
        });
    }
}

impl Admission {
    fn learn(self: &Arc<Self>, now: Instant, mark: Mark, outcome: Outcome) {
        self.within(now, |inside, _| {
            let load = self.gate.see().load(inside.queue.len());
            inside.limit.learn(now, mark, outcome, load);
        });
    }
}
