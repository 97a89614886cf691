//! Every metric nowait has, declared once.
//!
//! Handles are resolved when a thing is made (an upstream, a target) and held
//! by it: recording costs an atomic add, never a label look-up.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Seconds from a tenth of a millisecond to ten seconds: what dns, connect and
/// TLS take.
const PHASE_BUCKETS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Why a connection was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeReason {
    /// A request was waiting for it.
    Demand,
    /// To have a spare.
    Warm,
    /// The open HTTP/2 connections were filling up.
    Spread,
    /// To replace one before its idle limit, or one the peer is closing.
    Refresh,
}

/// What one upstream's pool counts.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Connections open, lent or not.
    pub open: Gauge,
    /// Connections open and not in use.
    pub idle: Gauge,
    /// Idle connections that no request has used yet.
    pub warm: Gauge,
    /// Requests on connections now (an HTTP/1.1 one carries at most one).
    pub streams: Gauge,
    /// Handshakes done, by [`HandshakeReason`] in declaration order.
    pub handshakes: [Counter; 4],
    /// Handshakes that failed.
    pub handshake_failures: Counter,
    /// Requests that had to wait for a handshake.
    pub cold: Counter,
    /// Requests sent again on a fresh connection.
    pub resends: Counter,
    /// Seconds a name look-up took.
    pub dns: Histogram,
    /// Seconds a TCP connect took.
    pub connect: Histogram,
    /// Seconds a TLS handshake took.
    pub tls: Histogram,
}

impl Default for Pool {
    fn default() -> Self {
        let phase = || Histogram::new(PHASE_BUCKETS);
        Self {
            open: Gauge::default(),
            idle: Gauge::default(),
            warm: Gauge::default(),
            streams: Gauge::default(),
            handshakes: Default::default(),
            handshake_failures: Counter::default(),
            cold: Counter::default(),
            resends: Counter::default(),
            dns: phase(),
            connect: phase(),
            tls: phase(),
        }
    }
}
