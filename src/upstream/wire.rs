//! The byte stream under a connection: TCP or a pipe, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::link::Link;

/// Bytes as the network carries them.
pub(super) enum Plain {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

/// Bytes as HTTP sees them.
pub(super) enum Wire {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
}

/// Hands every call to whichever stream is inside.
macro_rules! inner {
    ($self:expr, $first:pat => $a:expr, $second:pat => $b:expr) => {
        match $self.get_mut() {
            $first => $a,
            $second => $b,
        }
    };
}

macro_rules! delegate {
    ($type:ty, $one:path, $two:path) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                inner!(self, $one(io) => Pin::new(io).poll_read(cx, buf),
                    $two(io) => Pin::new(io).poll_read(cx, buf))
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                inner!(self, $one(io) => Pin::new(io).poll_write(cx, buf),
                    $two(io) => Pin::new(io).poll_write(cx, buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                inner!(self, $one(io) => Pin::new(io).poll_write_vectored(cx, bufs),
                    $two(io) => Pin::new(io).poll_write_vectored(cx, bufs))
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $one(io) => io.is_write_vectored(),
                    $two(io) => io.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                inner!(self, $one(io) => Pin::new(io).poll_flush(cx),
                    $two(io) => Pin::new(io).poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                inner!(self, $one(io) => Pin::new(io).poll_shutdown(cx),
                    $two(io) => Pin::new(io).poll_shutdown(cx))
            }
        }
    };
}

delegate!(Plain, Plain::Tcp, Plain::Memory);
delegate!(Wire, Wire::Plain, Wire::Tls);

/// A wire that notes that something was heard on it: what tells a request
/// that may be sent again from one that was being answered.
///
/// A peer that refuses a large body answers and closes while the body is being
/// written. The failed write is then no news: it waits, and reading finds
/// the answer, or the end of the connection.
pub(super) struct Heard {
    wire: Wire,
    link: Arc<Link>,
    /// The peer takes nothing more.
    deaf: bool,
    /// Nor does it say anything.
    mute: bool,
}

impl Heard {
    pub(super) fn new(wire: Wire, link: Arc<Link>) -> Self {
        Self {
            wire,
            link,
            deaf: false,
            mute: false,
        }
    }

    fn write<T>(
        self: Pin<&mut Self>,
        write: impl FnOnce(Pin<&mut Wire>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let this = self.get_mut();
        if this.deaf && !this.mute {
            return Poll::Pending;
        }
        let polled = write(Pin::new(&mut this.wire));
        if let Poll::Ready(Err(error)) = &polled
            && !this.mute
            && matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            )
        {
            this.deaf = true;
            return Poll::Pending;
        }
        polled
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.wire).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.link.hear();
        } else if polled.is_ready() {
            this.mute = true;
        }
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|wire| wire.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|wire| wire.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|wire| wire.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}
