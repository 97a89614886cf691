//! Answers that are kept and shared: what makes two calls the same ([`key`]),
//! one answer for many at once ([`recording`]), and how they meet ([`flights`]).
//!
//! Whether a call may share at all is the dialect's rule
//! ([`crate::dialect::sharing`]); what is done about it is the gateway's. A
//! lost, slow or full cache is a miss here and never an error.

pub mod flights;
pub mod key;
pub mod recording;

pub use flights::{Flight, Flights, Joined};
pub use key::{EmbeddingKeys, Key, Scope};
pub use recording::{Broken, Recorder, Replay};

/// What the checks of `model` put their own in the place of.
mod sync {
    pub(super) use std::hash::RandomState;

    pub(super) use parking_lot::Mutex;
}
