//! The limit of a hosted API: none until it refuses, then less.
//!
//! A provider may refuse a call now and then for reasons of its own, and that is
//! not to be answered with fewer calls. So refusals are judged by rounds: the
//! first one opens a round, and of the calls that begin in it, a quarter and at least
//! five have to be refused, or three where there is a limit already. Then the limit
//! falls to just below what is evidently served, which is what was in flight before
//! the round and has not been refused. Where all calls of the round were refused,
//! none is sent before the time that the refusals said, and then one at a time.
//!
//! The way back is a function of the time since the cut alone, with the shape of
//! TCP CUBIC's window (RFC 9438, section 4.2): quickly back to what fitted, slowly
//! past it, then faster and faster until there is no limit again. So nothing is
//! to be counted while all is well.

use std::time::Duration;

use tokio::time::Instant;

use super::{Load, Outcome};

/// So many of the calls of a round have to be refused …
const ENOUGH: u32 = 5;

/// … or so many where there is a limit …
const ENOUGH_LIMITED: u32 = 3;

/// … and this share of them. Fewer are made good by trying again, for which there is
/// a budget of a fifth; and of a provider that refuses one in twenty by chance this
/// many are refused once in some hundred rounds.
const SHARE: f64 = 0.25;

/// A round lasts no longer than this, or than three times what a refusal takes, if
/// that is longer.
const ROUND: Duration = Duration::from_secs(1);

/// Nor than this: a refusal that takes so long is none for load.
const LONGEST: Duration = Duration::from_secs(10);

/// How far below what fitted the way back begins.
const CUT: f64 = 0.1;

/// How long the way back to what fitted takes. Twice of that is allowed 1.6 s after
/// a cut; longer than most rounds, or cuts would follow each other.
const BACK: Duration = Duration::from_millis(500);

/// No call is held back for longer than this: who would be is better told so by the
/// provider at once.
const HELD: Duration = Duration::from_secs(5);

/// So long after a cut there is no limit: it would be 35 times what fitted.
const OPEN: Duration = Duration::from_secs(4);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Aimd {
    round: Option<Round>,
    cut: Option<Cut>,
}

/// What has become of the calls that began since a refusal.
#[derive(Clone, Copy, Debug)]
struct Round {
    opened: Instant,
    until: Instant,
    begun: u32,
    heard: u32,
    refused: u32,
}

/// The last time it was too much.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Instant,
    /// How many calls fitted.
    fitted: f64,
    /// Whether none was answered.
    is_total: bool,
    /// For how long none is to begin.
    held: Duration,
}

impl Aimd {
    /// How many calls may be in flight, at least one; `None` while there is no
    /// limit.
    pub fn current(&self, now: Instant) -> Option<usize> {
        let cut = self.cut?;
        let since = now.saturating_duration_since(cut.at + cut.held);
        if since >= OPEN {
            return None;
        }
        // In units of the way back.
        let past = since.as_secs_f64() / BACK.as_secs_f64() - 1.0;
        let limit = cut.fitted * (1.0 + CUT * past.powi(3));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few times what was in flight"
        )]
        let limit = limit.max(1.0) as usize;
        Some(limit)
    }

    /// For how long none is to begin.
    pub fn held(&self, now: Instant) -> Duration {
        self.cut.map_or(Duration::ZERO, |cut| {
            (cut.at + cut.held).saturating_duration_since(now)
        })
    }

    /// How long until so many calls may be in flight, whatever happens to those
    /// that are: unless there is another cut.
    pub fn opens(&self, now: Instant, calls: usize) -> Duration {
        let Some(cut) = self.cut else {
            return Duration::ZERO;
        };
        let grown = (calls as f64 / cut.fitted - 1.0) / CUT;
        let after = BACK.mul_f64((grown.cbrt() + 1.0).max(0.0)).min(OPEN);
        (cut.at + cut.held + after).saturating_duration_since(now)
    }

    /// It wants to be told of all calls; else of refusals alone.
    pub fn is_watching(&self, now: Instant) -> bool {
        self.current(now).is_some() || self.round.is_some_and(|round| now < round.until)
    }

    /// A call begins.
    pub fn begin(&mut self) {
        if let Some(round) = &mut self.round {
            round.begun += 1;
        }
    }

    /// A call that began at `since` was heard of.
    pub fn learn(&mut self, now: Instant, since: Instant, outcome: Outcome, load: Load) {
        let again = match outcome {
            Outcome::Overloaded { again } => Some(again),
            Outcome::Answered | Outcome::Failed | Outcome::Cancelled => None,
        };
        let limit = self.current(now);
        if let Some(round) = self.round.as_mut().filter(|round| now < round.until) {
            if since < round.opened {
                return;
            }
            round.heard += 1;
            round.refused += u32::from(again.is_some());
            let enough = if limit.is_some() {
                ENOUGH_LIMITED
            } else {
                ENOUGH
            };
            if let Some(again) = again
                && round.is_too_much(enough)
            {
                let (fitted, is_total) = (round.fitted(load), round.heard == round.refused);
                self.cut(now, fitted, is_total, again);
            }
        } else if let Some(again) = again
            // What began before a cut tells nothing new.
            && self.cut.is_none_or(|cut| since >= cut.at)
        {
            match self.cut {
                // It was sent to see.
                Some(cut) if cut.is_total && limit == Some(1) => {
                    self.cut(now, load.in_flight as f64 - 1.0, true, again);
                }
                _ => self.round = Some(Round::new(now, now.saturating_duration_since(since))),
            }
        }
    }

    fn cut(&mut self, at: Instant, fitted: f64, is_total: bool, again: Option<Duration>) {
        let held = again.filter(|again| is_total && fitted < 1.0 && *again <= HELD);
        self.round = None;
        self.cut = Some(Cut {
            at,
            fitted: fitted.max(1.0),
            is_total,
            held: held.unwrap_or_default(),
        });
    }
}

impl Round {
    /// A round opened by a refusal that took so long.
    fn new(opened: Instant, took: Duration) -> Self {
        let until = opened + (took * 3).clamp(ROUND, LONGEST);
        Self {
            opened,
            until,
            begun: 0,
            heard: 0,
            refused: 0,
        }
    }

    fn is_too_much(&self, enough: u32) -> bool {
        self.refused >= enough && f64::from(self.refused) >= SHARE * f64::from(self.begun)
    }

    /// How many calls are evidently served, of `load` with one that is not: those
    /// that had begun before, and of the others that nothing was heard of yet the
    /// share that has not been refused so far.
    fn fitted(&self, load: Load) -> f64 {
        let begun = f64::from(self.begun.max(1));
        let open = f64::from(self.begun.saturating_sub(self.heard));
        let share = (f64::from(self.refused) / begun).min(1.0);
        load.in_flight as f64 - 1.0 - open * share
    }
}
