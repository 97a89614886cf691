//! The second level: a Redis that replicas share, which may be lost, slow,
//! full or somebody else's without anybody noticing.
//!
//! A look-up is bounded by [`DEADLINE`] and is a miss with a reason whenever it
//! isn't an answer; a [`breaker`] keeps look-ups from waiting for a Redis that
//! doesn't answer. Each core looks up over a connection of its own ([`lane`]).
//! Writing and purging wait in a bounded queue ([`writing`]), and one task
//! connects, and connects again ([`link`]), on the cache's own thread.

mod breaker;
mod dial;
mod lane;
mod link;
mod name;
mod purging;
mod sought;
mod state;
mod wire;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ::redis::pipe;
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::lane::{Lane, Way};
use self::link::{Heard, Link};
pub(super) use self::sought::Found;
use self::sought::{Name, Outcome, Sought, better};
use self::state::State;
pub use self::wire::fuzz_replies;
use self::writing::{Job, Queue};
use super::key::Key;
use super::memory::Memory;
use super::store::{Purge, Remote};
use super::stored::{Label, Life, Stored, Wanted};
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
    lanes: Lanes,
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
            lanes: Lanes::default(),
            queue,
            deadline,
        };
        (redis, work)
    }

    /// The answer under `key` or, where there is another, that one, if there
    /// is one that `wanted` takes. Counts the look-up.
    pub(super) async fn get(
        &self,
        key: Key,
        or: Option<Key>,
        label: &Arc<Label>,
        wanted: &Wanted,
    ) -> Result<Answer, Miss> {
        let found = self.find(Sought::new(key, or, label)).await;
        let found = found.and_then(|answer| {
            let Found { life, .. } = &answer.found;
            match wanted.takes(life.age, life.ttl) {
                true => Ok(answer),
                false => Err(Miss::Expired),
            }
        });
        let counters = &self.state.counters().redis;
        match &found {
            Ok(_) => counters.hits.inc(),
            Err(why) => counters.missed(*why).inc(),
        };
        found
    }

    async fn find(&self, sought: Sought) -> Result<Answer, Miss> {
        let now = Instant::now();
        let link = self.state.link_for_look_up(now).ok_or(Miss::Open)?;
        let lane = self.lanes.here();
        let (told, is_first) = match lane.ask(&self.state, &link, sought, now) {
            Way::Own(asking) => {
                let is_first = asking.is_first;
                (timeout(self.deadline, asking).await, is_first)
            }
            Way::Client(link, sought) => {
                let asking = Box::pin(fetch(&self.state, &link, &sought));
                (timeout(self.deadline, asking).await, true)
            }
            Way::Full => return Err(Miss::Open),
        };
        let told = told.unwrap_or(Err(Miss::Timeout));
        let answered = !matches!(told, Err(Miss::Timeout | Miss::Error));
        self.state.looked_up(Instant::now(), now, answered);
        Ok(Answer {
            found: told?,
            is_first,
        })
    }

    /// Whether look-ups of the calling core go over a connection of its own;
    /// one is opened where there is none.
    #[cfg(test)]
    pub(super) fn is_direct(&self) -> bool {
        let lane = self.lanes.here();
        let link = self.state.link();
        link.is_some_and(|link| lane.is_open(&self.state, &link, Instant::now()))
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

/// What one look-up found.
pub(super) struct Answer {
    pub(super) found: Found,
    /// Whether it was the first of those who asked the same at a time.
    pub(super) is_first: bool,
}

/// The ways of all cores.
#[derive(Default)]
struct Lanes(ArcSwap<Vec<(ThreadId, Arc<Lane>)>>);

impl Lanes {
    /// That of the calling core.
    fn here(&self) -> Arc<Lane> {
        let here = thread::current().id();
        let of_here = |lanes: &Vec<(ThreadId, Arc<Lane>)>| {
            let mut lanes = lanes.iter();
            lanes
                .find(|(thread, _)| *thread == here)
                .map(|(_, lane)| Arc::clone(lane))
        };
        if let Some(lane) = of_here(&self.0.load()) {
            return lane;
        }
        let lane = Arc::new(Lane::default());
        self.0.rcu(|lanes| {
            let mut lanes = Vec::clone(lanes);
            lanes.push((here, lane.clone()));
            lanes
        });
        lane
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.0.load().iter().for_each(|(_, lane)| lane.close());
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lanes").field(&self.0.load().len()).finish()
    }
}

/// What `link` brings. In a cluster two names may be with two nodes.
async fn fetch(state: &State, link: &Link, sought: &Sought) -> Outcome {
    let first = fetch_one(state, link, sought, sought.first());
    match sought.second() {
        None => first.await,
        Some(second) => {
            let second = fetch_one(state, link, sought, second);
            let (first, second) = tokio::join!(first, second);
            better(first, second)
        }
    }
}

async fn fetch_one(state: &State, link: &Link, sought: &Sought, name: &Name) -> Outcome {
    let text = name.text.as_str();
    let mut both = pipe();
    both.cmd("GETRANGE").arg(text).arg(0).arg(LARGEST_VALUE);
    both.cmd("PTTL").arg(text);
    let answer = link.ask_all::<(Vec<u8>, i64)>(&both).await;
    let (value, left) = answer.map_err(|error| state.failed(link, &error))?;
    sought.read(name, &value, left)
}
