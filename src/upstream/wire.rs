//! The byte stream under a connection: TCP or a pipe, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

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
