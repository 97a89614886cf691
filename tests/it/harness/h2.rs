//! Both ends of HTTP/2, by the `h2` crate, each on a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PATIENCE;

/// Runs `work` on a runtime of its own, and within [`PATIENCE`].
#[track_caller]
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { timeout(PATIENCE, work).await.expect("within its time") })
}

/// A connection of a caller that speaks HTTP/2 from the first byte.
pub(crate) async fn connect(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.expect("an open port");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender.ready().await.expect("an open connection")
}

/// A request with a body.
pub(crate) fn post(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::post(format!("http://gateway.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Sends a call and reads its answer to the end.
pub(crate) async fn call(
    sender: &mut h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: impl Into<Bytes>,
) -> Result<Answer, h2::Error> {
    let (answer, mut sending) = sender.send_request(request, false)?;
    sending.send_data(body.into(), true)?;
    let (head, mut incoming) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data?;
        let _ = incoming.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = incoming.trailers().await?;
    Ok(Answer {
        head,
        body,
        trailers,
    })
}

/// One request a provider has got, and the means to answer it.
pub(crate) struct Asked {
    pub(crate) request: Request<h2::RecvStream>,
    pub(crate) respond: h2::server::SendResponse<Bytes>,
    /// The number of the connection it came on, from 0.
    pub(crate) connection: usize,
}

impl Asked {
    /// Answers with a whole body.
    pub(crate) fn answer(mut self, status: u16, kind: &str, body: impl Into<Bytes>) {
        let head = Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(())
            .expect("a head");
        if let Ok(mut sending) = self.respond.send_response(head, false) {
            let _ = sending.send_data(body.into(), true);
        }
    }
}

/// What a provider does about its requests; each runs as a task of its own.
/// The connection says goodbye once it returns `true`.
pub(crate) type Play = Arc<dyn Fn(Asked) -> oneshot::Receiver<bool> + Send + Sync>;

/// A provider that speaks HTTP/2 by prior knowledge. It ends with its process.
pub(crate) fn provider(streams: u32, play: Play) -> SocketAddr {
    let (told, address) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let _ = told.send(listener.local_addr().expect("a bound socket"));
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, streams, number, Arc::clone(&play)));
                number += 1;
            }
        });
    });
    address.recv().expect("a provider")
}

async fn converse(stream: TcpStream, streams: u32, number: usize, play: Play) {
    let _ = stream.set_nodelay(true);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let (bye, mut byes) = tokio::sync::mpsc::channel::<()>(8);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let done = play(Asked { request, respond, connection: number });
                let bye = bye.clone();
                tokio::spawn(async move {
                    if done.await.unwrap_or(false) {
                        let _ = bye.send(()).await;
                    }
                });
            }
            Some(()) = byes.recv() => connection.graceful_shutdown(),
        }
    }
}
