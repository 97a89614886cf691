//! A call as its caller made it, not yet addressed to anybody.
//!
//! From one draft the call upstream is written for any target, as often as need
//! be: what a try takes along is a copy, and what several tries have in common
//! is shared. Writing it is pure.

use std::sync::Arc;

use http::Method;

use super::Caller;
use super::Instance;
use super::headers::{self, Passage};
use super::plan::Callee;
use crate::dialect::Format;
use crate::upstream::{Body, Request};

/// A call in a wire form, without its address and its body.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Who asks, and what it sent along.
    pub(super) caller: Arc<Caller>,
    pub(super) format: Format,
    /// [`Passage::Watched`] for the caller's own words, [`Passage::Own`] for
    /// nowait's in its stead.
    pub(super) passage: Passage,
    pub(super) request_id: Arc<str>,
}

impl Draft {
    /// The call to `callee`, with `body`.
    pub(super) fn to(&self, callee: &Callee, body: Body, instance: &Instance) -> Request {
        let query = match self.passage {
            Passage::Own(_) => None,
            Passage::Watched | Passage::Raw => self.caller.query.as_deref(),
        };
        let (caller, id) = (&self.caller, &self.request_id);
        Request {
            method: Method::POST,
            target: callee.path(self.format, query),
            fields: headers::outgoing(caller, callee, self.passage, instance, id),
            body,
        }
    }
}
