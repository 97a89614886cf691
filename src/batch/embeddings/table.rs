//! What is under way and what gathers, by group.
//!
//! Every decision is made under one shard's lock, which is held for a look-up
//! and a push; channels are written to and tasks spawned after it. A group is
//! in the table while it has something under way or gathering, so the table
//! holds no more groups than the process has calls.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::conduct::{Seat, conduct};
use super::{Limits, WINDOW};
use crate::dialect::embeddings::Ask;

/// Enough that cores seldom meet at one lock.
const SHARDS: usize = 16;

type Shard<K, H, E> = Mutex<HashMap<K, Group<K, H, E>>>;

/// The groups.
pub(super) struct Table<K: Clone + Eq + Hash, H, E> {
    shards: [Shard<K, H, E>; SHARDS],
    hasher: RandomState,
    /// The number of the next gathering.
    next: AtomicU64,
}

/// Calls that may share one.
struct Group<K: Clone + Eq + Hash, H, E> {
    /// Batches and lone calls; those tried again in halves count as one.
    under_way: usize,
    gathering: Option<Gathering<K, H, E>>,
}

/// Callers who wait, and the task that waits with them.
struct Gathering<K: Clone + Eq + Hash, H, E> {
    number: u64,
    seats: Vec<Seat<H, E>>,
    /// What may still come in.
    room: Limits,
    /// Tells the task to go.
    go: oneshot::Sender<Batch<K, H, E>>,
}

/// Callers who go together.
struct Batch<K: Clone + Eq + Hash, H, E> {
    seats: Vec<Seat<H, E>>,
    under_way: UnderWay<K, H, E>,
}

/// One call of a group. Dropping it ends it, and lets those go who wait for
/// that.
pub(super) struct UnderWay<K: Clone + Eq + Hash, H, E> {
    table: Arc<Table<K, H, E>>,
    group: K,
}

/// A batch that goes, told to its task once the lock is given back.
struct Departure<K: Clone + Eq + Hash, H, E> {
    go: oneshot::Sender<Batch<K, H, E>>,
    batch: Batch<K, H, E>,
}

impl<K: Clone + Eq + Hash, H, E> Table<K, H, E> {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
        }
    }

    /// Counts a call that need not wait as under way: nothing of its group is,
    /// or it leaves no room for others.
    pub(super) fn alone(
        self: &Arc<Self>,
        key: &K,
        limits: Limits,
        ask: &Ask,
    ) -> Option<UnderWay<K, H, E>> {
        let fills_a_call = ask.len() >= limits.inputs || ask.tokens() >= limits.tokens;
        let mut groups = self.shard(key).lock();
        match groups.entry(key.clone()) {
            Entry::Occupied(_) if !fills_a_call => return None,
            Entry::Occupied(group) => group.into_mut().under_way += 1,
            Entry::Vacant(place) => {
                place.insert(Group {
                    under_way: 1,
                    gathering: None,
                });
            }
        }
        drop(groups);
        Some(self.under_way(key))
    }

    /// How many groups there are.
    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, key: &K) -> &Shard<K, H, E> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn under_way(self: &Arc<Self>, key: &K) -> UnderWay<K, H, E> {
        UnderWay {
            table: Arc::clone(self),
            group: key.clone(),
        }
    }

    /// Lets what gathers in `group` go, if anything does.
    fn depart(self: &Arc<Self>, key: &K, group: &mut Group<K, H, E>) -> Option<Departure<K, H, E>> {
        let gathering = group.gathering.take()?;
        group.under_way += 1;
        Some(Departure {
            go: gathering.go,
            batch: Batch {
                seats: gathering.seats,
                under_way: self.under_way(key),
            },
        })
    }

    /// One call of the group is over.
    fn ended(self: &Arc<Self>, key: &K) {
        let mut groups = self.shard(key).lock();
        let Entry::Occupied(mut group) = groups.entry(key.clone()) else {
            return;
        };
        group.get_mut().under_way -= 1;
        let departure = self.depart(key, group.get_mut());
        if group.get().under_way == 0 {
            group.remove();
        }
        drop(groups);
        if let Some(departure) = departure {
            departure.begin();
        }
    }

    /// Takes the gathering of that number, if it hasn't gone yet.
    fn window_over(self: &Arc<Self>, key: &K, number: u64) -> Option<Batch<K, H, E>> {
        let mut groups = self.shard(key).lock();
        let group = groups.get_mut(key)?;
        if group.gathering.as_ref()?.number != number {
            return None;
        }
        Some(self.depart(key, group)?.batch)
    }
}

impl<K, H, E> Table<K, H, E>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    H: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Seats a caller in what gathers, or begins a gathering with it.
    pub(super) fn wait(self: &Arc<Self>, key: K, limits: Limits, seat: Seat<H, E>) {
        let mut departures = [None, None];
        let mut begun = None;
        let mut groups = self.shard(&key).lock();
        let group = groups.entry(key.clone()).or_insert(Group {
            under_way: 0,
            gathering: None,
        });
        let is_cramped = |gathering: &Gathering<_, _, _>| !gathering.has_room(&seat.ask);
        if group.gathering.as_ref().is_some_and(is_cramped) {
            departures[0] = self.depart(&key, group);
        }
        let gathering = group.gathering.get_or_insert_with(|| {
            let (go, gone) = oneshot::channel();
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            begun = Some((number, gone));
            Gathering {
                number,
                seats: Vec::new(),
                room: limits,
                go,
            }
        });
        gathering.seat(seat);
        // What was under way may have returned since the caller saw it.
        if gathering.is_full() || group.under_way == 0 {
            departures[1] = self.depart(&key, group);
        }
        drop(groups);
        departures.into_iter().flatten().for_each(Departure::begin);
        if let Some((number, gone)) = begun {
            // A task, for the batch must outlive any one of its callers.
            tokio::spawn(gather(Arc::clone(self), key, number, gone));
        }
    }
}

/// Waits until a gathering goes, and goes with it.
async fn gather<K, H, E>(
    table: Arc<Table<K, H, E>>,
    key: K,
    number: u64,
    mut gone: oneshot::Receiver<Batch<K, H, E>>,
) where
    K: Clone + Eq + Hash,
    H: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    let batch = tokio::select! {
        biased;
        batch = &mut gone => batch.ok(),
        () = sleep(WINDOW) => match table.window_over(&key, number) {
            Some(batch) => Some(batch),
            // It was sent away between the two.
            None => gone.await.ok(),
        },
    };
    if let Some(Batch { seats, under_way }) = batch {
        conduct(seats).await;
        drop(under_way);
    }
}

impl<K: Clone + Eq + Hash, H, E> Gathering<K, H, E> {
    fn has_room(&self, ask: &Ask) -> bool {
        ask.len() <= self.room.inputs && ask.tokens() <= self.room.tokens
    }

    fn seat(&mut self, seat: Seat<H, E>) {
        self.room.inputs = self.room.inputs.saturating_sub(seat.ask.len());
        self.room.tokens = self.room.tokens.saturating_sub(seat.ask.tokens());
        self.seats.push(seat);
    }

    fn is_full(&self) -> bool {
        self.room.inputs == 0 || self.room.tokens == 0
    }
}

impl<K: Clone + Eq + Hash, H, E> Departure<K, H, E> {
    fn begin(self) {
        // A task that is gone went with its runtime, and its callers learn it
        // from their channels.
        drop(self.go.send(self.batch));
    }
}

impl<K: Clone + Eq + Hash, H, E> Drop for UnderWay<K, H, E> {
    fn drop(&mut self) {
        self.table.ended(&self.group);
    }
}
