//! Opens connections for the pool, each in a task of its own: a call that
//! stops waiting does not stop its dial, whose connection becomes a spare.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::fault::{Fault, FaultKind};
use super::h1;
use super::h2::{self, drive};
use super::keeper::Keeper;
use super::link::Link;
use super::pool::Pool;
use super::timing::Protocol;
use crate::metrics::HandshakeReason;

/// How long a dial is relied on before the next one is begun beside it. Five
/// bad round trips; a stalled handshake costs those who wait no more.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A connection whose handshake is done.
enum Made {
    One(Box<h1::Conn>),
    Two(Arc<h2::Conn>),
}

/// A dial that the line has booked. Ends the booking when dropped.
struct Booking {
    pool: Arc<Pool>,
    overdue: bool,
}

impl Drop for Booking {
    fn drop(&mut self) {
        self.pool.line.dialled(self.overdue);
    }
}

impl Pool {
    /// Opens a connection on the calling core. Has to have been booked.
    pub(super) fn dial(self: &Arc<Self>, reason: HandshakeReason) {
        self.dial_on(self.cores.here(), reason);
    }

    /// Opens a connection on `core`. Has to have been booked.
    pub(super) fn dial_on(self: &Arc<Self>, core: usize, reason: HandshakeReason) {
        let booking = Booking {
            pool: self.clone(),
            overdue: false,
        };
        Keeper::start(self);
        self.cores.spawn(core, async move {
            let _outcome = run(booking, core, reason).await;
        });
    }
}

/// Dials, and tells the pool what came of it.
async fn run(mut booking: Booking, core: usize, reason: HandshakeReason) -> Result<(), ()> {
    let pool = booking.pool.clone();
    let made = {
        let within = pool.options.connect_timeout;
        let shaking = timeout(within, shake(&pool, core));
        tokio::pin!(shaking);
        tokio::select! {
            made = &mut shaking => made,
            () = sleep(PATIENCE) => {
                booking.overdue = true;
                pool.line.overdue();
                pool.pump();
                shaking.await
            }
        }
    };
    let fault = match made {
        Ok(Ok(made)) => {
            pool.metrics.handshakes[reason as usize].inc();
            arrived(booking, made, reason);
            return Ok(());
        }
        Ok(Err(fault)) => fault,
        Err(_elapsed) => Fault::new(
            FaultKind::ConnectTimeout,
            format!(
                "connecting to {} took longer than {:?}",
                pool.origin(),
                pool.options.connect_timeout
            ),
        ),
    };
    drop(booking);
    pool.metrics.handshake_failures.inc();
    tracing::debug!(upstream = %pool.origin(), error = ?fault, "a connection could not be opened");
    pool.keeper.dial_failed();
    pool.line
        .disappoint(&fault, pool.yields(), pool.options.max_connections);
    pool.pump();
    Err(())
}

/// Everything up to a connection that requests can be sent on.
async fn shake(pool: &Arc<Pool>, core: usize) -> Result<Made, Fault> {
    let opened = pool.route.open().await?;
    let link = Link::new(core, opened.phases, opened.protocol);
    let failed = |error: &dyn std::fmt::Display| {
        let what = format!("setting HTTP up with {}: {error}", pool.origin());
        Fault::new(FaultKind::Connect, what)
    };
    match opened.protocol {
        Protocol::One => Ok(Made::One(h1::Conn::new(opened.wire, link, pool))),
        Protocol::Two => {
            let streams = pool.options.max_streams_per_connection;
            let (handle, connection) = drive::handshake(opened.wire, streams)
                .await
                .map_err(|error| failed(&error))?;
            let conn = h2::Conn::new(link, handle);
            pool.line.opened();
            pool.line.settling(true);
            tokio::spawn(drive::drive(connection, conn.clone(), pool.clone()));
            Ok(Made::Two(conn))
        }
    }
}

/// Brings a new connection into the pool.
fn arrived(booking: Booking, made: Made, reason: HandshakeReason) {
    let pool = booking.pool.clone();
    match made {
        Made::One(conn) => {
            pool.learn(Protocol::One);
            drop(booking);
            pool.add_one(conn);
        }
        Made::Two(conn) => {
            pool.learn(Protocol::Two);
            drop(booking);
            // Somebody who waits takes it as it is. A spare is one when the
            // peer has answered; the driver puts it in its place then.
            if reason == HandshakeReason::Demand {
                pool.add_two(&conn);
            }
        }
    }
    pool.pump();
    pool.keeper.dial_succeeded();
}
