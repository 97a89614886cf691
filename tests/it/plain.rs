//! The plain endpoint end to end: what its callers may write, what is asked
//! of the provider for it, and every shape its answer comes in.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::stage::parrot::{self, both};
use crate::stage::scripted::{self, Beat, Played, Scripted};
use crate::stage::{Caller, Stage, call, get, post, with};

/// The same call with nothing but a query, as `requests.post(url, params=…)`
/// and FastAPI's clients make it.
fn query(path: &str) -> Request<Bytes> {
    Request::post(path).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_provider_is_asked_exactly_what_the_caller_means() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    let user = |text: &str| json!([{"role": "user", "content": text}]);
    let chat = |fields: Value| ("/v1/chat/completions", fields);
    let message = |fields: Value| ("/v1/messages", fields);
    let helpful = "You are a helpful assistant.";
    let rows = [
        (
            query("/generate?prompt=hi%20there+friend%21"),
            chat(json!({"model": "gpt-4o", "messages": user("hi there friend!")})),
        ),
        (
            post("/generate", r#"{"prompt": "hi"}"#),
            chat(json!({"model": "gpt-4o", "messages": user("hi")})),
        ),
        // The body wins over the query, field by field.
        (
            post(
                "/generate?prompt=from+query&max_tokens=5&temperature=0.5&seed=-3&stop=END",
                r#"{"prompt": "from body", "temperature": 1}"#,
            ),
            chat(json!({
                "model": "gpt-4o", "messages": user("from body"), "max_completion_tokens": 5,
                "temperature": 1.0, "stop": ["END"], "seed": -3,
            })),
        ),
        (
            post(
                "/generate",
                r#"{"prompt": "é\n\"q\"", "model": "gpt-4o-mini", "system": "be brief", "max_tokens": 7,
                    "temperature": 0, "stop": ["a", "b"], "seed": 11, "stream": false, "timeout": 30}"#,
            ),
            chat(json!({
                "model": "gpt-4o-mini", "max_completion_tokens": 7, "temperature": 0.0,
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "é\n\"q\""},
                ],
                "stop": ["a", "b"], "seed": 11,
            })),
        ),
        // What is null is not there.
        (
            post(
                "/generate",
                r#"{"prompt": "hi", "model": null, "system": null, "max_tokens": null, "stop": null}"#,
            ),
            chat(json!({"model": "gpt-4o", "messages": user("hi")})),
        ),
        // A model of the other dialect, which has no seed and wants a limit.
        (
            query("/generate?prompt=hi&model=claude-haiku-4-5&seed=1"),
            message(
                json!({"model": "claude-haiku-4-5", "max_tokens": 4096, "messages": user("hi")}),
            ),
        ),
        (
            query("/generate?prompt=hi&model=anthropic/some-model&stop=END"),
            message(json!({
                "model": "some-model", "max_tokens": 4096, "messages": user("hi"),
                "stop_sequences": ["END"],
            })),
        ),
        (
            query("/generate_claude?prompt=hi"),
            message(json!({
                "model": "claude-3-5-haiku-20241022", "max_tokens": 512, "system": helpful,
                "messages": user("hi"),
            })),
        ),
        (
            post(
                "/generate_claude",
                r#"{"prompt": "hi", "max_tokens": 9, "system": "rhyme", "model": "claude-x", "temperature": 0.25}"#,
            ),
            message(json!({
                "model": "claude-x", "max_tokens": 9, "system": "rhyme", "messages": user("hi"),
                "temperature": 0.25,
            })),
        ),
        // Asked not to have a system prompt, it sends none.
        (
            post("/generate_claude", r#"{"prompt": "hi", "system": ""}"#),
            message(json!({
                "model": "claude-3-5-haiku-20241022", "max_tokens": 512, "messages": user("hi"),
            })),
        ),
        (
            query("/generate_claude?prompt=hi&model=gpt-4o"),
            chat(json!({
                "model": "gpt-4o", "max_completion_tokens": 512,
                "messages": [
                    {"role": "system", "content": helpful},
                    {"role": "user", "content": "hi"},
                ],
            })),
        ),
    ];
    for (request, (path, body)) in rows {
        let shown = format!("{request:?}");
        let answer = stage.call(request).await;
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        let seen = asked.lock().pop().unwrap();
        assert_eq!(seen.uri, path, "{shown}");
        assert_eq!(seen.text().parse::<Value>().unwrap(), body, "{shown}");
        assert_eq!(seen.header("content-type"), "application/json", "{shown}");
        let key = if path == "/v1/messages" {
            assert_eq!(seen.header("anthropic-version"), "2023-06-01", "{shown}");
            seen.header("x-api-key") == "sk-anthropic"
        } else {
            seen.header("authorization") == "Bearer sk-openai"
        };
        assert!(key, "{shown}: {:?}", seen.headers);
    }
}

#[tokio::test]
async fn the_operator_names_the_usual_models() {
    let (provider, asked) = parrot::start().await;
    let named = Stage::set(&format!(
        "{}[generate]\nmodel = \"mine\"\nclaude_model = \"claude-haiku-4-5\"\n\
         [models.mine]\ntargets = [\"anthropic/claude-x\"]\n",
        both(&provider)
    ));
    let groq_first = Stage::set(&format!(
        "[providers.groq]\napi_key = \"k\"\nbase_url = \"{}\"\npool.warm = 0\n",
        provider.base("/openai/v1")
    ));
    for (stage, path, model) in [
        (&named, "/generate?prompt=hi", "claude-x"),
        (&named, "/generate_claude?prompt=hi", "claude-haiku-4-5"),
        (&groq_first, "/generate?prompt=hi", "openai/gpt-oss-20b"),
    ] {
        let answer = stage.call(query(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let seen: Value = asked.lock().pop().unwrap().text().parse().unwrap();
        assert_eq!(seen["model"], model, "{path}");
    }
}

#[tokio::test]
async fn an_answer_comes_in_the_shape_asked_for() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    let whole = |provider: &str| match provider {
        "openai" => json!({
            "model": "gpt-4o-2024-08-06", "provider": "openai", "finish_reason": "stop",
            "usage": {"input_tokens": 9, "output_tokens": 3, "cached_tokens": 4},
            "cached": false, "id": "chatcmpl-7",
        }),
        _ => json!({
            "model": "claude-3-5-haiku-20241022", "provider": "anthropic", "finish_reason": "length",
            "usage": {"input_tokens": 9, "output_tokens": 3, "cached_tokens": 4},
            "cached": false, "id": "msg_7",
        }),
    };
    for (path, name) in [("/generate", "openai"), ("/generate_claude", "anthropic")] {
        let ask = format!("{path}?prompt=tide+turns%0Atwice");
        let text = "tide turns\ntwice";

        let answer = stage.call(query(&ask)).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-nowait-provider"), name);
        let mut expected = whole(name);
        expected["response"] = text.into();
        assert_eq!(answer.json(), expected);

        let by_field = query(&format!("{ask}&stream=true"));
        let by_header = with(query(&ask), "accept", "text/event-stream");
        for request in [by_field, by_header] {
            let answer = stage.call(request).await;
            assert_eq!(answer.header("content-type"), "text/event-stream");
            assert_eq!(answer.header("cache-control"), "no-cache");
            assert_eq!(answer.header("x-accel-buffering"), "no");
            let mut events: Vec<&str> = answer.text().split_inclusive("\n\n").collect();
            let done = events.pop().unwrap();
            let deltas: Vec<String> = parrot::words(text)
                .iter()
                .map(|word| format!("data: {}\n\n", json!({"delta": word})))
                .collect();
            assert_eq!(events, deltas);
            let done = done.strip_prefix("event: done\ndata: ").unwrap();
            assert_eq!(done.trim_end().parse::<Value>().unwrap(), whole(name));
            let seen: Value = asked.lock().last().unwrap().text().parse().unwrap();
            assert_eq!(seen["stream"], true);
            let asks_for_usage = json!({"include_usage": true});
            let expected = if name == "openai" {
                asks_for_usage
            } else {
                Value::Null
            };
            assert_eq!(seen["stream_options"], expected);
        }

        for ask in [ask.clone(), format!("{ask}&stream=true")] {
            let answer = stage.call(with(query(&ask), "accept", "text/plain")).await;
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(answer.text(), text);
            assert_eq!(answer.broken, None);
        }
    }
}

#[tokio::test]
async fn text_reaches_the_caller_as_it_is_said() {
    let (go_on, told) = oneshot::channel();
    let told = parking_lot::Mutex::new(Some(told));
    let provider = Scripted::start(move |_| {
        let frames = parrot::chat_events("one two");
        let (first, rest) = frames.split_at(frames.find("\"content\":\" two\"").unwrap());
        let body = Played::steps([
            Beat::Data(first.to_owned().into()),
            Beat::Until(told.lock().take().unwrap()),
            Beat::Data(rest.to_owned().into()),
        ]);
        async move { scripted::events(body) }
    })
    .await;
    let stage = Stage::set(&both(&provider));
    let mut caller = Caller::connect(stage.address()).await;
    let request = with(query("/generate?prompt=x"), "accept", "text/plain");
    let mut answer = caller.begin(request).await;
    let frame = http_body_util::BodyExt::frame(&mut answer).await;
    let data = frame.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, "one", "before the provider has said the rest");
    go_on.send(()).unwrap();
    let rest = http_body_util::BodyExt::collect(answer).await.unwrap();
    assert_eq!(rest.to_bytes(), " two");
}

#[tokio::test]
async fn a_refusal_is_told_with_the_providers_status_and_words() {
    let openai = r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    let anthropic =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let rows = [
        (
            "/generate",
            429,
            openai,
            "rate_limit_exceeded",
            "Rate limit reached",
        ),
        (
            "/generate_claude",
            529,
            anthropic,
            "overloaded_error",
            "Overloaded",
        ),
        ("/generate", 500, "oh no", "upstream_error", "oh no"),
        (
            "/generate",
            401,
            "{}",
            "upstream_error",
            "the provider gave no reason",
        ),
        (
            "/generate",
            502,
            "<html>",
            "upstream_error",
            "the provider sent an HTML page instead of a reason",
        ),
    ];
    for (path, status, body, code, words) in rows {
        let provider = Scripted::start(move |_| async move {
            let mut answer = scripted::json(status, body);
            for (name, value) in [
                ("retry-after", "16"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("anthropic-ratelimit-requests-remaining", "1"),
                ("x-request-id", "req-of-the-provider"),
                ("set-cookie", "a=b"),
            ] {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer
        })
        .await;
        let stage = Stage::set(&both(&provider));
        for accept in ["application/json", "text/event-stream", "text/plain"] {
            let ask = query(&format!("{path}?prompt=x"));
            let ask = with(with(ask, "accept", accept), "x-request-id", "mine");
            let answer = stage.call(ask).await;
            let shown = format!("{path} {accept}: {}", answer.text());
            assert_eq!(answer.status.as_u16(), status, "{shown}");
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{shown}"
            );
            assert_eq!(answer.header("retry-after"), "16", "{shown}");
            assert_eq!(
                answer.header("x-ratelimit-remaining-tokens"),
                "0",
                "{shown}"
            );
            assert_eq!(
                answer.header("anthropic-ratelimit-requests-remaining"),
                "1",
                "{shown}"
            );
            assert_eq!(
                answer.header("x-nowait-upstream-request-id"),
                "req-of-the-provider"
            );
            assert_eq!(answer.header("set-cookie"), "", "{shown}");
            let problem = answer.json();
            assert_eq!(problem["status"], status, "{shown}");
            assert_eq!(problem["code"], code, "{shown}");
            assert!(
                problem["detail"].as_str().unwrap().ends_with(words),
                "{shown}"
            );
            assert_eq!(problem["request_id"], "mine", "{shown}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so() {
    let failed =
        "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}\n\n";
    for (more, words) in [
        (failed, "The server had an error"),
        ("", "the stream ended before its terminal event"),
    ] {
        let provider = Scripted::start(move |_| {
            let frames = parrot::chat_events("one two three");
            let (begun, _) = frames.split_at(frames.find("\"content\":\" three\"").unwrap());
            let (begun, _) = begun.split_at(begun.rfind("\n\n").unwrap() + 2);
            let body = format!("{begun}{more}");
            async move { scripted::events(Played::steps([Beat::Data(body.into())])) }
        })
        .await;
        let stage = Stage::set(&both(&provider));
        let answer = stage.call(query("/generate?prompt=x&stream=true")).await;
        let events: Vec<&str> = answer.text().split_terminator("\n\n").collect();
        let [one, two, error] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(
            [one, two],
            [r#"data: {"delta":"one"}"#, r#"data: {"delta":" two"}"#]
        );
        let problem = error.strip_prefix("event: error\ndata: ").unwrap();
        let problem: Value = problem.parse().unwrap();
        assert_eq!(problem["code"], "upstream_protocol");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );

        // Bare text has no words for it: the connection is cut.
        let answer = stage
            .call(with(query("/generate?prompt=x"), "accept", "text/plain"))
            .await;
        assert_eq!(answer.text(), "one two");
        assert!(answer.broken.is_some());
    }
}

#[tokio::test]
async fn wrong_types_are_named_by_their_path() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    for (request, param) in [
        (query("/generate"), Some("prompt")),
        (query("/generate?model=gpt-4o"), Some("prompt")),
        (post("/generate", "{}"), Some("prompt")),
        (post("/generate", r#"{"prompt": 1}"#), Some("prompt")),
        (post("/generate", r#"{"prompt": null}"#), Some("prompt")),
        (
            post("/generate", r#"{"prompt": "x", "model": 1}"#),
            Some("model"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "system": []}"#),
            Some("system"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "max_tokens": 0}"#),
            Some("max_tokens"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "max_tokens": 1.5}"#),
            Some("max_tokens"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "temperature": "hot"}"#),
            Some("temperature"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "stop": [1]}"#),
            Some("stop[0]"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "seed": 0.5}"#),
            Some("seed"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "timeout": "soon"}"#),
            Some("timeout"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "timeout": 0}"#),
            Some("timeout"),
        ),
        (
            post("/generate", r#"{"prompt": "x", "stream": "yes"}"#),
            Some("stream"),
        ),
        (
            query("/generate?prompt=x&max_tokens=many"),
            Some("max_tokens"),
        ),
        (post("/generate", "[]"), None),
        (post("/generate", r#"{"prompt": "x""#), None),
        (post("/generate", "prompt=x"), None),
        (
            with(query("/generate?prompt=x"), "x-nowait-timeout", "soon"),
            Some("x-nowait-timeout"),
        ),
    ] {
        let shown = format!("{request:?}");
        let answer = stage.call(request).await;
        assert_eq!(answer.status, 400, "{shown}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{shown}"
        );
        let problem = answer.json();
        assert_eq!(problem["code"], "invalid_request", "{shown}: {problem}");
        assert_eq!(problem["param"].as_str(), param, "{shown}: {problem}");
    }
    assert!(asked.lock().is_empty());
    for (request, status, code) in [
        (get("/generate?prompt=x"), 405, "method_not_allowed"),
        (
            query("/generate?prompt=x&model=nobodys"),
            404,
            "model_not_found",
        ),
    ] {
        let answer = stage.call(request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["code"], code);
    }
}

#[tokio::test]
async fn fields_that_go_nowhere_are_named() {
    let (provider, _) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    for (path, body, dropped) in [
        ("/generate", r#"{"prompt": "x", "seed": 1}"#, ""),
        (
            "/generate",
            r#"{"prompt": "x", "top_p": 1, "user": "u"}"#,
            "top_p,user",
        ),
        (
            "/generate_claude",
            r#"{"prompt": "x", "seed": 1, "top_k": 2}"#,
            "seed,top_k",
        ),
        (
            "/generate",
            "{\"prompt\": \"x\", \"a\\r\\nx-evil: 1\": 1}",
            "ax-evil:1",
        ),
    ] {
        for stream in ["false", "true"] {
            let answer = stage
                .call(post(&format!("{path}?stream={stream}"), body))
                .await;
            assert_eq!(answer.status, 200, "{body}");
            assert_eq!(answer.header("x-nowait-dropped"), dropped, "{body}");
            assert_eq!(answer.header("x-evil"), "", "{body}");
        }
    }
}

#[tokio::test]
async fn a_callers_timeout_holds() {
    let provider =
        Scripted::start(|_| async { scripted::events(Played::steps([Beat::Hang])) }).await;
    let stage = Stage::set(&both(&provider));
    for request in [
        post("/generate", r#"{"prompt": "x", "timeout": "60ms"}"#),
        post(
            "/generate",
            r#"{"prompt": "x", "timeout": 0.06, "stream": true}"#,
        ),
        query("/generate?prompt=x&timeout=0.06"),
        with(query("/generate?prompt=x"), "x-nowait-timeout", "60ms"),
    ] {
        let shown = format!("{request:?}");
        let begun = tokio::time::Instant::now();
        let answer = call(stage.address(), request).await;
        assert_eq!(answer.status, 504, "{shown}: {}", answer.text());
        assert!(begun.elapsed() >= Duration::from_millis(60), "{shown}");
        let problem = answer.json();
        assert_eq!(problem["code"], "timeout", "{shown}");
        assert!(
            problem["detail"].as_str().unwrap().contains("within 60ms"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn with_nothing_configured_the_simulated_provider_answers() {
    let stage = Stage::set("");
    let answer = stage
        .call(query("/generate?prompt=tide+turns&model=echo"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-nowait-simulated"), "true");
    assert_eq!(answer.json()["response"], "tide turns");
    assert_eq!(answer.json()["provider"], "sim");
    for path in ["/generate", "/generate_claude"] {
        let ask = query(&format!("{path}?prompt=tide"));
        let whole = stage.call(ask).await.json()["response"].clone();
        let ask = with(
            query(&format!("{path}?prompt=tide")),
            "accept",
            "text/plain",
        );
        assert_eq!(
            stage.call(ask).await.text(),
            whole.as_str().unwrap(),
            "{path}"
        );
        let ask = query(&format!("{path}?prompt=tide&stream=true"));
        let streamed = stage.call(ask).await;
        assert!(
            streamed.text().contains("event: done\n"),
            "{}",
            streamed.text()
        );
    }
    let refused = with(query("/generate?prompt=x"), "x-sim-fault", "429");
    let answer = stage.call(refused).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_ne!(answer.header("retry-after"), "");
}
