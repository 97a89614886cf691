//! Connections kept ready, on virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// What a peer has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Connections that the peer had to close because they were idle.
    expired: AtomicUsize,
    /// When the last of those was.
    last_expiry: Mutex<Option<Instant>>,
}

/// Answers requests, and closes a connection on which nothing comes for
/// `patience`.
fn impatient(mut acceptor: Acceptor, patience: Duration) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Some(mut io) = acceptor.accept().await {
            let seen = seen.clone();
            seen.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                loop {
                    match timeout(patience, request_of(&mut io)).await {
                        Ok(Some(request)) => {
                            assert!(request.starts_with("GET /real"), "{request}");
                            io.write_all(HELLO).await.unwrap();
                        }
                        Ok(None) => return,
                        Err(_elapsed) => {
                            seen.expired.fetch_add(1, Ordering::SeqCst);
                            *seen.last_expiry.lock() = Some(Instant::now());
                            return;
                        }
                    }
                }
            });
        }
    });
    kept
}

fn warm(count: usize) -> Options {
    Options {
        warm: count,
        ..Options::default()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn with_spares_no_request_is_cold() {
    let (upstream, metrics, acceptor) = in_memory(warm(2));
    let seen = impatient(acceptor, HOUR);
    upstream.warm();
    upstream.ready().await;
    assert_eq!(upstream.gauges().warm, 2);
    for _ in 0..10 {
        let (one, other) =
            tokio::join!(call(&upstream, get("/real")), call(&upstream, get("/real")));
        assert!(one.unwrap().0.reused && other.unwrap().0.reused);
    }
    assert_eq!(metrics.cold.get(), 0);
    assert_eq!(metrics.handshakes[0].get(), 0);
    // While the first two were out, two more were opened; no more since.
    let connections = seen.connections.load(Ordering::SeqCst);
    assert!((2..=4).contains(&connections), "{connections}");
}

#[tokio::test(start_paused = true)]
async fn spares_are_replaced_before_they_expire() {
    let (upstream, metrics, acceptor) = in_memory(Options {
        idle_timeout: Duration::from_secs(60),
        ..warm(2)
    });
    let seen = impatient(acceptor, Duration::from_secs(60));
    upstream.warm();
    sleep(HOUR).await;
    assert_eq!(seen.expired.load(Ordering::SeqCst), 0);
    let gauges = upstream.gauges();
    assert_eq!((gauges.open, gauges.warm), (2, 2));
    // Two every 54 s.
    let connections = seen.connections.load(Ordering::SeqCst);
    assert!((120..=140).contains(&connections), "{connections}");
    assert_eq!(metrics.handshakes[3].get() as usize, connections - 2);
    assert!(call(&upstream, get("/real")).await.unwrap().0.reused);
}

#[tokio::test(start_paused = true)]
async fn the_peers_own_idle_limit_is_learned() {
    let (upstream, metrics, acceptor) = in_memory(Options {
        idle_timeout: Duration::from_secs(90),
        ..warm(2)
    });
    let seen = impatient(acceptor, Duration::from_secs(20));
    upstream.warm();
    sleep(Duration::from_secs(120)).await;
    let (expired, now) = (seen.expired.load(Ordering::SeqCst), Instant::now());
    assert!((2..=6).contains(&expired), "{expired}");
    sleep(Duration::from_secs(1200)).await;
    let last = seen.last_expiry.lock().unwrap();
    assert!(last <= now, "still expiring {:?} later", last - now);
    assert!(call(&upstream, get("/real")).await.unwrap().0.reused);
    assert_eq!(metrics.cold.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_wants_no_spares_is_left_alone() {
    let (upstream, _, mut acceptor) = in_memory(warm(2));
    upstream.warm();
    let mut opened = 0;
    let closes = async {
        loop {
            // Dropped, so closed, at once.
            drop(acceptor.accept().await);
            opened += 1;
        }
    };
    let _elapsed = timeout(HOUR, closes).await;
    assert!((2..=400).contains(&opened), "{opened} in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_asked_less_and_less() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let dialer = Dialer::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(std::io::ErrorKind::ConnectionRefused.into())
    });
    let options = Options {
        transport: Transport::Memory(dialer),
        ..warm(2)
    };
    let origin = Origin::new(false, "peer.test", 80);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    upstream.warm();
    upstream.ready().await;
    sleep(HOUR).await;
    let spares = asked.load(Ordering::SeqCst);
    assert!((2..=200).contains(&spares), "{spares} in an hour");
    // A request asks for itself, once.
    for _ in 0..10 {
        let fault = call(&upstream, get("/real")).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Connect);
    }
    let more = asked.load(Ordering::SeqCst) - spares;
    assert!((10..=14).contains(&more), "{more}");
}

#[tokio::test(start_paused = true)]
async fn what_a_rush_has_opened_is_closed_when_it_is_over() {
    let (upstream, _, acceptor) = in_memory(warm(2));
    impatient(acceptor, HOUR);
    upstream.warm();
    let rush: Vec<_> = (0..50)
        .map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { call(&upstream, get("/real")).await })
        })
        .collect();
    for call in rush {
        call.await.unwrap().unwrap();
    }
    assert!(upstream.gauges().open >= 10);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(upstream.gauges().open, 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_upstream_closes_what_is_idle_and_lets_the_rest_finish() {
    let (upstream, _, mut acceptor) = in_memory(warm(1));
    upstream.warm();
    upstream.ready().await;
    let mut timing = Timing::default();
    let mut io = acceptor.accept().await.unwrap();
    let peer = async {
        request_of(&mut io).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";
        io.write_all(head).await.unwrap();
    };
    let (response, ()) = tokio::join!(upstream.send(get("/real"), &mut timing, limits()), peer);
    drop(upstream);
    io.write_all(b"llo").await.unwrap();
    let body = response.unwrap().body.collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello");
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    // Keeper, dials and drivers are gone too: nobody can dial any more.
    while let Some(mut spare) = acceptor.accept().await {
        spare.read_to_end(&mut rest).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn http2_spares_have_shaken_hands_and_answer_pings() {
    let (upstream, metrics, mut acceptor) = in_memory(Options {
        http: Http::Two,
        idle_timeout: HOUR,
        ..warm(2)
    });
    let silent = Arc::new(tokio::sync::Semaphore::new(0));
    let hush = silent.clone();
    tokio::spawn(async move {
        let mut number = 0;
        while let Some(io) = acceptor.accept().await {
            number += 1;
            let (number, hush) = (number, hush.clone());
            tokio::spawn(async move {
                let mut server = ::h2::server::handshake(io).await.unwrap();
                let serving = async {
                    while let Some(Ok((_, mut respond))) = server.accept().await {
                        let mut body = respond
                            .send_response(http::Response::new(()), false)
                            .unwrap();
                        body.send_data(Bytes::from("hello"), true).unwrap();
                    }
                };
                // The first connection falls silent, without closing.
                tokio::select! {
                    () = serving => {}
                    _ = hush.acquire(), if number == 1 => std::future::pending().await,
                }
            });
        }
    });
    upstream.warm();
    upstream.ready().await;
    assert_eq!(upstream.gauges().warm, 2);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(metrics.handshakes[1].get(), 2);
    silent.add_permits(1);
    // At most one interval and one wait for the answer.
    sleep(Duration::from_secs(31)).await;
    assert_eq!(upstream.gauges().warm, 2);
    assert_eq!(metrics.handshakes[1].get(), 3);
    let (timing, _) = call(&upstream, get("/real")).await.unwrap();
    assert!(timing.reused);
    assert_eq!(metrics.cold.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn http2_spares_are_replaced_before_they_expire() {
    let (upstream, metrics, mut acceptor) = in_memory(Options {
        http: Http::Two,
        idle_timeout: Duration::from_secs(60),
        ..warm(2)
    });
    let closed = Arc::new(AtomicUsize::new(0));
    let count = closed.clone();
    tokio::spawn(async move {
        while let Some(io) = acceptor.accept().await {
            let closed = count.clone();
            tokio::spawn(async move {
                let mut server = ::h2::server::handshake(io).await.unwrap();
                assert!(server.accept().await.is_none_or(|stream| stream.is_err()));
                closed.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    upstream.warm();
    sleep(HOUR).await;
    let gauges = upstream.gauges();
    assert_eq!((gauges.open, gauges.warm), (2, 2));
    let refreshed = metrics.handshakes[3].get();
    assert!((120..=140).contains(&refreshed), "{refreshed}");
    assert_eq!(closed.load(Ordering::SeqCst) as u64, refreshed);
}
