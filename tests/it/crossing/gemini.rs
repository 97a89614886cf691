//! Callers of either dialect and a Gemini model: the model is in the path, and
//! no event ends a stream.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{CALLERS, Caller, UNSHARED, assert_ok};
use crate::stage::scripted::{Played, Scripted, Seen, events, json as whole};
use crate::stage::{Stage, post};

/// What every answer here says.
const ANSWER: &str = r#"{"candidates":[{"content":{"parts":[{"text":"tide turns"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-x","responseId":"r1"}"#;

/// What every count here is.
const COUNT: &str =
    r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}"#;

/// A Gemini that notes what it is asked, and refuses the model `busy`.
async fn start() -> (Scripted, Arc<Mutex<Vec<Seen>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let provider = Scripted::start(move |seen: Seen| {
        let uri = seen.uri.to_string();
        notes.lock().push(seen);
        std::future::ready(match () {
            () if uri.contains("/busy:") => whole(
                429,
                r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}]"#,
            ),
            () if uri.contains(":countTokens") => whole(200, COUNT),
            () if uri.contains(":stream") => events(Played::whole(format!("data: {ANSWER}\r\n\r\n"))),
            () => whole(200, ANSWER),
        })
    })
    .await;
    (provider, asked)
}

fn stage(provider: &Scripted) -> Stage {
    Stage::set(&format!(
        "[providers.google]\ndialect = \"gemini\"\napi_key = \"g-key\"\nbase_url = \"{}\"\npool.warm = 0\n[retry]\nattempts = 1\n{UNSHARED}\n",
        provider.base("")
    ))
}

#[tokio::test]
async fn a_gemini_model_answers_callers_of_either_dialect() {
    let (provider, asked) = start().await;
    let stage = stage(&provider);
    for caller in CALLERS {
        for is_stream in [false, true] {
            let more = json!({"stream": is_stream, "seed": 7});
            let answer = stage
                .call(caller.call_of("google/gemini-x", "what turns?", &more))
                .await;
            assert_ok(&answer);
            let seen = asked.lock().pop().unwrap();
            let method = match is_stream {
                true => "streamGenerateContent?alt=sse",
                false => "generateContent",
            };
            assert_eq!(
                seen.uri.to_string(),
                format!("/v1beta/models/gemini-x:{method}")
            );
            assert_eq!(seen.header("x-goog-api-key"), "g-key");
            assert_eq!(seen.header("authorization"), "");
            let sent: Value = serde_json::from_slice(&seen.body).unwrap();
            assert_eq!(sent["contents"][0]["parts"][0]["text"], "what turns?");
            assert_eq!(sent["generationConfig"]["maxOutputTokens"], 99);
            if is_stream {
                let (words, ended) = caller.heard(answer.text());
                assert_eq!((words.as_str(), ended), ("tide turns", true), "{caller:?}");
                continue;
            }
            let told = answer.json();
            assert_eq!(caller.said(&told), "tide turns");
            let counted = match caller {
                Caller::Chat => &told["usage"]["completion_tokens"],
                Caller::Messages => &told["usage"]["output_tokens"],
            };
            assert_eq!(counted, 5, "thoughts count");
        }
    }
}

#[tokio::test]
async fn googles_refusal_is_told_in_the_callers_words() {
    let (provider, _) = start().await;
    let stage = stage(&provider);
    for caller in CALLERS {
        let answer = stage
            .call(caller.call_of("google/busy", "a", &json!({})))
            .await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), "7");
        let told = answer.json();
        assert_eq!(told["error"]["message"], "slow down");
        assert_eq!(told["error"]["type"], "rate_limit_error");
    }
}

/// Whoever can count is asked; who can't be asked all of it is told so.
#[tokio::test]
async fn google_counts_the_tokens_of_its_models() {
    let (provider, asked) = start().await;
    let stage = stage(&provider);
    for path in [
        "/v1/messages/count_tokens",
        "/google/v1/messages/count_tokens",
    ] {
        let name = if path.starts_with("/v1") {
            "google/gemini-x"
        } else {
            "gemini-x"
        };
        let body = json!({
            "model": name, "system": "be brief", "messages": [{"role": "user", "content": "what turns?"}],
            "tools": [{"name": "tides", "input_schema": {"type": "object"}}], "shiny": 1,
        });
        let answer = stage.call(post(path, body.to_string())).await;
        assert_ok(&answer);
        assert_eq!(answer.json(), json!({"input_tokens": 31}));
        assert_eq!(answer.header("x-nowait-estimated"), "");
        assert_eq!(answer.header("x-nowait-dropped"), "shiny");
        assert_eq!(answer.header("x-nowait-provider"), "google");
        let seen = asked.lock().pop().unwrap();
        assert_eq!(seen.uri.to_string(), "/v1beta/models/gemini-x:countTokens");
        assert_eq!(seen.header("x-goog-api-key"), "g-key");
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        let call = &sent["generateContentRequest"];
        assert_eq!(call["model"], "models/gemini-x");
        assert_eq!(call["systemInstruction"]["parts"][0]["text"], "be brief");
        assert_eq!(call["tools"][0]["functionDeclarations"][0]["name"], "tides");
    }
    for (body, status, words) in [
        (
            json!({"model": "google/busy", "messages": [{"role": "user", "content": "a"}]}),
            429,
            "slow down",
        ),
        (json!({"model": "google/x", "messages": 5}), 400, "messages"),
    ] {
        let answer = stage
            .call(post("/v1/messages/count_tokens", body.to_string()))
            .await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["type"], "error");
        assert!(
            told["error"]["message"].as_str().unwrap().contains(words),
            "{told}"
        );
    }
}
