//! What is known of one open connection by everybody who has to do with it:
//! the pool, whoever has borrowed it, and for HTTP/2 its driver.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use super::timing::{Phases, Protocol};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// One open connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Tells it from every other of the process.
    pub(super) id: u64,
    /// The core whose runtime its socket belongs to. It never moves.
    pub(super) core: usize,
    /// When its handshake was done.
    pub(super) born: Instant,
    pub(super) phases: Phases,
    pub(super) protocol: Protocol,
    /// Requests handed to it so far.
    uses: AtomicU32,
}

impl Link {
    pub(super) fn new(core: usize, phases: Phases, protocol: Protocol) -> Self {
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            core,
            born: Instant::now(),
            phases,
            protocol,
            uses: AtomicU32::new(0),
        }
    }

    /// Books one more request; whether it is the first.
    pub(super) fn begin(&self) -> bool {
        self.uses.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// No request has been handed to it.
    pub(super) fn is_unused(&self) -> bool {
        self.uses.load(Ordering::Relaxed) == 0
    }
}
