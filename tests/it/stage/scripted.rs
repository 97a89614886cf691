//! A provider that plays a script: HTTP/1.1 or HTTP/2 as it is spoken to, each
//! call answered by a function that sees everything that came.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// A provider on a port of its own. Dropping it ends it.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    accept: JoinHandle<()>,
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Scripted {
    /// A provider that answers every call with what `answer` makes of it.
    pub(crate) async fn start<A, F>(answer: A) -> Self
    where
        A: Fn(Seen) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Played>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    let service = service_fn(move |request| respond(Arc::clone(&answer), request));
                    // How a connection ends is its peer's affair.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, accept }
    }

    /// Its base URL with this path.
    pub(crate) fn base(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn respond<A, F>(
    answer: Arc<A>,
    request: Request<Incoming>,
) -> hyper::Result<Response<Played>>
where
    A: Fn(Seen) -> F,
    F: Future<Output = Response<Played>>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let seen = Seen {
        method: head.method,
        uri: head.uri,
        version: head.version,
        headers: head.headers,
        body,
    };
    Ok(answer(seen).await)
}

/// One step of an answer's body.
pub(crate) enum Beat {
    /// Bytes, in a chunk of their own.
    Data(Bytes),
    /// What came before is written out first.
    Flush,
    /// The connection (on HTTP/2, the stream) breaks.
    Cut,
    /// Nothing comes before this is told.
    Until(oneshot::Receiver<()>),
    /// Nothing more ever comes.
    Hang,
}

/// A body that is played step by step.
pub(crate) struct Played {
    beats: VecDeque<Beat>,
    /// Its length is told where it comes as a whole.
    size: Option<u64>,
}

impl Played {
    /// A body in one piece, its length told.
    pub(crate) fn whole(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            size: Some(body.len() as u64),
            beats: VecDeque::from_iter((!body.is_empty()).then_some(Beat::Data(body))),
        }
    }

    /// A body in steps.
    pub(crate) fn steps(beats: impl IntoIterator<Item = Beat>) -> Self {
        Self {
            beats: beats.into_iter().collect(),
            size: None,
        }
    }

    /// A body in chunks of at most `most` bytes, some of them flushed.
    pub(crate) fn chunked(body: &[u8], most: usize, random: &mut fastrand::Rng) -> Self {
        let mut beats = Vec::new();
        let mut left = body;
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(random.usize(1..=most).min(left.len()));
            left = rest;
            beats.push(Beat::Data(Bytes::copy_from_slice(chunk)));
            if random.u8(0..16) == 0 {
                beats.push(Beat::Flush);
            }
        }
        Self::steps(beats)
    }

    /// The same, followed by another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.beats.extend(other.beats);
        self
    }

    /// The same, ending like this instead of in good order.
    pub(crate) fn then(mut self, beat: Beat) -> Self {
        self.beats.extend([Beat::Flush, beat]);
        self
    }
}

impl http_body::Body for Played {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(Beat::Until(told)) = self.beats.front_mut() {
                // Whoever should tell and left is as good as told.
                let _ = ready!(Pin::new(told).poll(cx));
            }
            return match self.beats.pop_front() {
                None => Poll::Ready(None),
                Some(Beat::Data(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Beat::Cut) => Poll::Ready(Some(Err(io::Error::other("cut by the script")))),
                Some(Beat::Until(_)) => continue,
                Some(Beat::Flush) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Beat::Hang) => {
                    self.beats.push_front(Beat::Hang);
                    Poll::Pending
                }
            };
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.size
            .map_or_else(Default::default, http_body::SizeHint::with_exact)
    }
}

/// An answer of JSON.
pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Response<Played> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Played::whole(body))
        .unwrap()
}

/// An answer of events.
pub(crate) fn events(body: Played) -> Response<Played> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}
