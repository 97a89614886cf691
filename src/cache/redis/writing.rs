//! Writes and purges, off the path: a queue bounded in length and bytes, and
//! the task that empties it.
//!
//! Writes go out side by side; a purge waits for those before it, so that
//! nothing it names is written behind its back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ::redis::cmd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::state::{State, code, reason};
use super::{LARGEST_VALUE, name, purging};
use crate::cache::key::Key;
use crate::cache::store::{Purge, Remote};
use crate::cache::stored::{Life, Stored, encode};
use crate::metrics::cache::Unwritten;

/// Jobs waiting: an embedding call of 2,048 inputs fits.
const LONGEST: usize = 4096;
/// Bytes of bodies waiting. They are mostly in memory anyway, but may have been
/// evicted since.
const MOST_BYTES: usize = 32 << 20;
/// Writes under way at once.
const AT_ONCE: usize = 64;
/// For one write.
const ANSWER: Duration = Duration::from_secs(2);
/// Bodies of which not even the packed form can be expected to fit.
const HOPELESS: usize = 16 * LARGEST_VALUE;

/// Something to do.
#[derive(Debug)]
pub(super) enum Job {
    Keep(Keep),
    Purge(Purge, oneshot::Sender<Remote>),
}

#[derive(Debug)]
pub(super) struct Keep {
    key: Key,
    stored: Arc<Stored>,
    life: Life,
    /// Given back when it was written or dropped.
    _room: Room,
}

/// The way in.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    state: Arc<State>,
}

/// Bytes counted as waiting for as long as it lives.
#[derive(Debug)]
struct Room {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(waiting: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let before = waiting.fetch_add(bytes, SeqCst);
        let room = Self {
            waiting: waiting.clone(),
            bytes,
        };
        (before + bytes <= MOST_BYTES).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, SeqCst);
    }
}

pub(super) fn queue(state: Arc<State>) -> (Queue, mpsc::Receiver<Job>) {
    let (jobs, receiver) = mpsc::channel(LONGEST);
    let queue = Queue {
        jobs,
        waiting: Arc::default(),
        state,
    };
    (queue, receiver)
}

impl Queue {
    /// Has an answer written soon. Never waits; what can't be is counted.
    pub(super) fn keep(&self, key: Key, stored: Arc<Stored>, life: Life) {
        if let Err(why) = self.try_keep(key, stored, life) {
            self.state.counters().unwritten(why).inc();
        }
    }

    fn try_keep(&self, key: Key, stored: Arc<Stored>, life: Life) -> Result<(), Unwritten> {
        // What a lost Redis missed is not kept for its return.
        self.state.link().ok_or(Unwritten::Unreachable)?;
        let bytes = stored.body().len();
        if bytes > HOPELESS {
            return Err(Unwritten::TooLarge);
        }
        let room = Room::take(&self.waiting, bytes).ok_or(Unwritten::Queue)?;
        let keep = Keep {
            key,
            stored,
            life,
            _room: room,
        };
        let sent = self.jobs.try_send(Job::Keep(keep));
        sent.map_err(|_| Unwritten::Queue)
    }

    /// Has a purge carried out, unless the queue is full.
    pub(super) fn purge(&self, what: Purge, done: oneshot::Sender<Remote>) -> bool {
        self.jobs.try_send(Job::Purge(what, done)).is_ok()
    }
}

/// Does what comes out of the queue, until its way in is gone.
pub(super) async fn run(state: &Arc<State>, mut jobs: mpsc::Receiver<Job>) {
    let mut writes = JoinSet::new();
    // One at a time: a purge walks all of Redis.
    let mut purges = JoinSet::new();
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Keep(keep) => {
                if writes.len() >= AT_ONCE {
                    writes.join_next().await;
                }
                while writes.try_join_next().is_some() {}
                let state = state.clone();
                writes.spawn(async move {
                    match Box::pin(write(&state, &keep)).await {
                        Ok(()) => state.counters().redis.stores.inc(),
                        Err(why) => state.counters().unwritten(why).inc(),
                    };
                });
            }
            Job::Purge(what, done) => {
                while writes.join_next().await.is_some() {}
                while purges.join_next().await.is_some() {}
                let state = state.clone();
                purges.spawn(async move {
                    // Whoever asked may have gone.
                    let _ = done.send(Box::pin(purging::carry_out(&state, &what)).await);
                });
            }
        }
    }
}

async fn write(state: &State, keep: &Keep) -> Result<(), Unwritten> {
    let name = name::name(&keep.key, &keep.stored.label);
    let left = keep.life.left(Instant::now()).as_millis();
    if left == 0 {
        return Ok(());
    }
    let value = encode(name.as_bytes(), &keep.stored, keep.life.ttl);
    if value.len() > LARGEST_VALUE {
        return Err(Unwritten::TooLarge);
    }
    let link = state.link().ok_or(Unwritten::Unreachable)?;
    let left = u64::try_from(left).unwrap_or(u64::MAX >> 1);
    let mut set = cmd("SET");
    set.arg(name).arg(value).arg("PX").arg(left);
    let error = match timeout(ANSWER, link.ask::<()>(&set)).await {
        Err(_) => return Err(Unwritten::Timeout),
        Ok(Ok(())) => {
            state.wrote(None);
            return Ok(());
        }
        Ok(Err(error)) => error,
    };
    state.failed(&link, &error);
    if code(&error).is_none() && (error.is_io_error() || error.is_unrecoverable_error()) {
        return Err(Unwritten::Unreachable);
    }
    state.wrote(Some(reason(&error)));
    // A master that became a replica: the sentinels know the new one.
    if link.is_elected() && code(&error) == Some("READONLY") {
        state.broken(link.number());
    }
    Err(Unwritten::Refused)
}
