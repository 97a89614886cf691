//! The body of an answer, handed out in time, and the faults that strike in
//! the middle of it.
//!
//! A body that is whole and honest is one frame. Everything else is a [`Play`]:
//! events at their times, each with a write of its own, until the end or a
//! strike. Waits follow a schedule and not each other, so that timer
//! granularity does not add up over a long answer.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::dice::Dice;
use super::line::Switch;
use super::script::{Beat, Script};
use super::spread::Pace;
use super::tally::Tally;

/// Between two pieces of a dripping body.
const DRIP: Duration = Duration::from_millis(10);

/// The body of one answer.
#[derive(Debug)]
pub(crate) struct Playback {
    kind: Kind,
    /// Absent for `/sim/…`, which does not count itself.
    tally: Option<Tally>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Play(Box<Play>),
}

/// A body with a course of events.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) source: Source,
    /// Between two tokens.
    pub(crate) gap: Pace,
    pub(crate) dice: Dice,
    /// Events to a write.
    pub(crate) burst: usize,
    /// What happens, and after how many events.
    pub(crate) strike: Option<(u64, Strike)>,
    /// Bytes to a piece, where the body drips.
    pub(crate) drip: Option<usize>,
    pub(crate) gzip: Option<GzEncoder<Vec<u8>>>,
    pub(crate) trailers: bool,
    /// Whether the last bytes are written before the end is known: where the
    /// end itself is a fault.
    pub(crate) lingers: bool,
    stage: Stage,
    /// Whether a strike is what ended it.
    is_cut: bool,
    /// Events taken from the source.
    sent: u64,
    /// When the latest token was due.
    due: Instant,
    /// Whether the wait for the next token is over.
    is_due: bool,
    /// Set while `waiting`; kept for its allocation.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Whether to hand control back once, so that what was given is written.
    flushing: bool,
    scratch: BytesMut,
    /// Rendered, not yet handed out.
    ready: Bytes,
    /// What follows of an oversized event.
    long: Option<Long>,
}

/// The rest of an event that nobody should have to hold, the simulator neither.
#[derive(Debug)]
struct Long {
    /// Bytes of its token.
    left: usize,
    end: Bytes,
}

/// A piece of such a token.
static FILLER: [u8; 16 << 10] = [b'x'; 16 << 10];

/// Where a body's bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    Script(Box<Script>),
    Pieces(std::vec::IntoIter<Bytes>),
    /// The same block again and again.
    Blocks {
        left: u64,
        block: Bytes,
    },
}

/// What can happen in the middle of a body.
#[derive(Debug)]
pub(crate) enum Strike {
    /// The stream is reset; on HTTP/1.1 with the connection it is all of.
    Reset(Option<Arc<Switch>>),
    Stall,
    /// These bytes come between the events.
    Insert(Bytes),
    /// The provider's error event, with this request id, is the last.
    Error(String),
    /// An event with a token of this many bytes.
    Oversized(usize),
    End,
}

#[derive(Debug)]
enum Stage {
    Telling,
    Resetting(Option<Arc<Switch>>),
    Stalled,
    Ended,
    Trailed,
}

impl Playback {
    /// A body in one piece.
    pub(crate) fn whole(bytes: Bytes, mut tally: Option<Tally>) -> Self {
        // Nobody asks an empty body for its bytes, so this is all of it.
        if let Some(tally) = tally.as_mut().filter(|_| bytes.is_empty()) {
            tally.finished();
        }
        Self {
            kind: Kind::Whole(bytes),
            tally,
        }
    }

    /// A body with a course of events.
    pub(crate) fn play(play: Play, tally: Tally) -> Self {
        Self {
            kind: Kind::Play(Box::new(play)),
            tally: Some(tally),
        }
    }

    fn finished(&mut self) {
        if let Some(tally) = &mut self.tally {
            tally.finished();
        }
    }
}

impl Play {
    /// `source` from `start` on, which may lie ahead, without anything else
    /// happening to it.
    pub(crate) fn new(source: Source, start: Instant) -> Self {
        let waiting = start > Instant::now();
        Self {
            source,
            gap: Pace::ZERO,
            dice: Dice::new(0),
            burst: 1,
            strike: None,
            drip: None,
            gzip: None,
            trailers: false,
            lingers: false,
            stage: Stage::Telling,
            is_cut: false,
            sent: 0,
            due: start,
            is_due: false,
            timer: waiting.then(|| Box::pin(sleep_until(start))),
            waiting,
            flushing: false,
            scratch: BytesMut::new(),
            ready: Bytes::new(),
            long: None,
        }
    }

    /// Compresses the body.
    pub(crate) fn compress(&mut self) {
        self.gzip = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        loop {
            if self.waiting {
                if let Some(timer) = &mut self.timer {
                    ready!(timer.as_mut().poll(cx));
                }
                self.waiting = false;
            }
            if std::mem::take(&mut self.flushing) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.ready.is_empty() {
                self.lengthen();
            }
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.hand_out()))));
            }
            match std::mem::replace(&mut self.stage, Stage::Trailed) {
                Stage::Telling => {
                    self.stage = Stage::Telling;
                    self.advance();
                }
                Stage::Resetting(connection) => {
                    if let Some(switch) = connection {
                        switch.abrupt();
                    }
                    return Poll::Ready(Some(Err(h2::Reason::INTERNAL_ERROR.into())));
                }
                Stage::Stalled => {
                    self.stage = Stage::Stalled;
                    return Poll::Pending;
                }
                Stage::Ended if self.trailers => return Poll::Ready(Some(Ok(trailer()))),
                Stage::Ended | Stage::Trailed => return Poll::Ready(None),
            }
        }
    }

    /// Whether nothing follows what has been handed out.
    fn is_over(&self) -> bool {
        let told = match self.stage {
            Stage::Telling => self.source.next().is_none() && self.gzip.is_none(),
            Stage::Ended => !self.trailers,
            Stage::Trailed => true,
            Stage::Resetting(_) | Stage::Stalled => false,
        };
        let struck = self.strike.as_ref().is_some_and(|(at, _)| self.sent >= *at);
        told && self.ready.is_empty() && self.long.is_none() && !struck && !self.trailers
    }

    /// Makes more of an oversized event ready, if one is under way.
    fn lengthen(&mut self) {
        let Some(long) = &mut self.long else { return };
        let bytes = long.left.min(FILLER.len());
        long.left -= bytes;
        self.ready = Bytes::from_static(&FILLER[..bytes]);
        if bytes == 0 {
            self.ready = std::mem::take(&mut long.end);
            self.long = None;
        }
        self.pack();
    }

    /// Takes the next step of the course: a strike, a wait, some events or the
    /// end.
    fn advance(&mut self) {
        if let Some((_, strike)) = self.strike.take_if(|(at, _)| self.sent >= *at) {
            return self.struck(strike);
        }
        match self.source.next() {
            None => {
                if let Some(gzip) = self.gzip.take() {
                    // Writing to memory does not fail; an empty end would be a truncation.
                    self.ready = Bytes::from(gzip.finish().unwrap_or_default());
                }
                self.stage = Stage::Ended;
            }
            Some(Beat::Token) if !self.is_due && !self.gap.is_zero() => {
                self.due += self.gap.draw(&mut self.dice);
                self.wait_until(self.due);
                self.is_due = true;
            }
            Some(_) => self.tell(),
        }
    }

    /// Renders what is due now: at most `burst` events.
    fn tell(&mut self) {
        for _ in 0..self.burst {
            match &mut self.source {
                Source::Script(script) => script.render(&mut self.scratch),
                Source::Pieces(pieces) => self.ready = pieces.next().unwrap_or_default(),
                Source::Blocks { left, block } => {
                    let bytes = (block.len() as u64).min(*left);
                    *left -= bytes;
                    self.ready = block.slice(..bytes as usize);
                }
            }
            self.sent += 1;
            self.is_due = false;
            let is_struck = self.strike.as_ref().is_some_and(|(at, _)| self.sent >= *at);
            let waits = match self.source.next() {
                Some(Beat::Token) => !self.gap.is_zero(),
                Some(Beat::Now) => !matches!(self.source, Source::Script(_)),
                None => true,
            };
            if is_struck || waits {
                break;
            }
        }
        if let Source::Script(_) = self.source {
            self.ready = self.scratch.split().freeze();
        }
        self.pack();
    }

    fn struck(&mut self, strike: Strike) {
        self.is_cut = matches!(strike, Strike::Error(_) | Strike::End);
        match strike {
            Strike::Reset(connection) => {
                // The head may not be out yet: a reset behind it must not overtake it.
                self.flushing = true;
                self.stage = Stage::Resetting(connection);
            }
            Strike::Stall => self.stage = Stage::Stalled,
            Strike::Insert(bytes) => self.ready = bytes,
            Strike::Error(request_id) => {
                if let Source::Script(script) = &self.source {
                    self.ready = script.error(self.sent, &request_id);
                }
                self.stage = Stage::Ended;
            }
            Strike::Oversized(left) => {
                if let Source::Script(script) = &mut self.source {
                    let room = script.render_oversized(&mut self.scratch);
                    self.ready = self.scratch.split_to(room).freeze();
                    let end = self.scratch.split().freeze();
                    self.long = Some(Long { left, end });
                }
            }
            Strike::End => self.stage = Stage::Ended,
        }
        self.pack();
    }

    /// Compresses what is ready, where the body is compressed.
    fn pack(&mut self) {
        let Some(gzip) = &mut self.gzip else { return };
        if self.ready.is_empty() {
            return;
        }
        // A sync flush per write: a compressed stream is still a stream. Memory takes any write.
        let _ = gzip.write_all(&self.ready).and_then(|()| gzip.flush());
        self.ready = Bytes::from(std::mem::take(gzip.get_mut()));
    }

    /// The next piece of what is ready.
    fn hand_out(&mut self) -> Bytes {
        match self.drip {
            Some(bytes) if self.ready.len() > bytes => {
                self.wait_until(Instant::now() + DRIP);
                self.ready.split_to(bytes)
            }
            Some(_) => {
                self.wait_until(Instant::now() + DRIP);
                std::mem::take(&mut self.ready)
            }
            None => {
                let bytes = std::mem::take(&mut self.ready);
                // The end needs no write of its own.
                self.flushing = self.lingers || !self.is_over();
                bytes
            }
        }
    }

    fn wait_until(&mut self, due: Instant) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(due),
            None => self.timer = Some(Box::pin(sleep_until(due))),
        }
        self.waiting = true;
    }
}

impl Source {
    /// How many pieces are left, where it is made of pieces and no stream of
    /// events.
    pub(crate) fn pieces(&self) -> Option<u64> {
        match self {
            Self::Script(_) => None,
            Self::Pieces(pieces) => Some(pieces.len() as u64),
            Self::Blocks { left, block } => Some(left.div_ceil(block.len().max(1) as u64)),
        }
    }

    fn next(&self) -> Option<Beat> {
        match self {
            Self::Script(script) => script.next(),
            Self::Pieces(pieces) => (!pieces.as_slice().is_empty()).then_some(Beat::Now),
            Self::Blocks { left, .. } => (*left > 0).then_some(Beat::Now),
        }
    }
}

fn trailer() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert(
        HeaderName::from_static("x-sim-trailer"),
        HeaderValue::from_static("1"),
    );
    Frame::trailers(trailers)
}

impl Body for Playback {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.finished();
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::Play(play) => {
                let frame = ready!(play.poll_next(cx));
                if let (Some(tally), Source::Script(script)) = (&mut this.tally, &play.source) {
                    tally.said(script.told());
                }
                let is_broken = matches!(frame, Some(Err(_)));
                // Where the length is known nobody polls for the end, so it is noticed here.
                let is_over = frame.is_none() || play.is_over();
                match &mut this.tally {
                    Some(tally) if is_broken || (is_over && play.is_cut) => tally.struck(),
                    Some(tally) if is_over => tally.finished(),
                    _ => {}
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.kind, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Play(_) => SizeHint::default(),
        }
    }
}
