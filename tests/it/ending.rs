//! The end of the process, and a configuration that changes while it runs:
//! what is open is finished, what is new is told.

use std::fs;

use nowait::config::{Args, Environment};
use nowait::server::Origin;
use nowait::telemetry::LogFormat;

use crate::harness::client::{Client, head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider, text};
use crate::harness::upstream::{Step, Upstream};
use crate::harness::{Signal, eventually};

/// A connection that is half way through the head of a call: the gateway has
/// let it in and has to answer it, whatever it decides in between.
fn half_way(gateway: &Gateway, door: Door) -> (Client, Vec<u8>) {
    let call = door.call(false);
    let mut client = gateway.client();
    client.send(&call[..20]);
    (client, call[20..].to_vec())
}

/// Everything sent before has been read: connections of one core take turns.
fn settle(gateway: &Gateway, callers: usize) {
    eventually("all are let in", || {
        (gateway.metric("nowait_caller_connections") >= callers as f64).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(gateway.call(head("GET", "/health", &[])).status, 200);
    }
}

#[test]
fn while_draining_open_calls_are_finished_and_new_ones_refused() {
    let go = Signal::default();
    let mut scripts: Vec<_> = DOORS
        .iter()
        .map(|door| {
            vec![
                Step::Send(door.opening(2)),
                Step::Wait(go.clone()),
                Step::Send(door.closing(2)),
            ]
        })
        .collect();
    scripts.push(vec![
        Step::Wait(go.clone()),
        Step::Send(Door::Chat.answer()),
    ]);
    let upstream = Upstream::new(scripts);
    let gateway = Gateway::with_server("drain = \"30s\"", &both(upstream.address));
    eventually("it is ready", || {
        (gateway.call(head("GET", "/readyz", &[])).status == 200).then_some(())
    });
    let mut streams = Vec::new();
    for door in DOORS {
        let mut client = gateway.client();
        client.send(door.call(true));
        let mut answer = client.answer();
        client.until(&mut answer, door.first_words());
        streams.push((door, client, answer));
    }
    let mut whole = gateway.client();
    whole.send(Door::Chat.call(false));
    upstream.wait_for(4);
    let mut late: Vec<_> = DOORS.map(|door| (door, half_way(&gateway, door))).into();
    let mut probe = gateway.client();
    probe.send("GET /readyz HTTP/1.1\r\n");
    settle(&gateway, 8);

    gateway.running().stopper()();
    eventually("nobody is let in any more", || {
        std::net::TcpStream::connect(gateway.address)
            .is_err()
            .then_some(())
    });
    for (door, (client, rest)) in &mut late {
        client.send(rest);
        let reply = client.reply();
        door.assert_error(&reply, 503, "overloaded");
        assert_eq!(reply.head.get("retry-after"), Some("1"));
        assert!(client.wire.ends(), "{door:?}: it is told to go elsewhere");
    }
    probe.send("host: x\r\n\r\n");
    let reply = probe.reply();
    assert_eq!(
        (reply.status, reply.json()["status"].as_str()),
        (503, Some("draining"))
    );

    go.raise();
    for (door, client, answer) in &mut streams {
        let rest = client.rest(answer);
        let text = String::from_utf8_lossy(&rest.bytes).into_owned();
        assert!(rest.whole && !text.contains("error"), "{door:?}: {text}");
        assert!(
            client.wire.ends(),
            "{door:?}: nothing more on this connection"
        );
    }
    assert_eq!(whole.reply().text(), Door::Chat.answer_body());
    assert_eq!(
        upstream.seen().len(),
        4,
        "nothing was begun after the end had"
    );
}

#[test]
fn past_the_drain_a_stream_ends_with_an_error_event() {
    for door in DOORS {
        let gone = Signal::default();
        let upstream = Upstream::new([vec![Step::Send(door.opening(2)), Step::Gone(gone.clone())]]);
        let gateway = Gateway::with_server("drain = \"30ms\"", &both(upstream.address));
        let mut client = gateway.client();
        client.send(door.call(true));
        let mut answer = client.answer();
        let mut seen = client.until(&mut answer, door.first_words());
        gateway.running().stopper()();
        let rest = client.rest(&answer);
        assert!(rest.whole, "{door:?}");
        seen.extend(rest.bytes);
        let id = answer.head.get("x-request-id").expect("an id");
        let said = door.assert_broken(&seen, "overloaded", id);
        assert!(said.contains("shutting down"), "{said}");
        gone.wait("the provider is told to stop");
        assert_eq!(gateway.line(id)["error"], "overloaded");
    }
}

#[test]
fn past_the_drain_a_call_without_an_answer_gets_a_status() {
    for door in DOORS {
        let gone = Signal::default();
        let upstream = Upstream::new([vec![Step::Gone(gone.clone())]]);
        let gateway = Gateway::with_server("drain = \"30ms\"", &both(upstream.address));
        let mut client = gateway.client();
        client.send(door.call(false));
        upstream.wait_for(1);
        gateway.running().stopper()();
        door.assert_error(&client.reply(), 503, "overloaded");
        gone.wait("the provider is told to stop");
    }
}

/// A connection somebody keeps open just in case is no reason to wait.
#[test]
fn callers_that_have_said_nothing_do_not_hold_up_the_end() {
    let gateway = Gateway::with_server("drain = \"1h\"", &both(Upstream::closed_port()));
    let mut silent = [gateway.client(), gateway.client(), gateway.client()];
    silent[1].send("P");
    silent[2].send(head("GET", "/health", &[]));
    assert_eq!(silent[2].reply().status, 200);
    settle(&gateway, 3);
    gateway.running().stopper()();
    for client in &mut silent {
        assert!(client.wire.ends());
    }
}

/// A second signal is a person who has stopped waiting.
#[test]
fn a_second_stop_ends_the_drain() {
    let gone = Signal::default();
    let upstream = Upstream::new([vec![
        Step::Send(Door::Chat.opening(2)),
        Step::Gone(gone.clone()),
    ]]);
    let gateway = Gateway::with_server("drain = \"1h\"", &both(upstream.address));
    let mut client = gateway.client();
    client.send(Door::Chat.call(true));
    let mut answer = client.answer();
    let mut seen = client.until(&mut answer, Door::Chat.first_words());
    let stop = gateway.running().stopper();
    stop();
    eventually("it drains", || {
        gateway
            .running()
            .gateway()
            .instance
            .drain
            .is_draining()
            .then_some(())
    });
    stop();
    seen.extend(client.rest(&answer).bytes);
    let id = answer.head.get("x-request-id").expect("an id");
    Door::Chat.assert_broken(&seen, "overloaded", id);
    gone.wait("the provider is told to stop");
}

/// A configuration in a file, and a gateway that follows it.
pub(crate) struct Followed {
    path: std::path::PathBuf,
    pub(crate) gateway: Gateway,
}

impl Followed {
    pub(crate) fn new(name: &str, config: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nowait-{name}-{}.toml", std::process::id()));
        let config = text("", config);
        fs::write(&path, &config).expect("a writable folder");
        let origin = Origin {
            args: Args {
                config: Some(path.clone()),
                listen: None,
            },
            env: Environment::default(),
        };
        Self {
            gateway: Gateway::start(&config, LogFormat::Json, Some(origin)),
            path,
        }
    }

    /// Changes the file and waits until that has come to `result`.
    #[track_caller]
    pub(crate) fn change(&self, config: &str, result: &str) {
        let name = format!("nowait_reloads_total{{result=\"{result}\"}}");
        let before = self.gateway.metric(&name);
        fs::write(&self.path, text("", config)).expect("a writable folder");
        self.gateway.running().reload().notify_one();
        eventually(result, || {
            (self.gateway.metric(&name) > before).then_some(())
        });
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn fast_is(target: &str) -> String {
    format!("[models.fast]\ntargets = [\"{target}/m\"]\n")
}

#[test]
fn a_reload_changes_what_is_new_and_leaves_what_is_open() {
    let go = Signal::default();
    let old = Upstream::new([vec![
        Step::Send(Door::Chat.opening(2)),
        Step::Wait(go.clone()),
        Step::Send(Door::Chat.closing(2)),
    ]]);
    let new = Upstream::always(Door::Chat.answer());
    let with_old = format!(
        "{}{}",
        provider("old", "openai", old.address, ""),
        fast_is("old")
    );
    let followed = Followed::new("open", &with_old);
    let gateway = &followed.gateway;
    let call = |stream: bool| {
        let body = format!(r#"{{"model":"fast","stream":{stream}}}"#);
        post(Door::Chat.path(), &[], body)
    };
    let mut open = gateway.client();
    open.send(call(true));
    let mut answer = open.answer();
    let mut seen = open.until(&mut answer, Door::Chat.first_words());

    // The old provider is not even in the new configuration.
    let with_new = format!(
        "{}{}",
        provider("new", "openai", new.address, ""),
        fast_is("new")
    );
    followed.change(&with_new, "applied");
    let reply = gateway.call(call(false));
    assert_eq!(reply.head.get("x-nowait-provider"), Some("new"));

    go.raise();
    let rest = open.rest(&answer);
    assert!(rest.whole);
    seen.extend(rest.bytes);
    assert_eq!(seen, Door::Chat.events().concat().as_bytes());
    // A caller's connection outlives the configuration it came under.
    open.send(call(false));
    assert_eq!(open.reply().head.get("x-nowait-provider"), Some("new"));
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_stays() {
    let upstream = Upstream::always(Door::Chat.answer());
    let good = both(upstream.address);
    let followed = Followed::new("bad", &good);
    for bad in [
        "[providers",
        "[providers.up]\nbase_ulr = \"x\"\n",
        "[timeout]\ntotal = 5\n",
    ] {
        followed.change(bad, "refused");
        assert_eq!(
            followed.gateway.call(Door::Chat.call(false)).status,
            200,
            "{bad}"
        );
    }
    followed.change(&format!("{good}[timeout]\ntotal = \"5s\"\n"), "applied");
    assert_eq!(followed.gateway.call(Door::Chat.call(false)).status, 200);
    assert_eq!(
        upstream.connections(),
        1,
        "the way to a provider that didn't change is kept"
    );
}

#[test]
fn reloads_under_load_cost_no_call() {
    let upstream = Upstream::new((0..5_000).map(|_| vec![Step::Send(Door::Chat.answer())]));
    let config =
        |warm: usize| both(upstream.address).replace("warm = 0", &format!("warm = {warm}"));
    let followed = Followed::new("load", &config(0));
    let address = followed.gateway.address;
    let stop = Signal::default();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut client = Client::new(address);
                let mut count = 0;
                while !stop.is_raised() {
                    client.send(Door::Chat.call(false));
                    let reply = client.reply();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    count += 1;
                }
                count
            })
        })
        .collect();
    // Each time the way to the providers is another, and so is their pool.
    for round in 1..=10 {
        followed.change(&config(round % 2), "applied");
    }
    stop.raise();
    for caller in callers {
        assert!(caller.join().expect("no call failed") > 0);
    }
}
