//! Calls that travel together.
//!
//! Knows no HTTP: what a call is sent by is given by the gateway, and so is the
//! key of those calls that may share one.

pub mod embeddings;
