//! A provider that plays scripts: one per request it gets, whichever
//! connection that comes on.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::wire::{Framing, Head, Payload, Wire};
use super::{PATIENCE, Signal};

/// What is done about one request. Its head has been read when a script
/// begins, and its body too unless the script begins with [`Step::Unread`].
pub(crate) type Script = Vec<Step>;

/// Anything a provider may do with a connection, knowing the head of what it
/// was asked.
pub(crate) type Act = Box<dyn FnOnce(&mut Wire, &Head) + Send>;

/// One thing a provider does.
pub(crate) enum Step {
    /// Leaves the body where it is.
    Unread,
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Waits until the test says so.
    Wait(Signal),
    /// Tells the test.
    Raise(Signal),
    /// Reads until the other end is gone, and tells the test.
    Gone(Signal),
    /// Closes with a reset.
    Reset,
    /// Closes with an end. Without it the connection takes the next request.
    Close,
    /// Anything else.
    Do(Act),
}

impl Step {
    pub(crate) fn send(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Send(bytes.into())
    }

    pub(crate) fn act(act: impl FnOnce(&mut Wire, &Head) + Send + 'static) -> Self {
        Self::Do(Box::new(act))
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }
}

/// How a connection begins.
type Welcome = Arc<dyn Fn(TcpStream) -> Option<Wire> + Send + Sync>;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
    came: Condvar,
    connections: AtomicUsize,
    over: AtomicBool,
}

impl Upstream {
    pub(crate) fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::welcoming(scripts, Arc::new(|stream| Some(Wire::new(stream))))
    }

    /// A provider whose connections begin with TLS.
    pub(crate) fn with_tls(
        scripts: impl IntoIterator<Item = Script>,
        config: Arc<rustls::ServerConfig>,
    ) -> Self {
        let welcome = move |tcp: TcpStream| {
            let mut stream = tcp.try_clone().ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
            while tls.is_handshaking() {
                tls.complete_io(&mut stream).ok()?;
            }
            let io = Box::new(rustls::StreamOwned::new(tls, stream));
            Some(Wire::over(io, tcp))
        };
        Self::welcoming(scripts, Arc::new(welcome))
    }

    fn welcoming(scripts: impl IntoIterator<Item = Script>, welcome: Welcome) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared::default());
        shared.scripts.lock().extend(scripts);
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.over.load(Ordering::SeqCst) {
                    return;
                }
                theirs.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, welcome) = (Arc::clone(&theirs), Arc::clone(&welcome));
                thread::spawn(move || {
                    if let Some(wire) = welcome(stream) {
                        shared.converse(wire);
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// One that answers every request like this.
    pub(crate) fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new((0..64).map(|_| vec![Step::Send(answer.clone())]))
    }

    /// A port nobody listens on.
    pub(crate) fn closed_port() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound socket")
    }

    pub(crate) fn add(&self, script: Script) {
        self.shared.scripts.lock().push_back(script);
    }

    /// Drops the scripts that have not been played.
    pub(crate) fn forget(&self) {
        self.shared.scripts.lock().clear();
    }

    /// What has come until now.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// The first `count` requests, waited for.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.lock();
        while seen.len() < count {
            let late = self.shared.came.wait_for(&mut seen, PATIENCE).timed_out();
            assert!(!late, "{} requests came instead of {count}", seen.len());
        }
        seen.clone()
    }

    /// The only request that came.
    #[track_caller]
    pub(crate) fn one(&self) -> Seen {
        let seen = self.wait_for(1);
        assert_eq!(seen.len(), 1);
        seen.into_iter().next().expect("one")
    }

    /// Connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn converse(&self, mut wire: Wire) {
        // An idle connection is the gateway's to close, however long it takes.
        let _ = wire.tcp().set_read_timeout(None);
        while let Some(head) = wire.head() {
            let _ = wire.tcp().set_read_timeout(Some(PATIENCE));
            if is_catalogue(&head) {
                let _ = wire.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
            let script = self.scripts.lock().pop_front();
            let script = script.unwrap_or_else(|| {
                let said = json_answer(500, r#"{"error":{"message":"the script is over"}}"#);
                vec![Step::Send(said)]
            });
            let unread = matches!(script.first(), Some(Step::Unread));
            let framing = head.framing(Framing::Over);
            let payload = if unread {
                Payload::default()
            } else {
                wire.payload(framing)
            };
            self.seen.lock().push(Seen {
                head: head.clone(),
                body: payload.bytes,
            });
            self.came.notify_all();
            for step in script {
                match play(step, wire, &head) {
                    Some(open) => wire = open,
                    None => return,
                }
            }
            let _ = wire.tcp().set_read_timeout(None);
        }
    }
}

/// nowait asking for the list of models, which is nothing to these tests.
fn is_catalogue(head: &Head) -> bool {
    head.first.starts_with("GET ") && head.get("x-request-id") == Some("nowait-models")
}

/// `None` once the connection is closed.
fn play(step: Step, mut wire: Wire, head: &Head) -> Option<Wire> {
    match step {
        Step::Unread => {}
        // The gateway may have left, which is its right.
        Step::Send(bytes) => wire.write(&bytes).ok()?,
        Step::Wait(signal) => {
            signal.arrives();
        }
        Step::Raise(signal) => signal.raise(),
        Step::Gone(signal) => {
            if wire.ends() {
                signal.raise();
            }
            return None;
        }
        Step::Reset => {
            wire.reset();
            return None;
        }
        Step::Close => return None,
        Step::Do(act) => act(&mut wire, head),
    }
    Some(wire)
}

/// A whole answer of JSON.
pub(crate) fn json_answer(status: u16, body: &str) -> Vec<u8> {
    answer(status, &[("content-type", "application/json")], body)
}

/// A whole answer of known length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("content-length", &length));
    let mut out = answer_head(status, &all);
    out.extend_from_slice(body);
    out
}

pub(crate) fn answer_head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The head of a stream, chunked.
pub(crate) fn stream_head() -> Vec<u8> {
    answer_head(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("transfer-encoding", "chunked"),
        ],
    )
}

/// One chunk.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

/// The end of a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
