//! How long a target takes, as a distribution: any quantile of the recent past
//! within 3.2 %, in fixed memory.
//!
//! Counts in buckets, sixteen to each doubling, from 1 ms to 18 minutes. The past
//! is cut into six intervals of ten seconds, of which the oldest goes as a new one
//! begins; where calls are rare an interval lasts longer, so that a quantile is
//! known there too.
//!
//! A call that was given up is known to take *at least* so long. Left out, or
//! counted as if it had ended, it would pull every quantile down, most of all
//! those that hedging waits for. It is counted as what it is, and the
//! distribution is estimated from both kinds after Kaplan and Meier (1958): of
//! the calls that were still awaited when a bucket began, this share ended in it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Buckets to each doubling. The middle of a bucket is within 1/32 of all it holds.
const STEPS: usize = 16;
const DOUBLINGS: usize = 20;
const BUCKETS: usize = STEPS * DOUBLINGS;
/// The shortest time told apart, as a power of two in microseconds: 1.024 ms.
const SHORTEST: u32 = 10;

/// Intervals that are remembered, the one that runs included.
const INTERVALS: usize = 6;
/// How long an interval lasts …
const INTERVAL: Duration = Duration::from_secs(10);
/// … unless it has not seen this many calls end yet …
const ENOUGH: u32 = 20;
/// … in which case it lasts no longer than this.
const LONGEST: Duration = Duration::from_secs(100);
/// What began longer ago says nothing any more.
const OLDEST: Duration = Duration::from_secs(600);

/// The distribution of a target's recent latency. 10 KiB once it is in use, 40
/// bytes before.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// The oldest first.
    intervals: VecDeque<Interval>,
    /// The sums over all intervals. Nothing before the first sample.
    total: Option<Box<Counts<u32>>>,
}

#[derive(Clone, Debug)]
struct Interval {
    since: Instant,
    /// Samples that ended.
    ended: u32,
    counts: Box<Counts<u16>>,
}

/// Samples by how long they took.
#[derive(Clone, Debug)]
struct Counts<T> {
    /// That ended after so long.
    ended: [T; BUCKETS],
    /// That were given up after so long.
    cut: [T; BUCKETS],
}

impl Sketch {
    /// Takes in a call that took this long.
    pub fn record(&mut self, now: Instant, took: Duration) {
        self.count(now, took, true);
    }

    /// Takes in a call that was given up after this long.
    pub fn record_at_least(&mut self, now: Instant, waited: Duration) {
        self.count(now, waited, false);
    }

    /// The time within which the share `q` (0 … 1) of calls end. Where that is more
    /// than any call was awaited, the longest that one was.
    ///
    /// Nothing while fewer than twenty calls have ended, or so few that none of
    /// them is expected beyond `q`: a 99th percentile needs a hundred.
    pub fn quantile(&mut self, now: Instant, q: f64) -> Option<Duration> {
        self.bucket_of(now, q).map(middle)
    }

    /// The same for who waits that long: the end of the bucket of which
    /// [`Sketch::quantile`] tells the middle. Of a target as even as a clock all
    /// calls are in one bucket, and most of them may be over its middle.
    pub fn bound(&mut self, now: Instant, q: f64) -> Option<Duration> {
        self.bucket_of(now, q).map(end)
    }

    fn bucket_of(&mut self, now: Instant, q: f64) -> Option<usize> {
        self.forget(now);
        let ended: u32 = self.intervals.iter().map(|past| past.ended).sum();
        // A hair less, because 1 - 0.95 is not quite 0.05.
        if ended < ENOUGH || f64::from(ended) * (1.0 - q) < 0.999_999 {
            return None;
        }
        self.total.as_deref().map(|total| total.bucket_of(q))
    }

    /// How many calls that ended are remembered.
    pub fn samples(&mut self, now: Instant) -> u32 {
        self.forget(now);
        self.intervals.iter().map(|past| past.ended).sum()
    }

    fn count(&mut self, now: Instant, took: Duration, is_ended: bool) {
        self.forget(now);
        let bucket = bucket(took);
        let is_over = self.intervals.back().is_none_or(|current| {
            let age = now.saturating_duration_since(current.since);
            (age >= INTERVAL && current.ended >= ENOUGH)
                || age >= LONGEST
                || current.counts.is_full(bucket)
        });
        if is_over {
            self.begin(now);
        }
        let at = match now.checked_sub(took).filter(|_| took > INTERVAL) {
            Some(began) => self.interval_of(began),
            None => self.intervals.len().checked_sub(1),
        };
        let past = at.map(|at| &mut self.intervals[at]);
        let Some(past) = past.filter(|past| !past.counts.is_full(bucket)) else {
            return;
        };
        let total = self.total.get_or_insert_with(Box::default);
        if is_ended {
            past.ended += 1;
            past.counts.ended[bucket] += 1;
            total.ended[bucket] += 1;
        } else {
            past.counts.cut[bucket] += 1;
            total.cut[bucket] += 1;
        }
    }

    /// The interval of a call that began then, if it is remembered. One that took
    /// so long says how the target was then: the last calls of a slow hour end when
    /// it is over, and must not hold up the quantile for another minute.
    fn interval_of(&self, began: Instant) -> Option<usize> {
        let at = self.intervals.iter().rposition(|past| past.since <= began);
        // What began before anything was known belongs to the first.
        at.or((self.intervals.len() < INTERVALS).then_some(0))
    }

    /// Begins an interval, in the oldest one's memory if there are enough.
    fn begin(&mut self, now: Instant) {
        let mut counts = if self.intervals.len() == INTERVALS {
            self.drop_oldest()
        } else {
            None
        }
        .unwrap_or_default();
        *counts = Counts::default();
        self.intervals.push_back(Interval {
            since: now,
            ended: 0,
            counts,
        });
    }

    /// Drops the intervals that are too old.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.intervals.front()
            && now.saturating_duration_since(oldest.since) >= OLDEST
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Option<Box<Counts<u16>>> {
        let oldest = self.intervals.pop_front()?;
        if let Some(total) = &mut self.total {
            let subtract = |sums: &mut [u32], counts: &[u16]| {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum -= u32::from(*count);
                }
            };
            subtract(&mut total.ended, &oldest.counts.ended);
            subtract(&mut total.cut, &oldest.counts.cut);
        }
        Some(oldest.counts)
    }
}

impl Counts<u32> {
    /// The bucket by whose end the share `q` has ended, after Kaplan and Meier; else
    /// the last that holds anything.
    fn bucket_of(&self, q: f64) -> usize {
        let all: u32 = self.ended.iter().chain(&self.cut).sum();
        let mut awaited = f64::from(all);
        // The share of calls that take longer.
        let mut over = 1.0;
        let mut last = 0;
        for (bucket, (ended, cut)) in self.ended.iter().zip(&self.cut).enumerate() {
            if ended + cut > 0 {
                last = bucket;
                over *= 1.0 - f64::from(*ended) / awaited;
                if 1.0 - over >= q {
                    break;
                }
                // Who is given up within a bucket was awaited all through it.
                awaited -= f64::from(ended + cut);
            }
        }
        last
    }
}

impl Counts<u16> {
    /// Whether a bucket can't take one more. The interval then ends early: it has
    /// seen more than enough.
    fn is_full(&self, bucket: usize) -> bool {
        self.ended[bucket] == u16::MAX || self.cut[bucket] == u16::MAX
    }
}

impl<T: Copy + Default> Default for Counts<T> {
    fn default() -> Self {
        Self {
            ended: [T::default(); BUCKETS],
            cut: [T::default(); BUCKETS],
        }
    }
}

/// Where a time is counted.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let micros = micros.clamp(1 << SHORTEST, (1 << (SHORTEST + DOUBLINGS as u32)) - 1);
    let power = micros.ilog2();
    let step = (micros >> (power - STEPS.ilog2())) as usize - STEPS;
    (power - SHORTEST) as usize * STEPS + step
}

/// The time in the middle of a bucket.
fn middle(bucket: usize) -> Duration {
    end(bucket) - width(bucket) / 2
}

/// The time that is no longer in a bucket.
fn end(bucket: usize) -> Duration {
    width(bucket) * (STEPS + bucket % STEPS + 1) as u32
}

fn width(bucket: usize) -> Duration {
    Duration::from_micros(1 << (SHORTEST as usize + bucket / STEPS - STEPS.ilog2() as usize))
}

#[cfg(test)]
mod tests;
