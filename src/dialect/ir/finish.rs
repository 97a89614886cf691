//! Why an answer ended: one list of reasons for every format's words.

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
