//! Everything a provider serves that nowait doesn't know: passed through as it
//! is, whatever its size.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::harness::client::{head, post};
use crate::harness::dialects::Door;
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::upstream::{Step, Upstream, answer, answer_head, chunk, stream_head};
use crate::harness::wire::{Framing, Piece, is_late};
use crate::harness::{Signal, eventually};

const LARGE: usize = 64 << 20;
/// What the sockets on the way may hold of it.
const BUFFERED_MAX: usize = 24 << 20;

#[test]
fn methods_paths_queries_and_bodies_pass_as_they_are() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    let cases = [
        ("GET", "/up/v1/files", "", "/v1/files"),
        ("GET", "/up/files", "", "/v1/files"),
        (
            "GET",
            "/claude/v1/files?limit=2&after=a%20b",
            "",
            "/v1/files?limit=2&after=a%20b",
        ),
        ("GET", "/claude/files", "", "/v1/files"),
        ("GET", "/up/v1/files?", "", "/v1/files"),
        (
            "GET",
            "/up/v1/x?a=1&a=2&&b=%2F%3f+c;d",
            "",
            "/v1/x?a=1&a=2&&b=%2F%3f+c;d",
        ),
        ("GET", "/up/v1/a%2Fb/../c//d", "", "/v1/a%2Fb/../c//d"),
        ("DELETE", "/up/v1/files/file-1", "", "/v1/files/file-1"),
        (
            "PUT",
            "/up/v1/files/file-1",
            "\0not text\u{7f}",
            "/v1/files/file-1",
        ),
        ("PATCH", "/up/v1/x", "{\"a\": 1 }", "/v1/x"),
        ("OPTIONS", "/up/v1/x", "", "/v1/x"),
        (
            "POST",
            "/up/v1/audio/speech",
            "{\"model\":5",
            "/v1/audio/speech",
        ),
        ("GET", "/up/v1/responses/resp_1", "", "/v1/responses/resp_1"),
    ];
    for (index, (method, path, body, target)) in cases.into_iter().enumerate() {
        upstream.add(vec![Step::Send(answer(
            200,
            &[("content-type", "application/x-theirs")],
            "answer\0",
        ))]);
        let length = body.len().to_string();
        let mut call = head(
            method,
            path,
            &[("content-length", &length), ("content-type", "x/y")],
        );
        call.extend_from_slice(body.as_bytes());
        let reply = gateway.call(call);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, "answer\0"),
            "{path}"
        );
        assert_eq!(reply.head.get("content-type"), Some("application/x-theirs"));
        let seen = upstream.wait_for(index + 1).remove(index);
        assert_eq!(seen.head.first, format!("{method} {target} HTTP/1.1"));
        assert_eq!(seen.body, body.as_bytes(), "{path}");
        assert_eq!(seen.get("content-type"), Some("x/y"));
    }
}

#[test]
fn calls_addressed_to_a_provider_by_path_keep_their_model() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let body = r#"{ "model" : "of/their/own" , "x":1}"#;
    for (index, path) in [
        "/up/v1/chat/completions",
        "/up/chat/completions",
        "/claude/v1/messages",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gateway.call(post(path, &[], body)).status, 200, "{path}");
        let seen = upstream.wait_for(index + 1).remove(index);
        assert_eq!(seen.body, body.as_bytes(), "{path}");
    }
    let reply = gateway.call(post("/up/v1/messages", &[], body));
    // It isn't in its dialect, and can't be translated.
    let said = Door::Messages.assert_error(&reply, 400, "invalid_request");
    assert!(said.contains("translating the request"), "{said}");
}

#[test]
fn answers_without_a_body_are_just_that() {
    let upstream = Upstream::new([
        vec![Step::Send(answer_head(
            200,
            &[("content-length", "1234"), ("etag", "\"e\"")],
        ))],
        vec![Step::Send(answer_head(204, &[]))],
        vec![Step::Send(answer_head(
            304,
            &[("etag", "\"e\""), ("content-length", "1234")],
        ))],
        vec![Step::Send(answer(200, &[], ""))],
        vec![Step::Send(answer_head(205, &[("content-length", "0")]))],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    for (method, status, length) in [
        ("HEAD", 200, Some("1234")),
        ("DELETE", 204, None),
        ("GET", 304, Some("1234")),
        ("GET", 200, Some("0")),
        ("GET", 205, Some("0")),
    ] {
        client.send(head(method, "/up/v1/files/1", &[]));
        let answer = client.answer();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(
            answer.head.get("content-length"),
            length,
            "{method} {status}"
        );
        assert_eq!(
            answer.head.get("transfer-encoding"),
            None,
            "{method} {status}"
        );
        let id = answer.head.get("x-request-id").expect("an id").to_owned();
        let line = gateway.line(&id);
        assert_eq!(
            (&line["status"], line.get("cancelled")),
            (&status.into(), None),
            "{line}"
        );
        // Nothing follows: the next answer on this connection is the next one.
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(
        client
            .wire
            .tcp()
            .take_error()
            .expect("open")
            .map(|fault| fault.kind()),
        None
    );
}

/// What a large body holds: bytes that come round after a prime number of
/// them, so that pieces of round sizes don't look alike.
static FILLER: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..(256 << 10) + 251).map(|at| (at % 251) as u8).collect());

fn piece(from: usize, size: usize) -> &'static [u8] {
    &FILLER[from % 251..][..size]
}

#[test]
fn an_upload_of_64_mebibytes_is_not_held() {
    for chunked in [false, true] {
        let (go, done) = (Signal::default(), Signal::default());
        let taken = Arc::new(AtomicUsize::new(0));
        let upstream = Upstream::new([vec![
            Step::Unread,
            Step::Wait(go.clone()),
            Step::act({
                let (taken, done) = (Arc::clone(&taken), done.clone());
                move |wire, head| {
                    let mut framing = head.framing(Framing::Over);
                    while let Piece::Data(data) = wire.piece(&mut framing) {
                        let at = taken.fetch_add(data.len(), Ordering::SeqCst);
                        if data != piece(at, data.len()) {
                            return;
                        }
                    }
                    done.raise();
                }
            }),
            Step::Send(answer(200, &[], "stored")),
        ]]);
        let gateway = Gateway::with_server("max_body = \"1MiB\"", &both(upstream.address));
        let mut client = gateway.client();
        let length = LARGE.to_string();
        let told = match chunked {
            true => ("transfer-encoding", "chunked"),
            false => ("content-length", length.as_str()),
        };
        let kind = ("content-type", "multipart/form-data; boundary=x");
        client.send(head("POST", "/up/v1/files", &[told, kind]));
        let mut tcp = client.wire.tcp().try_clone().expect("a second handle");
        tcp.set_write_timeout(Some(Duration::from_millis(200)))
            .expect("not zero");
        let (mut sent, mut held) = (0, None);
        while sent < LARGE {
            let data = piece(sent, 64 << 10);
            let framed = chunked.then(|| chunk(data));
            let mut left = framed.as_deref().unwrap_or(data);
            while !left.is_empty() {
                match tcp.write(left) {
                    Ok(taken) => left = &left[taken..],
                    Err(fault) if is_late(&fault) => {
                        // The provider doesn't read: neither does the gateway.
                        held.get_or_insert(sent);
                        go.raise();
                    }
                    Err(fault) => panic!("{fault}"),
                }
            }
            sent += 64 << 10;
        }
        let held = held.expect("the caller's writes blocked");
        assert!(held < BUFFERED_MAX, "{held} bytes are held");
        if chunked {
            client.send("0\r\n\r\n");
        }
        done.wait("all of it arrives as it was sent");
        assert_eq!(taken.load(Ordering::SeqCst), LARGE);
        let reply = client.reply();
        assert_eq!(reply.text(), "stored");
        assert_eq!(gateway.line_of(&reply)["bytes_in"], LARGE);
        let seen = upstream.one();
        assert_eq!(seen.get("content-type"), Some(kind.1));
        let framing = if chunked {
            Framing::Chunked
        } else {
            Framing::Length(LARGE as u64)
        };
        assert_eq!(
            seen.head.framing(Framing::Over),
            framing,
            "told as the caller did"
        );
    }
}

#[test]
fn a_download_of_64_mebibytes_is_not_held() {
    let full = Signal::default();
    let went = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::new([vec![
        Step::Send(answer_head(
            200,
            &[
                ("content-length", &LARGE.to_string()),
                ("content-type", "audio/mpeg"),
            ],
        )),
        Step::act({
            let (went, full) = (Arc::clone(&went), full.clone());
            move |wire, _| {
                let mut tcp = wire.tcp();
                tcp.set_write_timeout(Some(Duration::from_millis(200)))
                    .expect("not zero");
                while went.load(Ordering::SeqCst) < LARGE {
                    let at = went.load(Ordering::SeqCst);
                    match tcp.write(piece(at, (64 << 10).min(LARGE - at))) {
                        Ok(taken) => {
                            went.fetch_add(taken, Ordering::SeqCst);
                        }
                        Err(fault) if is_late(&fault) => full.raise(),
                        Err(_) => return,
                    }
                }
            }
        }),
    ]]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    client.send(head("GET", "/up/v1/files/1/content", &[]));
    let mut answer = client.answer();
    assert_eq!(
        answer.head.get("content-length"),
        Some(LARGE.to_string().as_str())
    );
    full.wait("the provider's writes block");
    let held = went.load(Ordering::SeqCst);
    assert!(held < BUFFERED_MAX, "{held} bytes are held");
    let mut read = 0;
    while let Piece::Data(data) = client.wire.piece(&mut answer.framing) {
        assert!(data == piece(read, data.len()), "another byte after {read}");
        read += data.len();
    }
    assert_eq!(read, LARGE);
    let line = gateway.line(answer.head.get("x-request-id").expect("an id"));
    assert_eq!(line["bytes_out"], LARGE);
    assert_eq!(line.get("cancelled"), None, "the caller has all of it");
}

/// Too large for the provider, say: its answer comes while the upload goes on.
#[test]
fn an_answer_that_comes_before_the_upload_ends_is_passed_on() {
    let upstream = Upstream::new([vec![
        Step::Unread,
        Step::Send(answer(413, &[("connection", "close")], "too much")),
        Step::Gone(Signal::default()),
    ]]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    let length = LARGE.to_string();
    // At once, for whoever has answered may not read on.
    let mut begun = head("POST", "/up/v1/files", &[("content-length", &length)]);
    begun.extend_from_slice(&[0; 16 << 10]);
    client.send(begun);
    let reply = client.reply();
    assert_eq!((reply.status, reply.text().as_str()), (413, "too much"));
    drop(client);
    eventually("neither connection is kept for the rest", || {
        gateway.call(head("GET", "/metrics", &[]));
        let open = "nowait_pool_connections{upstream=\"up\",state=\"open\"}";
        (gateway.metric(open) == 0.0).then_some(())
    });
}

/// The caller writes on while the call has failed long ago.
#[test]
fn an_upload_to_nowhere_is_refused_in_words_the_caller_gets_to_read() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    for (path, status, code) in [
        ("/up/v1/files", 502, "upstream_unreachable"),
        ("/nobody/v1/files", 404, "not_found"),
        ("/v1/files", 404, "not_found"),
    ] {
        let reply = gateway.call(post(path, &[], vec![b'x'; 16 << 20]));
        Door::Chat.assert_error(&reply, status, code);
    }
}

#[test]
fn a_raw_call_that_fails_is_told_in_the_callers_dialect() {
    let upstream = Upstream::new([vec![Step::Reset], vec![Step::Reset]]);
    let gateway = Gateway::new(&both(upstream.address));
    for (door, headers) in [
        (Door::Chat, &[][..]),
        (Door::Messages, &[("anthropic-version", "2023-06-01")]),
    ] {
        let reply = gateway.call(head("GET", "/up/v1/files", headers));
        door.assert_error(&reply, 502, "upstream_unreachable");
    }
}

#[test]
fn an_event_stream_nowait_does_not_know_is_passed_on_as_it_comes() {
    let go = Signal::default();
    let upstream = Upstream::new([vec![
        Step::Send(stream_head()),
        Step::Send(chunk("event: half")),
        Step::Wait(go.clone()),
        Step::Send(chunk(" a frame\n")),
        Step::send("0\r\n\r\n"),
    ]]);
    let gateway = Gateway::new(&provider("up", "openai", upstream.address, ""));
    let mut client = gateway.client();
    client.send(post("/up/v1/threads/runs", &[], "{}"));
    let mut answer = client.answer();
    client.until(&mut answer, "event: half");
    go.raise();
    let rest = client.rest(&answer);
    assert_eq!(
        (rest.bytes.as_slice(), rest.whole),
        (&b" a frame\n"[..], true)
    );
}
