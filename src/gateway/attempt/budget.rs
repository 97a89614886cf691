//! What extra calls the traffic of one upstream may cause.
//!
//! Each failing or slow call has a good reason to be made twice; all of them
//! together must not double the load of a provider in trouble. So the number of
//! extra calls hangs on the number of calls, per upstream, over all cores.
//! A retry is paid by the upstream that failed, a hedge by the one that is
//! slow: its traffic makes the budget, whoever gets the extra call.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Both budgets of one upstream.
#[derive(Debug)]
pub struct Budgets {
    /// What failures may cause.
    pub retry: RetryBudget,
    /// What slowness may cause.
    pub hedge: HedgeBudget,
}

impl Budgets {
    /// Counts a call that asks this upstream first. Extra calls do not count:
    /// they would pay for each other.
    pub fn deposit(&self, now: Instant) {
        self.retry.deposit(now);
        self.hedge.deposit();
    }
}

/// Retries as a share of the calls of the last 10 s, but always some.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    floor: u32,
    /// Held for a few dozen instructions, never across an await. Two counts
    /// and a clock have to agree, which atomics would make a puzzle.
    window: Mutex<Window>,
}

impl RetryBudget {
    /// Retries may be `ratio` of the calls, or `floor` per 10 s where that is
    /// more.
    pub fn new(ratio: f64, floor: u32) -> Self {
        Self {
            ratio,
            floor,
            window: Mutex::default(),
        }
    }

    /// Counts a call.
    pub fn deposit(&self, now: Instant) {
        let mut window = self.window.lock();
        let bucket = window.at(now);
        bucket.calls = bucket.calls.saturating_add(1);
    }

    /// Takes one retry, if one is left.
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut window = self.window.lock();
        window.at(now);
        let is_left = window.left(self.ratio, self.floor) >= 1.0;
        window.at(now).retries += u32::from(is_left);
        is_left
    }

    /// How many retries are left.
    pub fn left(&self, now: Instant) -> u32 {
        let mut window = self.window.lock();
        window.at(now);
        window.left(self.ratio, self.floor) as u32
    }
}

/// The last 10 s, in steps of one. An old second is forgotten as a whole.
#[derive(Debug, Default)]
struct Window {
    /// When the newest second began.
    began: Option<Instant>,
    newest: usize,
    seconds: [Second; SECONDS],
}

const SECONDS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    calls: u32,
    retries: u32,
}

impl Window {
    /// The second of `now`, after forgetting what is too old. A `now` from
    /// before the newest second (of another core) counts in that one.
    fn at(&mut self, now: Instant) -> &mut Second {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_secs();
        if passed > 0 {
            self.began = Some(began + Duration::from_secs(passed));
            for _ in 0..passed.min(SECONDS as u64) {
                self.newest = (self.newest + 1) % SECONDS;
                self.seconds[self.newest] = Second::default();
            }
        }
        &mut self.seconds[self.newest]
    }

    fn left(&self, ratio: f64, floor: u32) -> f64 {
        let sum =
            |of: fn(&Second) -> u32| self.seconds.iter().map(|s| u64::from(of(s))).sum::<u64>();
        let allowed = (sum(|s| s.calls) as f64 * ratio).max(f64::from(floor));
        (allowed - sum(|s| s.retries) as f64).max(0.0)
    }
}

/// Hedges as a share of calls: a bucket that starts empty, gets a share of a
/// token with every call, holds ten, and gives one for a hedge.
///
/// It knows no time. A burst of hedges is at most what it holds, and over any
/// number of calls hedges are at most their share and those ten.
#[derive(Debug)]
pub struct HedgeBudget {
    /// In millionths of a token, as all numbers here.
    ratio: u32,
    tokens: AtomicU32,
}

impl HedgeBudget {
    const TOKEN: u32 = 1_000_000;
    /// Enough for the stragglers of one bad moment; a provider that is slow as
    /// a whole has used them up within ten calls.
    const HELD: u32 = 10 * Self::TOKEN;

    /// Hedges may be `ratio` (0 to 1) of the calls.
    pub fn new(ratio: f64) -> Self {
        Self {
            ratio: (ratio.clamp(0.0, 1.0) * f64::from(Self::TOKEN)).round() as u32,
            tokens: AtomicU32::new(0),
        }
    }

    /// Counts a call.
    pub fn deposit(&self) {
        // A full bucket, the common state, is only read.
        let more =
            |tokens: u32| (tokens < Self::HELD).then(|| (tokens + self.ratio).min(Self::HELD));
        // `Err` is the full bucket.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, more);
    }

    /// Takes one hedge, if one is left.
    pub fn withdraw(&self) -> bool {
        let less = |tokens: u32| tokens.checked_sub(Self::TOKEN);
        self.tokens.fetch_update(Relaxed, Relaxed, less).is_ok()
    }

    /// How many hedges are left.
    pub fn left(&self) -> f64 {
        f64::from(self.tokens.load(Relaxed)) / f64::from(Self::TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(mut withdraw: impl FnMut() -> bool) -> u32 {
        (0..1_000).take_while(|_| withdraw()).count() as u32
    }

    #[test]
    fn retries_are_a_share_of_recent_calls_and_always_some() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        // Calls at which time, then asked at which time, and what is left.
        for (ratio, floor, calls, asked, expected) in [
            (0.2, 10, vec![], 0, 10),
            (0.2, 10, vec![(0, 20)], 0, 10),
            (0.2, 10, vec![(0, 100)], 0, 20),
            (0.2, 10, vec![(0, 100), (5_000, 100)], 5_500, 40),
            (0.2, 10, vec![(0, 100), (5_000, 100)], 9_999, 40),
            (0.2, 10, vec![(0, 100), (5_000, 100)], 10_000, 20),
            (0.2, 10, vec![(0, 100), (5_000, 100)], 60_000, 10),
            (0.2, 0, vec![(0, 4)], 0, 0),
            (0.2, 0, vec![(0, 5)], 0, 1),
            (0.0, 0, vec![(0, 500)], 0, 0),
            (1.0, 0, vec![(0, 500)], 0, 500),
            // Another core's clock is a little behind.
            (0.2, 10, vec![(5_000, 50), (4_000, 50)], 5_000, 20),
        ] {
            let budget = RetryBudget::new(ratio, floor);
            for (when, count) in &calls {
                (0..*count).for_each(|_| budget.deposit(at(*when)));
            }
            assert_eq!(budget.left(at(asked)), expected, "left of {calls:?}");
            let taken = taken(|| budget.withdraw(at(asked)));
            assert_eq!(taken, expected, "taken of {calls:?}");
            assert_eq!(budget.left(at(asked)), 0);
            // Ten seconds later nothing of it is remembered.
            assert_eq!(budget.left(at(asked + 10_000)), floor);
        }
    }

    #[test]
    fn hedges_are_a_share_of_calls_and_never_a_burst() {
        for (ratio, calls, expected) in [
            (0.05, 0, 0),
            (0.05, 19, 0),
            (0.05, 20, 1),
            (0.05, 100, 5),
            (0.05, 10_000, 10),
            (1.0, 3, 3),
            (0.0, 10_000, 0),
            (7.0, 3, 3),
        ] {
            let budget = HedgeBudget::new(ratio);
            (0..calls).for_each(|_| budget.deposit());
            assert_eq!(taken(|| budget.withdraw()), expected, "{ratio} of {calls}");
        }
    }

    #[test]
    fn cores_that_ask_at_once_do_not_get_more() {
        let budgets = Budgets {
            retry: RetryBudget::new(0.2, 10),
            hedge: HedgeBudget::new(0.05),
        };
        let now = Instant::now();
        (0..200).for_each(|_| budgets.deposit(now));
        let hog = || {
            let retries = taken(|| budgets.retry.withdraw(now));
            (retries, taken(|| budgets.hedge.withdraw()))
        };
        let (retries, hedges) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(hog)).collect();
            let got = threads.into_iter().map(|thread| thread.join().unwrap());
            got.fold((0, 0), |sum, got| (sum.0 + got.0, sum.1 + got.1))
        });
        assert_eq!((retries, hedges), (40, 10));
    }

    proptest! {
        /// Over any traffic, extra calls stay within their share and what is
        /// always allowed.
        #[test]
        fn extra_calls_stay_a_share(
            ratio in 0.0..1.0f64,
            floor in 0u32..20,
            traffic in proptest::collection::vec((0u64..3_000, 0u32..30, 0u32..30), 1..60),
        ) {
            let (retry, hedge) = (RetryBudget::new(ratio, floor), HedgeBudget::new(ratio));
            let mut now = Instant::now();
            let (mut calls, mut retries, mut hedges, mut passed) = (0u32, 0u32, 0u32, 0u64);
            for (pause, begun, wanted) in traffic {
                now += Duration::from_millis(pause);
                passed += pause;
                for _ in 0..begun {
                    retry.deposit(now);
                    hedge.deposit();
                    calls += 1;
                }
                for _ in 0..wanted {
                    retries += u32::from(retry.withdraw(now));
                    hedges += u32::from(hedge.withdraw());
                }
            }
            // What a second's bucket holds goes up to a second early.
            let windows = passed / 9_000 + 1;
            let allowed = f64::from(calls) * ratio + f64::from(floor) * windows as f64;
            prop_assert!(f64::from(retries) <= allowed, "{retries} retries of {calls}");
            let allowed = f64::from(calls) * ratio + 1e-3 * f64::from(calls);
            prop_assert!(f64::from(hedges) <= allowed, "{hedges} hedges of {calls}");
        }
    }
}
