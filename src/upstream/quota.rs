//! What is left of a rate limit, by what the provider's answers tell, and when
//! the next call fits in.
//!
//! Providers fill a bucket evenly and say what is in it and when it will be full
//! again, so what has come in since can be worked out. What they say is true of
//! the moment they counted the call, whose answer may come much later: so all
//! that began after that call is taken off, and nothing that began before. Where
//! the provider counts at the end instead, both what came in and what was taken
//! in between are counted twice, and make up for each other.
//!
//! What a call takes of a limit of tokens is not known before: how far the guess is
//! off is learned from one answer to the next.
//!
//! This is a guess, the provider's 429 is the truth: nobody waits long for what
//! is worked out here, and nothing is believed for long.

use std::time::Duration;

use tokio::time::Instant;

/// Nobody waits longer for room: who would have to goes at once, and hears from
/// the provider when to come again.
pub const LONGEST: Duration = Duration::from_secs(5);

/// What is said holds nobody back for longer: as long as calls are answered, they
/// say it anew.
const BELIEVED: Duration = Duration::from_secs(10);

/// No limit takes longer than this to be whole again.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What calls that can wait leave to the others, as a share of the limit.
const KEPT: f64 = 0.1;

/// With more than so many calls left, and more than half of the limit, more will
/// be heard before it is used up.
const MANY: f64 = 1_000.0;

/// What is missing of a full bucket, as a share, before it says how fast it fills.
const FULL: f64 = 0.01;

/// How much one more call says of what calls take, or one more answer of that.
const WEIGHT: f64 = 1.0 / 16.0;

/// A rate limit as a provider tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// What fits in the bucket.
    pub limit: f64,
    /// What is left in it.
    pub remaining: f64,
    /// When it is full again.
    pub resets_in: Duration,
    /// What it counts.
    pub unit: Unit,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Calls.
    Calls,
    /// Tokens.
    Tokens,
}

/// What one call takes of either unit, or all so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    calls: f64,
    tokens: f64,
}

impl Spent {
    /// What a call of so many tokens takes.
    pub(super) fn call(tokens: u32) -> Self {
        Self {
            calls: 1.0,
            tokens: f64::from(tokens),
        }
    }

    /// Of this unit, where a token that was guessed takes `truth`.
    fn of(self, unit: Unit, truth: f64) -> f64 {
        match unit {
            Unit::Calls => self.calls,
            Unit::Tokens => self.tokens * truth,
        }
    }
}

/// The scarcest limit of one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    bucket: Option<Bucket>,
    /// All that calls have taken so far, as guessed.
    spent: Spent,
    /// The tokens that a call takes as a rule, as guessed.
    each: f64,
    /// What a token that was guessed takes in truth.
    truth: f64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            bucket: None,
            spent: Spent::default(),
            each: 0.0,
            truth: 1.0,
        }
    }
}

/// What was told last, and what has become of it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    told: Told,
    heard: Instant,
    /// When the call began that was told it.
    as_of: Instant,
    /// What had been spent by then, that call included.
    spent: f64,
    /// How much comes in per second.
    refill: f64,
    /// What was left at a moment.
    level: f64,
    at: Instant,
}

impl Bucket {
    fn level(&self, now: Instant) -> f64 {
        let come_in = self.refill * now.saturating_duration_since(self.at).as_secs_f64();
        (self.level + come_in).min(self.told.limit.max(self.told.remaining))
    }
}

impl Quota {
    /// A call begins. What has been spent with it, for [`Quota::told`].
    pub(super) fn spend(&mut self, now: Instant, call: Spent) -> Spent {
        let weight = if self.spent.calls > 0.0 { WEIGHT } else { 1.0 };
        self.each += (call.tokens - self.each) * weight;
        self.spent.calls += call.calls;
        self.spent.tokens += call.tokens;
        self.set_aside(now, call);
        self.spent
    }

    /// A call will begin.
    pub(super) fn set_aside(&mut self, now: Instant, call: Spent) {
        let truth = self.truth;
        if let Some(bucket) = &mut self.bucket {
            bucket.level = bucket.level(now) - call.of(bucket.told.unit, truth);
            bucket.at = bucket.at.max(now);
        }
    }

    /// It does, or never will.
    pub(super) fn take_back(&mut self, call: Spent) {
        let truth = self.truth;
        if let Some(bucket) = &mut self.bucket {
            bucket.level += call.of(bucket.told.unit, truth);
        }
    }

    /// A call that began at `begun`, with which this much had been `spent`, is told
    /// what is left. What calls that began later were told is newer.
    pub(super) fn told(&mut self, now: Instant, begun: Instant, spent: Spent, told: Told) {
        if self.bucket.is_some_and(|known| known.as_of > begun) {
            return;
        }
        let told = Told {
            resets_in: told.resets_in.min(DAY),
            ..told
        };
        self.learn(begun, spent, told);
        let since = self.spent.of(told.unit, self.truth) - spent.of(told.unit, self.truth);
        let mut bucket = Bucket {
            told,
            heard: now,
            as_of: begun,
            spent: spent.of(told.unit, 1.0),
            refill: self.refill(told),
            level: told.remaining,
            at: begun,
        };
        bucket.level = bucket.level(now) - since;
        bucket.at = now;
        self.bucket = Some(bucket);
    }

    /// How much comes in per second. A bucket that is all but full does not tell: then
    /// it is what it was before, else by the minute.
    fn refill(&self, told: Told) -> f64 {
        let missing = told.limit - told.remaining;
        let before = self.bucket.filter(|before| before.told.unit == told.unit);
        match before {
            _ if missing > FULL * told.limit => missing / told.resets_in.as_secs_f64().max(1e-3),
            Some(before) => before.refill,
            None => (told.limit / 60.0).max(1e-3),
        }
    }

    /// What calls between this answer and the last took, against what was guessed.
    fn learn(&mut self, begun: Instant, spent: Spent, told: Told) {
        let before = self.bucket.filter(|known| known.told.unit == told.unit);
        let Some(before) = before.filter(|_| told.unit == Unit::Tokens) else {
            return;
        };
        let passed = begun.saturating_duration_since(before.as_of).as_secs_f64();
        let full = before.told.remaining + before.refill * passed;
        let guessed = spent.tokens - before.spent;
        // Of what comes into a full bucket nobody knows how much is lost.
        if full < before.told.limit && guessed > 0.0 {
            let truth = ((full - told.remaining) / guessed).clamp(0.05, 5.0);
            self.truth += (truth - self.truth) * WEIGHT;
        }
    }

    /// The share that is left, 0 … 1: 1 if nothing is known, 0 if not even one call
    /// fits in as they are as a rule.
    pub(super) fn left(&self, now: Instant) -> f64 {
        let Some(bucket) = self.bucket else {
            return 1.0;
        };
        let left = bucket.level(now);
        match left < self.one(bucket.told.unit).min(bucket.told.limit) {
            true => 0.0,
            false => (left / bucket.told.limit.max(1.0)).clamp(0.0, 1.0),
        }
    }

    /// It may be used up before more is heard of it: calls have to look.
    pub(super) fn is_scarce(&self, now: Instant) -> bool {
        self.bucket.is_some_and(|bucket| {
            let left = bucket.level(now);
            left < 0.5 * bucket.told.limit || left < MANY * self.one(bucket.told.unit)
        })
    }

    /// How long until there is room for `call`, nothing if there is: more of it for
    /// one that `yields` to others. Nothing also where that is too long to be waited
    /// for.
    pub(super) fn wait(&self, now: Instant, call: Spent, yields: bool) -> Option<Duration> {
        let bucket = self.bucket?;
        if now.saturating_duration_since(bucket.heard) >= BELIEVED {
            return None;
        }
        let kept = if yields { KEPT } else { 0.0 };
        let needed = call.of(bucket.told.unit, self.truth) + kept * bucket.told.limit;
        let missing = needed.min(bucket.told.limit) - bucket.level(now);
        let wait = Duration::try_from_secs_f64(missing / bucket.refill).ok()?;
        (!wait.is_zero() && wait <= LONGEST).then_some(wait)
    }

    fn one(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Calls => 1.0,
            Unit::Tokens => (self.each * self.truth).max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn calls(limit: f64, remaining: f64, resets_in: Duration) -> Told {
        let unit = Unit::Calls;
        Told {
            limit,
            remaining,
            resets_in,
            unit,
        }
    }

    /// The wait of a call of 1,000 tokens in milliseconds, `at` so many after the
    /// bucket was told, while `begun` calls have begun since.
    fn wait(told: Told, begun: u32, at: u64, yields: bool) -> Option<u128> {
        let start = Instant::now();
        let call = Spent::call(1_000);
        let mut quota = Quota::default();
        let spent = quota.spend(start, call);
        quota.told(start, start, spent, told);
        for _ in 0..begun {
            quota.spend(start, call);
        }
        let wait = quota.wait(start + ms(at), call, yields);
        wait.map(|wait| wait.as_millis())
    }

    #[test]
    fn a_call_waits_until_it_fits() {
        let check = |told: Told, begun, at, expected| {
            assert_eq!(
                wait(told, begun, at, false),
                expected,
                "{told:?} {begun} {at}"
            );
        };
        let minute = ms(60_000);
        // It fills by the minute, if nothing else is known.
        check(calls(60.0, 60.0, ms(0)), 0, 0, None);
        check(calls(60.0, 60.0, ms(0)), 60, 0, Some(1_000));
        check(calls(60.0, 60.0, ms(0)), 60, 400, Some(600));
        check(calls(60.0, 30.0, ms(30_000)), 29, 0, None);
        check(calls(60.0, 30.0, ms(30_000)), 30, 0, Some(1_000));
        check(calls(60.0, 0.0, minute), 0, 0, Some(1_000));
        check(calls(60.0, 0.0, minute), 0, 400, Some(600));
        check(calls(60.0, 0.0, minute), 0, 1_000, None);
        check(calls(60.0, 0.0, minute), 3, 1_000, Some(3_000));
        // Too long: it is told by the provider.
        check(calls(60.0, 0.0, minute), 5, 0, None);
        check(calls(10.0, 0.0, minute), 0, 0, None);
        check(calls(1e4, 0.0, ms(3_600_000 * 24)), 0, 0, None);
        // Nobody has said it again for long.
        check(calls(3.0, 0.0, minute), 0, 9_000, None);
        check(calls(3.0, 0.0, minute), 0, 15_500, None);
        // Full again, and used up again.
        check(calls(60.0, 0.0, ms(500)), 0, 500, None);
        check(calls(60.0, 0.0, ms(500)), 60, 0, Some(508));
        // A day's calls, of which one is left.
        check(calls(1e3, 1.0, ms(1_000)), 0, 0, None);
        check(calls(1e3, 1.0, ms(1_000)), 1, 0, Some(1));
        // No limit at all, and one smaller than the call.
        check(calls(0.0, 0.0, minute), 0, 0, None);
        let tokens = |limit, remaining| Told {
            unit: Unit::Tokens,
            ..calls(limit, remaining, minute)
        };
        check(tokens(60_000.0, 1_000.0), 0, 0, None);
        check(tokens(60_000.0, 0.0), 0, 0, Some(1_000));
        check(tokens(60_000.0, 0.0), 2, 0, Some(3_000));
        check(tokens(500.0, 500.0), 0, 0, None);
        // Who can wait leaves a tenth.
        assert_eq!(wait(calls(60.0, 8.0, ms(52_000)), 0, 0, true), None);
        assert_eq!(wait(calls(60.0, 6.0, ms(54_000)), 0, 0, true), Some(1_000));
        assert_eq!(wait(calls(60.0, 6.0, ms(54_000)), 0, 0, false), None);
    }

    #[test]
    fn what_began_before_the_call_that_was_told_is_counted_already() {
        let start = Instant::now();
        let call = Spent::call(0);
        let mut quota = Quota::default();
        let at = |millis| start + ms(millis);
        let marks: Vec<Spent> = (0..100).map(|_| quota.spend(start, call)).collect();
        // The last of a hundred hears first; 20 are left, and 30 begin.
        quota.told(at(500), at(99), marks[99], calls(120.0, 20.0, ms(100_000)));
        assert_eq!(quota.wait(at(500), call, false), None);
        // What the first was told is older.
        quota.told(at(600), at(0), marks[0], calls(120.0, 119.0, ms(1_000)));
        let later: Vec<Spent> = (0..30).map(|_| quota.spend(start, call)).collect();
        assert!(
            quota
                .wait(at(600), call, false)
                .is_none_or(|wait| wait > ms(4_000))
        );
        assert_eq!(quota.left(at(600)), 0.0);
        // It was fuller than thought.
        quota.told(at(700), at(600), later[29], calls(120.0, 12.0, ms(108_000)));
        assert_eq!(quota.wait(at(700), call, false), None);
        assert!((quota.left(at(700)) - 0.1).abs() < 0.01);
    }

    #[test]
    fn who_waits_has_a_place() {
        let start = Instant::now();
        let call = Spent::call(0);
        let mut quota = Quota::default();
        let spent = quota.spend(start, call);
        quota.told(start, start, spent, calls(60.0, 0.0, ms(60_000)));
        let mut waits = || {
            let wait = quota.wait(start, call, false);
            quota.set_aside(start, call);
            wait.map(|wait| wait.as_secs())
        };
        let first: Vec<_> = (0..6).map(|_| waits()).collect();
        assert_eq!(first, [Some(1), Some(2), Some(3), Some(4), Some(5), None]);
        for _ in 0..6 {
            quota.take_back(call);
        }
        assert_eq!(quota.wait(start, call, false), Some(ms(1_000)));
    }

    /// A prompt that the provider has in its cache takes a tenth of its tokens.
    #[test]
    fn what_calls_take_in_truth_is_learned() {
        let start = Instant::now();
        let call = Spent::call(1_000);
        let mut quota = Quota::default();
        let minute = ms(60_000);
        let mut told = Told {
            unit: Unit::Tokens,
            ..calls(10_000.0, 5_000.0, minute)
        };
        let spent = quota.spend(start, call);
        quota.told(start, start, spent, told);
        for _ in 0..64 {
            let spent = quota.spend(start, call);
            told.remaining -= 10.0;
            quota.told(start, start, spent, told);
        }
        // Ten tokens each; that less than a twentieth is taken is not believed.
        assert!((quota.truth - 0.05).abs() < 0.02, "{}", quota.truth);
        for _ in 0..40 {
            quota.spend(start, call);
        }
        assert_eq!(quota.wait(start, call, false), None);
        for _ in 0..80 {
            quota.spend(start, call);
        }
        assert!(quota.wait(start, call, false).is_some() || quota.left(start) == 0.0);
    }

    #[test]
    fn only_what_may_be_used_up_soon_is_looked_at() {
        let start = Instant::now();
        let scarce = |told| {
            let mut quota = Quota::default();
            let spent = quota.spend(start, Spent::call(1_000));
            quota.told(start, start, spent, told);
            quota.is_scarce(start)
        };
        let minute = ms(60_000);
        assert!(!scarce(calls(1e4, 9e3, minute)));
        assert!(scarce(calls(1e4, 4e3, minute)));
        assert!(scarce(calls(50.0, 49.0, minute)));
        let tokens = |limit, remaining| Told {
            unit: Unit::Tokens,
            ..calls(limit, remaining, minute)
        };
        assert!(!scarce(tokens(2e6, 1.2e6)));
        assert!(scarce(tokens(1e6, 9e5)));
        assert!(scarce(tokens(6e4, 5e4)));
    }
}
