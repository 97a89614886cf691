//! Every wait has an end, and the caller is told which one passed and after
//! how long.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::Signal;
use crate::harness::client::head;
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Script, Step, Upstream, answer_head, stream_head};

/// How far a provider gets before it stalls.
#[derive(Clone, Copy, Debug)]
enum Stall {
    BeforeTheHead,
    AfterTheHead,
    /// Before any content: a role, or an opened block.
    AfterTheFirstEvent,
    AfterTheFirstWords,
}

fn stalled(door: Door, stream: bool, stall: Stall, gone: &Signal) -> Script {
    let sent = match (stall, stream) {
        (Stall::BeforeTheHead, _) => Vec::new(),
        (Stall::AfterTheHead, true) => stream_head(),
        (Stall::AfterTheHead, false) => answer_head(
            200,
            &[
                ("content-type", "application/json"),
                ("content-length", "900"),
            ],
        ),
        (Stall::AfterTheFirstEvent, _) => door.opening(1),
        (Stall::AfterTheFirstWords, _) => door.opening(2),
    };
    vec![Step::Send(sent), Step::Gone(gone.clone())]
}

struct Case {
    stall: Stall,
    stream: bool,
    timeout: &'static str,
    header: (&'static str, &'static str),
    /// Whether the answer has begun when it is late, and so ends in an event.
    begun: bool,
    words: &'static str,
}

const NONE: (&str, &str) = ("x-of-no-meaning", "1");

const CASES: &[Case] = &[
    Case {
        stall: Stall::BeforeTheHead,
        stream: true,
        timeout: "first_token = \"60ms\"",
        header: NONE,
        begun: false,
        words: "no first token came from @ within 60ms ([timeout] first_token)",
    },
    Case {
        stall: Stall::AfterTheHead,
        stream: true,
        timeout: "first_token = \"60ms\"",
        header: NONE,
        begun: false,
        words: "no first token came from @ within 60ms ([timeout] first_token)",
    },
    Case {
        stall: Stall::AfterTheFirstEvent,
        stream: true,
        timeout: "first_token = \"300ms\"",
        header: NONE,
        begun: true,
        words: "no first token came from @ within 300ms ([timeout] first_token)",
    },
    Case {
        stall: Stall::AfterTheFirstWords,
        stream: true,
        timeout: "idle = \"300ms\"",
        header: NONE,
        begun: true,
        words: "nothing more came from @ within 300ms ([timeout] idle)",
    },
    Case {
        stall: Stall::AfterTheFirstWords,
        stream: true,
        timeout: "total = \"310ms\"",
        header: NONE,
        begun: true,
        words: "the call to @ was not over within 310ms ([timeout] total)",
    },
    Case {
        stall: Stall::AfterTheFirstWords,
        stream: true,
        timeout: "",
        header: ("x-nowait-timeout", "320ms"),
        begun: true,
        words: "the call to @ was not over within 320ms (the caller's x-nowait-timeout)",
    },
    Case {
        stall: Stall::BeforeTheHead,
        stream: false,
        timeout: "first_token = \"10ms\"\ntotal = \"60ms\"",
        header: NONE,
        begun: false,
        words: "the call to @ was not over within 60ms ([timeout] total)",
    },
    Case {
        stall: Stall::AfterTheHead,
        stream: false,
        timeout: "idle = \"60ms\"",
        header: NONE,
        begun: false,
        words: "nothing more came from @ within 60ms ([timeout] idle)",
    },
    Case {
        stall: Stall::BeforeTheHead,
        stream: false,
        timeout: "",
        header: ("x-nowait-timeout", "50ms"),
        begun: false,
        words: "the call to @ was not over within 50ms (the caller's x-nowait-timeout)",
    },
    Case {
        stall: Stall::AfterTheHead,
        stream: false,
        timeout: "",
        header: ("x-nowait-timeout", "50ms"),
        begun: false,
        words: "the call to @ was not over within 50ms (the caller's x-nowait-timeout)",
    },
    Case {
        stall: Stall::BeforeTheHead,
        stream: false,
        timeout: "",
        header: ("x-stainless-timeout", "0.05"),
        begun: false,
        words: "the head of the answer did not come from @ within 50ms (the caller's x-stainless-timeout)",
    },
    Case {
        stall: Stall::BeforeTheHead,
        stream: true,
        timeout: "",
        header: ("x-stainless-read-timeout", "0.05"),
        begun: false,
        words: "the head of the answer did not come from @ within 50ms",
    },
];

#[test]
fn whatever_stalls_is_ended_and_named() {
    for case in CASES {
        // Nothing but waiting: side by side.
        at_every_door(|door| {
            // The plain endpoint says nothing before there are words.
            let begun = case.begun
                && !(door == Door::Plain && matches!(case.stall, Stall::AfterTheFirstEvent));
            let gone = Signal::default();
            let upstream = Upstream::new([stalled(door, case.stream, case.stall, &gone)]);
            let config = format!("{}[timeout]\n{}\n", both(upstream.address), case.timeout);
            let gateway = Gateway::new(&config);
            let reply = gateway.call(door.call_with(case.stream, &[case.header]));
            let shown = format!("{door:?} {:?} {:?}", case.stall, case.timeout);
            let id = reply.head.get("x-request-id").expect("an id");
            let said = if begun {
                assert_eq!(reply.status, 200, "{shown}: {}", reply.text());
                door.assert_broken(&reply.body, "timeout", id)
            } else {
                door.assert_error(&reply, 504, "timeout")
            };
            let name = if door == Door::Messages {
                "claude"
            } else {
                "up"
            };
            assert!(
                said.contains(&case.words.replace('@', name)),
                "{shown}: {said}"
            );
            gone.wait("the provider is told to stop");
            assert_eq!(gateway.line(id)["error"], "timeout");
            assert_eq!(gateway.metric("nowait_errors_total{code=\"timeout\"}"), 1.0);
        });
    }
}

/// Looks at every kind of caller at once.
fn at_every_door(look: impl Fn(Door) + Sync) {
    std::thread::scope(|scope| {
        for door in DOORS {
            let look = &look;
            scope.spawn(move || look(door));
        }
    });
}

#[test]
fn a_prompt_may_bring_its_own_timeout() {
    let gone = Signal::default();
    let upstream = Upstream::new([stalled(Door::Plain, false, Stall::BeforeTheHead, &gone)]);
    let gateway = Gateway::new(&both(upstream.address));
    let reply = gateway.post("/generate", r#"{"prompt":"x","timeout":"50ms"}"#);
    let said = Door::Plain.assert_error(&reply, 504, "timeout");
    assert!(said.contains("within 50ms"), "{said}");
    gone.wait("the provider is told to stop");
}

#[test]
fn a_models_own_timeout_goes_before_the_general_one() {
    let gone = Signal::default();
    let upstream = Upstream::new([stalled(Door::Chat, true, Stall::BeforeTheHead, &gone)]);
    let gateway = Gateway::new(&format!(
        "{}[models.fast]\ntargets = [\"up/m\"]\n[models.fast.timeout]\nfirst_token = \"40ms\"\n",
        both(upstream.address)
    ));
    let reply = gateway.post(Door::Chat.path(), r#"{"model":"fast","stream":true}"#);
    let said = Door::Chat.assert_error(&reply, 504, "timeout");
    assert!(said.contains("within 40ms"), "{said}");
}

/// The SDKs' timeouts bound the wait for the head and nothing else: it comes
/// in time, though nothing has been said yet, and the stream takes as long as
/// it takes.
#[test]
fn an_sdk_that_waits_for_the_head_gets_it_in_time() {
    at_every_door(|door| {
        let go = Signal::default();
        let mut script = vec![Step::Send(stream_head()), Step::Wait(go.clone())];
        script.push(Step::Send(door.closing(0)));
        let upstream = Upstream::new([script]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut client = gateway.client();
        client.send(door.call_with(true, &[("x-stainless-read-timeout", "0.4")]));
        let mut answer = client.answer();
        assert_eq!(answer.status, 200, "{door:?}");
        // Past the SDK's whole patience, which is over with the head.
        std::thread::park_timeout(Duration::from_millis(450));
        go.raise();
        client.until(&mut answer, door.first_words());
        assert!(client.rest(&answer).whole, "{door:?}");
    });
}

#[test]
fn a_timeout_that_is_none_is_refused() {
    let gateway = Gateway::new(&both(Upstream::closed_port()));
    for door in DOORS {
        for value in ["soon", "10", "0s", "-1s", ""] {
            let reply = gateway.call(door.call_with(false, &[("x-nowait-timeout", value)]));
            let said = door.assert_error(&reply, 400, "invalid_request");
            assert!(said.contains("x-nowait-timeout"), "{said}");
        }
    }
}

/// A raw transfer may take as long as it moves, but no longer.
#[test]
fn a_raw_transfer_is_bound_by_idleness_alone() {
    let (go, gone) = (Signal::default(), Signal::default());
    let part = answer_head(200, &[("content-length", "10")]);
    let upstream = Upstream::new([vec![
        Step::Send(part),
        Step::send("01234"),
        Step::Wait(go.clone()),
        Step::send("5678"),
        Step::Gone(gone.clone()),
    ]]);
    let gateway = Gateway::new(&format!(
        "{}[timeout]\ntotal = \"250ms\"\nfirst_token = \"10ms\"\nidle = \"400ms\"\n",
        both(upstream.address)
    ));
    let mut client = gateway.client();
    client.send(head("GET", "/up/v1/files/1/content", &[]));
    let mut answer = client.answer();
    client.until(&mut answer, "01234");
    std::thread::park_timeout(Duration::from_millis(260));
    go.raise();
    client.until(&mut answer, "5678");
    let rest = client.rest(&answer);
    assert!(
        !rest.whole,
        "the connection is cut, which is all that is left to say"
    );
    gone.wait("the provider is told to stop");
    let id = answer.head.get("x-request-id").expect("an id");
    let line = gateway.line(id);
    assert_eq!(
        (&line["error"], &line["bytes_out"]),
        (&"timeout".into(), &9.into())
    );
}

#[test]
fn a_raw_call_without_an_answer_is_given_up() {
    for (timeout, header, words) in [
        ("total = \"60ms\"", NONE, "within 60ms ([timeout] total)"),
        (
            "",
            ("x-nowait-timeout", "50ms"),
            "within 50ms (the caller's x-nowait-timeout)",
        ),
        (
            "",
            ("x-stainless-timeout", "0.05"),
            "within 50ms (the caller's x-stainless-timeout)",
        ),
    ] {
        let gone = Signal::default();
        let upstream = Upstream::new([vec![Step::Gone(gone.clone())]]);
        let gateway = Gateway::new(&format!("{}[timeout]\n{timeout}\n", both(upstream.address)));
        let reply = gateway.call(head("GET", "/up/v1/files", &[header]));
        let said = Door::Chat.assert_error(&reply, 504, "timeout");
        assert!(said.contains(words), "{said}");
        gone.wait("the provider is told to stop");
    }
}

/// A listener whose queue is full: connecting to it neither works nor fails.
fn deaf() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("a bound socket");
    let address = socket
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("IPv4");
    let wait = Duration::from_millis(50);
    let filling = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&address, wait).ok())
        .collect();
    (socket, filling, address)
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up() {
    // One that does not answer TCP, and one that does not answer TLS.
    let (_socket, _filling, deaf) = deaf();
    let mute = Upstream::new([]);
    for (address, scheme) in [(deaf, "http"), (mute.address, "https")] {
        let gateway = Gateway::new(&format!(
            "[providers.up]\ndialect = \"openai\"\nbase_url = \"{scheme}://{address}/v1\"\n\
             [providers.up.pool]\nwarm = 0\n\
             [providers.claude]\ndialect = \"anthropic\"\nbase_url = \"{scheme}://{address}\"\n\
             [providers.claude.pool]\nwarm = 0\n\
             [generate]\nmodel = \"up/m\"\n[timeout]\nconnect = \"60ms\"\n[tls]\nroots = \"bundled\"\n"
        ));
        for door in DOORS {
            let reply = gateway.call(door.call(false));
            let said = door.assert_error(&reply, 504, "timeout");
            assert!(said.contains(&address.to_string()), "{said}");
            assert!(said.contains("took longer than 60ms"), "{said}");
        }
    }
}
