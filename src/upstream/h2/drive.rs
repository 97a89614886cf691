//! The task that reads and writes one HTTP/2 connection.
//!
//! Besides moving frames it publishes how many streams the peer allows, sees
//! GOAWAY, and asks a silent peer for a sign of life. A peer that gives none
//! loses this connection and no other.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

/// What is left of it with a peer that has closed a connection for its pings;
/// the least that any known server objects to.
const PING_CALMLY: Duration = Duration::from_secs(330);

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
    let within = pool.options.connect_timeout;
    let every = match pool.calm.load(Ordering::Relaxed) {
        true => PING_CALMLY,
        false => PING_EVERY,
    };
    let mut pulse = connection
        .ping_pong()
        .map(|pings| Pulse::new(pings, within, every));
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
            if conn.capacity() > 0
                && let Some(error) = conn.poll_refused(cx)
            {
                let calm = error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
                pool.going_away(&conn, calm);
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
    every: Duration,
    state: State,
    timer: Pin<Box<Sleep>>,
}

enum State {
    /// The first sign of life is due; connecting is not over before it.
    Connecting { left: Duration },
    /// All is well until the timer.
    Resting,
    /// The answer is due at the timer.
    Waiting,
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
    fn new(mut pings: PingPong, within: Duration, every: Duration) -> Self {
        // Fails only if another ping is out already.
        let _sent = pings.send_ping(Ping::opaque());
        let patience = PATIENCE.min(within);
        Self {
            pings,
            every,
            state: State::Connecting {
                left: within - patience,
            },
            timer: Box::pin(sleep(patience)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Beat {
        let waiting = !matches!(self.state, State::Resting);
        if waiting && self.pings.poll_pong(cx).is_ready() {
            self.next(State::Resting, self.every);
            // Registers the timer with this task.
            let _not_yet = self.timer.as_mut().poll(cx);
            return Beat::Alive;
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Beat::Quiet;
        }
        match self.state {
            State::Connecting { left } if !left.is_zero() => {
                self.next(
                    State::Connecting {
                        left: Duration::ZERO,
                    },
                    left,
                );
                Beat::Late
            }
            State::Resting if self.pings.send_ping(Ping::opaque()).is_ok() => {
                self.next(State::Waiting, PONG_WITHIN);
                Beat::Asked
            }
            _ => Beat::Dead,
        }
    }

    fn next(&mut self, state: State, within: Duration) {
        self.state = state;
        self.timer.as_mut().reset(Instant::now() + within);
    }
}
