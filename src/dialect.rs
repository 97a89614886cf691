//! The wire languages of LLM APIs, as pure functions over bytes.

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions, responses, completions and embeddings.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// The simulated provider: OpenAI's and Anthropic's alike.
    Sim,
}
