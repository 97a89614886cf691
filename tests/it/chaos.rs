//! Seeded nonsense from either side: whatever comes, the gateway stays up, no
//! request is left open, and no caller is told that a broken answer is whole.

use crate::harness::client::head;
use crate::harness::dialects::{DOORS, Door};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Step, Upstream};
use crate::harness::wire::find;

/// Changes some bytes of `text`, each time otherwise, and always the same way
/// for the same seed.
fn spoil(text: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    for _ in 0..dice.usize(1..=4) {
        let at = dice.usize(0..=text.len().saturating_sub(1));
        let end = (at + dice.usize(0..40)).min(text.len());
        match dice.u8(0..7) {
            0 => text.truncate(at),
            1 => text.insert(at, dice.u8(..)),
            2 => drop(text.drain(at..end)),
            3 => text.extend_from_within(at..end),
            4 => text.splice(at..at, *b"\r\n").for_each(drop),
            5 if !text.is_empty() => text[at] = dice.u8(..),
            _ if !text.is_empty() => text[at] ^= 1 << dice.u8(0..8),
            _ => {}
        }
        if text.is_empty() {
            text.push(b'x');
        }
    }
}

#[test]
fn no_request_is_bad_enough() {
    let upstream = Upstream::new((0..2_000).map(|_| vec![Step::Send(Door::Chat.answer())]));
    let gateway = Gateway::new(&both(upstream.address));
    let mut dice = fastrand::Rng::with_seed(4711);
    for round in 0..300 {
        let door = DOORS[round % DOORS.len()];
        let mut call = match round % 5 {
            0 => head("GET", "/up/v1/files?a=b", &[("te", "trailers")]),
            _ => door.call_with(dice.bool(), &[("x-nowait-timeout", "1s")]),
        };
        spoil(&mut call, &mut dice);
        let mut client = gateway.client();
        // It may be hung up on before it has said everything.
        let _ = client.wire.write(&call);
        let _ = client.wire.tcp().shutdown(std::net::Shutdown::Write);
        while !client.wire.ends() {
            client.wire.forget();
        }
    }
    eventually("every request has ended", || {
        (gateway.metric("nowait_requests_in_flight") == 0.0).then_some(())
    });
    assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
}

#[test]
fn no_answer_is_bad_enough() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&format!(
        "{}[timeout]\nfirst_token = \"2s\"\nidle = \"2s\"\n",
        both(upstream.address)
    ));
    let mut dice = fastrand::Rng::with_seed(815);
    for round in 0..300 {
        let door = DOORS[round % DOORS.len()];
        let stream = dice.bool();
        let mut answer = if stream {
            let mut all = door.opening(dice.usize(0..3));
            all.extend_from_slice(&door.closing(3));
            all
        } else {
            door.answer()
        };
        spoil(&mut answer, &mut dice);
        // A reused connection that ends unheard is tried again.
        for _ in 0..2 {
            upstream.add(vec![Step::Send(answer.clone()), Step::Close]);
        }
        let before = upstream.seen().len();
        let reply = gateway.call(door.call(stream));
        let ended = |end: &str| find(&reply.body, end.as_bytes()).is_some();
        let sent = |end: &str| find(&answer, end.as_bytes()).is_some();
        for (made, from) in [
            ("[DONE]", &["[DONE]"][..]),
            ("event: message_stop", &["event: message_stop"]),
            (
                "event: done",
                &["[DONE]", "finish_reason\":\"", "message_stop"],
            ),
        ] {
            let made_up = ended(made) && !from.iter().any(|end| sent(end));
            assert!(!made_up, "round {round}: {made} in {}", reply.text());
        }
        assert!((200..600).contains(&reply.status), "round {round}");
        if upstream.seen().len() - before < 2 {
            // The second copy was not needed.
            upstream.forget();
        }
    }
    // The books are closed when the answer has gone out, which its reader sees first.
    eventually("every request has ended", || {
        (gateway.metric("nowait_requests_in_flight") == 0.0).then_some(())
    });
    assert_eq!(
        gateway.metric("nowait_errors_total{code=\"internal_error\"}"),
        0.0
    );
}
