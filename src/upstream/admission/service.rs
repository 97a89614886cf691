//! How fast permits come back while somebody waits for them.
//!
//! Two sums that fade together: permits that were given back, and the time that
//! took, counted only while somebody waited (before that a permit given back
//! late is nobody's wait). Until there is something in them, the limit and what
//! a call is expected to take speak for them (Little's law).

use std::time::Duration;

use tokio::time::Instant;

/// What is so old counts a third.
const FADES: f64 = 10.0;

/// What is expected counts as much as so many permits seen coming back.
const EXPECTED: f64 = 2.0;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Service {
    ended: f64,
    /// In seconds.
    busy: f64,
    /// Up to when both sums are counted.
    counted: Option<Instant>,
    is_busy: bool,
}

impl Service {
    /// Somebody waits, after nobody did.
    pub(super) fn begin(&mut self, now: Instant) {
        self.count(now);
        self.is_busy = true;
    }

    /// Nobody waits.
    pub(super) fn rest(&mut self, now: Instant) {
        self.count(now);
        self.is_busy = false;
    }

    /// A permit came back while somebody waited.
    pub(super) fn ended(&mut self, now: Instant) {
        self.count(now);
        self.ended += 1.0;
    }

    /// The time between two permits that come back; `None` if nothing is known.
    pub(super) fn each(
        &self,
        now: Instant,
        limit: usize,
        expected: Option<Duration>,
    ) -> Option<Duration> {
        let mut sums = *self;
        sums.count(now);
        if let Some(expected) = expected {
            sums.ended += EXPECTED;
            sums.busy += EXPECTED * expected.as_secs_f64() / limit as f64;
        }
        // Fewer than one that has almost faded would make an hour of it.
        (sums.ended >= 0.5).then(|| {
            let each = sums.busy / sums.ended;
            Duration::try_from_secs_f64(each).unwrap_or(Duration::MAX)
        })
    }

    fn count(&mut self, now: Instant) {
        let last = *self.counted.get_or_insert(now);
        let passed = now.saturating_duration_since(last).as_secs_f64();
        let faded = (-passed / FADES).exp();
        self.ended *= faded;
        self.busy *= faded;
        if self.is_busy {
            self.busy += passed;
        }
        self.counted = Some(now);
    }
}
