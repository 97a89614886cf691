//! A gateway in this process, its log and its metrics in reach.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic;
use std::sync::{Arc, Once};
use std::thread;

use nowait::config::{Config, Environment};
use nowait::metrics::Metrics;
use nowait::server::{Origin, Running};
use nowait::telemetry::{AccessLog, LogFormat};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use super::PATIENCE;
use super::client::{Client, Reply, post};

pub(crate) struct Gateway {
    running: Option<Running>,
    pub(crate) address: SocketAddr,
    lines: Lines,
}

/// What the access log has written.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().extend_from_slice(bytes);
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The settings of a provider at `address`: no spares, so that the only
/// connections are those a test's calls open.
pub(crate) fn provider(name: &str, dialect: &str, address: SocketAddr, more: &str) -> String {
    let version = if dialect == "openai" { "/v1" } else { "" };
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}{version}\"\n\
         {more}\n[providers.{name}.pool]\nwarm = 0\n"
    )
}

/// The same provider under two names, one per dialect: `up` and `claude`. No
/// call shares its answer, so that each reaches the provider.
pub(crate) fn both(address: SocketAddr) -> String {
    let off = "share = \"off\"";
    format!("{}{off}\n[cache]\n{off}\n", sharing(address))
}

/// The same, sharing what is usually shared.
pub(crate) fn sharing(address: SocketAddr) -> String {
    format!(
        "{}{}[generate]\nmodel = \"up/m\"\nclaude_model = \"claude/m\"\n",
        provider("up", "openai", address, ""),
        provider("claude", "anthropic", address, "")
    )
}

/// Each call is made once, unless `config` says how often: a test that is not
/// about attempts counts what reaches its provider.
pub(crate) fn environment(config: &str) -> Environment {
    let once = ("NOWAIT__RETRY__ATTEMPTS", "1");
    let once = (!config.contains("[retry]")).then_some(once);
    Environment::from_iter(once)
}

impl Gateway {
    /// A gateway of one core in front of `config`'s providers.
    pub(crate) fn new(config: &str) -> Self {
        Self::with_server("", config)
    }

    /// The same with more to say about `[server]`.
    pub(crate) fn with_server(server: &str, config: &str) -> Self {
        Self::start(&text(server, config), LogFormat::Json, None)
    }

    pub(crate) fn start(text: &str, format: LogFormat, origin: Option<Origin>) -> Self {
        watch_for_panics();
        let config = Config::parse(text, "test.toml", &environment(text))
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let metrics = Metrics::new("0", "test");
        let lines = Lines::default();
        let dropped = metrics.lines_dropped.clone();
        let log = AccessLog::start(format, lines.clone(), dropped).expect("a thread");
        let running = Running::start(config, metrics, log, origin).expect("a gateway");
        Self {
            address: running.address(),
            running: Some(running),
            lines,
        }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("not dropped yet")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// One call on a connection of its own. What every answer must carry is
    /// looked at here.
    #[track_caller]
    pub(crate) fn call(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.client();
        client.send(request);
        let reply = client.reply();
        reply.assert_signed();
        reply
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.call(post(path, &[("content-type", "application/json")], body))
    }

    /// A metric's value by its name and labels as rendered; 0 where it has
    /// none yet.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.running().gateway().instance.metrics.render();
        let found = text.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.parse().ok()
        });
        found.unwrap_or(0.0)
    }

    /// What the log has, waited for until `found` finds something in it.
    #[track_caller]
    pub(crate) fn logged<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        let mut bytes = self.lines.0.0.lock();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some(found) = found(&text) {
                return found;
            }
            let text = text.into_owned();
            let late = self.lines.0.1.wait_for(&mut bytes, PATIENCE).timed_out();
            assert!(!late, "not in the log: {text}");
        }
    }

    /// The access line of a request by its id.
    #[track_caller]
    pub(crate) fn line(&self, id: &str) -> Value {
        self.logged(|text| {
            text.split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
                .find(|line| line["request_id"] == id)
        })
    }

    /// The access line of the request that `reply` answered.
    #[track_caller]
    pub(crate) fn line_of(&self, reply: &Reply) -> Value {
        self.line(reply.head.get("x-request-id").expect("an id"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let panics = running.gateway().instance.metrics.render();
            running.stop();
            if !thread::panicking() {
                assert!(!panics.contains("internal_error"), "a request panicked");
                let lost = LOST.lock();
                assert!(lost.is_empty(), "threads of a gateway panicked: {lost:?}");
            }
        }
    }
}

/// What panicked on a gateway's own threads, whichever test's it was.
static LOST: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Tasks swallow their panics, so they are seen here or nowhere.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            if ["core-", "control", "access-log"]
                .iter()
                .any(|own| name.starts_with(own))
            {
                LOST.lock().push(info.to_string());
            }
            usual(info);
        }));
    });
}

/// A configuration around `config`, on a port of its own.
pub(crate) fn text(server: &str, config: &str) -> String {
    let drain = if server.contains("drain") {
        ""
    } else {
        "drain = \"20ms\"\n"
    };
    format!("[server]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n{drain}{server}\n{config}")
}

impl Reply {
    /// What is on every answer, whoever gave it.
    #[track_caller]
    pub(crate) fn assert_signed(&self) {
        let said = |name| {
            let all: Vec<_> = self.head.all(name).collect();
            assert!(!all.is_empty(), "{name} is missing: {:?}", self.head);
            all.join(", ")
        };
        assert!(!said("x-request-id").is_empty());
        assert!(said("server-timing").contains("gateway;dur="));
        assert!(said("via").contains("1.1 nowait-"));
    }
}
