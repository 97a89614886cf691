//! What happens when no connection is ready: the call waits in line, and as
//! many connections are opened as the line needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep_until};

use super::fault::{Fault, FaultKind};
use super::line::{Line, Yield};
use super::pool::{Lease, Pool};
use super::timing::{Protocol, Timing};
use super::{Http, Limits};
use crate::metrics::HandshakeReason;

impl Pool {
    /// Waits for a connection: for one given back on any core, or for a dial.
    /// If `fresh`, only one opened from now on will do.
    pub(super) async fn wait(
        self: &Arc<Self>,
        fresh: bool,
        limits: Limits,
        timing: &mut Timing,
    ) -> Result<Lease, Fault> {
        let since = Instant::now();
        let Some(mut place) = Line::join(self, since, fresh) else {
            let what = format!("too many calls wait for a connection to {}", self.origin());
            return Err(Fault::new(FaultKind::Busy, what));
        };
        // What was given back between the first look and joining the line.
        if !place.fresh
            && let Some(lease) = self.take()
        {
            return Ok(lease);
        }
        self.pump();
        let connected_by = since + limits.connect;
        let mut by = connected_by.min(limits.deadline);
        let lease = loop {
            tokio::select! {
                biased;
                // The line tells everybody it drops.
                served = &mut place.served => match served {
                    Ok(served) => break served?,
                    Err(_) => return Err(self.too_late(FaultKind::ConnectTimeout, limits)),
                },
                () = sleep_until(by) => {
                    if by >= limits.deadline {
                        return Err(self.too_late(FaultKind::Deadline, limits));
                    }
                    if self.line.dialing() > 0 {
                        return Err(self.too_late(FaultKind::ConnectTimeout, limits));
                    }
                    // Every connection is in use, none is being opened.
                    by = limits.deadline;
                }
            }
        };
        let link = lease.link();
        // Not if another call came first and this one waited for its end.
        let first = link.is_unused() || link.protocol == Protocol::Two;
        let handshake = (first && link.born >= since).then_some(link.phases);
        timing.waited(since.elapsed(), handshake);
        if timing.cold {
            self.metrics.cold.inc();
        }
        Ok(lease)
    }

    fn too_late(&self, kind: FaultKind, limits: Limits) -> Fault {
        let origin = self.origin();
        let what = match kind {
            FaultKind::Deadline => {
                format!("waiting for a connection to {origin}: the call's deadline has passed")
            }
            _ => format!(
                "connecting to {origin} took longer than {:?}",
                limits.connect
            ),
        };
        Fault::new(kind, what)
    }

    /// Opens as many connections as the waiting calls need.
    pub(super) fn pump(self: &Arc<Self>) {
        for _ in 0..self.line.book(self.yields(), self.options.max_connections) {
            self.dial(HandshakeReason::Demand);
        }
    }

    /// Opens one more HTTP/2 connection when three quarters of all streams,
    /// those on their way included, are lent.
    #[cold]
    pub(super) fn spread(self: &Arc<Self>) {
        let (mut used, mut room) = (0, 0);
        self.each_shard(|ready| {
            for conn in &ready.two {
                used += conn.in_use();
                room += conn.capacity();
            }
        });
        let (coming, settling) = self.line.on_its_way();
        let each = match self.yields() {
            Yield::Calls(calls) => calls,
            Yield::Unknown => 1,
        };
        room += coming * each + settling * (each - 1);
        if used * 4 >= room * 3 && self.line.book_spare(self.options.max_connections) {
            self.dial(HandshakeReason::Spread);
        }
    }

    /// What a connection can be expected to carry.
    pub(super) fn yields(&self) -> Yield {
        let tls = self.origin().https;
        match (self.carries.load(Ordering::Relaxed), self.route.http) {
            (0, Http::Two) => Yield::Calls(self.guess()),
            (0, Http::Auto) if tls => Yield::Unknown,
            (0, _) => Yield::Calls(1),
            (calls, _) => Yield::Calls(calls),
        }
    }

    /// Remembers what a new connection has turned out to speak.
    pub(super) fn learn(&self, protocol: Protocol) {
        let known = self.carries.load(Ordering::Relaxed);
        match protocol {
            Protocol::One => self.carries.store(1, Ordering::Relaxed),
            Protocol::Two if known == 0 => self.carries.store(self.guess(), Ordering::Relaxed),
            Protocol::Two => {}
        }
    }

    /// About what providers allow on an HTTP/2 connection, until the peer has
    /// said.
    fn guess(&self) -> usize {
        self.options.max_streams_per_connection.clamp(2, 100)
    }
}
