//! A gateway in this process, a caller in front of it, scripted providers
//! behind it.
//!
//! The gateway is the real one on a port of its own, with the threads it
//! always has; the caller and the providers run in the test's runtime. What is
//! logged is kept, one JSON object for each request.

pub(crate) mod parrot;
pub(crate) mod scripted;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nowait::config::{Config, Environment};
use nowait::metrics::Metrics;
use nowait::server::Running;
use nowait::telemetry::{AccessLog, LogFormat};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A running gateway.
pub(crate) struct Stage {
    running: Running,
    log: Log,
}

impl Stage {
    /// A gateway of this configuration, listening on a free port.
    pub(crate) fn set(config: &str) -> Self {
        Self::in_environment(config, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn in_environment(config: &str, env: &[(&str, &str)]) -> Self {
        let text = format!("server.listen = \"127.0.0.1:0\"\n{config}");
        // Each call is made once, unless a test says how often.
        let once = ("NOWAIT__RETRY__ATTEMPTS", "1");
        let once = (!config.contains("[retry]")).then_some(once);
        let env = Environment::from_iter(env.iter().copied().chain(once));
        let config = Config::parse(&text, "test.toml", &env)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let metrics = Metrics::new("test", "test");
        let log = Log::default();
        let lines =
            AccessLog::start(LogFormat::Json, log.clone(), metrics.lines_dropped.clone()).unwrap();
        let running = Running::start(config, metrics, lines, None).unwrap();
        Self { running, log }
    }

    /// Where callers connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Makes one call over a connection of its own.
    pub(crate) async fn call(&self, request: Request<Bytes>) -> Answer {
        call(self.address(), request).await
    }

    /// Ends it and hands out its access lines.
    pub(crate) async fn strike(self) -> Vec<Value> {
        let running = self.running;
        tokio::task::spawn_blocking(move || running.stop())
            .await
            .unwrap();
        let lines = self.log.0.lock();
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// Where access lines go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole answer as its caller has it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// Why the body broke off, if it did.
    pub(crate) broken: Option<String>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    async fn of(response: http::Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut answer = Self {
            status: head.status,
            headers: head.headers,
            body: Bytes::new(),
            trailers: None,
            broken: None,
        };
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(frame)) => answer.trailers = frame.into_trailers().ok(),
                Err(fault) => {
                    answer.broken = Some(fault.to_string());
                    break;
                }
            }
        }
        answer.body = bytes.into();
        answer
    }
}

/// A connection to a gateway that ends with this.
pub(crate) struct Caller<S> {
    pub(crate) send: S,
    address: SocketAddr,
    drive: JoinHandle<()>,
}

impl<S> Drop for Caller<S> {
    fn drop(&mut self) {
        self.drive.abort();
    }
}

impl Caller<http1::SendRequest<Full<Bytes>>> {
    /// Speaks HTTP/1.1.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (send, connection) = http1::handshake(io).await.unwrap();
        let drive = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            send,
            address,
            drive,
        }
    }

    /// Sends a request and takes the head of its answer.
    pub(crate) async fn begin(&mut self, request: Request<Bytes>) -> http::Response<Incoming> {
        let mut request = request.map(Full::new);
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        self.send.ready().await.unwrap();
        self.send.send_request(request).await.unwrap()
    }

    /// Sends a request and takes its answer.
    pub(crate) async fn call(&mut self, request: Request<Bytes>) -> Answer {
        Answer::of(self.begin(request).await).await
    }
}

impl Caller<http2::SendRequest<Full<Bytes>>> {
    /// Speaks HTTP/2 by prior knowledge.
    pub(crate) async fn connect_h2(address: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (send, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let drive = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            send,
            address,
            drive,
        }
    }

    /// Sends a request and takes its answer.
    pub(crate) async fn call(&mut self, request: Request<Bytes>) -> Answer {
        let mut request = request.map(Full::new);
        let path = request.uri().path_and_query().unwrap().as_str();
        let uri = format!("http://{}{path}", self.address);
        *request.uri_mut() = uri.parse().unwrap();
        self.send.ready().await.unwrap();
        Answer::of(self.send.send_request(request).await.unwrap()).await
    }
}

/// Makes one call over a connection of its own.
pub(crate) async fn call(address: SocketAddr, request: Request<Bytes>) -> Answer {
    Caller::connect(address).await.call(request).await
}

/// A `POST` of JSON.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// A `GET`.
pub(crate) fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

/// The request with one more header.
pub(crate) fn with(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}
