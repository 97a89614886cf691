//! Attempts within one flight: equal calls share them, and what comes of them.

use super::*;
use crate::harness::client::Client;

/// Two targets that share their answers.
fn sharing(a: &Upstream, b: &Upstream, model: &str, more: &str) -> Gateway {
    let text = config(Door::Chat, &[a, b], model, more);
    Gateway::new(&text.replace("[cache]\nshare = \"off\"", "[cache]\nshare = \"all\""))
}

/// Three callers of the same, the first of whom has been heard upstream.
fn three(gateway: &Gateway, heard: &Upstream, stream: bool) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send(call(Door::Chat, stream, &[]));
        clients.push(client);
        heard.wait_for(1);
    }
    eventually("all have come", || {
        (gateway.metric("nowait_requests_in_flight") == 3.0).then_some(())
    });
    for _ in 0..2 {
        gateway.call(crate::harness::client::head("GET", "/health", &[]));
    }
    clients
}

/// What each of them was told: the first the calls made for it, the others that
/// none was made for them.
#[track_caller]
fn assert_shared(clients: &mut [Client], stream: bool) {
    let replies: Vec<_> = clients.iter_mut().map(Client::reply).collect();
    for (index, reply) in replies.iter().enumerate() {
        assert_good(
            Door::Chat,
            stream,
            reply,
            if index == 0 { "2" } else { "0" },
        );
        assert_eq!(reply.text(), replies[0].text());
        assert_eq!(
            reply.head.get("x-nowait-provider"),
            replies[0].head.get("x-nowait-provider")
        );
        let said = reply.head.get("cache-status").expect("Cache-Status");
        assert_eq!(said.contains("collapsed"), index > 0, "{said}");
    }
}

#[test]
fn a_failed_attempt_is_made_again_for_all() {
    for stream in [false, true] {
        for refusal in [
            refuses(503, &[]),
            refuses(429, &[("retry-after", "9")]),
            vec![Step::Reset],
        ] {
            let go = Signal::default();
            let mut script = vec![Step::Wait(go.clone())];
            script.extend(refusal);
            let a = Upstream::new([script]);
            let b = Upstream::new([good(Door::Chat, stream)]);
            let gateway = sharing(&a, &b, "", TWICE);
            let mut clients = three(&gateway, &a, stream);
            go.raise();
            assert_shared(&mut clients, stream);
            assert_eq!(
                (a.seen().len(), b.seen().len()),
                (1, 1),
                "one flight, two calls"
            );
            let again = gateway.call(call(Door::Chat, stream, &[]));
            assert_eq!(
                again.head.get("x-nowait-attempts"),
                Some("0"),
                "it was kept"
            );
        }
    }
}

#[test]
fn a_straggler_is_overtaken_for_all() {
    for stream in [false, true] {
        let (go, gone) = (Signal::default(), Signal::default());
        let a = Upstream::new([silent(&gone)]);
        let mut script = vec![Step::Wait(go.clone())];
        script.extend(good(Door::Chat, stream));
        let b = Upstream::new([script]);
        let gateway = sharing(&a, &b, "hedge = \"30ms\"", "[hedge]\nbudget = 1.0\n");
        let mut clients = three(&gateway, &a, stream);
        go.raise();
        assert_shared(&mut clients, stream);
        gone.wait("the loser is closed");
        assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
        assert_eq!(hedges(&gateway, "b", "won"), 1.0);
    }
}

/// Where all attempts fail, who began is told so, and who followed asks once more,
/// together.
#[test]
fn followers_of_a_failed_flight_make_one_more_together() {
    let go = Signal::default();
    let mut script = vec![Step::Wait(go.clone())];
    script.extend(refuses(500, &[]));
    let a = Upstream::new([script, good(Door::Chat, false)]);
    let b = Upstream::new([refuses(500, &[])]);
    let gateway = sharing(&a, &b, "", TWICE);
    let mut clients = three(&gateway, &a, false);
    go.raise();
    let first = clients[0].reply();
    assert_eq!(first.status, 500);
    assert_calls(&first, "2");
    assert_eq!(first.head.get("x-should-retry"), Some("false"));
    for client in &mut clients[1..] {
        let reply = client.reply();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("turns"));
    }
    assert_eq!((a.seen().len(), b.seen().len()), (2, 1));
}
