//! What is told of all this: `/status`, and what a reload keeps of it.

use super::*;
use crate::ending::Followed;
use crate::harness::client::head;
use crate::keys::key;

#[test]
fn status_tells_how_every_target_is() {
    let a = Upstream::new((0..40).map(|_| good(Door::Chat, true)));
    let gateway = gateway(
        Door::Chat,
        &[&a],
        "hedge = \"p95\"\nbalance = \"latency\"",
        "",
    );
    for _ in 0..40 {
        assert_eq!(gateway.call(call(Door::Chat, true, &[])).status, 200);
    }
    let page = gateway.call(head("GET", "/status", &[])).json();
    let model = page["models"].as_array().expect("models").iter();
    let model = model
        .clone()
        .find(|model| model["model"] == "m")
        .expect("it is there");
    assert_eq!(model["hedge"], "p95", "{model}");
    assert_eq!(model["balance"], "latency", "{model}");
    assert_eq!(model["targets"][0]["target"], "a/m", "{model}");
    assert_eq!(model["targets"][0]["key"], 1, "{model}");
    let key = &page["providers"][0]["keys"][0];
    assert_eq!(key["limit"]["rule"], "aimd", "{key}");
    assert_eq!(key["limit"]["calls"], Value::Null, "none so far: {key}");
    assert!(key["budgets"]["hedges_left"].as_f64() >= Some(1.0), "{key}");
    let target = &key["targets"][0];
    assert_eq!(target["health"], "well", "{target}");
    for name in ["p50_ms", "p95_ms", "ewma_ms"] {
        assert!(
            target["first_content"][name].as_f64() > Some(0.0),
            "{name}: {target}"
        );
    }
    assert_eq!(target["whole"]["p50_ms"], Value::Null, "{target}");
}

#[test]
fn status_wants_an_admins_key_once_there_are_keys() {
    let up = Upstream::new([]);
    let text = format!(
        "{}{}{}",
        config(Door::Chat, &[&up], "", ""),
        key("web", "nw-web", ""),
        key("ops", "nw-ops", "admin = true")
    );
    let gateway = Gateway::new(&text);
    for (said, expected) in [(None, 401), (Some("nw-web"), 403), (Some("nw-ops"), 200)] {
        let bearer = said.map(|said| format!("Bearer {said}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|it| ("authorization", it.as_str()))
            .collect();
        let reply = gateway.call(head("GET", "/status", &headers));
        assert_eq!(reply.status, expected, "{said:?}: {}", reply.text());
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_a_target() {
    let a = Upstream::new((0..6).map(|_| refuses(500, &[])));
    let b = Upstream::new((0..12).map(|_| good(Door::Chat, false)));
    let text = config(Door::Chat, &[&a, &b], "", TWICE);
    let followed = Followed::new("attempts", &text);
    let gateway = &followed.gateway;
    for _ in 0..5 {
        assert_eq!(gateway.call(call(Door::Chat, false, &[])).status, 200);
    }
    assert_eq!(status(gateway, 0)["targets"][0]["health"], "out");
    let left = status(gateway, 0)["budgets"]["retries_left"].clone();
    followed.change(&format!("{text}[batch]\nconcurrency = 3\n"), "applied");
    assert_eq!(status(gateway, 0)["targets"][0]["health"], "out");
    assert_eq!(status(gateway, 0)["budgets"]["retries_left"], left);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    assert_eq!(a.seen().len(), 5, "it is still out");
    // Other bounds are another beginning.
    followed.change(
        &text.replace(TWICE, "[retry]\nattempts = 2\nfloor = 5\n"),
        "applied",
    );
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
}

/// A stream's head may come long before the model has begun.
#[test]
fn how_quick_a_target_is_goes_by_content_and_not_by_heads() {
    for (more, headers) in [("", None), (TWICE, Some(("x-nowait-retries", "0")))] {
        let (head, go) = (Signal::default(), Signal::default());
        let a = Upstream::new([vec![
            Step::Send(Door::Chat.opening(1)),
            Step::Raise(head.clone()),
            Step::Wait(go.clone()),
            Step::Send(Door::Chat.closing(1)),
        ]]);
        let gateway = gateway(Door::Chat, &[&a], "", more);
        let headers: Vec<_> = headers.into_iter().collect();
        let mut client = gateway.client();
        client.send(call(Door::Chat, true, &headers));
        head.wait("the head is sent");
        let wait = std::time::Duration::from_millis(50);
        let began = tokio::time::Instant::now();
        while began.elapsed() < wait {
            std::thread::park_timeout(wait);
        }
        go.raise();
        assert_good(Door::Chat, true, &client.reply(), "1");
        let target = &status(&gateway, 0)["targets"][0];
        let took = target["first_content"]["ewma_ms"].as_f64();
        assert!(took >= Some(50.0), "{more:?}: {target}");
    }
}
