//! The table itself: sections and keys in the order they are shown.

use super::{Form, Part, Row};

const fn part(path: &'static str, sample: &'static str, about: &'static str) -> Part {
    Part {
        path,
        sample,
        about,
    }
}

const fn row(path: &'static str, form: Form, about: &'static str) -> Row {
    Row {
        path,
        form,
        default: None,
        sample: "",
        about,
    }
}

impl Row {
    const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    const fn sample(mut self, toml: &'static str) -> Self {
        self.sample = toml;
        self
    }
}

/// The sections, in the order of the page.
#[rustfmt::skip]
pub(in crate::config) const SECTIONS: &[Part] = &[
    part("server", "server", "The side callers see."),
    part("server.tls", "", "nowait's own certificate. Without it callers speak plain HTTP."),
    part("tls", "tls", "Whom outbound connections trust."),
    part("providers.*", "providers.openai", "Who can be called. A known name (docs/providers.md: openai, anthropic, gemini, azure, mistral, groq, deepseek, openrouter, xai, together, fireworks, perplexity, cerebras, nvidia_nim, huggingface, sambanova, deepinfra, moonshot, zai, dashscope, minimax, ollama, vllm, lmstudio, llamacpp, sglang, litellm, sim) needs nothing but a key, which is also looked for in its usual variable; any other name needs a `base_url`. With no provider in the file, those whose key is in the environment are used; with none there either, the simulated one answers."),
    part("providers.*.pool", "providers.openai.pool", "A provider's connections."),
    part("providers.*.quirks", "providers.openai.quirks", "What is particular about a server, where nowait doesn't know it or is wrong (docs/providers.md)."),
    part("models.*", "models.fast", "A name of your own for one or more models."),
    part("models.*.timeout", "models.fast.timeout", "Deadlines of this model alone; what is left out comes from `[timeout]`."),
    part("timeout", "timeout", "Deadlines. A caller shortens the whole with `x-nowait-timeout`."),
    part("retry", "retry", "How often a call may be tried."),
    part("hedge", "hedge", "How much hedging may cost."),
    part("cache", "cache", "Which answers are shared and kept, how long, and where."),
    part("batch", "batch", "How calls are put together and taken apart."),
    part("generate", "generate", "The plain endpoint."),
    part("keys", "", "Who may call: one `[[keys]]` per caller. With none, nowait listens on loopback addresses only."),
    part("sim", "sim", "The simulated provider. Distributions are written `200ms`, `uniform(50ms,200ms)`, `lognormal(p50=200ms,p99=2s)` or `quantiles(p50=200ms,p90=1s,p99=4s)`."),
];

/// The keys, section by section.
#[rustfmt::skip]
pub(in crate::config) const ROWS: &[Row] = &[
    row("server.listen", Form::Address, "the address callers connect to; `--listen` and `NOWAIT_LISTEN` go before it")
        .default("\"127.0.0.1:4000\""),
    row("server.max_body", Form::Size, "the largest request body")
        .default("\"32MiB\""),
    row("server.drain", Form::Duration, "how long open streams may go on after SIGTERM")
        .default("\"30s\""),
    row("server.auth", Form::Words(&["keys", "none"]), "`none` serves strangers, on a public address too; written out on purpose")
        .default("\"keys\""),
    row("server.threads", Form::Count, "cores used; without it all there are")
        .sample("2"),
    row("server.tls.cert", Form::Path, "a PEM file: the certificate, then its chain; relative to this file")
        .sample("\"cert.pem\""),
    row("server.tls.key", Form::Path, "a PEM file: the private key")
        .sample("\"key.pem\""),

    row("tls.roots", Form::Words(&["system", "bundled"]), "the operating system's certificates, or Mozilla's as compiled in")
        .default("\"system\""),
    row("tls.ca_file", Form::Path, "a PEM file of certificates trusted as well; relative to this file")
        .sample("\"company-ca.pem\""),

    row("providers.*.api_key", Form::Secret, "its key; without one the caller's own is passed through")
        .sample("\"${OPENAI_API_KEY}\""),
    row("providers.*.api_keys", Form::Secrets, "several keys of it instead of one: each is a target of its own, with its own limits and health")
        .sample("[\"${OPENAI_API_KEY}\", \"${OPENAI_API_KEY_2}\"]"),
    row("providers.*.dialect", Form::Words(&["openai", "anthropic", "gemini", "sim"]), "what it speaks; known for known names, else `openai`")
        .sample("\"openai\""),
    row("providers.*.base_url", Form::Url, "what its own SDK takes: with `/v1` for OpenAI and compatible servers, without for Anthropic")
        .sample("\"https://api.openai.com/v1\""),
    row("providers.*.api_version", Form::Text, "what its calls have in their query as `api-version`; for Azure a date means `/openai/deployments/MODEL/…` and none `/openai/v1/…`, and it is also looked for in `OPENAI_API_VERSION`")
        .sample("\"2024-10-21\""),
    row("providers.*.auth", Form::Auth, "how the key is presented; known for known names, else by dialect")
        .sample("\"bearer\""),
    row("providers.*.headers", Form::Headers, "headers every call to it carries")
        .sample("{ \"OpenAI-Organization\" = \"org-1\" }"),
    row("providers.*.stream_usage", Form::Words(&["estimate", "ask"]), "where a stream's caller asks for no usage: estimate it, or ask for it and hide the extra chunk")
        .default("\"estimate\""),
    row("providers.*.limit", Form::Limit, "calls under way at once, per key: a number, or found out. `aimd` is none until too many are refused with 429 or 529, `gradient` falls at rising times to first token; `auto` is `gradient` where the base URL is an address or a bare name of a private network, else `aimd`")
        .default("\"auto\""),
    row("providers.*.queue", Form::Count, "calls that wait for their turn at that limit, per key; more are refused")
        .default("1000"),
    row("providers.*.default_model", Form::Text, "what `/generate` asks it for when it comes first and nobody names a model")
        .sample("\"gpt-4o\""),

    row("providers.*.pool.warm", Form::Count, "connections kept ready, before anyone asks")
        .default("2"),
    row("providers.*.pool.http", Form::Words(&["auto", "1", "2"]), "`auto` is ALPN; `2` is prior knowledge on http://")
        .default("\"auto\""),
    row("providers.*.pool.max_streams_per_connection", Form::Count, "HTTP/2 streams on one connection before the next is opened; OpenAI and Anthropic refuse more than 100")
        .default("90"),
    row("providers.*.pool.idle_timeout", Form::Duration, "an idle connection is closed, a warm one replaced, after this")
        .default("\"90s\""),
    row("providers.*.pool.max_connections", Form::Count, "connections open at once; calls beyond wait for one")
        .default("1024"),

    row("providers.*.quirks.max_tokens_field", Form::Words(&["max_tokens", "max_completion_tokens"]), "the field of chat calls for the limit; `max_tokens` unless known")
        .sample("\"max_tokens\""),
    row("providers.*.quirks.default_max_tokens", Form::Count, "the limit of a Messages call whose caller sets none; the model's own unless set")
        .sample("4096"),
    row("providers.*.quirks.refuses", Form::Texts, "fields of chat calls that it refuses, `name` (of messages) and `developer` (the role) among them: left out of translated calls, or sent under another name of the same meaning")
        .sample("[\"logit_bias\", \"developer\"]"),
    row("providers.*.quirks.reasoning_field", Form::Words(&["reasoning_effort", "reasoning", "thinking_or_effort", "thinking", "enable_thinking"]), "where chat calls say how hard to think; `reasoning_effort` unless known")
        .sample("\"reasoning_effort\""),
    row("providers.*.quirks.completions", Form::Flag, "whether it has `/completions`; calls of it are translated to chat where it has not")
        .sample("true"),
    row("providers.*.quirks.chat", Form::Flag, "whether it has `/chat/completions`; calls of it, and those that would become chat, are translated to Responses where it has not")
        .sample("true"),
    row("providers.*.quirks.responses", Form::Flag, "whether it has `/responses`; calls of it are translated to chat where it has not")
        .sample("true"),
    row("providers.*.quirks.cache_control", Form::Flag, "whether its chat calls take `cache_control`")
        .sample("false"),
    row("providers.*.quirks.reasoning_back", Form::Flag, "whether it wants its `reasoning_content` back in later turns")
        .sample("false"),

    row("models.*.targets", Form::Texts, "who may answer, as `provider/model`; required")
        .sample("[\"openai/gpt-4o-mini\", \"openai/gpt-4.1-mini\"]"),
    row("models.*.balance", Form::Words(&["order", "latency", "weighted", "least_pending", "sticky"]), "which target is asked first")
        .default("\"order\""),
    row("models.*.hedge", Form::Hedge, "when a second target is asked as well: after a percentile of recent times, or a fixed wait")
        .default("\"off\""),
    row("models.*.weights", Form::Counts, "under `balance = \"weighted\"`: how many calls each target gets beside the others, in their order")
        .sample("[3, 1]"),
    row("models.*.fallback_on", Form::Refusals, "refusals after which another target is asked; without them those that are about the call itself (400, 401, 403, 404, 422 …) are the last word")
        .sample("[\"context_length\", 404]"),
    row("models.*.on_loss", Form::Words(&["report", "reject"]), "fields that a target cannot carry: named in `x-nowait-dropped`, or a 400")
        .default("\"report\""),
    row("models.*.prompt_cache", Form::Words(&["off", "auto"]), "`auto` marks the stable beginning of a translated prompt (tools, instructions, the conversation so far) with Anthropic's `cache_control`, where its caller marked nothing")
        .default("\"off\""),
    row("models.*.share", Form::Words(&["off", "deterministic", "all"]), "which of its calls may share one answer; without it as `[cache]` says, and for `/generate` as `[generate]` says")
        .sample("\"deterministic\""),
    row("models.*.timeout.connect", Form::Duration, "as in `[timeout]`").sample("\"5s\""),
    row("models.*.timeout.first_token", Form::Duration, "as in `[timeout]`").sample("\"10s\""),
    row("models.*.timeout.idle", Form::Duration, "as in `[timeout]`").sample("\"120s\""),
    row("models.*.timeout.total", Form::Duration, "as in `[timeout]`").sample("\"600s\""),

    row("timeout.connect", Form::Duration, "until a connection is ready: dns, connect and TLS together")
        .default("\"5s\""),
    row("timeout.first_token", Form::Duration, "from the request sent to the first content")
        .default("\"120s\""),
    row("timeout.idle", Form::Duration, "between two tokens")
        .default("\"120s\""),
    row("timeout.total", Form::Duration, "for the whole call")
        .default("\"600s\""),

    row("retry.attempts", Form::Count, "upstream calls for one call, the first included")
        .default("3"),
    row("retry.budget", Form::Ratio, "extra calls as a share of recent calls, per upstream …")
        .default("0.2"),
    row("retry.floor", Form::Count, "… but always this many per 10 s")
        .default("10"),

    row("hedge.budget", Form::Ratio, "hedges as a share of recent calls")
        .default("0.05"),
    row("hedge.min", Form::Duration, "never sooner than this")
        .default("\"20ms\""),
    row("hedge.max", Form::Duration, "never later than this")
        .default("\"10s\""),

    row("cache.share", Form::Words(&["off", "deterministic", "all"]), "which calls may share one answer: none; embeddings, token counts and temperature 0; all (docs/sharing.md). `/generate` has its own rule")
        .default("\"deterministic\""),
    row("cache.ttl", Form::Duration, "how long an answer is fresh; it is held as long again for callers who take a stale one. `0s` keeps none")
        .default("\"1h\""),
    row("cache.memory", Form::Size, "answers kept in memory, with all that is allocated around them. `0B` keeps none")
        .default("\"256MiB\""),
    row("cache.scope", Form::Words(&["tenant", "global"]), "among whom: the callers of one gateway key (of one key of their own, where the provider has none), or everybody")
        .default("\"tenant\""),
    row("cache.redis", Form::Secret, "a Redis or Valkey behind the memory, shared by replicas, also looked for in `REDIS_URL`: `redis://`, `redis+cluster://`, `redis+sentinel://`, `unix://`, with `rediss` for TLS (docs/redis.md)")
        .sample("\"redis://127.0.0.1:6379\""),

    row("batch.embeddings", Form::Flag, "whether embedding calls under way at once travel as one, and vectors are kept one by one")
        .default("true"),
    row("batch.concurrency", Form::Count, "items of one `/generate/batch` under way at once")
        .default("16"),

    row("generate.model", Form::Text, "the model of `/generate`; without it `gpt-4o` where openai is there, else the first provider's `default_model`")
        .sample("\"gpt-4o\""),
    row("generate.claude_model", Form::Text, "the model of `/generate_claude`")
        .default("\"claude-3-5-haiku-20241022\""),
    row("generate.share", Form::Words(&["off", "deterministic", "all"]), "which of its calls may share one answer, where the model has no rule of its own")
        .default("\"all\""),

    row("keys.name", Form::Text, "who, in logs and metrics; required").sample("\"web\""),
    // Random: the hash of no key, for people uncomment examples.
    row("keys.hash", Form::Hash, "SHA-256 of the key: `printf %s \"$KEY\" | sha256sum`; required")
        .sample("\"sha256:2e3127ea76a3b5d8975c18a756186d5397162d91d5ca1c45fb5f256afb13d574\""),
    row("keys.models", Form::Texts, "what it may ask for; `*` stands for any run of characters").default("[\"*\"]"),
    row("keys.admin", Form::Flag, "whether it may see metrics and status, and empty the cache").default("false"),

    row("sim.seed", Form::Count, "fixes every text, vector, latency and fault").default("1"),
    row("sim.tokens", Form::Length, "tokens in an answer").default("\"32\""),
    row("sim.ttft", Form::Pace, "from the request to the first token").default("\"0\""),
    row("sim.gap", Form::Pace, "between two tokens").default("\"0\""),
    row("sim.burst", Form::Count, "events that are due and go out in one write").default("1"),
    row("sim.early_head", Form::Flag, "whether a stream's head goes out ahead of its first event").default("false"),
    row("sim.faults", Form::Texts, "faults by probability, as `FAULT[@N]:PROBABILITY`: statuses, refuse, reset, stall, malformed, truncate, drip …")
        .sample("[\"503:0.01\", \"stall@3:1%\"]"),
    row("sim.models", Form::Texts, "what its `/v1/models` lists; any name is answered")
        .default("[\"sim\", \"echo\", \"embed\"]"),
    row("sim.dimensions", Form::Count, "the length of an embedding").default("1536"),
    row("sim.strict", Form::Flag, "whether an Anthropic call without `anthropic-version` is refused").default("true"),
    row("sim.max_streams", Form::Count, "HTTP/2 streams it allows on one connection").default("100"),
];
