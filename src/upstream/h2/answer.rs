//! The body of an HTTP/2 answer.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use super::Lease;
use super::upload::Upload;
use crate::upstream::fault::{Fault, FaultKind};

/// A stream that is being read. Dropping it before its end resets it.
pub(in crate::upstream) struct Answer {
    stream: RecvStream,
    upload: Upload,
    /// `None` once the stream has ended, well or not.
    lease: Option<Lease>,
    /// What `content-length` announces beyond what has been read.
    left: Option<u64>,
    data_ended: bool,
}

impl Answer {
    pub(super) fn new(stream: RecvStream, upload: Upload, lease: Lease, head: &HeaderMap) -> Self {
        let length = head.get(CONTENT_LENGTH);
        let left = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let mut answer = Self {
            left,
            data_ended: false,
            lease: Some(lease),
            upload,
            stream,
        };
        answer.give_back_at_end();
        answer
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Poll::Ready(Err(error)) = self.upload.poll(cx) {
            let what = format!("sending the body of a request to {}", self.origin());
            let fault = Fault::new(FaultKind::RequestBody, what).because(error);
            self.lease = None;
            return Poll::Ready(Some(Err(fault.mid_answer())));
        }
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The reader has come for it, so there is room for as much
                    // again. Who does not come keeps the peer waiting.
                    let _stream_gone = self.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    self.give_back_at_end();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.broken(error)))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(match trailers {
            Ok(trailers) => {
                self.lease = None;
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            Err(error) => Some(Err(self.broken(error))),
        })
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        if self.stream.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn give_back_at_end(&mut self) {
        if self.stream.is_end_stream() && matches!(self.upload, Upload::Done) {
            self.lease = None;
        }
    }

    fn broken(&mut self, error: h2::Error) -> Fault {
        let what = format!("reading the answer of {}: {error}", self.origin());
        self.lease = None;
        self.data_ended = true;
        Fault::new(FaultKind::Body, what).because(error)
    }

    fn origin(&self) -> String {
        let lease = self.lease.as_ref();
        lease.map_or_else(String::new, |lease| lease.pool.origin().to_string())
    }
}
