//! Streams: passed on as they come and to the byte, and honest about their end.

use crate::harness::Signal;
use crate::harness::client::{Answer, Client};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::upstream::{
    LAST_CHUNK, Script, Step, Upstream, answer_head, chunk, stream_head,
};
use crate::harness::wire::Piece;

/// A caller of a stream who has read up to its first words.
fn begun(gateway: &Gateway, door: Door, headers: &[(&str, &str)]) -> (Client, Answer, Vec<u8>) {
    let mut client = gateway.client();
    client.send(door.call_with(true, headers));
    let mut answer = client.answer();
    assert_eq!(answer.status, 200, "{door:?}");
    let seen = client.until(&mut answer, door.first_words());
    (client, answer, seen)
}

#[test]
fn every_event_is_passed_on_before_the_next_one_comes() {
    for door in [Door::Chat, Door::Messages] {
        let (script, turns): (Vec<Step>, Vec<Signal>) = door
            .events()
            .iter()
            .skip(1)
            .map(|event| {
                let turn = Signal::default();
                (
                    vec![Step::Wait(turn.clone()), Step::Send(chunk(event))],
                    turn,
                )
            })
            .fold(
                (vec![Step::Send(door.opening(1))], vec![]),
                |mut all, (steps, turn)| {
                    all.0.extend(steps);
                    all.1.push(turn);
                    all
                },
            );
        let mut script = script;
        script.push(Step::send(LAST_CHUNK));
        let upstream = Upstream::new([script]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut client = gateway.client();
        client.send(door.call(true));
        let mut answer = client.answer();
        assert_eq!(answer.head.get("content-type"), Some("text/event-stream"));
        assert_eq!(answer.head.get("x-accel-buffering"), Some("no"));
        assert_eq!(answer.head.get("cache-control"), Some("no-cache"));
        assert_eq!(answer.head.get("content-length"), None);
        let mut seen = client.until(&mut answer, door.events()[0]);
        for (event, turn) in door.events()[1..].iter().zip(&turns) {
            // The provider sends the next one only when told, so what arrives
            // did not wait for it.
            turn.raise();
            seen.extend(client.until(&mut answer, event));
        }
        seen.extend(client.rest(&answer).bytes);
        assert_eq!(seen, door.events().concat().as_bytes(), "{door:?}");
    }
}

#[test]
fn a_stream_in_any_pieces_is_the_same_to_the_byte() {
    for door in [Door::Chat, Door::Messages] {
        let whole = format!(": a comment\r\n\r\n{}", door.events().concat());
        for size in [1, 2, 3, 7, 64, 1_000, 100_000] {
            let mut all = stream_head();
            for part in whole.as_bytes().chunks(size) {
                all.extend_from_slice(&chunk(part));
            }
            all.extend_from_slice(LAST_CHUNK);
            let upstream = Upstream::new([vec![Step::Send(all)]]);
            let gateway = Gateway::new(&both(upstream.address));
            let reply = gateway.call(door.call(true));
            assert_eq!(reply.text(), whole, "{door:?} in pieces of {size}");
        }
    }
}

#[test]
fn a_frame_of_two_mebibytes_passes_to_the_byte() {
    let filler = "x".repeat(2 << 20);
    for door in [Door::Chat, Door::Messages] {
        let mut frames: Vec<String> = door.events().iter().map(ToString::to_string).collect();
        frames.insert(
            1,
            format!("event: ping\ndata: {{\"type\":\"ping\",\"x\":\"{filler}\"}}\n\n"),
        );
        let whole = frames.concat();
        let mut all = stream_head();
        for part in whole.as_bytes().chunks(60_000) {
            all.extend_from_slice(&chunk(part));
        }
        all.extend_from_slice(LAST_CHUNK);
        let upstream = Upstream::new([vec![Step::Send(all)]]);
        let gateway = Gateway::new(&both(upstream.address));
        let reply = gateway.call(door.call(true));
        assert!(
            reply.text() == whole,
            "{door:?}: {} bytes",
            reply.body.len()
        );
        assert_eq!(gateway.line_of(&reply)["finish"], "stop");
    }
    // The plain endpoint has to understand every frame, so it says no.
    let mut all = Door::Plain.opening(2);
    all.extend_from_slice(&chunk(format!("data: {{\"x\":\"{filler}\"}}\n\n")));
    let upstream = Upstream::new([vec![Step::Send(all)]]);
    let gateway = Gateway::new(&both(upstream.address));
    let reply = gateway.call(Door::Plain.call(true));
    let id = reply.head.get("x-request-id").expect("an id");
    let said = Door::Plain.assert_broken(&reply.body, "upstream_protocol", id);
    assert!(said.contains("over 1 MiB"), "{said}");
}

/// What has no end can't be waited for: it passes as it comes, and what it
/// lacks is told behind it.
#[test]
fn a_frame_that_never_ends_is_not_held() {
    let filler = "x".repeat(64 << 10);
    for door in [Door::Chat, Door::Messages] {
        let mut all = door.opening(2);
        all.extend_from_slice(&chunk("data: "));
        for _ in 0..128 {
            all.extend_from_slice(&chunk(&filler));
        }
        let go = Signal::default();
        let upstream = Upstream::new([vec![
            Step::Send(all),
            Step::Wait(go.clone()),
            Step::send(LAST_CHUNK),
        ]]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut client = gateway.client();
        client.send(door.call(true));
        let mut answer = client.answer();
        // Half of it is here while its end isn't in sight.
        let mut body = Vec::new();
        while body.len() < 4 << 20 {
            match client.wire.piece(&mut answer.framing) {
                Piece::Data(data) => body.extend(data),
                other => panic!("{other:?} after {} bytes", body.len()),
            }
        }
        go.raise();
        body.extend(client.rest(&answer).bytes);
        let sent = format!(
            "{}data: {}",
            door.events()[..2].concat(),
            filler.repeat(128)
        );
        assert!(body.starts_with(sent.as_bytes()), "{door:?}");
        let id = answer.head.get("x-request-id").expect("an id");
        let said = door.assert_broken(&body, "upstream_protocol", id);
        assert!(said.contains("before its terminal event"), "{said}");
    }
}

/// How a stream breaks off after its first words.
type Break = (
    &'static str,
    fn(Door, &Signal) -> Script,
    &'static str,
    &'static str,
);

const BREAKS: &[Break] = &[
    (
        "a reset",
        |door, go| {
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::Reset,
            ]
        },
        "upstream_protocol",
        "",
    ),
    (
        "an end of the connection",
        |door, go| {
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::Close,
            ]
        },
        "upstream_protocol",
        "ended its answer before its announced end",
    ),
    (
        "an end in good order without a terminal event",
        |door, go| {
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::send(LAST_CHUNK),
            ]
        },
        "upstream_protocol",
        "ended before its terminal event",
    ),
    (
        "an end within a frame",
        |door, go| {
            let half = &door.events()[2][..30];
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::Send(chunk(half)),
                Step::send(LAST_CHUNK),
            ]
        },
        "upstream_protocol",
        "ended before its terminal event",
    ),
    (
        "chunks that are none",
        |door, go| {
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::send("zz\r\n"),
                Step::Close,
            ]
        },
        "upstream_protocol",
        "reading the answer of",
    ),
];

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_event_and_no_made_up_end() {
    for (name, script, code, words) in BREAKS {
        for door in DOORS {
            let go = Signal::default();
            let upstream = Upstream::new([script(door, &go)]);
            let gateway = Gateway::new(&both(upstream.address));
            let (mut client, answer, mut seen) = begun(&gateway, door, &[]);
            go.raise();
            let rest = client.rest(&answer);
            assert!(
                rest.whole,
                "{name}, {door:?}: told in band, and then in good order"
            );
            seen.extend(rest.bytes);
            let id = answer.head.get("x-request-id").expect("an id");
            let said = door.assert_broken(&seen, code, id);
            assert!(said.contains(words), "{name}, {door:?}: {said}");
            let line = gateway.line(id);
            assert_eq!(
                (&line["status"], &line["error"]),
                (&200.into(), &(*code).into())
            );
            assert_eq!(line["stream"], true);
            let counted = gateway.metric(&format!("nowait_errors_total{{code=\"{code}\"}}"));
            assert_eq!(counted, 1.0, "{name}, {door:?}");
            // The connection that failed is not used again.
            upstream.add(vec![Step::Send(door.answer())]);
            assert_eq!(
                gateway.call(door.call(false)).status,
                200,
                "{name}, {door:?}"
            );
        }
    }
}

/// Bare text has no words for an error: the connection is cut.
#[test]
fn bare_text_that_breaks_off_is_cut() {
    let go = Signal::default();
    let upstream = Upstream::new([BREAKS[0].1(Door::Plain, &go)]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    client.send(Door::Plain.call_with(true, &[("accept", "text/plain")]));
    let mut answer = client.answer();
    assert_eq!(
        answer.head.get("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let seen = client.until(&mut answer, "tide");
    go.raise();
    let rest = client.rest(&answer);
    assert_eq!(
        (seen, rest.bytes, rest.whole),
        (b"tide".to_vec(), vec![], false)
    );
}

#[test]
fn what_comes_after_the_terminal_event_is_nobodys_error() {
    for door in DOORS {
        for last in [vec![Step::Close], vec![Step::Reset]] {
            let go = Signal::default();
            let mut script = vec![Step::Send(door.opening(5)), Step::Wait(go.clone())];
            script.extend(last);
            let upstream = Upstream::new([script]);
            let gateway = Gateway::new(&both(upstream.address));
            let (mut client, answer, mut seen) = begun(&gateway, door, &[]);
            go.raise();
            let rest = client.rest(&answer);
            seen.extend(rest.bytes);
            let text = String::from_utf8(seen).expect("text");
            assert!(rest.whole && !text.contains("error"), "{door:?}: {text}");
        }
    }
}

#[test]
fn a_providers_own_error_in_a_stream_passes_and_nothing_is_added() {
    for (door, said) in [
        (
            Door::Chat,
            "data: {\"error\":{\"message\":\"boom\",\"code\":null}}\n\n",
        ),
        (
            Door::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
        ),
    ] {
        let mut all = door.opening(2);
        all.extend_from_slice(&chunk(said));
        all.extend_from_slice(LAST_CHUNK);
        let upstream = Upstream::new([vec![Step::Send(all)]]);
        let gateway = Gateway::new(&both(upstream.address));
        let reply = gateway.call(door.call(true));
        let wanted = format!("{}{said}", door.events()[..2].concat());
        assert_eq!(reply.text(), wanted, "{door:?}");
    }
}

#[test]
fn a_stream_without_a_sentinel_is_not_given_one() {
    let mut all = Door::Chat.opening(4);
    all.extend_from_slice(LAST_CHUNK);
    let upstream = Upstream::new([vec![Step::Send(all)]]);
    let gateway = Gateway::new(&both(upstream.address));
    let reply = gateway.call(Door::Chat.call(true));
    assert!(reply.whole);
    assert_eq!(reply.text(), Door::Chat.events()[..4].concat());
}

#[test]
fn a_call_for_a_stream_that_gets_a_whole_answer_passes_it_on() {
    for door in [Door::Chat, Door::Messages] {
        let upstream = Upstream::new([vec![Step::Send(door.answer())]]);
        let gateway = Gateway::new(&both(upstream.address));
        let reply = gateway.call(door.call(true));
        assert_eq!(reply.head.get("content-type"), Some("application/json"));
        assert_eq!(reply.text(), door.answer_body());
        assert_eq!(gateway.line_of(&reply)["stream"], false);
    }
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn a_compressed_answer_passes_untouched_and_is_read_where_nowait_is_the_reader() {
    let coded = gzip(Door::Chat.answer_body());
    let length = coded.len().to_string();
    let mut whole = answer_head(
        200,
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("content-length", &length),
        ],
    );
    whole.extend_from_slice(&coded);
    let stream = gzip(&Door::Chat.events().concat());
    let mut streamed = answer_head(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("content-encoding", "gzip"),
            ("transfer-encoding", "chunked"),
        ],
    );
    streamed.extend_from_slice(&chunk(&stream));
    streamed.extend_from_slice(LAST_CHUNK);
    let upstream = Upstream::new([
        vec![Step::Send(whole.clone())],
        vec![Step::Send(streamed.clone())],
        vec![Step::Send(whole)],
        vec![Step::Send(streamed)],
    ]);
    let gateway = Gateway::new(&both(upstream.address));

    for (stream, expected) in [(false, &coded), (true, &stream)] {
        let reply = gateway.call(Door::Chat.call(stream));
        assert_eq!(reply.head.get("content-encoding"), Some("gzip"));
        assert_eq!(&reply.body, expected, "stream {stream}");
    }
    let reply = gateway.call(Door::Plain.call(false));
    assert_eq!(reply.head.get("content-encoding"), None);
    assert_eq!(reply.json()["response"], "tide turns");
    let reply = gateway.call(Door::Plain.call(true));
    let said = Door::Plain.assert_error(&reply, 502, "upstream_protocol");
    assert!(said.contains("compressed"), "{said}");
    for seen in upstream.seen() {
        assert_eq!(
            seen.get("accept-encoding"),
            Some("identity"),
            "none is asked for"
        );
    }
}

#[test]
fn usage_that_the_caller_did_not_ask_for_is_asked_for_and_hidden() {
    let usage = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
    let mut all = Door::Chat.opening(4);
    all.extend_from_slice(&chunk(usage));
    all.extend_from_slice(&Door::Chat.closing(4));
    let upstream = Upstream::new([vec![Step::Send(all)]]);
    let asks = provider("up", "openai", upstream.address, "stream_usage = \"ask\"");
    let gateway = Gateway::new(&asks);
    let reply = gateway.call(Door::Chat.call(true));
    assert_eq!(reply.text(), Door::Chat.events().concat());
    let sent: serde_json::Value = serde_json::from_slice(&upstream.one().body).expect("JSON");
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let line = gateway.line_of(&reply);
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&7.into(), &2.into())
    );
    assert_eq!(line["tokens_estimated"], false);
}
