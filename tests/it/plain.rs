//! The plain endpoint end to end: what its callers may write, and what is
//! asked of the provider for it.

mod answers;
mod batch;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::stage::parrot::{self, both};
use crate::stage::{Stage, get, post, with};

/// A call with nothing but a query, as `requests.post(url, params=…)`
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
        "{}model = \"mine\"\nclaude_model = \"claude-haiku-4-5\"\n\
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
            "a??x-evil:?1",
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
