//! The connections of one upstream: one shard per core, one line of waiting
//! calls for all (`docs/decisions/0001-per-core-and-per-process.md`).
//!
//! The plain path is [`Pool::take`] and [`Pool::give`]: one lock of the home
//! shard each, uncontended unless another core borrows. What happens when
//! nothing is ready is in `demand`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::Route;
use super::cores::Cores;
use super::h1;
use super::h2;
use super::keeper::Keeper;
use super::line::Line;
use super::link::Link;
use super::origin::{Names, Origin};
use super::{Gauges, Options};
use crate::metrics;

/// One upstream's connections.
pub(super) struct Pool {
    pub(super) route: Route,
    /// `None` if the origin's host is not one.
    pub(super) names: Option<Names>,
    pub(super) options: Options,
    pub(super) cores: Cores,
    pub(super) metrics: metrics::Pool,
    pub(super) line: Line,
    pub(super) keeper: Keeper,
    shards: Box<[Shard]>,
    /// What a connection carries: 0 unknown, 1 one call, more for HTTP/2.
    pub(super) carries: AtomicUsize,
    /// The peer has asked for fewer frames: it is pinged rarely.
    pub(super) calm: AtomicBool,
    /// The upstream is gone: connections are not kept.
    closed: AtomicBool,
}

/// What is ready on one core. On a cache line of its own, so that cores do not
/// slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    /// How many are in `ready.one`; for sums that need not be exact.
    idle: AtomicUsize,
    ready: Mutex<Ready>,
}

#[derive(Default)]
pub(super) struct Ready {
    /// HTTP/1.1 connections not in use; the last one used is taken first, so
    /// that those nobody needs grow old.
    pub(super) one: Vec<h1::Idle>,
    /// HTTP/2 connections that lend streams.
    pub(super) two: Vec<Arc<h2::Conn>>,
}

/// The right to send one request.
pub(super) enum Lease {
    One(h1::Lease),
    Two(h2::Lease),
}

impl Lease {
    pub(super) fn link(&self) -> &Link {
        match self {
            Self::One(lease) => lease.link(),
            Self::Two(lease) => &lease.conn.link,
        }
    }
}

impl Pool {
    pub(super) fn new(
        route: Route,
        names: Option<Names>,
        options: Options,
        cores: Cores,
        metrics: metrics::Pool,
    ) -> Arc<Self> {
        Arc::new(Self {
            keeper: Keeper::new(options.warm),
            route,
            names,
            options,
            metrics,
            line: Line::default(),
            shards: (0..cores.count()).map(|_| Shard::default()).collect(),
            carries: AtomicUsize::new(0),
            calm: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cores,
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.route.origin
    }

    /// A connection that is ready: from this core, else from a sibling.
    pub(super) fn take(self: &Arc<Self>) -> Option<Lease> {
        let home = self.cores.here();
        let count = self.shards.len();
        let lease = (0..count).find_map(|step| self.take_from((home + step) % count))?;
        match &lease {
            Lease::One(_) => {
                if self.shards[home].idle.load(Ordering::Relaxed) < self.options.warm {
                    self.mind_spares();
                }
            }
            Lease::Two(lease) => {
                // The next one is opened before this one is full.
                if lease.conn.in_use() * 4 >= lease.conn.capacity() * 3 {
                    self.spread();
                }
            }
        }
        Some(lease)
    }

    fn take_from(self: &Arc<Self>, core: usize) -> Option<Lease> {
        let mut dead = Vec::new();
        let lease = {
            let shard = &self.shards[core];
            let mut ready = shard.ready.lock();
            let mut one = None;
            while let Some(mut idle) = ready.one.pop() {
                // The keeper need not be told of its end from here on.
                if idle.conn.is_quiet(Waker::noop()) {
                    one = Some(idle);
                    break;
                }
                dead.push(idle);
            }
            shard.idle.store(ready.one.len(), Ordering::Relaxed);
            match one {
                Some(idle) => Some(Lease::One(h1::Lease::new(idle.conn))),
                None => self.stream_of(&ready.two),
            }
        };
        self.lost(dead);
        lease
    }

    /// A stream on the least used connection of `two`.
    fn stream_of(self: &Arc<Self>, two: &[Arc<h2::Conn>]) -> Option<Lease> {
        let free = |conn: &&Arc<h2::Conn>| conn.in_use() < conn.capacity();
        let least = two.iter().filter(free).min_by_key(|conn| conn.in_use())?;
        least.reserve(self).map(Lease::Two)
    }

    /// Takes an HTTP/1.1 connection back (or in, if it is new).
    pub(super) fn give(mut conn: Box<h1::Conn>) {
        let pool = conn.pool().clone();
        let shard = &pool.shards[conn.link.core];
        {
            let mut ready = shard.ready.lock();
            // All within the lock. The closing pool finds the connection in
            // the shard, or this finds the pool closed; its end finds it in
            // the shard, or is found here; and who joins the line after it was
            // offered looks at the shard after it was put there.
            if !pool.is_closed() && conn.is_quiet(pool.keeper.waker()) {
                if let Some(conn) = pool.offer(conn) {
                    let since = Instant::now();
                    ready.one.push(h1::Idle { conn, since });
                    shard.idle.store(ready.one.len(), Ordering::Relaxed);
                }
                return;
            }
        }
        // Not within it: the room this makes is for others to fill.
        drop(conn);
    }

    /// Offers a connection to those who wait; returns it if none can use it.
    fn offer(&self, conn: Box<h1::Conn>) -> Option<Box<h1::Conn>> {
        if !self.line.is_anyone() {
            return Some(conn);
        }
        let lease = Lease::One(h1::Lease::new(conn));
        match self.hand_over(lease)? {
            Lease::One(back) => Some(back.release()),
            Lease::Two(_) => None,
        }
    }

    fn hand_over(&self, lease: Lease) -> Option<Lease> {
        self.line.hand_over(lease, self.options.max_connections)
    }

    /// Takes a new HTTP/1.1 connection in.
    pub(super) fn add_one(self: &Arc<Self>, conn: Box<h1::Conn>) {
        // Even a closed pool's, or one that has ended: who waits for it learns
        // that from it.
        if let Some(conn) = self.offer(conn) {
            Self::give(conn);
        }
    }

    /// These ended while nobody used them.
    pub(super) fn lost(&self, dead: Vec<h1::Idle>) {
        for idle in &dead {
            self.keeper.closed_by_peer(idle.since.elapsed());
        }
    }

    /// Puts a new HTTP/2 connection where calls find it.
    pub(super) fn add_two(self: &Arc<Self>, conn: &Arc<h2::Conn>) {
        if conn.list() {
            self.shards[conn.link.core]
                .ready
                .lock()
                .two
                .push(conn.clone());
        }
        self.serve_from(conn);
        if self.is_closed() && conn.in_use() == 0 {
            self.forget_two(conn);
        }
    }

    /// A stream of `conn` has ended.
    pub(super) fn stream_ended(self: &Arc<Self>, conn: &Arc<h2::Conn>) {
        if self.line.is_anyone() {
            self.serve_from(conn);
        }
        if self.is_closed() && conn.in_use() == 0 {
            self.forget_two(conn);
        }
    }

    /// Hands streams of `conn` to those who wait.
    fn serve_from(self: &Arc<Self>, conn: &Arc<h2::Conn>) {
        while self.line.is_anyone() {
            let Some(lease) = conn.reserve(self) else {
                return;
            };
            if let Some(Lease::Two(unwanted)) = self.hand_over(Lease::Two(lease)) {
                // Not by dropping it, which would come back here.
                return unwanted.return_unused();
            }
        }
    }

    /// The peer has said how many streams it allows on `conn`.
    pub(super) fn streams_allowed(self: &Arc<Self>, conn: &Arc<h2::Conn>, allowed: usize) {
        let most = self.options.max_streams_per_connection.max(1);
        let capacity = allowed.min(most);
        self.carries.store(capacity.max(1), Ordering::Relaxed);
        conn.settle(capacity);
        self.promise_over(conn);
        self.add_two(conn);
        self.pump();
        self.keeper.look();
    }

    /// `conn` is no longer relied on to carry more than it does.
    pub(super) fn promise_over(self: &Arc<Self>, conn: &Arc<h2::Conn>) {
        if conn.end_promise() {
            self.line.settling(false);
        }
    }

    /// The peer takes no more streams on `conn`: what runs on it may finish.
    pub(super) fn going_away(self: &Arc<Self>, conn: &Arc<h2::Conn>, calm: bool) {
        if calm {
            self.calm.store(true, Ordering::Relaxed);
        }
        self.forget_two(conn);
        self.pump();
        self.mind_spares();
    }

    /// Takes `conn` out of its shard; whether it was there.
    pub(super) fn forget_two(&self, conn: &Arc<h2::Conn>) -> bool {
        let mut ready = self.shards[conn.link.core].ready.lock();
        let before = ready.two.len();
        ready.two.retain(|other| other.link.id != conn.link.id);
        let was_there = ready.two.len() < before;
        drop(ready);
        conn.retire();
        was_there
    }

    /// The driver of an HTTP/2 connection has ended.
    pub(super) fn gone_two(self: &Arc<Self>, conn: &Arc<h2::Conn>) {
        let idle = conn.idle_since();
        if self.forget_two(conn)
            && let Some(since) = idle
        {
            self.keeper.closed_by_peer(since.elapsed());
        }
        self.promise_over(conn);
        self.gone();
    }

    /// A connection is closed.
    pub(super) fn gone(self: &Arc<Self>) {
        self.line.closed();
        self.pump();
        self.mind_spares();
    }

    /// Runs `look` on every shard in turn, one lock at a time.
    pub(super) fn each_shard(&self, mut look: impl FnMut(&mut Ready)) {
        for shard in &self.shards {
            let mut ready = shard.ready.lock();
            look(&mut ready);
            shard.idle.store(ready.one.len(), Ordering::Relaxed);
        }
    }

    /// Counts the connections.
    pub(super) fn count(&self) -> Gauges {
        let open = self.line.open();
        let mut gauges = Gauges {
            open,
            ..Gauges::default()
        };
        let (mut two, mut idle_one) = (0, 0);
        self.each_shard(|ready| {
            idle_one += ready.one.len();
            gauges.warm += ready
                .one
                .iter()
                .filter(|idle| idle.conn.link.is_unused())
                .count();
            two += ready.two.len();
            for conn in &ready.two {
                gauges.streams += conn.in_use();
                gauges.idle += usize::from(conn.in_use() == 0);
                gauges.warm += usize::from(conn.link.is_unused());
            }
        });
        gauges.idle += idle_one;
        // Every HTTP/1.1 connection that is not idle carries a request.
        gauges.streams += open.saturating_sub(two + idle_one);
        gauges
    }

    /// Tells the keeper if there are too few spares.
    #[cold]
    fn mind_spares(&self) {
        let idle = |shard: &Shard| shard.idle.load(Ordering::Relaxed);
        if self.shards.iter().map(idle).sum::<usize>() < self.options.warm {
            self.keeper.ring();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes what is idle; what is lent finishes and is not kept.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let mut idle = Vec::new();
        self.each_shard(|ready| {
            idle.append(&mut ready.one);
            ready.two.drain(..).for_each(|conn| conn.retire());
        });
        drop(idle);
        self.keeper.stop();
    }
}
