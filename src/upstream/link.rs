//! What is known of one open connection by everybody who has to do with it:
//! its driver, the pool and whoever has borrowed it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use super::timing::{Phases, Protocol};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// One open connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Tells it from every other of the process.
    pub(super) id: u64,
    /// The core whose runtime drives it. It never moves.
    pub(super) core: usize,
    /// When its handshake was done.
    pub(super) born: Instant,
    pub(super) phases: Phases,
    pub(super) protocol: Protocol,
    /// Something was read since the last request was handed over. Only kept on
    /// HTTP/1.1, where what is heard can only be that request's answer.
    heard: AtomicBool,
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
            heard: AtomicBool::new(false),
            uses: AtomicU32::new(0),
        }
    }

    /// Books one more request; whether it is the first.
    pub(super) fn begin(&self) -> bool {
        self.heard.store(false, Ordering::Relaxed);
        self.uses.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// No request has been handed to it.
    pub(super) fn is_unused(&self) -> bool {
        self.uses.load(Ordering::Relaxed) == 0
    }

    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Release);
    }

    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }
}
