//! A provider's limit, and who waits for it.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::harness::client::Client;
use crate::harness::dialects::DOORS;

/// One provider that takes so many at once, and lets so many wait.
fn limited(door: Door, up: &Upstream, limit: usize, queue: usize, more: &str) -> Gateway {
    let text = config(door, &[up], "", more);
    let bounds = format!("limit = {limit}\nqueue = {queue}\n[providers.a.pool]");
    Gateway::new(&text.replace("[providers.a.pool]", &bounds))
}

/// Begins a call and leaves it.
fn begin(gateway: &Gateway, request: Vec<u8>) -> Client {
    let mut client = gateway.client();
    client.send(request);
    client
}

/// A provider that answers each of its calls once it is told to, in this order.
fn patient(door: Door, count: usize) -> (Upstream, Vec<Signal>) {
    let signals: Vec<_> = (0..count).map(|_| Signal::default()).collect();
    let script = |signal: &Signal| vec![Step::Wait(signal.clone()), Step::Send(door.answer())];
    let up = Upstream::new(signals.iter().map(script));
    (up, signals)
}

/// A call that can be told from others.
fn named(name: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![("x-request-id", name)];
    all.extend_from_slice(headers);
    call(Door::Chat, false, &all)
}

#[test]
fn beyond_limit_and_queue_there_is_a_503_that_says_when() {
    for door in DOORS {
        let (up, go) = patient(door, 3);
        let gateway = limited(door, &up, 2, 1, "");
        let mut clients = vec![
            begin(&gateway, call(door, false, &[])),
            begin(&gateway, call(door, false, &[])),
        ];
        up.wait_for(2);
        clients.push(begin(&gateway, call(door, false, &[])));
        waiting(&gateway, 1, 0);
        let limit = status(&gateway, 0)["limit"].clone();
        assert_eq!(limit["rule"], "fixed", "{limit}");
        assert_eq!(
            (&limit["calls"], &limit["in_flight"]),
            (&2.into(), &2.into())
        );
        let reply = gateway.call(call(door, false, &[]));
        let words = door.assert_error(&reply, 503, "overloaded");
        assert!(words.contains("too many wait already"), "{words}");
        let after = reply.head.get("retry-after").expect("when to come again");
        assert!(
            (1..=60).contains(&after.parse::<u64>().expect("seconds")),
            "{after}"
        );
        assert_eq!(reply.head.get("x-nowait-attempts"), None, "none was made");
        let full = "nowait_queue_refused_total{provider=\"a\",reason=\"full\"}";
        assert_eq!(gateway.metric(full), 1.0);
        assert_eq!(up.seen().len(), 2);
        go.iter().for_each(Signal::raise);
        for client in &mut clients {
            assert_good(door, false, &client.reply(), "1");
        }
        waiting(&gateway, 0, 0);
    }
}

/// Where a provider has no room, another target may have.
#[test]
fn a_full_queue_is_passed_over() {
    let (a, go) = patient(Door::Chat, 1);
    let b = Upstream::new([good(Door::Chat, false)]);
    let text = config(Door::Chat, &[&a, &b], "", TWICE);
    let bounds = "limit = 1\nqueue = 0\n[providers.a.pool]";
    let gateway = Gateway::new(&text.replace("[providers.a.pool]", bounds));
    let mut first = begin(&gateway, call(Door::Chat, false, &[]));
    a.wait_for(1);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    assert_eq!(gateway.line_of(&reply)["provider"], "b");
    go[0].raise();
    assert_eq!(first.reply().status, 200);
}

#[test]
fn batch_waits_behind_interactive() {
    let (up, go) = patient(Door::Chat, 3);
    let gateway = limited(Door::Chat, &up, 1, 9, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let batch = [("x-nowait-priority", "batch")];
    let mut later = begin(&gateway, named("batch", &batch));
    waiting(&gateway, 0, 1);
    let interactive = [("x-nowait-priority", "interactive")];
    let mut sooner = begin(&gateway, named("interactive", &interactive));
    waiting(&gateway, 1, 1);
    go.iter().for_each(Signal::raise);
    for client in [&mut first, &mut sooner, &mut later] {
        assert_eq!(client.reply().status, 200);
    }
    let seen = up.wait_for(3);
    let order: Vec<_> = seen.iter().map(|seen| seen.get("x-request-id")).collect();
    assert_eq!(order, [Some("first"), Some("interactive"), Some("batch")]);
    assert!(
        seen.iter()
            .all(|seen| seen.get("x-nowait-priority").is_none())
    );
    let never = call(Door::Chat, false, &[("x-nowait-priority", "high")]);
    Door::Chat.assert_error(&gateway.call(never), 400, "invalid_request");
}

#[test]
fn a_deadline_ends_in_the_queue() {
    for door in DOORS {
        let (up, go) = patient(door, 1);
        let gateway = limited(door, &up, 1, 9, "");
        let mut first = begin(&gateway, call(door, false, &[]));
        up.wait_for(1);
        let reply = gateway.call(call(door, false, &[("x-nowait-timeout", "60ms")]));
        let words = door.assert_error(&reply, 503, "overloaded");
        assert!(words.contains("deadline"), "{words}");
        assert!(reply.head.get("retry-after").is_some());
        assert_eq!(up.seen().len(), 1, "it never went upstream");
        waiting(&gateway, 0, 0);
        go[0].raise();
        assert_eq!(first.reply().status, 200);
    }
}

#[test]
fn who_leaves_the_queue_gives_up_the_place() {
    let (up, go) = patient(Door::Chat, 2);
    let gateway = limited(Door::Chat, &up, 1, 1, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let second = begin(&gateway, named("leaver", &[]));
    waiting(&gateway, 1, 0);
    drop(second);
    waiting(&gateway, 0, 0);
    let mut third = begin(&gateway, named("third", &[]));
    waiting(&gateway, 1, 0);
    go.iter().for_each(Signal::raise);
    assert_eq!(first.reply().status, 200);
    assert_eq!(third.reply().status, 200);
    let seen = up.wait_for(2);
    assert_eq!(seen[1].get("x-request-id"), Some("third"));
}

/// A stream holds its place until its last byte.
#[test]
fn a_stream_holds_its_place_to_the_end() {
    let go = Signal::default();
    let stream = vec![
        Step::Send(Door::Chat.opening(2)),
        Step::Wait(go.clone()),
        Step::Send(Door::Chat.closing(2)),
    ];
    let up = Upstream::new([stream, good(Door::Chat, false)]);
    let gateway = limited(Door::Chat, &up, 1, 1, "");
    let mut first = begin(&gateway, call(Door::Chat, true, &[]));
    let mut answer = first.answer();
    first.until(&mut answer, Door::Chat.first_words());
    let mut second = begin(&gateway, call(Door::Chat, false, &[]));
    waiting(&gateway, 1, 0);
    assert_eq!(up.seen().len(), 1);
    go.raise();
    assert!(first.rest(&answer).whole);
    assert_eq!(second.reply().status, 200);
}

/// And one whose caller leaves in the middle gives it back.
#[test]
fn a_stream_that_is_left_gives_its_place_back() {
    let gone = Signal::default();
    let stream = vec![Step::Send(Door::Chat.opening(2)), Step::Gone(gone.clone())];
    let up = Upstream::new([stream, good(Door::Chat, false)]);
    let gateway = limited(Door::Chat, &up, 1, 1, "");
    let mut first = begin(&gateway, call(Door::Chat, true, &[]));
    let mut answer = first.answer();
    first.until(&mut answer, Door::Chat.first_words());
    let mut second = begin(&gateway, call(Door::Chat, false, &[]));
    waiting(&gateway, 1, 0);
    drop(first);
    gone.wait("it is cancelled");
    assert_eq!(second.reply().status, 200);
}

/// What a call has waited in queues, in milliseconds.
fn queued(gateway: &Gateway, reply: &Reply) -> f64 {
    let line = gateway.line_of(reply);
    line["queue_ms"].as_f64().unwrap_or_default()
}

/// The wait in the queue is in the waterfall, the access line and the metrics, of a
/// call that is served and of one that is not.
#[test]
fn the_wait_for_a_turn_shows() {
    let (up, go) = patient(Door::Chat, 2);
    let gateway = limited(Door::Chat, &up, 1, 9, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let mut second = begin(&gateway, named("second", &[]));
    waiting(&gateway, 1, 0);
    let late = gateway.call(named("late", &[("x-nowait-timeout", "40ms")]));
    assert_eq!(late.status, 503, "{}", late.text());
    go.iter().for_each(Signal::raise);
    let (first, second) = (first.reply(), second.reply());
    // It waited for a connection at the most.
    assert!(queued(&gateway, &first) < 40.0, "it did not wait");
    for (reply, at_least) in [(&second, 40.0), (&late, 20.0)] {
        assert!(has_phase(reply, "queue"), "{:?}", reply.head);
        let queued = queued(&gateway, reply);
        assert!(queued >= at_least, "{queued}");
    }
    let count = gateway.metric("nowait_queue_seconds_count{provider=\"a\"}");
    assert!((count - 2.0).abs() < 0.1, "{count}");
}

/// A pass-through call waits in the same line.
#[test]
fn a_raw_call_waits_too() {
    let (up, go) = patient(Door::Chat, 2);
    let gateway = limited(Door::Chat, &up, 1, 9, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let raw = crate::harness::client::head("GET", "/a/v1/files", &[]);
    let mut second = begin(&gateway, raw);
    waiting(&gateway, 1, 0);
    go.iter().for_each(Signal::raise);
    assert_eq!(first.reply().status, 200);
    let second = second.reply();
    assert_eq!(second.status, 200, "{}", second.text());
    assert!(has_phase(&second, "queue"), "{:?}", second.head);
}

#[test]
fn a_batch_call_makes_room_in_a_full_queue() {
    let (up, go) = patient(Door::Chat, 2);
    let gateway = limited(Door::Chat, &up, 1, 1, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let batch = [("x-nowait-priority", "batch")];
    let mut displaced = begin(&gateway, named("batch", &batch));
    waiting(&gateway, 0, 1);
    let mut second = begin(&gateway, named("interactive", &[]));
    let words = Door::Chat.assert_error(&displaced.reply(), 503, "overloaded");
    assert!(words.contains("had to leave its place"), "{words}");
    waiting(&gateway, 1, 0);
    go.iter().for_each(Signal::raise);
    assert_eq!(first.reply().status, 200);
    assert_eq!(second.reply().status, 200);
}

/// So long after `since`.
fn after(since: Instant, wait: Duration) {
    eventually("time passes", || (since.elapsed() >= wait).then_some(()));
}

/// Once the longest wait is over a second, somebody waits too long whatever the
/// order: so it is the one that has waited longest already.
#[test]
fn under_overload_the_newest_is_next() {
    let (up, go) = patient(Door::Chat, 3);
    let gateway = limited(Door::Chat, &up, 1, 9, "");
    let mut first = begin(&gateway, named("first", &[]));
    up.wait_for(1);
    let mut oldest = begin(&gateway, named("oldest", &[]));
    waiting(&gateway, 1, 0);
    after(Instant::now(), Duration::from_millis(1_020));
    let mut newest = begin(&gateway, named("newest", &[]));
    waiting(&gateway, 2, 0);
    go.iter().for_each(Signal::raise);
    for client in [&mut first, &mut newest, &mut oldest] {
        assert_eq!(client.reply().status, 200);
    }
    let order: Vec<_> = up.wait_for(3);
    let order: Vec<_> = order.iter().map(|seen| seen.get("x-request-id")).collect();
    assert_eq!(order, [Some("first"), Some("newest"), Some("oldest")]);
}

/// A call whose turn would come after its deadline is told so at once, and when to
/// come again is worked out from how fast calls are let in.
#[test]
fn who_has_no_hope_is_told_at_once() {
    let (up, go) = patient(Door::Chat, 4);
    let gateway = limited(Door::Chat, &up, 1, 9, "");
    let mut clients = vec![begin(&gateway, named("0", &[]))];
    up.wait_for(1);
    for waits in 1..4 {
        clients.push(begin(&gateway, named("more", &[])));
        waiting(&gateway, waits, 0);
    }
    // One place comes free in 600 ms, and three are to be served before.
    after(Instant::now(), Duration::from_millis(600));
    go[0].raise();
    assert_eq!(clients[0].reply().status, 200);
    waiting(&gateway, 2, 0);
    let began = Instant::now();
    let reply = gateway.call(named("hopeless", &[("x-nowait-timeout", "500ms")]));
    assert!(
        began.elapsed() < Duration::from_millis(400),
        "it did not wait"
    );
    let words = Door::Chat.assert_error(&reply, 503, "overloaded");
    assert!(words.contains("would come after its deadline"), "{words}");
    let again = reply.head.get("retry-after").expect("when to come again");
    // Three more at 600 ms or a little over each; rounded up.
    assert!(
        (2..=10).contains(&again.parse::<u64>().expect("seconds")),
        "{again}"
    );
    let hopeless = "nowait_queue_refused_total{provider=\"a\",reason=\"hopeless\"}";
    assert!(gateway.metric(hopeless) > 0.0);
    go.iter().for_each(Signal::raise);
    for client in &mut clients[1..] {
        assert_eq!(client.reply().status, 200);
    }
    assert_eq!(up.seen().len(), 4, "it never went upstream");
}

/// Without a word in the configuration there is no limit at a hosted API until it
/// refuses too much.
#[test]
fn a_hosted_api_has_no_limit_until_it_refuses() {
    let up = Upstream::new((0..7).map(|_| refuses(429, &[])));
    let gateway = gateway(Door::Chat, &[&up], "", "");
    let once = [("x-nowait-retries", "0")];
    for calls in 1..=7 {
        let limit = status(&gateway, 0)["limit"].clone();
        assert_eq!(limit["rule"], "aimd", "{limit}");
        // The first opens a round, and five of the calls in it are too many.
        let expected = if calls < 7 { Value::Null } else { 1.into() };
        assert_eq!(limit["calls"], expected, "{limit}");
        assert_eq!(gateway.call(call(Door::Chat, false, &once)).status, 429);
    }
    // A call is sent to see, and answered.
    up.add(good(Door::Chat, false));
    assert_good(
        Door::Chat,
        false,
        &gateway.call(call(Door::Chat, false, &once)),
        "1",
    );
}

/// All calls are refused, and the refusals say when to come again: nobody goes
/// before that.
#[test]
fn no_call_is_sent_before_the_time_that_all_refusals_said() {
    let up = Upstream::new((0..6).map(|_| refuses(429, &[("retry-after-ms", "300")])));
    let gateway = gateway(Door::Chat, &[&up], "", "");
    let once = [("x-nowait-retries", "0")];
    for _ in 0..6 {
        assert_eq!(gateway.call(call(Door::Chat, false, &once)).status, 429);
    }
    up.add(good(Door::Chat, false));
    let reply = gateway.call(call(Door::Chat, false, &once));
    assert_good(Door::Chat, false, &reply, "1");
    let queued = queued(&gateway, &reply);
    assert!(queued >= 150.0, "{queued}");
}

/// A provider that answers with what is left of ten calls in so many milliseconds.
fn tells(left: &str, resets_in: &str) -> Script {
    let headers = [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", left),
        ("x-ratelimit-reset-requests", resets_in),
    ];
    vec![Step::Send(answer(200, &headers, Door::Chat.answer_body()))]
}

/// A call that would be refused waits for what comes in, where that is soon.
#[test]
fn what_is_left_of_a_quota_is_waited_for() {
    for (left, resets_in, wait) in [
        // One comes in every 300 ms.
        ("0", "3s", Some(150.0)),
        ("1", "2700ms", None),
        // Too long, or not known: the provider's own word is the truth.
        ("0", "600s", None),
        ("0", "in a while", None),
        ("0", "", None),
    ] {
        let up = Upstream::new([tells(left, resets_in), good(Door::Chat, false)]);
        let gateway = gateway(Door::Chat, &[&up], "", "");
        assert_good(
            Door::Chat,
            false,
            &gateway.call(call(Door::Chat, false, &[])),
            "1",
        );
        let reply = gateway.call(call(Door::Chat, false, &[]));
        assert_good(Door::Chat, false, &reply, "1");
        let queued = queued(&gateway, &reply);
        match wait {
            Some(wait) => assert!(queued >= wait, "{left} {resets_in}: {queued}"),
            None => assert!(queued < 100.0, "{left} {resets_in}: {queued}"),
        }
    }
}

/// Nobody waits at one key while another has room.
#[test]
fn another_key_is_asked_before_anybody_waits() {
    let a = Upstream::new([tells("0", "3s")]);
    let b = Upstream::new([good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a, &b], "", "");
    for _ in 0..2 {
        let reply = gateway.call(call(Door::Chat, false, &[]));
        assert_good(Door::Chat, false, &reply, "1");
        assert!(queued(&gateway, &reply) < 100.0, "{:?}", reply.head);
    }
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
}

/// Nor at a provider that refuses more than it takes, as far as that was found out.
#[test]
fn another_target_is_asked_before_anybody_waits_for_a_limit_that_was_found_out() {
    let again = [("retry-after-ms", "1")];
    let a = Upstream::new((0..6).map(|_| refuses(429, &again)));
    let b = Upstream::new([good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a, &b], "", "");
    let only = |more| {
        let body = Door::Chat.body(false).replace("up/m", "a/m");
        post(Door::Chat.path(), more, body)
    };
    for _ in 0..6 {
        let refused = gateway.call(only(&[("x-nowait-retries", "0")]));
        assert_eq!(refused.status, 429, "{}", refused.text());
    }
    assert_eq!(status(&gateway, 0)["limit"]["calls"], 1);
    let go = Signal::default();
    a.add(vec![
        Step::Wait(go.clone()),
        Step::Send(Door::Chat.answer()),
    ]);
    let mut held = begin(&gateway, only(&[]));
    a.wait_for(7);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "1");
    assert_eq!(gateway.line_of(&reply)["provider"], "b");
    go.raise();
    assert_eq!(held.reply().status, 200);
}
