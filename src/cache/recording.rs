//! One answer, written once and read by many, each from its first byte.
//!
//! A [`Recorder`] appends to a log, every [`Replay`] follows it at its own
//! pace, on whatever runtime: all they share is one short lock and ordinary
//! wakers, which are woken outside it. A reader that is late gets what it
//! missed in large pieces, one that is up to date gets each piece as it came.
//!
//! Up to its limit a recording is held whole, for newcomers and to be kept.
//! Past it the log is a window of that size: nobody joins, what everybody has
//! read is let go, and whoever falls a whole window behind is cut, unless all
//! are behind, when the recorder waits. What an answer *is*, this doesn't know.

mod pieces;
mod state;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::sync::Mutex;
use state::State;

#[cfg(test)]
mod tests;

/// A recording of at most `limit` bytes held, with its first reader. `H` is
/// what is known before the first byte, `F` why it failed.
pub fn recording<H, F: Clone>(limit: usize) -> (Recorder<H, F>, Replay<H, F>) {
    let log = Arc::new(Log {
        limit: limit as u64,
        state: Mutex::new(State::default()),
    });
    let replay = Replay {
        place: log.state.lock().admit(),
        log: log.clone(),
    };
    let recorder = Recorder {
        log,
        written: 0,
        woken: Vec::new(),
    };
    (recorder, replay)
}

/// Why a recording has no end, as one of its readers sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken<F> {
    /// The answer failed.
    Failed(F),
    /// The recorder was dropped before the end.
    Abandoned,
    /// This reader fell a whole window behind others and was cut.
    Lagging,
}

/// How a recording ended.
type End<F> = Result<(), Broken<F>>;

/// What the recorder and its readers share.
pub(super) struct Log<H, F> {
    /// Bytes held at most.
    limit: u64,
    /// Held for one step of one of them, never across a wake-up. A mutex and
    /// not a read-write lock, because every reader moves its own mark.
    state: Mutex<State<H, F>>,
}

impl<H, F: Clone> Log<H, F> {
    /// A reader from the first byte on, or `None` if there is nothing whole to
    /// be had: it failed, outgrew its limit, or its last reader has left. The
    /// same lock decides on leaving and on joining, so nobody is ever let into
    /// a recording that is being given up.
    pub(super) fn join(log: &Arc<Self>) -> Option<Replay<H, F>> {
        let place = log.state.lock().join(log.limit)?;
        Some(Replay {
            log: log.clone(),
            place,
        })
    }
}

/// Writes a recording. Dropped before an end, it leaves it [`Broken::Abandoned`].
pub struct Recorder<H, F: Clone> {
    log: Arc<Log<H, F>>,
    /// Bytes pushed.
    written: u64,
    /// Kept for its allocation; empty between calls.
    woken: Vec<Waker>,
}

impl<H, F: Clone> Recorder<H, F> {
    pub(super) fn log(&self) -> &Arc<Log<H, F>> {
        &self.log
    }

    /// Publishes what is known before the first byte. Only the first counts.
    pub fn head(&mut self, head: H) {
        self.publish(|state| {
            state.head.get_or_insert_with(|| Arc::new(head));
        });
    }

    /// Appends. After an end it does nothing.
    pub fn push(&mut self, bytes: Bytes) {
        self.written += bytes.len() as u64;
        self.publish(|state| {
            if state.end.is_none() {
                state.pieces.push(bytes);
            }
        });
    }

    /// Who reads it, to be asked from elsewhere.
    pub fn audience(&self) -> Audience<H, F> {
        Audience(Arc::clone(&self.log))
    }

    /// Whether all of it is still held, so that it may be kept.
    pub fn is_whole(&self) -> bool {
        self.written <= self.log.limit
    }

    /// Ends it. Returns the body in an allocation of its own size, if it is
    /// whole. As long as the recorder is not dropped newcomers are served from
    /// it, so that there is no gap between a flight and what is kept of it.
    ///
    /// Without a head there is nothing to read: that is [`Broken::Abandoned`].
    pub fn complete(&mut self) -> Option<Bytes> {
        // The copy is made outside the lock: only the recorder adds bytes.
        let held = {
            let mut state = self.log.state.lock();
            if state.end.is_none() && state.head.is_none() {
                state.end = Some(Err(Broken::Abandoned));
            }
            (state.end.is_none() && self.is_whole()).then(|| state.pieces.held())
        };
        let body = held.map(|held| pieces::joined(&held));
        let mut scattered = None;
        self.publish(|state| {
            if let Some(body) = &body {
                scattered = Some(state.pieces.replace(body.clone()));
            }
            state.end.get_or_insert(Ok(()));
        });
        body
    }

    /// Ends it with a failure, which readers see after what came before it.
    pub fn fail(&mut self, failure: F) {
        self.end(Err(Broken::Failed(failure)));
    }

    fn end(&mut self, end: End<F>) {
        self.publish(|state| {
            state.end.get_or_insert(end);
        });
    }

    /// Changes what readers see and wakes those who wait for it.
    fn publish(&mut self, change: impl FnOnce(&mut State<H, F>)) {
        let mut state = self.log.state.lock();
        change(&mut state);
        state.take_wakers(&mut self.woken);
        drop(state);
        self.woken.drain(..).for_each(Waker::wake);
    }

    /// Ready when more may be pushed: at once up to the limit, then when the
    /// window has room for it or can be given some by cutting who lags. Wakes
    /// one task, the one that also asks [`Recorder::poll_deserted`].
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_whole() {
            return Poll::Ready(());
        }
        let mut state = self.log.state.lock();
        state.is_full = !state.make_room(self.log.limit, &mut self.woken);
        if !state.is_full {
            drop(state);
            self.woken.drain(..).for_each(Waker::wake);
            return Poll::Ready(());
        }
        let stale = listen(&mut state.recorder, cx);
        drop(state);
        drop(stale);
        Poll::Pending
    }

    /// See [`Recorder::poll_room`]. To be awaited before more is read from
    /// upstream.
    pub async fn room(&mut self) {
        poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// Ready when the last reader has left before the end. Nobody joins then,
    /// and the upstream call may be cancelled.
    pub fn poll_deserted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.log.state.lock();
        if state.is_deserted {
            return Poll::Ready(());
        }
        let stale = listen(&mut state.recorder, cx);
        drop(state);
        drop(stale);
        Poll::Pending
    }

    /// See [`Recorder::poll_deserted`].
    pub async fn deserted(&self) {
        poll_fn(|cx| self.poll_deserted(cx)).await;
    }
}

impl<H, F: Clone> Drop for Recorder<H, F> {
    fn drop(&mut self) {
        self.end(Err(Broken::Abandoned));
    }
}

/// The readers of a recording.
pub struct Audience<H, F>(Arc<Log<H, F>>);

impl<H, F> Audience<H, F> {
    /// Whether the last of them has left before the end.
    pub fn is_gone(&self) -> bool {
        self.0.state.lock().is_deserted
    }

    /// Whether somebody reads on, and more may come.
    pub fn is_served(&self) -> bool {
        let state = self.0.state.lock();
        !state.is_deserted && state.end.is_none()
    }
}

/// Reads a recording from its first byte. The last one to be dropped before
/// the end leaves the recorder deserted.
pub struct Replay<H, F: Clone> {
    log: Arc<Log<H, F>>,
    place: usize,
}

impl<H, F: Clone> Replay<H, F> {
    /// What is known before the first byte, or why there won't be any.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<H>, Broken<F>>> {
        self.poll(cx, |state, place| state.head(place))
    }

    /// See [`Replay::poll_head`].
    pub async fn head(&mut self) -> Result<Arc<H>, Broken<F>> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// The next bytes, never empty; `None` at the end. What has come in the
    /// meantime comes together. Asked again, an end stays what it was.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken<F>>> {
        self.poll(cx, |state, place| state.read(place))
    }

    /// See [`Replay::poll_next`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken<F>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What `look` sees, or a wait until there is something to be seen.
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut State<H, F>, usize) -> Option<T>,
    ) -> Poll<T> {
        let mut state = self.log.state.lock();
        if let Some(seen) = look(&mut state, self.place) {
            let recorder = state.recorder_if_full();
            drop(state);
            wake(recorder);
            return Poll::Ready(seen);
        }
        let stale = state.waker(self.place).and_then(|waker| listen(waker, cx));
        drop(state);
        drop(stale);
        Poll::Pending
    }
}

impl<H, F: Clone> Drop for Replay<H, F> {
    fn drop(&mut self) {
        let mut state = self.log.state.lock();
        let (own, recorder) = state.leave(self.place);
        drop(state);
        drop(own);
        wake(recorder);
    }
}

/// Notes whom to wake. Returns whom it replaces, to be dropped outside the
/// lock: the last waker of a task may own a reader of this very recording.
fn listen(waker: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match waker {
        Some(known) if known.will_wake(cx.waker()) => None,
        _ => waker.replace(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
