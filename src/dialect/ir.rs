//! What a call and its answer mean, apart from any dialect: only as far as
//! `/generate` needs it.
//!
//! Borrowed on the way in (the caller's body outlives the encoding), owned on
//! the way out (the provider's frame doesn't outlive the decoding).

use super::Usage;

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
    /// The provider gave up.
    Failed(Refusal),
}

/// A provider's own error, whatever its shape was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What the provider said.
    pub message: String,
    /// Its code or error type, where it named one.
    pub code: Option<String>,
}

/// Why a generation ended, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It was done, or met a stop text.
    Stop,
    /// It ran into its limit of tokens or the model's window.
    Length,
    /// It wants a tool called.
    ToolCalls,
    /// It was cut off or refused.
    ContentFilter,
    /// The provider failed on the way.
    Error,
    /// A word this version doesn't know.
    Other,
}

impl Finish {
    /// OpenAI's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// Reads any dialect's word: OpenAI's `finish_reason`, Anthropic's
    /// `stop_reason`, the Responses API's `status` and `incomplete_details`.
    pub fn from_word(word: &str) -> Self {
        match word {
            "stop" | "end_turn" | "stop_sequence" | "pause_turn" | "completed" => Self::Stop,
            "length"
            | "max_tokens"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded" => Self::Length,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "content_filter" | "refusal" => Self::ContentFilter,
            "error" | "failed" => Self::Error,
            _ => Self::Other,
        }
    }
}
