//! What is asked of an upstream, and what it answers.

use http::Method;
use http::uri::PathAndQuery;

use super::body::Body;
use super::incoming::Incoming;
use crate::http1::{self, Fields};

/// A request. Scheme, authority and `host` are the upstream's, how the body is
/// framed is told from the body.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub target: PathAndQuery,
    /// Its fields.
    pub fields: Fields,
    /// Its body.
    pub body: Body,
}

/// An answer that has begun.
pub type Response = http1::Response<Incoming>;
