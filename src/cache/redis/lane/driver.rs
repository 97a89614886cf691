//! What a lane's task does: sends what is asked, reads what is answered, and
//! tells who waits for it.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::LARGEST_VALUE;
use super::super::dial::Io;
use super::super::sought::{Name, Outcome, better};
use super::super::wire::{self, Junk, Next, Reply};
use super::{Hold, Lane, LookUp};
use crate::metrics::cache::Miss;

/// What is read at once: some thirty answers of 4 KiB, packed. More is held
/// only while a larger one comes in.
const INBOX: usize = 64 << 10;

/// Drives one connection.
pub(super) struct Driver {
    lane: Arc<Lane>,
    epoch: u64,
    io: Box<dyn Io>,
    /// Commands on their way, and how much of them is gone.
    outbox: Vec<u8>,
    sent: usize,
    /// What came, from here to there.
    inbox: Vec<u8>,
    from: usize,
    to: usize,
    /// What the first of two names of the oldest look-up came to.
    first: Option<Outcome>,
}

/// Why a connection is over, for the one whose turn it was.
type Over = Miss;

impl Driver {
    pub(super) fn new(hold: &Hold, io: Box<dyn Io>) -> Self {
        Self {
            lane: Arc::clone(&hold.lane),
            epoch: hold.epoch,
            io,
            outbox: Vec::new(),
            sent: 0,
            inbox: vec![0; INBOX],
            from: 0,
            to: 0,
            first: None,
        }
    }

    /// Goes on until the connection is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        if let Err(over) = self.send(cx) {
            return Poll::Ready(over);
        }
        loop {
            let mut room = ReadBuf::new(&mut self.inbox[self.to..]);
            match Pin::new(&mut self.io).poll_read(cx, &mut room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Miss::Error),
                Poll::Ready(Ok(())) if room.filled().is_empty() => {
                    return Poll::Ready(Miss::Error);
                }
                Poll::Ready(Ok(())) => self.to += room.filled().len(),
            }
            match self.receive() {
                Ok(needs) => self.make_room(needs),
                Err(over) => return Poll::Ready(over),
            }
        }
    }

    /// Sends what there is to send, as far as it goes.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Over> {
        loop {
            if self.sent == self.outbox.len() && !self.load(cx)? {
                break;
            }
            let rest = &self.outbox[self.sent..];
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(more @ 1..)) => self.sent += more,
                Poll::Ready(_) => return Err(Miss::Error),
                Poll::Pending => {
                    self.lane.inner.lock().driver = Some(cx.waker().clone());
                    return Ok(());
                }
            }
        }
        // TLS holds back what didn't fit.
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(Err(_)) => Err(Miss::Error),
            _ => Ok(()),
        }
    }

    /// Takes what was asked since. Where that is nothing, it is woken when
    /// there is something.
    fn load(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        self.outbox.clear();
        self.sent = 0;
        let mut inner = self.lane.inner.lock();
        if inner.epoch != self.epoch {
            return Err(Miss::Error);
        }
        mem::swap(&mut inner.out, &mut self.outbox);
        let is_some = !self.outbox.is_empty();
        if !is_some {
            inner.driver = Some(cx.waker().clone());
        }
        Ok(is_some)
    }

    /// Takes the replies that are there. Says how long the next one is at least.
    fn receive(&mut self) -> Result<usize, Over> {
        loop {
            let came = &self.inbox[self.from..self.to];
            let (value, length) = match next(came)? {
                Next::Reply(value, length) => (value, length),
                Next::Needs(needs) => return Ok(needs),
            };
            let (left, both) = match next(&came[length..])? {
                Next::Reply(left, more) => (left, length + more),
                Next::Needs(needs) => return Ok(length + needs),
            };
            let what = self.oldest()?;
            let told = match (self.first.take(), what.sought.second()) {
                (None, None) => Some(outcome(&what, what.sought.first(), value, left)?),
                (None, Some(_)) => {
                    self.first = Some(outcome(&what, what.sought.first(), value, left)?);
                    None
                }
                (Some(first), Some(name)) => {
                    Some(better(first, outcome(&what, name, value, left)?))
                }
                (Some(first), None) => Some(first),
            };
            self.from += both;
            if let Some(told) = told {
                self.lane.inner.lock().answered();
                what.tell(told);
            }
        }
    }

    /// Whose turn it is. Nobody has asked for what comes without a question.
    fn oldest(&self) -> Result<Arc<LookUp>, Over> {
        let inner = self.lane.inner.lock();
        if inner.epoch != self.epoch {
            return Err(Miss::Error);
        }
        let oldest = inner.asked.front().ok_or(Miss::Junk)?;
        Ok(Arc::clone(&oldest.what))
    }

    /// Makes room for a reply that is `needs` bytes long at least.
    fn make_room(&mut self, needs: usize) {
        self.inbox.copy_within(self.from..self.to, 0);
        self.to -= mem::take(&mut self.from);
        let length = needs.max(INBOX);
        if self.inbox.len() != length && self.to < length {
            self.inbox.resize(length, 0);
            self.inbox.shrink_to(length);
        }
    }
}

/// The next reply. Anything that is none ends the connection.
fn next(came: &[u8]) -> Result<Next<'_>, Over> {
    // `GETRANGE` gives one more than the last it is asked for.
    wire::next(came, LARGEST_VALUE + 1).map_err(|Junk| Miss::Junk)
}

/// What two replies say of one name.
fn outcome(
    what: &Arc<LookUp>,
    name: &Name,
    value: Reply<'_>,
    left: Reply<'_>,
) -> Result<Outcome, Over> {
    match (value, left) {
        // Nobody waits for it any more.
        (Reply::Text(_), Reply::Number(_)) if Arc::strong_count(what) == 2 => {
            Ok(Err(Miss::Timeout))
        }
        (Reply::Text(value), Reply::Number(left)) => Ok(what.sought.read(name, value, left)),
        (Reply::Refused(words), _) if words.starts_with(b"WRONGTYPE") => Ok(Err(Miss::Junk)),
        (Reply::Refused(_), _) | (_, Reply::Refused(_)) => Ok(Err(Miss::Error)),
        _ => Err(Miss::Junk),
    }
}
