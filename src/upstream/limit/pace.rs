//! How many calls may begin now, by the quota that the provider tells with
//! each answer.
//!
//! Providers fill a bucket evenly and say what is in it and when it will be
//! full again, so that what has come in since can be worked out. What they say
//! is old by the time it arrives: calls that were on their way then are in
//! flight and not in the number yet. So those are taken off.

use std::time::Duration;

use tokio::time::Instant;

use super::Load;

/// What is said is not believed for longer: if calls are still answered, they
/// say it anew.
const BELIEVED: Duration = Duration::from_secs(10);

/// A quota as a provider's headers tell it, in calls. (Tokens are calls once
/// they are divided by what a call takes: [`Quota::tokens`].)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// How many fit in the bucket.
    pub limit: f64,
    /// How many are left.
    pub remaining: f64,
    /// When the bucket is full again.
    pub resets_in: Duration,
}

impl Quota {
    /// The quota of tokens `self`, in calls that take `each` tokens.
    pub fn tokens(self, each: f64) -> Self {
        let each = each.max(1.0);
        Self {
            limit: self.limit / each,
            remaining: self.remaining / each,
            ..self
        }
    }

    /// How many more come in per second.
    fn refill(&self) -> f64 {
        let missing = (self.limit - self.remaining).max(1.0);
        missing / self.resets_in.as_secs_f64().max(1e-3)
    }
}

/// How many calls may begin, `elapsed` after `quota` was told, when `begun`
/// calls have begun that it does not count.
pub fn starts(quota: Quota, elapsed: Duration, begun: usize) -> usize {
    let come_in = quota.refill() * elapsed.as_secs_f64();
    let left = (quota.remaining + come_in).min(quota.limit.max(quota.remaining)) - begun as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float beyond the range becomes its end"
    )]
    let left = left.max(0.0) as usize;
    left
}

/// The tightest quota told last, and what has begun since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace(Option<Told>);

#[derive(Clone, Copy, Debug)]
struct Told {
    quota: Quota,
    at: Instant,
    begun: usize,
}

impl Pace {
    /// A provider has told. Only a quota that could be used up before more is
    /// heard is kept: one that leaves more than the limit of `current` calls.
    pub(super) fn told(&mut self, now: Instant, quota: Quota, current: usize, load: Load) {
        let room = current.saturating_sub(load.answering);
        let told = Told {
            quota,
            at: now,
            begun: load.in_flight.saturating_sub(load.answering),
        };
        self.0 = (quota.remaining < room as f64).then_some(told);
    }

    /// A call begins.
    pub(super) fn begin(&mut self) {
        if let Some(told) = &mut self.0 {
            told.begun += 1;
        }
    }

    /// How many may begin; `None` if as many as like.
    pub(super) fn starts(&self, now: Instant) -> Option<usize> {
        let told = self.believed(now)?;
        let elapsed = now.saturating_duration_since(told.at);
        Some(starts(told.quota, elapsed, told.begun))
    }

    /// When `more` may have begun, if that is not now.
    pub(super) fn due(&self, now: Instant, more: usize) -> Option<Instant> {
        let told = self.believed(now)?;
        let missing = (told.begun + more) as f64 - told.quota.remaining;
        let wait = Duration::try_from_secs_f64(missing / told.quota.refill()).ok()?;
        Some(told.at + wait.min(Duration::from_secs(3600))).filter(|due| *due > now)
    }

    fn believed(&self, now: Instant) -> Option<&Told> {
        let told = self.0.as_ref()?;
        (now.saturating_duration_since(told.at) < BELIEVED).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn quota(limit: f64, remaining: f64, seconds: u64) -> Quota {
        Quota {
            limit,
            remaining,
            resets_in: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn as_many_begin_as_are_left_and_have_come_in() {
        let check = |quota, millis, begun, expected| {
            let elapsed = Duration::from_millis(millis);
            assert_eq!(
                starts(quota, elapsed, begun),
                expected,
                "{quota:?} {millis}"
            );
        };
        // Full, and half of it on its way.
        check(quota(60.0, 60.0, 0), 0, 0, 60);
        check(quota(60.0, 60.0, 0), 0, 30, 30);
        // Empty: one per second.
        check(quota(60.0, 0.0, 60), 0, 0, 0);
        check(quota(60.0, 0.0, 60), 999, 0, 0);
        check(quota(60.0, 0.0, 60), 1000, 0, 1);
        check(quota(60.0, 0.0, 60), 10_000, 4, 6);
        // More than what was left has begun.
        check(quota(60.0, 5.0, 55), 0, 9, 0);
        check(quota(60.0, 5.0, 55), 4000, 9, 0);
        check(quota(60.0, 5.0, 55), 5000, 9, 1);
        // No more comes in than fits.
        check(quota(60.0, 50.0, 10), 60_000, 0, 60);
        // Said by halves.
        check(quota(0.0, 7.0, 0), 0, 2, 5);
        // Tokens: 9,000 are left, a call takes 2,000.
        check(quota(10_000.0, 9_000.0, 6).tokens(2000.0), 0, 0, 4);
        check(quota(10_000.0, 9_000.0, 6).tokens(0.0), 0, 0, 9000);
    }

    #[test]
    fn a_quota_holds_where_it_is_nearer_than_the_limit() {
        let now = Instant::now();
        let load = Load {
            in_flight: 100,
            answering: 1,
            waiting: 0,
        };
        let mut pace = Pace::default();
        assert_eq!(pace.starts(now), None);
        pace.told(now, quota(10_000.0, 999.0, 60), 1000, load);
        assert_eq!(pace.starts(now), None, "the limit is nearer");

        // The first of 100 calls is answered: the other 99 are on their way.
        pace.told(now, quota(120.0, 119.0, 60), 1000, load);
        assert_eq!(pace.starts(now), Some(20));
        assert_eq!(pace.due(now, 20), None);
        for _ in 0..20 {
            pace.begin();
        }
        assert_eq!(pace.starts(now), Some(0));
        assert_eq!(pace.due(now, 1), Some(now + Duration::from_secs(60)));
        assert_eq!(
            pace.starts(now + BELIEVED),
            None,
            "nobody has said it again"
        );
    }
}
