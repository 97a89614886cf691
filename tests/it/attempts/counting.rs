//! Every word that a metric about attempts may have, made to occur.

use std::thread::park_timeout;
use std::time::Duration;

use super::falling::{EMPTY, too_long};
use super::*;
use crate::harness::client::post;

const ALL: &str = "[hedge]\nbudget = 1.0\n";
const SOON: &str = "hedge = \"30ms\"";

/// Answers, but longer after it was asked than a hedge takes.
fn slow() -> Script {
    vec![
        Step::act(|_, _| park_timeout(Duration::from_millis(90))),
        Step::Send(Door::Chat.answer()),
    ]
}

#[track_caller]
fn counted(gateway: &Gateway, metric: &str, provider: &str, reason: &str) {
    let name = format!("{metric}_total{{provider=\"{provider}\",reason=\"{reason}\"}}");
    eventually(&name, || (gateway.metric(&name) >= 1.0).then_some(()));
}

#[test]
fn what_had_failed_before_a_fallback() {
    let gone = Signal::default();
    let filtered = r#"{"error":{"code":"content_filter","message":"no"}}"#;
    let rows: Vec<(&str, bool, Script)> = vec![
        ("reset", false, vec![Step::Reset]),
        ("first_token", true, without_content(Door::Chat, &gone)),
        (
            "broken",
            true,
            vec![Step::Send(Door::Chat.opening(1)), Step::Close],
        ),
        (
            "protocol",
            false,
            vec![Step::Send(answer(
                200,
                &[("content-type", "text/html")],
                "<html>",
            ))],
        ),
        ("status", false, refuses(500, &[])),
        ("context_length", false, too_long(Door::Chat)),
        ("content_policy", false, refuses_with(400, &[], filtered)),
        ("exhausted", false, refuses_with(429, &[], EMPTY)),
        ("silent", false, silent(&gone)),
    ];
    let rule = "fallback_on = [\"context_length\", \"content_policy\"]";
    for (reason, stream, script) in rows {
        // What is usual has to be known before silence is none: then it is not the
        // call's own time that counts, of which the other target has as much as it likes.
        let usual = if reason == "silent" { 100 } else { 0 };
        let whole = || good(Door::Chat, false);
        let a = Upstream::new((0..usual).map(|_| whole()).chain([script]));
        let b = Upstream::new([good(Door::Chat, stream)]);
        // The other target's first token has to come within the same time.
        let first_token = match reason {
            "first_token" => "[timeout]\nfirst_token = \"1s\"\n",
            "silent" => "[timeout]\nfirst_token = \"80ms\"\n",
            _ => "",
        };
        let more = format!("{TWICE}{first_token}");
        let gateway = gateway(Door::Chat, &[&a, &b], rule, &more);
        for _ in 0..usual {
            let reply = gateway.call(call(Door::Chat, false, &[]));
            assert_good(Door::Chat, false, &reply, "1");
        }
        let reply = gateway.call(call(Door::Chat, stream, &[]));
        assert_good(Door::Chat, stream, &reply, "2");
        counted(&gateway, "nowait_fallbacks", "b", reason);
    }
}

#[test]
fn a_retry_at_the_same_target_says_why_too() {
    for (reason, script) in [("reset", vec![Step::Reset]), ("status", refuses(502, &[]))] {
        let a = Upstream::new([script, good(Door::Chat, false)]);
        let gateway = gateway(Door::Chat, &[&a], "", TWICE);
        assert_eq!(gateway.call(call(Door::Chat, false, &[])).status, 200);
        counted(&gateway, "nowait_retries", "a", reason);
    }
}

#[test]
fn why_a_failed_call_is_not_sent_again() {
    let none = "[retry]\nattempts = 2\nbudget = 0.0\nfloor = 0\n";
    for (reason, script) in [
        ("deadline", refuses(429, &[("retry-after", "100")])),
        ("budget", refuses(500, &[])),
    ] {
        let a = Upstream::new([script]);
        let gateway = gateway(Door::Chat, &[&a], "", none);
        gateway.call(call(Door::Chat, false, &[]));
        counted(&gateway, "nowait_retries_withheld", "a", reason);
    }
}

#[test]
fn why_a_late_call_is_not_hedged() {
    let check = |a: Vec<Script>, b: Vec<Script>, hedge: &str, calls: usize, reason: &str| {
        let (a, b) = (Upstream::new(a), Upstream::new(b));
        let more = format!("{ALL}{TWICE}");
        let gateway = gateway(Door::Chat, &[&a, &b], hedge, &more);
        let body = match reason {
            "side_effects" => {
                r#"{"model":"m","messages":[{"role":"user","content":"x"}],"store":true}"#
            }
            _ => r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
        };
        for _ in 0..calls {
            assert_eq!(
                gateway.post(Door::Chat.path(), body).status,
                200,
                "{reason}"
            );
        }
        counted(&gateway, "nowait_hedges_withheld", "a", reason);
    };
    let goods = |count: usize| (0..count).map(|_| good(Door::Chat, false));
    check(vec![slow()], Vec::new(), SOON, 1, "side_effects");
    check(
        vec![slow()],
        Vec::new(),
        "hedge = \"p95\"",
        1,
        "no_statistics",
    );
    let many: Vec<_> = goods(20).chain((0..4).map(|_| slow())).collect();
    check(many, goods(4).collect(), SOON, 24, "slow_as_a_whole");
    check(
        vec![refuses(500, &[]), slow()],
        goods(1).collect(),
        SOON,
        2,
        "unhealthy",
    );
}

#[test]
fn a_hedge_is_not_made_where_there_is_no_room_or_no_budget() {
    let gone = Signal::default();
    let a = Upstream::new([slow(), slow()]);
    let b = Upstream::new([silent(&gone)]);
    let text = config(Door::Chat, &[&a, &b], SOON, &format!("{ALL}{TWICE}"));
    let (head, tail) = text.split_once("[providers.b]").expect("b");
    let tail = tail.replacen("[providers.b.pool]", "limit = 1\n[providers.b.pool]", 1);
    let gateway = Gateway::new(&format!("{head}[providers.b]{tail}"));
    let mut other = gateway.client();
    other.send(post(
        Door::Chat.path(),
        &[],
        r#"{"model":"b/m","messages":[{"role":"user","content":"x"}]}"#,
    ));
    b.wait_for(1);
    assert_eq!(gateway.call(call(Door::Chat, false, &[])).status, 200);
    counted(&gateway, "nowait_hedges_withheld", "a", "near_limit");
    let a = Upstream::new([slow()]);
    let gateway = super::gateway(Door::Chat, &[&a], SOON, "[hedge]\nbudget = 0.0\n");
    assert_eq!(gateway.call(call(Door::Chat, false, &[])).status, 200);
    counted(&gateway, "nowait_hedges_withheld", "a", "no_budget");
}

#[test]
fn why_a_call_is_refused_at_a_limit() {
    let go = Signal::default();
    let patient = || vec![Step::Wait(go.clone()), Step::Send(Door::Chat.answer())];
    let a = Upstream::new((0..9).map(|_| patient()));
    let text = config(Door::Chat, &[&a], "", TWICE);
    let bounds = "limit = 1\nqueue = 1\n[providers.a.pool]";
    let gateway = Gateway::new(&text.replace("[providers.a.pool]", bounds));
    let begin = |headers: &[(&str, &str)]| {
        let mut client = gateway.client();
        client.send(call(Door::Chat, false, headers));
        client
    };
    let mut first = begin(&[]);
    a.wait_for(1);
    let late = gateway.call(call(Door::Chat, false, &[("x-nowait-timeout", "60ms")]));
    assert_eq!(late.status, 503);
    counted(&gateway, "nowait_queue_refused", "a", "late");
    let mut batch = begin(&[("x-nowait-priority", "batch")]);
    waiting(&gateway, 0, 1);
    let mut second = begin(&[]);
    // The one that waited gives way to one that somebody looks at.
    let left = batch.reply();
    let words = Door::Chat.assert_error(&left, 503, "overloaded");
    assert!(words.contains("leave its place"), "{words}");
    assert!(left.head.get("retry-after").is_some());
    counted(&gateway, "nowait_queue_refused", "a", "displaced");
    waiting(&gateway, 1, 0);
    assert_eq!(gateway.call(call(Door::Chat, false, &[])).status, 503);
    counted(&gateway, "nowait_queue_refused", "a", "full");
    go.raise();
    for client in [&mut first, &mut second] {
        assert_eq!(client.reply().status, 200);
    }
}
