//! Another attempt after a failure: for which failures, where, when, how often.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::harness::dialects::DOORS;

/// A failure before content, after which another target is asked at once.
fn failures(door: Door, stream: bool) -> Vec<(&'static str, Script)> {
    let mut all = vec![
        ("a reset", vec![Step::Reset]),
        ("a close", vec![Step::Close]),
        (
            "junk",
            vec![Step::send("220 mail.test ready\r\n\r\n"), Step::Close],
        ),
        ("408", refuses(408, &[])),
        ("409", refuses(409, &[])),
        ("429", refuses(429, &[("retry-after", "30")])),
        ("500", refuses(500, &[])),
        ("502", refuses(502, &[])),
        ("503", refuses(503, &[])),
        ("504", refuses(504, &[])),
        ("529", refuses(529, &[])),
        ("501", refuses(501, &[])),
        (
            "a login page",
            vec![Step::Send(answer(
                200,
                &[("content-type", "text/html")],
                "<html>",
            ))],
        ),
    ];
    if stream {
        all.push(("an error event", error_event(door)));
        all.push((
            "a stream cut in its head",
            vec![Step::Send(door.opening(1)), Step::Close],
        ));
        all.push((
            "a stream that ends before content",
            vec![Step::Send(
                [door.opening(1), b"0\r\n\r\n".to_vec()].concat(),
            )],
        ));
    } else {
        let whole = door.answer();
        all.push((
            "half an answer",
            vec![Step::Send(whole[..whole.len() - 9].to_vec()), Step::Close],
        ));
    }
    all
}

#[test]
fn what_fails_before_content_is_asked_elsewhere() {
    for (door, stream) in DOORS
        .iter()
        .flat_map(|door| [(*door, false), (*door, true)])
    {
        let all = failures(door, stream);
        // One target per failure: five in a row would put it out.
        for (what, script) in all {
            let a = Upstream::new([script]);
            let b = Upstream::new([good(door, stream)]);
            let gateway = gateway(door, &[&a, &b], "", TWICE);
            let reply = gateway.call(call(door, stream, &[]));
            assert_eq!(
                (a.seen().len(), b.seen().len()),
                (1, 1),
                "{door:?} {stream} {what}"
            );
            assert_good(door, stream, &reply, "2");
            assert!(has_phase(&reply, "retry"), "{what}: {:?}", reply.head);
            assert_eq!(reply.head.get("x-should-retry"), None, "{what}");
            let line = gateway.line_of(&reply);
            assert_eq!(line["provider"], "b", "{line}");
        }
    }
}

#[test]
fn a_closed_port_is_passed_over_at_once() {
    for door in DOORS {
        let b = Upstream::new([good(door, false)]);
        let text = config(door, &[&b, &b], "", TWICE);
        let closed = Upstream::closed_port().to_string();
        let text = text.replacen(&b.address.to_string(), &closed, 1);
        let gateway = Gateway::new(&text);
        let reply = gateway.call(call(door, false, &[]));
        assert_good(door, false, &reply, "2");
        assert_eq!(
            gateway.metric("nowait_fallbacks_total{provider=\"b\",reason=\"connect\"}"),
            1.0
        );
    }
}

#[test]
fn no_first_token_in_time_is_asked_elsewhere() {
    for door in DOORS {
        let gone = Signal::default();
        let a = Upstream::new([without_content(door, &gone)]);
        let b = Upstream::new([good(door, true)]);
        let more = format!("{TWICE}[timeout]\nfirst_token = \"80ms\"\n");
        let gateway = gateway(door, &[&a, &b], "", &more);
        let reply = gateway.call(call(door, true, &[]));
        assert_good(door, true, &reply, "2");
        gone.wait("the first is closed");
    }
}

#[test]
fn what_the_caller_is_to_blame_for_is_not_asked_again() {
    for (door, status) in DOORS
        .iter()
        .flat_map(|door| [400, 401, 403, 404, 413, 422].map(|status| (*door, status)))
    {
        let a = Upstream::new([refuses(status, &[])]);
        let b = Upstream::new([]);
        let gateway = gateway(door, &[&a, &b], "", TWICE);
        let reply = gateway.call(call(door, false, &[]));
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_calls(&reply, "1");
        assert_eq!(reply.head.get("x-should-retry"), None);
        assert!(b.seen().is_empty(), "{status}");
    }
}

/// The same target is asked again after what its provider says, if that fits.
#[test]
fn a_pause_is_kept_where_it_fits() {
    let said = [("retry-after-ms", "60"), ("retry-after", "9")];
    let a = Upstream::new([refuses(429, &said), good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a], "", TWICE);
    let began = Instant::now();
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(60), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        gateway.metric("nowait_retries_total{provider=\"a\",reason=\"status\"}"),
        1.0
    );
}

#[test]
fn a_pause_beyond_the_deadline_is_the_callers_to_keep() {
    let a = Upstream::new([refuses(429, &[("retry-after", "30")])]);
    let gateway = gateway(Door::Chat, &[&a], "", TWICE);
    let began = Instant::now();
    let reply = gateway.call(call(Door::Chat, false, &[("x-nowait-timeout", "5s")]));
    assert_eq!(reply.status, 429);
    assert_eq!(reply.head.get("retry-after"), Some("30"));
    assert_eq!(reply.head.get("x-should-retry"), None);
    assert_calls(&reply, "1");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn after_content_there_is_an_error_event_and_no_other_attempt() {
    for door in DOORS {
        for cut in [Step::Reset, Step::Close, Step::Send(b"0\r\n\r\n".to_vec())] {
            let a = Upstream::new([vec![Step::Send(door.opening(2)), cut]]);
            let b = Upstream::new([]);
            let gateway = gateway(door, &[&a, &b], SPARE, TWICE);
            let reply = gateway.call(call(door, true, &[]));
            assert_eq!(reply.status, 200);
            assert_calls(&reply, "1");
            assert!(
                reply.text().contains(door.first_words()),
                "{}",
                reply.text()
            );
            let id = reply.head.get("x-request-id").expect("an id");
            door.assert_broken(&reply.body, "upstream_protocol", id);
            assert!(b.seen().is_empty());
        }
    }
}

/// A hedge delay far beyond these tests: none is due, but might be.
const SPARE: &str = "hedge = \"9s\"";

#[test]
fn the_caller_says_how_often() {
    for (said, calls) in [(None, 2), (Some("0"), 1), (Some("1"), 2), (Some("2"), 3)] {
        let scripts = |times: usize| (0..times).map(|_| refuses(503, &[("retry-after", "0")]));
        let a = Upstream::new(scripts(4));
        let gateway = gateway(Door::Chat, &[&a], "", TWICE);
        let headers: Vec<_> = said
            .map(|said| ("x-nowait-retries", said))
            .into_iter()
            .collect();
        let reply = gateway.call(call(Door::Chat, false, &headers));
        assert_eq!(reply.status, 503);
        assert_calls(&reply, &calls.to_string());
        assert_eq!(a.seen().len(), calls);
        // SDKs would multiply what was tried.
        let spent = (calls > 1).then_some("false");
        assert_eq!(reply.head.get("x-should-retry"), spent, "{said:?}");
    }
    let never = Upstream::new([]);
    let gateway = gateway(Door::Messages, &[&never], "", TWICE);
    let reply = gateway.call(call(Door::Messages, false, &[("x-nowait-retries", "100")]));
    Door::Messages.assert_error(&reply, 400, "invalid_request");
}

#[test]
fn a_provider_that_calls_it_hopeless_is_not_asked_again() {
    let hopeless = || refuses(500, &[("x-should-retry", "false")]);
    let a = Upstream::new([hopeless()]);
    let gateway = gateway(Door::Chat, &[&a], "", TWICE);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_eq!(reply.status, 500);
    assert_calls(&reply, "1");
    assert_eq!(
        reply.head.all("x-should-retry").collect::<Vec<_>>(),
        ["false"]
    );
}

#[test]
fn retries_are_a_share_of_the_traffic() {
    let a = Upstream::new((0..4).map(|_| refuses(500, &[])));
    let more = "[retry]\nattempts = 2\nbudget = 0.0\nfloor = 1\n";
    let gateway = gateway(Door::Chat, &[&a], "", more);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_calls(&reply, "2");
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_calls(&reply, "1");
    assert_eq!(
        reply.head.get("x-should-retry"),
        Some("false"),
        "it was refused one"
    );
    let withheld = "nowait_retries_withheld_total{provider=\"a\",reason=\"budget\"}";
    assert_eq!(gateway.metric(withheld), 1.0);
    assert_eq!(status(&gateway, 0)["budgets"]["retries_left"], 0);
}

/// What may have been done is not done again; what surely was not, is.
#[test]
fn side_effects_are_not_repeated() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"store":true}"#;
    for (what, script, calls) in [
        ("a reset", vec![Step::Reset], 1),
        ("500", refuses(500, &[]), 1),
        ("503", refuses(503, &[]), 2),
        ("429", refuses(429, &[]), 2),
    ] {
        let a = Upstream::new([script]);
        let b = Upstream::new([good(Door::Chat, false)]);
        let gateway = gateway(Door::Chat, &[&a, &b], "", TWICE);
        let reply = gateway.post(Door::Chat.path(), body);
        assert_eq!(a.seen().len() + b.seen().len(), calls, "{what}");
        assert_eq!(reply.status == 200, calls == 2, "{what}: {}", reply.text());
    }
}

/// The provider's own word is told before what happened on the way.
#[test]
fn the_failure_that_says_most_is_told() {
    let a = Upstream::new([refuses(503, &[("retry-after", "7")])]);
    let b = Upstream::new([vec![Step::Reset]]);
    for order in [[&a, &b], [&b, &a]] {
        a.forget();
        b.forget();
        a.add(refuses(503, &[("retry-after", "7")]));
        b.add(vec![Step::Reset]);
        let gateway = gateway(Door::Chat, &order, "", TWICE);
        let reply = gateway.call(call(Door::Chat, false, &[]));
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(reply.head.get("retry-after"), Some("7"));
        assert_eq!(reply.head.get("x-should-retry"), Some("false"));
    }
}
