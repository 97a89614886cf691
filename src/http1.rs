//! HTTP/1.1 messages as bytes (RFC 9112): what both sides of nowait share.
//!
//! A message's fields stay the bytes they came as ([`Fields`]); the names that
//! mean something here are told once, when they are read ([`Name`]). Nothing
//! in this module does I/O or knows who speaks to whom.

mod fields;
mod name;

pub use fields::{Field, Fields};
pub use name::{Name, NameSet};
