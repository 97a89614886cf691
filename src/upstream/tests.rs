//! The pool against scripted peers: in memory and on virtual time where timers
//! matter, over real sockets where the network's behaviour does.

mod borrowed;
mod one;
mod secure;
mod spares;
mod two;

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use bytes::Bytes;

use super::memory::{Acceptor, Dialer};
use super::*;
use crate::http1::{Fields, Name};

/// No call in these tests waits longer.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

/// Options without spares: each test says what it wants.
fn options() -> Options {
    Options {
        warm: 0,
        ..Options::default()
    }
}

/// An upstream in memory, and the end that plays the peer.
fn in_memory(options: Options) -> (Arc<Upstream>, metrics::Pool, Acceptor) {
    let (dialer, acceptor) = Dialer::listening(64 * 1024);
    let options = Options {
        transport: Transport::Memory(dialer),
        ..options
    };
    let metrics = metrics::Pool::default();
    let origin = Origin::new(false, "peer.test", 80);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics.clone());
    (upstream, metrics, acceptor)
}

fn request(method: Method, path: &str, body: Body) -> Request {
    Request {
        method,
        target: path.parse().unwrap(),
        fields: Fields::default(),
        body,
    }
}

fn get(path: &str) -> Request {
    request(Method::GET, path, Body::Empty)
}

fn post(path: &str, body: &'static str) -> Request {
    let body = Bytes::from_static(body.as_bytes());
    request(Method::POST, path, body.into())
}

/// Sends and reads to the end.
async fn call(upstream: &Upstream, request: Request) -> Result<(Timing, String), Fault> {
    let mut timing = Timing::default();
    let response = upstream.send(request, &mut timing, limits()).await?;
    let body = response.body.collect().await?.to_bytes();
    Ok((timing, String::from_utf8_lossy(&body).into_owned()))
}

/// Reads one HTTP/1.1 request with its body, if it announces one.
async fn request_of(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    loop {
        if let Some(end) = memchr::memmem::find(&text, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if text.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
        }
        if io.read_buf(&mut text).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Answers every request on every connection with `answer`.
async fn answer_all(mut acceptor: Acceptor, answer: &'static [u8]) {
    while let Some(mut io) = acceptor.accept().await {
        tokio::spawn(async move {
            while request_of(&mut io).await.is_some() {
                io.write_all(answer).await.unwrap();
            }
        });
    }
}
