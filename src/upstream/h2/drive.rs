//! The task that reads and writes one HTTP/2 connection.
//!
//! Besides moving frames it publishes how many streams the peer allows, sees
//! GOAWAY, and asks a silent peer for a sign of life. A peer that gives none
//! loses this connection and no other.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use super::Conn;
use crate::upstream::dial::PATIENCE;
use crate::upstream::pool::Pool;
use crate::upstream::wire::Wire;

/// What one stream may send ahead of its reader. A megabyte a second at half a
/// second of round trip, and all that a reader who has gone to sleep can cost.
const STREAM_WINDOW: u32 = 512 * 1024;

/// Below this the `h2` crate takes a slow reader of small frames for an
/// attack: it allows bookkeeping of half the connection's window.
const LEAST_CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Providers keep a connection that is pinged this often, and so do the
/// middleboxes on the way (30 s is the shortest common NAT limit).
const PING_EVERY: Duration = Duration::from_secs(20);

/// A peer that is alive answers within a round trip; this is twenty bad ones.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// How many streams may be opened before the peer has said how many; no more
/// than the one that cannot wait. It also tells that SETTINGS have come, by
/// changing.
const BEFORE_SETTINGS: usize = 1;

/// Sends the preface and SETTINGS. `streams` is how many will be used at most.
pub(in crate::upstream) async fn handshake(
    wire: Wire,
    streams: usize,
) -> Result<(SendRequest<Bytes>, Connection<Wire, Bytes>), h2::Error> {
    // One stream that is not read must not take the others' window.
    let streams = u32::try_from(streams).unwrap_or(u32::MAX);
    let window = STREAM_WINDOW
        .saturating_mul(streams)
        .clamp(LEAST_CONNECTION_WINDOW, (1 << 31) - 1);
    Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(window)
        .initial_max_send_streams(BEFORE_SETTINGS)
        .max_header_list_size(64 * 1024)
        .max_send_buffer_size(64 * 1024)
        .enable_push(false)
        .handshake(wire)
        .await
}

/// Moves frames until the connection ends, then tells the pool.
pub(in crate::upstream) async fn drive(
    mut connection: Connection<Wire, Bytes>,
    conn: Arc<Conn>,
    pool: Arc<Pool>,
) {
    let mut pulse = connection.ping_pong().map(Pulse::new);
    let mut allowed = BEFORE_SETTINGS;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(ended.map_err(|error| error.to_string()));
            }
            let beat = match &mut pulse {
                Some(pulse) => pulse.poll(cx),
                None => Beat::Quiet,
            };
            let now_allowed = connection.max_concurrent_send_streams();
            if now_allowed != allowed || (beat == Beat::Alive && !conn.is_settled()) {
                allowed = now_allowed;
                pool.streams_allowed(&conn, allowed);
            }
            if conn.capacity() > 0 && conn.poll_refused(cx) {
                pool.going_away(&conn);
            }
            match beat {
                Beat::Quiet | Beat::Alive => return Poll::Pending,
                // What was asked is on its way once the connection is polled.
                Beat::Asked => {}
                Beat::Late => {
                    pool.promise_over(&conn);
                    pool.pump();
                }
                Beat::Dead => return Poll::Ready(Err("no answer to a PING".to_owned())),
            }
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(upstream = %pool.origin(), error, "an HTTP/2 connection ended");
    }
    // Its streams fail with this, each for itself.
    drop(connection);
    pool.gone_two(&conn);
}

/// Asks for a sign of life, first at once: its answer proves that the peer's
/// SETTINGS have come, whatever they say.
struct Pulse {
    pings: PingPong,
    waiting: bool,
    /// The peer has given its first sign of life, or is known to be slow.
    known: bool,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beat {
    Quiet,
    Asked,
    /// The first sign of life is not to be counted on.
    Late,
    Alive,
    Dead,
}

impl Pulse {
    fn new(mut pings: PingPong) -> Self {
        let waiting = pings.send_ping(Ping::opaque()).is_ok();
        Self {
            pings,
            waiting,
            known: false,
            timer: Box::pin(sleep(PATIENCE)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Beat {
        if self.waiting && self.pings.poll_pong(cx).is_ready() {
            self.waiting = false;
            self.known = true;
            self.timer.as_mut().reset(Instant::now() + PING_EVERY);
            // Registers the timer with this task.
            let _not_yet = self.timer.as_mut().poll(cx);
            return Beat::Alive;
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Beat::Quiet;
        }
        if !self.known {
            self.known = true;
            self.timer.as_mut().reset(Instant::now() + PONG_WITHIN);
            return Beat::Late;
        }
        if self.waiting || self.pings.send_ping(Ping::opaque()).is_err() {
            return Beat::Dead;
        }
        self.waiting = true;
        self.timer.as_mut().reset(Instant::now() + PONG_WITHIN);
        Beat::Asked
    }
}
