//! Whether a target is to be called: the breaker of one target.
//!
//! In: five failures in a row, or more than a quarter of at least twenty calls in
//! ten seconds, put it out: more than retries, which are a fifth, make good. Out: for ten seconds, the next time twenty, up to five
//! minutes. Then one call at a time may try it: the probe. If that goes well it is
//! in again, and its share grows over ten seconds; if not, out again, for longer.
//!
//! What counts as a failure is the caller's to say; that the last target is
//! never put out is `balance`'s affair, which sees them all.

use std::time::Duration;

use tokio::time::Instant;

use super::tally::Tally;

/// Failures in a row that put a target out.
const STREAK: u32 = 5;
/// Calls in ten seconds below which their share of failures says nothing.
const ENOUGH: u32 = 20;
/// How long a target is out the first time; the nth time it is n times as long.
const OUT: Duration = Duration::from_secs(10);
/// It is never out for longer than this many times [`OUT`]: five minutes.
const LONGEST: u32 = 30;
/// So long in, and one time of being out is forgotten.
const FORGIVEN: Duration = Duration::from_secs(60);
/// How long the share of a target that has come back grows.
const SLOW_START: Duration = Duration::from_secs(10);
/// The share it begins with.
const FIRST_SHARE: f64 = 0.1;

/// What a call shows of its target. The caller's own fault, being told to wait
/// (429) and being cancelled show nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It does what it should.
    Well,
    /// It failed: not reached, reset, 5xx, 529, no first token in time.
    Ill,
    /// It had answered well, and broke off later.
    Broken,
}

/// What a target's health is at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// In.
    Well,
    /// In again since a short time: it should get this share of what it got
    /// before, 0.1 … 1.
    Recovering(f64),
    /// Out, and one call may try it.
    Due,
    /// Out, and one call is trying it.
    Probing,
    /// Out until then.
    Out(Instant),
}

impl State {
    /// Whether a call may go there.
    pub fn is_usable(self) -> bool {
        !matches!(self, Self::Probing | Self::Out(_))
    }

    /// The share it should get of what it would get if it were well.
    pub fn share(self) -> f64 {
        match self {
            Self::Recovering(share) => share,
            _ => 1.0,
        }
    }

    /// The word for logs and pages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Recovering(_) => "recovering",
            Self::Due => "due",
            Self::Probing => "probing",
            Self::Out(_) => "out",
        }
    }
}

/// What a call holds from its begin to its end.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Which judgement of the target it began under. What began under an
    /// earlier one has no say in this one.
    epoch: u32,
    is_probe: bool,
}

/// The health of one target.
#[derive(Debug)]
pub struct Health {
    phase: Phase,
    /// Grows with every change between in and out.
    epoch: u32,
    /// Failures since the last success.
    streak: u32,
    /// Calls, and failures among them.
    recent: Tally<2>,
    /// How often it was out, less what is forgiven.
    times_out: u32,
    /// Spreads the ends of being out, so that targets and gateways that went
    /// out together don't come back together.
    rng: fastrand::Rng,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// In; since when, if it was out before.
    In(Option<Instant>),
    Out {
        until: Instant,
        is_probed: bool,
    },
}

impl Health {
    /// A target nothing is known of: well.
    pub fn new(seed: u64) -> Self {
        Self {
            phase: Phase::In(None),
            epoch: 0,
            streak: 0,
            recent: Tally::new(),
            times_out: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How it is.
    pub fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::In(None) => State::Well,
            Phase::In(Some(since)) => {
                let age = now.saturating_duration_since(since);
                let grown = age.as_secs_f64() / SLOW_START.as_secs_f64();
                if grown < 1.0 {
                    State::Recovering(FIRST_SHARE + (1.0 - FIRST_SHARE) * grown)
                } else {
                    State::Well
                }
            }
            Phase::Out { until, .. } if now < until => State::Out(until),
            Phase::Out { is_probed, .. } if is_probed => State::Probing,
            Phase::Out { .. } => State::Due,
        }
    }

    /// A call wants to begin: nothing if the target is out. Of those that come
    /// when it is due, one gets in at a time.
    pub fn enter(&mut self, now: Instant) -> Option<Entry> {
        if !self.state(now).is_usable() {
            return None;
        }
        let is_probe = match &mut self.phase {
            Phase::In(_) => false,
            Phase::Out { is_probed, .. } => {
                *is_probed = true;
                true
            }
        };
        Some(Entry {
            epoch: self.epoch,
            is_probe,
        })
    }

    /// A call begins whatever the target's health is, because there is no
    /// other.
    pub fn force(&mut self, now: Instant) -> Entry {
        self.enter(now).unwrap_or(Entry {
            epoch: self.epoch,
            is_probe: false,
        })
    }

    /// What a call has shown; nothing if that is of the past. True if this put the
    /// target out.
    pub fn tell(&mut self, now: Instant, entry: Entry, sign: Sign) -> bool {
        if !self.is_current(entry) {
            return false;
        }
        match (self.phase, sign) {
            (Phase::In(_), Sign::Well) => {
                self.streak = 0;
                self.recent.add(now, [1, 0]);
            }
            (Phase::In(back), Sign::Ill | Sign::Broken) => {
                self.streak += 1;
                // A call that broke off was counted when it answered.
                let call = u32::from(sign == Sign::Ill);
                self.recent.add(now, [call, 1]);
                let [calls, failures] = self.recent.sum(now);
                if self.streak >= STREAK || (calls >= ENOUGH && failures * 4 > calls) {
                    self.put_out(now, back);
                    return true;
                }
            }
            (Phase::Out { .. }, Sign::Well) => self.change(Phase::In(Some(now))),
            (Phase::Out { .. }, Sign::Ill | Sign::Broken) if entry.is_probe => {
                self.put_out(now, None);
                return true;
            }
            // No probe, only a call that had nowhere else to go.
            (Phase::Out { .. }, Sign::Ill | Sign::Broken) => {}
        }
        false
    }

    /// A call has ended without showing anything: another may be the probe.
    pub fn leave(&mut self, entry: Entry) {
        if entry.is_probe
            && self.is_current(entry)
            && let Phase::Out { is_probed, .. } = &mut self.phase
        {
            *is_probed = false;
        }
    }

    /// Whether the target has neither gone out nor come back since a call began. If
    /// it has, what the call shows is of the past.
    pub fn is_current(&self, entry: Entry) -> bool {
        entry.epoch == self.epoch
    }

    fn put_out(&mut self, now: Instant, back: Option<Instant>) {
        let well_for = back.map_or(Duration::ZERO, |back| now.saturating_duration_since(back));
        let forgiven = (well_for.as_secs() / FORGIVEN.as_secs()).min(u64::from(self.times_out));
        self.times_out = (self.times_out - forgiven as u32 + 1).min(LONGEST);
        let spread = 0.8 + 0.2 * self.rng.f64();
        self.change(Phase::Out {
            until: now + OUT.mul_f64(f64::from(self.times_out) * spread),
            is_probed: false,
        });
    }

    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch = self.epoch.wrapping_add(1);
        self.streak = 0;
        self.recent = Tally::new();
    }
}

#[cfg(test)]
mod tests;
