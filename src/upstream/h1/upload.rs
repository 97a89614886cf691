//! A request on its way out, no faster than the peer takes it.
//!
//! A peer that refuses a large body answers and closes while the body is being
//! written. The failed write is then no news: the upload rests, and reading
//! finds the answer, or the end of the connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::encode::{self, Framing};
use crate::error::Source;
use crate::upstream::body::{Body, Streamed};
use crate::upstream::message::Request;
use crate::upstream::origin::Names;
use crate::upstream::wire::Wire;

/// Pieces that one write takes at most.
const AT_ONCE: usize = 8;

/// What is left to send.
pub(super) enum Upload {
    /// Nothing: all of it is with the kernel.
    Done,
    Going(Box<Going>),
}

pub(super) struct Going {
    /// Not written yet; a head and three pieces, or a chunk.
    ahead: VecDeque<Bytes>,
    /// What a streamed body has yet to give.
    source: Option<(Streamed, Framing)>,
    /// The peer takes nothing more.
    deaf: bool,
}

/// Why a request can't be sent to its end.
pub(super) enum Halt {
    /// Its own body failed.
    Body(Source),
    Wire(io::Error),
}

impl Upload {
    /// Writes the request in `slot`, all of it if the peer has room. It stays
    /// in the slot, to be sent again, unless its body streams.
    pub(super) fn begin(
        slot: &mut Option<Request>,
        names: &Names,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Self {
        let Some(request) = slot else {
            return Self::Done;
        };
        let (head, framing) = encode::head(request, names);
        let pieces = request.body.pieces();
        let mut slices = [IoSlice::new(&head); AT_ONCE];
        for (slice, piece) in slices[1..].iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        let slices = &slices[..=pieces.len()];
        let is_stream = matches!(&request.body, Body::Stream(body) if !body.is_end_stream());
        // An error comes again with the next write, which is not far.
        let written = match Pin::new(&mut *wire).poll_write_vectored(cx, slices) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if written == all && !is_stream && is_flushed(wire, cx) {
            return Self::Done;
        }
        let mut ahead: VecDeque<_> = [head.into()]
            .into_iter()
            .chain(pieces.iter().cloned())
            .collect();
        skip(&mut ahead, written);
        let taken = is_stream.then(|| slot.take()).flatten();
        let source = match taken.map(|request| request.body) {
            Some(Body::Stream(body)) => Some((body, framing)),
            _ => None,
        };
        Self::Going(Box::new(Going {
            ahead,
            source,
            deaf: false,
        }))
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Sends what can be sent.
    pub(super) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Halt>> {
        if let Self::Going(going) = self {
            match ready!(going.poll(wire, cx)) {
                Ok(()) => *self = Self::Done,
                Err(Halt::Wire(error)) if is_refusal(&error) => {
                    going.deaf = true;
                    return Poll::Pending;
                }
                Err(halt) => return Poll::Ready(Err(halt)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A write that did not fail for good may still be on its way through TLS.
fn is_flushed(wire: &mut Wire, cx: &mut Context<'_>) -> bool {
    matches!(Pin::new(wire).poll_flush(cx), Poll::Ready(Ok(())))
}

/// The peer, or its kernel, takes nothing more.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

impl Going {
    fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Halt>> {
        if self.deaf {
            return Poll::Pending;
        }
        loop {
            ready!(self.write(wire, cx)).map_err(Halt::Wire)?;
            let Some((body, framing)) = &mut self.source else {
                return Poll::Ready(Ok(()));
            };
            let frame = ready!(body.as_mut().poll_frame(cx));
            let data = match frame.transpose().map_err(Halt::Body)? {
                // Trailers are not announced, so they don't travel.
                Some(frame) => frame.into_data().ok().filter(|data| !data.is_empty()),
                None => {
                    self.ahead.extend(end(*framing).map_err(Halt::Body)?);
                    self.source = None;
                    continue;
                }
            };
            let Some(data) = data else { continue };
            match framing {
                Framing::Length(left) => {
                    let size = data.len() as u64;
                    *left = left
                        .checked_sub(size)
                        .ok_or_else(|| Halt::Body("it is longer than its head announced".into()))?;
                    self.ahead.push_back(data);
                    if *left == 0 {
                        self.source = None;
                    }
                }
                Framing::Chunked => {
                    let line = encode::chunk_size(data.len());
                    let line_end = Bytes::from_static(b"\r\n");
                    self.ahead.extend([line, data, line_end]);
                }
            }
        }
    }

    /// Writes what is ahead, to its end.
    fn write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ahead.is_empty() {
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            for (slice, piece) in slices.iter_mut().zip(&self.ahead) {
                *slice = IoSlice::new(piece);
            }
            let count = self.ahead.len().min(AT_ONCE);
            let write = Pin::new(&mut *wire).poll_write_vectored(cx, &slices[..count]);
            match ready!(write)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => skip(&mut self.ahead, written),
            }
        }
        Pin::new(wire).poll_flush(cx)
    }
}

/// What follows the last piece of a streamed body.
fn end(framing: Framing) -> Result<Option<Bytes>, Source> {
    match framing {
        Framing::Chunked => Ok(Some(Bytes::from_static(b"0\r\n\r\n"))),
        Framing::Length(0) => Ok(None),
        Framing::Length(_) => Err("it is shorter than its head announced".into()),
    }
}

/// Drops `written` bytes from the front, and what is empty.
fn skip(ahead: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(piece) = ahead.front_mut() {
        let part = written.min(piece.len());
        piece.advance(part);
        written -= part;
        if !piece.is_empty() {
            return;
        }
        ahead.pop_front();
    }
}
