//! A body that streams up: counted on its way, and handed back if nobody takes
//! the rest of it.
//!
//! A call that fails before its body was sent leaves a caller who is still
//! writing; the rest has to be read off, or closing the connection would take
//! the answer along (`intake::decline`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

/// What remains here of a body that was sent on its way.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// Bytes taken so far.
    taken: Arc<AtomicU64>,
    /// The rest, once whoever was to send it has let go of it.
    left: Arc<Mutex<Option<Incoming>>>,
}

impl Upload {
    /// Splits a body into the part that travels and what remains here.
    pub(super) fn begin(body: Incoming) -> (Self, Travelling) {
        let upload = Self::default();
        let travelling = Travelling {
            body: Some(body),
            taken: Arc::clone(&upload.taken),
            left: Arc::clone(&upload.left),
        };
        (upload, travelling)
    }

    /// The count of its bytes, for whoever wants to read it later.
    pub(super) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    /// What nobody took, if it has been let go of.
    pub(super) fn left(&self) -> Option<Incoming> {
        self.left.lock().take()
    }
}

/// The part that travels.
pub(super) struct Travelling {
    /// Never `None` before it is dropped.
    body: Option<Incoming>,
    taken: Arc<AtomicU64>,
    left: Arc<Mutex<Option<Incoming>>>,
}

impl http_body::Body for Travelling {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.taken.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        *self.left.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}
