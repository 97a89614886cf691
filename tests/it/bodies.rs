//! Bodies of callers that are too large, too slow, or end half way.

use std::io::Write as _;

use crate::harness::client::{Client, Reply, head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Upstream, chunk};

const MIB: usize = 1 << 20;

/// A body of 33 MiB of JSON, of which the last byte is as far as it gets.
fn large() -> Vec<u8> {
    let mut body = br#"{"model":"up/m","prompt":""#.to_vec();
    body.resize(33 * MIB - 2, b'a');
    body.extend_from_slice(b"\"}");
    body
}

#[test]
fn a_body_over_the_limit_is_refused_in_words_the_caller_gets_to_read() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    let body = large();
    for door in DOORS {
        // A caller that writes everything before it reads.
        let reply = gateway.call(post(door.path(), &[], &body));
        let said = door.assert_error(&reply, 413, "request_too_large");
        assert!(
            said.contains("34603008 bytes, the limit is 33554432"),
            "{said}"
        );
        assert!(said.contains("[server] max_body"), "{said}");

        // The same without saying how much it is.
        let mut client = gateway.client();
        client.send(head(
            "POST",
            door.path(),
            &[("transfer-encoding", "chunked")],
        ));
        for part in body.chunks(MIB) {
            client.send(chunk(part));
        }
        client.send("0\r\n\r\n");
        door.assert_error(&client.reply(), 413, "request_too_large");
    }
}

#[test]
fn a_caller_that_asks_first_is_refused_before_it_sends() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    let size = (33 * MIB).to_string();
    let mut client = gateway.client();
    client.send(head(
        "POST",
        "/v1/chat/completions",
        &[("content-length", &size), ("expect", "100-continue")],
    ));
    let reply = client.reply();
    assert!(reply.before.is_empty(), "it was told to go on");
    Door::Chat.assert_error(&reply, 413, "request_too_large");
    assert!(client.wire.ends(), "a body that was not sent can't follow");
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let body = Door::Chat.body(false);
    let length = body.len().to_string();
    let mut client = gateway.client();
    client.send(head(
        "POST",
        "/v1/chat/completions",
        &[("content-length", &length), ("expect", "100-continue")],
    ));
    let interim = client.wire.head().expect("an interim answer");
    assert!(
        interim.first.starts_with("HTTP/1.1 100 "),
        "{}",
        interim.first
    );
    client.send(body);
    assert_eq!(client.reply().status, 200);
    assert_eq!(upstream.one().get("expect"), None);
}

#[test]
fn a_limit_of_ones_own_holds_to_the_byte() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::with_server("max_body = \"1KiB\"", &both(upstream.address));
    let mut body = br#"{"model":"up/m","x":""#.to_vec();
    body.resize(1022, b'a');
    body.extend_from_slice(b"\"}");
    assert_eq!(body.len(), 1024);
    for (more, status) in [("", 200), (" ", 413)] {
        let body = [&body[..], more.as_bytes()].concat();
        let whole = gateway.call(post("/v1/chat/completions", &[], &body));
        let mut client = gateway.client();
        client.send(head(
            "POST",
            "/v1/chat/completions",
            &[("transfer-encoding", "chunked")],
        ));
        for part in body.chunks(100) {
            client.send(chunk(part));
        }
        client.send("0\r\n\r\n");
        assert_eq!((whole.status, client.reply().status), (status, status));
    }
}

/// A refusal that does not wait for the body must still reach a caller that
/// is writing it: a connection closed with bytes unread is reset, and a reset
/// takes the answer along.
#[test]
fn a_refusal_reaches_a_caller_that_is_still_writing() {
    let hash = "a".repeat(64);
    let gateway = Gateway::new(&format!(
        "{}[[keys]]\nname = \"web\"\nhash = \"sha256:{hash}\"\n",
        both(Upstream::closed_port())
    ));
    let body = vec![b'a'; 8 * MIB];
    for door in DOORS {
        let reply = gateway.call(post(door.path(), &[], &body));
        door.assert_error(&reply, 401, "invalid_api_key");
    }
}

#[test]
fn a_body_that_ends_half_way_is_that_callers_loss_alone() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let starts: [fn(&mut Client); 3] = [
        |client| {
            client.send(head(
                "POST",
                "/v1/chat/completions",
                &[("content-length", "100")],
            ))
        },
        |client| {
            client.send(head(
                "POST",
                "/v1/chat/completions",
                &[("transfer-encoding", "chunked")],
            ));
            client.send(chunk("{\"model\":"));
        },
        |client| {
            client.send(head(
                "POST",
                "/v1/chat/completions",
                &[("transfer-encoding", "chunked")],
            ));
            client.send("ffff\r\n{\"model\":");
        },
    ];
    for (index, start) in starts.iter().enumerate() {
        // It closes its side and still listens.
        let mut client = gateway.client();
        start(&mut client);
        client.finish_sending();
        if let Some(head) = client.wire.head() {
            assert!(head.first.starts_with("HTTP/1.1 400 "), "{}", head.first);
        }
        // It is gone altogether.
        let mut client = gateway.client();
        start(&mut client);
        drop(client);
        let ended = (2 * (index + 1)) as f64;
        eventually("both are booked as ended", || {
            let line = gateway.metric("nowait_requests_in_flight") == 0.0;
            let errors = gateway.metric("nowait_errors_total{code=\"invalid_request\"}");
            let left = gateway.metric("nowait_cancelled_requests_total{endpoint=\"chat\"}");
            (line && errors + left >= ended).then_some(())
        });
    }
    assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    assert_eq!(upstream.seen().len(), 1, "half a body is not sent on");
}

#[test]
fn a_caller_that_stalls_half_way_is_told_so_in_its_time() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&format!(
        "{}[timeout]\ntotal = \"60ms\"\n",
        both(upstream.address)
    ));
    for door in DOORS {
        for timeout in [&[][..], &[("x-nowait-timeout", "50ms")]] {
            let mut headers = vec![("content-length", "100")];
            headers.extend_from_slice(timeout);
            let mut client = gateway.client();
            client.send(head("POST", door.path(), &headers));
            client.send("{\"model\":");
            let reply = client.reply();
            let said = door.assert_error(&reply, 408, "request_timeout");
            let within = if timeout.is_empty() { "60ms" } else { "50ms" };
            assert!(said.contains(within), "{said}");
            assert!(
                client.wire.ends(),
                "half a body can't be followed by anything"
            );
        }
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn a_chunk_that_is_none_is_refused() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    for broken in ["zz\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "1\r\nab\r\n"] {
        let mut client = gateway.client();
        client.send(head(
            "POST",
            "/v1/chat/completions",
            &[("transfer-encoding", "chunked")],
        ));
        client.send(broken);
        let reply: Reply = client.reply();
        Door::Chat.assert_error(&reply, 400, "invalid_request");
    }
}

/// Two lengths are how a request is smuggled past a proxy.
#[test]
fn a_body_of_two_lengths_is_refused() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    for lengths in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: five\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity, chunked, identity\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{lengths}\r\n{{}}   x"
        ));
        let reply = client.reply();
        Door::Chat.assert_error(&reply, 400, "invalid_request");
        assert!(client.wire.ends(), "{lengths}");
        let line = gateway.line_of(&reply);
        assert_eq!(
            (&line["status"], &line["error"]),
            (&400.into(), &"invalid_request".into())
        );
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn two_thousand_idle_callers_are_in_nobodys_way() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let idle: Vec<Client> = (0..2_000)
        .map(|index| {
            let mut client = gateway.client();
            match index % 4 {
                // Some have asked before, some are half way through asking.
                0 => client.send(head("GET", "/health", &[])),
                1 => client.send("POST /v1/chat/comp"),
                _ => {}
            }
            client
        })
        .collect();
    eventually("all are let in", || {
        (gateway.metric("nowait_caller_connections") >= 2_000.0).then_some(())
    });
    assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    let mut last = idle.into_iter().nth(1).expect("one");
    last.wire.tcp().flush().expect("open");
    last.send("letions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    Door::Chat.assert_error(&last.reply(), 400, "invalid_request");
}
