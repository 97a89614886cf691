//! nowait's recordings and flights with loom's lock in the place of their own,
//! so that `tests/` can run them through every order in which threads may take
//! their steps.
//!
//! The sources are nowait's files, included here. Everything they share is
//! behind that one lock; wakers come from loom's own executor, which finds a
//! lost wake-up as a deadlock.

/// The part of `nowait::cache` that threads share.
#[path = "../../src/cache"]
pub mod cache {
    pub mod flights;
    pub mod recording;

    mod sync {
        use std::collections::hash_map::DefaultHasher;
        use std::hash::BuildHasherDefault;

        use loom::sync::MutexGuard;

        /// The same on every run: an order can be tried again only if the
        /// locks taken depend on nothing else.
        pub(super) type RandomState = BuildHasherDefault<DefaultHasher>;

        /// loom's lock with the face of parking_lot's.
        pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub(super) fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub(super) fn lock(&self) -> MutexGuard<'_, T> {
                self.0
                    .lock()
                    .expect("poisoned only by a check that failed already")
            }
        }
    }
}
