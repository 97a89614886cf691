//! What a call took, in one arithmetic for all dialects.
//!
//! OpenAI counts cached tokens into `prompt_tokens`; Anthropic reports cache
//! reads and writes beside `input_tokens`. Here `input` is always everything
//! the model read.

/// Tokens of one call; 0 where the provider says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Everything the model read, cached or not. 0 in an estimate that had
    /// nothing to go by.
    pub input: u64,
    /// Everything it wrote, reasoning included where the provider includes it.
    pub output: u64,
    /// The part of `input` that came from the provider's prompt cache.
    pub cached: u64,
    /// The part of `input` that was written to the provider's prompt cache.
    pub cache_write: u64,
    /// The part of the work spent on reasoning.
    pub reasoning: u64,
    /// Set where the provider reported nothing and `output` was estimated from
    /// what was streamed.
    pub estimated: bool,
}

impl Usage {
    /// Input and output together.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
