//! The two levels as one: the memory of this process, then a Redis that
//! replicas share.
//!
//! What needs no answer (writing, purging, sweeping) happens on a thread of
//! its own, so that no core that serves callers packs bodies or walks tables.
//! Look-ups stay on the core that asks.
//! Only [`Store::get_remote`] waits, and not for longer than the deadline of
//! the second level. Nothing here fails: a level that can't answer is a miss.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::key::Key;
use super::memory::Memory;
use super::redis::{DEADLINE, Found, Redis, Work};
use super::stored::{Hit, LARGEST_BODY, Label, Life, Stored, Wanted};
use crate::config;
use crate::metrics;

/// Kept answers. One per process.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    redis: Option<Redis>,
    ttl: Duration,
    /// Purges so far, of this replica and others: what a look-up found is not
    /// put into memory if one happened meanwhile.
    purges: Arc<AtomicU64>,
    /// Ends the thread when it goes.
    _open: oneshot::Sender<()>,
}

impl Store {
    /// Begins with an empty memory, and connects to Redis, where there is one,
    /// in its own time. Fails only where the system gives no thread.
    pub fn open(
        config: &config::Cache,
        tls: &config::Tls,
        counters: metrics::cache::Cache,
    ) -> io::Result<Self> {
        Self::open_within(config, tls, counters, DEADLINE)
    }

    fn open_within(
        config: &config::Cache,
        tls: &config::Tls,
        counters: metrics::cache::Cache,
        deadline: Duration,
    ) -> io::Result<Self> {
        let memory = Arc::new(Memory::new(config.memory, counters.clone()));
        let purges = Arc::new(AtomicU64::new(0));
        let redis = config.redis.as_ref();
        let (redis, work) = redis
            .map(|url| Redis::new(url, tls, counters, deadline))
            .unzip();
        let open = work_on(work, memory.clone(), purges.clone(), config.ttl)?;
        Ok(Self {
            memory,
            redis,
            ttl: config.ttl,
            purges,
            _open: open,
        })
    }

    /// The answer kept in memory, if there is one that `wanted` takes.
    pub fn get(&self, key: &Key, wanted: &Wanted) -> Option<Hit> {
        self.memory.get(key, wanted).ok()
    }

    /// The same, for a caller whose look-up has been counted already: what it
    /// missed may have been kept since.
    pub fn look_again(&self, key: &Key, wanted: &Wanted) -> Option<Hit> {
        self.memory.find(key, wanted, Instant::now()).ok()
    }

    /// Answers kept in memory.
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Whether nothing is kept in memory.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// Bytes of memory that what is kept takes.
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Whether there is a second level to ask.
    pub fn has_remote(&self) -> bool {
        self.redis.is_some()
    }

    /// The answer kept in Redis under `key` or, where there is another, that
    /// one, if there is one that `wanted` takes and Redis says so within a few
    /// milliseconds. Fills the memory. `label` is part of the name it is kept
    /// under.
    pub async fn get_remote(
        &self,
        key: &Key,
        or: Option<&Key>,
        label: &Arc<Label>,
        wanted: &Wanted,
    ) -> Option<Hit> {
        let purges = self.purges.load(SeqCst);
        let redis = self.redis.as_ref()?;
        let answer = redis.get(*key, or.copied(), label, wanted).await.ok()?;
        let Found { key, stored, life } = answer.found;
        // Of those who asked together, one is enough.
        if answer.is_first && self.purges.load(SeqCst) == purges {
            self.memory.keep(key, stored.clone(), life);
        }
        Some(Hit {
            stored,
            age: life.age,
            ttl: life.ttl,
        })
    }

    /// Keeps a complete answer that has just been given: in memory now, in
    /// Redis soon. Says whether memory took it.
    pub fn keep(&self, key: Key, stored: Stored) -> bool {
        if self.ttl.is_zero() || stored.body().len() > LARGEST_BODY {
            return false;
        }
        let (stored, life) = (Arc::new(stored), Life::new(self.ttl));
        if let Some(redis) = &self.redis {
            redis.keep(key, stored.clone(), life);
        }
        self.memory.keep(key, stored, life)
    }

    /// Drops answers: from memory before it returns, from Redis within
    /// seconds, from the memory of other replicas when they hear of it.
    pub async fn purge(&self, what: &Purge) -> Purged {
        self.purges.fetch_add(1, SeqCst);
        let memory = self.memory.purge(|key, label| what.names(key, label));
        let redis = match &self.redis {
            Some(redis) => redis.purge(what).await,
            None => Remote::None,
        };
        Purged { memory, redis }
    }
}

/// Starts the thread that does what needs no answer; it ends when what is
/// returned is dropped.
fn work_on(
    work: Option<Work>,
    memory: Arc<Memory>,
    purges: Arc<AtomicU64>,
    ttl: Duration,
) -> io::Result<oneshot::Sender<()>> {
    let (open, closed) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pause = (ttl / 4).clamp(Duration::from_secs(1), Duration::from_secs(60));
    let all = async move {
        let second = async {
            if let Some(work) = work {
                work.run(&memory, &purges).await;
            }
        };
        tokio::join!(sweep(&memory, pause), Box::pin(second));
    };
    thread::Builder::new()
        .name("nowait-cache".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = all => {}
                    _ = closed => {}
                }
            });
        })?;
    Ok(open)
}

/// Which answers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// This one.
    Key(Key),
    /// Those of one model: `model` whoever gave it, or `provider/model`.
    Model(String),
    /// Those of one tenant, with whatever keys of their own its callers bring:
    /// `NAME`, and `NAME#…`.
    Tenant(String),
    /// Every one.
    All,
}

impl Purge {
    /// Whether the answer with this key and label goes.
    pub fn names(&self, key: &Key, label: &Label) -> bool {
        match self {
            Self::Key(which) => which == key,
            Self::Model(which) => {
                *which == *label.model
                    || which
                        .strip_prefix(&*label.provider)
                        .and_then(|rest| rest.strip_prefix('/'))
                        == Some(&label.model)
            }
            Self::Tenant(which) => label
                .tenant
                .strip_prefix(which.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('#')),
            Self::All => true,
        }
    }
}

/// What a purge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Answers dropped from the memory of this process.
    pub memory: u64,
    /// What happened in Redis.
    pub redis: Remote,
}

/// What a purge did in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// There is none.
    None,
    /// So many answers were dropped there.
    Dropped(u64),
    /// It goes on: there are many.
    Unfinished,
    /// It can't be reached, or refused: what it has stays until its time.
    Failed,
}

impl Remote {
    /// What two purges did together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Unfinished, _) | (_, Self::Unfinished) => Self::Unfinished,
            (Self::Dropped(a), Self::Dropped(b)) => Self::Dropped(a + b),
            (Self::None, done) | (done, Self::None) => done,
        }
    }
}

/// Drops what nobody can want any more, forever.
async fn sweep(memory: &Memory, pause: Duration) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        memory.sweep(Instant::now());
    }
}

#[cfg(test)]
mod tests;
