//! The configuration through its front door: text and variables in, a
//! configuration or everything that is wrong out.

mod problems;

use std::time::Duration;

use proptest::prelude::*;

use crate::dialect::Dialect;
use crate::provider::{Auth, HttpVersion, MaxTokensField, StreamUsage};

use super::*;

/// What every test may show but none must.
const SECRET: &str = "ses4me-0pen";

/// Variables: name, value.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A file, variables, and what is expected of them.
type Row<'a> = (&'a str, Variables<'a>, &'a [&'a str]);

fn env(variables: &[(&str, &str)]) -> Environment {
    Environment::from_iter(variables.iter().copied())
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Config {
    match Config::parse(text, "nowait.toml", &env(variables)) {
        Ok(config) => config,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    match Config::parse(text, "nowait.toml", &env(variables)) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => problems.to_string(),
    }
}

fn names(config: &Config) -> Vec<&str> {
    config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect()
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = parse("", &[]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(config.server.max_body, 32 << 20);
    assert_eq!(config.server.drain, Duration::from_secs(30));
    assert_eq!(config.timeout.connect, Duration::from_secs(5));
    assert_eq!(config.timeout.total, Duration::from_secs(600));
    assert_eq!(
        (
            config.retry.attempts.get(),
            config.retry.budget,
            config.retry.floor
        ),
        (3, 0.2, 10)
    );
    assert_eq!(
        (config.cache.share, config.cache.memory),
        (Share::Deterministic, 256 << 20)
    );
    assert_eq!(
        (config.batch.concurrency.get(), config.batch.embeddings),
        (16, true)
    );
    assert_eq!(
        (config.generate.model.as_deref(), config.generate.share),
        (Some("gpt-4o"), Share::All)
    );
    assert_eq!(config.generate.claude_model, "claude-3-5-haiku-20241022");
    assert_eq!(config.sim, sim::Settings::default());
    assert_eq!(names(&config), ["sim"]);
    assert!(config.providers[0].is_in_process() && config.keys.is_empty());
    assert_eq!(config.notices, []);
}

#[test]
fn providers_come_from_the_file_or_the_environment() {
    const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "k1");
    const CLAUDE: (&str, &str) = ("ANTHROPIC_API_KEY", "k2");
    let rows: [Row<'_>; 9] = [
        ("", &[], &["sim"]),
        ("", &[("OPENAI_API_KEY", "")], &["sim"]),
        ("", &[CLAUDE, OPENAI], &["openai", "anthropic"]),
        ("[server]\ndrain = '1s'", &[OPENAI], &["openai"]),
        ("[providers.groq]", &[OPENAI], &["groq"]),
        (
            "[providers.zeta]\nbase_url='http://h/v1'\n[providers.alpha]\nbase_url='http://h/v1'",
            &[],
            &["zeta", "alpha"],
        ),
        (
            "",
            &[OPENAI, ("NOWAIT__PROVIDERS__VLLM__BASE_URL", "http://h/v1")],
            &["vllm", "openai"],
        ),
        (
            "",
            &[OPENAI, ("NOWAIT__PROVIDERS__OPENAI__POOL__WARM", "7")],
            &["openai"],
        ),
        ("[providers.sim]", &[OPENAI], &["sim"]),
    ];
    for (text, variables, expected) in rows {
        assert_eq!(
            names(&parse(text, variables)),
            expected,
            "{text} {variables:?}"
        );
    }
}

#[test]
fn azures_variables_say_which_form_of_its_urls() {
    let endpoint = "https://mine.openai.azure.com/";
    let rows = [
        (endpoint, None, "/openai/v1", None, false),
        (
            endpoint,
            Some("2024-10-21"),
            "/openai",
            Some("2024-10-21"),
            true,
        ),
        (
            "https://mine.openai.azure.com/openai/v1/",
            Some("2024-10-21"),
            "/openai/v1",
            None,
            false,
        ),
    ];
    for (endpoint, version, prefix, kept, deployments) in rows {
        let mut env = vec![
            ("AZURE_OPENAI_API_KEY", "k"),
            ("AZURE_OPENAI_ENDPOINT", endpoint),
        ];
        env.extend(version.map(|version| ("OPENAI_API_VERSION", version)));
        let config = parse("", &env);
        let azure = &config.providers[0];
        assert_eq!(
            (&*azure.base.prefix, azure.api_version.as_deref()),
            (prefix, kept)
        );
        assert_eq!(azure.deployments, deployments);
    }
    // Another name for a resource changes nothing but the name.
    let text = "[providers.east]\nbase_url = 'https://east.openai.azure.com'\napi_key = 'k'";
    let config = parse(text, &[]);
    let east = &config.providers[0];
    assert_eq!(east.base.prefix, "/openai/v1");
    assert_eq!(
        east.auth,
        Auth::Header(http::HeaderName::from_static("api-key"))
    );
    assert!(config.notices.is_empty(), "{:?}", config.notices);
}

#[test]
fn quirks_of_the_file_go_over_those_that_are_known() {
    let text = "[providers.mistral.quirks]\nrefuses = ['seed']\nmax_tokens_field = 'max_completion_tokens'\n\
                reasoning_field = 'thinking'\ncache_control = true\nreasoning_back = true\ncompletions = true\nresponses = true\nchat = false\ndefault_max_tokens = 5\n";
    let quirks = parse(text, &[("MISTRAL_API_KEY", "k")]).providers[0].quirks;
    assert_eq!(quirks.refuses.names().collect::<Vec<_>>(), ["seed"]);
    assert_eq!(quirks.max_tokens, MaxTokensField::MaxCompletionTokens);
    assert_eq!(quirks.each().len(), 8, "{:?}", quirks.each());
    // A row is of its own dialect.
    let text = "[providers.deepseek]\ndialect = 'anthropic'\n";
    let config = parse(text, &[("DEEPSEEK_API_KEY", "k")]);
    assert_eq!(
        config.providers[0].base.to_string(),
        "https://api.deepseek.com/anthropic"
    );
    assert!(config.providers[0].quirks.each().is_empty());
}

#[test]
fn a_known_provider_needs_nothing_but_its_key() {
    let config = parse(
        "",
        &[
            ("OPENAI_API_KEY", " k1\n"),
            ("ANTHROPIC_API_KEY", "k2"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9"),
            ("AZURE_OPENAI_API_KEY", "k3"),
            ("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/"),
        ],
    );
    let [openai, anthropic, azure] = config.providers.as_slice() else {
        panic!("{:?}", config.providers);
    };
    assert_eq!(openai.base.to_string(), "https://api.openai.com/v1");
    assert_eq!(
        (openai.dialect, &openai.auth),
        (Dialect::OpenAi, &Auth::Bearer)
    );
    assert_eq!(openai.key.as_ref().map(Secret::expose), Some("k1"));
    assert_eq!(
        openai.quirks.limit_field(),
        MaxTokensField::MaxCompletionTokens
    );
    assert_eq!((openai.pool.warm, openai.pool.http), (2, HttpVersion::Auto));
    assert_eq!(openai.stream_usage, StreamUsage::Estimate);
    assert_eq!(
        (openai.found.as_str(), openai.simulated),
        ("OPENAI_API_KEY", false)
    );
    assert_eq!(anthropic.base.to_string(), "http://127.0.0.1:9");
    assert_eq!(
        anthropic.auth,
        Auth::Header(http::HeaderName::from_static("x-api-key"))
    );
    assert_eq!(
        azure.base.to_string(),
        "https://mine.openai.azure.com/openai/v1"
    );
    assert_eq!(
        azure.auth,
        Auth::Header(http::HeaderName::from_static("api-key"))
    );
}

#[test]
fn a_named_provider_is_what_the_file_says() {
    let text = r#"
        [providers.vllm]
        dialect = "openai"
        base_url = "http://10.0.0.5:8000/v1"
        auth = { header = "X-Key" }
        headers = { "X-Team" = "${TEAM}" }
        stream_usage = "ask"
        default_model = "qwen"
        [providers.vllm.pool]
        warm = 0
        http = 2
        max_streams_per_connection = 5
        idle_timeout = "4s"
        max_connections = 8
        [providers.openai]
        [providers.gemini]
        dialect = "gemini"
        [providers.sim]
        base_url = "http://127.0.0.1:9"
    "#;
    let config = parse(text, &[("TEAM", SECRET), ("OPENAI_API_KEY", SECRET)]);
    let [vllm, openai, gemini, sim] = config.providers.as_slice() else {
        panic!("{:?}", names(&config));
    };
    assert_eq!(
        vllm.auth,
        Auth::Header(http::HeaderName::from_static("x-key"))
    );
    assert_eq!(
        vllm.headers,
        [("x-team".parse().unwrap(), SECRET.parse().unwrap())]
    );
    assert_eq!(
        (vllm.stream_usage, vllm.default_model.as_deref()),
        (StreamUsage::Ask, Some("qwen"))
    );
    assert_eq!(
        (vllm.pool.http, vllm.pool.max_streams_per_connection),
        (HttpVersion::Two, 5)
    );
    assert_eq!(vllm.found, "nowait.toml:2");
    assert_eq!(openai.key.as_ref().map(Secret::expose), Some(SECRET));
    assert_eq!(
        gemini.base.to_string(),
        "https://generativelanguage.googleapis.com"
    );
    assert_eq!(
        gemini.auth,
        Auth::Header(http::HeaderName::from_static("x-goog-api-key"))
    );
    assert!(sim.simulated && !sim.is_in_process());
    assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
}

#[test]
fn models_carry_their_deadlines_and_targets() {
    let text = r#"
        [timeout]
        idle = "7s"
        [providers.openai]
        [providers.anthropic]
        [models.fast]
        targets = ["openai/gpt-4o-mini", "anthropic/a/b"]
        balance = "latency"
        hedge = "p99.5"
        on_loss = "reject"
        share = "all"
        [models.fast.timeout]
        first_token = "10s"
        [models."o'clock"]
        targets = ["openai/x"]
        hedge = "800ms"
    "#;
    let config = parse(text, &[("NOWAIT__MODELS__O_CLOCK__TIMEOUT__TOTAL", "9s")]);
    let fast = &config.models["fast"];
    assert_eq!(fast.targets[1].provider.name, "anthropic");
    assert_eq!(fast.targets[1].model, "a/b");
    assert_eq!(
        (fast.balance, fast.hedge),
        (Balance::Latency, Hedge::Quantile(0.995))
    );
    assert_eq!(
        (fast.on_loss, fast.share),
        (OnLoss::Reject, Some(Share::All))
    );
    let timeout = Timeouts {
        first_token: Duration::from_secs(10),
        ..config.timeout
    };
    assert_eq!(fast.timeout, timeout);
    assert_eq!(fast.timeout.idle, Duration::from_secs(7));
    let clock = &config.models["o'clock"];
    assert_eq!(clock.hedge, Hedge::After(Duration::from_millis(800)));
    assert_eq!(clock.timeout.total, Duration::from_secs(9));
}

#[test]
fn the_plain_endpoint_has_a_model_wherever_one_is_known() {
    let rows: [(&str, Option<&str>); 6] = [
        ("", Some("gpt-4o")),
        ("[providers.openai]\n[providers.groq]", Some("gpt-4o")),
        (
            "[providers.anthropic]\n[providers.groq]",
            Some("anthropic/claude-haiku-4-5"),
        ),
        ("[providers.x]\nbase_url = 'http://h/v1'", None),
        (
            "[providers.x]\nbase_url = 'http://h/v1'\ndefault_model = 'm'",
            Some("x/m"),
        ),
        ("[generate]\nmodel = 'mine'", Some("mine")),
    ];
    for (text, expected) in rows {
        assert_eq!(
            parse(text, &[]).generate.model.as_deref(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn variables_go_before_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'\n[batch]\nembeddings = true\n[providers.my-Own]\nbase_url = 'http://h/v1'";
    let config = parse(
        text,
        &[
            ("NOWAIT__SERVER__LISTEN", "localhost:2"),
            ("NOWAIT__BATCH__EMBEDDINGS", "false"),
            ("NOWAIT__BATCH__CONCURRENCY", "3"),
            ("NOWAIT__RETRY__BUDGET", "10%"),
            ("NOWAIT__PROVIDERS__MY_OWN__API_KEY", SECRET),
            ("NOWAIT__SIM__TOKENS", "7"),
            ("NOWAITX", "not ours"),
        ],
    );
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:2");
    assert_eq!(
        (config.batch.embeddings, config.batch.concurrency.get()),
        (false, 3)
    );
    assert_eq!(config.retry.budget, 0.1);
    assert_eq!(names(&config), ["my-Own"]);
    assert_eq!(
        config.providers[0].key.as_ref().map(Secret::expose),
        Some(SECRET)
    );
    assert_eq!(config.sim.tokens.to_string(), "7");
    let listen = |variables| {
        parse("[server]\nlisten = '127.0.0.1:1'", variables)
            .server
            .listen
            .port()
    };
    assert_eq!(
        listen(&[
            ("NOWAIT_LISTEN", "127.0.0.1:3"),
            ("NOWAIT__SERVER__LISTEN", "127.0.0.1:2")
        ]),
        3
    );
}

#[test]
fn keys_make_a_public_address_safe() {
    let text = "[server]\nlisten = '0.0.0.0:4000'\n[[keys]]\nname = 'web'\nadmin = true\nmodels = ['gpt-*']\n\
                hash = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'";
    let config = parse(text, &[]);
    // The hash is that of "test".
    let key = find_key(&config.keys, b"test").expect("the key that was configured");
    assert_eq!((key.name.as_str(), key.admin), ("web", true));
    assert!(key.allows("gpt-4o") && !key.allows("claude"));
}

#[test]
fn the_reference_page_and_the_example_are_what_the_rows_say() {
    for (path, text) in [
        ("docs/configuration.md", reference::markdown()),
        ("nowait.example.toml", reference::example()),
    ] {
        let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("NOWAIT_BLESS").is_some() {
            std::fs::write(&full, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&full).unwrap_or_default();
        assert!(
            kept == text,
            "{path} is old; run NOWAIT_BLESS=1 cargo test --lib config::"
        );
    }
}

#[test]
fn the_example_means_the_defaults_and_shows_every_key() {
    let example = reference::example();
    let config = parse(&example, &[("OPENAI_API_KEY", "k")]);
    let bare = parse("", &[("OPENAI_API_KEY", "k")]);
    assert_eq!(config.server, bare.server);
    assert_eq!(
        (config.timeout, config.retry, config.hedge),
        (bare.timeout, bare.retry, bare.hedge)
    );
    assert_eq!(
        (config.cache, config.batch, config.generate),
        (bare.cache, bare.batch, bare.generate)
    );
    assert_eq!((config.sim, config.tls), (bare.sim, bare.tls));
    assert_eq!(config.providers[0].pool, bare.providers[0].pool);
    // Commented out or not, every line is a key with a valid value; one key and
    // several exclude each other.
    let all: String = example
        .lines()
        .filter(|line| !line.starts_with("api_key "))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let config = parse(&all, &[("OPENAI_API_KEY", "k"), ("OPENAI_API_KEY_2", "k2")]);
    assert_eq!(config.providers[0].more_keys.len(), 1);
    assert_eq!((config.keys.len(), config.server.tls.is_some()), (1, true));
    assert!(config.server.threads.is_some() && config.tls.ca_file.is_some());
    assert_eq!(config.sim.faults.len(), 2);
}

/// A handful of lines that matter, put together at random: closer to what the
/// parser and the checks share than random bytes are.
fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[server]",
        "[providers.openai]",
        "[providers.openai.pool]",
        "[models.a]",
        "[[keys]]",
        "[sim]",
        "[timeout]",
        "[models.a.timeout]",
        "[server.tls]",
        "keys = 1",
        "[providers]",
        "openai = 'x'",
        "listen = '${KEY}'",
        "listen = '0.0.0.0:1'",
        "api_key = '${KEY}'",
        "base_url = 'http://${KEY}@h'",
        "base_url = '${KEY}'",
        "targets = ['${KEY}/x', 'sim/${KEY}']",
        "targets = [1]",
        "hedge = '${KEY}'",
        "hash = '${KEY}'",
        "name = 'n'",
        "ttft = '${KEY}'",
        "faults = ['${KEY}:1']",
        "warm = 99999999999999999999",
        "cert = 'x'",
        "auth = { header = '${KEY}' }",
        "headers = { a = '${KEY}' }",
        "idle = 1e400",
        "total = nan",
        "x = \"\\u0000\"",
        "tokens = 3",
        "= 3",
        "[",
        "api_key = ${KEY}",
        "redis = '${KEY}'",
        "[cache]",
    ]);
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_give_a_configuration_or_problems(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }

    #[test]
    fn any_lines_give_a_configuration_or_problems_and_show_no_secret(text in lines()) {
        fuzz(text.as_bytes());
    }
}
