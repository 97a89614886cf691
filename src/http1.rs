//! HTTP/1.1 messages as bytes (RFC 9112): what both sides of nowait share.
//!
//! A message's fields stay the bytes they came as ([`Fields`]); the names that
//! mean something here are told once, when they are read ([`Name`]). Where a
//! body ends is told by [`Framing`] and read by [`Decoder`]. Nothing in this
//! module does I/O or knows who speaks to whom.

mod fields;
mod framing;
pub(crate) mod line;
mod malformed;
mod message;
mod name;
mod scratch;
pub(crate) mod told;
mod word;

pub(crate) use fields::Parsed;
pub use fields::{Field, Fields};
pub(crate) use framing::{Decoder, Framing};
pub(crate) use malformed::Malformed;
pub use message::Response;
pub use name::{Name, NameSet};
pub(crate) use scratch::with_scratch;
