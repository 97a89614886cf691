//! The body of a request on its way into a stream, no faster than the peer
//! takes it.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::SendStream;
use http_body::Body as _;

use crate::error::Source;
use crate::upstream::body::{Body, Streamed};
use crate::upstream::head;

/// What is left to send.
pub(super) enum Upload {
    /// Nothing: all of it is with `h2`.
    Done,
    Going(Box<Going>),
}

pub(super) struct Going {
    stream: SendStream<Bytes>,
    body: Streamed,
    /// Read from the body and waiting for the peer's window.
    held: Bytes,
}

impl Upload {
    /// A body in memory is handed over whole: `h2` keeps it and minds the
    /// windows, and no byte is copied.
    pub(super) fn new(mut stream: SendStream<Bytes>, body: Body) -> Self {
        match body {
            Body::Empty => Self::Done,
            Body::Bytes(_) | Body::Spliced(_) => {
                let mut pieces = head::pieces(body).peekable();
                while let Some(piece) = pieces.next() {
                    // An error here is the stream's end, which whoever awaits
                    // the answer sees as well, and with its reason.
                    if stream.send_data(piece, pieces.peek().is_none()).is_err() {
                        break;
                    }
                }
                Self::Done
            }
            Body::Stream(body) if body.is_end_stream() => Self::Done,
            Body::Stream(body) => Self::Going(Box::new(Going {
                stream,
                body,
                held: Bytes::new(),
            })),
        }
    }

    /// Sends what can be sent. An error is the body's own; one of the stream
    /// ends the upload, and shows where the answer is awaited.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Source>> {
        let Self::Going(going) = self else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(going.poll(cx));
        if outcome.is_err() {
            going.stream.send_reset(h2::Reason::CANCEL);
        }
        *self = Self::Done;
        Poll::Ready(outcome)
    }
}

impl Going {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Source>> {
        loop {
            if !self.held.is_empty() {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => {
                        let piece = self.held.split_to(room.min(self.held.len()));
                        if self.stream.send_data(piece, false).is_err() {
                            return Poll::Ready(Ok(()));
                        }
                        continue;
                    }
                    Some(Err(_)) | None => return Poll::Ready(Ok(())),
                }
            }
            let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)) else {
                let _ended = self.stream.send_data(Bytes::new(), true);
                return Poll::Ready(Ok(()));
            };
            match frame?.into_data() {
                Ok(data) if !data.has_remaining() => {}
                Ok(data) => {
                    self.stream.reserve_capacity(data.len());
                    self.held = data;
                }
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        let _ended = self.stream.send_trailers(trailers);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}
