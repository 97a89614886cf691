//! Which of several targets is asked, and which is left alone.

use super::*;

fn three() -> [Upstream; 3] {
    [(); 3].map(|()| Upstream::new((0..200).map(|_| good(Door::Chat, false))))
}

fn asked<const N: usize>(all: &[Upstream; N]) -> [usize; N] {
    std::array::from_fn(|index| all[index].seen().len())
}

/// Makes so many calls, one after the other, over one connection.
#[track_caller]
fn many(gateway: &Gateway, count: usize, headers: &[(&str, &str)]) {
    let mut client = gateway.client();
    for _ in 0..count {
        client.send(call(Door::Chat, false, headers));
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn each_policy_shares_the_calls_out_its_own_way() {
    for (model, expected, slack) in [
        ("", [24, 0, 0], 0),
        ("balance = \"order\"", [24, 0, 0], 0),
        // Its shares are exact to a call or two, not a round.
        ("balance = \"weighted\"\nweights = [3, 2, 1]", [12, 8, 4], 2),
        ("balance = \"weighted\"", [8, 8, 8], 2),
    ] {
        let all = three();
        let targets = [&all[0], &all[1], &all[2]];
        let gateway = gateway(Door::Chat, &targets, model, "");
        many(&gateway, 24, &[]);
        let asked = asked(&all);
        for (asked, expected) in asked.into_iter().zip(expected) {
            assert!(
                usize::abs_diff(asked, expected) <= slack,
                "{model}: {asked}, not {expected}"
            );
        }
        assert_eq!(asked.iter().sum::<usize>(), 24);
    }
}

#[test]
fn the_fewest_calls_under_way_go_first() {
    let gone = [(); 3].map(|()| Signal::default());
    let all = [0, 1, 2].map(|index: usize| Upstream::new([silent(&gone[index])]));
    let targets = [&all[0], &all[1], &all[2]];
    let gateway = gateway(Door::Chat, &targets, "balance = \"least_pending\"", "");
    let mut clients = Vec::new();
    for begun in 1..=3 {
        let mut client = gateway.client();
        client.send(call(Door::Chat, false, &[]));
        clients.push(client);
        eventually("it went upstream", || {
            (asked(&all).iter().sum::<usize>() == begun).then_some(())
        });
    }
    assert_eq!(asked(&all), [1, 1, 1]);
}

#[test]
fn a_session_stays_where_it_is() {
    let all = three();
    let targets = [&all[0], &all[1], &all[2]];
    let gateway = gateway(Door::Chat, &targets, "balance = \"sticky\"", "");
    let mut used = [0; 3];
    for session in 0..24 {
        let before = asked(&all);
        let name = format!("session-{session}");
        many(&gateway, 3, &[("x-session-id", &name)]);
        let after = asked(&all);
        let got: Vec<_> = (0..3).filter(|at| after[*at] > before[*at]).collect();
        assert_eq!(got.len(), 1, "{name} went to {got:?}");
        used[got[0]] += 1;
    }
    assert!(used.iter().all(|sessions| *sessions > 0), "{used:?}");
    // It is the provider's too.
    let seen = all.iter().flat_map(Upstream::seen);
    assert!(
        seen.into_iter()
            .all(|seen| seen.get("x-session-id").is_some())
    );
}

#[test]
fn a_conversation_stays_where_it_is_without_a_session() {
    let all = three();
    let targets = [&all[0], &all[1], &all[2]];
    let gateway = gateway(Door::Chat, &targets, "balance = \"sticky\"", "");
    let mut used = [false; 3];
    for talk in 0..16 {
        let before = asked(&all);
        let system = format!(
            "you are assistant {talk}: {}",
            "be brief and kind. ".repeat(40)
        );
        let first = format!(
            r#"{{"role":"system","content":"{system}"}},{{"role":"user","content":"one"}}"#
        );
        let later = format!(
            r#"{first},{{"role":"assistant","content":"yes"}},{{"role":"user","content":"two"}}"#
        );
        for said in [first, later] {
            let body = format!(r#"{{"model":"m","messages":[{said}]}}"#);
            assert_eq!(gateway.post(Door::Chat.path(), &body).status, 200);
        }
        let after = asked(&all);
        let got: Vec<_> = (0..3).filter(|at| after[*at] > before[*at]).collect();
        assert_eq!(got.len(), 1, "{talk} went to {got:?}");
        used[got[0]] = true;
    }
    assert!(used.iter().filter(|used| **used).count() > 1, "{used:?}");
}

/// A target whose answers take long gets few calls.
#[test]
fn the_quicker_target_gets_more() {
    let slow = || {
        vec![
            Step::act(|_, _| std::thread::park_timeout(std::time::Duration::from_millis(25))),
            Step::Send(Door::Chat.answer()),
        ]
    };
    let all = [
        Upstream::new((0..60).map(|_| slow())),
        Upstream::new((0..60).map(|_| good(Door::Chat, false))),
    ];
    let gateway = gateway(Door::Chat, &[&all[0], &all[1]], "balance = \"latency\"", "");
    many(&gateway, 60, &[]);
    let [slow, quick] = asked(&all);
    assert!(quick >= 45, "slow {slow}, quick {quick}");
}

#[test]
fn a_target_that_fails_is_put_out_and_others_go_on() {
    let a = Upstream::new((0..9).map(|_| refuses(500, &[])));
    let b = Upstream::new((0..20).map(|_| good(Door::Chat, false)));
    let gateway = gateway(Door::Chat, &[&a, &b], "", TWICE);
    for _ in 0..5 {
        let reply = gateway.call(call(Door::Chat, false, &[]));
        assert_good(Door::Chat, false, &reply, "2");
    }
    for _ in 0..5 {
        let reply = gateway.call(call(Door::Chat, false, &[]));
        assert_good(Door::Chat, false, &reply, "1");
    }
    assert_eq!(a.seen().len(), 5);
    let target = status(&gateway, 0)["targets"][0].clone();
    assert_eq!(target["target"], "a/m", "{target}");
    assert_eq!(target["health"], "out", "{target}");
    assert!(target["out_for_ms"].as_f64() > Some(0.0), "{target}");
    let page = gateway.call(crate::harness::client::head("GET", "/metrics", &[]));
    let text = page.text();
    for line in [
        "nowait_target_ejections_total{provider=\"a\"} 1",
        "nowait_targets_ejected{provider=\"a\",key=\"1\"} 1",
        "nowait_targets_ejected{provider=\"b\",key=\"1\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn refusals_and_callers_who_leave_put_no_target_out() {
    for script in [refuses(400, &[]), refuses(429, &[("retry-after-ms", "1")])] {
        let Some(Step::Send(refusal)) = script.first() else {
            panic!("a refusal is sent");
        };
        let a = Upstream::new((0..12).map(|_| vec![Step::Send(refusal.clone())]));
        let gateway = gateway(Door::Chat, &[&a], "", "");
        for _ in 0..10 {
            gateway.call(call(Door::Chat, false, &[]));
        }
        assert_eq!(status(&gateway, 0)["targets"][0]["health"], "well");
    }
    let gone: Vec<_> = (0..8).map(|_| Signal::default()).collect();
    let a = Upstream::new(gone.iter().map(silent));
    let gateway = gateway(Door::Chat, &[&a], "", "");
    for (index, gone) in gone.iter().enumerate() {
        let mut client = gateway.client();
        client.send(call(Door::Chat, false, &[]));
        a.wait_for(index + 1);
        drop(client);
        gone.wait("it is cancelled");
    }
    assert_eq!(status(&gateway, 0)["targets"][0]["health"], "well");
}

#[test]
fn the_last_target_is_asked_however_it_fails() {
    let a = Upstream::new((0..12).map(|_| refuses(500, &[])));
    let b = Upstream::new((0..12).map(|_| refuses(500, &[])));
    let gateway = gateway(Door::Chat, &[&a, &b], "", TWICE);
    for call_number in 1..=12 {
        let reply = gateway.call(call(Door::Chat, false, &[("x-nowait-retries", "0")]));
        assert_eq!(reply.status, 500, "{}", reply.text());
        assert_eq!(a.seen().len() + b.seen().len(), call_number);
    }
    a.forget();
    b.forget();
    a.add(good(Door::Chat, false));
    b.add(good(Door::Chat, false));
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_eq!(reply.status, 200);
}

/// What a provider says is left of its limits steers calls away before a 429.
#[test]
fn a_quota_nearly_used_up_steers_away() {
    let scarce = [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
    ];
    let a = Upstream::new([vec![Step::Send(answer(
        200,
        &scarce,
        Door::Chat.answer_body(),
    ))]]);
    let b = Upstream::new([good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a, &b], "", TWICE);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
}
