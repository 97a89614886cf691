//! The second level: a Redis that replicas share, which may be lost, slow,
//! full or somebody else's without anybody noticing.
//!
//! A look-up is bounded by [`DEADLINE`] and is a miss with a reason whenever it
//! isn't an answer; a [`breaker`] keeps look-ups from waiting for a Redis that
//! doesn't answer. Writing and purging wait in a bounded queue ([`writing`]).
//! One task connects, and connects again ([`link`]). All of it but the look-up
//! runs on the cache's own thread.

mod breaker;
mod link;
mod name;
mod purging;
mod state;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ::redis::{RedisResult, pipe};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::link::{Heard, Link};
use self::state::State;
use self::writing::{Job, Queue};
use super::key::Key;
use super::memory::Memory;
use super::store::{Purge, Remote};
use super::stored::{Label, Life, Stored, Wanted, decode};
use crate::config::{self, RedisUrl};
use crate::metrics::cache::{Cache as Counters, Miss};

/// How long a look-up may take. Redis answers within a millisecond in one data
/// centre; whoever waits longer would rather have asked the provider.
pub(super) const DEADLINE: Duration = Duration::from_millis(5);
/// The largest value that is written and read, in bytes. On a link of 1 Gbit/s
/// half a megabyte takes the whole deadline, and delays every look-up behind it.
const LARGEST_VALUE: usize = 512 << 10;
/// How long a purge is waited for; it goes on after that.
const PATIENCE: Duration = Duration::from_secs(5);

/// A handle on it.
#[derive(Debug)]
pub(super) struct Redis {
    state: Arc<State>,
    queue: Queue,
    deadline: Duration,
}

/// What the thread runs.
pub(super) struct Work {
    state: Arc<State>,
    jobs: mpsc::Receiver<Job>,
    heard: Heard,
    url: RedisUrl,
    tls: config::Tls,
    push: link::Push,
}

impl Redis {
    /// A handle, and the work that makes it one. Nothing is connected yet.
    pub(super) fn new(
        url: &RedisUrl,
        tls: &config::Tls,
        counters: Counters,
        deadline: Duration,
    ) -> (Self, Work) {
        let state = Arc::new(State::new(url.to_string(), counters));
        let (queue, jobs) = writing::queue(state.clone());
        let (push, heard) = link::push(state.clone());
        let work = Work {
            state: state.clone(),
            jobs,
            heard,
            url: url.clone(),
            tls: tls.clone(),
            push,
        };
        let redis = Self {
            state,
            queue,
            deadline,
        };
        (redis, work)
    }

    /// The answer of this name, if there is one that `wanted` takes. Counts the
    /// look-up.
    pub(super) async fn get(
        &self,
        key: &Key,
        label: &Arc<Label>,
        wanted: &Wanted,
    ) -> Result<(Stored, Life), Miss> {
        let found = self.find(key, label, wanted).await;
        let counters = &self.state.counters().redis;
        match &found {
            Ok(_) => counters.hits.inc(),
            Err(why) => counters.missed(*why).inc(),
        };
        found
    }

    async fn find(
        &self,
        key: &Key,
        label: &Arc<Label>,
        wanted: &Wanted,
    ) -> Result<(Stored, Life), Miss> {
        let link = self
            .state
            .link_for_look_up(Instant::now())
            .ok_or(Miss::Open)?;
        let name = name::name(key, label);
        let answer = timeout(self.deadline, Box::pin(fetch(&link, &name))).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| self.state.failed(&link, &error)),
            Err(_) => Err(Miss::Timeout),
        };
        let answered = !matches!(answer, Err(Miss::Timeout | Miss::Error));
        self.state.looked_up(Instant::now(), answered);
        let (value, left) = answer?;
        if value.is_empty() {
            return Err(Miss::Absent);
        }
        // Without an end it wasn't written by us.
        let left = u64::try_from(left).map_err(|_| Miss::Junk)?;
        let (stored, ttl) = decode(name.as_bytes(), label, &value).map_err(|_| Miss::Junk)?;
        let life = Life::ending(ttl, Duration::from_millis(left));
        if !wanted.takes(life.age, ttl) {
            return Err(Miss::Expired);
        }
        Ok((stored, life))
    }

    /// Writes an answer, soon. Where it can't, that is counted.
    pub(super) fn keep(&self, key: Key, stored: Arc<Stored>, life: Life) {
        self.queue.keep(key, stored, life);
    }

    /// Drops what a purge names, after all that was kept before it, and tells
    /// the other replicas.
    pub(super) async fn purge(&self, what: &Purge) -> Remote {
        let (done, outcome) = oneshot::channel();
        if !self.queue.purge(what.clone(), done) {
            return Remote::Failed;
        }
        match timeout(PATIENCE, outcome).await {
            Ok(outcome) => outcome.unwrap_or(Remote::Failed),
            Err(_) => Remote::Unfinished,
        }
    }
}

impl Work {
    /// Runs until it is dropped. `memory` forgets what other replicas purge;
    /// `purges` counts these too.
    pub(super) async fn run(self, memory: &Memory, purges: &AtomicU64) {
        let Self {
            state,
            jobs,
            mut heard,
            url,
            tls,
            push,
        } = self;
        tokio::join!(
            Box::pin(link::keep_connected(&state, &url, &tls, push)),
            Box::pin(writing::run(&state, jobs)),
            async {
                while let Some(purge) = heard.next().await {
                    purges.fetch_add(1, SeqCst);
                    memory.purge(|key, label| purge.names(key, label));
                }
            },
        );
    }
}

/// The value of this name and how many milliseconds it has left. `GETRANGE`
/// bounds what a foreign value can cost; of a name that isn't there it is empty.
async fn fetch(link: &Link, name: &str) -> RedisResult<(Vec<u8>, i64)> {
    let mut both = pipe();
    both.cmd("GETRANGE").arg(name).arg(0).arg(LARGEST_VALUE);
    both.cmd("PTTL").arg(name);
    link.ask_all(&both).await
}
