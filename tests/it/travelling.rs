//! Which headers travel, which stay, and which nowait writes; and that no
//! request goes round in circles.

use crate::harness::client::{head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::h2;
use crate::harness::upstream::{Step, Upstream, answer, json_answer};

/// Headers that are of one hop, or addressed to nowait.
const STAY: &[(&str, &str)] = &[
    ("connection", "x-mine, te"),
    ("x-mine", "of this hop by name"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("proxy-authorization", "Basic cHJveHk6c2VjcmV0"),
    ("te", "trailers"),
    ("trailer", "x-late"),
    ("x-nowait-timeout", "5s"),
    ("x-nowait-cache", "off"),
    ("x-nowait-hedge", "off"),
    ("x-nowait-retries", "0"),
    ("x-nowait-tags", "team=a"),
    ("x-nowait-priority", "batch"),
    ("x-nowait-of-tomorrow", "1"),
    ("x-sim-ttft", "1ms"),
    ("x-sim-fault", "503"),
];

/// Headers that are for whoever answers.
const TRAVEL: &[(&str, &str)] = &[
    ("user-agent", "test/1"),
    ("accept", "application/json"),
    ("openai-organization", "org-1"),
    ("anthropic-beta", "a-1,b-2"),
    ("anthropic-version", "2023-06-01"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("idempotency-key", "k-1"),
    ("x-stainless-lang", "python"),
    ("cookie", "a=b"),
    ("x-unknown", "kept"),
];

#[test]
fn of_a_callers_headers_those_of_one_hop_and_nowaits_own_stay_here() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    let all: Vec<_> = STAY.iter().chain(TRAVEL).copied().collect();
    let calls = [
        Door::Chat.call_with(false, &all),
        Door::Messages.call_with(false, &all),
        post("/up/v1/moderations", &all, "{}"),
        post("/up/v1/chat/completions", &all, Door::Chat.body(false)),
    ];
    for (index, call) in calls.iter().enumerate() {
        upstream.add(vec![Step::Send(Door::Chat.answer())]);
        assert_eq!(gateway.call(call).status, 200);
        let seen = upstream.wait_for(index + 1).remove(index);
        for (name, _) in STAY {
            assert_eq!(seen.get(name), None, "{name} of call {index}");
        }
        for (name, value) in TRAVEL {
            let came: Vec<_> = seen.head.all(name).collect();
            assert_eq!(came, [*value], "{name} of call {index}");
        }
        let host = upstream.address.to_string();
        assert_eq!(
            seen.head.all("host").collect::<Vec<_>>(),
            [host],
            "not the caller's"
        );
        let via = seen.get("via").expect("ours");
        assert!(via.starts_with("1.1 nowait-"), "{via}");
        assert!(seen.get("x-request-id").is_some());
    }
}

#[test]
fn the_plain_endpoint_sends_nothing_of_its_caller_but_what_it_must() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    upstream.add(vec![Step::Send(Door::Plain.answer())]);
    let all: Vec<_> = STAY.iter().chain(TRAVEL).copied().collect();
    assert_eq!(gateway.call(Door::Plain.call_with(false, &all)).status, 200);
    let seen = upstream.one();
    for (name, _) in STAY.iter().chain(TRAVEL) {
        let kept = ["traceparent", "user-agent"].contains(name);
        assert_eq!(seen.get(name).is_some(), kept, "{name}");
    }
    assert_eq!(seen.get("content-type"), Some("application/json"));
    assert!(seen.get("user-agent").expect("ours").starts_with("nowait/"));
}

#[test]
fn a_simulated_provider_gets_the_headers_that_direct_it() {
    let upstream = Upstream::new(vec![
        vec![Step::Send(Door::Chat.answer())],
        vec![Step::Send(Door::Chat.answer())],
    ]);
    let gateway = Gateway::new(&format!(
        "[providers.sim]\nbase_url = \"http://{}\"\n[providers.sim.pool]\nwarm = 0\n[generate]\nmodel = \"sim/m\"\n",
        upstream.address
    ));
    for (index, door) in [Door::Chat, Door::Plain].into_iter().enumerate() {
        let body = door.body(false).replace("up/m", "sim/m");
        let headers = [("x-sim-ttft", "1ms"), ("x-nowait-tags", "a=b")];
        // The provider is asked for its list of models as well.
        let reply = gateway.call(post(door.path(), &headers, body));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.head.get("x-nowait-simulated"), Some("true"));
        let seen = upstream.wait_for(index + 1).remove(index);
        assert_eq!(seen.get("x-sim-ttft"), Some("1ms"));
        assert_eq!(seen.get("x-nowait-tags"), None);
        assert_eq!(seen.head.first, "POST /v1/chat/completions HTTP/1.1");
    }
}

#[test]
fn of_a_providers_headers_those_of_one_hop_stay_and_its_own_account_is_kept() {
    let theirs = [
        ("content-type", "application/json"),
        ("connection", "x-theirs"),
        ("x-theirs", "of this hop by name"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("server-timing", "model;dur=12"),
        ("via", "1.1 their-edge"),
        ("x-request-id", "req_theirs"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-ratelimit-limit-requests", "60"),
        ("strict-transport-security", "max-age=1"),
    ];
    let upstream = Upstream::always(answer(200, &theirs, Door::Chat.answer_body()));
    let gateway = Gateway::new(&both(upstream.address));
    for call in [
        Door::Chat.call(false),
        post("/up/v1/moderations", &[], "{}"),
    ] {
        let reply = gateway.call(call);
        for name in ["x-theirs", "keep-alive", "proxy-authenticate", "upgrade"] {
            assert_eq!(reply.head.get(name), None, "{name}");
        }
        for name in [
            "openai-processing-ms",
            "openai-version",
            "x-ratelimit-limit-requests",
        ] {
            assert!(reply.head.get(name).is_some(), "{name}");
        }
        assert_eq!(
            reply.head.all("set-cookie").collect::<Vec<_>>(),
            ["a=1", "b=2"]
        );
        let timings: Vec<_> = reply.head.all("server-timing").collect();
        assert_eq!(timings[0], "model;dur=12");
        assert!(timings[1].contains("upstream;dur=") && timings[1].contains("gateway;dur="));
        let vias: Vec<_> = reply.head.all("via").collect();
        assert_eq!(vias[0], "1.1 their-edge");
        assert!(vias[1].starts_with("1.1 nowait-"));
        let ids: Vec<_> = reply.head.all("x-request-id").collect();
        assert!(ids.len() == 1 && ids[0].starts_with("req_") && ids[0] != "req_theirs");
        assert_eq!(
            reply.head.get("x-nowait-upstream-request-id"),
            Some("req_theirs")
        );
        assert_eq!(reply.head.get("x-nowait-provider"), Some("up"));
        assert_eq!(reply.head.get("x-nowait-attempts"), Some("1"));
        assert_eq!(reply.head.get("cache-status"), Some("nowait; fwd=bypass"));
    }
}

#[test]
fn what_nowait_answers_itself_is_timed_and_signed_too() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/nothing", 404),
        ("POST", "/health", 405),
        ("GET", "/generate", 405),
        ("GET", "/up/v1/files", 502),
    ] {
        // `call` looks at what every answer must carry.
        let reply = gateway.call(head(method, path, &[]));
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(gateway.line_of(&reply)["status"], status, "{path}");
    }
}

#[test]
fn totals_of_a_stream_follow_it_where_the_caller_takes_trailers() {
    for door in DOORS {
        let upstream = Upstream::new([door.stream(), door.stream(), door.stream()]);
        let gateway = Gateway::new(&both(upstream.address));
        let reply = gateway.call(door.call(true));
        assert!(reply.whole && reply.trailers.is_empty(), "{door:?}");
        assert_eq!(reply.head.get("trailer"), None);

        let headers = [("te", "trailers"), ("connection", "te")];
        let reply = gateway.call(door.call_with(true, &headers));
        assert_eq!(reply.head.get("trailer"), Some("server-timing"), "{door:?}");
        let [(name, totals)] = &reply.trailers[..] else {
            panic!("{door:?}: {:?}", reply.trailers)
        };
        assert_eq!(name, "server-timing");
        for phase in ["ttft;dur=", "gateway;dur=", "total;dur="] {
            assert!(totals.contains(phase), "{door:?}: {totals}");
        }

        // HTTP/2 always takes them.
        let answer = h2::block_on(async {
            let mut sender = h2::connect(gateway.address).await;
            h2::call(&mut sender, h2::post(door.path(), &[]), door.body(true)).await
        })
        .expect("an answer");
        assert_eq!(answer.head.status, 200);
        let trailers = answer.trailers.expect("trailers");
        let totals = trailers["server-timing"].to_str().expect("text");
        assert!(totals.contains("total;dur="), "{door:?}: {totals}");
    }
}

#[test]
fn two_gateways_that_point_at_each_other_refuse_to_go_round() {
    let mine = Upstream::closed_port();
    let server = format!("listen = \"{mine}\"");
    let other = Gateway::new(&both(mine));
    let ring = format!("[providers.ring]\nbase_url = \"http://{mine}/ring/v1\"\n");
    let config = format!("{}{ring}", both(other.address));
    let text = format!("[server]\nthreads = 1\ndrain = \"20ms\"\n{server}\n{config}");
    let gateway = Gateway::start(&text, nowait::telemetry::LogFormat::Json, None);
    for door in DOORS {
        // `up/m` at the first is `m` at the second, so the name goes on.
        let body = door
            .body(false)
            .replace("up/m", "up/up/up/up/m")
            .replace("claude/m", "claude/claude/claude/m");
        let body = body.replace("\"prompt\"", "\"model\":\"up/up/up/up/m\",\"prompt\"");
        let reply = gateway.call(post(door.path(), &[], body));
        let said = door.assert_error(&reply, 508, "loop_detected");
        assert!(said.contains("has passed this gateway"), "{said}");
        let id = &gateway.running().gateway().instance.id;
        assert!(said.contains(id), "{door:?}: by name: {said}");
    }
    let reply = gateway.call(head("GET", "/ring/v1/files", &[]));
    assert_eq!(reply.status, 508, "{}", reply.text());
    assert_eq!(
        gateway.metric("nowait_errors_total{code=\"loop_detected\"}"),
        4.0
    );
}

#[test]
fn another_gateway_in_front_or_behind_is_fine() {
    let upstream = Upstream::always(Door::Chat.answer());
    let behind = Gateway::new(&provider("up", "openai", upstream.address, ""));
    let front = Gateway::new(&provider("next", "openai", behind.address, ""));
    let body = r#"{"model":"next/up/m","messages":[]}"#;
    let reply = front.call(post(
        Door::Chat.path(),
        &[("via", "1.1 nowait-other, 1.1 edge")],
        body,
    ));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.head.all("via").count(), 2);
    assert_eq!(upstream.one().head.all("via").count(), 3);
    // Both account for their part, under one id.
    assert_eq!(reply.head.all("server-timing").count(), 2);
    let id = reply.head.get("x-request-id").expect("an id");
    assert_eq!(behind.line(id)["status"], 200);
    assert_eq!(front.line(id)["status"], 200);
}

#[test]
fn an_answer_with_trailers_is_whole_without_them() {
    let mut all = crate::harness::upstream::answer_head(
        200,
        &[
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-checksum"),
        ],
    );
    all.extend_from_slice(&crate::harness::upstream::chunk(Door::Chat.answer_body()));
    all.extend_from_slice(b"0\r\nx-checksum: 1\r\nserver-timing: late;dur=1\r\n\r\n");
    let upstream = Upstream::new([
        vec![Step::Send(all.clone())],
        vec![Step::Send(all)],
        vec![Step::Send(json_answer(200, "{}"))],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    for call in [
        Door::Chat.call(false),
        post("/up/v1/moderations", &[], "{}"),
    ] {
        let reply = gateway.call(call);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, Door::Chat.answer_body())
        );
        assert!(reply.whole);
    }
    assert_eq!(gateway.call(Door::Chat.call(false)).text(), "{}");
    assert_eq!(
        upstream.connections(),
        1,
        "its connection is as good as before"
    );
}
