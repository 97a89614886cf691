//! Who serves a model: base URL, authentication, dialect and quirks, as data.
//!
//! A provider is a row, not a file of code. The rows everybody knows are in
//! [`presets`]; which of them exist in this process, and with which key, is
//! the configuration's to say. Nothing here does I/O.

pub mod azure;
mod base_url;
pub mod presets;
pub mod quota;
pub mod reset;
mod secret;

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

pub use base_url::{BaseUrl, InvalidBaseUrl, redacted};
pub use presets::{family, retired};
pub use secret::Secret;

use crate::dialect::Dialect;
pub use crate::dialect::{MaxTokensField, Quirks};

/// One provider, ready to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// What it is called in `provider/model`, in paths, logs and metrics.
    pub name: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it is.
    pub base: BaseUrl,
    /// What its calls have in their query as `api-version`.
    pub api_version: Option<String>,
    /// Whether its calls name the model in their path, as Azure's dated API
    /// wants it: `/deployments/MODEL/…`.
    pub deployments: bool,
    /// How the key is presented.
    pub auth: Auth,
    /// Its key; without one the caller's is passed through.
    pub key: Option<Secret>,
    /// More keys of it, each as good as the first.
    pub more_keys: Vec<Secret>,
    /// How many calls may be under way at once, per key.
    pub limit: CallLimit,
    /// Calls that may wait for their turn at that limit, per key.
    pub queue: usize,
    /// Headers every call to it carries (marked sensitive: they don't print).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its connections.
    pub pool: PoolOptions,
    /// What to do about the usage of streams.
    pub stream_usage: StreamUsage,
    /// The model asked when a caller of `/generate` names none.
    pub default_model: Option<String>,
    /// What is particular about it.
    pub quirks: Quirks,
    /// What one call for embeddings may hold.
    pub embeddings: EmbeddingLimits,
    /// Whether it is a simulation: such answers are marked.
    pub simulated: bool,
    /// Where it was found, for people: `OPENAI_API_KEY`, `nowait.toml:4`.
    pub found: String,
}

impl Provider {
    /// Whether it is the simulated provider inside this process, which is
    /// reached without a socket.
    pub fn is_in_process(&self) -> bool {
        self.simulated && self.base == BaseUrl::in_process()
    }
}

/// What one call for embeddings may hold, as the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingLimits {
    /// Inputs.
    pub inputs: usize,
    /// Tokens of all inputs together.
    pub tokens: u64,
}

impl EmbeddingLimits {
    /// What any server should take: no more than Hugging Face's
    /// text-embeddings-inference takes unless told otherwise
    /// (`--max-client-batch-size`, `--max-batch-tokens`).
    pub const CAREFUL: Self = Self {
        inputs: 32,
        tokens: 16_384,
    };
    /// OpenAI's, for all its models
    /// (platform.openai.com/docs/api-reference/embeddings/create).
    pub const OPENAI: Self = Self {
        inputs: 2_048,
        tokens: 300_000,
    };
}

/// How a provider wants its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone, in a header of its own.
    Header(HeaderName),
    /// In the query, under this name.
    Query(&'static str),
    /// Not at all.
    None,
}

impl Auth {
    /// Whether a header of this name holds its key.
    pub fn reads(&self, header: &[u8]) -> bool {
        match self {
            Self::Bearer => header.eq_ignore_ascii_case(b"authorization"),
            Self::Header(name) => header.eq_ignore_ascii_case(name.as_str().as_bytes()),
            Self::Query(_) | Self::None => false,
        }
    }
}

/// How many calls a provider is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallLimit {
    /// Found out, the way that suits where it is.
    Auto,
    /// Found out from its refusals: for a service others use too.
    Aimd,
    /// Found out from its times to first token: for an engine of one's own.
    Gradient,
    /// This many.
    Fixed(NonZeroUsize),
}

/// How a provider's connections are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Connections kept ready before anyone asks.
    pub warm: usize,
    /// Which HTTP is spoken.
    pub http: HttpVersion,
    /// HTTP/2 streams put on one connection before the next is opened.
    pub max_streams_per_connection: usize,
    /// An idle connection is closed (or, a warm one, replaced) after this.
    pub idle_timeout: Duration,
    /// Connections open at once; calls beyond that wait for one.
    pub max_connections: usize,
}

/// Which HTTP a provider is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// What ALPN settles on; HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1.
    One,
    /// HTTP/2, by prior knowledge without TLS.
    Two,
}

/// What happens when a stream's caller did not ask for usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUsage {
    /// The body stays as it is; the tokens are estimated and marked so.
    Estimate,
    /// `include_usage` is added and the extra chunk hidden from the caller.
    Ask,
}

/// The first parts of nowait's own paths: `/{provider}/…` must not hide them.
/// `sim` is one too, and belongs to the simulated provider alone.
pub const RESERVED_NAMES: &[&str] = &[
    "v1",
    "generate",
    "generate_claude",
    "docs",
    "openapi.json",
    "metrics",
    "status",
    "dashboard",
    "cache",
    "health",
    "healthz",
    "livez",
    "readyz",
    "chat",
    "responses",
    "completions",
    "embeddings",
    "models",
    "messages",
];
