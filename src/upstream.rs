//! One authority with its pool of connections. Knows neither JSON nor dialects.

pub mod body;
pub mod cores;
pub mod fault;
pub mod memory;
pub mod origin;
pub mod timing;

pub use body::Body;
pub use cores::Cores;
pub use fault::{Fault, FaultKind};
pub use origin::{Origin, Proxy};
pub use timing::{Protocol, Timing};

use std::time::Duration;

use tokio::time::Instant;

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

/// How long one call may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection to be opened: look-up, connect and handshakes
    /// together, counted from when the call starts to wait.
    pub connect: Duration,
    /// For a connection at all. How long the answer may take is the caller's
    /// to bound.
    pub deadline: Instant,
}
