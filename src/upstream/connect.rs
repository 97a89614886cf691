//! Opens one byte stream to an origin: look-up, TCP, tunnel, TLS, each timed.
//!
//! Bounded in time by whoever calls it. Knows nothing of the pool.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::dns::{self, Name};
use super::fault::{Fault, FaultKind};
use super::origin::{Origin, Proxy};
use super::timing::{Phases, Protocol};
use super::tls::{self, Trust};
use super::wire::{Plain, Wire};
use super::{Http, Transport};

/// How to reach one origin.
pub(super) struct Route {
    pub(super) origin: Origin,
    pub(super) transport: Transport,
    pub(super) proxy: Option<Proxy>,
    pub(super) trust: Arc<Trust>,
    pub(super) http: Http,
    /// What is looked up: the origin's name, or the proxy's.
    pub(super) name: Arc<Name>,
    pub(super) metrics: crate::metrics::Pool,
}

/// A byte stream that is ready for HTTP.
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) protocol: Protocol,
    pub(super) phases: Phases,
}

impl Route {
    pub(super) async fn open(&self) -> Result<Opened, Fault> {
        let mut phases = Phases::default();
        let mut io = match &self.transport {
            Transport::Tcp => Plain::Tcp(self.tcp(&mut phases).await?),
            Transport::Memory(dialer) => {
                Plain::Memory(dialer.open().map_err(|error| self.refused(error))?)
            }
        };
        if !self.origin.https {
            let protocol = match self.http {
                Http::Two => Protocol::Two,
                Http::Auto | Http::One => Protocol::One,
            };
            return Ok(Opened {
                wire: Wire::Plain(io),
                protocol,
                phases,
            });
        }
        if let Some(proxy) = &self.proxy {
            let started = Instant::now();
            super::proxy::tunnel(&mut io, proxy, &self.origin).await?;
            phases.connect = Some(phases.connect.unwrap_or_default() + started.elapsed());
        }
        let config = self.trust.config(self.http).await?;
        let started = Instant::now();
        let (wire, protocol) = tls::handshake(config, &self.origin, self.http, io).await?;
        let took = started.elapsed();
        self.metrics.tls.observe(took.as_secs_f64());
        phases.tls = Some(took);
        Ok(Opened {
            wire,
            protocol,
            phases,
        })
    }

    async fn tcp(&self, phases: &mut Phases) -> Result<TcpStream, Fault> {
        let started = Instant::now();
        let addresses = self.name.addresses().await?;
        let resolved = Instant::now();
        let stream = match dns::connect(&addresses).await {
            Ok(stream) => stream,
            Err(error) => {
                self.name.doubt();
                return Err(self.refused(error));
            }
        };
        let (looked_up, connected) = (resolved - started, resolved.elapsed());
        self.metrics.dns.observe(looked_up.as_secs_f64());
        self.metrics.connect.observe(connected.as_secs_f64());
        // A cached answer takes a microsecond: not a phase that happened.
        phases.dns = (looked_up > Duration::from_micros(100)).then_some(looked_up);
        phases.connect = Some(connected);
        tune(&stream).map_err(|error| self.refused(error))?;
        Ok(stream)
    }

    fn refused(&self, error: io::Error) -> Fault {
        let kind = match error.kind().to_string() {
            // The kernel's own words say more: "too many open files", say.
            vague if vague == "uncategorized error" || vague == "other error" => error.to_string(),
            kind => kind,
        };
        let what = match &self.proxy {
            Some(Proxy { host, port, .. }) if self.origin.https => {
                format!(
                    "connecting to {} through the proxy {host}:{port}: {kind}",
                    self.origin
                )
            }
            _ => format!("connecting to {}: {kind}", self.origin),
        };
        Fault::new(FaultKind::Connect, what).because(error)
    }
}

/// What makes small writes leave at once and dead peers show.
fn tune(stream: &TcpStream) -> io::Result<()> {
    // Nagle's algorithm against a delayed ACK is a 40 ms stall per small write.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    // Unacknowledged data for longer than this is a dead path; the kernel's
    // own limit is a quarter of an hour.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    Ok(())
}
