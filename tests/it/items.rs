//! `/generate/batch`: one item that fails is nothing to the others.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::client::post;
use crate::harness::dialects::Door;
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Script, Step, Upstream, answer, json_answer};
use crate::harness::{Signal, eventually};

/// What becomes of an item, and the status and code it is told.
type Fate = (fn() -> Script, u16, &'static str);

const FATES: &[Fate] = &[
    (|| vec![Step::Send(Door::Plain.answer())], 200, ""),
    (
        || {
            vec![Step::Send(json_answer(
                429,
                r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            ))]
        },
        429,
        "rate_limit_exceeded",
    ),
    (
        || vec![Step::Send(answer(500, &[], "oh no"))],
        500,
        "upstream_error",
    ),
    (
        || vec![Step::send("junk\r\n\r\n"), Step::Close],
        502,
        "upstream_unreachable",
    ),
    (
        || vec![Step::Send(json_answer(200, "[]"))],
        502,
        "upstream_protocol",
    ),
    (|| vec![Step::Gone(Signal::default())], 504, "timeout"),
];

/// Every prompt meets the fate of its number; one at a time, so that scripts
/// and prompts keep step.
fn asked(accept: &str) -> (Gateway, Upstream, Vec<u8>) {
    let scripts = (0..18).map(|n| (FATES[n % FATES.len()].0)());
    let upstream = Upstream::new(scripts);
    let gateway = Gateway::new(&format!(
        "{}[timeout]\ntotal = \"400ms\"\n",
        both(upstream.address)
    ));
    let prompts: Vec<String> = (0..18).map(|n| format!("\"prompt {n}\"")).collect();
    let body = format!("{{\"prompts\":[{}],\"concurrency\":1}}", prompts.join(","));
    (
        gateway,
        upstream,
        post("/generate/batch", &[("accept", accept)], body),
    )
}

#[track_caller]
fn assert_fate(item: &Value, index: usize) {
    let (_, status, code) = FATES[index % FATES.len()];
    if status == 200 {
        assert_eq!(item["response"], "tide turns", "{item}");
        assert_eq!(item["usage"]["output_tokens"], 2, "{item}");
        return;
    }
    assert_eq!(item["error"]["status"], status, "{item}");
    assert_eq!(item["error"]["code"], code, "{item}");
    assert!(item.get("response").is_none(), "{item}");
}

#[test]
fn items_fail_one_by_one_and_are_answered_in_the_order_asked() {
    let (gateway, upstream, call) = asked("*/*");
    let reply = gateway.call(call);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json = reply.json();
    let items = json["responses"].as_array().expect("a list");
    assert_eq!(items.len(), 18);
    for (index, item) in items.iter().enumerate() {
        assert_fate(item, index);
    }
    assert_eq!(upstream.seen().len(), 18);
    let ok =
        "nowait_requests_total{endpoint=\"batch_item\",provider=\"up\",model=\"m\",status=\"200\"}";
    assert_eq!(gateway.metric(ok), 3.0);
}

#[test]
fn items_come_as_lines_with_their_index() {
    let (gateway, _upstream, call) = asked("application/x-ndjson");
    let reply = gateway.call(call);
    assert_eq!(reply.head.get("content-type"), Some("application/x-ndjson"));
    let mut items = BTreeMap::new();
    for line in reply.text().lines() {
        let item: Value = serde_json::from_str(line).expect("a line of JSON");
        let index = item["index"].as_u64().expect("a number") as usize;
        assert_fate(&item, index);
        items.insert(index, item);
    }
    assert_eq!(items.len(), 18);
}

#[test]
fn a_line_does_not_wait_for_slower_items() {
    let go = Signal::default();
    let upstream = Upstream::new([
        vec![Step::Wait(go.clone()), Step::Send(Door::Plain.answer())],
        vec![Step::Send(Door::Plain.answer())],
        vec![Step::Send(Door::Plain.answer())],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    let accept = ("accept", "application/x-ndjson");
    client.send(post(
        "/generate/batch",
        &[accept],
        r#"{"prompts":["a","b","c"]}"#,
    ));
    let mut answer = client.answer();
    let mut seen = client.until(&mut answer, "\n");
    while memchr::memchr_iter(b'\n', &seen).count() < 2 {
        seen.extend(client.until(&mut answer, "\n"));
    }
    go.raise();
    seen.extend(client.rest(&answer).bytes);
    assert_eq!(memchr::memchr_iter(b'\n', &seen).count(), 3);
}

#[test]
fn no_more_items_are_under_way_than_asked_for() {
    let go = Signal::default();
    let script = || vec![Step::Wait(go.clone()), Step::Send(Door::Plain.answer())];
    let upstream = Upstream::new((0..12).map(|_| script()));
    let gateway = Gateway::new(&both(upstream.address));
    let prompts = ["\"x\""; 12].join(",");
    let mut client = gateway.client();
    let body = format!("{{\"prompts\":[{prompts}],\"concurrency\":3}}");
    client.send(post("/generate/batch", &[], body));
    upstream.wait_for(3);
    // One more round through the same core: had it begun a fourth, it were here.
    for _ in 0..3 {
        gateway.call(crate::harness::client::head("GET", "/health", &[]));
    }
    assert_eq!(upstream.seen().len(), 3);
    go.raise();
    assert_eq!(
        client.reply().json()["responses"]
            .as_array()
            .expect("a list")
            .len(),
        12
    );
    assert!(upstream.connections() <= 4, "{}", upstream.connections());
}

#[test]
fn a_caller_that_leaves_its_lines_ends_the_items_that_are_left() {
    let gone = Signal::default();
    let upstream = Upstream::new([
        vec![Step::Send(Door::Plain.answer())],
        vec![Step::Gone(gone.clone())],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    let accept = ("accept", "application/x-ndjson");
    let body = r#"{"prompts":["a","b","c","d"],"concurrency":1}"#;
    client.send(post("/generate/batch", &[accept], body));
    let mut answer = client.answer();
    client.until(&mut answer, "\n");
    upstream.wait_for(2);
    drop(client);
    gone.wait("the item under way is given up");
    eventually("all of it is booked", || {
        (gateway.metric("nowait_requests_in_flight") == 0.0).then_some(())
    });
    assert_eq!(upstream.seen().len(), 2, "those that waited are not begun");
}
