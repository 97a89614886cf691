//! What is told of files that are wrong, and of files that are odd.

use super::*;

/// Each row: a file, the variables, and one line per problem, the file's name
/// left out. All of them, in order, and nothing else.
#[test]
fn everything_wrong_is_told_with_line_key_and_fix() {
    let rows: &[Row<'_>] = &[
        // Keys and sections.
        (
            "[server]\nlisen = 1",
            &[],
            &[":2: server.lisen: unknown key; did you mean \"listen\"?"],
        ),
        (
            "[servr]\nx = 1",
            &[],
            &[":1: servr: unknown section; did you mean \"server\"?"],
        ),
        (
            "[providers.openai.pol]",
            &[],
            &[":1: providers.openai.pol: unknown section; did you mean \"pool\"?"],
        ),
        (
            "[server]\nfirst_tokens = 1",
            &[],
            &["unknown key; known here: auth, drain, listen, max_body, threads, tls"],
        ),
        (
            "[server]\nhash = 1",
            &[],
            &[":2: server.hash: unknown key here; hash belongs in [keys]"],
        ),
        (
            "server = 3",
            &[],
            &[":1: server: is an integer; it is a section: write [server]"],
        ),
        (
            "[[server]]\nlisten = 1",
            &[],
            &[":1: server: is a list; it is a section: write [server]"],
        ),
        (
            "[keys]\nname = 'a'",
            &[],
            &[":1: keys: is a table; write [[keys]] above each entry"],
        ),
        (
            "keys = [1]",
            &[],
            &[":1: keys[0]: is an integer; it is a section"],
        ),
        (
            "[server]\ndrain = '1s'\ndrain = '2s'",
            &[],
            &[":3: drain: is set twice; keep one of them"],
        ),
        ("[server]\n\n[server]", &[], &[":3: server: is set twice"]),
        // Forms of values.
        (
            "[server]\nlisten = 4000",
            &[],
            &[":2: server.listen: 4000 is an integer; write IP:PORT like \"127.0.0.1:4000\""],
        ),
        (
            "[server]\nlisten = 'here'",
            &[],
            &[":2: server.listen: \"here\" is not an address; write IP:PORT"],
        ),
        (
            "[server]\nmax_body = 32",
            &[],
            &[":2: server.max_body: 32 is an integer; write a number with a unit"],
        ),
        (
            "[server]\nmax_body = '0B'",
            &[],
            &[":2: server.max_body: must be more than nothing"],
        ),
        (
            "[server]\ndrain = 'soon'",
            &[],
            &[":2: server.drain: \"soon\" is not a duration; write a number with a unit"],
        ),
        (
            "[server]\nthreads = 0",
            &[],
            &[":2: server.threads: 0 is out of range; write a whole number from 1"],
        ),
        (
            "[server]\nauth = 'non'",
            &[],
            &[
                ":2: server.auth: \"non\" is unknown; did you mean \"none\"? It takes \"keys\" or \"none\"",
            ],
        ),
        (
            "[timeout]\nidle = '0s'\ntotal = -1",
            &[],
            &[
                ":2: timeout.idle: must be longer than nothing",
                ":3: timeout.total: -1 is an integer",
            ],
        ),
        (
            "[retry]\nbudget = 1.5\nattempts = 0",
            &[],
            &[
                ":2: retry.budget: 1.5 is not a ratio; write a number from 0 to 1",
                ":3: retry.attempts: 0 is out of range",
            ],
        ),
        (
            "[hedge]\nmin = '1m'",
            &[],
            &[":2: hedge.min: is longer than max; swap them"],
        ),
        (
            "[batch]\nembeddings = 'yes'",
            &[],
            &[":2: batch.embeddings: is a string; write true or false, without quotes"],
        ),
        (
            "[cache]\nredis = 'http://ses4me-0pen'",
            &[],
            &[":2: cache.redis: is not a Redis URL; write redis://HOST:PORT"],
        ),
        (
            "[cache]\nredis = 'redis://:ses4me-0pen@a,b'",
            &[],
            &[":2: cache.redis: names several nodes; write redis+cluster://"],
        ),
        (
            "[generate]\nmodel = ''",
            &[],
            &[":2: generate.model: is empty; write a string, or leave the key out"],
        ),
        (
            "[timeout]\nidle = 1979-05-27",
            &[],
            &[":2: timeout.idle: is a date; no key takes one"],
        ),
        (
            "[retry]\nfloor = 99999999999999999999",
            &[],
            &[":2: retry.floor: is an integer out of range"],
        ),
        // TLS.
        (
            "[server]\ntls = { cert = 'c.pem' }",
            &[],
            &[":2: server.tls.key: is missing; cert needs it"],
        ),
        (
            "[server.tls]",
            &[],
            &[
                ":1: server.tls.cert: is missing",
                ":1: server.tls.key: is missing",
            ],
        ),
        (
            "[tls]\nroots = 'mozilla'",
            &[],
            &[":2: tls.roots: \"mozilla\" is unknown; write \"system\" or \"bundled\""],
        ),
        // Providers.
        (
            "[providers.opnai]\napi_key = 'k'",
            &[],
            &[
                ":1: providers.opnai.base_url: is missing, and \"opnai\" is no provider nowait knows; did you mean [providers.openai]?",
            ],
        ),
        (
            "[providers.mine]\ndialect = 'openia'\nbase_url = 'http://h/v1'",
            &[],
            &[
                ":2: providers.mine.dialect: \"openia\" is unknown; did you mean \"openai\"? It takes \"openai\", \"anthropic\", \"gemini\" or \"sim\"",
            ],
        ),
        (
            "[providers.metrics]\nbase_url = 'http://h/v1'",
            &[],
            &[":1: providers.metrics: is the name of a path of nowait's own"],
        ),
        (
            "[providers.'a/b']\nbase_url = 'http://h/v1'",
            &[],
            &[":1: providers.a/b: cannot be a provider's name"],
        ),
        (
            "[providers.sim]\ndialect = 'openai'\nbase_url = 'http://h/v1'",
            &[],
            &[":2: providers.sim.dialect: sim is the simulated provider"],
        ),
        (
            "[providers.x]\nbase_url = 'h:80/v1'",
            &[],
            &[
                ":2: providers.x.base_url: \"h:80/v1\" is not a URL; write it like \"https://api.openai.com/v1\"",
            ],
        ),
        (
            "[providers.x]\nbase_url = 'https://me:ses4me-0pen@h/v1'",
            &[],
            &[
                ":2: providers.x.base_url: \"https://[hidden]@h/v1\" carries a user name or password",
            ],
        ),
        (
            "[providers.x]\nbase_url = 'https://h/v1?key=ses4me-0pen'",
            &[],
            &[":2: providers.x.base_url: \"https://h/v1\" carries a query"],
        ),
        (
            "[providers.vllm.quirks]\nrefuses = ['sed']",
            &[],
            &[":2: providers.vllm.quirks.refuses: \"sed\" is unknown; did you mean \"seed\"?"],
        ),
        (
            "[providers.mistral.quirks]\nchat = false",
            &[("MISTRAL_API_KEY", "k")],
            &[
                ":2: providers.mistral.quirks.chat: there is no way to talk to a provider that has neither `/chat/completions` nor `/responses`",
            ],
        ),
        (
            "[providers.azure]\nbase_url = 'http://h'\napi_version = 'a&b'",
            &[],
            &[":3: providers.azure.api_version: is not a version of an API"],
        ),
        (
            "[providers.azure]\napi_key = 'k'",
            &[],
            &[":1: providers.azure.base_url: is missing; write it, or set AZURE_OPENAI_ENDPOINT"],
        ),
        (
            "[providers.openai]\napi_key = \"ses4me\\n-0pen\"",
            &[],
            &[":2: providers.openai.api_key: holds a character no header can carry"],
        ),
        (
            "[providers.openai]\napi_key = ''",
            &[],
            &[":2: providers.openai.api_key: is empty; leave the key out"],
        ),
        (
            "[providers.openai]\napi_key = ['ses4me-0pen']",
            &[],
            &[":2: providers.openai.api_key: is a list; write a string"],
        ),
        (
            "[providers.openai]\nauth = 'basic'",
            &[],
            &[":2: providers.openai.auth: \"basic\" is unknown; write \"bearer\" or \"none\""],
        ),
        (
            "[providers.openai]\nauth = { heder = 'x' }",
            &[],
            &[":2: providers.openai.auth: is a table of another form; write \"bearer\""],
        ),
        (
            "[providers.openai]\nheaders = { 'a b' = 'x', Host = 'y', X-A = 3 }",
            &[],
            &[
                ":2: providers.openai.headers.Host: is set by nowait itself",
                ":2: providers.openai.headers.X-A: is an integer; write a string",
                ":2: providers.openai.headers.a b: is not the name of a header",
            ],
        ),
        (
            "[providers.openai.pool]\nhttp = 3\nwarm = 9\nmax_connections = 5",
            &[],
            &[
                ":2: providers.openai.pool.http: 3 is an integer; write \"auto\", \"1\" or \"2\"",
                // `warm` against `max_connections` waits until all of the pool reads.
            ],
        ),
        (
            "[providers.openai.pool]\nwarm = 9\nmax_connections = 5",
            &[],
            &[":2: providers.openai.pool.warm: is more than max_connections"],
        ),
        // Models.
        (
            "[models.fast]",
            &[],
            &[":1: models.fast.targets: is missing; write targets = [\"provider/model\"]"],
        ),
        (
            "[models.fast]\ntargets = []",
            &[],
            &[":2: models.fast.targets: is empty"],
        ),
        (
            "[models.fast]\ntargets = 'sim/x'",
            &[],
            &[":2: models.fast.targets: is a string; write a list of strings"],
        ),
        (
            "[models.fast]\ntargets = ['gpt-4o']",
            &[],
            &[":2: models.fast.targets: \"gpt-4o\" names no provider; write \"openai/gpt-4o\""],
        ),
        (
            "[providers.openai]\n[models.fast]\ntargets = [\n'openai/x',\n'opnai/gpt-4o',\n'foo/bar']",
            &[],
            &[
                ":5: models.fast.targets: \"opnai/gpt-4o\" names no provider; did you mean \"openai/gpt-4o\"?",
                ":6: models.fast.targets: \"foo/bar\" names no provider; add [providers.foo], or use \"openai\"",
            ],
        ),
        (
            "[models.fast]\ntargets = ['sim/x']\nbalance = 'latncy'\nhedge = 'p101'\n[models.fast.timeout]\nidle = 3",
            &[],
            &[
                ":3: models.fast.balance: \"latncy\" is unknown; did you mean \"latency\"?",
                ":4: models.fast.hedge: \"p101\" is unknown; write \"off\", a percentile like \"p95\", or a duration",
                ":6: models.fast.timeout.idle: 3 is an integer",
            ],
        ),
        (
            "[models.fast]\ntargets = ['sim/x']\nbalance = 'sticky'\nhedge = 'p95'",
            &[],
            &[
                ":4: models.fast.hedge: asks a second target, and balance = \"sticky\" keeps a caller on one",
            ],
        ),
        (
            "[models.fast]\ntargets = ['sim/x', 'sim/y']\nbalance = 'weighted'\nweights = [1]\nfallback_on = ['context_lenght']",
            &[],
            &[
                ":4: models.fast.weights: has 1 and there are 2 targets; write one for each",
                ":5: models.fast.fallback_on: \"context_lenght\" is unknown; did you mean \"context_length\"?",
            ],
        ),
        (
            "[models.fast]\ntargets = ['sim/x', 'sim/y']\nbalance = 'weighted'\nweights = [0, 0]",
            &[],
            &[":4: models.fast.weights: are all 0, so nobody would be asked"],
        ),
        (
            "[providers.openai]\napi_key = 'a'\napi_keys = ['ses4me-0pen', 'b']\nlimit = 'fast'\nqueue = -1",
            &[],
            &[
                ":3: providers.openai.api_keys: stands beside api_key; put all of them here",
                ":4: providers.openai.limit: \"fast\" is unknown; write \"auto\", \"aimd\" or \"gradient\"",
                ":5: providers.openai.queue: -1 is out of range",
            ],
        ),
        (
            "[providers.openai]\napi_keys = ['ses4me-0pen', 3]\nlimit = 0",
            &[],
            &[
                ":2: providers.openai.api_keys: is an integer; write a string",
                ":3: providers.openai.limit: 0 is out of range",
            ],
        ),
        // Keys.
        (
            "[[keys]]\n[[keys]]\nname = 'a'\nhash = 'ses4me-0pen'",
            &[],
            &[
                ":1: keys[0].hash: is missing",
                ":1: keys[0].name: is missing",
                ":4: keys[1].hash: is not sha256: and 64 hex digits; make one with: printf",
            ],
        ),
        (
            "[[keys]]\nname = 'a'\nhash = 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n\
          [[keys]]\nname = 'a'\nhash = 'sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'\nmodels = []\nadmni = true",
            &[],
            &[
                ":7: keys[1].models: is empty, so that nothing may be asked for",
                ":8: keys[1].admni: unknown key; did you mean \"admin\"?",
            ],
        ),
        (
            "[[keys]]\nname = 'a'\nhash = 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n\
          [[keys]]\nname = 'a'\nhash = 'sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'",
            &[],
            &[
                ":5: keys[1].name: is that of keys[0]",
                ":6: keys[1].hash: is that of keys[0]",
            ],
        ),
        // What follows from a mistake is not told beside it.
        (
            "[providers.mine]\nbase_url = 'x'\n[models.a]\ntargets = ['mine/x']",
            &[],
            &[":2: providers.mine.base_url: \"x\" is not a URL"],
        ),
        (
            "[server]\nlisten = '0.0.0.0:1'\n[[keys]]\nname = 'a'\nhash = 'x'",
            &[],
            &[":5: keys[0].hash: is not sha256:"],
        ),
        // Simulation.
        (
            "[sim]\nttft = 'fast'\nfaults = ['boom:1']",
            &[],
            &[
                ":2: sim.ttft: \"fast\" is not a distribution",
                ":3: sim.faults: \"boom\" is not a fault",
            ],
        ),
        (
            "[sim]\nfaults = ['stall:0.6', 'reset:0.6']",
            &[],
            &[":2: sim.faults: has probabilities that add up to more than 1"],
        ),
        // Variables.
        (
            "[providers.openai]\napi_key = '${NOPE}${NADA}'",
            &[],
            &[
                ":2: providers.openai.api_key: the variable NADA is not set",
                ":2: providers.openai.api_key: the variable NOPE is not set; set it, or write ${NOPE:-DEFAULT}",
            ],
        ),
        (
            "[server]\nlisten = '${KEY}'",
            &[("KEY", SECRET)],
            &[":2: server.listen: \"${KEY}\" does not expand to an address"],
        ),
        (
            "[server]\nauth = '${KEY}'",
            &[("KEY", SECRET)],
            &[":2: server.auth: \"${KEY}\" is unknown; write"],
        ),
        (
            "",
            &[("NOWAIT__SERVER__LISEN", "x")],
            &["NOWAIT__SERVER__LISEN: names no key; did you mean NOWAIT__SERVER__LISTEN?"],
        ),
        (
            "",
            &[("NOWAIT__PROVIDERS__OPENAI__APIKEY", SECRET)],
            &[
                "NOWAIT__PROVIDERS__OPENAI__APIKEY: names no key; did you mean NOWAIT__PROVIDERS__OPENAI__API_KEY?",
            ],
        ),
        (
            "",
            &[("NOWAIT__KEYS__NAME", "x")],
            &["NOWAIT__KEYS__NAME: names no key"],
        ),
        ("", &[("NOWAIT__", "x")], &["NOWAIT__: names no key"]),
        (
            "",
            &[("NOWAIT__TIMEOUT__IDLE", "soon")],
            &["NOWAIT__TIMEOUT__IDLE: timeout.idle: \"soon\" is not a duration"],
        ),
        (
            "",
            &[("NOWAIT__RETRY__FLOOR", "x")],
            &["NOWAIT__RETRY__FLOOR: retry.floor: is a string; write a whole number"],
        ),
        (
            "",
            &[("HTTPS_PROXY", "http://me:ses4me-0pen@h:x")],
            &["HTTPS_PROXY: \"http://[hidden]@h:x\" is not a proxy"],
        ),
        (
            "",
            &[
                ("OPENAI_API_KEY", "k"),
                ("OPENAI_BASE_URL", "https://me:ses4me-0pen@h/v1"),
            ],
            &["OPENAI_BASE_URL: \"https://[hidden]@h/v1\" carries a user name"],
        ),
        (
            "",
            &[("OPENAI_API_KEY", "ses4me-0pen\nx")],
            &["OPENAI_API_KEY: holds a character no header can carry"],
        ),
        // Protected mode.
        (
            "[server]\nlisten = '0.0.0.0:4000'",
            &[],
            &[
                ":2: server.listen: 0.0.0.0:4000 is reachable from outside and anybody there could spend your keys; add [[keys]], or write auth = \"none\"",
            ],
        ),
        (
            "",
            &[("NOWAIT_LISTEN", "[::]:4000")],
            &["NOWAIT_LISTEN: server.listen: [::]:4000 is reachable"],
        ),
        (
            "",
            &[("NOWAIT_LISTEN", "4000")],
            &["NOWAIT_LISTEN: \"4000\" is not an address"],
        ),
    ];
    for (text, variables, expected) in rows {
        let told = refused(text, variables);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), expected.len(), "\n{text}\n→\n{told}");
        for (line, expected) in lines.iter().zip(*expected) {
            let line = line.strip_prefix("nowait.toml").unwrap_or(line);
            let fits = if expected.starts_with([':', 'N', 'H', 'O']) {
                line.starts_with(expected)
            } else {
                line.contains(expected)
            };
            assert!(fits, "\n{text}\n→ {line}\nexpected {expected}");
        }
        assert!(!told.contains(SECRET) && !told.contains("ses4me"), "{told}");
    }
}

#[test]
fn a_broken_line_is_told_beside_the_others_and_not_quoted() {
    let rows = [
        "[providers.openai]\napi_key = ses4me-0pen\n[server]\nlisen = 1",
        "[providers.openai]\napi_key = \"ses4me-0pen\n[server]\nlisen = 1",
    ];
    for text in rows {
        let told = refused(text, &[]);
        assert!(
            told.contains("nowait.toml:2: is not valid TOML: "),
            "{told}"
        );
        assert!(told.contains(":4: server.lisen: unknown key"), "{told}");
        assert!(
            !told.contains("ses4me") && !told.contains("targets: is missing"),
            "{told}"
        );
    }
}

#[test]
fn odd_things_are_noticed() {
    let rows: &[Row<'_>] = &[
        (
            "[models.a]\ntargets = ['sim/x']\nbalance = 'latency'\nweights = [2]",
            &[],
            &["nowait.toml:4: models.a.weights: are for balance = \"weighted\""],
        ),
        (
            "[cache]\nshare = 'all'\n[batch]\nembeddings = true\nconcurrency = 2\n[generate]\nshare = 'deterministic'",
            &[],
            &[],
        ),
        (
            "[models.a]\ntargets = ['sim/x']\nbalance = 'order'\nhedge = 'off'\nshare = 'all'",
            &[],
            &[],
        ),
        (
            "[models.a]\ntargets = ['sim/x', 'sim/y']\n[retry]\nattempts = 2\nfloor = 1",
            &[],
            &[],
        ),
        (
            "[providers.anthropic]\n[generate]\nclaude_model = 'claude-haiku-4-5'\n[models.a]\ntargets = ['anthropic/claude-3-5-haiku-20241022']",
            &[],
            &[
                "nowait.toml:5: models.a.targets: claude-3-5-haiku-20241022 was retired by anthropic on 2026-02-19; claude-haiku-4-5 is named",
            ],
        ),
        (
            "",
            &[("ANTHROPIC_API_KEY", "k")],
            &["generate.claude_model: claude-3-5-haiku-20241022 was retired"],
        ),
        (
            "[providers.anthropic]\nbase_url = 'https://h/v1'\n[generate]\nclaude_model = 'x'",
            &[],
            &[
                "nowait.toml:2: providers.anthropic.base_url: ends in /v1, and Anthropic's paths begin with it; write \"https://h\"",
            ],
        ),
        (
            "[providers.x]\nbase_url = 'https://h'",
            &[],
            &["nowait.toml:2: providers.x.base_url: has no path, and OpenAI's has /v1"],
        ),
        (
            "[providers.openai]\n[models.'openai/x']\ntargets = ['openai/y']",
            &[],
            &["nowait.toml:2: models.openai/x: is never used"],
        ),
        (
            "[timeout]\ntotal = '5s'\nidle = '6s'",
            &[],
            &["nowait.toml:3: timeout.idle: is longer than total"],
        ),
        (
            "[providers.openai]\n[sim]\nseed = 2",
            &[],
            &["nowait.toml:2: sim: shapes a provider that is not in use"],
        ),
        (
            "[providers.ollama]\nauth = 'none'\napi_key = 'k'",
            &[],
            &["nowait.toml:3: providers.ollama.api_key: is never sent"],
        ),
        ("", &[("REDIS_URL", "redis://:ses4me-0pen@h")], &[]),
        (
            "",
            &[("REDIS_URL", "https://:ses4me-0pen@h")],
            &["REDIS_URL: cache.redis: is ignored: it is not a Redis URL"],
        ),
        ("[cache]\nttl = '5m'\nredis = 'redis://h'", &[], &[]),
        (
            "",
            &[("AZURE_OPENAI_API_KEY", "k")],
            &["AZURE_OPENAI_API_KEY: providers.azure: is set, but not AZURE_OPENAI_ENDPOINT"],
        ),
        (
            "",
            &[("ALL_PROXY", "socks5://h:1")],
            &["ALL_PROXY: \"socks5://h:1\" is ignored"],
        ),
        ("[server]\nlisten = '0.0.0.0:1'\nauth = 'none'", &[], &[]),
    ];
    for (text, variables, expected) in rows {
        let notices: Vec<_> = parse(text, variables)
            .notices
            .iter()
            .map(Notice::to_string)
            .collect();
        assert_eq!(notices.len(), expected.len(), "{text} {notices:?}");
        for (notice, expected) in notices.iter().zip(*expected) {
            assert!(notice.contains(expected), "{notice}\nexpected {expected}");
            assert!(!notice.contains("ses4me"));
        }
    }
}
