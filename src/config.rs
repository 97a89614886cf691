//! What the operator decided: resolved, validated, cross-checked.
//!
//! Two stages. `raw` is the file, literally, with a place for every value;
//! [`Config`] is what the program uses. Nothing past this module sees `raw`,
//! and nothing below [`Config::load`] reads a file or the environment behind our
//! back: both come in as parameters.

mod env;
mod file;
mod keys;
mod known;
mod nearest;
mod overrides;
mod problem;
mod proxy;
mod raw;
mod read;
mod redis;
pub mod reference;
pub mod reload;
mod resolve;
mod section;
pub mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::env::Environment;
pub use self::file::Args;
pub use self::keys::{Key, ModelPattern, find as find_key};
pub use self::nearest::nearest;
pub use self::problem::{Notice, Place, Problem, Problems};
pub use self::proxy::{ProxyRules, ProxyUrl};
pub use self::redis::{InvalidRedisUrl, Login, Node, RedisPlace, RedisUrl};
pub use crate::provider::Secret;

use crate::provider::Provider;
use crate::sim;

/// The whole configuration: one immutable snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it came from.
    pub source: Source,
    /// The side callers see.
    pub server: Server,
    /// Which certificates of providers are trusted.
    pub tls: Tls,
    /// Who can be called, in the order they were named; never empty.
    pub providers: Vec<Arc<Provider>>,
    /// Names of the operator's own.
    pub models: BTreeMap<String, Model>,
    /// The deadlines of a call whose model says nothing else.
    pub timeout: Timeouts,
    /// How often a call may be tried.
    pub retry: Retry,
    /// How much hedging may cost.
    pub hedge: HedgeBudget,
    /// Which answers are kept, and how long.
    pub cache: Cache,
    /// How calls are put together and taken apart.
    pub batch: Batch,
    /// The plain endpoint.
    pub generate: Generate,
    /// Who may call; empty for anyone who can reach us.
    pub keys: Vec<Key>,
    /// How the simulated provider inside this process behaves.
    pub sim: sim::Settings,
    /// Which outbound connections go through a proxy.
    pub proxy: ProxyRules,
    /// What is odd but not wrong.
    pub notices: Vec<Notice>,
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file, and the environment on top of it.
    File(PathBuf),
    /// No file: providers come from the keys in the environment.
    Environment,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address callers connect to.
    pub listen: SocketAddr,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// How long open streams may go on after SIGTERM.
    pub drain: Duration,
    /// Our own certificate; without one callers speak plain HTTP.
    pub tls: Option<ServerTls>,
    /// Whether callers need a key.
    pub auth: AuthMode,
    /// Cores used; without it, all there are.
    pub threads: Option<NonZeroUsize>,
}

/// The certificate callers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// A PEM file: the certificate, then its chain.
    pub cert: PathBuf,
    /// A PEM file: the private key.
    pub key: PathBuf,
}

/// Whether callers need a gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// One of `[[keys]]`, where there are any.
    Keys,
    /// None, on purpose.
    None,
}

/// `[tls]`: what outbound connections trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The roots trusted.
    pub roots: Roots,
    /// A PEM file of certificates trusted as well.
    pub ca_file: Option<PathBuf>,
}

/// A set of trusted roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's.
    System,
    /// Mozilla's, as compiled in.
    Bundled,
}

/// `[models.NAME]`: a name of the operator's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What callers ask for.
    pub name: String,
    /// Who may answer; never empty.
    pub targets: Vec<TargetName>,
    /// How many calls each of them gets beside the others, where they are
    /// picked by weight; as many as there are targets.
    pub weights: Vec<u32>,
    /// Which of them is asked first.
    pub balance: Balance,
    /// Refusals after which another is asked.
    pub fallback_on: Vec<FallbackOn>,
    /// When a second one is asked as well.
    pub hedge: Hedge,
    /// What happens to fields that a target's dialect cannot carry.
    pub on_loss: OnLoss,
    /// Whether the stable beginning of translated prompts is marked for the
    /// provider's cache.
    pub prompt_cache: bool,
    /// Which calls may share an answer; without it, `[cache] share`.
    pub share: Option<Share>,
    /// Its deadlines, those of `[timeout]` filled in.
    pub timeout: Timeouts,
}

/// `provider/model`, the provider looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetName {
    /// Who is asked.
    pub provider: Arc<Provider>,
    /// The model, as that provider calls it.
    pub model: String,
}

/// How a target is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The first one that is well.
    Order,
    /// The one that has been fastest.
    Latency,
    /// By weight.
    Weighted,
    /// The one with the fewest calls open.
    LeastPending,
    /// The same one for the same caller.
    Sticky,
}

/// A refusal that another target may not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackOn {
    /// The call is longer than the model can read.
    ContextLength,
    /// The provider would not answer this.
    ContentPolicy,
    /// Any with this status, 400 to 499.
    Status(u16),
}

/// When a second target is asked as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hedge {
    /// Never.
    Off,
    /// After this quantile (0..1) of recent times to first token.
    Quantile(f64),
    /// After this long.
    After(Duration),
}

impl Hedge {
    /// Reads `off`, `p95` or `800ms`.
    pub fn read(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::Off);
        }
        if let Some(digits) = text.strip_prefix('p') {
            let percent: f64 = digits.parse().ok()?;
            // Below the median more calls would be hedged than not.
            return (50.0..100.0)
                .contains(&percent)
                .then_some(Self::Quantile(percent / 100.0));
        }
        let wait = units::duration(text).ok()?;
        (!wait.is_zero()).then_some(Self::After(wait))
    }
}

/// What happens to fields that a target's dialect cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// They are named in `x-nowait-dropped`.
    Report,
    /// The call is refused.
    Reject,
}

/// Which calls may share one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// None.
    Off,
    /// Those that ask for a fact, not for a sample.
    Deterministic,
    /// All of them.
    All,
}

/// `[timeout]`, or a model's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be ready: dns, connect and TLS together.
    pub connect: Duration,
    /// From the request sent to the first content.
    pub first_token: Duration,
    /// Between two tokens.
    pub idle: Duration,
    /// For the whole call.
    pub total: Duration,
}

/// `[retry]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Upstream calls for one call, the first included.
    pub attempts: NonZeroU32,
    /// Extra calls as a share (0..=1) of recent calls, per upstream.
    pub budget: f64,
    /// Extra calls always allowed per 10 s.
    pub floor: u32,
}

/// `[hedge]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgeBudget {
    /// Hedges as a share (0..=1) of recent calls.
    pub budget: f64,
    /// Never sooner than this.
    pub min: Duration,
    /// Never later than this.
    pub max: Duration,
}

/// `[cache]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Which calls may share one answer.
    pub share: Share,
    /// How long an answer is kept.
    pub ttl: Duration,
    /// Bytes of answers kept in memory.
    pub memory: u64,
    /// Among whom.
    pub scope: Scope,
    /// A Redis behind the memory, shared with other replicas.
    pub redis: Option<RedisUrl>,
}

/// Among whom an answer is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The calls of one gateway key.
    Tenant,
    /// Everybody.
    Global,
}

/// `[batch]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whether concurrent single-input embedding calls become one.
    pub embeddings: bool,
    /// Items of one `/generate/batch` under way at once.
    pub concurrency: NonZeroUsize,
}

/// `[generate]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generate {
    /// The model of `/generate` where the caller names none; without one the
    /// caller has to.
    pub model: Option<String>,
    /// The model of `/generate_claude` where the caller names none.
    pub claude_model: String,
    /// Which of its calls may share one answer.
    pub share: Share,
}

/// Tries any bytes as a configuration: they give one, or problems that say
/// something, and neither shows a secret. For fuzzing.
pub fn fuzz(data: &[u8]) {
    const SECRET: &str = "ses4me-0pen";
    let env = Environment::from_iter([("KEY", SECRET), ("OPENAI_API_KEY", SECRET)]);
    let text = String::from_utf8_lossy(data);
    let shown = match Config::parse(&text, "fuzz.toml", &env) {
        // What a variable is put into on purpose, a model's name say, may show.
        Ok(config) if text.contains("${") => format!("{:?}", config.notices),
        Ok(config) => format!("{config:?}"),
        Err(problems) => {
            assert!(problems.count() > 0, "refused without a reason");
            format!("{problems} {problems:?}")
        }
    };
    assert!(!shown.contains(SECRET), "a secret was shown");
}
