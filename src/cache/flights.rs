//! The calls under way that others may join.
//!
//! Whoever asks first for a key leads and records; whoever asks for the same
//! key in the meantime reads along. Joining is decided under the lock of the
//! recording itself, so a newcomer is either let into a recording that goes on
//! or leads a flight of its own. The table holds as many entries as there are
//! recorders: each takes its own out when it is dropped.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::recording::{Log, Recorder, Replay, recording};
use super::sync::{Mutex, RandomState};

#[cfg(test)]
mod tests;

/// Enough that cores seldom meet, for a lock held for tens of nanoseconds.
const SHARDS: usize = 16;

/// A table of flights; a clone is the same table.
pub struct Flights<K, H, F> {
    table: Arc<Table<K, H, F>>,
}

struct Table<K, H, F> {
    /// Bytes one recording holds at most.
    limit: usize,
    hasher: RandomState,
    shards: [Shard<K, H, F>; SHARDS],
}

/// Locked before the state of a recording and never the other way round.
type Shard<K, H, F> = Mutex<HashMap<K, Arc<Log<H, F>>, RandomState>>;

/// What joining came to.
pub enum Joined<K: Eq + Hash, H, F: Clone> {
    /// Nobody was there: record, for this first reader and for whoever comes.
    Lead(Flight<K, H, F>, Replay<H, F>),
    /// Somebody records already.
    Follow(Replay<H, F>),
}

impl<K: Clone + Eq + Hash, H, F: Clone> Flights<K, H, F> {
    /// An empty table of recordings that hold at most `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        let hasher = RandomState::default();
        let shards = std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone())));
        Self {
            table: Arc::new(Table {
                limit,
                hasher,
                shards,
            }),
        }
    }

    /// Joins the flight for `key`, or starts it.
    pub fn join(&self, key: K) -> Joined<K, H, F> {
        self.board(key, true)
    }

    /// Starts a flight for `key` whatever is under way: one whose answer must
    /// not be older than this. Who comes later joins it instead of the other.
    pub fn lead(&self, key: K) -> Joined<K, H, F> {
        self.board(key, false)
    }

    /// A reader of the flight for `key`, if there is one.
    pub fn follow(&self, key: &K) -> Option<Replay<H, F>> {
        self.table.shard(key).lock().get(key).and_then(Log::join)
    }

    /// Whether there is a flight for `key`. It may be over in the next moment.
    pub fn has(&self, key: &K) -> bool {
        self.table.shard(key).lock().contains_key(key)
    }

    fn board(&self, key: K, may_follow: bool) -> Joined<K, H, F> {
        let mut shard = self.table.shard(&key).lock();
        if may_follow && let Some(replay) = shard.get(&key).and_then(Log::join) {
            return Joined::Follow(replay);
        }
        let (recorder, replay) = recording(self.table.limit);
        let replaced = shard.insert(key.clone(), recorder.log().clone());
        drop(shard);
        drop(replaced);
        let flight = Flight {
            recorder,
            key,
            table: self.table.clone(),
        };
        Joined::Lead(flight, replay)
    }

    /// How many flights are under way.
    pub fn count(&self) -> usize {
        let lens = self.table.shards.iter().map(|shard| shard.lock().len());
        lens.sum()
    }
}

impl<K, H, F> Clone for Flights<K, H, F> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
        }
    }
}

impl<K: Eq + Hash, H, F> Table<K, H, F> {
    fn shard(&self, key: &K) -> &Shard<K, H, F> {
        // The map takes the low and the top bits of the same hash.
        let bits = self.hasher.hash_one(key) >> 32;
        &self.shards[bits as usize % SHARDS]
    }
}

/// The recorder of a flight. Others may join until it is dropped.
pub struct Flight<K: Eq + Hash, H, F: Clone> {
    recorder: Recorder<H, F>,
    key: K,
    table: Arc<Table<K, H, F>>,
}

impl<K: Eq + Hash, H, F: Clone> Deref for Flight<K, H, F> {
    type Target = Recorder<H, F>;

    fn deref(&self) -> &Self::Target {
        &self.recorder
    }
}

impl<K: Eq + Hash, H, F: Clone> DerefMut for Flight<K, H, F> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.recorder
    }
}

impl<K: Eq + Hash, H, F: Clone> Drop for Flight<K, H, F> {
    fn drop(&mut self) {
        let mut shard = self.table.shard(&self.key).lock();
        let is_own = |log| Arc::ptr_eq(log, self.recorder.log());
        // Another flight has its place if nobody could join this one any more.
        let removed = shard
            .get(&self.key)
            .is_some_and(is_own)
            .then(|| shard.remove(&self.key));
        drop(shard);
        drop(removed);
    }
}
