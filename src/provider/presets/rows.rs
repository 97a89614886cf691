//! The rows, in the order the environment is searched.
//!
//! Only what the provider's own pages, its SDK or recorded traffic say is
//! here, with where. What isn't said is left out: a field that is refused
//! although no row says so gets the provider's own error, which tells more
//! than a guess would.

use super::{AZURE, Preset, SIM, Scheme};
use crate::dialect::quirks::{Quirk, ReasoningField, Refused};
use crate::dialect::{Dialect, MaxTokensField};
use crate::provider::EmbeddingLimits;

/// What most rows share: an OpenAI-compatible server with a bearer key.
const COMPATIBLE: Preset = Preset {
    name: "",
    dialect: Dialect::OpenAi,
    base_url: "",
    also: &[],
    key_variable: "",
    base_variable: "",
    auth: Scheme::Bearer,
    quirks: &[],
    embeddings: EmbeddingLimits::CAREFUL,
    default_model: None,
    families: &[],
    source: "",
};

/// A server on this machine: no key, unless it is given one.
const LOCAL: Preset = Preset {
    auth: Scheme::None,
    ..COMPATIBLE
};

const NEWER_LIMIT: Quirk = Quirk::MaxTokens(MaxTokensField::MaxCompletionTokens);

/// The known providers.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        key_variable: "OPENAI_API_KEY",
        base_variable: "OPENAI_BASE_URL",
        quirks: &[(
            NEWER_LIMIT,
            "platform.openai.com/docs/api-reference/chat/create: `max_tokens` is deprecated, and the o-series refuses it",
        )],
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
        source: "openai-python `_client.py`",
        ..COMPATIBLE
    },
    Preset {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com",
        key_variable: "ANTHROPIC_API_KEY",
        base_variable: "ANTHROPIC_BASE_URL",
        auth: Scheme::Header("x-api-key"),
        default_model: Some("claude-haiku-4-5"),
        families: &["claude-"],
        source: "anthropic-sdk-python `_client.py`",
        ..COMPATIBLE
    },
    // The OpenAI form, so that it serves OpenAI's callers as it stands. More
    // than 100 inputs get a 400 that says so. A limit on their tokens is said
    // for the same models on Vertex AI alone
    // (cloud.google.com/vertex-ai/generative-ai/docs/embeddings).
    Preset {
        name: "gemini",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        also: &[(Dialect::Gemini, "https://generativelanguage.googleapis.com")],
        key_variable: "GEMINI_API_KEY",
        quirks: &[
            (
                Quirk::NoCompletions,
                "ai.google.dev/gemini-api/docs/openai lists none",
            ),
            (
                Quirk::NoResponses,
                "ai.google.dev/gemini-api/docs/openai lists none",
            ),
        ],
        embeddings: EmbeddingLimits {
            inputs: 100,
            tokens: 20_000,
        },
        default_model: Some("gemini-2.5-flash"),
        families: &["gemini-", "gemma-"],
        source: "ai.google.dev/gemini-api/docs/openai, ai.google.dev/api",
        ..COMPATIBLE
    },
    // The URL is the resource's own. Model names are the user's deployments, of
    // models with OpenAI's limits
    // (learn.microsoft.com/azure/ai-foundry/openai/quotas-limits).
    Preset {
        name: AZURE,
        key_variable: "AZURE_OPENAI_API_KEY",
        base_variable: "AZURE_OPENAI_ENDPOINT",
        auth: Scheme::Header("api-key"),
        quirks: &[(
            NEWER_LIMIT,
            "learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning",
        )],
        embeddings: EmbeddingLimits::OPENAI,
        source: "openai-python `lib/azure.py`",
        ..COMPATIBLE
    },
    // The limits on embeddings are told in its refusals: 257 inputs are "too
    // many inputs", and "max is 16384" tokens.
    Preset {
        name: "mistral",
        base_url: "https://api.mistral.ai/v1",
        key_variable: "MISTRAL_API_KEY",
        quirks: &[
            (
                Quirk::NoCompletions,
                "docs.mistral.ai/api lists fill-in-the-middle alone",
            ),
            (Quirk::NoResponses, "docs.mistral.ai/api lists none"),
            (
                Quirk::Refuses(Refused::of(&["max_completion_tokens"])),
                "github.com/editor-code-assistant/eca/issues/231: 422 `extra_forbidden`",
            ),
            (
                Quirk::Refuses(Refused::of(&["stream_options"])),
                "github.com/dnakov/anon-kode/issues/53: 422 `extra_forbidden`; recorded streams tell their usage unasked",
            ),
            (
                Quirk::Refuses(Refused::of(&["store"])),
                "github.com/Gitlawb/openclaude/issues/739: 422 `extra_forbidden`",
            ),
            (
                Quirk::Refuses(Refused::of(&[
                    "developer",
                    "logit_bias",
                    "logprobs",
                    "service_tier",
                    "verbosity",
                ])),
                "docs.mistral.ai/api: not in its schema, which refuses what it doesn't list",
            ),
            (Quirk::RandomSeed, "docs.mistral.ai/api"),
        ],
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
        source: "docs.mistral.ai/api",
        ..COMPATIBLE
    },
    Preset {
        name: "groq",
        base_url: "https://api.groq.com/openai/v1",
        key_variable: "GROQ_API_KEY",
        quirks: &[
            (
                Quirk::NoCompletions,
                "docs.getbifrost.ai/providers/supported-providers/groq",
            ),
            (
                Quirk::Refuses(Refused::of(&["logprobs", "logit_bias", "n", "name"])),
                "console.groq.com/docs/openai: 400",
            ),
        ],
        default_model: Some("openai/gpt-oss-20b"),
        source: "console.groq.com/docs/openai",
        ..COMPATIBLE
    },
    Preset {
        name: "deepseek",
        base_url: "https://api.deepseek.com/v1",
        also: &[(Dialect::Anthropic, "https://api.deepseek.com/anthropic")],
        key_variable: "DEEPSEEK_API_KEY",
        quirks: &[
            (
                Quirk::NoCompletions,
                "api-docs.deepseek.com/api/create-completion: below its beta URL alone",
            ),
            (
                Quirk::Refuses(Refused::of(&["developer"])),
                "github.com/theopenco/llmgateway/pull/3462: 400 unknown variant `developer`",
            ),
            (
                Quirk::Reasoning(ReasoningField::Toggle),
                "api-docs.deepseek.com/guides/thinking_mode",
            ),
            (
                Quirk::ReasoningBack,
                "api-docs.deepseek.com/guides/thinking_mode: 400 without it after tool calls",
            ),
        ],
        default_model: Some("deepseek-v4-flash"),
        families: &["deepseek-"],
        source: "api-docs.deepseek.com",
        ..COMPATIBLE
    },
    // `openrouter/auto` is its own router.
    Preset {
        name: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        key_variable: "OPENROUTER_API_KEY",
        quirks: &[
            (
                Quirk::CacheControl,
                "openrouter.ai/docs/features/prompt-caching",
            ),
            (
                Quirk::Reasoning(ReasoningField::Object),
                "openrouter.ai/docs/use-cases/reasoning-tokens",
            ),
        ],
        default_model: Some("openrouter/auto"),
        source: "openrouter.ai/docs/api-reference",
        ..COMPATIBLE
    },
    Preset {
        name: "xai",
        base_url: "https://api.x.ai/v1",
        key_variable: "XAI_API_KEY",
        default_model: Some("grok-4.3"),
        families: &["grok-"],
        source: "docs.x.ai/docs/api-reference",
        ..COMPATIBLE
    },
    Preset {
        name: "together",
        base_url: "https://api.together.xyz/v1",
        key_variable: "TOGETHER_API_KEY",
        default_model: Some("openai/gpt-oss-20b"),
        source: "docs.together.ai/docs/openai-api-compatibility",
        ..COMPATIBLE
    },
    Preset {
        name: "fireworks",
        base_url: "https://api.fireworks.ai/inference/v1",
        key_variable: "FIREWORKS_API_KEY",
        default_model: Some("accounts/fireworks/models/gpt-oss-20b"),
        families: &["accounts/fireworks/"],
        source: "docs.fireworks.ai/tools-sdks/openai-compatibility",
        ..COMPATIBLE
    },
    // Chat is below the bare host; `/v1` is its other APIs'.
    Preset {
        name: "perplexity",
        base_url: "https://api.perplexity.ai",
        key_variable: "PERPLEXITY_API_KEY",
        quirks: &[(
            Quirk::NoCompletions,
            "docs.getbifrost.ai/providers/supported-providers/perplexity",
        )],
        default_model: Some("sonar"),
        families: &["sonar"],
        source: "docs.perplexity.ai, recorded traffic",
        ..COMPATIBLE
    },
    Preset {
        name: "cerebras",
        base_url: "https://api.cerebras.ai/v1",
        key_variable: "CEREBRAS_API_KEY",
        quirks: &[(
            NEWER_LIMIT,
            "inference-docs.cerebras.ai/api-reference/chat-completions",
        )],
        default_model: Some("gpt-oss-120b"),
        source: "inference-docs.cerebras.ai/resources/openai",
        ..COMPATIBLE
    },
    // Called as LiteLLM calls it: its own models are named `nvidia/…`.
    Preset {
        name: "nvidia_nim",
        base_url: "https://integrate.api.nvidia.com/v1",
        key_variable: "NVIDIA_API_KEY",
        families: &["nvidia/"],
        source: "docs.api.nvidia.com/nim",
        ..COMPATIBLE
    },
    Preset {
        name: "huggingface",
        base_url: "https://router.huggingface.co/v1",
        key_variable: "HF_TOKEN",
        default_model: Some("openai/gpt-oss-120b"),
        source: "huggingface.co/docs/inference-providers, recorded traffic",
        ..COMPATIBLE
    },
    Preset {
        name: "sambanova",
        base_url: "https://api.sambanova.ai/v1",
        key_variable: "SAMBANOVA_API_KEY",
        default_model: Some("Meta-Llama-3.3-70B-Instruct"),
        source: "docs.sambanova.ai/docs/en/features/openai-compatibility",
        ..COMPATIBLE
    },
    Preset {
        name: "deepinfra",
        base_url: "https://api.deepinfra.com/v1/openai",
        key_variable: "DEEPINFRA_API_KEY",
        source: "deepinfra.com/docs/advanced/openai_api",
        ..COMPATIBLE
    },
    Preset {
        name: "moonshot",
        base_url: "https://api.moonshot.ai/v1",
        also: &[(Dialect::Anthropic, "https://api.moonshot.ai/anthropic")],
        key_variable: "MOONSHOT_API_KEY",
        quirks: &[
            (
                NEWER_LIMIT,
                "platform.kimi.ai/docs/api/chat: `max_tokens` is deprecated",
            ),
            (
                Quirk::Reasoning(ReasoningField::Toggle),
                "platform.kimi.ai/docs/guide/use-thinking-effort: effort on K3, on or off on K2",
            ),
            (
                Quirk::ReasoningBack,
                "platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model: 400 without it after tool calls",
            ),
        ],
        default_model: Some("kimi-k3"),
        families: &["kimi-", "moonshot-"],
        source: "platform.kimi.ai/docs/overview",
        ..COMPATIBLE
    },
    Preset {
        name: "zai",
        base_url: "https://api.z.ai/api/paas/v4",
        also: &[(Dialect::Anthropic, "https://api.z.ai/api/anthropic")],
        key_variable: "ZAI_API_KEY",
        quirks: &[
            (
                Quirk::Reasoning(ReasoningField::Thinking),
                "docs.z.ai/guides/capabilities/thinking-mode",
            ),
            (
                Quirk::ReasoningBack,
                "docs.z.ai/guides/capabilities/thinking-mode: thinking between tool calls",
            ),
        ],
        default_model: Some("glm-4.7-flash"),
        families: &["glm-"],
        source: "docs.z.ai/guides/overview/quick-start",
        ..COMPATIBLE
    },
    // Singapore; other regions and workspaces have a `base_url` of their own.
    Preset {
        name: "dashscope",
        base_url: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        also: &[(
            Dialect::Anthropic,
            "https://dashscope-intl.aliyuncs.com/apps/anthropic",
        )],
        key_variable: "DASHSCOPE_API_KEY",
        quirks: &[(
            Quirk::Reasoning(ReasoningField::EnableThinking),
            "alibabacloud.com/help/en/model-studio/deep-thinking",
        )],
        default_model: Some("qwen-plus"),
        families: &["qwen-", "qwen3", "qwq-", "qvq-"],
        source: "alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        ..COMPATIBLE
    },
    Preset {
        name: "minimax",
        base_url: "https://api.minimax.io/v1",
        also: &[(Dialect::Anthropic, "https://api.minimax.io/anthropic")],
        key_variable: "MINIMAX_API_KEY",
        quirks: &[
            (
                Quirk::NoCompletions,
                "platform.minimax.io/docs/api-reference lists none",
            ),
            (
                NEWER_LIMIT,
                "platform.minimax.io/docs/api-reference: `max_tokens` is deprecated",
            ),
        ],
        default_model: Some("MiniMax-M3"),
        families: &["MiniMax-"],
        source: "platform.minimax.io/docs/api-reference/text-openai-api",
        ..COMPATIBLE
    },
    Preset {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        also: &[(Dialect::Anthropic, "http://127.0.0.1:11434")],
        source: "docs.ollama.com/openai",
        ..LOCAL
    },
    // A key only where it was started with one.
    Preset {
        name: "vllm",
        base_url: "http://127.0.0.1:8000/v1",
        also: &[(Dialect::Anthropic, "http://127.0.0.1:8000")],
        source: "docs.vllm.ai, `vllm serve`",
        ..COMPATIBLE
    },
    Preset {
        name: "lmstudio",
        base_url: "http://127.0.0.1:1234/v1",
        also: &[(Dialect::Anthropic, "http://127.0.0.1:1234")],
        source: "lmstudio.ai/docs/developer/openai-compat",
        ..LOCAL
    },
    Preset {
        name: "llamacpp",
        base_url: "http://127.0.0.1:8080/v1",
        also: &[(Dialect::Anthropic, "http://127.0.0.1:8080")],
        source: "github.com/ggml-org/llama.cpp/tree/master/tools/server",
        ..LOCAL
    },
    Preset {
        name: "sglang",
        base_url: "http://127.0.0.1:30000/v1",
        source: "docs.sglang.io, `sglang.launch_server`",
        ..LOCAL
    },
    // No place of its own: its usual port is nowait's too.
    Preset {
        name: "litellm",
        key_variable: "LITELLM_PROXY_API_KEY",
        base_variable: "LITELLM_PROXY_API_BASE",
        quirks: &[(
            Quirk::CacheControl,
            "docs.litellm.ai/docs/completion/prompt_caching",
        )],
        source: "docs.litellm.ai/docs/providers/litellm_proxy",
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
        source: "this program",
        ..COMPATIBLE
    },
];
