//! Those who wait for a permit: bounded, in two priorities, with deadlines.
//!
//! Pure: it is told the time and what happens, and says who is next.
//!
//! - *Interactive before batch.* So that batch calls come to their end, one
//!   hand-out in [`BATCH_TURN`] is theirs where both wait.
//! - *Oldest first; under overload newest first.* It is overload when the
//!   longest wait is over [`PATIENCE`]: then somebody waits too long whatever
//!   the order is, and this way it is few instead of all.
//! - *Whoever would be served last is turned away when it is full*: a batch
//!   call before an interactive one; the newcomer, or under overload the
//!   oldest.
//! - *Nobody waits in vain.* A call whose expected wait does not fit its
//!   deadline is turned away at once, one whose deadline has passed is never
//!   served.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::service::Service;
use crate::upstream::limit::{Class, Limit, Load};

/// While both wait, every so-manieth call let in is a batch call.
const BATCH_TURN: u32 = 10;

/// A wait that is longer than this is overload. About as long as a person
/// looks at nothing happening before wondering.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is said when nothing is known yet of how fast calls are let in.
const UNKNOWN: Duration = Duration::from_secs(1);

/// No more is asked for: official SDKs take a longer `Retry-After` for a
/// mistake and ignore it.
const LONGEST: Duration = Duration::from_secs(60);

/// Who waits when there is a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Somebody looks at the screen.
    #[default]
    Interactive,
    /// Nobody does.
    Batch,
}

impl Priority {
    /// How many calls may be in flight before one of this priority begins, of
    /// `limit`. Batch calls leave a tenth free, and at least one place, so that
    /// an interactive call seldom has to wait for a long batch call to end.
    pub fn share(self, limit: usize) -> usize {
        match self {
            Self::Interactive => limit,
            Self::Batch if limit < 2 => limit,
            Self::Batch => limit - (limit / 10).max(1),
        }
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Who waits.
    pub priority: Priority,
    /// What its time to the first token can be compared with; `None` where it
    /// has none, as it is not streamed.
    pub class: Option<Class>,
    /// When the call must be done.
    pub by: Option<Instant>,
    /// How long it is expected to hold its permit.
    pub expected: Option<Duration>,
}

/// A call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Why not.
    pub why: Why,
    /// How long it takes until all that wait now are served, as far as is
    /// known: when to come again. To be rounded up.
    pub retry_after: Duration,
}

/// Why a call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Too many wait already.
    Full,
    /// It waited, and had to leave its place to one that goes before it.
    Displaced,
    /// Its turn would come too late for it to be done in time.
    Hopeless,
    /// Its deadline passed while it waited.
    Late,
}

impl Why {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Full, Self::Displaced, Self::Hopeless, Self::Late];

    /// The word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Displaced => "displaced",
            Self::Hopeless => "hopeless",
            Self::Late => "late",
        }
    }
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A call has joined the queue.
#[derive(Debug)]
pub struct Joined<T> {
    /// Its place.
    pub ticket: Ticket,
    /// Who had to leave for it, and is to be told so.
    pub displaced: Option<(T, Turned)>,
}

/// Who is next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// It may begin.
    Served(T, Option<Class>),
    /// Its deadline has passed. There may be another.
    Late(T, Turned),
}

/// See the module. `T` is who waits.
#[derive(Debug)]
pub struct Queue<T> {
    capacity: usize,
    interactive: VecDeque<Waiter<T>>,
    batch: VecDeque<Waiter<T>>,
    next: u64,
    /// Interactive calls let in since a batch call was, while one waited.
    passed: u32,
    service: Service,
}

#[derive(Debug)]
struct Waiter<T> {
    ticket: Ticket,
    since: Instant,
    by: Option<Instant>,
    class: Option<Class>,
    who: T,
}

impl<T> Queue<T> {
    /// An empty queue for at most `capacity` calls.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            interactive: VecDeque::new(),
            batch: VecDeque::new(),
            next: 0,
            passed: 0,
            service: Service::default(),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.interactive.len() + self.batch.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of `priority` wait.
    pub fn waiting(&self, priority: Priority) -> usize {
        match priority {
            Priority::Interactive => self.interactive.len(),
            Priority::Batch => self.batch.len(),
        }
    }

    /// Whether a call of `priority` that comes now need not wait at all. Counts
    /// it as let in if so.
    pub fn passes(&mut self, priority: Priority, load: Load, limit: usize) -> bool {
        let free = load.in_flight < priority.share(limit);
        match priority {
            Priority::Batch => free && self.is_empty(),
            Priority::Interactive => {
                let passes = free && self.interactive.is_empty() && !self.is_turn_of_batch();
                if passes && !self.batch.is_empty() {
                    self.passed += 1;
                }
                passes
            }
        }
    }

    /// Joins the queue.
    ///
    /// # Errors
    /// If there is no place, or waiting makes no sense.
    pub fn join(
        &mut self,
        now: Instant,
        ask: &Ask,
        limit: &Limit,
        load: Load,
        who: T,
    ) -> Result<Joined<T>, Turned> {
        let drained = self.drained(now, ask, limit, load);
        let turned = |why| Turned {
            why,
            retry_after: drained.map_or(UNKNOWN, |wait| wait.min(LONGEST)),
        };
        let wait = match self.is_overloaded(now) && ask.priority == Priority::Interactive {
            // It is next; as far as is known.
            true => self.wait_of(now, 1, ask, limit, load),
            false => drained,
        };
        let needs = wait.unwrap_or_default() + ask.expected.unwrap_or_default();
        if ask.by.is_some_and(|by| now + needs > by || by <= now) {
            return Err(turned(Why::Hopeless));
        }
        let displaced = match self.len() < self.capacity {
            true => None,
            false => Some(self.displace(now, ask.priority).ok_or(turned(Why::Full))?),
        };
        if self.is_empty() {
            self.service.begin(now);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        let waiter = Waiter {
            ticket,
            since: now,
            by: ask.by,
            class: ask.class,
            who,
        };
        self.line(ask.priority).push_back(waiter);
        let displaced = displaced.map(|left| (left.who, turned(Why::Displaced)));
        Ok(Joined { ticket, displaced })
    }

    /// Leaves the queue; `None` if it has been served or told already.
    pub fn leave(&mut self, now: Instant, ticket: Ticket) -> Option<T> {
        let left = [Priority::Interactive, Priority::Batch]
            .into_iter()
            .find_map(|priority| {
                let line = self.line(priority);
                let at = line.binary_search_by_key(&ticket, |waiter| waiter.ticket);
                line.remove(at.ok()?)
            });
        self.rest(now);
        left.map(|waiter| waiter.who)
    }

    /// Somebody gave a permit back. To be told while anybody waits.
    pub fn ended(&mut self, now: Instant) {
        if !self.is_empty() {
            self.service.ended(now);
        }
    }

    /// Who is next; `None` if nobody may begin.
    pub fn next(&mut self, now: Instant, limit: &Limit, load: Load) -> Option<Next<T>> {
        let most = limit.most(now);
        let priority = self.whose_turn(load.in_flight, most)?;
        let newest_first = priority == Priority::Interactive && self.is_overloaded(now);
        let line = self.line(priority);
        let waiter = match newest_first {
            true => line.pop_back(),
            false => line.pop_front(),
        }?;
        self.rest(now);
        if waiter.by.is_some_and(|by| by <= now) {
            return Some(Next::Late(waiter.who, self.late(now, limit, load)));
        }
        self.passed = match priority {
            Priority::Interactive if !self.batch.is_empty() => self.passed + 1,
            _ => 0,
        };
        Some(Next::Served(waiter.who, waiter.class))
    }

    /// What to tell a call whose deadline has passed.
    pub fn late(&self, now: Instant, limit: &Limit, load: Load) -> Turned {
        let drained = self.drained(now, &Ask::default(), limit, load);
        Turned {
            why: Why::Late,
            retry_after: drained.map_or(UNKNOWN, |wait| wait.min(LONGEST)),
        }
    }

    fn whose_turn(&self, in_flight: usize, most: usize) -> Option<Priority> {
        let free = |priority: Priority| in_flight < priority.share(most);
        if self.is_turn_of_batch() && free(Priority::Interactive) {
            return Some(Priority::Batch);
        }
        [Priority::Interactive, Priority::Batch]
            .into_iter()
            .find(|priority| self.waiting(*priority) > 0 && free(*priority))
    }

    /// So many interactive calls have passed the batch calls that one of those
    /// may take any place that is free.
    fn is_turn_of_batch(&self) -> bool {
        self.passed + 1 >= BATCH_TURN && !self.batch.is_empty()
    }

    fn is_overloaded(&self, now: Instant) -> bool {
        let oldest = self.interactive.front();
        oldest.is_some_and(|oldest| now.saturating_duration_since(oldest.since) > PATIENCE)
    }

    /// Takes out who would be served last, if that is not a newcomer of
    /// `priority`.
    fn displace(&mut self, now: Instant, priority: Priority) -> Option<Waiter<T>> {
        match priority {
            Priority::Batch => None,
            Priority::Interactive if !self.batch.is_empty() => self.batch.pop_back(),
            Priority::Interactive if self.is_overloaded(now) => self.interactive.pop_front(),
            Priority::Interactive => None,
        }
    }

    /// How long it takes to serve all that wait before a call as `ask`, and
    /// that one.
    fn drained(&self, now: Instant, ask: &Ask, limit: &Limit, load: Load) -> Option<Duration> {
        let ahead = match ask.priority {
            Priority::Interactive => self.interactive.len(),
            Priority::Batch => self.len(),
        };
        self.wait_of(now, ahead + 1, ask, limit, load)
    }

    /// How long until the `nth` that waits is let in; `None` if nothing is
    /// known.
    fn wait_of(
        &self,
        now: Instant,
        nth: usize,
        ask: &Ask,
        limit: &Limit,
        load: Load,
    ) -> Option<Duration> {
        let most = limit.current(now).unwrap_or(usize::MAX);
        // A limit that has come down lets nobody in until it is reached.
        let over = load.in_flight.saturating_sub(most);
        let each = self.service.each(now, most, ask.expected);
        let served = each.map(|each| each.saturating_mul((nth + over) as u32));
        let held = Some(limit.held(now)).filter(|held| !held.is_zero());
        let wait = served.max(held)?;
        // A limit that grows by itself lets them in though none ends.
        let opens = limit.opens(now, load.in_flight + nth);
        Some(opens.map_or(wait, |opens| wait.min(opens)))
    }

    /// Nobody waits any more: how long the next one does has to do with now no
    /// longer.
    fn rest(&mut self, now: Instant) {
        if self.is_empty() {
            self.service.rest(now);
            self.passed = 0;
        }
    }

    fn line(&mut self, priority: Priority) -> &mut VecDeque<Waiter<T>> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }
}

#[cfg(test)]
mod tests;
