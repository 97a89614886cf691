//! One caller's connection: HTTP/1.1, or HTTP/2 where the caller opens with
//! its preface or settles on it by ALPN.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Shared, h1, h2, routes};
use crate::error::Error;
use crate::gateway::Head;
use crate::gateway::drain::Drain;
use crate::gateway::incoming::Incoming;
use crate::gateway::reply::Reply;
use crate::http1::Response;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Callers' connections open now.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: AtomicUsize,
    none: Notify,
    /// The first spares are up, or have been tried.
    warm: AtomicBool,
}

impl Connections {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    pub(super) fn set_warm(&self) {
        self.warm.store(true, Ordering::Relaxed);
    }

    /// Waits until none is open.
    pub(super) async fn none(&self) {
        loop {
            let none = self.none.notified();
            if self.open() == 0 {
                return;
            }
            none.await;
        }
    }
}

/// Counts one connection for as long as it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.open.fetch_add(1, Ordering::SeqCst);
        shared.instance.metrics.callers.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.instance.metrics.callers.dec();
        if self.0.connections.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.connections.none.notify_waiters();
        }
    }
}

/// Serves a caller on a task of its own, on this core.
pub(super) fn spawn(stream: TcpStream, shared: &Arc<Shared>) {
    let open = Open::new(shared);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _open = open;
        match shared.tls.load_full() {
            Some(acceptor) => Box::pin(secure(stream, &acceptor, &shared)).await,
            None => {
                let sniffed = tokio::select! {
                    biased;
                    sniffed = sniff(&stream) => sniffed,
                    // Who has said nothing when the end begins has nothing to say.
                    () = shared.instance.drain.begun() => return,
                };
                if let Ok(is_two) = sniffed {
                    serve(stream, is_two, &shared).await;
                }
            }
        }
    });
}

/// A caller that does not manage a handshake hears so from TLS.
async fn secure(stream: TcpStream, acceptor: &TlsAcceptor, shared: &Arc<Shared>) {
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        let is_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        serve(stream, is_two, shared).await;
    }
}

/// Whether a caller is to be served HTTP/2. One that goes no further than both
/// begin alike is left to HTTP/1.1, which tells it so; one that says nothing is
/// to be left alone.
async fn sniff(stream: &TcpStream) -> io::Result<bool> {
    timeout(h1::IDLE_MAX, stream.readable()).await??;
    let sniffed = timeout(h1::HEAD_MAX, opens_with_preface(stream)).await;
    sniffed.unwrap_or(Ok(false))
}

/// Whether a caller opens with HTTP/2's preface (RFC 9113 §3.4): no request of
/// HTTP/1.1 begins like it. The bytes stay where they are, so that whoever
/// reads them does so into a buffer of its own.
async fn opens_with_preface(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut seen = [0; PREFACE.len()];
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let count = stream.peek(&mut seen).await?;
        let is_part = 0 < count && count < PREFACE.len() && seen[..count] == PREFACE[..count];
        if !is_part || ready.is_read_closed() {
            return Ok(seen == PREFACE);
        }
        // A part of it has come, and stays in the socket: what wakes this
        // task is not that there is something to read but that there is more.
        let seen_that = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = stream.try_io(Interest::READABLE, seen_that);
    }
}

async fn serve<IO>(io: IO, is_two: bool, shared: &Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match is_two {
        true => Box::pin(h2::serve(io, shared)).await,
        false => h1::serve(io, shared).await,
    }
}

impl h1::Service for Arc<Shared> {
    type Body = Reply;

    async fn answer(&self, head: Head, body: Incoming) -> Response<Reply> {
        routes::answer(self, head, body).await
    }

    fn refuse(&self, head: &Head, why: &Error) -> Response<Reply> {
        self.current.load().refuse(head, why)
    }

    fn drain(&self) -> &Drain {
        &self.instance.drain
    }
}
