//! When calls come, and what they ask: drawn from each stream's own dice, so
//! that every run of a scenario sees the same calls.

use std::time::Duration;

use nowait::sim::Dice;

use super::scenario::{Arrivals, Callers};
use super::server::whole;

/// A stream of calls as it unfolds.
pub(crate) struct Stream<'a> {
    pub(crate) callers: &'a Callers,
    /// When calls come.
    times: Dice,
    /// What they ask.
    asks: Dice,
    to: Duration,
}

/// What one call asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) session: Option<u64>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(callers: &'a Callers, seed: u64, index: usize, length: Duration) -> Self {
        let mut dice = Dice::new(seed ^ index as u64);
        Self {
            callers,
            times: Dice::new(dice.roll()),
            asks: Dice::new(dice.roll()),
            to: callers.to.map_or(length, |to| to.0.min(length)),
        }
    }

    /// The first arrivals.
    pub(crate) fn first(&mut self) -> Vec<Duration> {
        let from = self.callers.from.0;
        match &self.callers.arrivals {
            Arrivals::Poisson(_) | Arrivals::Ramp(..) => self.after(from).into_iter().collect(),
            Arrivals::Burst { calls, .. } => vec![from; *calls],
            Arrivals::Closed { callers, think } => (0..*callers)
                .map(|_| from + whole(think.0.draw(&mut self.times)))
                .collect(),
        }
    }

    /// The arrival that follows one at `at`, whatever becomes of that.
    pub(crate) fn after(&mut self, at: Duration) -> Option<Duration> {
        let next = match &self.callers.arrivals {
            Arrivals::Poisson(rate) => at + gap(&mut self.times, *rate),
            Arrivals::Ramp(low, high) => {
                // Thinning: as many as at the top come, and some are let go.
                let top = low.max(*high);
                let from = self.callers.from.0;
                let mut next = at;
                loop {
                    next += gap(&mut self.times, top);
                    let way = (next - from).as_secs_f64() / (self.to - from).as_secs_f64();
                    if next >= self.to || self.times.unit() * top <= low + (high - low) * way {
                        break next;
                    }
                }
            }
            Arrivals::Burst { every, .. } => at + every.0,
            Arrivals::Closed { .. } => return None,
        };
        (next < self.to).then_some(next)
    }

    /// How many calls come at each arrival.
    pub(crate) fn at_once(&self) -> usize {
        match self.callers.arrivals {
            Arrivals::Burst { calls, .. } => calls,
            Arrivals::Poisson(_) | Arrivals::Ramp(..) | Arrivals::Closed { .. } => 1,
        }
    }

    /// When a caller of a closed loop asks again that has its answer at `at`.
    pub(crate) fn again(&mut self, at: Duration) -> Option<Duration> {
        let Arrivals::Closed { think, .. } = &self.callers.arrivals else {
            return None;
        };
        let next = at + whole(think.0.draw(&mut self.times));
        (next < self.to).then_some(next)
    }

    /// What the next call asks.
    pub(crate) fn ask(&mut self) -> Asked {
        let sessions = self.callers.sessions;
        Asked {
            input: self.callers.input.0.draw(&mut self.asks),
            output: self.callers.output.0.draw(&mut self.asks),
            session: (sessions > 0).then(|| self.asks.below(sessions) as u64),
        }
    }

    /// A number in `[0, 1)` for what callers do by chance.
    pub(crate) fn chance(&mut self) -> f64 {
        self.times.unit()
    }
}

fn gap(dice: &mut Dice, rate: f64) -> Duration {
    whole(Duration::from_secs_f64(-(1.0 - dice.unit()).ln() / rate))
}
