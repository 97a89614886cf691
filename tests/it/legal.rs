//! What is unusual and legal: old and terse clients, odd targets, several
//! requests at once.

use crate::harness::client::{Client, head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Step, Upstream, chunk, json_answer};

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let answers = (0..8).map(|n| vec![Step::Send(json_answer(200, &format!("{{\"n\":{n}}}")))]);
    let upstream = Upstream::new(answers);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    let mut all = Vec::new();
    for _ in 0..8 {
        all.extend_from_slice(&Door::Chat.call(false));
        all.extend_from_slice(&head("GET", "/health", &[]));
    }
    client.send(all);
    for n in 0..8 {
        assert_eq!(client.reply().text(), format!("{{\"n\":{n}}}"));
        assert_eq!(client.reply().json()["status"], "ok");
    }
}

#[test]
fn a_client_of_http_1_0_gets_its_stream_without_chunks() {
    for door in DOORS {
        let upstream = Upstream::new([door.stream(), vec![Step::Send(door.answer())]]);
        let gateway = Gateway::new(&both(upstream.address));
        for stream in [true, false] {
            let call = String::from_utf8(door.call(stream)).expect("text");
            let mut client = gateway.client();
            client.send(call.replacen("HTTP/1.1", "HTTP/1.0", 1));
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{door:?}: {}", reply.text());
            assert_eq!(reply.head.get("transfer-encoding"), None);
            match (door, stream) {
                (Door::Plain, true) => assert!(reply.text().contains("event: done")),
                (Door::Plain, false) => assert_eq!(reply.json()["response"], "tide turns"),
                (_, true) => assert_eq!(reply.text(), door.events().concat()),
                (_, false) => assert_eq!(reply.text(), door.answer_body()),
            }
            assert!(client.wire.ends(), "{door:?}");
        }
    }
}

/// The first bytes tell HTTP/2 from HTTP/1.1, however they come.
#[test]
fn a_first_byte_by_itself_tells_nothing_yet() {
    let upstream = Upstream::new([vec![Step::Send(Door::Chat.answer())]]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    let call = Door::Chat.call(false);
    client.send(&call[..1]);
    assert_eq!(gateway.call(head("GET", "/health", &[])).status, 200);
    client.send(&call[1..]);
    assert_eq!(client.reply().status, 200);
    for start in ["P", "PR", "PRI * HTTP/2."] {
        let mut client = gateway.client();
        client.send(start);
        client.finish_sending();
        // It may be told that this is no request.
        while !client.wire.ends() {
            client.wire.forget();
        }
    }
}

#[test]
fn a_client_that_is_done_after_this_is_hung_up_on() {
    let upstream = Upstream::new([Door::Chat.stream()]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    client.send(Door::Chat.call_with(true, &[("connection", "close")]));
    let reply = client.reply();
    assert!(reply.whole && client.wire.ends());
    assert_eq!(reply.head.get("connection"), Some("close"));
    assert_eq!(
        upstream.one().get("connection"),
        None,
        "that was between us two"
    );
}

#[test]
fn odd_targets_are_answered_and_none_leads_past_a_check() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = Gateway::new(&both(upstream.address));
    let long = format!("/{}", "a".repeat(60_000));
    for (method, target, status) in [
        ("GET", "http://gateway.test/health", 200),
        ("GET", "http://other.test:81/health?x", 200),
        ("OPTIONS", "*", 404),
        ("CONNECT", "other.test:443", 400),
        ("GET", "//health", 404),
        ("GET", "/health/", 404),
        ("GET", "/%68ealth", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1/models/%FF%00", 404),
        ("GET", "/up", 404),
        ("GET", "/up/", 200),
        ("GET", "/up?x=/v1/files", 404),
        ("GET", "/UP/v1/files", 404),
        ("GET", "/metrics/v1/files", 404),
        ("BREW", "/generate", 405),
        ("BREW", "/up/v1/files", 200),
        ("GET", &long, 404),
    ] {
        let reply = gateway.call(head(method, target, &[("content-length", "0")]));
        let shown: String = target.chars().take(40).collect();
        assert_eq!(reply.status, status, "{method} {shown}: {}", reply.text());
        assert!(
            reply.body.len() < 2_000,
            "{shown}: a long name is not repeated"
        );
    }
    // A head that is longer than any should be.
    let mut client = gateway.client();
    let longer = format!("/{}", "a".repeat(200_000));
    let _ = client.wire.write(&head("GET", &longer, &[]));
    if let Some(head) = client.wire.head() {
        assert!(head.first.starts_with("HTTP/1.1 4"), "{}", head.first);
    }
    assert_eq!(gateway.call(head("GET", "/health", &[])).status, 200);
}

#[test]
fn an_answer_too_large_to_hold_is_passed_on_as_it_comes() {
    // Several mebibytes: a picture, say.
    let body = format!("{{\"x\":\"{}\"}}", "e".repeat(5 << 20));
    let chunked = {
        let kind = [
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
        ];
        let mut all = crate::harness::upstream::answer_head(200, &kind);
        for part in body.as_bytes().chunks(100_000) {
            all.extend_from_slice(&chunk(part));
        }
        all.extend_from_slice(b"0\r\n\r\n");
        all
    };
    let upstream = Upstream::new([
        vec![Step::Send(json_answer(200, &body))],
        vec![Step::Send(chunked)],
        // Too late for a status of its own.
        vec![
            Step::Send(json_answer(200, &body)[..3 << 20].to_vec()),
            Step::Close,
        ],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let call = || {
        post(
            "/v1/chat/completions",
            &[],
            r#"{"model":"up/m","messages":[]}"#,
        )
    };
    for _ in 0..2 {
        let reply = gateway.call(call());
        assert!(
            reply.status == 200 && reply.text() == body,
            "{}",
            reply.body.len()
        );
        let line = gateway.line_of(&reply);
        assert_eq!(
            (&line["bytes_out"], line.get("cancelled")),
            (&body.len().into(), None)
        );
    }
    let mut client: Client = gateway.client();
    client.send(call());
    let reply = client.reply();
    assert!(
        reply.status == 200 && !reply.whole,
        "what breaks off looks broken"
    );
    assert_eq!(gateway.line_of(&reply)["error"], "upstream_protocol");
}
