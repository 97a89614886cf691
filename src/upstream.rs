//! One authority with its pool of connections: sends a request, hands back the
//! head of the answer and its body as it comes.
//!
//! The idea: no call waits for a handshake that could have been done before,
//! nor for another call's end as long as another connection may be opened.
//! Knows neither JSON nor dialects; never repeats a request that may have been
//! acted on, but for the one exception of [`Upstream::send`].

pub mod admission;
pub mod balance;
mod body;
mod connect;
mod cores;
mod demand;
mod dial;
mod dns;
mod ewma;
mod fault;
mod h1;
mod h2;
mod head;
pub mod health;
mod incoming;
mod keeper;
pub mod latency;
pub mod limit;
mod line;
mod link;
pub mod memory;
mod message;
mod origin;
mod pause;
mod pool;
mod proxy;
pub mod quota;
mod send;
pub mod standing;
mod tally;
mod timing;
pub mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use body::{Body, Streamed};
pub use cores::Cores;
pub use fault::{Fault, FaultKind};
#[doc(hidden)]
pub use h1::fuzz_answer;
pub use incoming::Incoming;
pub use message::{Request, Response};
pub use origin::{Origin, Proxy};
pub use timing::{Protocol, Timing};

use crate::metrics;
use pool::Pool;

#[cfg(test)]
mod tests;

/// How an upstream is reached.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// Over the network.
    #[default]
    Tcp,
    /// Within the process.
    Memory(memory::Dialer),
}

/// Which versions of HTTP to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http {
    /// Over TLS what ALPN settles on, HTTP/1.1 in the clear.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    One,
    /// HTTP/2 only; in the clear by prior knowledge.
    Two,
}

/// What an upstream's pool does.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections kept ready, over all cores.
    pub warm: usize,
    /// Which versions of HTTP to speak.
    pub http: Http,
    /// Streams used of an HTTP/2 connection, whatever more the peer allows.
    pub max_streams_per_connection: usize,
    /// Connections open at most, over all cores.
    pub max_connections: usize,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long opening a connection may take: look-up, connect, proxy and TLS
    /// together.
    pub connect_timeout: Duration,
    /// Whose certificates are believed.
    pub trust: Arc<tls::Trust>,
    /// What TLS origins are reached through.
    pub proxy: Option<Proxy>,
    /// Network or memory.
    pub transport: Transport,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            warm: 2,
            http: Http::Auto,
            max_streams_per_connection: 90,
            max_connections: 256,
            idle_timeout: Duration::from_secs(90),
            connect_timeout: Duration::from_secs(5),
            trust: tls::Trust::new(tls::Roots::System, None),
            proxy: None,
            transport: Transport::Tcp,
        }
    }
}

/// How long one call may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection to be opened, counted from when the call starts to
    /// wait for one.
    pub connect: Duration,
    /// For a connection at all. How long the answer may take is the caller's
    /// to bound.
    pub deadline: Instant,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Open, lent or not.
    pub open: usize,
    /// Open and not in use.
    pub idle: usize,
    /// Idle and not used by any request yet.
    pub warm: usize,
    /// Requests on connections now.
    pub streams: usize,
}

/// One authority with its pool of connections. Dropping it closes what is
/// idle; answers that are being read come to their end.
pub struct Upstream {
    pool: Arc<Pool>,
}

impl Upstream {
    /// An upstream without connections. Nothing is resolved, read or dialled
    /// before [`Upstream::warm`] or the first request.
    pub fn new(
        origin: Origin,
        options: Options,
        cores: Cores,
        metrics: metrics::Pool,
    ) -> Arc<Self> {
        let proxy = options.proxy.clone().filter(|_| origin.https);
        let name = match &proxy {
            Some(proxy) => dns::Name::new(&proxy.host, proxy.port),
            None => dns::Name::new(&origin.host, origin.port),
        };
        let names = origin.names().ok();
        let route = connect::Route {
            transport: options.transport.clone(),
            proxy,
            trust: options.trust.clone(),
            http: options.http,
            name,
            metrics: metrics.clone(),
            origin,
        };
        Arc::new(Self {
            pool: Pool::new(route, names, options, cores, metrics),
        })
    }

    /// Where it is.
    pub fn origin(&self) -> &Origin {
        self.pool.origin()
    }

    /// Sends `request` and returns the head of its answer, with the body to
    /// follow.
    ///
    /// A connection that is ready is used; otherwise the call waits for the first that is given back or
    /// opened. Dropping the future, or the body before its end, cancels the
    /// call at the peer.
    ///
    /// A request is sent again if the peer certainly did not act on it
    /// (refused, or never written), up to three times; and once, on a new
    /// connection, if the connection had been open before and ended with
    /// nothing of the answer heard. A streamed body is sent again only if
    /// nothing of it was taken.
    ///
    /// # Errors
    /// What went wrong before the head. The wait for the head is not bounded
    /// here.
    pub fn send(
        &self,
        request: Request,
        timing: &mut Timing,
        limits: Limits,
    ) -> impl Future<Output = Result<Response, Fault>> + Send {
        send::send(&self.pool, request, timing, limits)
    }

    /// Starts to keep spares. To be called within a runtime.
    pub fn warm(&self) {
        keeper::Keeper::start(&self.pool);
    }

    /// Returns when the spares are up, or one could not be opened. Needs
    /// [`Upstream::warm`].
    pub async fn ready(&self) {
        self.pool.keeper.ready().await;
    }

    /// Counts the connections, and sets the gauges of the metrics to what was
    /// counted. To be called when metrics are asked for: the plain path does
    /// not keep them up to date.
    pub fn gauges(&self) -> Gauges {
        let gauges = self.pool.count();
        let metrics = &self.pool.metrics;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.open.set(number(gauges.open));
        metrics.idle.set(number(gauges.idle));
        metrics.warm.set(number(gauges.warm));
        metrics.streams.set(number(gauges.streams));
        gauges
    }

    /// Closes what is idle now, and what is lent when it is given back.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.pool.origin())
    }
}
