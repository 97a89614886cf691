//! A second attempt beside one that is late: the first to bring content wins,
//! the other is cancelled at once.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::*;
use crate::harness::client::Client;
use crate::harness::dialects::DOORS;
use crate::harness::h2::{self, Asked};

/// Every call may be hedged.
const ALL: &str = "[hedge]\nbudget = 1.0\n";
const SOON: &str = "hedge = \"30ms\"";

#[test]
fn the_first_to_bring_content_wins_and_the_other_is_closed() {
    for (door, stream) in DOORS
        .iter()
        .flat_map(|door| [(*door, false), (*door, true)])
    {
        // A head and a role are no content.
        let gone = Signal::default();
        let late = Upstream::new([match stream {
            true => without_content(door, &gone),
            false => silent(&gone),
        }]);
        let quick = Upstream::new([good(door, stream)]);
        let gateway = gateway(door, &[&late, &quick], SOON, ALL);
        let reply = gateway.call(call(door, stream, &[]));
        assert_good(door, stream, &reply, "2");
        assert!(has_phase(&reply, "hedge"), "{:?}", reply.head);
        assert!(!has_phase(&reply, "retry"), "{:?}", reply.head);
        gone.wait("the loser is closed");
        assert_eq!(hedges(&gateway, "b", "won"), 1.0);
        assert_eq!(hedges(&gateway, "b", "lost"), 0.0);
        let line = gateway.line_of(&reply);
        assert_eq!(line["provider"], "b", "{line}");
        assert_eq!(line["attempts"], 2, "{line}");
        assert!(line["hedge_ms"].is_number(), "{line}");
    }
}

#[test]
fn a_hedge_that_is_overtaken_by_its_elder_is_closed() {
    for stream in [false, true] {
        let (asked, gone) = (Signal::default(), Signal::default());
        let mut slow = vec![Step::Wait(asked.clone())];
        slow.extend(good(Door::Chat, stream));
        let elder = Upstream::new([slow]);
        let hedge = Upstream::new([vec![Step::Raise(asked), Step::Gone(gone.clone())]]);
        let gateway = gateway(Door::Chat, &[&elder, &hedge], SOON, ALL);
        let reply = gateway.call(call(Door::Chat, stream, &[]));
        assert_good(Door::Chat, stream, &reply, "2");
        gone.wait("the hedge is closed");
        assert_eq!(hedges(&gateway, "b", "lost"), 1.0);
        assert_eq!(gateway.line_of(&reply)["provider"], "a");
    }
}

#[test]
fn the_only_target_is_asked_over_another_connection() {
    let gone = Signal::default();
    let only = Upstream::new([silent(&gone), good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&only], SOON, ALL);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
    gone.wait("the first connection is closed");
    assert_eq!(only.connections(), 2);
}

#[test]
fn the_caller_says_whether_and_when() {
    for (model, said, calls) in [
        ("", "30ms", "2"),
        (SOON, "off", "1"),
        (SOON, "5s", "1"),
        // Nobody knows yet what is late.
        (SOON, "p95", "1"),
        ("", "p50", "1"),
    ] {
        let asked = Signal::default();
        let elder = match calls {
            // Longer than it would take to hedge.
            "1" => vec![
                Step::act(|_, _| std::thread::park_timeout(std::time::Duration::from_millis(90))),
                Step::Send(Door::Chat.answer()),
            ],
            _ => vec![Step::Wait(asked.clone()), Step::Send(Door::Chat.answer())],
        };
        let gone = Signal::default();
        let a = Upstream::new([elder]);
        let b = Upstream::new([vec![Step::Raise(asked), Step::Gone(gone)]]);
        let gateway = gateway(Door::Chat, &[&a, &b], model, ALL);
        let reply = gateway.call(call(Door::Chat, false, &[("x-nowait-hedge", said)]));
        assert_good(Door::Chat, false, &reply, calls);
        let seen = b.seen().len();
        assert_eq!(seen + 1, calls.parse::<usize>().unwrap(), "{said}");
        let told = a.one();
        assert_eq!(told.get("x-nowait-hedge"), None, "ours goes nowhere");
    }
}

#[test]
fn what_is_no_hedge_is_refused_in_the_callers_words() {
    for door in DOORS {
        let never = Upstream::new([]);
        let gateway = gateway(door, &[&never], SOON, ALL);
        for said in ["soon", "p20", "p100", "0s", "-1s", ""] {
            let reply = gateway.call(call(door, false, &[("x-nowait-hedge", said)]));
            let words = door.assert_error(&reply, 400, "invalid_request");
            assert!(words.contains("x-nowait-hedge"), "{words}");
        }
        assert!(never.seen().is_empty());
    }
}

/// A call with effects at its provider is not made twice only for speed.
#[test]
fn side_effects_are_not_doubled() {
    let bodies = [
        ("/v1/responses", r#"{"model":"m","input":"x","store":true}"#),
        // Which is what no word about it means.
        ("/v1/responses", r#"{"model":"m","input":"x"}"#),
        (
            "/v1/responses",
            r#"{"model":"m","input":"x","store":false,"background":true}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"m","input":"x","store":false,"tools":[{"type":"web_search"}]}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"store":true}"#,
        ),
    ];
    for (path, body) in bodies {
        let late = vec![
            Step::act(|_, _| std::thread::park_timeout(std::time::Duration::from_millis(90))),
            Step::Send(Door::Chat.answer()),
        ];
        let (a, b) = (Upstream::new([late]), Upstream::new([]));
        let gateway = gateway(Door::Chat, &[&a, &b], SOON, ALL);
        let reply = gateway.post(path, body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_calls(&reply, "1");
        assert!(b.seen().is_empty(), "{body}");
    }
}

#[test]
fn a_flight_is_hedged_for_all_who_share_it() {
    for stream in [false, true] {
        let (go, gone) = (Signal::default(), Signal::default());
        let late = Upstream::new([silent(&gone)]);
        let mut script = vec![Step::Wait(go.clone())];
        script.extend(good(Door::Chat, stream));
        let quick = Upstream::new([script]);
        let text = config(Door::Chat, &[&late, &quick], SOON, ALL)
            .replace("[cache]\nshare = \"off\"", "[cache]\nshare = \"all\"");
        let gateway = Gateway::new(&text);
        let ask = || {
            let mut client = gateway.client();
            client.send(call(Door::Chat, stream, &[]));
            client
        };
        let mut clients: Vec<Client> = (0..3).map(|_| ask()).collect();
        quick.wait_for(1);
        eventually("all have come", || {
            (gateway.metric("nowait_requests_in_flight") == 3.0).then_some(())
        });
        go.raise();
        for client in &mut clients {
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(
                reply.whole && reply.text().contains("turns"),
                "{}",
                reply.text()
            );
        }
        gone.wait("the loser is closed");
        assert_eq!((late.seen().len(), quick.seen().len()), (1, 1));
        assert_eq!(hedges(&gateway, "b", "won"), 1.0);
    }
}

#[test]
fn hedges_are_a_share_of_the_calls() {
    let slow = || {
        vec![
            Step::act(|_, _| std::thread::park_timeout(std::time::Duration::from_millis(60))),
            Step::Send(Door::Chat.answer()),
        ]
    };
    let gone = Signal::default();
    let a = Upstream::new([slow(), silent(&gone)]);
    let b = Upstream::new([good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a, &b], SOON, "[hedge]\nbudget = 0.5\n");
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    let withheld = "nowait_hedges_withheld_total{provider=\"a\",reason=\"no_budget\"}";
    assert_eq!(gateway.metric(withheld), 1.0);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
    gone.wait("the loser is closed");
}

/// After enough calls the time that is late is measured.
#[test]
fn a_percentile_is_measured() {
    let gone = Signal::default();
    let quick = (0..40).map(|_| good(Door::Chat, true));
    let a = Upstream::new(quick.chain([without_content(Door::Chat, &gone)]));
    let b = Upstream::new([good(Door::Chat, true)]);
    let more = "[hedge]\nbudget = 1.0\nmin = \"100ms\"\n";
    let gateway = gateway(Door::Chat, &[&a, &b], "hedge = \"p95\"", more);
    for _ in 0..40 {
        let reply = gateway.call(call(Door::Chat, true, &[]));
        assert_good(Door::Chat, true, &reply, "1");
    }
    let reply = gateway.call(call(Door::Chat, true, &[]));
    assert_good(Door::Chat, true, &reply, "2");
    gone.wait("the loser is closed");
}

#[test]
fn a_hedge_whose_elder_fails_is_the_retry() {
    let (asked, go) = (Signal::default(), Signal::default());
    let a = Upstream::new([vec![
        Step::Wait(asked.clone()),
        Step::Raise(go.clone()),
        Step::Reset,
    ]]);
    let b = Upstream::new([vec![
        Step::Raise(asked),
        Step::Wait(go),
        Step::Send(Door::Chat.answer()),
    ]]);
    let gateway = gateway(Door::Chat, &[&a, &b], SOON, &format!("{ALL}{TWICE}"));
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
}

#[test]
fn a_hedge_that_fails_leaves_its_elder_alone() {
    let go = Signal::default();
    let a = Upstream::new([vec![
        Step::Wait(go.clone()),
        Step::Send(Door::Chat.answer()),
    ]]);
    let b = Upstream::new([refuses(503, &[])]);
    let gateway = gateway(Door::Chat, &[&a, &b], SOON, &format!("{ALL}{TWICE}"));
    let mut client = gateway.client();
    client.send(call(Door::Chat, false, &[]));
    eventually("it is counted", || {
        (hedges(&gateway, "b", "failed") == 1.0).then_some(())
    });
    go.raise();
    assert_good(Door::Chat, false, &client.reply(), "2");
}

#[test]
fn a_caller_that_leaves_cancels_both() {
    for stream in [false, true] {
        let gone = [Signal::default(), Signal::default()];
        let a = Upstream::new([silent(&gone[0])]);
        let b = Upstream::new([silent(&gone[1])]);
        let gateway = gateway(Door::Chat, &[&a, &b], SOON, ALL);
        let mut client = gateway.client();
        client.send(call(Door::Chat, stream, &[]));
        b.wait_for(1);
        drop(client);
        gone[0].wait("the first is closed");
        gone[1].wait("its hedge is closed");
        eventually("it is counted", || {
            (hedges(&gateway, "b", "left") == 1.0).then_some(())
        });
    }
}

#[test]
fn a_deadline_ends_both() {
    let gone = [Signal::default(), Signal::default()];
    let a = Upstream::new([silent(&gone[0])]);
    let b = Upstream::new([silent(&gone[1])]);
    let gateway = gateway(Door::Chat, &[&a, &b], SOON, ALL);
    let reply = gateway.call(call(Door::Chat, false, &[("x-nowait-timeout", "200ms")]));
    Door::Chat.assert_error(&reply, 504, "timeout");
    assert_calls(&reply, "2");
    gone[0].wait("the first is closed");
    gone[1].wait("its hedge is closed");
}

/// Over HTTP/2 the loser's stream is reset, and its connection stays.
#[test]
fn a_loser_over_http_2_is_reset() {
    let reset = Signal::default();
    let told = reset.clone();
    let never = h2::provider(
        9,
        Arc::new(move |mut asked: Asked| {
            let told = told.clone();
            let (done, ended) = oneshot::channel();
            tokio::spawn(async move {
                let reason = poll_fn(|cx| asked.respond.poll_reset(cx)).await;
                assert_eq!(reason.expect("a reset"), ::h2::Reason::CANCEL);
                told.raise();
                let _ = done.send(false);
            });
            ended
        }),
    );
    let quick = Upstream::new([good(Door::Chat, true)]);
    let text = config(Door::Chat, &[&quick, &quick], SOON, ALL)
        .replacen(&quick.address.to_string(), &never.to_string(), 1)
        .replace("[providers.a.pool]", "[providers.a.pool]\nhttp = \"2\"");
    let gateway = Gateway::new(&text);
    let reply = gateway.call(call(Door::Chat, true, &[]));
    assert_good(Door::Chat, true, &reply, "2");
    reset.wait("the loser's stream is reset");
    let page = gateway
        .call(crate::harness::client::head("GET", "/status", &[]))
        .json();
    assert_eq!(page["providers"][0]["pool"]["open"], 1, "{page}");
}
