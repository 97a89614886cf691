//! HTTP/1.1: one call at a time on a connection.
//!
//! Whoever has the connection reads and writes it: there is no task of its
//! own, no queue, and no buffer that outlives a read
//! (`docs/decisions/0005-own-http1-client.md`). What can go wrong before the
//! head is sorted here into "was not sent", "may have been sent, nothing
//! heard" and "was being answered".

mod answer;
mod encode;
mod fuzz;
mod head;
mod reading;
mod upload;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub(super) use answer::Answer;
pub use fuzz::fuzz_answer;

use super::fault::{Fault, FaultKind};
use super::incoming::Incoming;
use super::link::Link;
use super::message::{Request, Response};
use super::origin::Names;
use super::pool::Pool;
use super::send::{Again, Failed};
use super::wire::Wire;
use crate::http1::with_scratch;
use reading::{Beginning, Begun};
use upload::{Halt, Upload};

/// Bytes of a head.
const MAX_HEAD: usize = 128 << 10;

/// Reads once; 0 is the end.
fn read(wire: &mut Wire, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut into = ReadBuf::new(into);
    ready!(Pin::new(wire).poll_read(cx, &mut into))?;
    Poll::Ready(Ok(into.filled().len()))
}

/// An open connection. Counted by its pool for as long as it lives.
pub(super) struct Conn {
    wire: Wire,
    pub(super) link: Link,
    pool: Arc<Pool>,
}

impl Conn {
    pub(super) fn new(wire: Wire, link: Link, pool: &Arc<Pool>) -> Box<Self> {
        pool.line.opened();
        Box::new(Self {
            wire,
            link,
            pool: pool.clone(),
        })
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Nothing has come on it, not even its end, as is right while no request
    /// is out. `waker` is woken when that changes.
    pub(super) fn is_quiet(&mut self, waker: &Waker) -> bool {
        let cx = &mut Context::from_waker(waker);
        read(&mut self.wire, &mut [0], cx).is_pending()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if matches!(self.wire, Wire::Tls(_)) {
            // A goodbye, if it can be said at once. Plain TCP says it by being
            // closed.
            let cx = &mut Context::from_waker(Waker::noop());
            let _said = Pin::new(&mut self.wire).poll_shutdown(cx);
        }
        self.pool.gone();
    }
}

/// A connection nobody is using.
pub(super) struct Idle {
    pub(super) conn: Box<Conn>,
    /// Since when.
    pub(super) since: Instant,
}

/// Why a lease has its connection.
const HELD: &str = "only `release` and `drop` take it, and they end the lease";

/// The right to send one request on a connection. Gives the connection back
/// when dropped, unless the answer was not read to its end.
pub(super) struct Lease {
    /// `None` at the lease's own end only.
    conn: Option<Box<Conn>>,
    /// A request is out and its answer not complete: dropping closes.
    busy: bool,
}

impl Lease {
    pub(super) fn new(conn: Box<Conn>) -> Self {
        Self {
            conn: Some(conn),
            busy: false,
        }
    }

    /// Takes the connection out of the lease.
    pub(super) fn release(mut self) -> Box<Conn> {
        self.conn.take().expect(HELD)
    }

    pub(super) fn link(&self) -> &Link {
        &self.conn().link
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.conn().pool
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.conn_mut().wire
    }

    fn conn(&self) -> &Conn {
        self.conn.as_ref().expect(HELD)
    }

    fn conn_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect(HELD)
    }

    /// Sends the request in `slot` and waits for the head of its answer. After
    /// an error it is still there if it can be had a second time.
    pub(super) async fn send(
        mut self,
        slot: &mut Option<Request>,
        names: &Names,
    ) -> Result<Response, Failed> {
        let mut upload = None;
        let to_head = slot.as_ref().is_some_and(|it| it.method == Method::HEAD);
        let mut beginning = Beginning::new(to_head);
        let begun = poll_fn(|cx| {
            if upload.is_none() {
                // It may have ended on its way from whoever had it before.
                if !self.conn_mut().is_quiet(cx.waker()) {
                    let fault = self.reset("it was idle");
                    return Poll::Ready(Err(fault.again(Again::Anywhere)));
                }
                self.busy = true;
            }
            let upload = upload.get_or_insert_with(|| Upload::begin(slot, names, self.wire(), cx));
            self.poll_head(&mut beginning, upload, cx)
        });
        let (head, reading) = begun.await?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let what = format!("{} switched protocols unasked", self.pool().origin());
            let fault = Fault::new(FaultKind::Protocol, what).mid_answer();
            return Err(fault.again(Again::No));
        }
        let answer = Answer::new(self, upload.unwrap_or(Upload::Done), reading);
        Ok(Response {
            status: head.status,
            fields: head.fields,
            body: Incoming::one(answer),
        })
    }

    /// Reads until the head is there; the upload goes on while there is nothing
    /// to read.
    fn poll_head(
        &mut self,
        beginning: &mut Beginning,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Begun, Failed>> {
        loop {
            let read = with_scratch(|scratch| {
                let size = ready!(read(self.wire(), scratch, cx));
                Poll::Ready(size.map(|size| match size {
                    0 => None,
                    _ => Some(beginning.take(&mut scratch[..size])),
                }))
            });
            let heard = beginning.heard;
            let failed = match read {
                Poll::Ready(Ok(Some(Ok(Some(begun))))) => return Poll::Ready(Ok(begun)),
                Poll::Ready(Ok(Some(Ok(None)))) => continue,
                Poll::Ready(Ok(Some(Err(wrong)))) => {
                    let origin = self.pool().origin();
                    let what = format!("{origin} sent what is not HTTP/1.1: {wrong}");
                    let fault = Fault::new(FaultKind::Protocol, what);
                    fault.mid_answer().again(Again::No)
                }
                Poll::Ready(Ok(None)) => unanswered(self.reset("it ended"), heard),
                Poll::Ready(Err(error)) => unanswered(self.reset(&error).because(error), heard),
                Poll::Pending => match ready!(upload.poll(self.wire(), cx)) {
                    Ok(()) => return Poll::Pending,
                    Err(Halt::Wire(error)) => unanswered(self.reset(&error).because(error), heard),
                    Err(Halt::Body(why)) => {
                        let origin = self.pool().origin();
                        let what = format!("sending a request to {origin}: {why}");
                        let fault = Fault::new(FaultKind::RequestBody, what).because(why);
                        fault.again(Again::No)
                    }
                },
            };
            return Poll::Ready(Err(failed));
        }
    }

    fn reset(&self, why: impl fmt::Display) -> Fault {
        let what = format!(
            "{} closed the connection before its answer: {why}",
            self.pool().origin()
        );
        Fault::new(FaultKind::Reset, what)
    }

    /// The answer is complete: the connection goes back.
    fn finish(mut self) {
        self.busy = false;
    }
}

/// What the end of a connection before the head means.
fn unanswered(fault: Fault, heard: bool) -> Failed {
    match heard {
        true => fault.mid_answer().again(Again::No),
        false => fault.again(Again::Elsewhere),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing the connection is how HTTP/1.1 cancels.
        if let Some(conn) = self.conn.take()
            && !self.busy
        {
            Pool::give(conn);
        }
    }
}
