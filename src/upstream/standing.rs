//! All that is known of one target at this moment, from the calls it has served:
//! health, latency, speed, what is on its way, what its provider said to wait
//! for and has left of a quota.
//!
//! One [`Standing`] per target, shared by all cores. A call holds a [`Pending`]
//! from its begin to its end and tells it what comes. What to do with what is
//! known is decided elsewhere, from a [`View`]. Nothing here reads a clock:
//! callers say what time it is, so a simulation drives the same code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::ewma::Ewma;
use super::health::{Entry, Health, Sign, State};
use super::latency::Sketch;
use super::pause::Pause;
use super::quota::{Quota, Spent, Told};
use super::tally::Tally;

/// Calls begun in ten seconds below which the share of late ones says nothing.
const ENOUGH: u32 = 20;
/// Below this share of its quota a target gets less than its share …
const SCARCE: f64 = 0.1;
/// … and below this one nothing: the next call would be told to wait.
const USED_UP: f64 = 0.005;
/// A quantile of the last minute is no other after so long.
const MOMENT: Duration = Duration::from_millis(10);
/// Tokens after the first from which a speed can be told.
const MANY_TOKENS: u32 = 8;

/// What is timed of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// To the first content of a stream.
    FirstContent,
    /// To the end of an answer in one piece.
    Whole,
}

/// How a call at a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The answer is here, in whole.
    Answered {
        /// Tokens of output, where known.
        tokens: Option<u32>,
    },
    /// The target failed: not reached, reset, 5xx, 529, no first token in time,
    /// broken off.
    Failed,
    /// The target is well and said no: 4xx.
    Refused,
    /// The target refused the call for the number of calls: 429. It is paused.
    Limited {
        /// How long to leave it alone, if the provider said that.
        pause: Option<Duration>,
    },
    /// Given up: lost a race, or its caller left. How long it would have taken is
    /// not known, but that it would have taken longer.
    Cut,
}

/// One target's standing. About 1 KiB, and 10 KiB for each [`Span`] in use.
#[derive(Debug)]
pub struct Standing {
    id: u64,
    /// Its quota may be used up before more is heard of it: calls have to look. Set
    /// by what is told, under the lock.
    is_scarce: AtomicBool,
    /// Held for some hundred nanoseconds, never across an `.await`.
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// Calls begun and not ended.
    in_flight: usize,
    health: Health,
    first_content: Pace,
    whole: Pace,
    /// Tokens per second after the first.
    speed: Ewma,
    /// The share of calls that failed.
    failing: Ewma,
    /// Calls begun, and late ones among them.
    calls: Tally<2>,
    pause: Pause,
    quota: Quota,
}

/// How long one [`Span`] takes.
#[derive(Debug, Default)]
struct Pace {
    sketch: Sketch,
    typical: Ewma,
    /// What [`Standing::bound`] said last.
    bound: Option<Bound>,
}

/// A quantile that was looked up.
#[derive(Clone, Copy, Debug)]
struct Bound {
    at: Instant,
    share: f64,
    found: Option<Duration>,
}

/// What is known of a target at one moment, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Which target: the same number wherever and whenever it is configured.
    pub id: u64,
    /// Calls begun and not ended.
    pub in_flight: usize,
    /// Its health.
    pub state: State,
    /// When it may be asked again after a 429, if that is to come.
    pub paused_until: Option<Instant>,
    /// Its provider takes no more calls at once, as far as its refusals have shown.
    /// Its standing does not know that: who does says so.
    pub is_full: bool,
    /// What is left of its scarcest quota, 0 … 1; 1 if nothing is known.
    pub quota: f64,
    /// The typical time to the first content of a stream.
    pub first_content: Option<Duration>,
    /// The typical time to the end of an answer in one piece.
    pub whole: Option<Duration>,
    /// Tokens per second of a stream, after the first.
    pub speed: Option<f64>,
    /// The share of its last dozen or so calls that failed, 0 … 1.
    pub failing: f64,
    /// How long ago any of those was last heard of; zero if never.
    pub idle: Duration,
    /// The share of the last ten seconds' calls that were late; nothing if those
    /// were too few.
    pub late: Option<f64>,
}

impl View {
    /// A target nothing is known of.
    pub fn unknown(id: u64) -> Self {
        Self {
            id,
            in_flight: 0,
            state: State::Well,
            paused_until: None,
            is_full: false,
            quota: 1.0,
            first_content: None,
            whole: None,
            speed: None,
            failing: 0.0,
            idle: Duration::ZERO,
            late: None,
        }
    }

    /// Whether a call may go there. A target whose quota is used up is as good as
    /// paused.
    pub fn is_usable(&self) -> bool {
        self.state.is_usable() && !self.is_told_to_wait()
    }

    /// Whether its provider would refuse a call now: it said so (429), its quota is
    /// used up, or it has all the calls it takes.
    pub fn is_told_to_wait(&self) -> bool {
        self.paused_until.is_some() || self.is_full || self.quota < USED_UP
    }

    /// Whether so little is left of its quota that it should be spared.
    pub fn is_scarce(&self) -> bool {
        self.quota < SCARCE
    }

    /// The share it should get of what would be its own, above 0 and up to 1: less
    /// in its slow start, and less the less is left of its quota.
    pub fn share(&self) -> f64 {
        let quota = (self.quota / SCARCE).min(1.0);
        (self.state.share() * quota).max(0.01)
    }

    /// When it may be asked again, as far as that is known.
    pub fn back(&self, now: Instant) -> Instant {
        let out = match self.state {
            State::Out(until) => until,
            _ => now,
        };
        self.paused_until.map_or(out, |paused| paused.max(out))
    }
}

impl Standing {
    /// A target nothing is known of. `id` tells it from others and should be the
    /// same in every process, so that sessions stick to it; `seed` spreads its
    /// probes and should be another in every process.
    pub fn new(id: u64, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            is_scarce: AtomicBool::new(false),
            known: Mutex::new(Known {
                in_flight: 0,
                health: Health::new(seed),
                first_content: Pace::default(),
                whole: Pace::default(),
                speed: Ewma::default(),
                failing: Ewma::default(),
                calls: Tally::new(),
                pause: Pause::default(),
                quota: Quota::default(),
            }),
        })
    }

    /// A call begins that will take so many tokens as far as is known, whatever the
    /// target's health is: for when there is no other target.
    pub fn begin(self: &Arc<Self>, now: Instant, span: Span, tokens: u32) -> Pending {
        let mut known = self.known.lock();
        let entry = known.health.force(now);
        self.admit(&mut known, now, span, tokens, entry)
    }

    /// A call begins, unless the target is out. When it is due, one call at a time
    /// gets in to try it: of several that see it due, the others get nothing.
    pub fn try_begin(self: &Arc<Self>, now: Instant, span: Span, tokens: u32) -> Option<Pending> {
        let mut known = self.known.lock();
        let entry = known.health.enter(now)?;
        Some(self.admit(&mut known, now, span, tokens, entry))
    }

    /// A place in the line for what comes into the target's quota, if a call of so
    /// many tokens has to wait for it, and if that is worth while. One that
    /// `yields` leaves the rest to those that don't.
    pub fn turn(self: &Arc<Self>, now: Instant, tokens: u32, yields: bool) -> Option<Turn> {
        if !self.is_scarce.load(Ordering::Relaxed) {
            return None;
        }
        let call = Spent::call(tokens);
        let quota = &mut self.known.lock().quota;
        let wait = quota.wait(now, call, yields)?;
        quota.set_aside(now, call);
        Some(Turn {
            standing: Arc::clone(self),
            call,
            at: now + wait,
        })
    }

    fn admit(
        self: &Arc<Self>,
        known: &mut Known,
        now: Instant,
        span: Span,
        tokens: u32,
        entry: Entry,
    ) -> Pending {
        known.calls.add(now, [1, 0]);
        known.in_flight += 1;
        Pending {
            standing: self.clone(),
            entry,
            span,
            begun: now,
            spent: known.quota.spend(now, Spent::call(tokens)),
            content: None,
            is_late: false,
        }
    }

    /// The time within which the share `q` of recent calls had come as far as
    /// `span` says. See [`Sketch::quantile`].
    pub fn quantile(&self, now: Instant, span: Span, q: f64) -> Option<Duration> {
        self.known.lock().pace(span).sketch.quantile(now, q)
    }

    /// The same for who waits that long, as of a moment ago: calls ask for it one by
    /// one, and it takes a walk through all buckets. See [`Sketch::bound`].
    pub fn bound(&self, now: Instant, span: Span, q: f64) -> Option<Duration> {
        let mut known = self.known.lock();
        let pace = known.pace(span);
        let is_new = |bound: &Bound| {
            let age = now.saturating_duration_since(bound.at);
            bound.share.total_cmp(&q).is_eq() && age < MOMENT
        };
        if let Some(bound) = pace.bound.filter(is_new) {
            return bound.found;
        }
        let found = pace.sketch.bound(now, q);
        pace.bound = Some(Bound {
            at: now,
            share: q,
            found,
        });
        found
    }

    /// What is known now.
    pub fn view(&self, now: Instant) -> View {
        let mut known = self.known.lock();
        let known = &mut *known;
        let [begun, late] = known.calls.sum(now);
        let [first_content, whole] = [&known.first_content.typical, &known.whole.typical];
        let heard = [first_content.last(), whole.last(), known.failing.last()];
        let heard = heard.into_iter().flatten().max();
        View {
            id: self.id,
            in_flight: known.in_flight,
            state: known.health.state(now),
            paused_until: known.pause.until(now),
            is_full: false,
            quota: known.quota.left(now),
            first_content: first_content.value().map(time),
            whole: whole.value().map(time),
            speed: known.speed.value(),
            failing: known.failing.value().unwrap_or(0.0),
            idle: heard.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            late: (begun >= ENOUGH).then(|| f64::from(late) / f64::from(begun)),
        }
    }
}

/// What is averaged of a time: its logarithm, from a microsecond on.
fn logarithm(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-6).ln()
}

/// The time that has this logarithm.
fn time(logarithm: f64) -> Duration {
    Duration::try_from_secs_f64(logarithm.exp()).unwrap_or(Duration::MAX)
}

impl Known {
    fn pace(&mut self, span: Span) -> &mut Pace {
        match span {
            Span::FirstContent => &mut self.first_content,
            Span::Whole => &mut self.whole,
        }
    }

    /// A call has come as far as its span says.
    fn took(&mut self, now: Instant, span: Span, time: Duration) {
        let pace = self.pace(span);
        pace.sketch.record(now, time);
        pace.typical.record(now, logarithm(time));
        self.failing.record(now, 0.0);
    }

    /// A call was given up, or failed, before.
    fn takes_at_least(&mut self, now: Instant, span: Span, time: Duration) {
        let pace = self.pace(span);
        pace.sketch.record_at_least(now, time);
        pace.typical.record_at_least(now, logarithm(time));
    }

    /// What a call has shown of the target's health. What was known of the speed of
    /// one that goes out is that of a sick target: it is forgotten. True if this
    /// put it out.
    fn tell(&mut self, now: Instant, entry: Entry, sign: Sign) -> bool {
        let is_out = self.health.tell(now, entry, sign);
        if is_out {
            self.first_content.typical = Ewma::default();
            self.whole.typical = Ewma::default();
            self.failing = Ewma::default();
        }
        is_out
    }
}

/// A place in the line for what comes into a target's quota. Dropping it gives it
/// up: the call begins, or never will.
#[derive(Debug)]
pub struct Turn {
    standing: Arc<Standing>,
    call: Spent,
    at: Instant,
}

impl Turn {
    /// When the call may begin.
    pub fn at(&self) -> Instant {
        self.at
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.standing.known.lock().quota.take_back(self.call);
    }
}

/// A call on its way at a target. Dropping it is an end that says nothing: the
/// target's slots are free again.
#[derive(Debug)]
#[must_use = "a call that is dropped is not on its way"]
pub struct Pending {
    standing: Arc<Standing>,
    entry: Entry,
    span: Span,
    begun: Instant,
    /// What all calls had taken of the target's quota, this one included.
    spent: Spent,
    /// When content first came.
    content: Option<Instant>,
    is_late: bool,
}

impl Pending {
    /// When the call began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The call has taken as long as would have made it hedge. Counts once, and
    /// whether or not a hedge followed: [`View::late`] tells one straggler from a
    /// target that is slow as a whole, long before the slow calls end.
    pub fn late(&mut self, now: Instant) {
        if !self.is_late {
            self.is_late = true;
            self.standing.known.lock().calls.add(now, [0, 1]);
        }
    }

    /// The provider has told, with this call's answer, what is left of a quota.
    pub fn told(&self, now: Instant, told: Told) {
        let quota = &mut self.standing.known.lock().quota;
        quota.told(now, self.begun, self.spent, told);
        let is_scarce = quota.is_scarce(now);
        self.standing.is_scarce.store(is_scarce, Ordering::Relaxed);
    }

    /// The first content of a stream has come. Of an answer in one piece only the
    /// end counts.
    pub fn first_content(&mut self, now: Instant) {
        if self.span == Span::FirstContent && self.content.is_none() {
            self.content = Some(now);
            let mut known = self.standing.known.lock();
            if !known.health.is_current(self.entry) {
                return;
            }
            known.took(now, self.span, now.saturating_duration_since(self.begun));
            known.pause.answered(self.begun);
            known.tell(now, self.entry, Sign::Well);
        }
    }

    /// The call has ended. If its target has gone out or come back since it began,
    /// nothing is learnt from it. True if this put the target out.
    pub fn end(self, now: Instant, end: End) -> bool {
        let took = now.saturating_duration_since(self.begun);
        let mut known = self.standing.known.lock();
        if !known.health.is_current(self.entry) {
            return false;
        }
        match (end, self.content) {
            (End::Answered { tokens }, Some(content)) => {
                let tokens = tokens.unwrap_or(0).saturating_sub(1);
                let time = now.saturating_duration_since(content).as_secs_f64();
                if tokens >= MANY_TOKENS && time > 0.0 {
                    known.speed.record(now, f64::from(tokens) / time);
                }
            }
            (End::Answered { .. }, None) => {
                known.took(now, self.span, took);
                known.pause.answered(self.begun);
                return known.tell(now, self.entry, Sign::Well);
            }
            (End::Failed, content) => {
                let sign = if content.is_some() {
                    Sign::Broken
                } else {
                    Sign::Ill
                };
                if content.is_none() {
                    known.takes_at_least(now, self.span, took);
                }
                known.failing.record(now, 1.0);
                return known.tell(now, self.entry, sign);
            }
            (End::Cut, None) => known.takes_at_least(now, self.span, took),
            (End::Limited { pause }, _) => known.pause.refused(now, self.begun, pause),
            (End::Cut, Some(_)) | (End::Refused, _) => {}
        }
        false
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut known = self.standing.known.lock();
        known.in_flight -= 1;
        known.health.leave(self.entry);
    }
}

#[cfg(test)]
mod tests;
