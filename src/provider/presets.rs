//! The providers everybody knows: one row each.
//!
//! A row is what the provider's own SDK has built in: the variable its key is
//! read from, the base URL, how the key is presented. Model-name families make
//! bare names resolve. Adding a compatible provider is adding a row.

use http::HeaderName;

use crate::dialect::Dialect;

use super::{Auth, EmbeddingLimits, MaxTokensField};

/// One known provider.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    /// Its base URL; empty where it has none of its own.
    pub base_url: &'static str,
    /// The variable that holds its key; empty for local servers without one.
    pub key_variable: &'static str,
    /// The variable its SDK reads another base URL from; empty for none.
    pub base_variable: &'static str,
    /// How the key is presented.
    pub auth: Scheme,
    /// What its chat completions call the token limit.
    pub limits_field: MaxTokensField,
    /// What one call for embeddings may hold.
    pub embeddings: EmbeddingLimits,
    /// What `/generate` asks it for when nobody names a model.
    pub default_model: Option<&'static str>,
    /// Bare model names that are its own: beginnings.
    pub families: &'static [&'static str],
}

/// [`Auth`], in a form a constant can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone, in this header.
    Header(&'static str),
    /// No key.
    None,
}

impl Scheme {
    /// How a dialect's own provider wants its key.
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi | Dialect::Sim => Self::Bearer,
            Dialect::Anthropic => Self::Header("x-api-key"),
            Dialect::Gemini => Self::Header("x-goog-api-key"),
        }
    }
}

impl From<Scheme> for Auth {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Bearer => Self::Bearer,
            Scheme::Header(name) => Self::Header(HeaderName::from_static(name)),
            Scheme::None => Self::None,
        }
    }
}

/// What most rows share: an OpenAI-compatible server with a bearer key.
const COMPATIBLE: Preset = Preset {
    name: "",
    dialect: Dialect::OpenAi,
    base_url: "",
    key_variable: "",
    base_variable: "",
    auth: Scheme::Bearer,
    limits_field: MaxTokensField::MaxTokens,
    embeddings: EmbeddingLimits::CAREFUL,
    default_model: None,
    families: &[],
};

/// Gemini's own API, for `dialect = "gemini"` without a `base_url`
/// (ai.google.dev/api).
pub const GEMINI_NATIVE_URL: &str = "https://generativelanguage.googleapis.com";

/// The rows, in the order the environment is searched. Base URLs and key
/// variables are those of each provider's SDK or API reference, named above
/// its row.
pub const PRESETS: &[Preset] = &[
    // openai-python `_client.py`. The older `o1`-style models refuse
    // `max_tokens`, all of today's take `max_completion_tokens`.
    Preset {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        key_variable: "OPENAI_API_KEY",
        base_variable: "OPENAI_BASE_URL",
        limits_field: MaxTokensField::MaxCompletionTokens,
        embeddings: EmbeddingLimits::OPENAI,
        default_model: Some("gpt-4o"),
        families: &[
            "gpt-",
            "chatgpt-",
            "o1",
            "o3",
            "o4",
            "text-embedding-",
            "omni-moderation-",
            "text-moderation-",
            "dall-e-",
            "whisper-",
            "tts-",
            "sora-",
            "codex-",
            "computer-use-",
            "davinci-",
            "babbage-",
        ],
        ..COMPATIBLE
    },
    // anthropic-sdk-python `_client.py`.
    Preset {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com",
        key_variable: "ANTHROPIC_API_KEY",
        base_variable: "ANTHROPIC_BASE_URL",
        auth: Scheme::Header("x-api-key"),
        default_model: Some("claude-haiku-4-5"),
        families: &["claude-"],
        ..COMPATIBLE
    },
    // ai.google.dev/gemini-api/docs/openai: the OpenAI form, so that it serves
    // today's callers as it stands; `dialect = "gemini"` picks the native one.
    // More than 100 inputs get a 400 that says so. A limit on their tokens is
    // said for the same models on Vertex AI alone
    // (cloud.google.com/vertex-ai/generative-ai/docs/embeddings).
    Preset {
        name: "gemini",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable: "GEMINI_API_KEY",
        embeddings: EmbeddingLimits {
            inputs: 100,
            tokens: 20_000,
        },
        default_model: Some("gemini-2.5-flash"),
        families: &["gemini-", "gemma-"],
        ..COMPATIBLE
    },
    // openai-python `lib/azure.py`; the URL is the resource's own, with
    // `/openai/v1` behind it. Model names are the user's deployments, of models
    // with OpenAI's limits (learn.microsoft.com/azure/ai-foundry/openai/quotas-limits).
    Preset {
        name: "azure",
        key_variable: "AZURE_OPENAI_API_KEY",
        base_variable: "AZURE_OPENAI_ENDPOINT",
        auth: Scheme::Header("api-key"),
        limits_field: MaxTokensField::MaxCompletionTokens,
        embeddings: EmbeddingLimits::OPENAI,
        ..COMPATIBLE
    },
    // docs.mistral.ai/api. The limits on embeddings are told in its refusals:
    // 257 inputs are "too many inputs", and "max is 16384" tokens.
    Preset {
        name: "mistral",
        base_url: "https://api.mistral.ai/v1",
        key_variable: "MISTRAL_API_KEY",
        embeddings: EmbeddingLimits {
            inputs: 256,
            tokens: 16_384,
        },
        default_model: Some("mistral-small-latest"),
        families: &[
            "mistral-",
            "ministral-",
            "magistral-",
            "codestral-",
            "devstral-",
            "pixtral-",
            "voxtral-",
            "open-mistral-",
            "open-mixtral-",
        ],
        ..COMPATIBLE
    },
    // console.groq.com/docs/openai
    Preset {
        name: "groq",
        base_url: "https://api.groq.com/openai/v1",
        key_variable: "GROQ_API_KEY",
        default_model: Some("openai/gpt-oss-20b"),
        ..COMPATIBLE
    },
    // api-docs.deepseek.com
    Preset {
        name: "deepseek",
        base_url: "https://api.deepseek.com/v1",
        key_variable: "DEEPSEEK_API_KEY",
        default_model: Some("deepseek-v4-flash"),
        families: &["deepseek-"],
        ..COMPATIBLE
    },
    // openrouter.ai/docs/api-reference; `openrouter/auto` is its own router.
    Preset {
        name: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        key_variable: "OPENROUTER_API_KEY",
        default_model: Some("openrouter/auto"),
        ..COMPATIBLE
    },
    // docs.x.ai/docs/api-reference
    Preset {
        name: "xai",
        base_url: "https://api.x.ai/v1",
        key_variable: "XAI_API_KEY",
        default_model: Some("grok-4.3"),
        families: &["grok-"],
        ..COMPATIBLE
    },
    // docs.together.ai/docs/openai-api-compatibility
    Preset {
        name: "together",
        base_url: "https://api.together.xyz/v1",
        key_variable: "TOGETHER_API_KEY",
        default_model: Some("openai/gpt-oss-20b"),
        ..COMPATIBLE
    },
    // docs.fireworks.ai/tools-sdks/openai-compatibility
    Preset {
        name: "fireworks",
        base_url: "https://api.fireworks.ai/inference/v1",
        key_variable: "FIREWORKS_API_KEY",
        default_model: Some("accounts/fireworks/models/gpt-oss-20b"),
        families: &["accounts/fireworks/"],
        ..COMPATIBLE
    },
    // docs.ollama.com/openai: port 11434, no key.
    Preset {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        auth: Scheme::None,
        ..COMPATIBLE
    },
    // docs.vllm.ai, `vllm serve`: port 8000; a key only where started with one.
    Preset {
        name: "vllm",
        base_url: "http://127.0.0.1:8000/v1",
        ..COMPATIBLE
    },
    // lmstudio.ai/docs/app/api/endpoints/openai: port 1234, no key.
    Preset {
        name: "lmstudio",
        base_url: "http://127.0.0.1:1234/v1",
        auth: Scheme::None,
        ..COMPATIBLE
    },
    // Ours. Without a `base_url` it runs inside this process. It takes any
    // model name; this one is what a first caller of `/generate` expects.
    // It takes embeddings as OpenAI does.
    Preset {
        name: SIM,
        dialect: Dialect::Sim,
        auth: Scheme::None,
        embeddings: EmbeddingLimits::OPENAI,
        default_model: Some("gpt-4o"),
        ..COMPATIBLE
    },
];

/// The name of the simulated provider.
pub const SIM: &str = "sim";

/// The known provider of that name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The known provider a bare model name belongs to: `gpt-4o` → `openai`.
pub fn family(model: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|preset| preset.families.iter().any(|start| model.starts_with(start)))
        .map(|preset| preset.name)
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::provider::BaseUrl;

    #[test]
    fn bare_names_belong_to_families() {
        let rows = [
            ("gpt-4o", Some("openai")),
            ("o1", Some("openai")),
            ("o3-mini", Some("openai")),
            ("o4-mini", Some("openai")),
            ("chatgpt-4o-latest", Some("openai")),
            ("text-embedding-3-small", Some("openai")),
            ("claude-haiku-4-5", Some("anthropic")),
            ("gemini-2.5-pro", Some("gemini")),
            ("mistral-small-latest", Some("mistral")),
            ("grok-4", Some("xai")),
            ("deepseek-chat", Some("deepseek")),
            ("accounts/fireworks/models/x", Some("fireworks")),
            ("my-own", None),
            ("o", None),
            ("", None),
        ];
        for (model, expected) in rows {
            assert_eq!(family(model), expected, "{model}");
        }
    }

    #[test]
    fn every_row_is_sound() {
        let names: BTreeSet<_> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names.len(), PRESETS.len(), "two rows of one name");
        for preset in PRESETS {
            if !preset.base_url.is_empty() {
                let url: BaseUrl = preset.base_url.parse().expect(preset.name);
                assert_eq!(url.to_string(), preset.base_url);
            }
            for family in preset.families {
                assert_eq!(
                    super::family(family),
                    Some(preset.name),
                    "{family} is shadowed"
                );
            }
            // Less would let no call share.
            assert!(preset.embeddings.inputs > 1 && preset.embeddings.tokens > 2);
            if let Some(model) = preset.default_model {
                assert_eq!(retired(preset.name, model), None, "{model}");
            }
            // `from_static` panics on a bad name: here rather than at start.
            let _ = Auth::from(preset.auth);
        }
        for gone in RETIRED {
            assert!(preset(gone.provider).is_some());
            assert_eq!(retired(gone.provider, gone.instead), None, "{}", gone.model);
        }
    }
}
