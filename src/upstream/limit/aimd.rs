//! The limit of a hosted API: open until it refuses, then less.
//!
//! A refusal takes a fifth of what was in flight, at most once per round trip:
//! refusals of calls that began before the last cut tell nothing new. The way
//! back is a function of the time since the cut alone, with the shape of TCP
//! CUBIC's window (RFC 9438, section 4.2): quickly back to just below what
//! hurt, slowly past it, then faster and faster until it is open again. So
//! nothing is to be counted while all is well.

use std::time::Duration;

use tokio::time::Instant;

use super::{Load, Outcome};

/// What a refusal takes away.
const CUT: f64 = 0.2;

/// How long the way back to where it hurt takes. Short enough that capacity
/// that has doubled is used 2.7 times this later; longer than a refused call's
/// round trip, or cuts would follow each other.
const BACK: Duration = Duration::from_millis(700);

/// See the module.
#[derive(Clone, Debug)]
pub struct Aimd {
    ceiling: usize,
    cut: Option<Cut>,
}

/// The last time it hurt.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Instant,
    /// How many calls were too many.
    most: f64,
}

impl Aimd {
    /// An open limit.
    pub fn new(ceiling: usize) -> Self {
        Self { ceiling, cut: None }
    }

    /// How many calls may be in flight, at least one.
    pub fn current(&self, now: Instant) -> usize {
        let Some(cut) = self.cut else {
            return self.ceiling;
        };
        let since = now.saturating_duration_since(cut.at);
        // In units of the way back; far enough to be open, and no further.
        let past = (since.as_secs_f64() / BACK.as_secs_f64()).min(100.0) - 1.0;
        let limit = cut.most * (1.0 + CUT * past.powi(3));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the ceiling"
        )]
        let limit = limit.clamp(1.0, self.ceiling as f64) as usize;
        limit
    }

    /// It is at the ceiling, and stays there until the next refusal.
    pub fn is_open(&self, now: Instant) -> bool {
        self.current(now) == self.ceiling
    }

    /// A call that began at `since` was heard of.
    pub fn learn(&mut self, now: Instant, since: Instant, outcome: Outcome, load: Load) {
        if outcome != Outcome::Overloaded || self.cut.is_some_and(|cut| since < cut.at) {
            return;
        }
        // What is allowed and not used did not hurt anybody.
        let most = self.current(now).min(load.in_flight).max(1) as f64;
        self.cut = Some(Cut { at: now, most });
    }
}
