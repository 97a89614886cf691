//! Passes an answer on as it arrives.
//!
//! Bytes are handed to the caller as soon as they make whole frames, looked at
//! on the way and never rewritten. A caller who reads slowly is not read ahead
//! of: nothing is taken from upstream while nothing is taken from us. A stream
//! that breaks off ends with an error event in the caller's format, never with
//! a made-up end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::sync::futures::OwnedNotified;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::Instance;
use super::asked::{Charge, Source};
use super::attempt::{Attempt, Limits, drained};
use super::events::Events;
use super::plain::Plain;
use super::plan::Callee;
use crate::dialect::generate::Refusal;
use crate::dialect::{Ending, ErrorView, Format, Watch, answer, error_event};
use crate::error::{Error, Kind};
use crate::upstream::standing::End;

/// An answer on its way.
pub struct Relay {
    body: Source,
    form: Form,
    /// Made ready and not yet handed out; a handful at most, because nothing
    /// is read while something is here.
    ready: VecDeque<Bytes>,
    callee: Arc<Callee>,
    instance: Arc<Instance>,
    limits: Limits,
    sent: Instant,
    last: Instant,
    /// Made at the first wait.
    alarms: Option<Box<Alarms>>,
    stage: Stage,
    takes_trailers: bool,
    trailers: Option<HeaderMap>,
    /// What it holds of its target until it ends.
    charge: Option<Box<Charge>>,
    /// Why it broke off; told once everything made ready has gone out.
    broken: Option<Error>,
}

/// What ends a wait for upstream.
struct Alarms {
    timer: Pin<Box<Sleep>>,
    /// The process ends.
    over: Pin<Box<OwnedNotified>>,
    /// Whom they wake.
    heard_by: Waker,
    /// Whether they were set once content had come, when another bound holds.
    content: bool,
}

impl Alarms {
    /// Whether nothing need be done to be woken in time. While events come
    /// the bound of the next only moves away from what the timer is set to.
    fn are_set(&self, cx: &Context<'_>, content: bool) -> bool {
        self.content == content && self.heard_by.will_wake(cx.waker()) && !self.timer.is_elapsed()
    }
}

/// What the answer is to the caller.
pub enum Form {
    /// Bytes, not looked at.
    Raw,
    /// An answer in one piece, too large to be held.
    Long(Long),
    /// A stream in the caller's own format.
    Events(Events),
    /// A stream turned into the plain endpoint's.
    Plain(Plain),
}

/// A large answer whose end is kept as it passes, for the usage told there.
pub struct Long {
    format: Format,
    end: Vec<u8>,
}

/// How much of a large answer's end is kept: its usage and what little
/// follows that.
const END_KEPT: usize = 4 << 10;

impl Long {
    fn see(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(END_KEPT)..];
        let old = self.end.len().min(END_KEPT - new.len());
        self.end.drain(..self.end.len() - old);
        self.end.extend_from_slice(new);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Upstream may send more.
    Flowing,
    /// Everything is made ready; the trailers follow.
    Ended,
    /// The last has been handed out.
    Done,
}

/// One step of a relay.
pub enum Step {
    /// Bytes for the caller.
    Data(Bytes),
    /// The end, with what follows it.
    End(Option<HeaderMap>),
    /// It broke off. Nothing has been told to the caller yet.
    Broken(Error),
}

impl Relay {
    /// A relay of `body`, whose head `came` in answer to a call `sent` before.
    pub fn new(
        body: Source,
        form: Form,
        callee: Arc<Callee>,
        instance: Arc<Instance>,
        limits: Limits,
        (sent, came): (Instant, Instant),
        takes_trailers: bool,
    ) -> Self {
        // What was looked at before need not be again.
        let (ready, form, body) = match (body, form) {
            (Source::After(ready, Some(events), rest), Form::Events(wanted))
                if wanted.looks_like(&events) =>
            {
                (ready, Form::Events(*events), *rest)
            }
            (body, form) => (VecDeque::new(), form, body),
        };
        Self {
            body,
            form,
            ready,
            callee,
            instance,
            limits,
            sent,
            last: came,
            alarms: None,
            stage: Stage::Flowing,
            takes_trailers,
            trailers: None,
            charge: None,
            broken: None,
        }
    }

    /// The same, holding this until it ends.
    pub(super) fn charged(mut self, charge: Option<Box<Charge>>) -> Self {
        self.charge = charge;
        self
    }

    /// Gives back what it held of its target, and says how it ended.
    fn discharge(&mut self, failed: bool) {
        let Some(charge) = self.charge.take() else {
            return;
        };
        let tokens = self.watch().and_then(Watch::usage);
        let tokens = tokens.and_then(|usage| u32::try_from(usage.output).ok());
        let end = match failed {
            true => End::Failed,
            false => End::Answered { tokens },
        };
        if charge.end(Instant::now(), end) {
            self.callee.traffic.counts.ejections.inc();
        }
    }

    /// Waits for the first bytes there are for the caller, so that a failure
    /// before them still has a status of its own. A caller who bounds the wait
    /// for the head gets it in time, bytes or not.
    pub async fn begin(&mut self, attempt: &mut Attempt) -> Result<(), Error> {
        let asked = Instant::now();
        let patience = self.limits.head_patience();
        let first = poll_fn(|cx| self.poll_step(cx, attempt));
        let step = match patience {
            None => Some(first.await),
            Some(until) => timeout_at(until, first).await.ok(),
        };
        attempt.waited += asked.elapsed();
        match step {
            Some(Step::Data(bytes)) => self.ready.push_front(bytes),
            Some(Step::End(trailers)) => {
                self.trailers = trailers;
                self.stage = Stage::Ended;
            }
            Some(Step::Broken(error)) => return Err(error),
            None => {}
        }
        Ok(())
    }

    /// Reads the whole answer if it has at most `max` bytes. `None` leaves the
    /// relay as it was, to be passed on as it arrives.
    pub async fn collect(
        &mut self,
        max: usize,
        attempt: &mut Attempt,
    ) -> Result<Option<Bytes>, Error> {
        let asked = Instant::now();
        let mut pieces = VecDeque::new();
        let mut size = 0;
        let whole = loop {
            match poll_fn(|cx| self.poll_step(cx, attempt)).await {
                Step::Data(bytes) => {
                    size += bytes.len();
                    pieces.push_back(bytes);
                    if size > max {
                        break false;
                    }
                }
                Step::End(_) => break true,
                Step::Broken(error) => return Err(error),
            }
        };
        attempt.waited += asked.elapsed();
        if !whole {
            pieces.append(&mut self.ready);
            self.ready = pieces;
            return Ok(None);
        }
        // One piece, the usual case, is not copied.
        if pieces.len() <= 1 {
            return Ok(Some(pieces.pop_front().unwrap_or_default()));
        }
        let mut joined = BytesMut::with_capacity(size);
        for piece in pieces {
            joined.extend_from_slice(&piece);
        }
        Ok(Some(joined.freeze()))
    }

    /// Stops reading: what was read and has not been handed out, what has looked
    /// at it, and where the rest comes from. Only for a relay that changes nothing
    /// of what it passes on.
    pub(super) fn stop(self) -> (VecDeque<Bytes>, Option<Box<Events>>, Source) {
        let events = match self.form {
            Form::Events(events) => Some(Box::new(events)),
            _ => None,
        };
        (self.ready, events, self.body)
    }

    /// Looks for the usage of an answer of `format` that was not held, some
    /// of which is ready to go out.
    pub fn look_at_the_end(&mut self, format: Format) {
        let mut long = Long {
            format,
            end: Vec::with_capacity(END_KEPT),
        };
        for bytes in &self.ready {
            long.see(bytes);
        }
        self.form = Form::Long(long);
    }

    /// The next step. After [`Step::Broken`] the caller is told by
    /// [`Relay::tell`].
    pub fn poll_step(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Step> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Step::Data(bytes));
            }
            if let Some(error) = self.broken.take() {
                self.stage = Stage::Done;
                return Poll::Ready(Step::Broken(error));
            }
            match self.stage {
                Stage::Flowing => {}
                Stage::Ended => {
                    self.stage = Stage::Done;
                    return Poll::Ready(Step::End(self.closing_trailers()));
                }
                Stage::Done => return Poll::Ready(Step::End(None)),
            }
            self.broken = ready!(self.poll_upstream(cx, attempt)).err();
            if self.broken.is_some() || self.stage == Stage::Ended {
                let has_failed = self.broken.is_some() || self.ending() == Some(Ending::Failed);
                self.discharge(has_failed);
            }
        }
    }

    /// Takes one frame from upstream and makes of it what is ready.
    fn poll_upstream(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Result<(), Error>> {
        match self.body.poll_frame(cx, &self.callee) {
            Poll::Ready(Some(Ok(frame))) => {
                self.last = Instant::now();
                Poll::Ready(match frame.into_data() {
                    Ok(bytes) => self.take(bytes, attempt),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        Ok(())
                    }
                })
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.unless_ended(error)),
            Poll::Ready(None) => Poll::Ready(self.end()),
            Poll::Pending => {
                let error = ready!(self.poll_bounds(cx, attempt));
                Poll::Ready(self.unless_ended(error))
            }
        }
    }

    /// Once the terminal event has been seen the answer is whole, and how its
    /// connection ends is not the caller's concern.
    fn unless_ended(&mut self, error: Error) -> Result<(), Error> {
        if self.ending() == Some(Ending::Terminal) {
            self.end()
        } else {
            Err(error)
        }
    }

    fn take(&mut self, bytes: Bytes, attempt: &mut Attempt) -> Result<(), Error> {
        let mut taken = Ok(());
        if let Form::Long(long) = &mut self.form {
            long.see(&bytes);
        }
        let content = match &mut self.form {
            Form::Raw | Form::Long(_) => {
                if !bytes.is_empty() {
                    self.ready.push_back(bytes);
                }
                true
            }
            Form::Events(events) => events.take(bytes, &mut self.ready),
            Form::Plain(plain) => {
                taken = plain.take(bytes, &mut self.ready);
                plain.has_said()
            }
        };
        if content && attempt.first_content.is_none() {
            attempt.first_content = Some(self.last);
            if let Some(charge) = &mut self.charge {
                charge.first_content(self.last);
            }
        }
        taken
    }

    /// Upstream's bytes are over: was the answer?
    fn end(&mut self) -> Result<(), Error> {
        match &mut self.form {
            Form::Raw | Form::Long(_) => {}
            Form::Events(events) => {
                let rest = events.framer.rest();
                if !rest.is_empty() {
                    // Half a frame counts only if it makes the answer whole:
                    // else it is not passed on, and was never seen.
                    let mut watch = events.watch.clone();
                    watch.see(&rest);
                    if watch.ending() != Ending::Open {
                        events.watch = watch;
                        self.ready.push_back(rest);
                    }
                }
                if events.watch.ending() == Ending::Open {
                    return Err(cut_short(&self.callee));
                }
            }
            Form::Plain(plain) => {
                if !plain.finish(&mut self.ready)? {
                    return Err(cut_short(&self.callee));
                }
            }
        }
        self.stage = Stage::Ended;
        Ok(())
    }

    /// Nothing has come: is it late, or is the process ending?
    ///
    /// A stream waits here once per event and more, so what was set up for the
    /// same waker is left alone: its timer, which rings at the bound of an
    /// earlier wait and is moved then, and its place among those who wait for
    /// the end.
    fn poll_bounds(&mut self, cx: &mut Context<'_>, attempt: &Attempt) -> Poll<Error> {
        let drain = &self.instance.drain;
        let content = attempt.first_content.is_some();
        let set = self.alarms.as_ref();
        if set.is_some_and(|alarms| alarms.are_set(cx, content)) && !drain.is_over() {
            return Poll::Pending;
        }
        let (at, bound) = self.limits.next(self.last, self.sent, content);
        let alarms = self.alarms.get_or_insert_with(|| {
            Box::new(Alarms {
                timer: Box::pin(sleep_until(at)),
                over: Box::pin(drain.over()),
                heard_by: Waker::noop().clone(),
                content,
            })
        });
        alarms.content = content;
        if !alarms.heard_by.will_wake(cx.waker()) {
            alarms.heard_by = cx.waker().clone();
            // Told or not, the flag below says it.
            let _ = alarms.over.as_mut().poll(cx);
        }
        if drain.is_over() {
            return Poll::Ready(drained());
        }
        if alarms.timer.deadline() > at {
            alarms.timer.as_mut().reset(at);
        }
        loop {
            // Out of turn: a timer that was told to wait its turn is not set.
            ready!(pin!(unconstrained(alarms.timer.as_mut())).poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(self.limits.passed(bound, &self.callee));
            }
            alarms.timer.as_mut().reset(at);
        }
    }

    /// Tells the caller of an answer that broke off after its head had gone
    /// out. `None` where the form has no words for it: then the connection is
    /// cut, which is the only honest sign left.
    pub fn tell(&mut self, error: &Error, request_id: &str) -> Option<Bytes> {
        let view = ErrorView::new(error, request_id);
        match &self.form {
            Form::Raw | Form::Long(_) => None,
            Form::Events(events) => {
                let event = error_event(events.format, &view, events.watch.next_sequence_number());
                if !events.within_frame {
                    return Some(event);
                }
                let mut joined = BytesMut::from(&b"\n\n"[..]);
                joined.extend_from_slice(&event);
                Some(joined.freeze())
            }
            Form::Plain(plain) => plain.tell(&view),
        }
    }

    /// Whether every byte of an answer of known length has been handed out.
    pub fn is_over(&self) -> bool {
        matches!(self.form, Form::Raw | Form::Long(_))
            && self.ready.is_empty()
            && self.body.is_end_stream()
    }

    /// Notes what the stream has told of itself until now.
    pub fn settle(&self, attempt: &mut Attempt) {
        if let Form::Long(long) = &self.form {
            attempt.usage = answer::usage_at_end(long.format, &long.end);
        }
        if let Some(losses) = self.body.losses() {
            attempt.dropped.extend(losses);
        }
        if let Some(watch) = self.watch() {
            attempt.usage = watch.usage();
            attempt.finish = watch.finish();
        }
    }

    /// Whether anything of it got lost on its way into the caller's format.
    pub fn loses(&self) -> bool {
        self.body.losses().is_some_and(|losses| !losses.is_empty())
    }

    /// How the stream stands; nothing where it isn't watched.
    pub fn ending(&self) -> Option<Ending> {
        self.watch().map(Watch::ending)
    }

    /// What a provider has said in place of the rest, where that is told in words
    /// of the plain endpoint's.
    pub(super) fn refusal(&self) -> Option<&(Refusal, StatusCode)> {
        match &self.form {
            Form::Plain(plain) => plain.refusal(),
            Form::Raw | Form::Long(_) | Form::Events(_) => None,
        }
    }

    fn watch(&self) -> Option<&Watch> {
        match &self.form {
            Form::Raw | Form::Long(_) => None,
            Form::Events(events) => Some(&events.watch),
            Form::Plain(plain) => Some(plain.watch()),
        }
    }

    /// What follows the end, for a caller who takes it.
    fn closing_trailers(&mut self) -> Option<HeaderMap> {
        let theirs = self.trailers.take();
        self.takes_trailers.then(|| theirs.unwrap_or_default())
    }
}

pub(super) fn cut_short(callee: &Callee) -> Error {
    Error::new(
        Kind::UpstreamProtocol,
        format!(
            "{}: the stream ended before its terminal event, so the answer is not whole",
            callee.provider.name
        ),
    )
}

/// The error of a stream that carried what can't be read.
pub(super) fn unfit(provider: &str, what: &str) -> Error {
    let message = format!("{provider}: the stream carried {what}");
    Error::new(Kind::UpstreamProtocol, message)
}
