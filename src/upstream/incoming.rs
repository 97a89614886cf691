//! The body of an answer on its way in. Owns the right to its connection: at
//! the end of the body the connection is given back, and dropping it earlier
//! closes the connection or resets the stream, so that the peer stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::fault::Fault;
use super::{h1, h2};

/// The body of an answer. Reading it slowly slows the peer down: what is not
/// read is not asked for.
pub struct Incoming(Kind);

enum Kind {
    One(h1::Answer),
    Two(h2::Answer),
}

impl Incoming {
    pub(super) fn one(answer: h1::Answer) -> Self {
        Self(Kind::One(answer))
    }

    pub(super) fn two(answer: h2::Answer) -> Self {
        Self(Kind::Two(answer))
    }

    /// All of it, if all of it came with its head, as small answers do over
    /// HTTP/1.1. At most what one read brings.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Kind::One(answer) => answer.take_whole(),
            Kind::Two(_) => None,
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.get_mut().0 {
            Kind::One(answer) => answer.poll_frame(cx),
            Kind::Two(answer) => answer.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::One(answer) => answer.is_end_stream(),
            Kind::Two(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::One(answer) => answer.size_hint(),
            Kind::Two(answer) => answer.size_hint(),
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::One(_) => "Incoming(HTTP/1.1)",
            Kind::Two(_) => "Incoming(HTTP/2)",
        })
    }
}
