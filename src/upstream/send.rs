//! Sends a request until it is answered or may not be sent again.
//!
//! The rule is in [`Upstream::send`](super::Upstream::send); what a connection
//! makes of a failure, it says in a [`Failed`].

use std::sync::Arc;

use tokio::time::Instant;

use super::Limits;
use super::fault::{Fault, FaultKind};
use super::message::{Request, Response};
use super::pool::{Lease, Pool};
use super::timing::Timing;

/// How often a request that the peer did not act on is sent again.
const MAX_UNSENT: u32 = 3;

pub(super) async fn send(
    pool: &Arc<Pool>,
    request: Request,
    timing: &mut Timing,
    limits: Limits,
) -> Result<Response, Fault> {
    let Some(names) = &pool.names else {
        let what = format!("{:?} is not a host name", pool.origin().host);
        return Err(Fault::new(FaultKind::Resolve, what));
    };
    let mut slot = Some(request);
    let (mut unsent, mut fresh) = (0, false);
    loop {
        let ready = if fresh { None } else { pool.take() };
        let was_ready = ready.is_some();
        let lease = match ready {
            Some(lease) => lease,
            // Boxed, or every call would carry the size of the rare wait.
            None => Box::pin(pool.wait(fresh, limits, timing)).await?,
        };
        let link = lease.link();
        let reused = !link.begin() || was_ready;
        timing.reused = reused;
        timing.sends += 1;
        timing.protocol = Some(link.protocol);
        timing.sent_at = Some(Instant::now());
        let answer = match lease {
            Lease::One(lease) => lease.send(&mut slot, names).await,
            Lease::Two(lease) => Box::pin(lease.send(&mut slot, names, reused)).await,
        };
        let failed = match answer {
            Ok(response) => {
                timing.head_at = Some(Instant::now());
                return Ok(response);
            }
            Err(failed) => failed,
        };
        match failed.again {
            Again::Anywhere if unsent < MAX_UNSENT => {
                unsent += 1;
                // Twice bad luck with what was there: no third time.
                fresh |= unsent > 1;
            }
            Again::Elsewhere if reused && !fresh => fresh = true,
            _ => return Err(failed.fault),
        }
        if slot.is_none() {
            return Err(failed.fault);
        }
        tracing::debug!(upstream = %pool.origin(), error = ?failed.fault, "sending again");
        pool.metrics.resends.inc();
    }
}

/// A request that got no answer.
pub(super) struct Failed {
    fault: Fault,
    again: Again,
}

/// Whether it may be sent again, as far as its connection can tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The peer may be acting on it, or never will.
    No,
    /// The peer certainly has not acted on it.
    Anywhere,
    /// Nothing of an answer was heard: once, on a new connection, if this one
    /// had been open before.
    Elsewhere,
}

impl Fault {
    /// What befell one request on its connection.
    pub(super) fn again(self, again: Again) -> Failed {
        Failed { fault: self, again }
    }
}
