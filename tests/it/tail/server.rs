//! A simulated target: what becomes of an attempt that reaches it.
//!
//! The luck of an attempt depends on its call, its target and its number
//! alone, so two runs with different policies are dealt the same cards.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use nowait::sim::Dice;
use nowait::upstream::quota::{Told, Unit};

use super::scenario::{Fault, FaultKind, Scenario, Weather};

/// One target as it really is.
pub(crate) struct Server<'a> {
    scenario: &'a Scenario,
    index: usize,
    /// Attempts that are worked on.
    busy: usize,
    /// Attempts that wait for a slot.
    line: VecDeque<Visit>,
    /// What is missing from the quota, in microseconds of its filling up, at a time.
    quota: (u64, Duration),
    /// When each conversation was here last.
    warm: HashMap<u64, Duration>,
    /// The most attempts that were here at once.
    pub(crate) peak: usize,
}

/// An attempt, as far as a target sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) attempt: usize,
    pub(crate) call: usize,
    /// Which attempt of its call.
    pub(crate) number: usize,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) session: Option<u64>,
}

/// What becomes of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It will be answered: after `first`, and for `rest` after that.
    Served {
        first: Duration,
        rest: Duration,
        warm: bool,
    },
    /// It goes wrong after a while, and holds no slot.
    Fails {
        after: Duration,
        kind: FaultKind,
        retry_after: Option<Duration>,
    },
    /// It stands in line.
    Waits,
}

impl<'a> Server<'a> {
    pub(crate) fn new(scenario: &'a Scenario, index: usize) -> Self {
        Self {
            scenario,
            index,
            busy: 0,
            line: VecDeque::new(),
            quota: (0, Duration::ZERO),
            warm: HashMap::new(),
            peak: 0,
        }
    }

    fn sky<T>(&self, at: Duration, what: impl Fn(&'a Weather) -> Option<T>) -> Option<T> {
        self.scenario.sky(self.index, at, what)
    }

    /// How many attempts are worked on at once, where that is bounded.
    pub(crate) fn slots(&self, at: Duration) -> Option<usize> {
        self.sky(at, |weather| weather.slots)
    }

    /// What the quota is, what is left of it, and when it is full again, if the
    /// target tells.
    pub(crate) fn left(&self, at: Duration) -> Option<Told> {
        let tells = self.sky(at, |weather| weather.tells)?;
        let (limit, per) = self.sky(at, |weather| weather.quota)?;
        let each = per.0.as_micros() as u64 / u64::from(limit);
        let missing = self.missing(at);
        let left = u64::from(limit).saturating_sub(missing.div_ceil(each));
        tells.then_some(Told {
            limit: f64::from(limit),
            remaining: left as f64,
            resets_in: Duration::from_micros(missing),
            unit: match self.counts_tokens(at) {
                true => Unit::Tokens,
                false => Unit::Calls,
            },
        })
    }

    fn counts_tokens(&self, at: Duration) -> bool {
        self.sky(at, |weather| weather.of_tokens).unwrap_or(false)
    }

    /// The quota is a bucket that fills evenly: how long until it is full.
    fn missing(&self, at: Duration) -> u64 {
        let (missing, then) = self.quota;
        missing.saturating_sub((at - then).as_micros() as u64)
    }

    /// An attempt reaches the target.
    pub(crate) fn arrive(&mut self, at: Duration, visit: Visit) -> Fate {
        let mut dice = luck(self.scenario.seed, &visit, self.index);
        if let Some(fault) = self.fault(at, &mut dice) {
            return self.fails(at, &fault);
        }
        if let Some(after) = self.over_quota(at, &visit) {
            let refusal = Fault {
                kind: FaultKind::Status(429),
                share: 1.0,
                retry_after: self.sky(at, |weather| weather.retry_after),
            };
            let Fate::Fails {
                after: trip,
                kind,
                retry_after,
            } = self.fails(at, &refusal)
            else {
                unreachable!("a fault fails");
            };
            return Fate::Fails {
                after: trip,
                kind,
                retry_after: retry_after.or(Some(after)),
            };
        }
        match self.slots(at) {
            Some(slots) if self.busy >= slots => {
                if self.sky(at, |weather| weather.refuses) == Some(true) {
                    let refusal = Fault {
                        kind: FaultKind::Status(429),
                        share: 1.0,
                        retry_after: self.sky(at, |weather| weather.retry_after),
                    };
                    return self.fails(at, &refusal);
                }
                self.line.push_back(visit);
                self.peak = self.peak.max(self.busy + self.line.len());
                Fate::Waits
            }
            _ => self.serve(at, visit),
        }
    }

    /// One that waited may be served now: call until there is none.
    pub(crate) fn call_up(&mut self, at: Duration) -> Option<(Visit, Fate)> {
        if self.slots(at).is_some_and(|slots| self.busy >= slots) {
            return None;
        }
        let visit = self.line.pop_front()?;
        Some((visit, self.serve(at, visit)))
    }

    /// An attempt that was served ends, by itself or because it was cancelled.
    pub(crate) fn leave(&mut self) {
        self.busy -= 1;
    }

    /// An attempt that waits is cancelled.
    pub(crate) fn leave_line(&mut self, attempt: usize) {
        self.line.retain(|visit| visit.attempt != attempt);
    }

    fn serve(&mut self, at: Duration, visit: Visit) -> Fate {
        self.busy += 1;
        self.peak = self.peak.max(self.busy + self.line.len());
        let mut dice = luck(!self.scenario.seed, &visit, self.index);
        let pace = self.sky(at, |weather| weather.ttft.as_ref());
        let mut first = pace.map_or(Duration::ZERO, |pace| pace.0.draw(&mut dice));
        let was_here = visit.session.and_then(|of| self.warm.insert(of, at));
        let kept = self.sky(at, |weather| weather.warm);
        let mut warm = false;
        if let (Some((share, ttl)), Some(last)) = (kept, was_here)
            && at - last <= ttl.0
        {
            warm = true;
            first = first.mul_f64(share);
        }
        if let Some(prefill) = self.sky(at, |weather| weather.prefill) {
            first += prefill.0.mul_f64(visit.input as f64 / 1e3);
        }
        if let Some((share, times)) = self.sky(at, |weather| weather.stragglers)
            && dice.unit() < share
        {
            first = first.mul_f64(times);
        }
        let slow = self.sky(at, |weather| weather.slow).unwrap_or(1.0);
        let speed = self
            .sky(at, |weather| weather.speed)
            .unwrap_or(f64::INFINITY);
        let rest = Duration::from_secs_f64(visit.output as f64 / speed);
        Fate::Served {
            first: whole(first.mul_f64(slow)),
            rest: whole(rest.mul_f64(slow)),
            warm,
        }
    }

    fn fault(&self, at: Duration, dice: &mut Dice) -> Option<Fault> {
        let faults = self.sky(at, |weather| weather.faults.as_ref())?;
        let mut at = dice.unit();
        faults
            .iter()
            .find(|fault| {
                at -= fault.share;
                at < 0.0
            })
            .cloned()
    }

    fn fails(&self, at: Duration, fault: &Fault) -> Fate {
        let trip = self.sky(at, |weather| weather.round_trip);
        let trip = trip.map_or(Duration::from_millis(30), |time| time.0);
        Fate::Fails {
            after: match fault.kind {
                FaultKind::Silence => Duration::from_secs(86_400),
                _ => trip,
            },
            kind: fault.kind,
            retry_after: fault.retry_after.map(|time| time.0),
        }
    }

    /// Counts a call against the quota; the time until there is room, if it is
    /// used up.
    fn over_quota(&mut self, at: Duration, visit: &Visit) -> Option<Duration> {
        let (limit, per) = self.sky(at, |weather| weather.quota)?;
        let whole = per.0.as_micros() as u64;
        let takes = match self.counts_tokens(at) {
            true => visit.input + visit.output,
            false => 1,
        };
        let missing = self.missing(at) + takes * (whole / u64::from(limit));
        if missing > whole {
            return Some(Duration::from_micros(missing - whole));
        }
        self.quota = (missing, at);
        None
    }
}

/// The dice of one attempt.
fn luck(seed: u64, visit: &Visit, target: usize) -> Dice {
    let mut mixed = Dice::new(seed);
    for part in [visit.call, target, visit.number] {
        mixed = Dice::new(mixed.roll() ^ part as u64);
    }
    Dice::new(mixed.roll())
}

/// Whole microseconds: what differs in the last bit of a logarithm between two
/// machines is gone.
pub(crate) fn whole(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros() as u64)
}
