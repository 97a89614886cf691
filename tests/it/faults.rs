//! Every fault of the simulated provider at every endpoint, streamed or not,
//! with one target or two: what the caller gets is a table, which is generated
//! into `docs/faults.md` (`NOWAIT_BLESS=1` writes it anew).
//!
//! Each cell has providers of its own, so that no cell meets what another has
//! left behind: dead connections, a limit that fell, a target put out.

mod outcome;
mod page;

use std::sync::Arc;
use std::time::Duration;

use nowait::sim::{Chance, Fault, Length, Settings, Sim, listen};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{Stage, post, with};
use outcome::{Form, Outcome};

/// What goes wrong, as `x-sim-fault` has it, and in words. Events are counted
/// so that `@0` is before any content and `@6` behind the first, everywhere.
pub(crate) const FAULTS: [(&str, &str); 33] = [
    ("400", "the provider says 400"),
    ("401", "… 401"),
    ("403", "… 403"),
    ("404", "… 404"),
    ("408", "… 408"),
    ("409", "… 409"),
    ("422", "… 422"),
    ("429@0", "… 429, `Retry-After: 0`"),
    ("429@60", "… 429, `Retry-After: 60`"),
    ("500", "… 500"),
    ("501", "… 501"),
    ("503@0", "… 503, `Retry-After: 0`"),
    ("529@0", "… 529, `Retry-After: 0`"),
    ("refuse", "closes instead of an answer"),
    ("hangup", "closes the connection, with all that rides on it"),
    ("reset", "resets before the head"),
    ("reset-head", "resets in the middle of the head"),
    ("reset@0", "resets before the first event, or in the body"),
    ("reset@6", "resets after content, or in the body"),
    ("stall", "never answers"),
    ("stall@0", "sends a head and no more"),
    ("stall@6", "stops after content, or in the body"),
    ("malformed@0", "an event, or a body, that is not JSON"),
    ("malformed@6", "the same after content"),
    ("oversized@0", "an event of 2 MiB first"),
    ("oversized@6", "an event of 2 MiB after content"),
    ("error@0", "its error event first; in one piece, its 500"),
    (
        "error@6",
        "its error event after content; in one piece, its 500",
    ),
    ("truncate@0", "ends before content, or half way"),
    (
        "truncate@6",
        "ends after content, without saying so, or half way",
    ),
    ("wrong-length", "a body shorter than announced"),
    ("gzip", "a compressed answer nobody asked for"),
    ("junk", "what is not HTTP"),
];

/// What leaves the answer as it should be.
pub(crate) const HARMLESS: [&str; 5] = [
    "drip@400",
    "goaway",
    "close-idle",
    "early-hints",
    "trailers",
];

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Responses,
    Completions,
    Messages,
    Generate,
    Embeddings,
    CountTokens,
    Batch,
}

impl Endpoint {
    pub(crate) const STREAMING: [Self; 5] = [
        Self::Chat,
        Self::Responses,
        Self::Completions,
        Self::Messages,
        Self::Generate,
    ];
    pub(crate) const ALL: [Self; 8] = [
        Self::Chat,
        Self::Responses,
        Self::Completions,
        Self::Messages,
        Self::Generate,
        Self::Embeddings,
        Self::CountTokens,
        Self::Batch,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Messages => "messages",
            Self::Generate => "/generate",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Batch => "/generate/batch",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Messages => "/v1/messages",
            Self::Generate => "/generate",
            Self::Embeddings => "/v1/embeddings",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Batch => "/generate/batch",
        }
    }

    fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }

    fn form(self) -> Form {
        match self {
            Self::Chat | Self::Completions => Form::Chat,
            Self::Responses => Form::Responses,
            Self::Embeddings => Form::Embeddings,
            Self::Messages | Self::CountTokens => Form::Messages,
            Self::Generate => Form::Plain,
            Self::Batch => Form::Batch,
        }
    }

    fn body(self, model: &str, stream: bool) -> String {
        let said = r#""messages":[{"role":"user","content":"tell me of tides"}]"#;
        match self {
            Self::Chat => format!(r#"{{"model":"{model}","stream":{stream},{said}}}"#),
            Self::Responses => {
                format!(r#"{{"model":"{model}","stream":{stream},"store":false,"input":"tell"}}"#)
            }
            Self::Completions => {
                format!(r#"{{"model":"{model}","stream":{stream},"prompt":"tell"}}"#)
            }
            Self::Messages => {
                format!(r#"{{"model":"{model}","max_tokens":64,"stream":{stream},{said}}}"#)
            }
            Self::Generate => format!(r#"{{"prompt":"tell","model":"{model}","stream":{stream}}}"#),
            Self::Embeddings => {
                format!(r#"{{"model":"{model}","input":"tell","dimensions":8}}"#)
            }
            Self::CountTokens => format!(r#"{{"model":"{model}",{said}}}"#),
            Self::Batch => format!(r#"{{"prompts":["tell"],"model":"{model}"}}"#),
        }
    }
}

/// One call that meets one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fault: &'static str,
    pub(crate) endpoint: Endpoint,
    pub(crate) streamed: bool,
    pub(crate) two: bool,
}

/// Calls upstream for one call, in the table.
const ATTEMPTS: u32 = 2;

/// Where each provider listens.
struct Sims {
    bad: std::net::SocketAddr,
    good: std::net::SocketAddr,
}

impl Cell {
    fn all(fault: &'static str) -> Vec<Self> {
        let mut all = Vec::new();
        for two in [false, true] {
            let whole = Endpoint::ALL.map(|endpoint| (endpoint, false));
            let streams = Endpoint::STREAMING.map(|endpoint| (endpoint, true));
            all.extend(
                whole
                    .into_iter()
                    .chain(streams)
                    .map(|(endpoint, streamed)| Self {
                        fault,
                        endpoint,
                        streamed,
                        two,
                    }),
            );
        }
        all
    }

    /// Its providers and its model, all of them called after `number`.
    fn config(self, number: usize, sims: &Sims) -> String {
        let provider = |name: &str, dialect: &str, address| {
            let version = if dialect == "openai" { "/v1" } else { "" };
            format!(
                "[providers.{name}{number}]\ndialect = \"{dialect}\"\n\
                 base_url = \"http://{address}{version}\"\napi_key = \"sk-sim\"\npool.warm = 0\n"
            )
        };
        let (ours, other) = match self.endpoint {
            endpoint if endpoint.is_anthropic() => ("anthropic", "anthropic"),
            // The plain endpoint goes on in another dialect.
            Endpoint::Generate | Endpoint::Batch => ("openai", "anthropic"),
            _ => ("openai", "openai"),
        };
        let mut text = provider("bad", ours, sims.bad);
        let mut targets = format!("\"bad{number}/m\"");
        if self.two {
            text.push_str(&provider("good", other, sims.good));
            targets.push_str(&format!(", \"good{number}/m\""));
        }
        format!("{text}[models.m{number}]\ntargets = [{targets}]\n")
    }

    /// Makes the call.
    async fn run(self, number: usize, gateway: std::net::SocketAddr) -> Outcome {
        let body = self.endpoint.body(&format!("m{number}"), self.streamed);
        let request = with(
            post(self.endpoint.path(), body),
            "anthropic-version",
            "2023-06-01",
        );
        let call = crate::stage::call(gateway, request);
        match timeout(Duration::from_secs(25), call).await {
            Ok(answer) => Outcome::of(&answer, self.endpoint.form(), self.streamed),
            Err(_) => panic!("{self:?} hangs"),
        }
    }
}

async fn sim(faults: Vec<Chance>) -> std::net::SocketAddr {
    let settings = Settings {
        tokens: Length::fixed(12),
        early_head: true,
        faults,
        ..Settings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(listen(listener, Sim::new(settings), std::future::pending()));
    address
}

/// Every cell of one fault.
async fn run(fault: &'static str, good: std::net::SocketAddr) -> Vec<(Cell, Outcome)> {
    let chance = Chance {
        fault: fault.parse::<Fault>().expect("a fault"),
        probability: 1.0,
    };
    let sims = Sims {
        bad: sim(vec![chance]).await,
        good,
    };
    // Where a bound is what ends the call it is short; elsewhere no load of the
    // machine may look like a fault.
    let (piece, total) = match is_stall(fault) {
        true => ("2s", "7s"),
        false => ("20s", "20s"),
    };
    let mut config = format!(
        "server.threads = 1\nserver.drain = \"10ms\"\n[retry]\nattempts = {ATTEMPTS}\n\
         [timeout]\nfirst_token = \"{piece}\"\nidle = \"{piece}\"\ntotal = \"{total}\"\n\
         [cache]\nshare = \"off\"\n[generate]\nshare = \"off\"\n[batch]\nembeddings = false\n"
    );
    let cells = Cell::all(fault);
    for (number, cell) in cells.iter().enumerate() {
        config.push_str(&cell.config(number, &sims));
    }
    let stage = Stage::set(&config);
    let gateway = stage.address();
    // Side by side only where all they do is wait: a crowd on a busy machine is
    // a fault of its own.
    let lanes = Arc::new(Semaphore::new(if is_stall(fault) {
        cells.len()
    } else {
        1
    }));
    let mut calls = JoinSet::new();
    for (number, cell) in cells.into_iter().enumerate() {
        let lanes = Arc::clone(&lanes);
        calls.spawn(async move {
            let _lane = lanes.acquire_owned().await.expect("never closed");
            (number, cell, cell.run(number, gateway).await)
        });
    }
    let mut outcomes = calls.join_all().await;
    outcomes.sort_by_key(|(number, ..)| *number);
    stage.strike().await;
    let outcomes = outcomes.into_iter();
    outcomes.map(|(_, cell, outcome)| (cell, outcome)).collect()
}

fn is_stall(fault: &str) -> bool {
    fault.starts_with("stall")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_endpoint_has_its_outcome() {
    let good = sim(Vec::new()).await;
    let faults = FAULTS.iter().map(|(fault, _)| *fault).chain(HARMLESS);
    let turns = Arc::new(Semaphore::new(4));
    let mut running = JoinSet::new();
    for fault in faults {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = match is_stall(fault) {
                true => None,
                false => Some(turns.acquire_owned().await.expect("never closed")),
            };
            run(fault, good).await
        });
    }
    let outcomes: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let wrong: Vec<_> = outcomes
        .iter()
        .filter_map(|(cell, outcome)| Some((cell, outcome.complaint(cell.fault)?)))
        .map(|(cell, wrong)| format!("{cell:?}: {wrong}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    page::compare(&outcomes);
}
