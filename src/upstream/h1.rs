//! HTTP/1.1: one call at a time on a connection.
//!
//! hyper's dispatcher is the driver, one task per connection on the core that
//! dialled. What can go wrong before the head is sorted here into "was not
//! sent", "may have been sent, nothing heard" and "was being answered".

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::body::Body;
use super::fault::{Fault, FaultKind};
use super::head;
use super::incoming::Incoming;
use super::link::Link;
use super::pool::Pool;
use super::wire::{Heard, Wire};

/// The handle that requests go in by.
pub(super) type Sender = http1::SendRequest<Body>;
type Driver = http1::Connection<TokioIo<Heard>, Body>;

/// Fields of a head; more is no answer but an attack or a mistake.
const MAX_HEADERS: usize = 256;
/// Bytes of a head, and what one read takes at most.
const MAX_BUFFER: usize = 128 * 1024;

/// Sets HTTP/1.1 up over `wire`; nothing is sent.
pub(super) async fn handshake(wire: Wire, link: Arc<Link>) -> hyper::Result<(Sender, Driver)> {
    http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(Heard::new(wire, link)))
        .await
}

/// A connection nobody is using.
pub(super) struct Idle {
    pub(super) sender: Sender,
    pub(super) link: Arc<Link>,
    /// Since when.
    pub(super) since: Instant,
}

impl Idle {
    /// Nothing is known against it.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

/// The right to send one request on a connection. Gives the connection back
/// when dropped, unless the answer was not read to its end.
pub(super) struct Lease {
    /// `None` once given back.
    sender: Option<Sender>,
    pub(super) link: Arc<Link>,
    pub(super) pool: Arc<Pool>,
    /// A request is out and its answer not complete: dropping closes.
    busy: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, sender: Sender, link: Arc<Link>) -> Self {
        Self {
            sender: Some(sender),
            link,
            pool,
            busy: false,
        }
    }

    /// Takes the connection out of the lease.
    pub(super) fn release(mut self) -> Option<Sender> {
        self.sender.take()
    }

    /// Sends `request` and waits for the head of its answer. `reused` says
    /// that the connection was open before the request came.
    pub(super) async fn send(
        mut self,
        request: Request<Body>,
        reused: bool,
    ) -> Result<Response<Incoming>, Failed> {
        let spare = if reused { head::copy(&request) } else { None };
        let Some(sender) = &mut self.sender else {
            return Err(Failed::unsent(
                self.reset("it was given back"),
                Some(request),
            ));
        };
        self.busy = true;
        let answer = sender.try_send_request(request).await;
        match answer {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let what = format!("{} switched protocols unasked", self.pool.origin());
                Err(Failed::lost(
                    Fault::new(FaultKind::Protocol, what).mid_answer(),
                ))
            }
            Ok(response) => Ok(response.map(|body| Incoming::one(body, self))),
            Err(mut error) => {
                if let Some(request) = error.take_message() {
                    let fault = self.reset(error.into_error());
                    return Err(Failed::unsent(fault, Some(request)));
                }
                Err(self.sort(error.into_error(), spare))
            }
        }
    }

    /// What an error before the head means.
    fn sort(&self, error: hyper::Error, spare: Option<Request<Body>>) -> Failed {
        if error.is_user() {
            let what = format!("sending the body of a request to {}", self.pool.origin());
            return Failed::lost(Fault::new(FaultKind::RequestBody, what).because(error));
        }
        let heard = self.link.has_heard();
        if error.is_parse() {
            let what = format!("{} sent what is not HTTP/1.1: {error}", self.pool.origin());
            let fault = Fault::new(FaultKind::Protocol, what).because(error);
            return Failed::lost(fault.mid_answer());
        }
        let fault = self.reset(&error).because(error);
        if heard {
            return Failed::lost(fault.mid_answer());
        }
        Failed {
            fault,
            request: spare,
            unsent: false,
        }
    }

    fn reset(&self, why: impl std::fmt::Display) -> Fault {
        let what = format!(
            "{} closed the connection before its answer: {why}",
            self.pool.origin()
        );
        Fault::new(FaultKind::Reset, what)
    }

    /// The answer is complete: the connection goes back.
    pub(super) fn finish(mut self) {
        self.busy = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Dropping the sender of a busy connection closes it, which is how
        // HTTP/1.1 cancels.
        if let Some(sender) = self.sender.take()
            && !self.busy
        {
            self.pool.give(sender, self.link.clone());
        }
    }
}

/// A request that got no answer.
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// The request, if it may be sent again.
    pub(super) request: Option<Request<Body>>,
    /// The peer certainly has not acted on it.
    pub(super) unsent: bool,
}

impl Failed {
    /// Certainly not acted on.
    pub(super) fn unsent(fault: Fault, request: Option<Request<Body>>) -> Self {
        Self {
            fault,
            request,
            unsent: true,
        }
    }

    /// Not to be sent again.
    pub(super) fn lost(fault: Fault) -> Self {
        Self {
            fault,
            request: None,
            unsent: false,
        }
    }
}
