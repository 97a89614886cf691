//! How often something happened in the last ten seconds, in ten counts of one
//! second each: fixed memory, and nothing to sweep.

use tokio::time::Instant;

/// How far back a tally remembers, in seconds.
const SECONDS: usize = 10;

/// Counts of `N` kinds of things over the last ten seconds: the current second
/// as far as it has come, and the nine before.
#[derive(Clone, Debug)]
pub(super) struct Tally<const N: usize> {
    slots: [[u32; N]; SECONDS],
    /// When the first second began; all others follow from it.
    start: Option<Instant>,
    /// The current second, counted from `start`.
    second: u64,
}

impl<const N: usize> Tally<N> {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            slots: [[0; N]; SECONDS],
            start: None,
            second: 0,
        }
    }

    /// Counts `counts` more of each kind.
    pub(super) fn add(&mut self, now: Instant, counts: [u32; N]) {
        self.advance(now);
        let slot = &mut self.slots[self.second as usize % SECONDS];
        for (sum, count) in slot.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }

    /// How many of each kind were counted.
    pub(super) fn sum(&mut self, now: Instant) -> [u32; N] {
        self.advance(now);
        std::array::from_fn(|kind| {
            let counts = self.slots.iter().map(|slot| slot[kind]);
            counts.fold(0, u32::saturating_add)
        })
    }

    /// Empties the seconds that are over. A `now` from before the current second
    /// (cores read the clock in no order) counts as the current second.
    fn advance(&mut self, now: Instant) {
        let start = *self.start.get_or_insert(now);
        let second = now.saturating_duration_since(start).as_secs();
        let passed = second.saturating_sub(self.second);
        for step in 1..=passed.min(SECONDS as u64) {
            self.slots[(self.second + step) as usize % SECONDS] = [0; N];
        }
        self.second = self.second.max(second);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_count_is_there_for_ten_seconds_and_gone_after() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (counted, asked, expected) in [
            (0, 0, 1),
            (0, 9_999, 1),
            (0, 10_000, 0),
            (500, 9_999, 1),
            (999, 10_000, 0),
            (1_000, 10_999, 1),
            (1_000, 11_000, 0),
            (1_000, 3_600_000, 0),
            // Read by a core whose clock was read before.
            (5_000, 4_000, 1),
        ] {
            let mut tally = Tally::new();
            tally.add(at(0), [0]);
            tally.add(at(counted), [1]);
            assert_eq!(tally.sum(at(asked)), [expected], "{counted} {asked}");
        }
    }

    #[test]
    fn counts_are_those_of_a_plain_list() {
        let start = Instant::now();
        let mut rng = fastrand::Rng::with_seed(4);
        let mut tally = Tally::new();
        // The first look says where seconds begin.
        assert_eq!(tally.sum(start), [0, 0]);
        let mut list = Vec::new();
        let mut now = 0;
        for _ in 0..2_000 {
            now += rng.u64(0..700) * rng.u64(0..3) * rng.u64(0..3);
            let counts = [rng.u32(0..3), rng.u32(0..2)];
            list.push((now / 1_000, counts));
            tally.add(start + Duration::from_millis(now), counts);
            let sum = list
                .iter()
                .filter(|(second, _)| second + 10 > now / 1_000)
                .fold([0, 0], |sum, (_, new)| [sum[0] + new[0], sum[1] + new[1]]);
            assert_eq!(tally.sum(start + Duration::from_millis(now)), sum);
        }
    }
}
