//! Answers that are kept and shared: what makes two calls the same ([`key`]),
//! one answer for many at once ([`recording`]), how they meet ([`flights`]), what
//! is kept of an answer ([`stored`]), and where: in memory ([`memory`]) and in a
//! Redis behind it (`redis`), the two together ([`store`]).
//!
//! Whether a call may share at all is the dialect's rule
//! ([`crate::dialect::sharing`]); what is done about it is the gateway's. A
//! lost, slow or full cache is a miss here and never an error.

pub mod flights;
pub mod key;
pub mod memory;
pub mod recording;
mod redis;
pub mod store;
pub mod stored;

pub use flights::{Flight, Flights, Joined};
pub use key::{EmbeddingKeys, Key, Scope};
pub use recording::{Broken, Recorder, Replay};
pub use redis::fuzz_replies;
pub use store::{Purge, Purged, Store};
pub use stored::{Form, Hit, Label, Stored, Wanted};

/// What the checks of `model` put their own in the place of.
mod sync {
    pub(super) use std::hash::RandomState;

    pub(super) use parking_lot::Mutex;
}
