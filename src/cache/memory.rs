//! The first level: answers in this process, bounded by the bytes they take.
//!
//! The bound is on memory, not on payload: an entry weighs its body and
//! everything that is allocated around it, rounded as the allocator rounds.
//! Who stays is `quick_cache`'s decision (Clock-PRO: a scan of answers that
//! nobody asks for twice doesn't push out those that are asked for often). An
//! answer that is being read when it goes lives until it was read.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Options, OptionsBuilder, Weighter};
use tokio::time::Instant;

use super::key::Key;
use super::stored::{Hit, LARGEST_BODY, Label, Life, Stored, Wanted};
use crate::metrics;
use crate::metrics::cache::Miss;

/// What one lock covers: two of the largest answers. A sweep looks at some
/// 4,000 entries of 4 KB under it, which takes a fraction of a millisecond.
const SHARD: u64 = 2 * LARGEST_BODY as u64;
/// How many keys are remembered after their answers went follows from this;
/// the order of magnitude is enough.
const TYPICAL: u64 = 4096;

/// Answers in memory.
pub struct Memory {
    /// Sharded. A look-up holds a shard's read lock while it clones an `Arc`.
    entries: Cache<Key, Held, Weigh, DefaultHashBuilder, Evicted>,
    /// Entries that weigh more are not kept.
    largest: u64,
    counters: metrics::cache::Cache,
}

impl Memory {
    /// At most `bytes` of memory; with 0 nothing is kept.
    pub fn new(bytes: u64, counters: metrics::cache::Cache) -> Self {
        let evicted = Evicted(counters.evictions.clone());
        Self {
            entries: Cache::with_options(
                options(bytes),
                Weigh,
                DefaultHashBuilder::default(),
                evicted,
            ),
            largest: (bytes / 8).min(SHARD / 2),
            counters,
        }
    }

    /// The answer kept under `key`, if there is one that `wanted` takes. Counts
    /// the look-up.
    pub fn get(&self, key: &Key, wanted: &Wanted) -> Result<Hit, Miss> {
        let found = self.find(key, wanted, Instant::now());
        match &found {
            Ok(_) => self.counters.memory.hits.inc(),
            Err(why) => self.counters.memory.missed(*why).inc(),
        };
        found
    }

    pub(super) fn find(&self, key: &Key, wanted: &Wanted, now: Instant) -> Result<Hit, Miss> {
        let held = self.entries.get(key).ok_or(Miss::Absent)?;
        let age = held.life.age(now);
        if !wanted.takes(age, held.life.ttl) {
            return Err(Miss::Expired);
        }
        Ok(Hit {
            stored: held.stored,
            age,
            ttl: held.life.ttl,
        })
    }

    /// Keeps an answer, in place of an older one, unless it takes more than an
    /// eighth of the memory. Says whether it was taken.
    pub(super) fn keep(&self, key: Key, stored: Arc<Stored>, life: Life) -> bool {
        let weight = weight(&stored);
        if weight > self.largest || life.ttl.is_zero() {
            return false;
        }
        self.entries.insert(
            key,
            Held {
                stored,
                life,
                weight,
            },
        );
        self.counters.memory.stores.inc();
        self.measure();
        true
    }

    /// Drops the answers that `goes` names and counts them. Looks at all of
    /// them, a shard at a time.
    pub fn purge(&self, goes: impl Fn(&Key, &Label) -> bool) -> u64 {
        let purged = self.drop_where(|key, held| goes(key, &held.stored.label));
        self.counters.memory.purged.inc_by(purged);
        purged
    }

    /// Drops what nobody can want any more.
    pub(super) fn sweep(&self, now: Instant) -> u64 {
        self.drop_where(|_, held| held.life.left(now).is_zero())
    }

    fn drop_where(&self, goes: impl Fn(&Key, &Held) -> bool) -> u64 {
        let dropped = Counter::<u64>::default();
        self.entries.retain(|key, held| {
            let goes = goes(key, held);
            if goes {
                dropped.inc();
            }
            !goes
        });
        self.measure();
        dropped.get()
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory they take.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    fn measure(&self) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.counters.bytes.set(gauge(self.bytes()));
        self.counters.entries.set(gauge(self.len() as u64));
    }
}

fn options(bytes: u64) -> Options {
    OptionsBuilder::new()
        .weight_capacity(bytes)
        .estimated_items_capacity(usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX))
        .shards(usize::try_from((bytes / SHARD).clamp(1, 64)).unwrap_or(1))
        .build()
        .expect("capacity, items and shards are what a cache needs")
}

#[derive(Clone)]
struct Held {
    stored: Arc<Stored>,
    life: Life,
    /// [`weight`], remembered: an eviction asks for it again.
    weight: u64,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Key, Held> for Weigh {
    fn weight(&self, _: &Key, held: &Held) -> u64 {
        held.weight
    }
}

/// Counts who goes, and lets it go after the lock was given back.
#[derive(Clone)]
struct Evicted(Counter);

impl Lifecycle<Key, Held> for Evicted {
    type RequestState = Vec<Held>;

    fn on_evict(&self, gone: &mut Vec<Held>, _: Key, held: Held) {
        self.0.inc();
        gone.push(held);
    }
}

/// The memory an answer takes, in bytes: its body, the allocations around it
/// and its place in the index.
fn weight(stored: &Stored) -> u64 {
    // A slot in the slab, which doubles when it is full, the table that points
    // to it, and the remembered keys of answers that went.
    let place = (size_of::<Key>() + size_of::<Held>()) * 2;
    // `Arc`s begin with two counts. The label's texts are the configuration's.
    let counts = 2 * size_of::<usize>();
    // Two types are known and not allocated.
    let content_type = match stored.content_type.len() {
        0..=17 => 0,
        len => allocated(len) + allocated(4 * size_of::<usize>()),
    };
    // Sharing a body the first time allocates a place for its count.
    let body = allocated(stored.body().len()) + allocated(3 * size_of::<usize>());
    let around = allocated(size_of::<Stored>() + counts) + allocated(size_of::<Label>() + counts);
    (place + around + content_type + body) as u64
}

/// What glibc takes for an allocation: a word more, in steps of 16 bytes.
fn allocated(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
