//! What is asked of an upstream, and the head of what it answers.

use http::uri::PathAndQuery;
use http::{Method, StatusCode};

use super::body::Body;
use super::incoming::Incoming;
use crate::http1::Fields;

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
#[derive(Debug)]
pub struct Response {
    /// How it went.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
    /// The rest.
    pub body: Incoming,
}
