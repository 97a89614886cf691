//! A body that streams up, counted on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::incoming::Incoming;
use crate::error::Source;

/// A body whose bytes are counted as they are taken.
pub(super) struct Upload {
    body: Incoming,
    /// Bytes taken so far, for whoever wants to read it later.
    taken: Arc<AtomicU64>,
}

impl Upload {
    pub(super) fn new(body: Incoming, taken: Arc<AtomicU64>) -> Self {
        Self { body, taken }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.taken.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
