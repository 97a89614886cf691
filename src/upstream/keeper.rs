//! Keeps connections ready before anybody asks: opens spares, replaces those
//! that grow old or are closed by the peer, closes what nobody needs, and has
//! names resolved ahead of need.
//!
//! One task per upstream. The plain path knows it only by [`Keeper::ring`],
//! when spares run out. What to do is a pure function, [`plan`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use super::dns;
use super::pool::Pool;
use crate::metrics::HandshakeReason;

/// The first and the longest pause after a dial has failed.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A spare that the peer closes sooner than this was not welcome.
const UNWELCOME: Duration = Duration::from_secs(1);

/// How often the keeper looks when there is nothing to wait for.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);

/// The keeper of one pool, as others see it.
pub(super) struct Keeper {
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
    /// The next ring is to be heard.
    armed: AtomicBool,
    started: AtomicBool,
    /// Whether the spares are up, or one could not be opened.
    ready: watch::Sender<bool>,
    /// Where the next spare is opened: each core in turn.
    turn: AtomicUsize,
    /// Locked on the cold path, for a field or two.
    notes: Mutex<Notes>,
}

/// Wakes the keeper: also what an idle connection is watched with.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// What experience has taught.
#[derive(Default)]
struct Notes {
    /// Dials failed, or spares closed at once, in a row.
    failures: u32,
    /// Nothing is opened before this.
    not_before: Option<Instant>,
    /// When the peer last closed an idle connection, and how long it had been
    /// idle.
    last_close: Option<(Instant, Duration)>,
    /// How long the peer lets a connection idle.
    peer_limit: Option<Duration>,
}

impl Keeper {
    pub(super) fn new(warm: usize) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            waker: Waker::from(bell.clone()),
            bell,
            armed: AtomicBool::new(false),
            started: AtomicBool::new(false),
            ready: watch::Sender::new(warm == 0),
            turn: AtomicUsize::new(0),
            notes: Mutex::default(),
        }
    }

    /// Starts the task that keeps `pool`, once.
    pub(super) fn start(pool: &Arc<Pool>) {
        if pool.keeper.started.swap(true, Ordering::Relaxed) {
            return;
        }
        let kept = pool.clone();
        pool.cores.spawn(pool.cores.here(), async move {
            let bell = kept.keeper.bell.clone();
            while !kept.is_closed() {
                // Not stopped half way by a budget: each idle connection is
                // looked at, or its end would go unseen.
                let pause = unconstrained(async { round(&kept) }).await;
                tokio::select! {
                    () = bell.0.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        });
    }

    /// There are too few spares.
    pub(super) fn ring(&self) {
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::AcqRel) {
            self.bell.0.notify_one();
        }
    }

    /// What an idle connection is watched with: the keeper looks when it wakes.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Something has changed that is worth a look.
    pub(super) fn look(&self) {
        self.bell.0.notify_one();
    }

    /// The upstream is gone.
    pub(super) fn stop(&self) {
        self.ready.send_replace(true);
        self.bell.0.notify_one();
    }

    /// Returns when the spares are up, or one could not be opened.
    pub(super) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives as long as `self`.
        let _up = ready.wait_for(|ready| *ready).await;
    }

    pub(super) fn dial_succeeded(&self) {
        let mut notes = self.notes.lock();
        if notes.last_close.is_none_or(|(_, idle)| idle >= UNWELCOME) {
            notes.failures = 0;
            notes.not_before = None;
        }
        drop(notes);
        self.look();
    }

    pub(super) fn dial_failed(&self) {
        self.notes.lock().back_off();
        self.ready.send_replace(true);
        self.look();
    }

    /// The peer has closed a connection that had been idle for `idle`.
    pub(super) fn closed_by_peer(&self, idle: Duration) {
        self.notes.lock().peer_closed(idle, Instant::now());
    }
}

impl Notes {
    fn back_off(&mut self) {
        let (first, longest) = BACK_OFF;
        let pause = (first * 2_u32.saturating_pow(self.failures.min(16))).min(longest);
        // Between half and all of it, so that many gateways do not knock at
        // the same moment.
        let pause = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.failures += 1;
        self.not_before = Some(Instant::now() + pause);
    }

    /// One close may have any reason. Two after about the same time, and not
    /// both at once, are a limit.
    fn peer_closed(&mut self, idle: Duration, now: Instant) {
        if idle < UNWELCOME {
            self.back_off();
        } else if let Some((at, before)) = self.last_close
            && idle.abs_diff(before) * 5 <= before
            && now - at >= idle / 2
        {
            self.peer_limit = Some(idle.min(before));
        }
        if self.last_close.is_none_or(|(at, _)| now - at >= idle / 2) {
            self.last_close = Some((now, idle));
        }
    }
}

/// One connection, as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    id: u64,
    /// For how long nothing has been on it; `None` while something is.
    idle: Option<Duration>,
    /// A call could use it now.
    ready: bool,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Connections to open because some are missing.
    open: usize,
    /// Connections to open because others grow old.
    refresh: usize,
    /// Connections to close, by id.
    close: Vec<u64>,
    /// When to look again, from now, if nothing else happens.
    again: Option<Duration>,
}

/// Keeps `warm` connections ready that have been idle for less than `limit`.
/// Old ones go when there are enough young ones. `coming` are being opened.
fn plan(seen: &[Seen], coming: usize, warm: usize, limit: Duration) -> Plan {
    let is_old = |seen: &Seen| seen.idle.is_some_and(|idle| idle >= limit);
    let young = seen
        .iter()
        .filter(|seen| seen.ready && !is_old(seen))
        .count();
    let mut old: Vec<&Seen> = seen.iter().filter(|seen| is_old(seen)).collect();
    old.sort_by_key(|seen| std::cmp::Reverse(seen.idle));
    let lacking = warm.saturating_sub(young);
    let wanted = lacking.saturating_sub(coming);
    let refresh = wanted.min(old.len());
    let close = old.len().saturating_sub(lacking);
    // What is put back later than now is not old before `limit` from now.
    let oldest_young = seen
        .iter()
        .filter(|seen| !is_old(seen))
        .filter_map(|seen| seen.idle)
        .max();
    Plan {
        open: wanted - refresh,
        refresh,
        close: old.iter().take(close).map(|seen| seen.id).collect(),
        again: (!seen.is_empty()).then(|| limit - oldest_young.unwrap_or_default()),
    }
}

/// Looks once, does what is to be done, and says how long to pause.
fn round(pool: &Arc<Pool>) -> Duration {
    let keeper = &pool.keeper;
    let warm = pool.options.warm;
    // Before the look, so that what changes after it is heard.
    keeper.armed.store(true, Ordering::Release);
    let seen = look(pool);
    let (coming, settling) = pool.line.on_its_way();
    let limit = keeper.limit(pool.options.idle_timeout);
    let plan = plan(&seen, coming + settling, warm, limit);
    close(pool, &plan.close);
    if seen.iter().filter(|seen| seen.ready).count() >= warm {
        keeper
            .ready
            .send_if_modified(|ready| !std::mem::replace(ready, true));
    }
    let mut pause = plan.again.unwrap_or(NOTHING_TO_DO);
    if warm > 0 {
        let age = dns::FRESH * 3 / 4;
        pool.route.name.refresh_if_older(age);
        pause = pause.min(age);
    }
    let missing = plan.open + plan.refresh;
    if missing == 0 {
        return pause;
    }
    let (not_before, failures) = {
        let notes = keeper.notes.lock();
        (notes.not_before, notes.failures)
    };
    if let Some(left) = not_before.map(|at| at.saturating_duration_since(Instant::now()))
        && !left.is_zero()
    {
        // A host that is down is not asked again by everybody who finds no
        // spare.
        keeper.armed.store(false, Ordering::Release);
        return pause.min(left);
    }
    // After a failure one tries for all.
    let now = if failures > 0 { 1 } else { missing };
    for spare in 0..now {
        if !pool.line.book_spare(pool.options.max_connections) {
            break;
        }
        let core = keeper.turn.fetch_add(1, Ordering::Relaxed) % pool.cores.count();
        let reason = match spare < plan.refresh {
            true => HandshakeReason::Refresh,
            false => HandshakeReason::Warm,
        };
        pool.dial_on(core, reason);
    }
    pause
}

impl Keeper {
    /// How old a spare may become: short of the configured limit, and well
    /// short of what the peer has been seen to allow.
    fn limit(&self, idle_timeout: Duration) -> Duration {
        let ours = idle_timeout.mul_f64(0.9);
        match self.notes.lock().peer_limit {
            Some(theirs) => ours.min(theirs.mul_f64(0.8)),
            None => ours,
        }
    }
}

fn look(pool: &Pool) -> Vec<Seen> {
    let now = Instant::now();
    let mut seen = Vec::new();
    let mut dead = Vec::new();
    pool.each_shard(|ready| {
        let waker = pool.keeper.waker();
        dead.extend(ready.one.extract_if(.., |idle| !idle.conn.is_quiet(waker)));
        seen.extend(ready.one.iter().map(|idle| Seen {
            id: idle.conn.link.id,
            idle: Some(now.saturating_duration_since(idle.since)),
            ready: true,
        }));
        seen.extend(ready.two.iter().map(|conn| {
            Seen {
                id: conn.link.id,
                idle: conn
                    .idle_since()
                    .map(|since| now.saturating_duration_since(since)),
                ready: conn.is_settled() && conn.in_use() < conn.capacity(),
            }
        }));
    });
    pool.lost(dead);
    seen
}

/// Closes what is still idle of `ids`.
fn close(pool: &Pool, ids: &[u64]) {
    if ids.is_empty() {
        return;
    }
    let mut closing = (Vec::new(), Vec::new());
    pool.each_shard(|ready| {
        closing.0.extend(
            ready
                .one
                .extract_if(.., |idle| ids.contains(&idle.conn.link.id)),
        );
        let old = ready.two.extract_if(.., |conn| ids.contains(&conn.link.id));
        closing.1.extend(old);
    });
    // A call may have got a stream since the look; it finishes.
    closing.1.iter().for_each(|conn| conn.retire());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(90);

    fn idle(id: u64, seconds: u64) -> Seen {
        Seen {
            id,
            idle: Some(Duration::from_secs(seconds)),
            ready: true,
        }
    }

    #[test]
    fn spares_are_kept_young_and_few() {
        let busy = Seen {
            id: 9,
            idle: None,
            ready: true,
        };
        let full = Seen {
            id: 8,
            idle: None,
            ready: false,
        };
        type Expected = (usize, usize, &'static [u64], Option<u64>);
        // seen, coming, warm, (open, refresh, close, again in seconds)
        let rows: [(&[Seen], usize, usize, Expected); 10] = [
            (&[], 0, 2, (2, 0, &[], None)),
            (&[], 2, 2, (0, 0, &[], None)),
            (&[idle(1, 0)], 0, 2, (1, 0, &[], Some(90))),
            (&[idle(1, 0), idle(2, 30)], 0, 2, (0, 0, &[], Some(60))),
            // Old ones are replaced before they are closed.
            (&[idle(1, 95), idle(2, 0)], 0, 2, (0, 1, &[], Some(90))),
            (&[idle(1, 95), idle(2, 0)], 1, 2, (0, 0, &[], Some(90))),
            (
                &[idle(1, 95), idle(2, 0), idle(3, 0)],
                0,
                2,
                (0, 0, &[1], Some(90)),
            ),
            // What nobody needs goes, oldest first.
            (&[idle(1, 91), idle(2, 99)], 0, 1, (0, 1, &[2], Some(90))),
            (&[idle(1, 91), idle(2, 99)], 0, 0, (0, 0, &[2, 1], Some(90))),
            // HTTP/2: one with room is ready, a full one is not.
            (&[busy, full], 0, 2, (1, 0, &[], Some(90))),
        ];
        for (seen, coming, warm, (open, refresh, close, again)) in rows {
            let expected = Plan {
                open,
                refresh,
                close: close.to_vec(),
                again: again.map(Duration::from_secs),
            };
            assert_eq!(plan(seen, coming, warm, LIMIT), expected, "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_takes_two_closes_apart() {
        let mut notes = Notes::default();
        let sixty = Duration::from_secs(60);
        let now = Instant::now();
        // A restart closes two at once: no limit.
        notes.peer_closed(sixty, now);
        notes.peer_closed(sixty, now);
        assert_eq!(notes.peer_limit, None);
        notes.peer_closed(sixty + Duration::from_secs(1), now + sixty);
        assert_eq!(notes.peer_limit, Some(sixty));
        assert_eq!(notes.not_before, None);
        // Closed at once: back off.
        notes.peer_closed(Duration::from_millis(1), now + sixty * 3);
        assert!(notes.not_before.is_some());
    }
}
