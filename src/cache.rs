//! Answers that are kept and shared: what makes two calls the same ([`key`]).
//!
//! Whether a call may share at all is the dialect's rule
//! ([`crate::dialect::sharing`]); what is done about it is the gateway's. A
//! lost, slow or full cache is a miss here and never an error.

pub mod key;

pub use key::{EmbeddingKeys, Key, Scope};
