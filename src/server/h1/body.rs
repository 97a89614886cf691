//! The body of a request between the connection that reads it and the gateway
//! that takes it: one piece at a time, and only when it is asked for.
//!
//! Both sides are polled by the same task as a rule, so the one asks the other
//! to look again by what its poll returns; where they are not, wakers do.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::http1::Malformed;

/// Where the connection leaves what it reads.
pub(super) struct Feed(Arc<Mutex<Slot>>);

/// Where the gateway finds it.
pub(super) struct Fed(Arc<Mutex<Slot>>);

/// What is between them. Held for a few moves at a time, and by no two threads
/// as a rule.
struct Slot {
    /// Read and not taken.
    ready: Bytes,
    /// How many bytes are to come behind that, where it is known.
    left: Option<u64>,
    over: bool,
    /// Why no more will come; told once.
    broken: Option<Broken>,
    /// The gateway wants more than there is.
    wanted: bool,
    taker: Waker,
    reader: Waker,
}

/// Why a body has no end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    /// The caller said less than it announced.
    Short,
    Malformed(Malformed),
}

/// A body of which `first` has come, and of the rest so much as `left` says.
pub(super) fn body(first: Bytes, left: Option<u64>) -> (Feed, Fed) {
    let slot = Arc::new(Mutex::new(Slot {
        ready: first,
        left,
        over: false,
        broken: None,
        wanted: false,
        taker: Waker::noop().clone(),
        reader: Waker::noop().clone(),
    }));
    (Feed(Arc::clone(&slot)), Fed(slot))
}

impl Feed {
    /// Whether more is wanted now. If not, the task of `cx` is woken when it
    /// is.
    pub(super) fn is_wanted(&self, cx: &Context<'_>) -> bool {
        let mut slot = self.0.lock();
        if !slot.wanted && !slot.reader.will_wake(cx.waker()) {
            slot.reader = cx.waker().clone();
        }
        slot.wanted
    }

    /// Whether more was wanted when it was last looked for.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.lock().wanted
    }

    /// Leaves a piece; `left` says how much is to come behind it, where that is
    /// known, and `over` that nothing is.
    pub(super) fn give(&self, data: Bytes, left: Option<u64>, over: bool, cx: &Context<'_>) {
        self.change(cx, |slot| {
            slot.ready = data;
            slot.left = left;
            slot.over = over;
        });
    }

    /// Says that no more will come.
    pub(super) fn breaks(&self, why: Broken, cx: &Context<'_>) {
        self.change(cx, |slot| slot.broken = Some(why));
    }

    fn change(&self, cx: &Context<'_>, change: impl FnOnce(&mut Slot)) {
        let mut slot = self.0.lock();
        change(&mut slot);
        slot.wanted = false;
        // The reader's own task looks again by itself.
        if !slot.taker.will_wake(cx.waker()) {
            slot.taker.wake_by_ref();
        }
    }
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut slot = self.0.lock();
        if !slot.ready.is_empty() {
            let data = std::mem::take(&mut slot.ready);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if slot.over {
            return Poll::Ready(None);
        }
        if let Some(why) = slot.broken {
            slot.over = true;
            return Poll::Ready(Some(Err(why)));
        }
        if !slot.taker.will_wake(cx.waker()) {
            slot.taker = cx.waker().clone();
        }
        if !slot.wanted {
            slot.wanted = true;
            if !slot.reader.will_wake(cx.waker()) {
                slot.reader.wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let slot = self.0.lock();
        slot.over && slot.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let slot = self.0.lock();
        let ready = slot.ready.len() as u64;
        match slot.left {
            Some(left) => SizeHint::with_exact(ready + left),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ended before its announced end"),
            Self::Malformed(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}
