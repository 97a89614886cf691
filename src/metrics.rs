//! Every metric nowait has, declared once.
//!
//! Handles are resolved when a thing is made (an upstream, a target) and held
//! by it: recording costs an atomic add or a short histogram lock, never a
//! label look-up. Names follow the OpenTelemetry GenAI conventions where those
//! have one and begin with `nowait_` elsewhere.

pub mod attempts;
pub mod cache;
pub mod saved;

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whole calls, first tokens: 1 ms to 10 minutes.
const CALL_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0,
    160.0, 300.0, 600.0,
];
/// Seconds from a tenth of a millisecond to ten seconds: what dns, connect and
/// TLS take.
const PHASE_BUCKETS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// The gateway's own time: 10 µs to a second.
const OWN_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1,
    1.0,
];
/// Seconds for one output token, as the GenAI conventions advise.
const TOKEN_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5,
];
/// Tokens of a call: powers of four, as the GenAI conventions advise.
const USAGE_BUCKETS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
];

/// A histogram family's member is made from its buckets.
#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Histograms<L> = Family<L, Histogram, Buckets>;

/// A label's text, shared by everyone who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text(Arc<str>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    provider: Text,
    model: Text,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenAiLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Text,
    gen_ai_request_model: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Text,
    gen_ai_request_model: Text,
    gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    upstream: Text,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    upstream: Text,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// All of them, and the registry that renders them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    errors: Family<CodeLabels, Counter>,
    cancelled: Family<EndpointLabels, Counter>,
    own: Histograms<EndpointLabels>,
    duration: Histograms<GenAiLabels>,
    first_token: Histograms<GenAiLabels>,
    per_token: Histograms<GenAiLabels>,
    usage: Histograms<TokenLabels>,
    connections: Family<ConnectionLabels, Gauge>,
    streams: Family<UpstreamLabels, Gauge>,
    handshakes: Family<HandshakeLabels, Counter>,
    handshake_failures: Family<UpstreamLabels, Counter>,
    cold: Family<UpstreamLabels, Counter>,
    resends: Family<UpstreamLabels, Counter>,
    dns: Histograms<UpstreamLabels>,
    connect: Histograms<UpstreamLabels>,
    tls: Histograms<UpstreamLabels>,
    background: Family<ReasonLabels, Counter>,
    reloads: Family<ResultLabels, Counter>,
    cache: cache::Families,
    attempts: attempts::Families,
    /// What sharing answers has saved.
    pub saved: saved::Saved,
    /// Requests accepted and not yet ended, streams included.
    pub in_flight: Gauge,
    /// Callers' connections open now.
    pub callers: Gauge,
    /// Access lines that could not be written.
    pub lines_dropped: Counter,
}

impl Metrics {
    /// Declares every metric. `version` and `commit` go into `nowait_build_info`.
    pub fn new(version: &str, commit: &str) -> Self {
        let mut registry = Registry::default();
        let build = Info::new(vec![
            ("version".to_owned(), version.to_owned()),
            ("commit".to_owned(), commit.to_owned()),
        ]);
        registry.register("nowait_build", "What is running", build);
        let started: Gauge = Gauge::default();
        started.set(
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
                }),
        );
        registry.register_with_unit(
            "nowait_start_time",
            "When this process started, in Unix time",
            Unit::Seconds,
            started,
        );
        let mut declare = Declare(&mut registry);
        let (requests, errors, cancelled) = (
            declare.one("nowait_requests", "Requests ended, by the status sent"),
            declare.one(
                "nowait_errors",
                "Errors nowait itself answered with, by code",
            ),
            declare.one(
                "nowait_cancelled_requests",
                "Requests whose caller left before the end",
            ),
        );
        Self {
            requests,
            errors,
            cancelled,
            own: declare.seconds("nowait_gateway", "Time that was nowait's own, until the head was sent", OWN_BUCKETS),
            duration: declare.seconds("gen_ai_client_operation_duration", "Whole calls, from the caller's request to the last byte", CALL_BUCKETS),
            first_token: declare.seconds("gen_ai_server_time_to_first_token", "From sending the call upstream to its first content (streams)", CALL_BUCKETS),
            per_token: declare.seconds("gen_ai_server_time_per_output_token", "Time between output tokens after the first (streams)", TOKEN_BUCKETS),
            usage: declare.histograms("gen_ai_client_token_usage", "Tokens of a call, as the provider counted them", USAGE_BUCKETS),
            connections: declare.one("nowait_pool_connections", "Upstream connections by state: open counts all, idle those not in use, warm those no request has used yet"),
            streams: declare.one("nowait_pool_streams", "Requests on upstream connections now"),
            handshakes: declare.one("nowait_handshakes", "Upstream handshakes done, by reason: demand, warm, spread, refresh"),
            handshake_failures: declare.one("nowait_handshake_failures", "Upstream handshakes that failed"),
            cold: declare.one("nowait_cold_requests", "Requests that had to wait for a handshake"),
            resends: declare.one("nowait_resends", "Requests sent again because their connection failed before anything of the answer came"),
            dns: declare.seconds("nowait_dns", "Name look-ups", PHASE_BUCKETS),
            connect: declare.seconds("nowait_connect", "TCP connects", PHASE_BUCKETS),
            tls: declare.seconds("nowait_tls", "TLS handshakes", PHASE_BUCKETS),
            background: declare.one("nowait_background_calls", "Calls upstream that ended without the caller they were made for, by reason: refresh (of a stale answer), left (by that caller, and read by others)"),
            reloads: declare.one("nowait_reloads", "Configuration reloads by result: applied, refused"),
            cache: cache::Families::declare(&mut declare),
            attempts: attempts::Families::declare(&mut declare),
            saved: saved::Saved::declare(&mut declare),
            in_flight: declare.one("nowait_requests_in_flight", "Requests accepted and not yet ended"),
            callers: declare.one("nowait_caller_connections", "Callers' connections open now"),
            lines_dropped: declare.one("nowait_access_lines_dropped", "Access log lines lost because their reader stopped"),
            registry,
        }
    }

    /// All of them in OpenMetrics text, the form Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The handles one upstream's pool records to.
    pub fn pool(&self, upstream: &str) -> Pool {
        let name = Text::from(upstream);
        let labels = UpstreamLabels {
            upstream: name.clone(),
        };
        let state = |state| {
            self.connections.get_or_create_owned(&ConnectionLabels {
                upstream: name.clone(),
                state,
            })
        };
        Pool {
            open: state("open"),
            idle: state("idle"),
            warm: state("warm"),
            streams: self.streams.get_or_create_owned(&labels),
            handshakes: HandshakeReason::ALL.map(|reason| {
                self.handshakes.get_or_create_owned(&HandshakeLabels {
                    upstream: name.clone(),
                    reason: reason.name(),
                })
            }),
            handshake_failures: self.handshake_failures.get_or_create_owned(&labels),
            cold: self.cold.get_or_create_owned(&labels),
            resends: self.resends.get_or_create_owned(&labels),
            dns: self.dns.get_or_create_owned(&labels),
            connect: self.connect.get_or_create_owned(&labels),
            tls: self.tls.get_or_create_owned(&labels),
        }
    }

    /// The handles the cache records to.
    pub fn cache(&self) -> cache::Cache {
        self.cache.handles()
    }

    /// The handles attempts at one key of a provider record to; keys are
    /// numbered from 1.
    pub fn attempts(&self, provider: &str, key: usize) -> attempts::Attempts {
        self.attempts.handles(provider, key)
    }

    /// The handles the calls of one endpoint to one target record to.
    pub fn calls(&self, operation: Operation, provider: &str, model: &str) -> Calls {
        let labels = GenAiLabels {
            gen_ai_operation_name: operation.operation,
            gen_ai_provider_name: provider.into(),
            gen_ai_request_model: model.into(),
        };
        let tokens = |gen_ai_token_type| {
            self.usage.get_or_create_owned(&TokenLabels {
                gen_ai_operation_name: operation.operation,
                gen_ai_provider_name: labels.gen_ai_provider_name.clone(),
                gen_ai_request_model: labels.gen_ai_request_model.clone(),
                gen_ai_token_type,
            })
        };
        Calls {
            endpoint: operation.endpoint,
            duration: self.duration.get_or_create_owned(&labels),
            first_token: self.first_token.get_or_create_owned(&labels),
            per_token: self.per_token.get_or_create_owned(&labels),
            own: self.own(operation.endpoint),
            input: tokens("input"),
            output: tokens("output"),
            provider: labels.gen_ai_provider_name,
            model: labels.gen_ai_request_model,
            ok: OnceLock::new(),
        }
    }

    /// Counts one ended request that reached `calls`' target.
    pub fn ended(&self, calls: &Calls, status: u16) {
        let count = |status| {
            self.requests.get_or_create_owned(&RequestLabels {
                endpoint: calls.endpoint,
                provider: calls.provider.clone(),
                model: calls.model.clone(),
                status,
            })
        };
        // Nearly all end with 200: that counter is held, the rest looked up.
        if status == 200 {
            calls.ok.get_or_init(|| count(200)).inc();
        } else {
            count(status).inc();
        }
    }

    /// Counts one ended request that reached no target.
    pub fn ended_here(&self, endpoint: &'static str, status: u16) {
        self.requests
            .get_or_create(&RequestLabels {
                endpoint,
                provider: "".into(),
                model: "".into(),
                status,
            })
            .inc();
    }

    /// Counts an error of nowait's own.
    pub fn error(&self, code: &'static str) {
        self.errors.get_or_create(&CodeLabels { code }).inc();
    }

    /// Counts a caller that left.
    pub fn cancelled(&self, endpoint: &'static str) {
        self.cancelled
            .get_or_create(&EndpointLabels { endpoint })
            .inc();
    }

    fn own(&self, endpoint: &'static str) -> Histogram {
        self.own.get_or_create_owned(&EndpointLabels { endpoint })
    }

    /// Counts a call upstream that nobody waited for at its end.
    pub fn background(&self, reason: &'static str) {
        self.background
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// Counts a reload, applied or refused.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&ResultLabels { result }).inc();
    }
}

/// Declaring is naming, describing and keeping a clone.
struct Declare<'a>(&'a mut Registry);

impl Declare<'_> {
    fn one<M>(&mut self, name: &str, help: &str) -> M
    where
        M: prometheus_client::registry::Metric + Clone + Default,
    {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn histograms<L>(&mut self, name: &str, help: &str, buckets: &'static [f64]) -> Histograms<L>
    where
        L: EncodeLabelSet + fmt::Debug + Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        let family = Histograms::new_with_constructor(Buckets(buckets));
        self.0.register(name, help, family.clone());
        family
    }

    fn seconds<L>(&mut self, name: &str, help: &str, buckets: &'static [f64]) -> Histograms<L>
    where
        L: EncodeLabelSet + fmt::Debug + Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        let family = Histograms::new_with_constructor(Buckets(buckets));
        self.0
            .register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }
}

/// What kind of calls a set of handles counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// nowait's endpoint: `chat`, `messages`, `generate`, …
    pub endpoint: &'static str,
    /// The GenAI convention's `gen_ai.operation.name`.
    pub operation: &'static str,
}

/// What the calls of one endpoint to one target record to.
#[derive(Debug)]
pub struct Calls {
    endpoint: &'static str,
    provider: Text,
    model: Text,
    ok: OnceLock<Counter>,
    /// Seconds of the whole call.
    pub duration: Histogram,
    /// Seconds from sending upstream to the first content of a stream.
    pub first_token: Histogram,
    /// Seconds per output token after the first.
    pub per_token: Histogram,
    /// Seconds of nowait's own until the reply's head.
    pub own: Histogram,
    /// Tokens read by the model.
    pub input: Histogram,
    /// Tokens written by it.
    pub output: Histogram,
}

/// Why a connection was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeReason {
    /// A request was waiting for it.
    Demand,
    /// To have a spare.
    Warm,
    /// The open HTTP/2 connections were filling up.
    Spread,
    /// To replace one before its idle limit, or one the peer is closing.
    Refresh,
}

impl HandshakeReason {
    /// In declaration order, the order of [`Pool::handshakes`].
    pub const ALL: [Self; 4] = [Self::Demand, Self::Warm, Self::Spread, Self::Refresh];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Warm => "warm",
            Self::Spread => "spread",
            Self::Refresh => "refresh",
        }
    }
}

/// What one upstream's pool counts.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Connections open, lent or not.
    pub open: Gauge,
    /// Connections open and not in use.
    pub idle: Gauge,
    /// Idle connections that no request has used yet.
    pub warm: Gauge,
    /// Requests on connections now (an HTTP/1.1 one carries at most one).
    pub streams: Gauge,
    /// Handshakes done, by [`HandshakeReason`] in declaration order.
    pub handshakes: [Counter; 4],
    /// Handshakes that failed.
    pub handshake_failures: Counter,
    /// Requests that had to wait for a handshake.
    pub cold: Counter,
    /// Requests sent again on a fresh connection.
    pub resends: Counter,
    /// Seconds a name look-up took.
    pub dns: Histogram,
    /// Seconds a TCP connect took.
    pub connect: Histogram,
    /// Seconds a TLS handshake took.
    pub tls: Histogram,
}

impl Default for Pool {
    fn default() -> Self {
        let phase = || Buckets(PHASE_BUCKETS).new_metric();
        Self {
            open: Gauge::default(),
            idle: Gauge::default(),
            warm: Gauge::default(),
            streams: Gauge::default(),
            handshakes: Default::default(),
            handshake_failures: Counter::default(),
            cold: Counter::default(),
            resends: Counter::default(),
            dns: phase(),
            connect: phase(),
            tls: phase(),
        }
    }
}

/// The reference page of metrics, written from the declarations.
pub fn reference() -> String {
    // A family without a member is not rendered: give each one.
    let metrics = Metrics::new("", "");
    metrics.pool("");
    metrics.cache();
    let attempts = metrics.attempts("", 1);
    attempts.retried("");
    attempts.fell_back("");
    attempts.withheld("");
    attempts.unhedged("");
    attempts.turned("");
    let operation = Operation {
        endpoint: "",
        operation: "",
    };
    metrics.ended(&metrics.calls(operation, "", ""), 200);
    metrics.own("");
    metrics.error("");
    metrics.cancelled("");
    metrics.background("");
    metrics.reloaded("");
    let text = metrics.render();
    let mut page = String::from(
        "# Metrics\n\n\
         `GET /metrics` answers in OpenMetrics text, which Prometheus scrapes as it is. Once gateway keys\n\
         exist it wants a key with `admin = true`. Counters carry the suffix `_total` when scraped, histograms\n\
         `_bucket`, `_sum` and `_count`. This page is written from the declarations in `src/metrics.rs`.\n\n\
         | metric | type | what |\n|---|---|---|\n",
    );
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        let kind = lines
            .next()
            .and_then(|line| line.rsplit_once(' '))
            .map_or("", |(_, kind)| kind);
        page.push_str(&format!(
            "| `{name}` | {kind} | {} |\n",
            help.trim_end_matches('.')
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Operation = Operation {
        endpoint: "chat",
        operation: "chat",
    };

    #[test]
    fn what_is_recorded_is_rendered() {
        let metrics = Metrics::new("1", "abc");
        let calls = metrics.calls(CHAT, "openai", "gpt-4o");
        metrics.ended(&calls, 200);
        metrics.ended(&calls, 200);
        metrics.ended(&calls, 429);
        metrics.ended_here("unknown", 404);
        calls.first_token.observe(0.3);
        let pool = metrics.pool("openai");
        pool.cold.inc();
        pool.open.set(3);
        let text = metrics.render();
        for line in [
            r#"nowait_requests_total{endpoint="chat",provider="openai",model="gpt-4o",status="200"} 2"#,
            r#"nowait_requests_total{endpoint="chat",provider="openai",model="gpt-4o",status="429"} 1"#,
            r#"nowait_requests_total{endpoint="unknown",provider="",model="",status="404"} 1"#,
            r#"nowait_cold_requests_total{upstream="openai"} 1"#,
            r#"nowait_pool_connections{upstream="openai",state="open"} 3"#,
            r#"nowait_handshakes_total{upstream="openai",reason="warm"} 0"#,
            r#"nowait_build_info{version="1",commit="abc"} 1"#,
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        assert!(text.contains(
            r#"gen_ai_server_time_to_first_token_seconds_bucket{le="0.5",gen_ai_operation_name="chat""#
        ));
    }

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        let metrics = Metrics::new("", "");
        let calls = metrics.calls(CHAT, "p", "a\"} 9\nnowait_fake 1\\");
        metrics.ended(&calls, 200);
        let text = metrics.render();
        assert!(!text.lines().any(|line| line.starts_with("nowait_fake")));
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        bless("docs/metrics.md", &reference());
    }

    /// Compares a generated page with the file, or writes it when blessed.
    pub(crate) fn bless(path: &str, page: &str) {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("NOWAIT_BLESS").is_some() {
            std::fs::write(&file, page).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, page, "{path} is stale: NOWAIT_BLESS=1 cargo test");
    }
}
