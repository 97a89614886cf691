//! Another attempt after a failure: for which failures, where, when, how often.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::harness::dialects::DOORS;
use crate::harness::upstream::{LAST_CHUNK, json_answer};

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
    if door == Door::Plain {
        all.extend(unreadable(stream));
    }
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

/// Answers of the provider's protocol that the plain endpoint can't read.
fn unreadable(stream: bool) -> Vec<(&'static str, Script)> {
    if !stream {
        let other = r#"{"object":"list","data":[]}"#;
        return vec![("no completion", vec![Step::Send(json_answer(200, other))])];
    }
    let event = |data: &str| {
        let mut all = Door::Plain.opening(1);
        all.extend(chunk(format!("data: {data}\n\n")));
        all.extend(Door::Plain.closing(1));
        vec![Step::Send(all)]
    };
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let coded = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ];
    vec![
        ("an event that is not JSON", event("{half")),
        ("an event of 2 MiB", event(&large)),
        (
            "a compressed stream",
            vec![Step::Send(answer(200, &coded, [31, 139, 8, 0]))],
        ),
    ]
}

/// In a stream of the plain endpoint a provider's error is a problem of its own
/// status and code: a response of that status, or an event once content has come.
#[test]
fn an_error_event_is_told_as_the_providers_own() {
    for (error, status, code) in [
        (
            r#"{"message":"busy","type":"server_error","code":null}"#,
            500,
            "server_error",
        ),
        (
            r#"{"message":"busy","type":"tokens","code":"rate_limit_exceeded"}"#,
            429,
            "rate_limit_exceeded",
        ),
        (
            r#"{"message":"busy","type":"x","code":"content_filter"}"#,
            400,
            "content_filter",
        ),
        (r#"{"message":"busy"}"#, 500, "upstream_error"),
    ] {
        let fails = |events: usize| {
            let mut all = Door::Plain.opening(events);
            all.extend(chunk(format!("data: {{\"error\":{error}}}\n\n")));
            all.extend_from_slice(LAST_CHUNK);
            vec![Step::Send(all)]
        };
        let check = |body: &Value| {
            assert_eq!(body["status"], status, "{body}");
            assert_eq!(body["code"], code, "{body}");
            assert_eq!(body["provider"], "a", "{body}");
            let detail = body["detail"].as_str().expect("words");
            assert!(detail.contains("busy"), "{detail}");
        };
        for retries in ["0", "1"] {
            let a = Upstream::new([fails(1), fails(1)]);
            let gateway = gateway(Door::Plain, &[&a], "", TWICE);
            let headers = [("x-nowait-retries", retries), ("x-nowait-timeout", "20s")];
            let reply = gateway.call(call(Door::Plain, true, &headers));
            assert_eq!(reply.status, status, "{}", reply.text());
            assert_eq!(
                reply.head.get("content-type"),
                Some("application/problem+json")
            );
            check(&reply.json());
        }
        let a = Upstream::new([fails(2)]);
        let gateway = gateway(Door::Plain, &[&a], "", TWICE);
        let reply = gateway.call(call(Door::Plain, true, &[]));
        assert_eq!(reply.status, 200);
        assert_calls(&reply, "1");
        let text = reply.text();
        assert!(text.starts_with("data: {\"delta\":\"tide\"}\n\n"), "{text}");
        assert!(!text.contains("event: done"), "{text}");
        let (_, last) = text
            .trim_end()
            .rsplit_once("event: error\ndata: ")
            .expect("an error");
        check(&serde_json::from_str(last).expect("JSON"));
    }
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
        // The second has to be in time as well.
        let more = format!("{TWICE}[timeout]\nfirst_token = \"1s\"\n");
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

/// What acts at the provider's is not done again where it may have been done; what
/// only leaves its answer there is asked for again, as SDKs would.
#[test]
fn what_a_call_does_at_its_provider_decides_whether_it_is_made_again() {
    let (chat, responses) = (Door::Chat.path(), "/v1/responses");
    let said = r#""messages":[{"role":"user","content":"x"}]"#;
    let acts = [
        (
            responses,
            r#"{"model":"m","input":"x","background":true}"#.to_owned(),
        ),
        (
            responses,
            r#"{"model":"m","input":"x","store":false,"tools":[{"type":"mcp"}]}"#.to_owned(),
        ),
    ];
    let leaves = [
        (chat, format!(r#"{{"model":"m",{said},"store":true}}"#)),
        (responses, r#"{"model":"m","input":"x"}"#.to_owned()),
        (
            responses,
            r#"{"model":"m","input":"x","tools":[{"type":"web_search"}]}"#.to_owned(),
        ),
    ];
    // A reset, or a status.
    for (status, calls) in [
        (None, 1),
        (Some(500), 1),
        (Some(504), 1),
        (Some(503), 2),
        (Some(429), 2),
        (Some(529), 2),
    ] {
        let acts = acts.iter().map(|call| (call, calls));
        for ((path, body), calls) in acts.chain(leaves.iter().map(|call| (call, 2))) {
            let script = match status {
                None => vec![Step::Reset],
                Some(status) => refuses(status, &[]),
            };
            let a = Upstream::new([script]);
            let b = Upstream::new([good(Door::Chat, false)]);
            let gateway = gateway(Door::Chat, &[&a, &b], "", TWICE);
            let reply = gateway.post(path, body);
            let shown = format!("{status:?}: {body}: {}", reply.text());
            assert_eq!(a.seen().len() + b.seen().len(), calls, "{shown}");
            assert_eq!(reply.status == 200, calls == 2, "{shown}");
        }
    }
}

/// A call that says nothing while another target is there costs no more than half
/// of its time, and the silent one is known for it.
#[test]
fn a_whole_answer_that_does_not_come_is_asked_for_beside_it() {
    for door in DOORS {
        let gone: Vec<_> = (0..6).map(|_| Signal::default()).collect();
        let a = Upstream::new(gone.iter().map(silent));
        let b = Upstream::new((0..7).map(|_| good(door, false)));
        let gateway = gateway(door, &[&a, &b], "", TWICE);
        let headers = [("x-nowait-timeout", "1s")];
        for gone in &gone[..5] {
            let began = Instant::now();
            let reply = gateway.call(call(door, false, &headers));
            assert_good(door, false, &reply, "2");
            assert!(began.elapsed() >= Duration::from_millis(500));
            assert!(has_phase(&reply, "retry"), "{:?}", reply.head);
            gone.wait("the silent one is closed");
        }
        assert_eq!(status(&gateway, 0)["targets"][0]["health"], "out");
        let reply = gateway.call(call(door, false, &headers));
        assert_good(door, false, &reply, "1");
        assert_eq!(a.seen().len(), 5, "it is left alone");
    }
}

/// Nobody hangs for minutes on a `Retry-After`, however much time there is.
#[test]
fn a_long_pause_is_the_callers_to_keep() {
    for after in ["100", "500"] {
        let a = Upstream::new([refuses(429, &[("retry-after", after)])]);
        let gateway = gateway(Door::Chat, &[&a], "", "[retry]\nattempts = 3\n");
        let reply = gateway.call(call(Door::Chat, false, &[("x-nowait-timeout", "10m")]));
        assert_eq!(reply.status, 429);
        assert_eq!(reply.head.get("retry-after"), Some(after));
        assert_eq!(reply.head.get("x-should-retry"), None);
        assert_calls(&reply, "1");
    }
}

/// What a caller and the log are told of attempts, in one table.
#[test]
fn what_was_done_is_told_and_nothing_else() {
    struct Row {
        what: &'static str,
        scripts: [Vec<Script>; 2],
        said: &'static [(&'static str, &'static str)],
        status: u16,
        calls: u64,
        is_spent: bool,
        after: Option<&'static str>,
        phases: &'static [&'static str],
    }
    let fine = || good(Door::Chat, false);
    let slow = || vec![Step::Gone(Signal::default())];
    let row = |what, a: Vec<Script>, b: Vec<Script>, status, calls| Row {
        what,
        scripts: [a, b],
        said: &[],
        status,
        calls,
        is_spent: false,
        after: None,
        phases: &[],
    };
    let wait = |status, after| refuses(status, &[("retry-after", after)]);
    let rows = [
        row("an answer", vec![fine()], vec![], 200, 1),
        Row {
            phases: &["retry"],
            ..row("a fallback", vec![wait(503, "9")], vec![fine()], 200, 2)
        },
        Row {
            phases: &["retry"],
            after: Some("7"),
            is_spent: true,
            ..row(
                "two refusals",
                vec![wait(503, "9")],
                vec![wait(429, "7")],
                429,
                2,
            )
        },
        Row {
            phases: &["retry"],
            is_spent: true,
            ..row(
                "two resets",
                vec![vec![Step::Reset]],
                vec![vec![Step::Reset]],
                502,
                2,
            )
        },
        Row {
            said: &[("x-nowait-retries", "0")],
            after: Some("9"),
            ..row("none wanted", vec![wait(503, "9")], vec![], 503, 1)
        },
        row(
            "the caller's mistake",
            vec![refuses(400, &[])],
            vec![],
            400,
            1,
        ),
        row("a wrong key", vec![refuses(401, &[])], vec![], 401, 1),
        Row {
            said: &[("x-nowait-hedge", "30ms")],
            phases: &["hedge"],
            ..row("a straggler", vec![slow()], vec![fine()], 200, 2)
        },
        Row {
            said: &[("x-nowait-hedge", "30ms"), ("x-nowait-timeout", "200ms")],
            phases: &["hedge"],
            ..row("two stragglers", vec![slow()], vec![slow()], 504, 2)
        },
    ];
    for row in rows {
        let [a, b] = row.scripts.map(Upstream::new);
        let gateway = gateway(
            Door::Chat,
            &[&a, &b],
            "",
            &format!("{TWICE}[hedge]\nbudget = 1.0\n"),
        );
        let reply = gateway.call(call(Door::Chat, false, row.said));
        let shown = format!("{}: {} {:?}", row.what, reply.text(), reply.head);
        assert_eq!(reply.status, row.status, "{shown}");
        assert_calls(&reply, &row.calls.to_string());
        let spent = row.is_spent.then_some("false");
        assert_eq!(reply.head.get("x-should-retry"), spent, "{shown}");
        assert_eq!(reply.head.get("retry-after"), row.after, "{shown}");
        let line = gateway.line_of(&reply);
        assert_eq!(line["attempts"], row.calls, "{shown}: {line}");
        for phase in ["retry", "hedge"] {
            let is_told = row.phases.contains(&phase);
            assert_eq!(has_phase(&reply, phase), is_told, "{phase}: {shown}");
            let field = format!("{phase}_ms");
            assert_eq!(line[field].is_number(), is_told, "{phase}: {line}");
        }
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
