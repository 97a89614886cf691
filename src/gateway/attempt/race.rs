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
//! - An attempt whose content can't be seen to come, because its answer comes in
//!   one piece, and that is silent for far longer than usual, gets another beside
//!   it as after a failure, once: it may be dead or only long, so it goes on.
//! - A retry is paid for when it is decided, before any pause: nobody waits for
//!   an attempt that is not allowed.
//! - At the deadline the race is over, whatever runs.

mod places;

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, FailureKind, Weight};
use super::hedge::{Hedging, Reason};
use super::pause::BackOff;
use super::policy::{Fallbacks, Verdict, verdict};
use crate::dialect::sharing::Effect;
use places::Places;

/// The attempts of one call. Nothing is allocated before the first failure.
#[derive(Debug)]
pub struct Race {
    rules: Rules,
    places: Places,
    /// Attempts begun, hedges included; their numbers are given in order.
    begun: usize,
    /// Of these, those whose target could not be asked, but for the hedge: they
    /// count for nothing.
    unsaid: u8,
    /// Attempts that went upstream.
    sent: u32,
    /// An elder and its hedge, in no order.
    running: [Option<Running>; 2],
    hedge: Hedge,
    /// An attempt was silent for too long: it has, or was refused, another beside
    /// it.
    is_doubted: bool,
    /// The attempt that has.
    overdue: Option<u32>,
    /// The place whose failure the next attempt is charged to, until it is.
    owed: Option<u8>,
    last_failure: Option<(Instant, u8)>,
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
    /// For an answer in one piece: how long it may be silent, however quick
    /// answers usually are. A stream's silence is a failure of its own.
    pub patience: Option<Duration>,
}

/// What a race asks of the world. A place is an index into the ranking the race
/// was made for: 0 is the best target.
pub trait World {
    /// What the provider does for the call beside answering: what does anything
    /// is not made twice only for speed. Asked when it matters.
    fn effect(&mut self) -> Effect;

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

    /// The attempt that runs alone, at this place, is past its hedge delay.
    fn late(&mut self, place: usize, now: Instant);

    /// The attempt at this place gets no extra call although one was due.
    fn withheld(&mut self, place: usize, what: Withheld);
}

/// An extra call that is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// A hedge.
    Hedge(Reason),
    /// Another attempt after a failure: the traffic's budget is spent.
    Budget,
    /// The same: the pause before it would be too long.
    Pause,
}

impl Withheld {
    /// The word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hedge(reason) => reason.word(),
            Self::Budget => "budget",
            Self::Pause => "deadline",
        }
    }
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
    /// It was silent for so long that it was taken for dead.
    pub is_overdue: bool,
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

/// A call waits no longer than this for a target to be ready again, however much
/// time it has: longer, and official SDKs pass over a `Retry-After` too. Its
/// caller is told, and may do something better than wait.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An answer in one piece that takes this many times as long as nearly all is
/// taken for dead.
pub const OVERDUE: u32 = 3;

impl Race {
    /// A race over a ranking of so many targets, of which there is at least one.
    /// Those behind the 64th are not asked.
    pub fn new(rules: Rules, targets: usize) -> Self {
        Self {
            rules,
            places: Places::new(targets),
            begun: 0,
            unsaid: 0,
            sent: 0,
            running: [None; 2],
            hedge: Hedge::Unset,
            is_doubted: false,
            overdue: None,
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

    /// The attempt failed before any content, of a call with this `effect` beside
    /// its answer. `rng` spreads the back-off.
    pub fn failed(
        &mut self,
        attempt: usize,
        failure: &Failure,
        effect: Effect,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) {
        let Some(Running { place, .. }) = self.take(attempt) else {
            return;
        };
        self.last_failure = Some((now, place));
        let weight = failure.kind.weight();
        let is_unsaid = failure.kind == FailureKind::Unsaid;
        self.unsaid += u8::from(is_unsaid && self.hedge != Hedge::Made(attempt));
        let tells_more = |(told, _)| match is_unsaid {
            // Of several targets that can't be asked the first tells why.
            true => told < weight,
            false => told <= weight,
        };
        if self.told.is_none_or(tells_more) {
            self.told = Some((weight, attempt));
        }
        let back_off = match verdict(failure, self.rules.fallback_on, effect) {
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
            is_overdue: self.overdue == u32::try_from(loser.attempt).ok(),
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
        let (failed_at, failed) = self.last_failure.unwrap_or((now, 0));
        let patience = failed_at + LONGEST_PAUSE;
        let horizon = self.rules.deadline.map_or(patience, |at| at.min(patience));
        if !self.has_tries() {
            return self.give_up(self.last_word());
        }
        let Some((at, place)) = self.places.after_failure(now, horizon, world) else {
            if self.places.has_open() {
                world.withheld(usize::from(failed), Withheld::Pause);
            }
            return self.give_up(self.last_word());
        };
        if let Some(owes) = self.owed.take()
            && !is_move(owes, place, now, world)
            && !self.pay_retry(owes, now, world)
        {
            return self.give_up(self.last_word());
        }
        if at > now {
            return Step::Wait(Some(at));
        }
        self.start(place, self.why(place))
    }

    /// Takes a retry from the budget of a place.
    fn pay_retry(&mut self, place: u8, now: Instant, world: &mut impl World) -> bool {
        let place = usize::from(place);
        let is_paid = world.pay_retry(place, now);
        if !is_paid {
            self.was_refused = true;
            world.withheld(place, Withheld::Budget);
        }
        is_paid
    }

    /// One runs: it may be late enough for a hedge, or for another attempt.
    fn beside(&mut self, alone: Running, now: Instant, world: &mut impl World) -> Step {
        let hedge = self.hedge_beside(alone, now, world);
        if let Err(at) = hedge
            && let Some(next) = self.doubt(alone, now, world)
        {
            return match next {
                Ok(step) => step,
                Err(due) => Step::Wait(at.into_iter().chain([due]).min()),
            };
        }
        hedge.unwrap_or_else(Step::Wait)
    }

    /// Begins a hedge; else says until when nothing is to be done.
    fn hedge_beside(
        &mut self,
        alone: Running,
        now: Instant,
        world: &mut impl World,
    ) -> Result<Step, Option<Instant>> {
        let deadline = self.rules.deadline;
        let late = usize::from(alone.place);
        if let (Hedge::Unset, Some(sent)) = (self.hedge, alone.sent) {
            let quantile = |share| world.quantile(late, share, now);
            match self.rules.hedging.delay(quantile) {
                Ok(delay) => self.hedge = Hedge::At(sent + delay),
                Err(reason) => self.unhedged(late, reason, world),
            }
        }
        let Hedge::At(at) = self.hedge else {
            return Err(deadline);
        };
        if at > now {
            return Err(Some(deadline.map_or(at, |deadline| deadline.min(at))));
        }
        world.late(late, now);
        match self.pay_hedge(alone, now, world) {
            Ok(other) => Ok(self.start(other, Why::Hedge)),
            Err(reason) => {
                self.unhedged(late, reason, world);
                Err(deadline)
            }
        }
    }

    /// Where the hedge of an attempt goes, which is paid for.
    fn pay_hedge(
        &mut self,
        alone: Running,
        now: Instant,
        world: &mut impl World,
    ) -> Result<u8, Reason> {
        if world.effect() != Effect::Nothing {
            return Err(Reason::SideEffects);
        }
        let waited = now.saturating_duration_since(alone.sent.unwrap_or(now));
        let other = self.places.beside(alone.place, waited, now, world);
        let other = other.ok_or(Reason::Unhealthy)?;
        world.pay_hedge(usize::from(alone.place), usize::from(other), now)?;
        Ok(other)
    }

    fn unhedged(&mut self, late: usize, reason: Reason, world: &mut impl World) {
        self.hedge = Hedge::Not(reason);
        if reason != Reason::Off {
            world.withheld(late, Withheld::Hedge(reason));
        }
    }

    /// Begins another attempt beside one that says nothing and is taken for dead,
    /// or tells when it would be. Nothing where that is never.
    ///
    /// It is dead after as long as a first token may take, or half of the call's
    /// time where that is less; and after [`OVERDUE`] times what nearly all take,
    /// or half of the call's time where that is not known.
    fn doubt(
        &mut self,
        alone: Running,
        now: Instant,
        world: &mut impl World,
    ) -> Option<Result<Step, Instant>> {
        let (patience, sent) = (self.rules.patience?, alone.sent?);
        if self.is_doubted || !self.has_tries() {
            return None;
        }
        let time = |at: Instant| at.saturating_duration_since(sent);
        let half = self.rules.deadline.map(|at| time(at) / 2);
        let least = half.map_or(patience, |half| half.min(patience));
        if time(now) < least {
            return Some(Err(sent + least));
        }
        let usual = world.quantile(usize::from(alone.place), 0.99, now);
        let due = least.max(usual.map(|usual| usual * OVERDUE).or(half)?);
        if time(now) < due {
            let due = sent + due;
            return self
                .rules
                .deadline
                .is_none_or(|at| due < at)
                .then_some(Err(due));
        }
        self.is_doubted = true;
        if world.effect() != Effect::Nothing {
            return None;
        }
        let other = self.places.beside(alone.place, time(now), now, world)?;
        if !self.pay_retry(alone.place, now, world) {
            return None;
        }
        self.overdue = u32::try_from(alone.attempt).ok();
        Some(Ok(self.start(other, self.why(other))))
    }

    /// Why an attempt is made there that is no hedge.
    fn why(&self, place: u8) -> Why {
        match self.places.was_asked(place) {
            true => Why::Retry,
            false => Why::Fallback,
        }
    }

    /// Whether another attempt may follow one that failed.
    fn has_tries(&self) -> bool {
        self.tries() < self.rules.attempts as usize
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
        self.begun - usize::from(self.unsaid) - usize::from(self.is_hedged())
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
