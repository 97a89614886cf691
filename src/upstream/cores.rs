//! The runtimes of the process, one per core, and which of them this thread is.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// The runtimes that connections live on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cores(Arc<[OnceLock<Handle>]>);

impl Cores {
    /// Room for `count` runtimes (at least one), none of them registered yet.
    pub fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| OnceLock::new()).collect())
    }

    /// One core: the runtime that uses it. What tests and commands want.
    pub fn one() -> Self {
        Self::new(1)
    }

    /// Makes the calling thread core `index`. To be called once per thread,
    /// within its runtime, before anything is sent from there.
    pub fn register(&self, index: usize) {
        HERE.set(index);
        if let (Some(slot), Ok(handle)) = (self.0.get(index), Handle::try_current()) {
            // A second registration of a core would be a second runtime on it;
            // the first one keeps its place.
            let _ = slot.set(handle);
        }
    }

    /// How many there are; never zero.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The core of the calling thread; an unregistered thread counts as the
    /// first.
    pub(super) fn here(&self) -> usize {
        let here = HERE.get();
        if here < self.0.len() { here } else { 0 }
    }

    /// Runs `task` on core `index`, or where the caller is as long as that
    /// core has not registered.
    pub(super) fn spawn(&self, index: usize, task: impl Future<Output = ()> + Send + 'static) {
        match self.0.get(index).and_then(OnceLock::get) {
            Some(handle) => drop(handle.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }
}
