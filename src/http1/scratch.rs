//! The thread's reading space, lent for one read at a time, so that a
//! connection that waits holds none.

use std::cell::Cell;

/// What one read takes at most.
pub(crate) const MAX_READ: usize = 64 << 10;

thread_local! {
    /// What is read into, by one connection at a time.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's reading space, so that a connection that waits holds
/// none.
pub(crate) fn with_scratch<T>(run: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.resize(MAX_READ, 0);
    let outcome = run(&mut scratch);
    SCRATCH.set(scratch);
    outcome
}
