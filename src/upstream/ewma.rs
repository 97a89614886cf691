//! A moving average that stragglers don't carry away.
//!
//! It averages logarithms, so its value is the typical one of a skewed
//! distribution and one call in twenty-five that takes twenty times as long
//! raises it by an eighth only. A sample weighs at least a sixteenth, and the more
//! the longer nothing was heard: with a half-life of ten seconds, what is old
//! counts for nothing.

use tokio::time::Instant;

/// Half of what was known is forgotten after so many seconds.
const HALF_LIFE: f64 = 10.0;
/// What one sample weighs at least, however fast they come.
const LEAST_WEIGHT: f64 = 1.0 / 16.0;

/// A moving geometric average of positive numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ewma {
    /// The average of the logarithms, and when it was last changed.
    state: Option<(f64, Instant)>,
}

impl Ewma {
    /// Takes one sample in. Zero and less count as a millionth.
    pub(super) fn record(&mut self, now: Instant, sample: f64) {
        let sample = sample.max(1e-6).ln();
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

    /// Takes in that a sample would have been `bound` or more, had it not been
    /// cut off: it says something only where it is above the average.
    pub(super) fn record_at_least(&mut self, now: Instant, bound: f64) {
        if self.value().is_none_or(|value| bound > value) {
            self.record(now, bound);
        }
    }

    /// The average.
    pub(super) fn value(&self) -> Option<f64> {
        self.state.map(|(value, _)| value.exp())
    }

    /// When the last sample came.
    pub(super) fn last(&self) -> Option<Instant> {
        self.state.map(|(_, at)| at)
    }
}
