//! What `/generate` asks and what it is told, apart from any dialect.
//!
//! Borrowed on the way in (the caller's body outlives the encoding), owned on
//! the way out (the provider's frame doesn't outlive the decoding).

use crate::dialect::{Finish, Usage};

/// One prompt, as `/generate` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prompt<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// What the user says.
    pub prompt: &'a str,
    /// The system prompt; an empty one counts as none, because Anthropic
    /// refuses empty texts.
    pub system: Option<&'a str>,
    /// The most tokens to generate.
    pub max_tokens: Option<u64>,
    /// As the caller gave it; its range is the provider's business.
    pub temperature: Option<f64>,
    /// Texts that end the generation.
    pub stop: &'a [String],
    /// For providers that can repeat themselves.
    pub seed: Option<i64>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// All text of the first choice, in order; empty for a stream, whose text
    /// went out in its deltas.
    pub text: String,
    /// The model the provider says it used.
    pub model: Option<String>,
    /// The provider's id of this answer.
    pub id: Option<String>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// What it took.
    pub usage: Option<Usage>,
}

/// One step of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More text; never empty.
    Delta(String),
    /// The provider's terminal event.
    End,
    /// The provider gave up, which would have had this status.
    Failed(Refusal, u16),
}

/// A provider's own error, whatever its shape was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What the provider said.
    pub message: String,
    /// Its code or error type, where it named one.
    pub code: Option<String>,
}
