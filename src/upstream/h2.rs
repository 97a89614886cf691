//! HTTP/2: many calls at a time on a connection, up to what the peer allows.
//!
//! On the `h2` crate itself, because what the pool lives on is not to be had
//! through hyper's client: how many streams the peer allows, when it sends
//! GOAWAY, and PING. The driver is in [`drive`].

mod answer;
pub(super) mod drive;
mod upload;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) use answer::Answer;
use upload::Upload;

use super::body::Body;
use super::fault::{Fault, FaultKind};
use super::head;
use super::incoming::Incoming;
use super::link::Link;
use super::message::{Request, Response};
use super::origin::Names;
use super::pool::Pool;
use super::send::{Again, Failed};
use crate::http1::Fields;

/// One connection, shared by the calls that have a stream on it.
pub(super) struct Conn {
    pub(super) link: Link,
    /// What streams are opened with; `None` once no more shall be, which lets
    /// the driver end after the last of them. Locked to clone it.
    handle: Mutex<Option<SendRequest<Bytes>>>,
    /// Streams lent. May exceed `capacity` when the peer lowers its limit.
    in_use: AtomicUsize,
    /// How many may be lent: one until the peer's SETTINGS have come, zero
    /// when it is going away.
    capacity: AtomicUsize,
    /// The peer has answered.
    settled: AtomicBool,
    /// Calls count on it to carry more than one, soon.
    promising: AtomicBool,
    /// It is in its shard, or was.
    listed: AtomicBool,
    /// When the last stream ended. Locked for a store or a load.
    idle_since: Mutex<Instant>,
}

impl Conn {
    pub(super) fn new(link: Link, handle: SendRequest<Bytes>) -> Arc<Self> {
        Arc::new(Self {
            link,
            handle: Mutex::new(Some(handle)),
            in_use: AtomicUsize::new(0),
            capacity: AtomicUsize::new(1),
            settled: AtomicBool::new(false),
            promising: AtomicBool::new(true),
            listed: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
        })
    }

    /// A stream, if there is one to lend.
    pub(super) fn reserve(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Lease> {
        let capacity = self.capacity();
        self.in_use
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                (used < capacity).then_some(used + 1)
            })
            .ok()?;
        Some(Lease {
            conn: self.clone(),
            pool: pool.clone(),
            quietly: false,
        })
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::SeqCst)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::SeqCst)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// The peer has answered and allows `capacity` streams.
    pub(super) fn settle(&self, capacity: usize) {
        // Under the lock, so that a retired connection stays retired.
        if self.handle.lock().is_some() {
            self.capacity.store(capacity, Ordering::SeqCst);
        }
        self.settled.store(true, Ordering::Release);
    }

    /// Whether it was counted on until now.
    pub(super) fn end_promise(&self) -> bool {
        self.promising.swap(false, Ordering::AcqRel)
    }

    /// Whether it is to be put in its shard: the first who asks does it.
    pub(super) fn list(&self) -> bool {
        !self.listed.swap(true, Ordering::AcqRel) && self.handle.lock().is_some()
    }

    /// Since when it carries no stream; `None` while it does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.in_use() == 0).then(|| *self.idle_since.lock())
    }

    /// Lends no more streams; the running ones finish, then it closes.
    pub(super) fn retire(&self) {
        let mut handle = self.handle.lock();
        self.capacity.store(0, Ordering::SeqCst);
        let last = handle.take();
        drop(handle);
        // Wakes the driver, which may end at once.
        drop(last);
    }

    fn open(&self) -> Option<SendRequest<Bytes>> {
        self.handle.lock().clone()
    }

    /// Why the peer takes no more streams, if it has said that it does not.
    fn poll_refused(&self, cx: &mut Context<'_>) -> Option<h2::Error> {
        match self.handle.lock().as_mut()?.poll_ready(cx) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }
}

/// The right to one stream; given back when dropped.
pub(super) struct Lease {
    pub(super) conn: Arc<Conn>,
    pub(super) pool: Arc<Pool>,
    /// Nobody who waits wants it.
    quietly: bool,
}

impl Lease {
    /// Gives the stream back without a look at who waits.
    pub(super) fn return_unused(mut self) {
        self.quietly = true;
    }

    /// Sends what is in `slot` and waits for the head of its answer. `reused`
    /// says that the connection was open before the request came. After an
    /// error the slot holds the request if there is a copy to send again.
    pub(super) async fn send(
        self,
        slot: &mut Option<Request>,
        names: &Names,
        reused: bool,
    ) -> Result<Response, Failed> {
        let (mut response, mut upload) = self.begin(slot, names)?;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = upload.poll(cx) {
                return Poll::Ready(Err(Halt::Upload(error)));
            }
            Pin::new(&mut response).poll(cx).map_err(Halt::Stream)
        });
        match answer.await {
            Ok(response) => {
                let (parts, stream) = response.into_parts();
                let answer = Answer::new(stream, upload, self, &parts.headers);
                Ok(Response {
                    status: parts.status,
                    fields: Fields::from(&parts.headers),
                    body: Incoming::two(answer),
                })
            }
            Err(Halt::Upload(error)) => {
                let what = format!("sending a request to {}: {error}", self.pool.origin());
                let fault = Fault::new(FaultKind::RequestBody, what).because(error);
                Err(fault.again(Again::No))
            }
            Err(Halt::Stream(error)) => Err(self.sort(error, reused)),
        }
    }

    /// Opens the stream.
    fn begin(
        &self,
        slot: &mut Option<Request>,
        names: &Names,
    ) -> Result<(ResponseFuture, Upload), Failed> {
        let Some(mut handle) = self.conn.open() else {
            return Err(self.reset("it is going away").again(Again::Anywhere));
        };
        let Some(request) = slot else {
            return Err(self.reset("there is no request").again(Again::No));
        };
        let head = head::for_two(request, names);
        let end = http_body::Body::is_end_stream(&request.body);
        // The handle, which keeps the connection open, ends with this.
        match handle.send_request(head, end) {
            Ok((response, stream)) => {
                let body = match request.body.replay() {
                    Some(body) => body,
                    // It can be sent once, and that is now.
                    None => slot.take().map_or_else(Body::default, |it| it.body),
                };
                Ok((response, Upload::new(stream, body)))
            }
            Err(error) => Err(self.unopened(error)),
        }
    }

    /// What an error before the head means.
    fn sort(&self, error: h2::Error, reused: bool) -> Failed {
        // RFC 9113, 8.7: a stream that was refused, or is beyond the last one
        // that GOAWAY names, was certainly not processed.
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let beyond = error.is_go_away() && error.is_remote();
        // A peer whose SETTINGS have not come either has not finished its part
        // of the handshake (RFC 9113, 3.4).
        let unheard = !self.conn.is_settled();
        let fault = self.reset(&error);
        if refused || beyond || unheard {
            return fault.because(error).again(Again::Anywhere);
        }
        if error.is_library() {
            let what = format!("{} sent what is not HTTP/2: {error}", self.pool.origin());
            let fault = Fault::new(FaultKind::Protocol, what).because(error);
            return fault.again(Again::No);
        }
        let again = if reused { Again::Elsewhere } else { Again::No };
        fault.because(error).again(again)
    }

    /// The stream never came to be.
    fn unopened(&self, error: h2::Error) -> Failed {
        if error.is_go_away() || error.is_io() || error.is_reset() {
            let fault = self.reset(&error).because(error);
            return fault.again(Again::Anywhere);
        }
        let origin = self.pool.origin();
        let what = format!("a request to {origin} does not fit HTTP/2: {error}");
        let fault = Fault::new(FaultKind::Protocol, what).because(error);
        fault.again(Again::No)
    }

    fn reset(&self, why: impl std::fmt::Display) -> Fault {
        let what = format!(
            "{} ended the stream before its answer: {why}",
            self.pool.origin()
        );
        Fault::new(FaultKind::Reset, what)
    }
}

enum Halt {
    Upload(crate::error::Source),
    Stream(h2::Error),
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Before it counts as idle, so that nobody takes it for long idle.
        if self.conn.in_use() == 1 {
            *self.conn.idle_since.lock() = Instant::now();
        }
        self.conn.in_use.fetch_sub(1, Ordering::SeqCst);
        if !self.quietly {
            self.pool.stream_ended(&self.conn);
        }
    }
}
