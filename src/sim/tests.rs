//! The whole provider, over an in-memory pipe and in virtual time.

mod endpoints;
mod faults;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use serde_json::Value;
use tokio::io::DuplexStream;

use super::*;

/// The client's side of one connection.
enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What came back.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Whether the body came to its proper end.
    is_whole: bool,
    /// When each piece of the body came, since the request.
    times: Vec<Duration>,
}

impl Client {
    async fn connect(sim: &Arc<Sim>, version: Version) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(sim.clone().serve(theirs));
        Self::over(ours, version).await
    }

    async fn over(io: DuplexStream, version: Version) -> Self {
        if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io))
                .await
                .unwrap();
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            tokio::spawn(connection);
            Self::One(sender)
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// `line` is `METHOD path`, then one `name: value` per line.
    async fn call(&mut self, line: &str, body: &str) -> hyper::Result<Got> {
        let start = tokio::time::Instant::now();
        let response = self.send(request(line, body)).await?;
        let (head, mut body) = response.into_parts();
        let mut got = Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Vec::new(),
            trailers: None,
            is_whole: false,
            times: Vec::new(),
        };
        loop {
            match body.frame().await {
                None => got.is_whole = true,
                Some(Err(_)) => {}
                Some(Ok(frame)) => {
                    match frame.into_data() {
                        // HTTP/2 may end with an empty frame.
                        Ok(data) if data.is_empty() => {}
                        Ok(data) => {
                            got.body.extend_from_slice(&data);
                            got.times.push(start.elapsed());
                        }
                        Err(frame) => got.trailers = frame.into_trailers().ok(),
                    }
                    continue;
                }
            }
            return Ok(got);
        }
    }
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn request(line: &str, body: &str) -> Request<Full<Bytes>> {
    let mut lines = line.lines().map(str::trim);
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://sim{uri}"));
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

/// Yields until `is_so`, without time passing: for what another task does next.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to pass");
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
const STREAM: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
