//! A call that has begun to answer: the head, and where the rest comes from.
//!
//! The rest comes from upstream, from a recording that others read too, or is
//! here already because it was kept. What is done with it doesn't depend on
//! which: a caller gets a shared answer by the same code as one of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use super::attempt::{Limits, broken};
use super::flight::{self, Head, Replay};
use super::plan::Callee;
use super::relay::{Form, Relay};
use super::{Gateway, Instance};
use crate::error::Error;
use crate::http1::{Fields, Name};
use crate::upstream::Incoming;

/// A call that has begun to answer.
pub(super) struct Asked {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    pub(super) body: Source,
    pub(super) limits: Limits,
    /// When it went upstream.
    pub(super) sent: Instant,
    /// When the head came.
    pub(super) came: Instant,
    pub(super) callee: Arc<Callee>,
    pub(super) instance: Arc<Instance>,
}

impl Asked {
    /// One that is answered out of what is shared.
    pub(super) fn shared(
        gateway: &Gateway,
        callee: &Arc<Callee>,
        head: &Head,
        body: Source,
        limits: Limits,
        sent: Instant,
    ) -> Self {
        Self {
            status: head.status,
            fields: head.fields.clone(),
            body,
            limits: limits.of_reader(),
            sent,
            came: Instant::now(),
            callee: Arc::clone(callee),
            instance: Arc::clone(&gateway.instance),
        }
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.fields
            .get(Name::ContentType)
            .and_then(|value| value.get(.."text/event-stream".len()))
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    }

    /// Its body, to be passed on as `form`.
    pub(super) fn relay(self, form: Form, takes_trailers: bool) -> Relay {
        Relay::new(
            self.body,
            form,
            self.callee,
            self.instance,
            self.limits,
            (self.sent, self.came),
            takes_trailers,
        )
    }
}

/// Where the body of an answer comes from.
pub enum Source {
    /// From upstream, for this caller alone.
    Upstream(Incoming),
    /// From a recording, behind what was read of it already.
    Replay(Bytes, Replay),
    /// It is all here.
    Kept(Bytes),
}

impl Source {
    /// The next frame; `None` after the last.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        callee: &Callee,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Upstream(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|fault| broken(&fault, callee)),
            Self::Replay(first, replay) => {
                if !first.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))));
                }
                replay.poll_next(cx).map(|next| {
                    let next = next.map_err(flight::told).transpose()?;
                    Some(next.map(Frame::data))
                })
            }
            Self::Kept(bytes) => {
                let whole = std::mem::take(bytes);
                Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
            }
        }
    }

    /// Whether it is known that nothing more comes.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Replay(..) => false,
            Self::Kept(bytes) => bytes.is_empty(),
        }
    }
}
