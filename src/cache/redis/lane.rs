//! One core's own way to Redis: the look-ups asked on it and the connection
//! that carries them.
//!
//! Handing a look-up to another thread costs two wake-ups between threads,
//! more than all the rest of a hit. So each core has a connection, driven by
//! one task on that core: what is asked in one turn of the runtime goes out in
//! one write, and what comes in one read is unpacked where it lies. Replies
//! come in the order of the commands, so a look-up whose caller has left, or
//! whose deadline has passed, still takes its own out of the line.
//!
//! A lane follows the connection that is watched ([`super::link`]): it leads to
//! the same node, and is made anew when that is. As long as it isn't open,
//! look-ups go over that one.

mod driver;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::driver::Driver;
use super::LARGEST_VALUE;
use super::dial::Io;
use super::link::{Beyond, Link};
use super::sought::{Outcome, Sought};
use super::state::State;
use super::wire;
use crate::cache::key::Key;
use crate::metrics::cache::Miss;

/// Look-ups under way on one core. So many are late anyway.
const MOST: usize = 1024;
/// A connection on which the oldest look-up has waited for so long is dead.
const ANSWER: Duration = Duration::from_secs(2);
/// After one could not be opened.
const PAUSE: Duration = Duration::from_secs(1);

/// One core's way.
#[derive(Default)]
pub(super) struct Lane {
    /// Held for a few instructions, by tasks of one core.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The connection that is followed; 0 before the first.
    number: u64,
    /// Counts the connections there were: a task whose own is over sees it by
    /// this.
    epoch: u64,
    stage: Stage,
    /// Commands to be sent.
    out: Vec<u8>,
    /// What waits for replies, in the order asked.
    asked: VecDeque<Asked>,
    /// The same by key, so that nothing is asked twice at a time.
    under_way: HashMap<Key, Weak<LookUp>>,
    driver: Option<Waker>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Closed,
    /// Closed, and not to be opened before this.
    Resting(Instant),
    Opening,
    Open,
    /// The client of a cluster, on this core.
    Cluster(Link),
}

struct Asked {
    what: Arc<LookUp>,
    at: Instant,
}

/// A look-up under way.
struct LookUp {
    sought: Sought,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    outcome: Option<Outcome>,
    waiting: Vec<Waker>,
}

/// Where a look-up goes.
pub(super) enum Way {
    /// Over the core's own connection.
    Own(Asking),
    /// Over a client that takes commands: the core's own of a cluster, or the
    /// one that is watched.
    Client(Link, Sought),
    /// Nowhere: too much is under way.
    Full,
}

/// A look-up that was asked: what it comes to.
pub(super) struct Asking {
    what: Arc<LookUp>,
    /// Whether nobody else had asked the same.
    pub(super) is_first: bool,
}

impl Future for Asking {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut told = self.what.told.lock();
        if let Some(outcome) = &told.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !told.waiting.iter().any(|one| one.will_wake(cx.waker())) {
            told.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl LookUp {
    fn tell(&self, outcome: Outcome) {
        let mut told = self.told.lock();
        told.outcome = Some(outcome);
        mem::take(&mut told.waiting)
            .into_iter()
            .for_each(Waker::wake);
    }
}

impl Lane {
    /// Asks for an answer over the best way there is to where `link` leads.
    pub(super) fn ask(
        self: &Arc<Self>,
        state: &Arc<State>,
        link: &Link,
        sought: Sought,
        now: Instant,
    ) -> Way {
        let mut inner = self.inner.lock();
        match self.follow(&mut inner, state, link, now) {
            Stage::Open => inner.ask(sought, now),
            Stage::Cluster(own) => Way::Client(own.clone(), sought),
            _ => Way::Client(link.clone(), sought),
        }
    }

    /// Has the lane lead to where `link` does, and says how far that is.
    fn follow<'a>(
        self: &Arc<Self>,
        inner: &'a mut Inner,
        state: &Arc<State>,
        link: &Link,
        now: Instant,
    ) -> &'a Stage {
        let is_other = inner.number != link.number();
        if is_other || inner.is_overdue(now) {
            inner.close(Miss::Error);
            inner.number = link.number();
        }
        let is_due = match inner.stage {
            Stage::Closed => true,
            Stage::Resting(until) => until <= now,
            Stage::Opening | Stage::Open | Stage::Cluster(_) => false,
        };
        if is_due {
            inner.epoch += 1;
            inner.stage = Stage::Opening;
            let to = (link.number(), link.beyond());
            tokio::spawn(drive(Arc::clone(self), inner.epoch, state.clone(), to));
        }
        &inner.stage
    }

    /// Whether look-ups go over it; it is opened where it isn't.
    #[cfg(test)]
    pub(super) fn is_open(self: &Arc<Self>, state: &Arc<State>, link: &Link, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        let stage = self.follow(&mut inner, state, link, now);
        matches!(stage, Stage::Open | Stage::Cluster(_))
    }

    /// Ends what there is.
    pub(super) fn close(&self) {
        self.inner.lock().close(Miss::Error);
    }
}

impl Inner {
    fn ask(&mut self, sought: Sought, now: Instant) -> Way {
        let under_way = self.under_way.get(&sought.key()).and_then(Weak::upgrade);
        if let Some(what) = under_way.filter(|what| what.sought.is_same(&sought)) {
            return Way::Own(Asking {
                what,
                is_first: false,
            });
        }
        if self.asked.len() >= MOST {
            return Way::Full;
        }
        for name in [Some(sought.first()), sought.second()]
            .into_iter()
            .flatten()
        {
            fetch(&mut self.out, name.text.as_bytes());
        }
        let key = sought.key();
        let what = Arc::new(LookUp {
            sought,
            told: Mutex::default(),
        });
        self.under_way.insert(key, Arc::downgrade(&what));
        self.asked.push_back(Asked {
            what: what.clone(),
            at: now,
        });
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
        Way::Own(Asking {
            what,
            is_first: true,
        })
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let oldest = self.asked.front();
        oldest.is_some_and(|oldest| now.saturating_duration_since(oldest.at) > ANSWER)
    }

    /// The oldest look-up has been answered.
    fn answered(&mut self) {
        if let Some(Asked { what, .. }) = self.asked.pop_front() {
            self.under_way.remove(&what.sought.key());
        }
    }

    /// Ends the connection; what waits for it has missed, the first of them
    /// for the reason `why`.
    fn close(&mut self, why: Miss) {
        self.epoch += 1;
        self.stage = Stage::Closed;
        self.out.clear();
        self.under_way.clear();
        let mut why = Some(why);
        for Asked { what, .. } in self.asked.drain(..) {
            what.tell(Err(why.take().unwrap_or(Miss::Error)));
        }
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }
}

/// The commands that bring the value of this name and how many milliseconds it
/// has left. `GETRANGE` bounds what a foreign value can cost; of a name that
/// isn't there it is empty.
fn fetch(out: &mut Vec<u8>, name: &[u8]) {
    let mut digits = itoa::Buffer::new();
    let last = digits.format(LARGEST_VALUE).as_bytes();
    wire::command(out, [b"GETRANGE", name, b"0", last]);
    wire::command(out, [b"PTTL", name]);
}

/// Opens a connection for `lane`, and drives it to its end.
async fn drive(
    lane: Arc<Lane>,
    epoch: u64,
    state: Arc<State>,
    (number, beyond): (u64, Arc<Beyond>),
) {
    let mut hold = Hold { lane, epoch };
    match &*beyond {
        Beyond::Node(door) => match Box::pin(door.open()).await {
            Ok(io) if hold.opens(Stage::Open) => {
                if hold.runs(io).await {
                    state.broken(number);
                }
            }
            Ok(_) => {}
            Err(_) => hold.rests(),
        },
        Beyond::Cluster(client) => {
            match Box::pin(Link::own(number, client, beyond.clone())).await {
                Ok(link) => {
                    hold.opens(Stage::Cluster(link));
                    // It mends itself, and ends when the lane lets go of it.
                    hold.epoch = 0;
                }
                Err(_) => hold.rests(),
            }
        }
    }
}

/// A lane's connection of one epoch, which is over when this is dropped.
struct Hold {
    lane: Arc<Lane>,
    epoch: u64,
}

impl Hold {
    /// Says whether it is still wanted.
    fn opens(&self, stage: Stage) -> bool {
        let mut inner = self.lane.inner.lock();
        let is_wanted = inner.epoch == self.epoch;
        if is_wanted {
            inner.stage = stage;
        }
        is_wanted
    }

    fn rests(&self) {
        self.opens(Stage::Resting(Instant::now() + PAUSE));
    }

    /// Drives it to its end. Says whether that cost somebody an answer.
    async fn runs(&self, io: Box<dyn Io>) -> bool {
        let mut driver = Driver::new(self, io);
        let why = poll_fn(|cx| driver.poll(cx)).await;
        let mut inner = self.lane.inner.lock();
        let costs = inner.epoch == self.epoch && !inner.asked.is_empty();
        if costs {
            inner.close(why);
        }
        costs
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.lane.inner.lock();
        if inner.epoch == self.epoch && !matches!(inner.stage, Stage::Resting(_)) {
            inner.close(Miss::Error);
        }
    }
}
