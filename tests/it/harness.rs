//! What the end-to-end tests stand on: a gateway in this process, providers
//! that play scripts, and callers that say exactly what they are told to.
//!
//! Everything is blocking and bounded: a wait that is not over within
//! [`PATIENCE`] fails its test by name. Nothing sleeps to hope.

pub(crate) mod client;
pub(crate) mod dialects;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

/// How long anything may take here before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Something that happens once, and can be waited for on any thread.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    pub(crate) fn raise(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_raised(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits until it is raised; `false` where it never was.
    pub(crate) fn arrives(&self) -> bool {
        let mut raised = self.0.0.lock();
        while !*raised && !self.0.1.wait_for(&mut raised, PATIENCE).timed_out() {}
        *raised
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str) {
        assert!(self.arrives(), "{what}: not within {PATIENCE:?}");
    }
}

/// Looks again and again until `found` finds something: for what has no
/// signal of its own.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
