//! Callers who leave, and callers who don't read: what they cost the provider
//! ends with them, and what they don't read isn't held for them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::client::{Client, head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Step, Upstream, answer_head, chunk, stream_head};
use crate::harness::wire::{Wire, is_late};
use crate::harness::{Signal, eventually};

#[test]
fn a_caller_that_leaves_takes_its_call_along() {
    for door in DOORS {
        for stream in [false, true] {
            for begun in [false, true] {
                let gone = Signal::default();
                let sent = match (begun, stream) {
                    (false, _) => Vec::new(),
                    (true, true) => door.opening(2),
                    (true, false) => answer_head(200, &[("content-length", "100")]),
                };
                let upstream = Upstream::new([vec![Step::Send(sent), Step::Gone(gone.clone())]]);
                let gateway = Gateway::new(&both(upstream.address));
                let mut client = gateway.client();
                client.send(door.call_with(stream, &[("x-request-id", "left")]));
                upstream.wait_for(1);
                if begun && stream {
                    let mut answer = client.answer();
                    client.until(&mut answer, door.first_words());
                }
                drop(client);
                let shown = format!("{door:?}, stream {stream}, begun {begun}");
                gone.wait(&shown);
                let line = gateway.line("left");
                assert_eq!(line["cancelled"], true, "{shown}: {line}");
                let status = if begun && stream { 200 } else { 499 };
                assert_eq!(line["status"], status, "{shown}");
                let name = match door {
                    Door::Chat => "chat",
                    Door::Messages => "messages",
                    Door::Plain => "generate",
                };
                let left = format!("nowait_cancelled_requests_total{{endpoint=\"{name}\"}}");
                assert_eq!(gateway.metric(&left), 1.0, "{shown}");
                assert_eq!(gateway.metric("nowait_requests_in_flight"), 0.0, "{shown}");
            }
        }
    }
}

#[test]
fn a_caller_that_leaves_takes_its_whole_batch_along() {
    let gone = [Signal::default(), Signal::default(), Signal::default()];
    let upstream = Upstream::new(gone.iter().map(|gone| vec![Step::Gone(gone.clone())]));
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    client.send(post("/generate/batch", &[], r#"{"prompts":["a","b","c"]}"#));
    upstream.wait_for(3);
    drop(client);
    for gone in gone {
        gone.wait("every item is given up");
    }
    eventually("all of it is booked", || {
        (gateway.metric("nowait_requests_in_flight") == 0.0).then_some(())
    });
}

#[test]
fn a_caller_that_leaves_a_raw_transfer_ends_it() {
    let (up, down) = (Signal::default(), Signal::default());
    let part = answer_head(200, &[("content-length", "1000000")]);
    let upstream = Upstream::new([
        vec![
            Step::Unread,
            Step::act({
                let up = up.clone();
                move |wire, _| {
                    while !wire.ends() {
                        wire.forget();
                    }
                    up.raise();
                }
            }),
        ],
        vec![
            Step::Send(part),
            Step::send("some"),
            Step::Gone(down.clone()),
        ],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    client.send(head(
        "PUT",
        "/up/v1/files",
        &[("content-length", "1000000")],
    ));
    client.send("only the beginning of it");
    upstream.wait_for(1);
    drop(client);
    up.wait("the upload is given up");

    let mut client = gateway.client();
    client.send(head("GET", "/up/v1/files/1", &[]));
    let mut answer = client.answer();
    client.until(&mut answer, "some");
    drop(client);
    down.wait("the download is given up");
}

/// How much the provider means to send to a caller that doesn't read, and how
/// much may have left it: what the sockets on the way hold, and little more.
const MUCH: usize = 24 << 20;
const BUFFERED_MAX: usize = 16 << 20;

/// A caller that takes in little by itself.
fn narrow(address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("a size");
    socket
        .connect(&address.into())
        .expect("the gateway accepts");
    Client {
        wire: Wire::new(socket.into()),
    }
}

/// Writes `pieces` until nobody takes any more, tells how much went, waits
/// until told to go on, and writes the rest.
fn flood(pieces: Vec<Vec<u8>>, went: Arc<AtomicUsize>, full: Signal, go: Signal) -> Step {
    Step::act(move |wire, _| {
        let mut tcp = wire.tcp();
        let wait = Duration::from_millis(600);
        tcp.set_write_timeout(Some(wait)).expect("not zero");
        for piece in pieces {
            let mut left = &piece[..];
            while !left.is_empty() {
                match tcp.write(left) {
                    Ok(taken) => {
                        went.fetch_add(taken, Ordering::SeqCst);
                        left = &left[taken..];
                    }
                    Err(fault) if is_late(&fault) => {
                        full.raise();
                        go.wait("the test goes on");
                    }
                    Err(_) => return,
                }
            }
        }
    })
}

#[test]
fn a_caller_that_does_not_read_holds_its_provider_back() {
    let words = "x".repeat(32 << 10);
    // Events passed on as they are, and events read and written anew.
    for door in [Door::Chat, Door::Plain] {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{words}\"}},\"finish_reason\":null}}]}}\n\n"
        );
        let count = MUCH / event.len();
        let (went, full, go) = (Arc::default(), Signal::default(), Signal::default());
        let pieces = vec![chunk(&event); count];
        let upstream = Upstream::new([vec![
            Step::Send(door.opening(1)),
            flood(pieces, Arc::clone(&went), full.clone(), go.clone()),
            Step::Send(door.closing(3)),
        ]]);
        // The provider is kept waiting for longer than `idle`: that it is
        // silent is not its fault, and must not end the stream.
        let gateway = Gateway::new(&format!(
            "{}[timeout]\nidle = \"500ms\"\n",
            both(upstream.address)
        ));
        let mut client = narrow(gateway.address);
        client.send(door.call(true));
        full.wait("the provider's writes block");
        let buffered = went.load(Ordering::SeqCst);
        assert!(
            buffered < BUFFERED_MAX,
            "{door:?}: {buffered} bytes are held"
        );
        assert_eq!(gateway.call(head("GET", "/health", &[])).status, 200);

        // It reads on, and gets all of it.
        go.raise();
        let reply = client.reply();
        assert!(reply.whole, "{door:?}");
        let tail = String::from_utf8_lossy(&reply.body[reply.body.len() - 300..]).into_owned();
        assert!(!tail.contains("error"), "{door:?}: {tail}");
        let expected =
            door.events()[0].len() + count * event.len() + door.events()[3..].concat().len();
        if door == Door::Plain {
            assert!(tail.contains("event: done"), "{tail}");
            assert_eq!(
                memchr::memchr_iter(b'x', &reply.body).count(),
                count * words.len()
            );
        } else {
            assert_eq!(reply.body.len(), expected, "{door:?}");
        }
    }
}

#[test]
fn a_caller_that_never_reads_costs_its_provider_nothing_once_it_is_gone() {
    let gone = Signal::default();
    let (went, full, go) = (Arc::default(), Signal::default(), Signal::default());
    let filler = vec![b'x'; 64 << 10];
    let pieces = vec![chunk(filler); MUCH >> 16];
    let flood = flood(pieces, Arc::clone(&went), full.clone(), go.clone());
    let mut opening = stream_head();
    opening.extend_from_slice(&chunk("data: "));
    let upstream = Upstream::new([vec![Step::Send(opening), flood, Step::Raise(gone.clone())]]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = narrow(gateway.address);
    client.send(Door::Chat.call(true));
    full.wait("the provider's writes block");
    drop(client);
    go.raise();
    gone.wait("the provider's connection ends");
    assert!(went.load(Ordering::SeqCst) < BUFFERED_MAX);
}
