//! The simulated provider: speaks the OpenAI and the Anthropic dialect over
//! HTTP/1.1 and HTTP/2, says the same thing for the same seed, and fails on
//! request.
//!
//! It is what the first run, the tests and the benchmarks stand on, so it is
//! honest (ids, usage, event order, error bodies and headers are the
//! providers') and cheap (a token is one copy from a rendered template and one
//! write). It stands alone: nothing here knows the gateway.
//!
//! Per request, by header: `x-sim-ttft: 200ms`, `x-sim-gap: 5ms`,
//! `x-sim-tokens: 64`, `x-sim-burst: 8`, `x-sim-early-head: 1` and
//! `x-sim-fault: KIND[@N]` ([`FAULTS`] lists them). Models named `echo`
//! repeat the prompt. `GET /sim/stats` counts, `POST /sim/reset` forgets.

mod serve;

mod route;

mod orders;

mod answer;
mod ask;
mod playback;
mod script;

mod embed;
mod raw;

mod head;
mod refusal;
mod reply;

mod fault;
mod settings;
mod spread;
mod stats;
mod tally;

mod line;

mod dice;
mod json;
mod plausible;
mod text;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tracing::debug;

pub use self::dice::Dice;
use self::dice::mix;
pub use self::fault::{BadFault, Chance, FAULTS, Fault};
use self::line::{Line, Switch};
pub use self::settings::Settings;
pub use self::spread::{BadSpread, Length, Pace};
pub use self::stats::Stats;

/// A simulated provider. One serves any number of connections.
#[derive(Debug)]
pub struct Sim {
    settings: Settings,
    stats: Stats,
    /// Calls and connections so far: what latencies, faults and ids go by.
    visits: AtomicU64,
}

impl Sim {
    /// A provider that behaves as `settings` say.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            stats: Stats::default(),
            visits: AtomicU64::new(0),
        })
    }

    /// What it has received so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Serves one connection until either side ends it: HTTP/2 where the client
    /// opens with its preface, else HTTP/1.1.
    ///
    /// What goes wrong on a connection is the client's to see, so there is no
    /// result.
    pub fn serve<IO>(self: Arc<Self>, io: IO) -> impl Future<Output = ()> + Send + 'static
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // An in-memory pipe knows no reset: its end is all the peer sees.
        self.drive(io, |_| {}, None)
    }

    async fn drive<IO>(
        self: Arc<Self>,
        io: IO,
        abort: fn(&IO),
        mut stop: Option<watch::Receiver<bool>>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let number = self.stats.connections.fetch_add(1, Relaxed);
        let _open = Gauge::up(&self);
        let switch = Arc::new(Switch::default());
        // Another sequence than that of the calls, so that neither disturbs the other.
        let mut dice = Dice::new(mix(!self.settings.seed, number));
        if orders::hangs_up(&self.settings, &mut dice) {
            self.stats.faults.fetch_add(1, Relaxed);
            return abort(&io);
        }
        let line = TokioIo::new(Line::new(io, switch.clone(), abort));
        let service = {
            let (sim, switch) = (self.clone(), switch.clone());
            service_fn(move |request| serve::serve(sim.clone(), switch.clone(), request))
        };
        let server = self.server();
        let mut connection = std::pin::pin!(server.serve_connection(line, service));
        loop {
            tokio::select! {
                // The connection first: the other two are rare, and a fair coin costs.
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        debug!(%error, "a simulated connection ended");
                    }
                    return;
                }
                () = switch.changed() => {
                    if switch.is_dropped() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                () = stopped(&mut stop) => {
                    stop = None;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

impl Sim {
    /// How connections are served.
    fn server(&self) -> auto::Builder<TokioExecutor> {
        let mut server = auto::Builder::new(TokioExecutor::new());
        server
            .http2()
            .max_concurrent_streams(self.settings.max_streams)
            // A gateway that cancels many streams is being tested, not attacking.
            .max_pending_accept_reset_streams(10_000)
            .max_local_error_reset_streams(None);
        server
    }
}

/// Resolves when the listener stops; never for a connection without one.
async fn stopped(stop: &mut Option<watch::Receiver<bool>>) {
    match stop {
        // A sender that is gone has stopped too.
        Some(stop) => drop(stop.wait_for(|stopped| *stopped).await),
        None => std::future::pending().await,
    }
}

/// Counts an open connection for as long as it lives.
struct Gauge(Arc<Sim>);

impl Gauge {
    fn up(sim: &Arc<Sim>) -> Self {
        sim.stats.connections_open.fetch_add(1, Relaxed);
        Self(sim.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.stats.connections_open.fetch_sub(1, Relaxed);
    }
}

/// Serves every connection of `listener` until `shutdown` resolves, then gives
/// what is open up to `5 s` to finish.
pub async fn listen(listener: TcpListener, sim: Arc<Sim>, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // Without it the second small write of a stream waits 40 ms for an ACK.
                    if let Err(error) = socket.set_nodelay(true) {
                        debug!(%error, "setting TCP_NODELAY failed");
                    }
                    connections.spawn(sim.clone().drive(socket, reset, Some(stopped.clone())));
                }
                // Out of file descriptors, most likely: let some close first.
                Err(error) => {
                    debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            // Finished connections are reaped as they end, so the set holds only open ones.
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    stop.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(5), finished).await;
}

/// Makes the close that follows a TCP reset.
fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        debug!(%error, "setting SO_LINGER failed");
    }
}

#[cfg(test)]
mod tests;
