//! How many calls an upstream is given at a time.
//!
//! A [`Limit`] is pure: it is told what begins and how it goes, and says how
//! many calls may be in flight. Hosted APIs say when it was too much (429,
//! 529), which [`aimd`] listens to; engines of one's own only get slower to
//! their first token, which [`gradient`] watches. Who waits, and in which order,
//! is `admission`'s; what is left by the headers of answers is `quota`'s.

pub mod aimd;
pub mod gradient;

use std::time::Duration;

use tokio::time::Instant;

use aimd::Aimd;
use gradient::Gradient;

#[cfg(test)]
mod tests;

/// How the limit of an upstream is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many, at least one.
    Fixed(usize),
    /// None until the provider refuses for load, then less.
    Aimd,
    /// As many as leave the time to the first token what it is without load.
    Gradient,
}

/// Calls whose times to the first token can be compared: one model, inputs of
/// about one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(u64);

impl Class {
    /// The class of a call to the model that hashes to `model`, whose input
    /// has `size` bytes or tokens (always the same unit).
    pub fn new(model: u64, size: u64) -> Self {
        // An odd factor keeps models apart; six bits hold the logarithm.
        let model = model.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((model & !63) | u64::from(size.max(1).ilog2()))
    }
}

/// What an upstream has to do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls begun and not ended.
    pub in_flight: usize,
    /// Those among them that have been heard of.
    pub answering: usize,
    /// Calls that wait to begin.
    pub waiting: usize,
}

/// What was heard of a call first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Content: the first of a stream, or the whole answer.
    Answered,
    /// It was refused for load: 429, 503 with `Retry-After`, 529.
    Overloaded {
        /// After how long to come again, if that was said.
        again: Option<Duration>,
    },
    /// It failed otherwise, which says nothing of load.
    Failed,
    /// Nothing: it was given up before.
    Cancelled,
}

/// What a limit remembers of a call it has seen begin.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// When it began.
    pub since: Instant,
    pending: Option<usize>,
}

impl Mark {
    /// A call that began at `since` while the limit was not watching.
    pub fn unseen(since: Instant) -> Self {
        let pending = None;
        Self { since, pending }
    }
}

/// How many calls may be in flight.
#[derive(Debug)]
pub struct Limit {
    by: By,
}

#[derive(Debug)]
enum By {
    Fixed(usize),
    Aimd(Aimd),
    Gradient(Box<Gradient>),
}

impl Limit {
    /// A limit that has seen nothing.
    pub fn new(rule: Rule, now: Instant) -> Self {
        let by = match rule {
            Rule::Fixed(calls) => By::Fixed(calls.max(1)),
            Rule::Aimd => By::Aimd(Aimd::default()),
            Rule::Gradient => By::Gradient(Box::new(Gradient::new(now))),
        };
        Self { by }
    }

    /// How many calls may be in flight at `now`, at least one; `None` while there
    /// is no limit.
    pub fn current(&self, now: Instant) -> Option<usize> {
        match &self.by {
            By::Fixed(calls) => Some(*calls),
            By::Aimd(aimd) => aimd.current(now),
            By::Gradient(gradient) => Some(gradient.current()),
        }
    }

    /// The same as a number, which without a limit is never reached; nought while
    /// none is to begin ([`Limit::held`]).
    pub fn most(&self, now: Instant) -> usize {
        match self.held(now) {
            Duration::ZERO => self.current(now).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// For how long none is to begin, because all are refused and the provider said
    /// when to come again.
    pub fn held(&self, now: Instant) -> Duration {
        match &self.by {
            By::Aimd(aimd) => aimd.held(now),
            By::Fixed(_) | By::Gradient(_) => Duration::ZERO,
        }
    }

    /// How long at most until so many calls may be in flight, by time alone; `None`
    /// if that takes other calls to end.
    pub fn opens(&self, now: Instant, calls: usize) -> Option<Duration> {
        match &self.by {
            By::Aimd(aimd) => Some(aimd.opens(now, calls)),
            By::Fixed(_) | By::Gradient(_) => None,
        }
    }

    /// When [`Limit::current`] may have grown with nothing having happened;
    /// `None` if it only changes with what is heard.
    pub fn look_again(&self, now: Instant) -> Option<Instant> {
        /// Recovery is smooth, so that a tick which nobody notices is enough.
        const TICK: Duration = Duration::from_millis(50);
        let changes = match &self.by {
            By::Fixed(_) => false,
            By::Aimd(aimd) => aimd.current(now).is_some(),
            By::Gradient(_) => true,
        };
        changes.then_some(now + TICK)
    }

    /// It wants to be told of everything. Otherwise [`Outcome::Overloaded`] is
    /// enough, with [`Mark::unseen`].
    pub fn is_watching(&self, now: Instant) -> bool {
        match &self.by {
            By::Fixed(_) => false,
            By::Aimd(aimd) => aimd.is_watching(now),
            By::Gradient(_) => true,
        }
    }

    /// A call begins. `class` where a time to the first token is to be
    /// expected; `load` with the call itself.
    pub fn begin(&mut self, now: Instant, class: Option<Class>, load: Load) -> Mark {
        let pending = match (&mut self.by, class) {
            (By::Gradient(gradient), Some(class)) => gradient.begin(now, class, load),
            (By::Aimd(aimd), _) => {
                aimd.begin();
                None
            }
            _ => None,
        };
        Mark {
            since: now,
            pending,
        }
    }

    /// Something is heard of a call, for the first and only time.
    pub fn learn(&mut self, now: Instant, mark: Mark, outcome: Outcome, load: Load) {
        match &mut self.by {
            By::Fixed(_) => {}
            By::Aimd(aimd) => aimd.learn(now, mark.since, outcome, load),
            By::Gradient(gradient) => gradient.learn(now, mark, outcome, load),
        }
    }

    /// Time has passed: closes what has to be closed by then. To be called
    /// when [`Limit::look_again`] says so, or more often.
    pub fn tick(&mut self, now: Instant, load: Load) {
        if let By::Gradient(gradient) = &mut self.by {
            gradient.tick(now, load);
        }
    }
}
