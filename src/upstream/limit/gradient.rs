//! The limit of an engine of one's own: as many calls as leave the time to the
//! first token what it is without load.
//!
//! An engine that has more to do than it can lets calls wait for their first
//! token; the ones that have it run. So once two of three calls are late against
//! what is [`usual`] for their class, the limit is what is in flight without those
//! that wait too many: it follows the capacity down and never falls below
//! what the engine demonstrably runs. While calls are in time, and the limit
//! is what holds the rest back, it grows.
//!
//! Each call gives one verdict, in time or late, and it is late as soon as it
//! is overdue, so that an engine which has stopped is seen before it answers.
//! Verdicts are counted, not averaged: a few per cent that take twenty times
//! as long are no congestion. The whole time of a call plays no part; it is
//! the length of the answer.

mod usual;

use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::{Class, Load, Mark, Outcome};
use usual::Usual;

/// It is never lower: so few calls are no load.
pub const LEAST: usize = 4;

/// It is never higher: more than any engine runs, and what is remembered of calls
/// is bounded.
const CEILING: usize = 10_000;

/// Where it begins: few enough to learn from the first calls what an engine
/// without load takes, enough to be at the height of a large one in a second.
const FIRST: f64 = 16.0;

/// A call that takes so many times its usual time to the first token is late.
const LATE: f64 = 2.0;

/// As long as no more than so many times the usual number of calls wait for
/// their first token, there is room for more.
const ROOMY: f64 = 1.5;

/// What one window may take away, so that a misjudged one costs little. Five
/// windows halve the limit.
const CUT: f64 = 0.15;

/// A window has at least so many verdicts, unless it has lasted
/// [`LONGEST`].
const VERDICTS: u32 = 5;

/// Bounds of the length of a window.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(500);

/// Lateness that has lasted so long, though the limit was halved, is not the
/// load's: it becomes the usual.
const INCURABLE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Gradient {
    limit: f64,
    usual: Usual,
    /// Calls that wait for their first token; no more than the ceiling.
    pending: Slab<Pending>,
    window: Window,
    /// Windows in a row that left room for more.
    streak: u32,
    /// It has been too high at least once, so that its height is known.
    tested: bool,
    /// Since when most calls are late, and what the limit was then.
    late_since: Option<(Instant, f64)>,
    /// When a refusal last cut it.
    refused: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    class: Class,
    since: Instant,
    /// When it becomes late, where its class has a usual time.
    due: Option<Instant>,
    /// It began with little else in flight: what it takes is without load.
    light: bool,
    /// It has been found late.
    judged: bool,
}

/// What has happened since the limit was last looked at.
#[derive(Clone, Copy, Debug)]
struct Window {
    opened: Instant,
    length: Duration,
    in_time: u32,
    late: u32,
    /// Answers that give no verdict, and say that answers come.
    others: u32,
    /// First tokens, and the sum of the times they usually take, in seconds.
    firsts: u32,
    usual: f64,
    /// The limit held a call back, or was about to.
    full: bool,
}

impl Window {
    fn new(opened: Instant, length: Duration) -> Self {
        Self {
            opened,
            length,
            in_time: 0,
            late: 0,
            others: 0,
            firsts: 0,
            usual: 0.0,
            full: false,
        }
    }
}

impl Gradient {
    /// A limit that has seen nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            limit: FIRST,
            usual: Usual::default(),
            pending: Slab::new(),
            window: Window::new(now, SHORTEST),
            streak: 0,
            tested: false,
            late_since: None,
            refused: None,
        }
    }

    /// How many calls may be in flight.
    pub fn current(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "kept between the least and the ceiling"
        )]
        let limit = self.limit as usize;
        limit
    }

    /// A call of `class` begins. Returns what [`Mark`] keeps of it.
    pub(super) fn begin(&mut self, now: Instant, class: Class, load: Load) -> Option<usize> {
        self.tick(now, load);
        let usual = self.usual.of(class);
        let pending = Pending {
            class,
            since: now,
            due: usual.map(|usual| now + usual.mul_f64(LATE)),
            light: self.is_light(load),
            judged: false,
        };
        let room = self.pending.len() < CEILING;
        room.then(|| self.pending.insert(pending))
    }

    /// A call was heard of.
    pub(super) fn learn(&mut self, now: Instant, mark: Mark, outcome: Outcome, load: Load) {
        let pending = mark.pending.and_then(|key| self.pending.try_remove(key));
        match (outcome, pending) {
            (Outcome::Answered, Some(call)) => self.first_token(now, call, load),
            (Outcome::Answered, None) => self.window.others += 1,
            (Outcome::Overloaded { .. }, _) => self.refused(now, mark.since, load),
            (Outcome::Failed | Outcome::Cancelled, _) => {}
        }
        self.tick(now, load);
    }

    fn first_token(&mut self, now: Instant, call: Pending, load: Load) {
        let took = now.saturating_duration_since(call.since);
        // The first to answer are the fastest of the first to begin: the others
        // of those count too.
        let first = call.due.is_none();
        let light = first || (call.light && self.is_light(load));
        self.usual
            .learn(call.class, took, light || self.is_incurable(now, load));
        self.window.firsts += 1;
        self.window.usual += self.usual.of(call.class).unwrap_or_default().as_secs_f64();
        match call.due {
            _ if call.judged => {}
            Some(due) if now <= due => self.window.in_time += 1,
            Some(_) => self.window.late += 1,
            // While its height is not known it grows by what is not late.
            None => self.window.others += u32::from(!self.tested),
        }
    }

    /// What is in flight does not slow calls down.
    fn is_light(&self, load: Load) -> bool {
        load.in_flight <= (self.current() / 2).max(LEAST)
    }

    /// Calls are late, and cutting has not helped.
    fn is_incurable(&self, now: Instant, load: Load) -> bool {
        self.late_since.is_some_and(|(since, limit)| {
            let halved = self.limit <= limit / 2.0 && load.in_flight as f64 <= self.limit;
            halved && now.saturating_duration_since(since) > INCURABLE
        })
    }

    /// An engine that says so is believed at once, but once per round trip.
    fn refused(&mut self, now: Instant, since: Instant, load: Load) {
        if self.refused.is_some_and(|at| since < at) {
            return;
        }
        self.refused = Some(now);
        self.lower(self.limit.min(load.in_flight as f64) * (1.0 - CUT));
    }

    /// Closes the window if its time has come.
    pub(super) fn tick(&mut self, now: Instant, load: Load) {
        let full = load.waiting > 0 || load.in_flight as f64 >= 0.9 * self.limit;
        self.window.full |= full;
        let elapsed = now.saturating_duration_since(self.window.opened);
        if elapsed < self.window.length {
            return;
        }
        self.find_overdue(now);
        let heard = self.window.in_time + self.window.late + self.window.others;
        if heard >= VERDICTS || elapsed >= LONGEST {
            self.close(now, elapsed, load);
        }
    }

    fn find_overdue(&mut self, now: Instant) {
        for (_, call) in &mut self.pending {
            if !call.judged && call.due.is_some_and(|due| due < now) {
                call.judged = true;
                self.window.late += 1;
            }
        }
    }

    fn close(&mut self, now: Instant, elapsed: Duration, load: Load) {
        let window = self.window;
        let waiting = self.pending.len() as f64;
        // As many wait for their first token as come in the time that takes.
        let usually = window.usual / elapsed.as_secs_f64();
        let tolerated = ROOMY * usually;
        // Stragglers, which are late already, say nothing of the others.
        let due = self.pending.iter().filter(|(_, call)| !call.judged).count() as f64;
        let roomy = !self.tested || due <= tolerated + 1.0;
        let heard = window.in_time + window.others > 0;
        if window.late > 2 * window.in_time {
            self.late_since.get_or_insert((now, self.limit));
        } else if heard {
            self.late_since = None;
        }
        if self.late_since.is_some() {
            self.tested = true;
            self.streak = 0;
            let target = load.in_flight as f64 - (waiting - tolerated).max(0.0);
            self.lower(target.max(self.limit * (1.0 - CUT)));
        } else if heard && window.full && roomy {
            self.streak += 1;
            self.raise();
        } else {
            self.streak = 0;
        }
        let length = match window.firsts {
            0 => window.length,
            firsts => Duration::from_secs_f64(window.usual / f64::from(firsts)),
        };
        self.window = Window::new(now, length.clamp(SHORTEST, LONGEST));
    }

    fn lower(&mut self, to: f64) {
        self.limit = to.clamp(LEAST as f64, self.limit.max(LEAST as f64));
    }

    /// By the root of the limit; to twice as many until it has once been too high; by
    /// more and more once three windows in a row have left room, because then
    /// the capacity has come back.
    fn raise(&mut self) {
        let step = match self.tested {
            false => self.limit,
            true => self.limit.sqrt() * f64::from(self.streak.saturating_sub(2).max(1)),
        };
        self.limit = (self.limit + step.min(self.limit)).min(CEILING as f64);
    }
}
