//! What a caller sends: heads, bodies, and what it says before it is asked.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::body::{self, Broken, Feed};
use super::head::{self, Asked, Refused};
use super::{late, read};
use crate::gateway::incoming::Incoming;
use crate::http1::{Decoder, Framing};

/// Bytes of the next requests that are held while one is answered; one read
/// more at most.
const AHEAD_MAX: usize = 64 << 10;

/// What has been read, and what is being read.
#[derive(Default)]
pub(super) struct Inbox {
    /// Read and not understood yet: a part of a head, or requests whose turn
    /// has not come.
    held: BytesMut,
    /// So much of that holds no whole head.
    seen: usize,
    /// The body that is being read.
    body: Option<Body>,
    /// Nothing that may still come can be told from the rest.
    lost: bool,
    /// The caller sends nothing more.
    over: bool,
}

/// A body that is being read.
struct Body {
    decoder: Decoder,
    feed: Feed,
    /// Its caller waits to be told to send it.
    expects: bool,
}

/// What reading has come to.
pub(super) enum Heard {
    /// There is more for the gateway to look at.
    More,
    /// The caller left.
    Gone,
}

type Next = (Asked, Incoming);

impl Inbox {
    /// What comes next is a new request, or will be after a few bytes.
    pub(super) fn can_rest(&self) -> bool {
        let is_near = |body: &Body| {
            let left = body.decoder.left();
            // One that was waited for in vain is not near.
            let is_awaited = body.expects || body.feed.is_awaited();
            !is_awaited && left.is_some_and(|left| left <= AHEAD_MAX as u64)
        };
        !self.lost && !self.over && self.body.as_ref().is_none_or(is_near)
    }

    /// The caller sends nothing more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Something of the next request is here, or not all of the last one.
    pub(super) fn has_begun(&self) -> bool {
        !self.held.is_empty() || self.body.is_some()
    }

    /// The request whose head is held, if it is.
    pub(super) fn begin(&mut self) -> Result<Option<Next>, Refused> {
        if self.held.len() == self.seen {
            return Ok(None);
        }
        let mut held = std::mem::take(&mut self.held);
        let seen = std::mem::take(&mut self.seen);
        let taken = self.take(&mut held, seen);
        let (taken, next) = taken.inspect_err(|_| self.lost = true)?;
        held.advance(taken);
        if !held.is_empty() {
            self.seen = if next.is_none() { held.len() } else { 0 };
            self.held = held;
        }
        Ok(next)
    }

    /// Reads once while nothing is under way. `Ok(None)` where not all of a head
    /// has come; an error where the caller left.
    pub(super) fn poll_head<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<Next, Refused>>>> {
        let next = ready!(read(io, cx, |bytes| {
            if let Some(body) = &mut self.body {
                // Nobody wanted the rest of it.
                let taken = body.decoder.decode(bytes).taken;
                self.held.extend_from_slice(&bytes[taken..]);
                if body.decoder.is_done() {
                    self.body = None;
                }
                return None;
            }
            if !self.held.is_empty() {
                self.held.extend_from_slice(bytes);
                return None;
            }
            // The usual request comes in one read and is not copied whole.
            match self.take(bytes, 0) {
                Ok((taken, next)) => {
                    self.held.extend_from_slice(&bytes[taken..]);
                    self.seen = if next.is_none() { self.held.len() } else { 0 };
                    next.map(Ok)
                }
                Err(why) => {
                    self.lost = true;
                    Some(Err(why))
                }
            }
        }))?;
        Poll::Ready(next.ok_or_else(|| {
            self.over = true;
            io::ErrorKind::UnexpectedEof.into()
        }))
    }

    /// Takes a request from the front of `bytes`, if its head is there, and
    /// says how many of them are its own. The first `seen` hold no whole head.
    fn take(&mut self, bytes: &mut [u8], seen: usize) -> Result<(usize, Option<Next>), Refused> {
        if seen > 0 && !may_end(bytes, seen) {
            return Ok((0, None));
        }
        let Some((length, asked)) = head::parse(bytes)? else {
            return Ok((0, None));
        };
        let rest = &mut bytes[length..];
        if let Framing::Length(size) = asked.framing
            && let Ok(size) = usize::try_from(size)
            && let Some(data) = rest.get(..size)
        {
            let body = Incoming::Whole(Bytes::copy_from_slice(data));
            return Ok((length + size, Some((asked, body))));
        }
        let mut decoder = Decoder::new(asked.framing);
        let decoded = decoder.decode(rest);
        let first = Bytes::copy_from_slice(&rest[decoded.data]);
        if decoder.is_done() {
            let body = Incoming::Whole(first);
            return Ok((length + decoded.taken, Some((asked, body))));
        }
        let expects = asked.expects && rest.is_empty();
        let (feed, fed) = body::body(first, decoder.left());
        if let Some(why) = decoder.wrong() {
            feed.breaks(Broken::Malformed(why), &Context::from_waker(Waker::noop()));
            self.lost = true;
        } else {
            self.body = Some(Body {
                decoder,
                feed,
                expects,
            });
        }
        let taken = length + decoded.taken;
        Ok((taken, Some((asked, Incoming::coming(fed)))))
    }

    /// The refusal of a request that takes too long to come, if one has begun.
    pub(super) fn too_slow(&mut self) -> Option<Refused> {
        self.lost = true;
        (!self.held.is_empty()).then(|| head::refused(&self.held, late()))
    }

    /// Whether the caller has to be told to send its body, now that it is
    /// wanted.
    pub(super) fn owes_a_word(&mut self, cx: &Context<'_>) -> bool {
        let body = self.body.as_mut();
        body.is_some_and(|body| {
            body.expects && body.feed.is_wanted(cx) && std::mem::take(&mut body.expects)
        })
    }

    /// Reads of the body what is wanted of it; after it, of the next requests
    /// what there is room for.
    pub(super) fn poll<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<Heard> {
        while !self.over && !self.lost {
            let Some(body) = &mut self.body else {
                if self.held.len() >= AHEAD_MAX {
                    return Poll::Pending;
                }
                match ready!(read(io, cx, |bytes| self.held.extend_from_slice(bytes))) {
                    Ok(Some(())) => continue,
                    Ok(None) | Err(_) => return Poll::Ready(Heard::Gone),
                }
            };
            if !body.feed.is_wanted(cx) {
                return Poll::Pending;
            }
            let waker = cx.waker().clone();
            let fed = ready!(read(io, cx, |bytes| {
                let decoded = body.decoder.decode(bytes);
                self.held.extend_from_slice(&bytes[decoded.taken..]);
                Bytes::copy_from_slice(&bytes[decoded.data])
            }));
            let cx = &Context::from_waker(&waker);
            match fed {
                Ok(Some(data)) => {
                    let over = body.decoder.is_done();
                    if !data.is_empty() || over {
                        body.feed.give(data, body.decoder.left(), over, cx);
                    }
                    if let Some(why) = body.decoder.wrong() {
                        body.feed.breaks(Broken::Malformed(why), cx);
                        self.lost = true;
                    }
                    if over || self.lost {
                        self.body = None;
                    }
                }
                Ok(None) => {
                    body.feed.breaks(Broken::Short, cx);
                    self.body = None;
                    self.over = true;
                }
                Err(_) => return Poll::Ready(Heard::Gone),
            }
            return Poll::Ready(Heard::More);
        }
        Poll::Pending
    }
}

/// Whether a head may end in `bytes`, of which `seen` were looked at before.
fn may_end(bytes: &[u8], seen: usize) -> bool {
    let from = seen.saturating_sub(3);
    bytes.len() > super::MAX_HEAD
        || memchr::memmem::find(&bytes[from..], b"\n\r\n").is_some()
        || memchr::memmem::find(&bytes[from..], b"\n\n").is_some()
}
