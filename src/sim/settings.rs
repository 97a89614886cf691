//! What the operator can decide about the simulated provider: plain data,
//! shared by the `[sim]` section and the flags of `nowait sim`.

use super::fault::Chance;
use super::spread::{Length, Pace};

/// Everything that shapes the simulated provider's answers. The default
/// answers at once, with 32 tokens and no faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Fixes every text, vector, id, latency and fault.
    pub seed: u64,
    /// How many tokens an answer has where nothing cuts it short.
    pub tokens: Length,
    /// From the request's last byte to the first event.
    pub ttft: Pace,
    /// Between two tokens. An unstreamed answer takes the time of all of them.
    pub gap: Pace,
    /// How many events that are due go out in one write. 1 gives each event a
    /// write of its own, even where `gap` is zero.
    pub burst: usize,
    /// Whether a stream's head goes out at once, ahead of its first event.
    pub early_head: bool,
    /// Faults by probability; together at most 1, tried in this order.
    pub faults: Vec<Chance>,
    /// The keys that may call; empty lets everybody in.
    pub api_keys: Vec<String>,
    /// What `GET /v1/models` lists. Any other model name is answered too.
    pub models: Vec<String>,
    /// The length of an embedding whose request names none.
    pub dimensions: usize,
    /// Whether an Anthropic call without `anthropic-version` is refused, as the
    /// real API does.
    pub strict: bool,
    /// The largest body that is read, in bytes.
    pub max_body: u64,
    /// How many streams one HTTP/2 connection may carry at once.
    pub max_streams: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            tokens: Length::fixed(32),
            ttft: Pace::ZERO,
            gap: Pace::ZERO,
            burst: 1,
            early_head: false,
            faults: Vec::new(),
            api_keys: Vec::new(),
            models: ["sim", "echo", "embed"].map(str::to_owned).to_vec(),
            // What the most used embedding model gives.
            dimensions: 1536,
            strict: true,
            // Above every limit of the real ones, so that the gateway's own limit is what is met.
            max_body: 64 << 20,
            // What OpenAI and Anthropic allow.
            max_streams: 100,
        }
    }
}
