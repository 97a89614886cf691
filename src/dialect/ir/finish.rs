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
    /// `stop_reason`, the Responses API's `status` and `incomplete_details`,
    /// Gemini's `finishReason` and `blockReason`.
    pub fn from_word(word: &str) -> Self {
        match word {
            "stop" | "end_turn" | "stop_sequence" | "pause_turn" | "completed" | "STOP" => {
                Self::Stop
            }
            "length"
            | "max_tokens"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded"
            | "MAX_TOKENS"
            | "CONTINUATION" => Self::Length,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "content_filter"
            | "refusal"
            | "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "ESCALATION"
            | "PUP_LIMITED_DISABLED"
            | "MODEL_ARMOR"
            | "JAILBREAK"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Self::ContentFilter,
            "error"
            | "failed"
            | "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE" => Self::Error,
            _ => Self::Other,
        }
    }
}
