//! What the access log and the metrics say of a request: one line and one
//! count each, however it ended.

use serde_json::Value;

use crate::harness::client::{head, post};
use crate::harness::dialects::Door;
use crate::harness::gateway::{Gateway, both, text};
use crate::harness::upstream::{Step, Upstream, answer};

/// Looks at fields of a line. A text of `*` is any text, a number of -1 any
/// time.
#[track_caller]
fn assert_line(line: &Value, expected: &Value) {
    for (name, wanted) in expected.as_object().expect("fields") {
        let found = &line[name];
        let fits = match wanted {
            Value::String(any) if any == "*" => found.as_str().is_some_and(|text| !text.is_empty()),
            Value::Number(any) if any.as_f64() == Some(-1.0) => {
                found.as_f64().is_some_and(|time| time >= 0.0)
            }
            wanted => found == wanted,
        };
        assert!(fits, "{name} is {found} and not {wanted}: {line}");
    }
}

#[test]
fn a_line_tells_who_what_where_how_long_and_how_much() {
    let upstream = Upstream::new([
        vec![Step::Send(Door::Chat.answer())],
        Door::Chat.stream(),
        Door::Messages.stream(),
        Door::Plain.stream(),
        vec![Step::Send(answer(
            429,
            &[("x-request-id", "theirs")],
            "slow down",
        ))],
        vec![Step::Reset],
        vec![Step::Reset],
        vec![Step::Send(answer(200, &[], "bytes"))],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let call = |request: Vec<u8>, expected: Value| {
        let reply = gateway.call(request);
        let line = gateway.line_of(&reply);
        assert_line(&line, &expected);
        assert_line(
            &line,
            &serde_json::json!({"time": "*", "total_ms": -1.0, "gateway_ms": -1.0, "request_id": "*"}),
        );
        assert!(line.get("cancelled").is_none(), "{line}");
    };
    let body = Door::Chat.body(false);
    call(
        post(
            "/v1/chat/completions?key=secret",
            &[("x-nowait-tags", "team=a,app=b")],
            &body,
        ),
        serde_json::json!({
            "status": 200, "method": "POST", "path": "/v1/chat/completions", "endpoint": "chat",
            "tenant": "-", "provider": "up", "model": "m", "stream": false, "cache": "bypass",
            "upstream_ms": -1.0, "connect_ms": -1.0, "attempts": 1, "cold": true,
            "bytes_in": body.len(), "bytes_out": Door::Chat.answer_body().len(),
            "input_tokens": 7, "output_tokens": 2, "cached_tokens": 0, "tokens_estimated": false,
            "finish": "stop", "tags": "team=a,app=b",
        }),
    );
    call(
        Door::Chat.call(true),
        serde_json::json!({
            "status": 200, "endpoint": "chat", "stream": true, "cold": false, "ttft_ms": -1.0,
            "bytes_out": Door::Chat.events().concat().len(), "finish": "stop",
            "tokens_estimated": true, "output_tokens": -1.0,
        }),
    );
    call(
        Door::Messages.call(true),
        serde_json::json!({
            "endpoint": "messages", "provider": "claude", "stream": true, "ttft_ms": -1.0,
            "input_tokens": 7, "output_tokens": 2, "tokens_estimated": false, "finish": "stop",
        }),
    );
    call(
        Door::Plain.call(true),
        serde_json::json!({
            "endpoint": "generate", "provider": "up", "model": "m", "stream": true, "finish": "stop",
        }),
    );
    call(
        Door::Chat.call(false),
        serde_json::json!({
            "status": 429, "upstream_request_id": "theirs", "bytes_out": 9, "stream": false,
            "error": null,
        }),
    );
    call(
        Door::Chat.call(true),
        serde_json::json!({
            "status": 502, "error": "upstream_unreachable", "message": "*", "attempts": 2,
            "input_tokens": null,
        }),
    );
    call(
        head("GET", "/up/v1/files?limit=1", &[]),
        serde_json::json!({
            "status": 200, "method": "GET", "path": "/up/v1/files", "endpoint": "raw",
            "provider": "up", "model": null, "bytes_out": 5,
        }),
    );
    call(
        head("GET", "/nothing", &[]),
        serde_json::json!({
            "status": 404, "endpoint": "unknown", "error": "not_found", "provider": null,
            "attempts": null,
        }),
    );
    // Every call is counted once, under what it came to.
    for (labels, count) in [
        (
            "endpoint=\"chat\",provider=\"up\",model=\"m\",status=\"200\"",
            2.0,
        ),
        (
            "endpoint=\"chat\",provider=\"up\",model=\"m\",status=\"429\"",
            1.0,
        ),
        (
            "endpoint=\"chat\",provider=\"up\",model=\"m\",status=\"502\"",
            1.0,
        ),
        (
            "endpoint=\"messages\",provider=\"claude\",model=\"m\",status=\"200\"",
            1.0,
        ),
        (
            "endpoint=\"generate\",provider=\"up\",model=\"m\",status=\"200\"",
            1.0,
        ),
    ] {
        let name = format!("nowait_requests_total{{{labels}}}");
        assert_eq!(gateway.metric(&name), count, "{name}");
    }
    assert_eq!(gateway.metric("nowait_requests_in_flight"), 0.0);
    assert_eq!(gateway.metric("nowait_access_lines_dropped_total"), 0.0);
}

#[test]
fn items_of_a_batch_are_calls_of_their_own_under_its_id() {
    let upstream = Upstream::new([
        vec![Step::Send(Door::Plain.answer())],
        vec![Step::Send(answer(500, &[], "no"))],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let body = r#"{"prompts":["a","b"],"concurrency":1}"#;
    let reply = gateway.call(post("/generate/batch", &[("x-request-id", "lot")], body));
    assert_eq!(reply.status, 200);
    for (id, expected) in [
        (
            "lot",
            serde_json::json!({"endpoint": "generate_batch", "status": 200}),
        ),
        (
            "lot-0",
            serde_json::json!({"endpoint": "batch_item", "status": 200, "provider": "up", "finish": "stop"}),
        ),
        (
            "lot-1",
            serde_json::json!({"endpoint": "batch_item", "status": 500}),
        ),
    ] {
        assert_line(&gateway.line(id), &expected);
    }
    let seen = upstream.seen();
    assert_eq!(seen[0].get("x-request-id"), Some("lot-0"));
    assert_eq!(seen[1].get("x-request-id"), Some("lot-1"));
}

#[test]
fn a_line_for_people_has_the_same_facts() {
    let upstream = Upstream::always(Door::Chat.answer());
    let config = text("", &both(upstream.address));
    let gateway = Gateway::start(&config, nowait::telemetry::LogFormat::Text, None);
    gateway.call(Door::Chat.call_with(false, &[("x-request-id", "mine")]));
    let line = gateway.logged(|text| {
        let line = text
            .lines()
            .find(|line| line.ends_with("request_id=mine"))?;
        Some(line.to_owned())
    });
    for fact in [
        "Z status=200 method=POST path=/v1/chat/completions endpoint=chat tenant=-",
        " provider=up model=m stream=false cache=bypass total_ms=",
        " upstream_ms=",
        " attempts=1 cold=true ",
        " input_tokens=7 output_tokens=2 cached_tokens=0 tokens_estimated=false ",
    ] {
        assert!(line.contains(fact), "{fact} is not in {line}");
    }
}

#[test]
fn requests_that_wait_for_a_handshake_are_counted_as_cold() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    for _ in 0..3 {
        assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    }
    assert_eq!(
        gateway.metric("nowait_cold_requests_total{upstream=\"up\"}"),
        1.0
    );
    let demand = "nowait_handshakes_total{upstream=\"up\",reason=\"demand\"}";
    assert_eq!(gateway.metric(demand), 1.0);

    // With spares nobody waits for one.
    let warm = format!(
        "[providers.up]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n",
        upstream.address
    );
    let gateway = Gateway::new(&warm);
    crate::harness::eventually("the spares are up", || {
        let reply = gateway.call(head("GET", "/readyz", &[]));
        (reply.status == 200).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    }
    assert_eq!(
        gateway.metric("nowait_cold_requests_total{upstream=\"up\"}"),
        0.0
    );
}
