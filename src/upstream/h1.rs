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
use super::send::{Again, Failed};
use super::wire::{Heard, Wire};

/// The handle that requests go in by.
pub(super) type Sender = http1::SendRequest<Body>;
type Driver = http1::Connection<TokioIo<Heard>, Body>;

/// Bytes of a head, and what one read takes at most.
const MAX_BUFFER: usize = 128 * 1024;

/// Sets HTTP/1.1 up over `wire`; nothing is sent. A head may have hyper's usual
/// 100 fields (providers send up to 40): asking for another number makes it
/// allocate room for all of them at every answer.
pub(super) async fn handshake(wire: Wire, link: Arc<Link>) -> hyper::Result<(Sender, Driver)> {
    http1::Builder::new()
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

    /// Sends what is in `slot` and waits for the head of its answer. `reused`
    /// says that the connection was open before the request came. After an
    /// error the slot holds the request if there is a copy to send again.
    pub(super) async fn send(
        mut self,
        slot: &mut Option<Request<Body>>,
        reused: bool,
    ) -> Result<Response<Incoming>, Failed> {
        let answer = {
            let (Some(sender), Some(request)) = (&mut self.sender, slot.take()) else {
                return Err(self.reset("it was given back").again(Again::No));
            };
            if reused {
                *slot = head::copy(&request);
            }
            self.busy = true;
            sender.try_send_request(request)
        };
        match answer.await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let what = format!("{} switched protocols unasked", self.pool.origin());
                let fault = Fault::new(FaultKind::Protocol, what).mid_answer();
                Err(fault.again(Again::No))
            }
            Ok(response) => Ok(response.map(|body| Incoming::one(body, self))),
            Err(mut error) => match error.take_message() {
                Some(request) => {
                    *slot = Some(request);
                    let fault = self.reset(error.into_error());
                    Err(fault.again(Again::Anywhere))
                }
                None => Err(self.sort(error.into_error())),
            },
        }
    }

    /// What an error before the head means.
    fn sort(&self, error: hyper::Error) -> Failed {
        let origin = self.pool.origin();
        if error.is_user() {
            let what = format!("sending a request to {origin}: {error}");
            let fault = Fault::new(FaultKind::RequestBody, what).because(error);
            return fault.again(Again::No);
        }
        if error.is_parse() {
            let what = format!("{origin} sent what is not HTTP/1.1: {error}");
            let fault = Fault::new(FaultKind::Protocol, what).because(error);
            return fault.mid_answer().again(Again::No);
        }
        let fault = self.reset(&error).because(error);
        if self.link.has_heard() {
            return fault.mid_answer().again(Again::No);
        }
        fault.again(Again::Elsewhere)
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
