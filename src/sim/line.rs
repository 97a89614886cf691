//! The connection below HTTP: an ordinary stream of bytes until a fault asks
//! it to misbehave.
//!
//! What hyper would never write (half a head, junk, a 103) is done here. Each
//! connection has one [`Switch`]; requests on it pull the switch, the [`Line`]
//! obeys at its next write.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// What the requests of one connection can do to it.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    /// Whether `prank` holds anything: the only cost of an honest write.
    armed: AtomicBool,
    /// Locked for a copy, by requests that misbehave and by the line.
    prank: Mutex<Prank>,
    /// Whether the connection ends in a reset and not in a FIN.
    abrupt: AtomicBool,
    /// Whether a request on it was HTTP/2.
    h2: AtomicBool,
    /// Whether it is to be dropped now.
    dropped: AtomicBool,
    /// Wakes the task that drives the connection: it leaves, or is dropped.
    changed: Notify,
}

/// What to do to the next write.
#[derive(Debug, Default)]
struct Prank {
    /// Written before anything else.
    first: Vec<u8>,
    /// Let this many bytes through after `first`, then fail.
    then: Option<usize>,
}

impl Switch {
    /// Fails the connection after `bytes` more of what HTTP wants to write.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.abrupt.store(true, Ordering::Release);
        self.prank.lock().then = Some(bytes);
        self.armed.store(true, Ordering::Release);
    }

    /// Writes `junk` in place of anything else, and fails the connection.
    pub(crate) fn junk(&self, junk: &[u8]) {
        self.ahead(junk);
        self.prank.lock().then = Some(0);
    }

    /// Writes `bytes` before the next write.
    pub(crate) fn ahead(&self, bytes: &[u8]) {
        self.prank.lock().first = bytes.to_vec();
        self.armed.store(true, Ordering::Release);
    }

    /// Makes the end of the connection a reset.
    pub(crate) fn abrupt(&self) {
        self.abrupt.store(true, Ordering::Release);
    }

    /// Finishes what is under way and takes no further request.
    pub(crate) fn leave(&self) {
        self.changed.notify_one();
    }

    /// Drops the connection now.
    pub(crate) fn drop_now(&self) {
        self.dropped.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether this is the first request to tell that the connection is HTTP/2.
    pub(crate) fn first_h2(&self) -> bool {
        !self.h2.swap(true, Ordering::Relaxed)
    }

    /// Waits for [`Switch::leave`] or [`Switch::drop_now`].
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the connection is to be dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }
}

/// A connection that may misbehave.
pub(crate) struct Line<IO> {
    io: IO,
    switch: std::sync::Arc<Switch>,
    /// Makes the coming close a reset, where the transport knows one.
    abort: fn(&IO),
}

impl<IO> Line<IO> {
    /// An honest line that obeys `switch`.
    pub(crate) fn new(io: IO, switch: std::sync::Arc<Switch>, abort: fn(&IO)) -> Self {
        Self { io, switch, abort }
    }
}

impl<IO> Drop for Line<IO> {
    fn drop(&mut self) {
        if self.switch.abrupt.load(Ordering::Acquire) {
            (self.abort)(&self.io);
        }
    }
}

impl<IO: AsyncWrite + Unpin> Line<IO> {
    /// The write of a line whose switch is pulled.
    fn poll_prank(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut prank = self.switch.prank.lock();
        while !prank.first.is_empty() {
            let sent = ready!(Pin::new(&mut self.io).poll_write(cx, &prank.first))?;
            prank.first.drain(..sent);
        }
        let Some(left) = prank.then else {
            self.switch.armed.store(false, Ordering::Release);
            return Pin::new(&mut self.io).poll_write(cx, buf);
        };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let piece = &buf[..left.min(buf.len())];
        let sent = ready!(Pin::new(&mut self.io).poll_write(cx, piece))?;
        prank.then = Some(left - sent);
        Poll::Ready(Ok(sent))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Line<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Line<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.switch.armed.load(Ordering::Acquire) {
            return self.poll_prank(cx, buf);
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.switch.armed.load(Ordering::Acquire) {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_prank(cx, first.map_or(&[], |buf| buf));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
