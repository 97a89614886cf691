//! A provider's limit, and who waits for it.

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
