//! A moving average over calls: what the last dozen or so say, and the less of
//! it the older it is.
//!
//! A sample weighs at least a sixteenth, and the more the longer nothing was heard:
//! with a half-life of ten seconds, what is old counts for nothing once there is
//! something new. What is averaged is the user's to say. Of times it should be
//! the logarithm: that is the typical time of a skewed distribution, which one call
//! in twenty-five that takes twenty times as long raises by an eighth only.
//!
//! A peak average, which jumps to every slow sample at once, is what balancers take
//! where latency is even. With those stragglers everywhere it tells targets apart
//! by luck: of three, one that is five times as slow got 14 % of one call a second,
//! against 2 % here (`a_slow_target_gets_little` in `balance/tests/served.rs`).

use tokio::time::Instant;

/// Half of what was known is forgotten after so many seconds.
const HALF_LIFE: f64 = 10.0;
/// What one sample weighs at least, however fast they come.
const LEAST_WEIGHT: f64 = 1.0 / 16.0;

/// A moving average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ewma {
    /// The average, and when it last changed.
    state: Option<(f64, Instant)>,
}

impl Ewma {
    /// Takes one sample in.
    pub(super) fn record(&mut self, now: Instant, sample: f64) {
        let value = match self.state {
            None => sample,
            Some((value, at)) => {
                let age = now.saturating_duration_since(at).as_secs_f64();
                let weight = 1.0 - (-age / HALF_LIFE).exp2();
                value + (sample - value) * weight.max(LEAST_WEIGHT)
            }
        };
        self.state = Some((value, now));
    }

    /// Takes in that a sample would have been `bound` or more, had it not been cut
    /// off: it says something only where it is above the average.
    pub(super) fn record_at_least(&mut self, now: Instant, bound: f64) {
        if self.value().is_none_or(|value| bound > value) {
            self.record(now, bound);
        }
    }

    /// The average.
    pub(super) fn value(&self) -> Option<f64> {
        self.state.map(|(value, _)| value)
    }

    /// When the last sample came.
    pub(super) fn last(&self) -> Option<Instant> {
        self.state.map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The typical time after samples `(gap in seconds, value)`.
    fn after(samples: &[(f64, f64)]) -> f64 {
        let mut now = Instant::now();
        let mut ewma = Ewma::default();
        for (gap, sample) in samples {
            now += Duration::from_secs_f64(*gap);
            ewma.record(now, sample.ln());
        }
        ewma.value().unwrap().exp()
    }

    fn near(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 0.01,
            "{found} for {expected}"
        );
    }

    #[test]
    fn a_sample_weighs_the_more_the_longer_nothing_was_heard() {
        for (gap, expected) in [
            (0.0, 16.0_f64.powf(1.0 / 16.0)),
            (0.5, 16.0_f64.powf(1.0 / 16.0)),
            (10.0, 4.0),
            (20.0, 8.0),
            (600.0, 16.0),
        ] {
            near(after(&[(0.0, 1.0), (gap, 16.0)]), expected);
            near(after(&[(0.0, 16.0), (gap, 1.0)]), 16.0 / expected);
        }
        near(after(&[(0.0, 0.3)]), 0.3);
    }

    #[test]
    fn stragglers_don_t_hide_what_is_typical() {
        let mut samples = vec![(0.01, 0.3); 1_000];
        for straggler in samples.iter_mut().step_by(25) {
            straggler.1 *= 20.0;
        }
        // The last straggler is the 24th from the end: 12 % on the average.
        let typical = after(&samples);
        assert!(typical > 0.3 && typical < 0.3 * 1.13, "{typical}");
        let just_now = after(&samples[..976]);
        assert!(just_now < 0.3 * 1.35, "{just_now}");
    }

    #[test]
    fn a_target_that_gets_slow_is_seen_after_a_few_calls() {
        let mut samples = vec![(0.01, 0.3); 100];
        samples.extend([(0.01, 1.5); 4]);
        assert!(after(&samples) > 0.3 * 1.4);
        samples.extend([(0.01, 1.5); 12]);
        assert!(after(&samples) > 0.3 * 2.7);
    }

    #[test]
    fn what_was_cut_only_raises() {
        let now = Instant::now();
        let mut ewma = Ewma::default();
        assert_eq!((ewma.value(), ewma.last()), (None, None));
        ewma.record_at_least(now, 1.0);
        assert_eq!(ewma.value(), Some(1.0));
        ewma.record_at_least(now + Duration::from_secs(5), 0.9);
        assert_eq!(ewma.value(), Some(1.0));
        assert_eq!(ewma.last(), Some(now), "it has heard nothing new");
        ewma.record_at_least(now + Duration::from_secs(600), 4.0);
        near(ewma.value().unwrap(), 4.0);
    }
}
