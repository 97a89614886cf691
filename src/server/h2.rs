//! HTTP/2 with callers, on hyper.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body as _;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Shared, h1, routes};
use crate::gateway::Head;
use crate::gateway::incoming::Incoming;

/// The most of a request's head.
const MAX_HEAD: u32 = 128 << 10;

/// Requests at once on one connection.
const STREAMS_MAX: u32 = 256;

/// Serves one connection to its end.
pub(super) async fn serve<IO>(io: IO, shared: &Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let shared = Arc::clone(shared);
        async move {
            let (head, body) = request.into_parts();
            let body = match body.is_end_stream() {
                true => Incoming::Whole(Bytes::new()),
                false => Incoming::coming(body),
            };
            let answer = routes::answer(&shared, Head::from(head), body).await;
            Ok::<_, Infallible>(answer.into())
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(h1::IDLE_MAX)
        .max_header_list_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service);
    let drain = &shared.instance.drain;
    let mut connection = pin!(connection);
    let mut begun = pin!(drain.begun());
    let (mut told, mut listening) = (false, false);
    // What goes wrong on a connection is between the caller and itself.
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
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
    .await
}
