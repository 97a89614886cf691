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
            ratio: (ratio.clamp(0.0, 1.0) * f64::from(Self::TOKEN)) as u32,
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
