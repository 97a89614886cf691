//! HTTP/2, over real sockets: what a peer does is written with `h2`'s server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::h2::server::{Builder, Connection, SendResponse};
use ::h2::{Reason, RecvStream};
use http::Response;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use super::*;

/// Over which every test has failed: the machine may be busy.
const FAR: Duration = Duration::from_secs(30);

type Server = Connection<TcpStream, Bytes>;
type Stream = (http::Request<RecvStream>, SendResponse<Bytes>);

/// A peer on a real socket.
struct Peer {
    listener: TcpListener,
    allows: u32,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    async fn new(allows: u32) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            allows,
            connections: Arc::default(),
        }
    }

    fn upstream(&self, options: Options) -> (Arc<Upstream>, metrics::Pool) {
        let port = self.listener.local_addr().unwrap().port();
        let metrics = metrics::Pool::default();
        let origin = Origin::new(false, "127.0.0.1", port);
        let options = Options {
            http: Http::Two,
            ..options
        };
        let upstream = Upstream::new(origin, options, Cores::one(), metrics.clone());
        (upstream, metrics)
    }

    async fn accept(&self) -> Server {
        let (io, _) = self.listener.accept().await.unwrap();
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut builder = Builder::new();
        builder.max_concurrent_streams(self.allows);
        builder.handshake(io).await.unwrap()
    }

    /// Answers every stream of every connection with what `answer` does.
    fn serve<F, A>(self, answer: F) -> Arc<AtomicUsize>
    where
        F: Fn(Stream) -> A + Clone + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let connections = self.connections.clone();
        tokio::spawn(async move {
            loop {
                let (io, _) = self.listener.accept().await.unwrap();
                self.connections.fetch_add(1, Ordering::SeqCst);
                let (allows, answer) = (self.allows, answer.clone());
                tokio::spawn(async move {
                    let mut builder = Builder::new();
                    builder.max_concurrent_streams(allows);
                    let mut server: Server = builder.handshake(io).await.unwrap();
                    while let Some(Ok(stream)) = server.accept().await {
                        tokio::spawn(answer(stream));
                    }
                });
            }
        });
        connections
    }
}

fn say(respond: &mut SendResponse<Bytes>, text: &'static str) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from(text), true).unwrap();
}

async fn hello((_, mut respond): Stream) {
    say(&mut respond, "hello");
}

/// `count` calls at once, each on a task of its own.
fn calls(upstream: &Arc<Upstream>, count: usize) -> Vec<tokio::task::JoinHandle<Outcome>> {
    let one = |_| {
        let upstream = upstream.clone();
        tokio::spawn(async move { call(&upstream, post("/x", "{}")).await })
    };
    (0..count).map(one).collect()
}

type Outcome = Result<(Timing, String), Fault>;

async fn all_good(calls: Vec<tokio::task::JoinHandle<Outcome>>) -> Vec<Timing> {
    let mut timings = Vec::new();
    for call in calls {
        let (timing, body) = tokio::time::timeout(FAR, call)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(body, "hello");
        timings.push(timing);
    }
    timings
}

/// Nobody is answered before all `count` have arrived: a call that waited for
/// another's end would wait for ever.
async fn all_at_once(allows: u32, count: usize) -> (usize, metrics::Pool) {
    let peer = Peer::new(allows).await;
    let (upstream, metrics) = peer.upstream(options());
    let arrived = Arc::new(AtomicUsize::new(0));
    let everybody = Arc::new(Semaphore::new(0));
    let connections = peer.serve(move |(request, mut respond)| {
        let (arrived, everybody) = (arrived.clone(), everybody.clone());
        async move {
            if arrived.fetch_add(1, Ordering::SeqCst) + 1 == count {
                everybody.add_permits(count);
            }
            let _here = everybody.acquire().await.unwrap();
            drop(request);
            say(&mut respond, "hello");
        }
    });
    all_good(calls(&upstream, count)).await;
    (connections.load(Ordering::SeqCst), metrics)
}

#[tokio::test]
async fn a_peer_that_allows_five_streams_gets_a_hundred_at_once() {
    let (connections, _) = all_at_once(5, 100).await;
    assert!((20..=40).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_peer_that_allows_one_stream_gets_forty_at_once() {
    let (connections, _) = all_at_once(1, 40).await;
    assert!((40..=80).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_peer_that_allows_a_hundred_gets_three_hundred_at_once() {
    let (connections, _) = all_at_once(100, 300).await;
    assert!((4..=8).contains(&connections), "{connections}");
}

#[tokio::test]
async fn two_thousand_calls_in_a_row_use_one_http2_connection() {
    let peer = Peer::new(100).await;
    let (upstream, metrics) = peer.upstream(options());
    let connections = peer.serve(hello);
    for count in 0..2000 {
        let (timing, _) = call(&upstream, post("/x", "{}")).await.unwrap();
        assert_eq!((timing.sends, timing.reused), (1, count > 0));
        assert_eq!(timing.protocol, Some(Protocol::Two));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(metrics.cold.get(), 1);
    let gauges = upstream.gauges();
    assert_eq!((gauges.open, gauges.idle, gauges.streams), (1, 1, 0));
}

#[tokio::test]
async fn the_first_request_does_not_wait_for_settings() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        listener,
        allows: 1,
        connections: Arc::default(),
    };
    let (upstream, _) = peer.upstream(options());
    let calls = calls(&upstream, 1);
    let (mut io, _) = peer.listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !has_headers_frame(&seen) {
        assert!(io.read_buf(&mut seen).await.unwrap() > 0);
    }
    drop(calls);
}

/// A HEADERS frame (type 1) after the preface.
fn has_headers_frame(bytes: &[u8]) -> bool {
    let mut at = 24;
    while let Some(head) = bytes.get(at..at + 9) {
        if head[3] == 1 {
            return true;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        at += 9 + length;
    }
    false
}

#[tokio::test]
async fn goaway_under_load_costs_no_caller_an_error() {
    let peer = Peer::new(50).await;
    let (upstream, metrics) = peer.upstream(options());
    let connections = peer.connections.clone();
    tokio::spawn(async move {
        loop {
            let mut server = peer.accept().await;
            tokio::spawn(async move {
                let mut served = 0;
                while let Some(Ok(stream)) = server.accept().await {
                    tokio::spawn(hello(stream));
                    served += 1;
                    // Every connection goes away in the middle of the rush.
                    if served == 20 {
                        server.graceful_shutdown();
                    }
                }
            });
        }
    });
    for _ in 0..10 {
        all_good(calls(&upstream, 60)).await;
    }
    assert!(connections.load(Ordering::SeqCst) >= 10);
    assert_eq!(metrics.handshake_failures.get(), 0);
}

#[tokio::test]
async fn one_stream_reset_among_fifty_touches_only_itself() {
    let peer = Peer::new(100).await;
    let (upstream, metrics) = peer.upstream(options());
    let (arrived, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let connections = peer.serve(move |(request, mut respond)| {
        let (arrived, go) = (arrived.clone(), go.clone());
        async move {
            let number = arrived.fetch_add(1, Ordering::SeqCst) + 1;
            if number == 50 {
                go.add_permits(1000);
            }
            let _all_here = go.acquire().await.unwrap();
            drop(request);
            match number {
                25 => respond.send_reset(Reason::REFUSED_STREAM),
                26 => respond.send_reset(Reason::INTERNAL_ERROR),
                _ => say(&mut respond, "hello"),
            }
        }
    });
    let timings = all_good(calls(&upstream, 50)).await;
    let resent = timings.iter().filter(|timing| timing.sends > 1).count();
    assert_eq!((resent, metrics.resends.get()), (2, 2));
    assert!(connections.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_stream_reset_after_its_head_is_not_sent_again() {
    let peer = Peer::new(100).await;
    let (upstream, metrics) = peer.upstream(options());
    peer.serve(|(_, mut respond)| async move {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from("half"), false).unwrap();
        tokio::task::yield_now().await;
        body.send_reset(Reason::INTERNAL_ERROR);
    });
    let fault = call(&upstream, get("/")).await.unwrap_err();
    assert!(
        !fault.before_answer() || fault.kind() == FaultKind::Reset,
        "{fault:?}"
    );
    assert_eq!(metrics.resends.get(), 0);
    assert_eq!(upstream.gauges().streams, 0);
}

#[tokio::test]
async fn a_connection_that_dies_under_a_reused_stream_is_replaced() {
    let peer = Peer::new(100).await;
    let (upstream, metrics) = peer.upstream(options());
    let fates = Mutex::new(VecDeque::from([1_usize, usize::MAX]));
    tokio::spawn(async move {
        loop {
            let mut server = peer.accept().await;
            let lives = fates.lock().pop_front().unwrap();
            tokio::spawn(async move {
                let mut served = 0;
                while let Some(Ok(stream)) = server.accept().await {
                    served += 1;
                    if served > lives {
                        return;
                    }
                    hello(stream).await;
                }
            });
        }
    });
    call(&upstream, post("/1", "{}")).await.unwrap();
    let (timing, _) = call(&upstream, post("/2", "{}")).await.unwrap();
    assert_eq!((timing.sends, metrics.resends.get()), (2, 1));
}

#[tokio::test]
async fn leaving_early_resets_the_stream_and_nothing_else() {
    let peer = Peer::new(100).await;
    let (upstream, _) = peer.upstream(options());
    let reset = Arc::new(Notify::new());
    let told = reset.clone();
    let connections = peer.serve(move |(request, mut respond)| {
        let told = told.clone();
        async move {
            if request.uri().path() != "/leave" {
                return say(&mut respond, "hello");
            }
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            let reason = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
            assert_eq!(reason.unwrap(), Reason::CANCEL);
            told.notify_one();
        }
    });
    let mut timing = Timing::default();
    let response = upstream.send(get("/leave"), &mut timing, limits()).await;
    drop(response.unwrap());
    tokio::time::timeout(FAR, reset.notified()).await.unwrap();
    call(&upstream, get("/stay")).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(upstream.gauges().streams, 0);
}

#[tokio::test]
async fn trailers_and_uploads_pass() {
    let peer = Peer::new(100).await;
    let (upstream, _) = peer.upstream(options());
    peer.serve(|(request, mut respond)| async move {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(Ok(data)) = body.data().await {
            length += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        respond
            .send_informational(Response::builder().status(103).body(()).unwrap())
            .unwrap();
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        let text = length.to_string();
        answer.send_data(Bytes::from(text), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        answer.send_trailers(trailers).unwrap();
    });
    // Both larger than the peer's window of 64 KiB.
    let (pieces, source) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for _ in 0..50 {
            pieces.send(Bytes::from(vec![0; 10_000])).await.unwrap();
        }
    });
    for body in [one::stream_of(source), Body::from(vec![0; 500_000])] {
        let mut timing = Timing::default();
        let request = request(Method::POST, "/", body);
        let response = upstream.send(request, &mut timing, limits()).await;
        let body = response.unwrap().body.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "7");
        assert_eq!(body.to_bytes(), "500000");
    }
    assert_eq!(upstream.gauges().streams, 0);
}

#[tokio::test]
async fn one_who_does_not_read_starves_nobody_and_bounds_the_peer() {
    let peer = Peer::new(100).await;
    let (upstream, _) = peer.upstream(options());
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    peer.serve(move |(request, mut respond)| {
        let sent = counted.clone();
        async move {
            if request.uri().path() != "/flood" {
                return say(&mut respond, "hello");
            }
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            loop {
                body.reserve_capacity(16 * 1024);
                let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
                let Some(Ok(room)) = room else { return };
                sent.fetch_add(room, Ordering::SeqCst);
                body.send_data(Bytes::from(vec![0; room]), false).unwrap();
            }
        }
    });
    let mut timing = Timing::default();
    let mut sleepers = Vec::new();
    for _ in 0..10 {
        let sleeper = upstream.send(get("/flood"), &mut timing, limits()).await;
        sleepers.push(sleeper.unwrap());
    }
    for _ in 0..200 {
        call(&upstream, get("/x")).await.unwrap();
    }
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent <= 10 * 512 * 1024, "{sent} bytes went out unread");
}

#[tokio::test]
async fn a_stalled_handshake_beside_healthy_ones_holds_nobody_up() {
    let peer = Peer::new(5).await;
    let (upstream, metrics) = peer.upstream(Options {
        connect_timeout: Duration::from_millis(300),
        ..options()
    });
    tokio::spawn(async move {
        let mut stalled = Vec::new();
        for number in 0.. {
            // Every third connection is accepted and then ignored.
            if number % 3 == 1 {
                stalled.push(peer.listener.accept().await.unwrap());
                continue;
            }
            let mut server = peer.accept().await;
            tokio::spawn(async move {
                while let Some(Ok(stream)) = server.accept().await {
                    tokio::spawn(hello(stream));
                }
            });
        }
    });
    // More each time than one connection carries, so that new ones are opened
    // throughout. Who is on a stalled one is sent elsewhere.
    for _ in 0..3 {
        all_good(calls(&upstream, 20)).await;
    }
    assert_eq!(metrics.handshake_failures.get(), 0);
}

#[tokio::test]
async fn what_does_not_fit_the_protocol_is_a_fault() {
    for (path, kind) in [
        ("/long-head", FaultKind::Protocol),
        ("/short-body", FaultKind::Body),
    ] {
        let peer = Peer::new(100).await;
        let (upstream, metrics) = peer.upstream(options());
        peer.serve(move |(_, mut respond)| async move {
            let mut response = Response::new(());
            let headers = response.headers_mut();
            if path == "/long-head" {
                let long = "y".repeat(100_000).parse().unwrap();
                headers.insert("x-long", long);
            } else {
                headers.insert("content-length", "9".parse().unwrap());
            }
            let mut body = respond.send_response(response, false).unwrap();
            body.send_data(Bytes::from("hello"), true).unwrap();
        });
        let fault = call(&upstream, get(path)).await.unwrap_err();
        assert_eq!(fault.kind(), kind, "{path}: {fault:?}");
        assert_eq!(metrics.resends.get(), 0);
        assert_eq!(upstream.gauges().streams, 0);
    }
}

#[tokio::test]
async fn a_closed_upstream_still_serves_who_has_it() {
    let peer = Peer::new(100).await;
    let (upstream, metrics) = peer.upstream(options());
    peer.serve(hello);
    call(&upstream, get("/")).await.unwrap();
    upstream.close();
    all_good(calls(&upstream, 3)).await;
    while upstream.gauges().open > 0 {
        tokio::task::yield_now().await;
    }
    assert!(metrics.handshakes[0].get() <= 4);
}
