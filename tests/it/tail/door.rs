//! The way in to one target: the limit and the line before it, driven as
//! `upstream::admission` drives them, but by a simulation's clock.

use nowait::upstream::admission::queue::{Ask, Next, Queue, Ticket};
use nowait::upstream::limit::{Class, Limit, Load, Mark, Outcome, Rule};
use tokio::time::Instant;

/// See the module.
pub(crate) struct Door {
    limit: Limit,
    is_hosted: bool,
    queue: Queue<usize>,
    in_flight: usize,
    answering: usize,
}

/// What an attempt holds that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit {
    mark: Mark,
    is_heard: bool,
}

/// What becomes of an attempt that comes.
pub(crate) enum Entry {
    In(Permit),
    /// It waits; perhaps another had to make room.
    Waits(Ticket, Option<usize>),
    Turned,
}

impl Door {
    /// A door by the rule that `word` names; none if that is `off`.
    pub(crate) fn new(word: &str, queue: usize, now: Instant) -> Option<Self> {
        let rule = match word {
            "off" => return None,
            "aimd" => Rule::Aimd,
            "gradient" => Rule::Gradient,
            // Set by `know` before anybody comes.
            "known" => Rule::Fixed(1),
            number => Rule::Fixed(number.parse().unwrap()),
        };
        Some(Self {
            limit: Limit::new(rule, now),
            is_hosted: rule == Rule::Aimd,
            queue: Queue::new(queue),
            in_flight: 0,
            answering: 0,
        })
    }

    /// Somebody who knows better sets the limit.
    pub(crate) fn know(&mut self, slots: usize, now: Instant) {
        self.limit = Limit::new(Rule::Fixed(slots), now);
    }

    pub(crate) fn limit(&self, now: Instant) -> usize {
        self.limit.most(now)
    }

    /// There is no room for calls that need not be made.
    pub(crate) fn is_near(&self, now: Instant) -> bool {
        let limit = self.limit.current(now);
        limit.is_some_and(|limit| self.in_flight * 10 >= limit * 9)
    }

    /// A call that came now would have to wait, for what refusals have shown.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.is_hosted && (!self.queue.is_empty() || self.in_flight >= self.limit.most(now))
    }

    fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight,
            answering: self.answering,
            waiting: self.queue.len(),
        }
    }

    pub(crate) fn enter(&mut self, now: Instant, ask: &Ask, attempt: usize) -> Entry {
        let load = self.load();
        let most = self.limit.most(now);
        if self.queue.passes(ask.priority, load, most) {
            return Entry::In(self.permit(now, ask.class));
        }
        match self.queue.join(now, ask, &self.limit, load, attempt) {
            Ok(joined) => Entry::Waits(joined.ticket, joined.displaced.map(|(who, _)| who)),
            Err(_) => Entry::Turned,
        }
    }

    /// The next that may begin, or whose time is over.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(usize, Option<Permit>)> {
        let load = self.load();
        self.limit.tick(now, load);
        match self.queue.next(now, &self.limit, load)? {
            Next::Served(attempt, class) => Some((attempt, Some(self.permit(now, class)))),
            Next::Late(attempt, _) => Some((attempt, None)),
        }
    }

    /// When time alone may have made room for somebody who waits.
    pub(crate) fn look_again(&self, now: Instant) -> Option<Instant> {
        let at = self.limit.look_again(now);
        at.filter(|_| !self.queue.is_empty())
    }

    pub(crate) fn leave(&mut self, now: Instant, ticket: Ticket) {
        self.queue.leave(now, ticket);
    }

    /// The first is heard of a call.
    pub(crate) fn report(&mut self, now: Instant, permit: &mut Permit, outcome: Outcome) {
        permit.is_heard = true;
        self.answering += 1;
        self.limit.learn(now, permit.mark, outcome, self.load());
    }

    /// A call is over.
    pub(crate) fn give_back(&mut self, now: Instant, permit: Permit) {
        self.in_flight -= 1;
        if permit.is_heard {
            self.answering -= 1;
        } else {
            let load = self.load();
            self.limit.learn(now, permit.mark, Outcome::Cancelled, load);
        }
        self.queue.ended(now);
    }

    fn permit(&mut self, now: Instant, class: Option<Class>) -> Permit {
        self.in_flight += 1;
        let load = self.load();
        Permit {
            mark: self.limit.begin(now, class, load),
            is_heard: false,
        }
    }
}
