//! A call that has begun to answer: the head, and where the rest comes from.
//!
//! The rest comes from upstream, from a recording that others read too, or is
//! here already because it was kept. What is done with it doesn't depend on
//! which: a caller gets a shared answer by the same code as one of its own.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use super::attempt::{Limits, broken};
use super::crossing::Crossed;
use super::events::Events;
use super::flight::{self, Head, Replay};
use super::plan::Callee;
use super::relay::{Form, Relay};
use super::{Gateway, Instance};
use crate::dialect::Format;
use crate::dialect::loss::Losses;
use crate::error::Error;
use crate::http1::{Fields, Name};
use crate::upstream::Incoming;
use crate::upstream::admission::Permit;
use crate::upstream::limit::Outcome;
use crate::upstream::standing::{End, Pending};

/// A call that has begun to answer.
pub(super) struct Asked {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    /// The form it is in. Of a raw call, which is not looked into, it says
    /// nothing.
    pub(super) format: Format,
    pub(super) body: Source,
    pub(super) limits: Limits,
    /// When it went upstream.
    pub(super) sent: Instant,
    /// When the head came.
    pub(super) came: Instant,
    /// What it holds of its target until it ends.
    pub(super) charge: Option<Box<Charge>>,
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
    ) -> Box<Self> {
        Box::new(Self {
            status: head.status,
            fields: head.fields.clone(),
            format: head.format,
            body,
            limits: limits.of_reader(),
            sent,
            came: Instant::now(),
            charge: None,
            callee: Arc::clone(callee),
            instance: Arc::clone(&gateway.instance),
        })
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.fields
            .get(Name::ContentType)
            .and_then(|value| value.get(.."text/event-stream".len()))
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    }

    /// Begins to read its body as `form`, before it is known whether it will be
    /// passed on at all.
    pub(super) fn begin(mut self: Box<Self>, form: Form) -> (Begun, Relay) {
        let body = std::mem::replace(&mut self.body, Source::Kept(Bytes::new()));
        let relay = Relay::new(
            body,
            form,
            Arc::clone(&self.callee),
            Arc::clone(&self.instance),
            self.limits,
            (self.sent, self.came),
            false,
        );
        let ready = VecDeque::new();
        (Begun { asked: self, ready }, relay)
    }

    /// Whether all of it is here.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.body, Source::Kept(_))
    }

    /// What of it has been read and not been passed on, if that is one piece.
    pub(super) fn ready(&self) -> &[u8] {
        match &self.body {
            Source::Kept(bytes) => bytes,
            Source::After(ready, ..) => ready.front().map_or(&[], |bytes| bytes),
            Source::Upstream(_) | Source::Replay(..) | Source::Crossed(_) => &[],
        }
    }

    /// Its body, to be passed on as `form`.
    pub(super) fn relay(self: Box<Self>, form: Form, takes_trailers: bool) -> Relay {
        Relay::new(
            self.body,
            form,
            self.callee,
            self.instance,
            self.limits,
            (self.sent, self.came),
            takes_trailers,
        )
        .charged(self.charge)
    }

    /// The same, holding this until it ends; which it has, if it is all here.
    pub(super) fn charged(mut self: Box<Self>, charge: Option<Charge>, now: Instant) -> Box<Self> {
        match (&self.body, charge) {
            (Source::Kept(_), Some(charge)) => {
                charge.end(now, End::Answered { tokens: None });
            }
            (_, charge) => self.charge = charge.map(Box::new),
        }
        self
    }
}

/// What an answer on its way holds of its target. Dropped, it is given back and
/// says nothing: the caller has left.
pub(super) struct Charge {
    /// None for a raw call, of which nothing is known.
    pub(super) pending: Option<Pending>,
    pub(super) permit: Permit,
}

impl Charge {
    /// The first content has come: what tells how quick the target is. The head
    /// of a stream may be there long before.
    pub(super) fn first_content(&mut self, now: Instant) {
        if let Some(pending) = &mut self.pending {
            pending.first_content(now);
        }
        self.permit.report(now, Outcome::Answered);
    }

    /// The answer has ended. True if this put its target out.
    pub(super) fn end(mut self, now: Instant, end: End) -> bool {
        // Of one that ends without content it is the first that is heard.
        let outcome = match end {
            End::Failed => Outcome::Failed,
            _ => Outcome::Answered,
        };
        self.permit.report(now, outcome);
        let is_out = self.pending.is_some_and(|pending| pending.end(now, end));
        drop(self.permit);
        is_out
    }
}

/// An answer some of which has been read.
pub(super) struct Begun {
    asked: Box<Asked>,
    /// What has been read.
    pub(super) ready: VecDeque<Bytes>,
}

impl Begun {
    /// The answer, all of which was read.
    pub(super) fn over(mut self) -> Box<Asked> {
        let nothing = Source::Kept(Bytes::new());
        self.asked.body = Source::After(self.ready, None, Box::new(nothing));
        self.asked
    }

    /// The answer, which is this.
    pub(super) fn whole(mut self, body: Bytes) -> Box<Asked> {
        self.asked.body = Source::Kept(body);
        self.asked
    }

    /// The answer, the rest of which `relay` was going to read.
    pub(super) fn going_on(mut self, relay: Relay) -> Box<Asked> {
        let (mut held, events, rest) = relay.stop();
        self.ready.append(&mut held);
        self.asked.body = Source::After(self.ready, events, Box::new(rest));
        self.asked
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
    /// These pieces are here, and were looked at by this, which may hold the
    /// beginning of one more; the rest comes from there.
    After(VecDeque<Bytes>, Option<Box<Events>>, Box<Self>),
    /// In another format, translated as it comes.
    Crossed(Box<Crossed>),
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
            Self::After(ready, events, rest) => {
                let part = || events.take().map(|mut events| events.framer.rest());
                match ready.pop_front().or_else(part) {
                    Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    _ => rest.poll_frame(cx, callee),
                }
            }
            Self::Crossed(crossed) => crossed.poll_frame(cx, callee),
        }
    }

    /// What got lost of it on its way into the caller's format, until now.
    pub(super) fn losses(&self) -> Option<&Losses> {
        match self {
            Self::Upstream(_) | Self::Replay(..) | Self::Kept(_) => None,
            Self::After(.., rest) => rest.losses(),
            Self::Crossed(crossed) => Some(crossed.losses()),
        }
    }

    /// Whether it is known that nothing more comes.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Replay(..) => false,
            Self::Kept(bytes) => bytes.is_empty(),
            Self::After(ready, events, rest) => {
                ready.is_empty() && events.is_none() && rest.is_end_stream()
            }
            Self::Crossed(crossed) => crossed.is_over(),
        }
    }
}
