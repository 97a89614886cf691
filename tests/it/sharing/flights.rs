//! Answers on their way: who joins, who leaves, and what dies, at every event.

use serde_json::Value;

use super::cast::Call;
use super::{assert_hit, status};
use crate::harness::client::{Answer, Client, head};
use crate::harness::dialects::Door;
use crate::harness::gateway::{Gateway, sharing as both};
use crate::harness::upstream::{
    LAST_CHUNK, Script, Step, Upstream, chunk, json_answer, stream_head,
};
use crate::harness::{Signal, eventually};

const CALL: Call = Call::Chat;

fn request(stream: bool) -> Vec<u8> {
    CALL.ask(stream, true, &[])
}

/// The head of a stream and its first `count` events.
fn opening(count: usize) -> Vec<u8> {
    let mut out = stream_head();
    for event in &CALL.events()[..count] {
        out.extend(chunk(event));
    }
    out
}

/// The rest of it.
fn closing(at: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for event in &CALL.events()[at..] {
        out.extend(chunk(event));
    }
    out.extend_from_slice(LAST_CHUNK);
    out
}

/// A stream that stops after `at` events until it is told to go on.
fn paused(at: usize, go: &Signal) -> Script {
    vec![
        Step::Send(opening(at)),
        Step::Wait(go.clone()),
        Step::Send(closing(at)),
    ]
}

/// Reads so many events of a stream, which shows that its caller has them.
fn read(client: &mut Client, events: usize) -> Option<(Answer, Vec<u8>)> {
    let last = CALL.events()[..events].last().copied()?;
    let mut answer = client.answer();
    let seen = client.until(&mut answer, last);
    Some((answer, seen))
}

/// Waits until so many calls have come as far as they can.
fn settle(gateway: &Gateway, calls: usize) {
    eventually("every call has come", || {
        (gateway.metric("nowait_requests_in_flight") == calls as f64).then_some(())
    });
    // The one core takes tasks in turn: who was there before this answer has
    // had its turn.
    for _ in 0..2 {
        gateway.call(head("GET", "/health", &[]));
    }
}

fn every_index() -> std::ops::RangeInclusive<usize> {
    0..=CALL.events().len()
}

#[test]
fn who_joins_at_any_event_gets_all_of_them() {
    for at in every_index() {
        let go = Signal::default();
        let upstream = Upstream::new([paused(at, &go)]);
        let gateway = Gateway::new(&both(upstream.address));
        let (mut first, mut second, mut whole) =
            (gateway.client(), gateway.client(), gateway.client());
        first.send(request(true));
        upstream.wait_for(1);
        let begun = read(&mut first, at);
        second.send(request(true));
        let joined = read(&mut second, at);
        whole.send(request(false));
        settle(&gateway, 3);
        go.raise();
        let all = CALL.events().concat();
        for (client, begun, says) in [
            (&mut first, begun, "nowait; fwd=miss; stored"),
            (&mut second, joined, "nowait; fwd=miss; collapsed"),
        ] {
            let (answer, mut seen) = match begun {
                Some(begun) => begun,
                None => (client.answer(), Vec::new()),
            };
            assert_eq!(answer.head.get("cache-status"), Some(says), "at {at}");
            let rest = client.rest(&answer);
            assert!(rest.whole, "at {at}");
            seen.extend_from_slice(&rest.bytes);
            assert_eq!(String::from_utf8_lossy(&seen), all, "{says}, at {at}");
        }
        let whole = whole.reply();
        assert_eq!(status(&whole), "nowait; fwd=miss; collapsed", "at {at}");
        let text = CALL.text_of_whole(&whole.json());
        assert_eq!(text, "tide turns", "at {at}: {}", whole.text());
        assert_hit(&gateway.call(request(true)), "it was kept");
        assert_eq!(upstream.seen().len(), 1, "at {at}");
    }
}

#[test]
fn a_leader_that_leaves_at_any_event_hurts_nobody() {
    for at in every_index() {
        let go = Signal::default();
        let upstream = Upstream::new([paused(at, &go)]);
        let gateway = Gateway::new(&both(upstream.address));
        let (mut leader, mut follower) = (gateway.client(), gateway.client());
        leader.send(request(true));
        upstream.wait_for(1);
        read(&mut leader, at);
        follower.send(request(true));
        let joined = read(&mut follower, at);
        settle(&gateway, 2);
        drop(leader);
        eventually("it has left", || {
            let left = "nowait_cancelled_requests_total{endpoint=\"chat\"}";
            (gateway.metric(left) == 1.0).then_some(())
        });
        go.raise();
        let (answer, mut seen) = match joined {
            Some(joined) => joined,
            None => (follower.answer(), Vec::new()),
        };
        let rest = follower.rest(&answer);
        seen.extend_from_slice(&rest.bytes);
        assert!(rest.whole, "at {at}");
        let all = CALL.events().concat();
        assert_eq!(String::from_utf8_lossy(&seen), all, "at {at}");
        assert_hit(&gateway.call(request(true)), "it was kept");
        assert_eq!(upstream.seen().len(), 1, "at {at}");
    }
}

/// What a counter of tokens has seen: how many calls, and how many tokens.
fn tokens(gateway: &Gateway, kind: &str) -> (f64, f64) {
    let labels = format!(
        "{{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"up\",gen_ai_request_model=\"m\",gen_ai_token_type=\"{kind}\"}}"
    );
    let value = |what: &str| gateway.metric(&format!("gen_ai_client_token_usage_{what}{labels}"));
    (value("count"), value("sum"))
}

/// The lines of the log that have this id, once there are so many.
#[track_caller]
fn lines(gateway: &Gateway, id: &str, count: usize) -> Vec<Value> {
    gateway.logged(|text| {
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let own: Vec<Value> = lines.filter(|line| line["request_id"] == id).collect();
        (own.len() >= count).then_some(own)
    })
}

#[test]
fn what_a_call_takes_is_booked_once_whoever_stays() {
    for (leader_stays, follower_stays) in [(true, true), (true, false), (false, true)] {
        let shown = format!("{leader_stays} {follower_stays}");
        let go = Signal::default();
        let upstream = Upstream::new([paused(3, &go)]);
        let gateway = Gateway::new(&both(upstream.address));
        let (mut leader, mut follower) = (gateway.client(), gateway.client());
        leader.send(CALL.ask(true, true, &[("x-request-id", "leads")]));
        upstream.wait_for(1);
        let begun = read(&mut leader, 3);
        follower.send(CALL.ask(true, true, &[("x-request-id", "follows")]));
        let joined = read(&mut follower, 3);
        settle(&gateway, 2);
        let mut open = vec![
            (leader, begun, leader_stays),
            (follower, joined, follower_stays),
        ];
        open.retain(|(.., stays)| *stays);
        eventually("who leaves has left", || {
            (gateway.metric("nowait_requests_in_flight") == open.len() as f64).then_some(())
        });
        go.raise();
        for (client, begun, _) in &mut open {
            let (answer, _) = begun.as_ref().expect("it has begun");
            assert!(client.rest(answer).whole, "{shown}");
        }
        let own = lines(&gateway, "leads", if leader_stays { 1 } else { 2 });
        let last = own.last().expect("a line");
        assert_eq!(last["input_tokens"], 7, "{shown}: {last}");
        assert_eq!(last["output_tokens"], 2, "{shown}: {last}");
        assert_eq!(last["attempts"], 1, "{shown}: {last}");
        if !leader_stays {
            let [first, second] = &own[..] else {
                panic!("{own:?}");
            };
            assert_eq!(first["cancelled"], true, "{first}");
            assert!(first.get("input_tokens").is_none(), "{first}");
            assert_eq!(second["background"], "left", "{second}");
            assert!(second.get("cancelled").is_none(), "{second}");
            assert_eq!(second["provider"], "up", "{second}");
            assert_eq!(second["status"], 200, "{second}");
        }
        assert_eq!(tokens(&gateway, "input"), (1.0, 7.0), "{shown}");
        assert_eq!(tokens(&gateway, "output"), (1.0, 2.0), "{shown}");
        let left = "nowait_background_calls_total{reason=\"left\"}";
        assert_eq!(
            gateway.metric(left),
            if leader_stays { 0.0 } else { 1.0 },
            "{shown}"
        );
        assert_eq!(gateway.metric("nowait_requests_in_flight"), 0.0, "{shown}");
    }
}

/// Who alone reads a call and leaves books what it has seen of it, and nobody else
/// does.
#[test]
fn a_call_that_nobody_reads_any_more_has_one_line() {
    let gone = Signal::default();
    let script = vec![Step::Send(opening(3)), Step::Gone(gone.clone())];
    let upstream = Upstream::new([script]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut leader = gateway.client();
    leader.send(CALL.ask(true, true, &[("x-request-id", "leads")]));
    read(&mut leader, 3);
    drop(leader);
    gone.wait("the provider is left alone");
    gateway.call(CALL.ask(
        false,
        true,
        &[
            ("cache-control", "only-if-cached"),
            ("x-request-id", "after"),
        ],
    ));
    gateway.line("after");
    let own = lines(&gateway, "leads", 1);
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0]["cancelled"], true, "{}", own[0]);
}

#[test]
fn the_last_one_to_leave_ends_the_call() {
    for at in 0..CALL.events().len() {
        let gone = Signal::default();
        let script = vec![Step::Send(opening(at)), Step::Gone(gone.clone())];
        let upstream = Upstream::new([script, CALL.script(true)]);
        let gateway = Gateway::new(&both(upstream.address));
        let (mut leader, mut follower) = (gateway.client(), gateway.client());
        leader.send(request(true));
        upstream.wait_for(1);
        follower.send(request(true));
        settle(&gateway, 2);
        drop(leader);
        eventually("the first has left", || {
            (gateway.metric("nowait_requests_in_flight") == 1.0).then_some(())
        });
        assert!(!gone.is_raised(), "at {at}: one is still reading");
        drop(follower);
        gone.wait("the provider is left alone");
        // What was given up is neither kept nor joined.
        let next = gateway.call(request(true));
        assert_eq!(status(&next), "nowait; fwd=miss; stored", "at {at}");
    }
}

#[test]
fn followers_with_nothing_yet_ask_once_more_together() {
    for at in 0..CALL.events().len() {
        for by_reset in [false, true] {
            let (go, shown) = (Signal::default(), format!("at {at}, reset {by_reset}"));
            let end = if by_reset { Step::Reset } else { Step::Close };
            let dies = vec![Step::Send(opening(at)), Step::Wait(go.clone()), end];
            let upstream = Upstream::new([dies, CALL.script(false)]);
            let gateway = Gateway::new(&both(upstream.address));
            let mut leader = gateway.client();
            leader.send(CALL.ask(true, true, &[("x-request-id", "leads")]));
            upstream.wait_for(1);
            let begun = read(&mut leader, at);
            let mut followers = [gateway.client(), gateway.client(), gateway.client()];
            for follower in &mut followers {
                follower.send(request(false));
            }
            settle(&gateway, 4);
            go.raise();
            for follower in &mut followers {
                let reply = follower.reply();
                assert_eq!(reply.status, 200, "{shown}: {}", reply.text());
                assert_eq!(reply.text(), CALL.whole(), "{shown}");
            }
            match begun {
                Some((answer, mut seen)) => {
                    seen.extend_from_slice(&leader.rest(&answer).bytes);
                    Door::Chat.assert_broken(&seen, "upstream_protocol", "leads");
                }
                None => {
                    let reply = leader.reply();
                    assert!(
                        reply.status == 502 || !reply.text().contains("[DONE]"),
                        "{shown}: {} {}",
                        reply.status,
                        reply.text()
                    );
                }
            }
            assert_eq!(upstream.seen().len(), 2, "{shown}");
            assert_hit(&gateway.call(request(false)), "the second one was kept");
        }
    }
}

#[test]
fn a_refusal_is_shared_where_it_is_the_last_word() {
    for (code, last) in [
        (400, true),
        (403, true),
        (429, false),
        (500, false),
        (503, false),
    ] {
        let go = Signal::default();
        let refusal = json_answer(code, r#"{"error":{"message":"no"}}"#);
        let refuses = vec![Step::Wait(go.clone()), Step::Send(refusal)];
        let upstream = Upstream::new([refuses, CALL.script(false)]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut leader = gateway.client();
        leader.send(request(false));
        upstream.wait_for(1);
        let mut followers = [gateway.client(), gateway.client()];
        for follower in &mut followers {
            follower.send(request(false));
        }
        settle(&gateway, 3);
        go.raise();
        assert_eq!(leader.reply().status, code);
        for follower in &mut followers {
            let reply = follower.reply();
            assert_eq!(reply.status, if last { code } else { 200 }, "{code}");
        }
        assert_eq!(upstream.seen().len(), if last { 1 } else { 2 }, "{code}");
    }
}

#[test]
fn who_wants_its_own_answer_joins_nobody() {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cache-control", "no-cache"),
        ("x-nowait-cache", "off"),
        ("authorization", "Bearer somebody-else"),
    ] {
        let go = Signal::default();
        let upstream = Upstream::new([paused(2, &go), CALL.script(true)]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut leader = gateway.client();
        leader.send(request(true));
        upstream.wait_for(1);
        let reply = gateway.call(CALL.ask(true, true, &[(name, value)]));
        assert_eq!(reply.text(), CALL.events().concat(), "{name}: {value}");
        go.raise();
        assert_eq!(leader.reply().text(), CALL.events().concat());
        assert_eq!(upstream.seen().len(), 2, "{name}: {value}");
    }
}
