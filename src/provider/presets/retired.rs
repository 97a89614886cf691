//! Models that their providers no longer serve: a warning of `check`, and what
//! to use instead.

/// A model its provider no longer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The provider that retired it.
    pub provider: &'static str,
    /// The model.
    pub model: &'static str,
    /// The day it went away, `YYYY-MM-DD`.
    pub since: &'static str,
    /// What the provider names as its replacement.
    pub instead: &'static str,
}

/// What the providers' own pages list as gone
/// (platform.claude.com/docs/en/about-claude/model-deprecations,
/// platform.openai.com/docs/deprecations, ai.google.dev/gemini-api/docs/deprecations).
#[rustfmt::skip]
pub const RETIRED: &[Retired] = &[
    gone("anthropic", "claude-2.0", "2025-07-21", "claude-opus-4-8"),
    gone("anthropic", "claude-2.1", "2025-07-21", "claude-opus-4-8"),
    gone("anthropic", "claude-3-sonnet-20240229", "2025-07-21", "claude-sonnet-4-6"),
    gone("anthropic", "claude-3-5-sonnet-20240620", "2025-10-28", "claude-sonnet-4-6"),
    gone("anthropic", "claude-3-5-sonnet-20241022", "2025-10-28", "claude-sonnet-4-6"),
    gone("anthropic", "claude-3-opus-20240229", "2026-01-05", "claude-opus-4-8"),
    gone("anthropic", "claude-3-7-sonnet-20250219", "2026-02-19", "claude-sonnet-4-6"),
    gone("anthropic", "claude-3-5-haiku-20241022", "2026-02-19", "claude-haiku-4-5"),
    gone("openai", "gpt-4.5-preview", "2025-07-14", "gpt-4.1"),
    gone("openai", "o1-preview", "2025-07-28", "o3"),
    gone("openai", "o1-mini", "2025-10-27", "o4-mini"),
    gone("openai", "codex-mini-latest", "2026-01-16", "gpt-5-codex-mini"),
    gone("openai", "chatgpt-4o-latest", "2026-02-17", "gpt-5.1"),
    gone("openai", "gpt-5-chat-latest", "2026-07-23", "gpt-5.5"),
    gone("openai", "gpt-5-codex", "2026-07-23", "gpt-5.4"),
    gone("openai", "gpt-4o-search-preview-2025-03-11", "2026-07-23", "gpt-4.1-mini"),
    gone("openai", "gpt-4o-mini-search-preview-2025-03-11", "2026-07-23", "gpt-4.1-mini"),
    gone("gemini", "gemini-1.0-pro", "2025-02-15", "gemini-2.5-flash"),
    gone("gemini", "gemini-1.5-pro", "2025-09-24", "gemini-2.5-pro"),
    gone("gemini", "gemini-1.5-flash", "2025-09-24", "gemini-2.5-flash"),
];

const fn gone(
    provider: &'static str,
    model: &'static str,
    since: &'static str,
    instead: &'static str,
) -> Retired {
    Retired {
        provider,
        model,
        since,
        instead,
    }
}

/// Whether `provider` has retired `model`. Other providers may still serve a
/// model of that name, so both are asked for.
pub fn retired(provider: &str, model: &str) -> Option<&'static Retired> {
    RETIRED
        .iter()
        .find(|gone| gone.provider == provider && gone.model == model)
}
