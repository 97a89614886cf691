//! What the caller gets: the body handed to its server, with the ledger that is
//! closed when the last of it has gone.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};

use super::Instance;
use super::batch::Lines;
use super::headers;
use super::ledger::Ledger;
use super::relay::{Relay, Step};
use crate::dialect::error::problem_body;
use crate::dialect::{Dialect, ErrorView, error_body};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name, Response, told};

/// A response not yet handed over.
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, nowait's own not yet among them.
    pub fields: Fields,
    /// Its body.
    pub body: Body,
}

/// Where a reply's bytes come from.
pub enum Body {
    /// They are all here.
    Whole(Bytes),
    /// They come from upstream.
    Relay(Box<Relay>),
    /// They are a batch's items, each as it finishes.
    Lines(Box<Lines>),
}

impl Answered {
    /// A whole body of that type.
    pub fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut fields = Fields::with_capacity(12, 512);
        fields.push(Name::ContentType, content_type);
        Self {
            status,
            fields,
            body: Body::Whole(body.into()),
        }
    }

    /// An error, told in the caller's dialect or, without one, as a problem.
    pub fn error(error: &Error, dialect: Option<Dialect>, ledger: &mut Ledger) -> Self {
        ledger.fail(error);
        let view = ErrorView::new(error, &ledger.request_id);
        let mut answered = match dialect {
            Some(dialect) => Self::whole(
                StatusCode::from_u16(view.status(dialect)).unwrap_or(error.kind().status()),
                "application/json",
                error_body(dialect, &view),
            ),
            None => Self::whole(
                error.kind().status(),
                "application/problem+json",
                problem_body(&view),
            ),
        };
        if let Some(wait) = error.wait() {
            headers::retry_after(&mut answered.fields, wait);
        }
        if let Some(methods) = error.methods() {
            answered.fields.set(Name::Allow, methods);
        }
        if error.kind() == Kind::NotCached {
            // It is what the caller asked for; its SDK would ask again.
            answered.fields.set(Name::XShouldRetry, "false");
        }
        if error.kind() == Kind::InvalidApiKey {
            let scheme = "Bearer realm=\"nowait\"";
            answered.fields.set(Name::WwwAuthenticate, scheme);
        }
        answered
    }

    /// Hands it over, with the ledger to be closed at its end.
    pub fn into_reply(mut self, mut ledger: Box<Ledger>, instance: &Instance) -> Response<Reply> {
        ledger.head_ready(self.status);
        if matches!(&self.body, Body::Whole(bytes) if bytes.is_empty()) {
            // Nobody asks a body for its end that has none.
            ledger.complete();
        }
        if let Body::Relay(relay) = &self.body {
            relay.settle(&mut ledger.attempt);
        }
        headers::reply(&mut self.fields, &ledger, instance);
        let length = self.fields.get(Name::ContentLength);
        let reply = Reply {
            length: length.and_then(told::number),
            body: self.body,
            cut: false,
            ledger,
        };
        Response {
            status: self.status,
            fields: self.fields,
            body: reply,
        }
    }
}

/// The body of a response.
pub struct Reply {
    body: Body,
    /// Its length where that was announced.
    length: Option<u64>,
    /// It ends with [`Cut`] when next asked.
    cut: bool,
    ledger: Box<Ledger>,
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let reply = self.get_mut();
        // A panic here is this reply's broken end, not its connection's.
        match catch_unwind(AssertUnwindSafe(|| reply.poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                reply.ledger.fail(&panicked(&*panic));
                reply.body = Body::Whole(Bytes::new());
                Poll::Ready(Some(Err(Cut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.body, Body::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Relay(_) | Body::Lines(_) => SizeHint::default(),
        }
    }
}

impl Reply {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Self {
            body,
            cut,
            ledger,
            length: _,
        } = self;
        if *cut {
            return Poll::Ready(Some(Err(Cut)));
        }
        match body {
            Body::Whole(bytes) => {
                ledger.complete();
                if bytes.is_empty() {
                    return Poll::Ready(None);
                }
                ledger.bytes_out += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Body::Lines(lines) => lines.poll_line(cx).map(|line| {
                let Some(line) = line else {
                    ledger.complete();
                    return None;
                };
                ledger.bytes_out += line.len() as u64;
                Some(Ok(Frame::data(line)))
            }),
            Body::Relay(relay) => match std::task::ready!(relay.poll_step(cx, &mut ledger.attempt))
            {
                Step::Data(bytes) => {
                    ledger.bytes_out += bytes.len() as u64;
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Step::End(trailers) => {
                    relay.settle(&mut ledger.attempt);
                    ledger.complete();
                    let lost = relay.loses().then(|| ledger.attempt.dropped.header());
                    Poll::Ready(trailers.map(|mut trailers| {
                        if let Some(paths) = lost.flatten()
                            && let Ok(paths) = HeaderValue::try_from(paths)
                        {
                            trailers.append("x-nowait-dropped", paths);
                        }
                        if let Ok(totals) = HeaderValue::try_from(ledger.totals()) {
                            trailers.append("server-timing", totals);
                        }
                        Ok(Frame::trailers(trailers))
                    }))
                }
                Step::Broken(error) => {
                    relay.settle(&mut ledger.attempt);
                    ledger.fail(&error);
                    ledger.complete();
                    let last = relay.tell(&error, &ledger.request_id);
                    ledger.bytes_out += last.as_ref().map_or(0, Bytes::len) as u64;
                    if let Some(last) = last {
                        return Poll::Ready(Some(Ok(Frame::data(last))));
                    }
                    // A body that fails takes along what is still unwritten of
                    // it, be it the head: a turn to write that comes first.
                    *cut = true;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            },
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A caller that left still used what was streamed to it. One that was
        // told a length has left nothing: the HTTP library counts, and does
        // not ask for an end it knows.
        if let Body::Relay(relay) = &self.body {
            relay.settle(&mut self.ledger.attempt);
            if relay.is_over() || self.length == Some(self.ledger.bytes_out) {
                self.ledger.complete();
            }
        }
    }
}

/// The reply could not be finished and its form has no words for that, so its
/// connection (on HTTP/2, its stream) is cut.
#[derive(Debug)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer broke off")
    }
}

impl std::error::Error for Cut {}

/// The error of a request whose code panicked.
pub fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .map(|said| (*said).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    Error::new(
        Kind::Internal,
        "the gateway failed on this request; others are not affected. Please report it with the request id",
    )
    .because(said)
}
