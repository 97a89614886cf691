//! Embeddings of a Gemini model, for callers of OpenAI's: what is known is not
//! asked again, and callers travel together, as with a provider of their own
//! dialect.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{UNSHARED, assert_ok, line, named};
use crate::stage::scripted::{Scripted, Seen, json as whole};
use crate::stage::{Stage, call, post};

/// A Gemini that tells usage only of models that are called new, and refuses
/// the model `busy`. A text's vector is its length and a half.
async fn start() -> (Scripted, Arc<Mutex<Vec<Seen>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let provider = Scripted::start(move |seen: Seen| {
        let uri = seen.uri.to_string();
        let answer = match uri.contains("/busy:") {
            true => whole(
                429,
                r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#,
            ),
            false => whole(200, vectors(&seen, uri.contains("new")).to_string()),
        };
        notes.lock().push(seen);
        std::future::ready(answer)
    })
    .await;
    (provider, asked)
}

fn vectors(seen: &Seen, tells_usage: bool) -> Value {
    let vectors: Vec<_> = texts(seen)
        .iter()
        .map(|text| json!({"values": [text.len(), 0.5]}))
        .collect();
    let mut answer = json!({"embeddings": vectors});
    if tells_usage {
        answer["usageMetadata"] = json!({"promptTokenCount": 21});
    }
    answer
}

/// The texts that a call asks for.
fn texts(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let requests = body["requests"].as_array().unwrap();
    let text = |request: &Value| {
        request["content"]["parts"][0]["text"]
            .as_str()
            .map(str::to_owned)
    };
    requests
        .iter()
        .map(|request| text(request).unwrap())
        .collect()
}

fn stage(provider: &Scripted, more: &str) -> Stage {
    Stage::set(&format!(
        "[providers.google]\ndialect = \"gemini\"\napi_key = \"g-key\"\nbase_url = \"{}\"\npool.warm = 0\n{more}\n",
        provider.base("")
    ))
}

fn ask(model: &str, input: Value, more: Value) -> Request<Bytes> {
    let mut body = json!({"model": format!("google/{model}"), "input": input});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    post("/v1/embeddings", body.to_string())
}

#[tokio::test]
async fn vectors_are_asked_for_in_googles_words_and_come_in_openais() {
    let (provider, asked) = start().await;
    for more in ["", UNSHARED, "[batch]\nembeddings = false"] {
        let stage = stage(&provider, more);
        let fields = json!({"dimensions": 2, "encoding_format": "float", "user": "u"});
        let request = ask("new", json!(["a", "bcd"]), fields);
        let answer = stage.call(named(request, "id-1")).await;
        assert_ok(&answer);
        let seen = asked.lock().pop().unwrap();
        assert_eq!(
            (seen.uri.to_string().as_str(), seen.header("x-goog-api-key")),
            ("/v1beta/models/new:batchEmbedContents", "g-key")
        );
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["requests"][0]["outputDimensionality"], 2);
        assert_eq!(texts(&seen), ["a", "bcd"]);
        assert_eq!(
            answer.json(),
            json!({
                "object": "list", "model": "new",
                "data": [
                    {"object": "embedding", "index": 0, "embedding": [1, 0.5]},
                    {"object": "embedding", "index": 1, "embedding": [3, 0.5]},
                ],
                "usage": {"prompt_tokens": 21, "total_tokens": 21},
            })
        );
        assert_eq!(answer.header("x-nowait-dropped"), "user");
        assert_eq!(answer.header("x-nowait-estimated"), "");
        assert_eq!(answer.header("x-nowait-provider"), "google");

        let packed = json!({"encoding_format": "base64"});
        let answer = stage
            .call(named(ask("old", json!("four"), packed), "id-2"))
            .await;
        assert_ok(&answer);
        assert_eq!(answer.json()["data"][0]["embedding"], "AACAQAAAAD8=");
        assert_eq!(answer.json()["usage"]["prompt_tokens"], 1);
        assert_eq!(answer.header("x-nowait-estimated"), "usage", "{more}");
        let lines = stage.strike().await;
        let told = |id| {
            (
                &line(&lines, id)["input_tokens"],
                &line(&lines, id)["tokens_estimated"],
            )
        };
        assert_eq!(told("id-1"), (&json!(21), &json!(false)), "{more}");
        assert_eq!(told("id-2"), (&json!(1), &json!(true)), "{more}");
    }
}

#[tokio::test]
async fn a_path_that_names_the_provider_embeds_too() {
    let (provider, asked) = start().await;
    let stage = stage(&provider, "");
    let body = json!({"model": "new", "input": "a"}).to_string();
    assert_ok(&stage.call(post("/google/v1/embeddings", body)).await);
    let path = asked.lock().pop().unwrap().uri.path().to_owned();
    assert_eq!(path, "/v1beta/models/new:batchEmbedContents");
}

#[tokio::test]
async fn what_is_known_is_not_asked_again_and_tells_the_same() {
    let (provider, asked) = start().await;
    let stage = stage(&provider, "");
    let call = |input| stage.call(ask("old", input, json!({"user": "u"})));
    assert_ok(&call(json!(["a", "bb"])).await);
    let some = call(json!(["ccc", "bb"])).await;
    let all = call(json!(["ccc", "a"])).await;
    for answer in [&some, &all] {
        assert_ok(answer);
        assert_eq!(answer.json()["data"][0]["embedding"][0], 3);
        assert_eq!(answer.header("x-nowait-estimated"), "usage");
        assert_eq!(answer.header("x-nowait-dropped"), "user");
    }
    assert!(all.header("cache-status").contains("hit"));
    assert_eq!(all.json()["usage"]["prompt_tokens"], 2);
    let asked: Vec<_> = asked.lock().iter().map(texts).collect();
    assert_eq!(asked, [vec!["a", "bb"], vec!["ccc"]]);
}

#[tokio::test]
async fn callers_under_way_at_once_travel_together() {
    let (provider, asked) = start().await;
    let stage = stage(&provider, UNSHARED);
    // Whether two meet is a matter of milliseconds; of many some do.
    for round in 0..100 {
        let mut calls = JoinSet::new();
        for at in 1..=16 {
            let (text, address) = ("x".repeat(16 * round + at), stage.address());
            calls.spawn(async move {
                let request = ask("old", json!(text), json!({"user": "u"}));
                (text.len(), call(address, request).await)
            });
        }
        for (size, answer) in calls.join_all().await {
            assert_ok(&answer);
            assert_eq!(answer.json()["data"][0]["embedding"][0], size);
            assert_eq!(answer.header("x-nowait-estimated"), "usage");
            assert_eq!(answer.header("x-nowait-dropped"), "user");
        }
        if asked.lock().iter().any(|seen| texts(seen).len() > 1) {
            return;
        }
    }
    panic!("nobody travelled with anybody");
}

/// The same model at a provider of the caller's dialect and at Google's.
#[tokio::test]
async fn embeddings_fall_back_from_one_dialect_to_the_other() {
    let (google, asked) = start().await;
    let openai = Scripted::start(|seen: Seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&body["model"], &body["input"]), (&json!("busy"), &json!("a")));
        std::future::ready(whole(
            200,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[7]}],"model":"busy","usage":{"prompt_tokens":2,"total_tokens":2}}"#,
        ))
    })
    .await;
    let stage = stage(
        &google,
        &format!(
            "[providers.openai]\napi_key = \"k\"\nbase_url = \"{}\"\npool.warm = 0\n[retry]\nattempts = 2\n\
             [models.both]\ntargets = [\"google/busy\", \"openai/busy\"]\n",
            openai.base("/v1")
        ),
    );
    for cache in ["miss", "hit"] {
        let body = json!({"model": "both", "input": "a", "user": "u"}).to_string();
        let answer = stage.call(post("/v1/embeddings", body)).await;
        assert_ok(&answer);
        assert_eq!(answer.json()["data"][0]["embedding"][0], 7);
        // Whoever answered was told all of it, and told what it took.
        assert_eq!(answer.header("x-nowait-dropped"), "");
        assert_eq!(answer.header("x-nowait-estimated"), "");
        assert!(answer.header("cache-status").contains(cache));
        assert_eq!(answer.header("x-nowait-provider"), "openai", "{cache}");
    }
    assert_eq!(asked.lock().len(), 1);
}

#[tokio::test]
async fn what_cant_be_embedded_is_told_in_openais_words() {
    let (provider, asked) = start().await;
    let stage = stage(&provider, "[retry]\nattempts = 1");
    let answer = stage.call(ask("busy", json!("a"), json!({}))).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["error"]["message"], "slow down");
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    asked.lock().clear();
    let answer = stage.call(ask("new", json!([1, 2]), json!({}))).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], "input");
    assert!(asked.lock().is_empty());
}
