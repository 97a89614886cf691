//! HTTP/1.1.

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test(start_paused = true)]
async fn two_thousand_calls_in_a_row_use_one_connection() {
    let (upstream, metrics, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, HELLO));
    for count in 0..2000 {
        let (timing, body) = call(&upstream, post("/x", "{}")).await.unwrap();
        assert_eq!(body, "hello");
        assert_eq!((timing.sends, timing.cold), (1, count == 0));
        assert_eq!(timing.protocol, Some(Protocol::One));
        assert_eq!(timing.reused, count > 0);
    }
    assert_eq!(metrics.handshakes[0].get(), 1);
    assert_eq!(metrics.cold.get(), 1);
    let gauges = Gauges {
        open: 1,
        idle: 1,
        warm: 0,
        streams: 0,
    };
    assert_eq!(upstream.gauges(), gauges);
}

#[tokio::test]
async fn the_request_arrives_as_it_was_meant() {
    let (upstream, _, mut acceptor) = in_memory(options());
    let pieces = [
        Bytes::from(r#"{"model":"#),
        Bytes::from(r#""b""#),
        Bytes::from("}"),
    ];
    let body = Body::Spliced(Box::new(pieces));
    let mut request = request(Method::POST, "/v1/x?y=1", body);
    request.fields.push_text(b"x-mine", b"1");
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        let request = request_of(&mut io).await.unwrap();
        io.write_all(HELLO).await.unwrap();
        request
    };
    let (answer, request) = tokio::join!(call(&upstream, request), peer);
    answer.unwrap();
    assert!(
        request.starts_with("POST /v1/x?y=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: peer.test\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-length: 13\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"model\":\"b\"}"), "{request}");
}

/// What a peer does with a request.
enum Act {
    Say(&'static [u8]),
    SayAndClose(&'static [u8]),
}

/// Plays `script`: one list of acts per connection, in order of opening.
async fn play(mut acceptor: Acceptor, script: Vec<Vec<Act>>) -> usize {
    let mut requests = 0;
    for acts in script {
        let Some(mut io) = acceptor.accept().await else {
            break;
        };
        for act in acts {
            let Some(_request) = request_of(&mut io).await else {
                break;
            };
            requests += 1;
            match act {
                Act::Say(bytes) => io.write_all(bytes).await.unwrap(),
                Act::SayAndClose(bytes) => {
                    io.write_all(bytes).await.unwrap();
                    break;
                }
            }
        }
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn a_reused_connection_that_dies_unheard_costs_no_caller_an_error() {
    use Act::{Say, SayAndClose};
    let (upstream, metrics, acceptor) = in_memory(options());
    // The second request is read, and the connection closed in its face.
    let script = vec![
        vec![Say(HELLO), SayAndClose(b"")],
        vec![Say(HELLO), Say(HELLO)],
    ];
    let peer = tokio::spawn(play(acceptor, script));
    call(&upstream, post("/1", "a")).await.unwrap();
    let (timing, body) = call(&upstream, post("/2", "b")).await.unwrap();
    assert_eq!((timing.sends, body.as_str()), (2, "hello"));
    assert!(timing.cold && !timing.reused);
    call(&upstream, post("/3", "c")).await.unwrap();
    assert_eq!(peer.await.unwrap(), 4);
    assert_eq!(metrics.resends.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_is_not_used() {
    use Act::SayAndClose;
    let (upstream, metrics, acceptor) = in_memory(options());
    let script = (0..10).map(|_| vec![SayAndClose(HELLO)]).collect();
    let peer = tokio::spawn(play(acceptor, script));
    for _ in 0..10 {
        call(&upstream, post("/1", "a")).await.unwrap();
    }
    assert_eq!(peer.await.unwrap(), 10);
    assert!(metrics.resends.get() <= 10);
    assert_eq!(upstream.gauges().streams, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_certainly_unheard_is_not_sent_twice() {
    use Act::{Say, SayAndClose};
    let half = b"HTTP/1.1 200 O";
    for (name, script, kind, before) in [
        // A new connection: the peer may have acted on it.
        ("new", vec![vec![SayAndClose(b"")]], FaultKind::Reset, true),
        // Half a head on a reused one.
        (
            "half a head",
            vec![vec![Say(HELLO), SayAndClose(half)]],
            FaultKind::Reset,
            false,
        ),
        (
            "not HTTP",
            vec![vec![SayAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")]],
            FaultKind::Protocol,
            false,
        ),
        (
            "unasked upgrade",
            vec![vec![Say(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            )]],
            FaultKind::Protocol,
            false,
        ),
        (
            "shorter than announced",
            vec![vec![SayAndClose(
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            )]],
            FaultKind::Body,
            false,
        ),
        (
            "chunks cut off",
            vec![vec![SayAndClose(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            )]],
            FaultKind::Body,
            false,
        ),
        (
            "chunks that are none",
            vec![vec![Say(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            )]],
            FaultKind::Body,
            false,
        ),
    ] {
        let (upstream, metrics, acceptor) = in_memory(options());
        let warm_up = script[0].len() - 1;
        let peer = tokio::spawn(play(acceptor, script));
        for _ in 0..warm_up {
            call(&upstream, get("/warm-up")).await.unwrap();
        }
        let fault = call(&upstream, post("/x", "{}")).await.unwrap_err();
        assert_eq!(fault.kind(), kind, "{name}: {fault:?}");
        assert_eq!(fault.before_answer(), before, "{name}: {fault:?}");
        assert!(fault.message().contains("peer.test"), "{name}: {fault}");
        assert_eq!(metrics.resends.get(), 0, "{name}");
        drop(upstream);
        peer.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_measure_is_refused() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..10_000 {
        answer.extend_from_slice(format!("x-{number}: y\r\n").as_bytes());
    }
    answer.extend_from_slice(b"content-length: 0\r\n\r\n");
    let (upstream, _, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, answer.leak()));
    let fault = call(&upstream, get("/")).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Protocol, "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn informational_heads_are_skipped_and_trailers_pass() {
    let (upstream, _, acceptor) = in_memory(options());
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
        HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
        5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    tokio::spawn(answer_all(acceptor, answer));
    for _ in 0..2 {
        let mut timing = Timing::default();
        let mut request = get("/");
        request.fields.push(Name::Te, "trailers");
        let response = upstream.send(request, &mut timing, limits()).await.unwrap();
        let body = response.body.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "7");
        assert_eq!(body.to_bytes(), "hello");
    }
    assert_eq!(upstream.gauges().open, 1);
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_give_the_connection_back_at_once() {
    let (upstream, _, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, b"HTTP/1.1 204 No Content\r\n\r\n"));
    let mut timing = Timing::default();
    let response = upstream.send(get("/"), &mut timing, limits()).await;
    assert_eq!(upstream.gauges().idle, 1);
    drop(response);
    assert_eq!(upstream.gauges().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_too_much_is_not_used_again() {
    let close = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    for (answer, opened) in [
        (HELLO, 1),
        (close, 2),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200",
            2,
        ),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", 2),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            2,
        ),
    ] {
        let (upstream, metrics, acceptor) = in_memory(options());
        tokio::spawn(answer_all(acceptor, answer));
        for _ in 0..2 {
            assert_eq!(call(&upstream, get("/")).await.unwrap().1, "hello");
        }
        assert_eq!(metrics.handshakes[0].get(), opened);
        assert_eq!(upstream.gauges().idle, usize::from(opened == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_idle_connection_is_seen_at_once() {
    let (upstream, _, mut acceptor) = in_memory(options());
    let mut kept = Vec::new();
    for said in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
        let peer = async {
            let mut io = acceptor.accept().await.unwrap();
            request_of(&mut io).await.unwrap();
            io.write_all(HELLO).await.unwrap();
            io
        };
        let (answer, mut io) = tokio::join!(call(&upstream, get("/")), peer);
        answer.unwrap();
        assert_eq!(upstream.gauges().idle, 1);
        io.write_all(said).await.unwrap();
        if !said.is_empty() {
            kept.push(io);
        } else {
            drop(io);
        }
        tokio::task::yield_now().await;
        assert_eq!(upstream.gauges(), Gauges::default(), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_end_of_the_upload_costs_the_connection() {
    let (upstream, _, mut acceptor) = in_memory(options());
    let (pieces, source) = tokio::sync::mpsc::channel::<Bytes>(1);
    let request = request(Method::POST, "/", stream_of(source));
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            io.read_buf(&mut seen).await.unwrap();
        }
        io.write_all(HELLO).await.unwrap();
        io
    };
    let (answer, mut io) = tokio::join!(call(&upstream, request), peer);
    assert_eq!(answer.unwrap().1, "hello");
    closed(&mut io).await;
    assert!(pieces.is_closed());
    assert_eq!(upstream.gauges(), Gauges::default());
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_is_the_callers_fault() {
    let (upstream, _, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, HELLO));
    for (announced, sent, words) in [("9", "short", "shorter"), ("2", "long", "longer")] {
        let (pieces, source) = tokio::sync::mpsc::channel::<Bytes>(1);
        pieces.send(Bytes::from(sent)).await.unwrap();
        drop(pieces);
        let mut request = request(Method::POST, "/", stream_of(source));
        request.fields.push(Name::ContentLength, announced);
        let fault = call(&upstream, request).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::RequestBody, "{fault:?}");
        assert!(fault.message().contains(words), "{fault}");
    }
}

/// Reads until the other side closes.
async fn closed(io: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn leaving_early_closes_the_connection() {
    let (upstream, _, mut acceptor) = in_memory(options());
    // While waiting for the head …
    let mut timing = Timing::default();
    let mut io = {
        let waiting = upstream.send(get("/"), &mut timing, limits());
        let peer = async {
            let mut io = acceptor.accept().await.unwrap();
            request_of(&mut io).await.unwrap();
            io
        };
        tokio::select! {
            _ = waiting => panic!("nobody has answered"),
            io = peer => io,
        }
    };
    closed(&mut io).await;
    // … and while reading the body.
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        request_of(&mut io).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
        io.write_all(head).await.unwrap();
        io
    };
    let (response, mut io) = tokio::join!(upstream.send(get("/"), &mut timing, limits()), peer);
    let mut body = response.unwrap().body;
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    drop(body);
    closed(&mut io).await;
    tokio::task::yield_now().await;
    assert_eq!(upstream.gauges(), Gauges::default());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_bounds_what_the_peer_can_send() {
    let (upstream, _, mut acceptor) = in_memory(options());
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        request_of(&mut io).await.unwrap();
        io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n")
            .await
            .unwrap();
        let mut sent = 0;
        let piece = [0; 16 * 1024];
        // Virtual time passes only when nothing else can happen.
        while let Ok(Ok(())) =
            tokio::time::timeout(Duration::from_secs(1), io.write_all(&piece)).await
        {
            sent += piece.len();
        }
        sent
    };
    let mut timing = Timing::default();
    let (response, sent) = tokio::join!(upstream.send(get("/"), &mut timing, limits()), peer);
    assert!(response.is_ok());
    assert!(sent <= 512 * 1024, "{sent} bytes went out unread");
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_last_connection_waits_its_turn() {
    let (upstream, metrics, acceptor) = in_memory(Options {
        max_connections: 1,
        ..options()
    });
    tokio::spawn(answer_all(acceptor, HELLO));
    let calls = (0..20).map(|_| {
        let upstream = upstream.clone();
        tokio::spawn(async move { call(&upstream, get("/")).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(metrics.handshakes[0].get(), 1);
    assert_eq!(metrics.cold.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_sent_again_waits_its_turn_where_there_is_no_room() {
    let (upstream, _, mut acceptor) = in_memory(Options {
        max_connections: 1,
        ..options()
    });
    let started = Instant::now();
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        request_of(&mut io).await.unwrap();
        io.write_all(HELLO).await.unwrap();
        request_of(&mut io).await.unwrap();
        // Somebody else is waiting when the second call loses its connection:
        // the only room goes to the first in line.
        while !upstream.pool.line.is_anyone() {
            tokio::task::yield_now().await;
        }
        drop(io);
        answer_all(acceptor, HELLO).await;
    };
    let calls = async {
        call(&upstream, get("/first")).await.unwrap();
        let (again, next) = tokio::join!(
            call(&upstream, get("/again")),
            call(&upstream, get("/next"))
        );
        assert_eq!(again.unwrap().0.sends, 2);
        assert_eq!(next.unwrap().0.sends, 1);
    };
    tokio::select! {
        () = peer => panic!("the peer goes on"),
        () = calls => {}
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_turn() {
    let (upstream, _, mut acceptor) = in_memory(Options {
        max_connections: 1,
        ..options()
    });
    let mut timing = Timing::default();
    let first = upstream.send(get("/"), &mut timing, limits());
    let second = async {
        let _io = acceptor.accept().await.unwrap();
        let started = Instant::now();
        let fault = call(&upstream, get("/")).await.unwrap_err();
        (fault, started.elapsed())
    };
    tokio::select! {
        _ = first => panic!("nobody has answered"),
        (fault, waited) = second => {
            assert_eq!(fault.kind(), FaultKind::Deadline, "{fault:?}");
            assert_eq!(waited.as_secs(), 60);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_upload_passes_piece_by_piece() {
    let (upstream, _, mut acceptor) = in_memory(options());
    let (pieces, source) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = stream_of(source);
    let request = request(Method::POST, "/upload", body);
    let peer = async {
        let mut io = acceptor.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            io.read_buf(&mut seen).await.unwrap();
        }
        for _ in 0..3 {
            pieces.send(Bytes::from("piece")).await.unwrap();
            let mut chunk = [0; 10];
            io.read_exact(&mut chunk).await.unwrap();
            assert_eq!(&chunk, b"5\r\npiece\r\n");
        }
        drop(pieces);
        let mut last = [0; 5];
        io.read_exact(&mut last).await.unwrap();
        io.write_all(HELLO).await.unwrap();
        io
    };
    let (answer, _io) = tokio::join!(call(&upstream, request), peer);
    assert_eq!(answer.unwrap().1, "hello");
}

/// A body that says what comes out of a channel.
pub(super) fn stream_of(mut source: tokio::sync::mpsc::Receiver<Bytes>) -> Body {
    struct Frames<F>(F);
    impl<F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Bytes>> + Unpin>
        http_body::Body for Frames<F>
    {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            let next = (self.0)(cx);
            next.map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
        }
    }
    Body::stream(Frames(move |cx: &mut std::task::Context<'_>| {
        source.poll_recv(cx)
    }))
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let origin = Origin::new(false, "127.0.0.1", 1);
    let metrics = metrics::Pool::default();
    let upstream = Upstream::new(origin, options(), Cores::one(), metrics.clone());
    let fault = call(&upstream, get("/")).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Connect);
    assert_eq!(
        fault.message(),
        "connecting to 127.0.0.1:1: connection refused"
    );
    assert_eq!(metrics.handshake_failures.get(), 1);
    assert_eq!(upstream.gauges(), Gauges::default());
}

#[tokio::test(start_paused = true)]
async fn a_closed_upstream_keeps_nothing() {
    let (upstream, metrics, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, HELLO));
    call(&upstream, get("/")).await.unwrap();
    upstream.close();
    for _ in 0..3 {
        call(&upstream, get("/")).await.unwrap();
    }
    assert_eq!(metrics.handshakes[0].get(), 4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(upstream.gauges().open, 0);
}

#[test]
fn a_call_is_small() {
    let (upstream, _, _acceptor) = in_memory(options());
    let mut timing = Timing::default();
    let limits = Limits {
        connect: Duration::ZERO,
        deadline: Instant::now(),
    };
    let call = upstream.send(get("/"), &mut timing, limits);
    // A thousand waiting calls are a thousand of these.
    assert!(size_of_val(&call) <= 3072, "{} bytes", size_of_val(&call));
    assert!(size_of::<Incoming>() <= 256, "{}", size_of::<Incoming>());
}
