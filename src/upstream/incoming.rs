//! The body of an answer on its way in. Owns the right to its connection: at
//! the end of the body the connection is given back, and dropping it earlier
//! closes the connection or resets the stream, so that the peer stops.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::fault::{Fault, FaultKind};
use super::{h1, h2};

/// The body of an answer. Reading it slowly slows the peer down: what is not
/// read is not asked for.
pub struct Incoming(Kind);

enum Kind {
    One {
        body: hyper::body::Incoming,
        /// `None` once the body has ended, well or not.
        lease: Option<h1::Lease>,
    },
    Two(h2::Answer),
}

impl Incoming {
    pub(super) fn one(body: hyper::body::Incoming, lease: h1::Lease) -> Self {
        let lease = if body.is_end_stream() {
            lease.finish();
            None
        } else {
            Some(lease)
        };
        Self(Kind::One { body, lease })
    }

    pub(super) fn two(answer: h2::Answer) -> Self {
        Self(Kind::Two(answer))
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let (body, lease) = match &mut self.get_mut().0 {
            Kind::One { body, lease } => (body, lease),
            Kind::Two(answer) => return answer.poll_frame(cx),
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if body.is_end_stream()
                    && let Some(lease) = lease.take()
                {
                    lease.finish();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(broken(lease.take(), error))),
            None => {
                if let Some(lease) = lease.take() {
                    lease.finish();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::One { body, .. } => body.is_end_stream(),
            Kind::Two(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::One { body, .. } => body.size_hint(),
            Kind::Two(answer) => answer.size_hint(),
        }
    }
}

/// Dropping the lease closes the connection, which has nothing more to give.
fn broken(lease: Option<h1::Lease>, error: hyper::Error) -> Fault {
    let origin = lease.map_or_else(String::new, |lease| lease.pool.origin().to_string());
    if error.is_user() {
        let what = format!("sending the body of a request to {origin}");
        return Fault::new(FaultKind::RequestBody, what)
            .because(error)
            .mid_answer();
    }
    // hyper's own words for all of these are "error reading a body".
    let what = match io_kind(&error) {
        Some(io::ErrorKind::UnexpectedEof) => {
            format!("{origin} ended its answer before its announced end")
        }
        Some(io::ErrorKind::ConnectionReset) => {
            format!("{origin} reset the connection in the middle of its answer")
        }
        Some(kind) => format!("reading the answer of {origin}: {kind}"),
        None => format!("reading the answer of {origin}: {error}"),
    };
    Fault::new(FaultKind::Body, what).because(error)
}

/// What the connection did, where that is what lies behind `error`.
fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    if error.is_incomplete_message() {
        return Some(io::ErrorKind::UnexpectedEof);
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::One { .. } => "Incoming(HTTP/1.1)",
            Kind::Two(_) => "Incoming(HTTP/2)",
        })
    }
}
