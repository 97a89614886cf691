//! HTTP/2: many calls at a time on a connection, up to what the peer allows.
//!
//! On the `h2` crate itself, because what the pool lives on is not to be had
//! through hyper's client: how many streams the peer allows, when it sends
//! GOAWAY, and PING. The driver is in [`drive`].

mod answer;
pub(super) mod drive;
mod upload;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) use answer::Answer;
use upload::Upload;

use super::body::Body;
use super::fault::{Fault, FaultKind};
use super::h1::Failed;
use super::head;
use super::incoming::Incoming;
use super::link::Link;
use super::pool::Pool;

/// One connection, shared by the calls that have a stream on it.
pub(super) struct Conn {
    pub(super) link: Arc<Link>,
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
    pub(super) fn new(link: Arc<Link>, handle: SendRequest<Bytes>) -> Arc<Self> {
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

    /// Whether the peer has said that it takes no more streams.
    fn poll_refused(&self, cx: &mut Context<'_>) -> bool {
        match &mut *self.handle.lock() {
            Some(handle) => matches!(handle.poll_ready(cx), Poll::Ready(Err(_))),
            None => false,
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

    /// Sends `request` and waits for the head of its answer. `reused` says
    /// that the connection was open before the request came.
    pub(super) async fn send(
        self,
        request: Request<Body>,
        reused: bool,
    ) -> Result<Response<Incoming>, Failed> {
        let Some(mut handle) = self.conn.open() else {
            return Err(Failed::unsent(
                self.reset("it is going away"),
                Some(request),
            ));
        };
        let copy = head::copy(&request);
        let (parts, body) = request.into_parts();
        let head = match &self.pool.names {
            Some(names) => head::for_two(parts, &body, names),
            None => Request::from_parts(parts, ()),
        };
        let end = http_body::Body::is_end_stream(&body);
        let (response, stream) = match handle.send_request(head, end) {
            Ok(opened) => opened,
            Err(error) => return Err(self.unopened(error, copy)),
        };
        // The handle counts as a reason to keep the connection open.
        drop(handle);
        let mut response = response;
        let mut upload = Upload::new(stream, body);
        let answer = poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = upload.poll(cx) {
                return Poll::Ready(Err(Halt::Upload(error)));
            }
            std::pin::Pin::new(&mut response)
                .poll(cx)
                .map_err(Halt::Stream)
        });
        match answer.await {
            Ok(response) => {
                let (parts, stream) = response.into_parts();
                let answer = Answer::new(stream, upload, self, &parts.headers);
                Ok(Response::from_parts(parts, Incoming::two(answer)))
            }
            Err(Halt::Upload(error)) => {
                let what = format!("sending the body of a request to {}", self.pool.origin());
                Err(Failed::lost(
                    Fault::new(FaultKind::RequestBody, what).because(error),
                ))
            }
            Err(Halt::Stream(error)) => Err(self.sort(error, reused, copy)),
        }
    }

    /// What an error before the head means.
    fn sort(&self, error: h2::Error, reused: bool, copy: Option<Request<Body>>) -> Failed {
        // RFC 9113, 8.7: a stream that was refused, or is beyond the last one
        // that GOAWAY names, was certainly not processed.
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let beyond = error.is_go_away() && error.is_remote();
        let what = self.reset(&error);
        // A peer whose SETTINGS have not come either has not finished its part
        // of the handshake (RFC 9113, 3.4).
        if refused || beyond || !self.conn.is_settled() {
            return Failed::unsent(what.because(error), copy);
        }
        if error.is_library() {
            let what = format!("{} sent what is not HTTP/2: {error}", self.pool.origin());
            return Failed::lost(Fault::new(FaultKind::Protocol, what).because(error));
        }
        let request = copy.filter(|_| reused);
        Failed {
            fault: what.because(error),
            request,
            unsent: false,
        }
    }

    /// The stream never came to be.
    fn unopened(&self, error: h2::Error, copy: Option<Request<Body>>) -> Failed {
        if error.is_go_away() || error.is_io() || error.is_reset() {
            return Failed::unsent(self.reset(&error).because(error), copy);
        }
        let what = format!(
            "a request to {} does not fit HTTP/2: {error}",
            self.pool.origin()
        );
        Failed::lost(Fault::new(FaultKind::Protocol, what).because(error))
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
        if self.conn.in_use() == 1 {
            *self.conn.idle_since.lock() = Instant::now();
        }
        self.conn.in_use.fetch_sub(1, Ordering::SeqCst);
        if !self.quietly {
            self.pool.stream_ended(&self.conn);
        }
    }
}
