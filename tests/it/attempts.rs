//! The attempts of a call, end to end: when another is made, where it goes, and
//! what its caller and the books are told of it.
//!
//! Providers play scripts and say when something has happened; where a delay is
//! the subject it is short and the provider's own.

mod admitting;
mod balancing;
mod counting;
mod falling;
mod flying;
mod hedging;
mod retrying;
mod showing;

use serde_json::Value;

use crate::harness::client::{Reply, post};
use crate::harness::dialects::Door;
use crate::harness::gateway::{Gateway, provider};
use crate::harness::upstream::{Script, Step, Upstream, answer, chunk, stream_head};
use crate::harness::{Signal, eventually};

/// A model `m` whose targets are these providers, in this order, under the names
/// `a`, `b`, `c`. Nothing is shared.
fn config(door: Door, targets: &[&Upstream], model: &str, more: &str) -> String {
    let dialect = match door {
        Door::Messages => "anthropic",
        Door::Chat | Door::Plain => "openai",
    };
    let names = ["a", "b", "c"];
    let mut text = String::new();
    for (name, target) in names.iter().zip(targets) {
        text.push_str(&provider(name, dialect, target.address, ""));
    }
    let names: Vec<_> = names[..targets.len()]
        .iter()
        .map(|name| format!("\"{name}/m\""))
        .collect();
    format!(
        "{text}[models.m]\ntargets = [{}]\n{model}\n[cache]\nshare = \"off\"\n\
         [generate]\nmodel = \"m\"\nshare = \"off\"\n{more}",
        names.join(", ")
    )
}

/// A gateway in front of them.
fn gateway(door: Door, targets: &[&Upstream], model: &str, more: &str) -> Gateway {
    Gateway::new(&config(door, targets, model, more))
}

/// Two attempts per call.
const TWICE: &str = "[retry]\nattempts = 2\n";

/// A call to the model `m`.
fn call(door: Door, stream: bool, headers: &[(&str, &str)]) -> Vec<u8> {
    let body = door.body(stream);
    let body = body.replace("up/m", "m").replace("claude/m", "m");
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    post(door.path(), &all, body)
}

/// What a provider does that answers.
fn good(door: Door, stream: bool) -> Script {
    match stream {
        true => door.stream(),
        false => vec![Step::Send(door.answer())],
    }
}

/// What a provider does that refuses.
fn refuses(status: u16, headers: &[(&str, &str)]) -> Script {
    refuses_with(
        status,
        headers,
        r#"{"error":{"message":"no","type":"x","code":null}}"#,
    )
}

fn refuses_with(status: u16, headers: &[(&str, &str)], body: &str) -> Script {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    vec![Step::Send(answer(status, &all, body))]
}

/// What a provider does that says nothing until its caller has left.
fn silent(gone: &Signal) -> Script {
    vec![Step::Gone(gone.clone())]
}

/// The same, but a stream's head and its first events, which are no content,
/// come at once.
fn without_content(door: Door, gone: &Signal) -> Script {
    vec![Step::Send(door.opening(1)), Step::Gone(gone.clone())]
}

/// A stream whose only event says that it failed.
fn error_event(door: Door) -> Script {
    let event = match door {
        Door::Messages => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"
        }
        Door::Chat | Door::Plain => {
            "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":null}}\n\n"
        }
    };
    let mut all = stream_head();
    all.extend(chunk(event));
    all.extend(crate::harness::upstream::LAST_CHUNK);
    vec![Step::Send(all)]
}

#[track_caller]
fn assert_calls(reply: &Reply, calls: &str) {
    assert_eq!(
        reply.head.get("x-nowait-attempts"),
        Some(calls),
        "{}",
        reply.text()
    );
}

/// Looks at a whole answer, and at how many calls it took.
#[track_caller]
fn assert_good(door: Door, stream: bool, reply: &Reply, calls: &str) {
    let text = reply.text();
    assert_eq!(reply.status, 200, "{door:?}: {text}");
    assert!(reply.whole, "{text}");
    assert!(text.contains("tide") && text.contains("turns"), "{text}");
    if stream {
        let end = match door {
            Door::Chat => "[DONE]",
            Door::Messages => "event: message_stop",
            Door::Plain => "event: done",
        };
        assert_eq!(text.matches(end).count(), 1, "{text}");
    }
    assert_calls(reply, calls);
}

/// Whether the waterfall has this phase.
fn has_phase(reply: &Reply, phase: &str) -> bool {
    let timing = reply.head.get("server-timing").unwrap_or_default();
    timing
        .split(", ")
        .any(|it| it.starts_with(&format!("{phase};")))
}

fn hedges(gateway: &Gateway, provider: &str, outcome: &str) -> f64 {
    gateway.metric(&format!(
        "nowait_hedges_total{{provider=\"{provider}\",outcome=\"{outcome}\"}}"
    ))
}

/// `/status`, the first key of provider number `index`.
fn status(gateway: &Gateway, index: usize) -> Value {
    let reply = gateway.call(crate::harness::client::head("GET", "/status", &[]));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["providers"][index]["keys"][0].clone()
}

/// Waits until so many calls wait for their turn.
#[track_caller]
fn waiting(gateway: &Gateway, interactive: u64, batch: u64) {
    eventually("that many wait", || {
        let waiting = &status(gateway, 0)["limit"]["waiting"];
        (waiting["interactive"] == interactive && waiting["batch"] == batch).then_some(())
    });
}
