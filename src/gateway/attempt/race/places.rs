//! Where the next attempt of a call may go, and when: what the call itself has
//! seen of the targets in its ranking, beside what the world says of them.

use std::time::Duration;

use tokio::time::Instant;

use super::{Readiness, World};
use crate::gateway::attempt::pause::BackOff;

/// The places of a ranking, best first. Nothing is allocated before one rests.
#[derive(Debug)]
pub(super) struct Places {
    count: u8,
    /// Those that were asked, as bits.
    asked: u64,
    /// Those that are not asked again, as bits.
    ruled_out: u64,
    /// Those that failed and may be asked again.
    rests: Vec<Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    place: u8,
    failures: u32,
    until: Instant,
    /// What others are told to wait is heeded up to here, once the call was told
    /// itself or has begun to wait. Each refusal renews the target's pause: among
    /// much traffic a call that heeded them all would never go.
    latest: Option<Instant>,
}

impl Places {
    /// So many places, of which none was asked; at least one, at most 64.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count: count.clamp(1, 64) as u8,
            asked: 0,
            ruled_out: 0,
            rests: Vec::new(),
        }
    }

    /// This one is asked.
    pub(super) fn ask(&mut self, place: u8) {
        self.asked |= 1 << place;
    }

    /// Whether it was.
    pub(super) fn was_asked(&self, place: u8) -> bool {
        self.asked & (1 << place) != 0
    }

    /// This one is not asked again.
    pub(super) fn rule_out(&mut self, place: u8) {
        self.ruled_out |= 1 << place;
    }

    /// None is asked again.
    pub(super) fn rule_out_all(&mut self) {
        self.ruled_out = u64::MAX;
    }

    /// A place failed at `now`, and is left alone for a while.
    pub(super) fn rest(
        &mut self,
        place: u8,
        now: Instant,
        back_off: BackOff,
        pause: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) {
        let known = self.rests.iter().position(|rest| rest.place == place);
        let failures = known.map_or(0, |at| self.rests.swap_remove(at).failures) + 1;
        let until = now + back_off.wait(failures, pause, rng);
        self.rests.push(Rest {
            place,
            failures,
            until,
            latest: pause.map(|_| until),
        });
    }

    /// The call waits for this place from `now` to `at`.
    fn settle(&mut self, place: u8, now: Instant, at: Instant) {
        let known = self.rests.iter_mut().find(|rest| rest.place == place);
        match known {
            Some(rest) => rest.latest = Some(at),
            None => self.rests.push(Rest {
                place,
                failures: 0,
                until: now,
                latest: Some(at),
            }),
        }
    }

    /// Where an attempt after a failure goes, and when, if that is before
    /// `horizon`: the place that is free first, one that was not asked before
    /// one that was, a better before a worse. Ejected ones come last, however
    /// long the others take. A moment that was named is not put off later.
    pub(super) fn after_failure(
        &mut self,
        now: Instant,
        horizon: Instant,
        world: &mut impl World,
    ) -> Option<(Instant, u8)> {
        let free = self.open().filter_map(|place| {
            let rest = self.rests.iter().find(|rest| rest.place == place);
            let rested = rest.map_or(now, |rest| rest.until.max(now));
            let (is_ejected, at) = match world.readiness(usize::from(place), now) {
                Readiness::Ready => (false, rested),
                Readiness::Paused(until) => {
                    let latest = rest.and_then(|rest| rest.latest).unwrap_or(until);
                    (false, rested.max(until.min(latest)))
                }
                Readiness::Ejected => (true, rested),
            };
            (at < horizon).then_some((is_ejected, at, self.was_asked(place), place))
        });
        let (_, at, _, place) = free.min()?;
        if at > now {
            self.settle(place, now, at);
        }
        Some((at, place))
    }

    /// Where a hedge for an attempt at `late` goes that has waited for so long: the
    /// best place that was not asked, else the same over another connection. Only
    /// to one that is ready, and not to one that as a rule takes longer than that
    /// itself: it would come too late, and spend the budget.
    pub(super) fn beside(
        &self,
        late: u8,
        waited: Duration,
        now: Instant,
        world: &mut impl World,
    ) -> Option<u8> {
        let mut may_help = |place: u8| {
            let at = usize::from(place);
            let typical = world.quantile(at, 0.5, now);
            (place == late || typical.is_none_or(|typical| typical <= waited))
                && world.readiness(at, now) == Readiness::Ready
        };
        let new = self.open().filter(|place| !self.was_asked(*place));
        let same = self.open().filter(|place| *place == late);
        new.chain(same).find(|place| may_help(*place))
    }

    /// Whether any may still be asked, now or later.
    pub(super) fn has_open(&self) -> bool {
        self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = u8> {
        let ruled_out = self.ruled_out;
        (0..self.count).filter(move |place| ruled_out & (1 << place) == 0)
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.rests.capacity()
    }
}
