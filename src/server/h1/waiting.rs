//! What ends a wait for a caller: the time, and the end of the process.
//!
//! A connection that is busy waits after each of its requests, so the timer is
//! moved only when it rings or would ring too late.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::gateway::drain::Drain;

/// The alarms of one connection.
pub(super) struct Waiting<'a> {
    drain: &'a Drain,
    timer: Pin<Box<Sleep>>,
    /// The drain begins.
    begun: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    /// Whom they wake.
    heard_by: Waker,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(drain: &'a Drain) -> Self {
        Self {
            drain,
            timer: Box::pin(sleep_until(Instant::now())),
            begun: Box::pin(drain.begun()),
            heard_by: Waker::noop().clone(),
        }
    }

    /// Whether nothing new is to be begun.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_draining()
    }

    /// Ready once it is `at`. Until then the task of `cx` is woken for that, and
    /// when the drain begins.
    pub(super) fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let heard = self.heard_by.will_wake(cx.waker());
        if !heard {
            self.heard_by = cx.waker().clone();
            if !self.drain.is_draining() {
                // Told or not, the flag says it.
                let _ = self.begun.as_mut().poll(cx);
            }
        }
        if heard && self.timer.deadline() <= at && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            if self.timer.deadline() > at || self.timer.is_elapsed() {
                if Instant::now() >= at {
                    return Poll::Ready(());
                }
                self.timer.as_mut().reset(at);
            }
            // Out of turn: a timer that was told to wait its turn is not set.
            let timer = pin!(unconstrained(self.timer.as_mut()));
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
