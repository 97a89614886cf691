//! One call's attempts: where each goes, when another is made, when to give up.
//!
//! A machine without clock, randomness or I/O of its own. Its driver asks
//! [`Race::next`], carries the [`Step`] out, says what came of it
//! ([`Race::sent`], [`Race::failed`], [`Race::won`]) and asks again. The
//! gateway's loop and the simulation drive the same machine.
//!
//! - One attempt runs, or two: one that is late and its hedge. Whichever fails,
//!   the other goes on alone; only when none runs is another one begun. So a
//!   hedge whose elder fails is the retry already, and one that fails itself
//!   is not retried while its elder runs.
//! - Attempts after failures are bounded by [`Rules::attempts`]; the one hedge
//!   a call may have comes on top. A call is at most `attempts + 1` upstream
//!   calls.
//! - The first goes to the best place at once, whatever is known of it: who
//!   ranked the targets knew it too. After a failure the next goes where it can
//!   go first (`places`): at once to a target that is ready and was not
//!   asked, else after the shortest pause, if that ends before the deadline.
//! - A retry is paid for when it is decided, before any pause: nobody waits for
//!   an attempt that is not allowed.
//! - At the deadline the race is over, whatever runs.

mod places;

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, Weight};
use super::hedge::{Hedging, Reason};
use super::pause::BackOff;
use super::policy::{Fallbacks, Verdict, verdict};
use places::Places;

/// The attempts of one call. Nothing is allocated before the first failure.
#[derive(Debug)]
pub struct Race {
    rules: Rules,
    places: Places,
    /// Attempts begun, hedges included; their numbers are given in order.
    begun: usize,
    /// Attempts that went upstream.
    sent: u32,
    /// An elder and its hedge, in no order.
    running: [Option<Running>; 2],
    hedge: Hedge,
    /// The place whose failure the next attempt is charged to, until it is.
    owed: Option<u8>,
    last_failure: Option<Instant>,
    /// Whose failure the caller would be told.
    told: Option<(Weight, usize)>,
    /// A retry was refused for want of budget.
    was_refused: bool,
    end: Option<End>,
}

/// What bounds one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Upstream calls, the first included and a hedge not: `[retry] attempts`,
    /// or what `x-nowait-retries` says and one. Nought is one.
    pub attempts: u32,
    /// Whether and when the call is hedged.
    pub hedging: Hedging,
    /// What a configuration wants another target for.
    pub fallback_on: Fallbacks,
    /// When the call must be over.
    pub deadline: Option<Instant>,
    /// Whether making the call twice is the same as once, but for the cost.
    /// Not so for `store`, `background` and tools that the provider runs.
    pub may_repeat: bool,
}

/// What a race asks of the world. A place is an index into the ranking the race
/// was made for: 0 is the best target.
pub trait World {
    /// How the target is.
    fn readiness(&mut self, place: usize, now: Instant) -> Readiness;

    /// A quantile (0 to 1) of its recent times to first token, if enough were
    /// seen: rather a little more than less, for it is waited for
    /// ([`Sketch::bound`](crate::upstream::latency::Sketch::bound)).
    fn quantile(&mut self, place: usize, share: f64, now: Instant) -> Option<Duration>;

    /// Takes one retry from the budget of the target that failed; false if
    /// none is left.
    fn pay_retry(&mut self, failed: usize, now: Instant) -> bool;

    /// Whether the attempt at `late` may have a hedge at `other` (which may be
    /// the same), and takes one from the budget of `late`.
    ///
    /// # Errors
    /// What speaks against it; then nothing was taken.
    fn pay_hedge(&mut self, late: usize, other: usize, now: Instant) -> Result<(), Reason>;
}

/// How a target is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may be asked.
    Ready,
    /// Its provider wants it left alone until then.
    Paused(Instant),
    /// It failed too often: it is asked only where the alternative is to give
    /// up.
    Ejected,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin this attempt at this place of the ranking.
    Start {
        /// Its number, from 0.
        attempt: usize,
        /// Its target.
        place: usize,
        /// What for.
        why: Why,
    },
    /// Nothing, until something happens or this moment, which is not past.
    Wait(Option<Instant>),
    /// Drop what runs, and answer with this.
    GiveUp(Blame),
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is the first.
    First,
    /// Another failed, and this target was asked before.
    Retry,
    /// Another failed, and this target is a new one.
    Fallback,
    /// Another is late.
    Hedge,
}

/// What the caller is told where nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The failure of this attempt.
    Attempt(usize),
    /// The deadline: it passed while an attempt ran, or before the first.
    Deadline,
}

/// An attempt that was overtaken and is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loser {
    /// Its number.
    pub attempt: usize,
    /// Its target.
    pub place: usize,
    /// How long it had been without content since it was sent: its time to
    /// first token is at least this. `None` if it never was sent.
    pub waited: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    attempt: usize,
    place: u8,
    sent: Option<Instant>,
}

/// How far hedging is, for the attempt that runs alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hedge {
    /// It was not sent yet.
    Unset,
    /// It is late at this time.
    At(Instant),
    /// It has none, or the last one had none.
    Not(Reason),
    /// This attempt is the call's hedge.
    Made(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Won,
    GaveUp(Blame),
}

/// A call without a deadline waits no longer than this for a target to be ready
/// again: longer, and official SDKs pass over a `Retry-After` too.
const PATIENCE: Duration = Duration::from_secs(60);

impl Race {
    /// A race over a ranking of so many targets, of which there is at least one.
    /// Those behind the 64th are not asked.
    pub fn new(rules: Rules, targets: usize) -> Self {
        Self {
            rules,
            places: Places::new(targets),
            begun: 0,
            sent: 0,
            running: [None; 2],
            hedge: Hedge::Unset,
            owed: None,
            last_failure: None,
            told: None,
            was_refused: false,
            end: None,
        }
    }

    /// What is to be done now. To be asked at the beginning, after each event,
    /// and when the moment of a [`Step::Wait`] has come; asked more often, it
    /// says the same.
    pub fn next(&mut self, now: Instant, world: &mut impl World) -> Step {
        match self.end {
            Some(End::Won) => return Step::Wait(None),
            Some(End::GaveUp(blame)) => return Step::GiveUp(blame),
            None => {}
        }
        let is_late = self.rules.deadline.is_some_and(|deadline| deadline <= now);
        match self.running {
            [None, None] if self.begun > 0 => self.again(now, world),
            _ if is_late => self.give_up(Blame::Deadline),
            [None, None] => self.start(0, Why::First),
            [Some(alone), None] | [None, Some(alone)] => self.beside(alone, now, world),
            [Some(_), Some(_)] => Step::Wait(self.rules.deadline),
        }
    }

    /// From here on, making the call twice is not the same as once
    /// ([`Rules::may_repeat`]): for who looks only when it matters.
    pub fn must_not_repeat(&mut self) {
        self.rules.may_repeat = false;
    }

    /// The attempt left the queue and went upstream: the first time this is
    /// said, it begins to be late.
    pub fn sent(&mut self, attempt: usize, now: Instant) {
        let mut running = self.running.iter_mut().flatten();
        let waiting = running.find(|one| one.attempt == attempt && one.sent.is_none());
        if let Some(waiting) = waiting {
            waiting.sent = Some(now);
            self.sent += 1;
        }
    }

    /// The attempt failed before any content. `rng` spreads the back-off.
    pub fn failed(
        &mut self,
        attempt: usize,
        failure: &Failure,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) {
        let Some(Running { place, .. }) = self.take(attempt) else {
            return;
        };
        self.last_failure = Some(now);
        let weight = failure.kind.weight();
        if self.told.is_none_or(|(told, _)| told <= weight) {
            self.told = Some((weight, attempt));
        }
        let back_off = match verdict(failure, self.rules.fallback_on, self.rules.may_repeat) {
            // What one target makes of a hedge does not speak for its elder.
            Verdict::Final if self.hedge != Hedge::Made(attempt) => {
                return self.places.rule_out_all();
            }
            Verdict::Final | Verdict::Other => return self.places.rule_out(place),
            Verdict::Elsewhere => BackOff::NETWORK,
            Verdict::Patient => BackOff::REFUSED,
        };
        self.owed = Some(place);
        self.places.rest(place, now, back_off, failure.pause, rng);
    }

    /// The attempt brought content: the call is answered. Returns the other
    /// one, if one runs. Nothing is begun any more.
    pub fn won(&mut self, attempt: usize, now: Instant) -> Option<Loser> {
        if self.end.is_some() || self.take(attempt).is_none() {
            return None;
        }
        self.end = Some(End::Won);
        let loser = self.running.iter_mut().find_map(Option::take)?;
        Some(Loser {
            attempt: loser.attempt,
            place: usize::from(loser.place),
            waited: loser.sent.map(|sent| now.saturating_duration_since(sent)),
        })
    }

    /// How many attempts went upstream, hedges included (`x-nowait-attempts`).
    pub fn calls(&self) -> u32 {
        self.sent
    }

    /// Whether the retries this failure could have were made, or refused
    /// because the traffic had spent them: then the caller should not make its
    /// own (`x-should-retry: false`).
    pub fn has_spent_retries(&self) -> bool {
        self.tries() > 1 || self.was_refused
    }

    /// Why the attempt that runs, or ran last, has no hedge. `None` if it has,
    /// or is not late yet.
    pub fn not_hedged(&self) -> Option<Reason> {
        match self.hedge {
            Hedge::Not(reason) => Some(reason),
            Hedge::Unset | Hedge::At(_) | Hedge::Made(_) => None,
        }
    }

    /// None runs and one has failed.
    fn again(&mut self, now: Instant, world: &mut impl World) -> Step {
        let patience = self.last_failure.unwrap_or(now) + PATIENCE;
        let horizon = self.rules.deadline.unwrap_or(patience);
        let is_left = self.tries() < self.rules.attempts as usize;
        let next = is_left.then(|| self.places.after_failure(now, horizon, world));
        let Some((at, place)) = next.flatten() else {
            return self.give_up(self.last_word());
        };
        if let Some(failed) = self.owed.take()
            && !is_move(failed, place, now, world)
            && !world.pay_retry(usize::from(failed), now)
        {
            self.was_refused = true;
            return self.give_up(self.last_word());
        }
        if at > now {
            return Step::Wait(Some(at));
        }
        let was_asked = self.places.was_asked(place);
        self.start(place, if was_asked { Why::Retry } else { Why::Fallback })
    }

    /// One runs: it may be late enough for a hedge.
    fn beside(&mut self, alone: Running, now: Instant, world: &mut impl World) -> Step {
        let wait = Step::Wait(self.rules.deadline);
        let late = usize::from(alone.place);
        if let (Hedge::Unset, Some(sent)) = (self.hedge, alone.sent) {
            let quantile = |share| world.quantile(late, share, now);
            self.hedge = match self.rules.hedging.delay(quantile) {
                Ok(_) if !self.rules.may_repeat => Hedge::Not(Reason::SideEffects),
                Ok(delay) => Hedge::At(sent + delay),
                Err(reason) => Hedge::Not(reason),
            };
        }
        let Hedge::At(at) = self.hedge else {
            return wait;
        };
        if at > now {
            let until = self.rules.deadline.map_or(at, |deadline| deadline.min(at));
            return Step::Wait(Some(until));
        }
        let waited = now.saturating_duration_since(alone.sent.unwrap_or(now));
        let other = self.places.beside(alone.place, waited, now, world);
        let paid = match other {
            Some(other) => world
                .pay_hedge(late, usize::from(other), now)
                .map(|()| other),
            None => Err(Reason::Unhealthy),
        };
        match paid {
            Ok(other) => self.start(other, Why::Hedge),
            Err(reason) => {
                self.hedge = Hedge::Not(reason);
                wait
            }
        }
    }

    fn start(&mut self, place: u8, why: Why) -> Step {
        let attempt = self.begun;
        self.begun += 1;
        self.places.ask(place);
        if why == Why::Hedge {
            self.hedge = Hedge::Made(attempt);
        } else if !self.is_hedged() {
            self.hedge = Hedge::Unset;
        }
        let free = self.running.iter_mut().find(|slot| slot.is_none());
        *free.expect("a third is never begun while two run") = Some(Running {
            attempt,
            place,
            sent: None,
        });
        Step::Start {
            attempt,
            place: usize::from(place),
            why,
        }
    }

    fn give_up(&mut self, blame: Blame) -> Step {
        self.end = Some(End::GaveUp(blame));
        Step::GiveUp(blame)
    }

    fn last_word(&self) -> Blame {
        self.told
            .map_or(Blame::Deadline, |(_, attempt)| Blame::Attempt(attempt))
    }

    fn take(&mut self, attempt: usize) -> Option<Running> {
        self.running
            .iter_mut()
            .find(|slot| slot.is_some_and(|running| running.attempt == attempt))?
            .take()
    }

    /// Attempts begun because another failed, and the first.
    fn tries(&self) -> usize {
        self.begun - usize::from(self.is_hedged())
    }

    fn is_hedged(&self) -> bool {
        matches!(self.hedge, Hedge::Made(_))
    }
}

/// Whether going on at `place` is no extra call for the traffic's budget: the
/// target that failed is out, so a call that came now would go there too. When a
/// target dies, all that was on its way there moves, and none of it is refused.
fn is_move(failed: u8, place: u8, now: Instant, world: &mut impl World) -> bool {
    let mut readiness = |place| world.readiness(usize::from(place), now);
    readiness(failed) == Readiness::Ejected && readiness(place) == Readiness::Ready
}

#[cfg(test)]
mod tests;
