//! Names of models end to end: where each leads, what an unknown one is told,
//! and the list that callers are shown.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, timeout};

use crate::stage::parrot::{self, Asked};
use crate::stage::scripted::{self, Played, Scripted, Seen};
use crate::stage::{Answer, Stage, get, post, with};

/// Providers that are told apart by their paths.
fn providers(provider: &Scripted) -> String {
    let mut text = String::new();
    for (name, prefix) in [
        ("openai", "/at-openai/v1"),
        ("anthropic", "/at-anthropic"),
        ("gemini", "/at-gemini/v1beta/openai"),
        ("groq", "/at-groq/openai/v1"),
        ("deepseek", "/at-deepseek/v1"),
    ] {
        let base = provider.base(prefix);
        text.push_str(&format!(
            "[providers.{name}]\napi_key = \"sk-{name}\"\nbase_url = \"{base}\"\npool.warm = 0\n"
        ));
    }
    text.push_str(
        "[models.fast]\ntargets = [\"groq/llama-3.1-8b-instant\"]\n\
         [models.either]\ntargets = [\"anthropic/claude-x\", \"openai/gpt-x\"]\n\
         [models.\"gpt-4o\"]\ntargets = [\"groq/openai/gpt-oss-20b\"]\n",
    );
    text
}

fn last(asked: &Asked) -> (String, String) {
    let seen = asked.lock().pop().unwrap();
    let provider = seen.uri.path().split('/').nth(1).unwrap();
    let body: Value = seen.text().parse().unwrap();
    let provider = provider.strip_prefix("at-").unwrap().to_owned();
    (provider, body["model"].as_str().unwrap().to_owned())
}

fn ask(path: &str, model: &str) -> Request<Bytes> {
    let body = json!({
        "model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}],
    });
    post(path, body.to_string())
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

#[tokio::test]
async fn names_lead_to_their_providers() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&providers(&provider));
    for (path, name, provider, model) in [
        // A provider and its own name for the model.
        (CHAT, "groq/llama-3.3-70b", "groq", "llama-3.3-70b"),
        (
            CHAT,
            "groq/openai/gpt-oss-120b",
            "groq",
            "openai/gpt-oss-120b",
        ),
        (CHAT, "openai/anything-at-all", "openai", "anything-at-all"),
        (MESSAGES, "anthropic/claude-x", "anthropic", "claude-x"),
        // The operator's names come before families …
        (CHAT, "fast", "groq", "llama-3.1-8b-instant"),
        (CHAT, "gpt-4o", "groq", "openai/gpt-oss-20b"),
        // … and not before a provider that is named.
        (CHAT, "openai/gpt-4o", "openai", "gpt-4o"),
        // Families.
        (CHAT, "gpt-4o-mini", "openai", "gpt-4o-mini"),
        (CHAT, "gpt-5.5", "openai", "gpt-5.5"),
        (CHAT, "o1", "openai", "o1"),
        (CHAT, "o3-mini", "openai", "o3-mini"),
        (CHAT, "o4-mini", "openai", "o4-mini"),
        (CHAT, "chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        (
            CHAT,
            "text-embedding-3-small",
            "openai",
            "text-embedding-3-small",
        ),
        (CHAT, "gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        (CHAT, "deepseek-chat", "deepseek", "deepseek-chat"),
        (MESSAGES, "claude-opus-4-8", "anthropic", "claude-opus-4-8"),
        // The first target, in its dialect or another.
        (CHAT, "either", "anthropic", "claude-x"),
        (MESSAGES, "either", "anthropic", "claude-x"),
        (MESSAGES, "gpt-4o-mini", "openai", "gpt-4o-mini"),
        (CHAT, "claude-opus-4-8", "anthropic", "claude-opus-4-8"),
        // A path that names its provider leaves the model alone.
        ("/groq/v1/chat/completions", "gpt-4o", "groq", "gpt-4o"),
        (
            "/groq/chat/completions",
            "openai/gpt-x",
            "groq",
            "openai/gpt-x",
        ),
        ("/anthropic/v1/messages", "fast", "anthropic", "fast"),
    ] {
        let answer = stage.call(ask(path, name)).await;
        assert_eq!(answer.status, 200, "{path} {name}: {}", answer.text());
        assert_eq!(
            last(&asked),
            (provider.to_owned(), model.to_owned()),
            "{path} {name}"
        );
        assert_eq!(answer.header("x-nowait-provider"), provider, "{name}");
        assert_eq!(answer.header("x-nowait-model"), model, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told_what_is_near() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&providers(&provider));
    for (name, near) in [
        ("fsat", "did you mean `fast`?"),
        ("eihter", "did you mean `either`?"),
        ("llama-3.1-8b-instant", "groq/MODEL"),
        (
            "nobody/gpt-4o",
            "no provider serves the model `nobody/gpt-4o`",
        ),
        (
            "grok-4.3",
            "it is of xai's family, and xai is not configured (set its key",
        ),
        ("openai/", "no provider serves the model `openai/`"),
        ("x\r\nx-evil: 1", "no provider serves the model"),
    ] {
        let answer = stage.call(ask(CHAT, name)).await;
        let error = refused(&answer, 404, name);
        assert_eq!(error["code"], "model_not_found", "{name}");
        assert_eq!(error["type"], "invalid_request_error", "{name}");
        assert_eq!(error["param"], "model", "{name}");
        assert!(
            error["message"].as_str().unwrap().contains(near),
            "{name}: {error}"
        );

        let answer = stage.call(ask(MESSAGES, name)).await;
        let error = refused(&answer, 404, name);
        assert_eq!(error["type"], "not_found_error", "{name}");
        assert!(
            error["message"].as_str().unwrap().contains(near),
            "{name}: {error}"
        );
    }
    for (path, body, words) in [
        (CHAT, "{\"messages\": []}", "`model` is missing"),
        (CHAT, "{\"model\": \"\"}", "model is empty"),
        (CHAT, "{\"model\": 4}", "model"),
        (CHAT, "{\"model\": null}", "model"),
        (MESSAGES, "{\"model\": [\"a\"]}", "model"),
    ] {
        let answer = stage.call(post(path, body)).await;
        let error = refused(&answer, 400, body);
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{body}: {error}"
        );
    }
    // Nobody embeds in the other dialect.
    let answer = stage.call(ask("/v1/embeddings", "anthropic/embed")).await;
    let error = refused(&answer, 400, "anthropic/embed");
    let instead = "name a model of a provider that has this endpoint";
    assert!(
        error["message"].as_str().unwrap().contains(instead),
        "{error}"
    );
    assert!(asked.lock().is_empty());
}

#[track_caller]
fn refused(answer: &Answer, status: u16, shown: &str) -> Value {
    assert_eq!(answer.status, status, "{shown}: {}", answer.text());
    assert_eq!(answer.header("x-evil"), "", "{shown}");
    answer.json()["error"].clone()
}

/// Providers that list models: one as OpenAI, one as Anthropic, one that
/// refuses, one that says nothing.
async fn listing(asked: Asked) -> Scripted {
    Scripted::start(move |seen: Seen| {
        asked.lock().push(seen.clone());
        let answer = match seen.uri.path() {
            "/at-openai/v1/models" => scripted::json(
                200,
                r#"{"object":"list","data":[
                    {"id":"gpt-x","object":"model","created":1700000000,"owned_by":"system"},
                    {"id":"house-9","object":"model","created":2,"owned_by":"system"}]}"#,
            ),
            "/at-anthropic/v1/models" => scripted::json(
                200,
                r#"{"data":[{"type":"model","id":"claude-x","display_name":"Claude X",
                    "created_at":"2025-02-19T00:00:00Z"}],"has_more":false}"#,
            ),
            "/at-groq/openai/v1/models" => scripted::json(
                200,
                r#"{"data":[{"id":"openai/gpt-oss-20b"},{"id":"fast"}]}"#,
            ),
            "/at-gemini/v1beta/openai/models" => scripted::json(401, "{}"),
            "/at-deepseek/v1/models" => scripted::events(Played::steps([scripted::Beat::Hang])),
            _ => parrot::repeat(&seen),
        };
        async move { answer }
    })
    .await
}

#[tokio::test]
async fn the_list_is_what_callers_may_ask_for() {
    let asked = Asked::default();
    let provider = listing(Asked::clone(&asked)).await;
    let dead =
        "[providers.dead]\napi_key = \"k\"\nbase_url = \"http://127.0.0.1:9/v1\"\npool.warm = 0\n";
    let stage = Stage::set(&format!("{dead}{}", providers(&provider)));
    assert!(
        asked.lock().is_empty(),
        "nobody is asked before somebody wants to know"
    );

    let ids = [
        "either",
        "fast",
        "gpt-4o",
        "gpt-x",
        "openai/house-9",
        "claude-x",
        "groq/openai/gpt-oss-20b",
        "groq/fast",
    ];
    for path in ["/v1/models", "/models"] {
        let list = stage.call(get(path)).await;
        assert_eq!(list.status, 200);
        let list = list.json();
        assert_eq!(list["object"], "list");
        assert_eq!(all(&list), ids);
    }
    let list = stage.call(get("/v1/models")).await.json();
    assert_eq!(
        list["data"][3],
        json!({"id": "gpt-x", "object": "model", "created": 1_700_000_000, "owned_by": "openai"})
    );

    let as_anthropic = |path: &str| with(get(path), "anthropic-version", "2023-06-01");
    let list = stage.call(as_anthropic("/v1/models")).await.json();
    assert_eq!(all(&list), ids);
    assert_eq!(list["has_more"], false);
    assert_eq!(list["first_id"], "either");
    assert_eq!(list["last_id"], "groq/fast");
    assert_eq!(
        list["data"][3],
        json!({
            "type": "model", "id": "gpt-x", "display_name": "gpt-x",
            "created_at": "2023-11-14T22:13:20.000Z",
        })
    );

    for (path, id, owner) in [
        ("/v1/models/fast", "fast", "nowait"),
        ("/models/gpt-x", "gpt-x", "openai"),
        (
            "/v1/models/groq%2Fopenai%2Fgpt-oss-20b",
            "groq/openai/gpt-oss-20b",
            "groq",
        ),
        (
            "/v1/models/groq/openai/gpt-oss-20b",
            "groq/openai/gpt-oss-20b",
            "groq",
        ),
        // Callable without being listed.
        ("/v1/models/gpt-of-tomorrow", "gpt-of-tomorrow", "openai"),
    ] {
        let one = stage.call(get(path)).await;
        assert_eq!(one.status, 200, "{path}");
        assert_eq!(
            (&one.json()["id"], &one.json()["owned_by"]),
            (&id.into(), &owner.into())
        );
        let one = stage.call(as_anthropic(path)).await.json();
        assert_eq!((&one["id"], &one["type"]), (&id.into(), &"model".into()));
    }
    let error = stage.call(get("/v1/models/fsat")).await;
    assert_eq!(error.json()["error"]["code"], "model_not_found");
    let error = stage.call(as_anthropic("/v1/models/fsat")).await;
    assert_eq!(error.json()["error"]["type"], "not_found_error");
    assert_eq!(stage.call(post("/v1/models", "{}")).await.status, 405);

    // Every provider was asked once, in its own words.
    let mut asked = std::mem::take(&mut *asked.lock());
    asked.sort_by_key(|seen| seen.uri.path().to_owned());
    let paths: Vec<_> = asked.iter().map(|seen| seen.uri.to_string()).collect();
    assert_eq!(
        paths,
        [
            "/at-anthropic/v1/models?limit=1000",
            "/at-deepseek/v1/models",
            "/at-gemini/v1beta/openai/models",
            "/at-groq/openai/v1/models",
            "/at-openai/v1/models",
        ]
    );
    assert_eq!(asked[0].header("x-api-key"), "sk-anthropic");
    assert_eq!(asked[0].header("anthropic-version"), "2023-06-01");
    assert_eq!(asked[4].header("authorization"), "Bearer sk-openai");
}

#[tokio::test]
async fn a_key_sees_the_models_it_may_use() {
    let provider = listing(Asked::default()).await;
    let key = |name: &str, models: &str| {
        let hash = Sha256::digest(format!("key-of-{name}"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[keys]]\nname = \"{name}\"\nhash = \"sha256:{hash}\"\nmodels = [{models}]\n")
    };
    let stage = Stage::set(&format!(
        "{}{}{}",
        providers(&provider),
        key("all", "\"*\""),
        key(
            "few",
            "\"fast\", \"gpt-x\", \"anthropic/*\", \"groq/openai/*\""
        )
    ));
    let by =
        |name: &str, path: &str| with(get(path), "authorization", &format!("Bearer key-of-{name}"));
    let list = stage.call(by("all", "/v1/models")).await.json();
    assert_eq!(all(&list).len(), 8);
    let list = stage.call(by("few", "/v1/models")).await.json();
    // By a name of its own or by that of who answers to it.
    let few = [
        "either",
        "fast",
        "gpt-4o",
        "gpt-x",
        "claude-x",
        "groq/openai/gpt-oss-20b",
    ];
    assert_eq!(all(&list), few);
    for id in few {
        let one = stage.call(by("few", &format!("/v1/models/{id}"))).await;
        assert_eq!(one.status, 200, "{id}");
    }
    for id in ["openai/house-9", "groq/fast", "gpt-of-tomorrow"] {
        let one = stage.call(by("few", &format!("/v1/models/{id}"))).await;
        assert_eq!(one.status, 403, "{id}: {}", one.text());
    }
    assert_eq!(stage.call(get("/v1/models")).await.status, 401);
}

fn all(list: &Value) -> Vec<&str> {
    let models = list["data"].as_array().unwrap().iter();
    models.map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list_does_not_wait_for_its_own_providers_to_wake_up() {
    let hangs = Scripted::start(|_| std::future::pending()).await;
    let base = hangs.base("/v1");
    let stage = Stage::set(&format!(
        "[providers.slow]\napi_key = \"k\"\nbase_url = \"{base}\"\npool.warm = 0\n\
         [models.mine]\ntargets = [\"slow/m\"]\n"
    ));
    for _ in 0..3 {
        let list = timeout(Duration::from_secs(10), stage.call(get("/v1/models"))).await;
        assert_eq!(all(&list.unwrap().json()), ["mine"]);
    }
}

#[tokio::test]
async fn with_nothing_configured_every_name_is_the_simulated_providers() {
    let stage = Stage::set("");
    for (path, name) in [
        (CHAT, "gpt-4o"),
        (CHAT, "anything"),
        (MESSAGES, "claude-x"),
        (MESSAGES, "sim/echo"),
    ] {
        let answer = stage
            .call(with(ask(path, name), "anthropic-version", "2023-06-01"))
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("x-nowait-provider"), "sim", "{name}");
        assert_eq!(answer.header("x-nowait-simulated"), "true", "{name}");
    }
    let list = stage.call(get("/v1/models")).await.json();
    assert_eq!(all(&list), ["sim", "echo", "embed"]);
}
