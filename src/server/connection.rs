//! One caller's connection: HTTP/1.1, or HTTP/2 where the caller opens with
//! its preface or settles on it by ALPN.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Shared, routes};

/// How long a caller may take over a request's head, and so how long an idle
/// connection is kept: longer than the clients' own pools keep theirs, so that
/// they close first and no request meets a closing connection.
const HEAD_MAX: Duration = Duration::from_secs(75);

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The most of a request's head, and of what waits to be written to a caller.
const BUFFER_MAX: usize = 128 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

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
        let Some(acceptor) = shared.tls.load_full() else {
            return serve(stream, &shared, open).await;
        };
        // A caller that does not manage a handshake hears so from TLS.
        if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
            serve(stream, &shared, open).await;
        }
    });
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: &Arc<Shared>,
    _open: Open,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(HEAD_MAX)
        .max_header_list_size(BUFFER_MAX as u32);
    let service = service_fn(|request: http::Request<Incoming>| {
        let gateway = shared.current.load_full();
        let shared = Arc::clone(shared);
        async move { Ok::<_, Infallible>(routes::answer(shared, gateway, request).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let drain = &shared.instance.drain;
    let mut begun = pin!(drain.begun());
    let (mut told, mut listening) = (false, false);
    // What goes wrong here is between the caller and its own connection.
    let _ = poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            // This task's waker never changes, so listening once is enough,
            // and costs no lock at every wake-up.
            if !listening {
                listening = true;
                let _ = begun.as_mut().poll(cx);
            }
            if told || !drain.is_draining() {
                return Poll::Pending;
            }
            told = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}
