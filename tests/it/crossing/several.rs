//! Targets of both dialects under one name, losses, and answers that are kept.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::{CALLERS, Caller, UNSHARED, assert_ok, both, line, named};
use crate::stage::parrot::{self, repeat};
use crate::stage::scripted::{Scripted, json as answer_json};
use crate::stage::{Stage, post};

/// A name with the caller's own dialect first or last.
fn models(more: &str) -> String {
    format!(
        "[models.chat-first]\ntargets = [\"openai/gpt-x\", \"anthropic/claude-x\"]\n{more}\n\
         [models.messages-first]\ntargets = [\"anthropic/claude-x\", \"openai/gpt-x\"]\n{more}\n"
    )
}

#[tokio::test]
async fn a_call_falls_back_from_one_dialect_to_the_other() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let provider = {
        let asked = Arc::clone(&asked);
        Scripted::start(move |seen| {
            let mut asked = asked.lock();
            asked.push(seen.uri.path().to_owned());
            let answer = match asked.len() % 2 {
                1 => answer_json(500, r#"{"error":{"message":"down"}}"#),
                _ => repeat(&seen),
            };
            async move { answer }
        })
        .await
    };
    let config = both(
        &provider,
        &format!("{UNSHARED}\n[retry]\nattempts = 3\n{}", models("")),
    );
    let stage = Stage::set(&config);
    let (chat, messages) = ("/v1/chat/completions", "/v1/messages");
    for caller in CALLERS {
        for (model, first, then) in [
            ("chat-first", chat, messages),
            ("messages-first", messages, chat),
        ] {
            for stream in [false, true] {
                asked.lock().clear();
                let request = caller.call_of(model, "one two", &json!({"stream": stream}));
                let answer = stage.call(request).await;
                assert_ok(&answer);
                let said = match stream {
                    true => caller.heard(answer.text()).0,
                    false => caller.said(&answer.json()),
                };
                assert_eq!(said, "one two");
                assert_eq!(*asked.lock(), [first, then], "{caller:?} {model}");
                assert_eq!(answer.header("x-nowait-attempts"), "2");
                let by = if then == chat { "openai" } else { "anthropic" };
                assert_eq!(answer.header("x-nowait-provider"), by);
            }
        }
    }
}

#[tokio::test]
async fn a_target_that_cant_say_it_is_passed_over() {
    let (provider, asked) = parrot::start().await;
    let config = both(&provider, &format!("{UNSHARED}\n{}", models("")));
    let stage = Stage::set(&config);
    for model in ["chat-first", "messages-first"] {
        // Each call is made once, and a target that isn't asked is no call.
        let request = Caller::Chat.call_of(model, "x", &json!({"n": 2}));
        let answer = stage.call(request).await;
        assert_ok(&answer);
        assert_eq!(answer.header("x-nowait-attempts"), "1", "{model}");
        assert_eq!(answer.header("x-nowait-provider"), "openai");
        assert_eq!(asked.lock().len(), 1);
        asked.lock().clear();
    }
}

#[tokio::test]
async fn losses_are_named_or_refused_as_the_model_says() {
    let (provider, asked) = parrot::start().await;
    let alone = "[models.alone]\ntargets = [\"anthropic/claude-x\"]\n";
    for reject in [false, true] {
        let more = if reject { "on_loss = \"reject\"\n" } else { "" };
        let config = format!("{UNSHARED}\n{}{alone}{more}", models(more));
        let stage = Stage::set(&both(&provider, &config));
        let call = |model: &str| Caller::Chat.call_of(model, "x", &json!({"seed": 7}));
        let answer = stage.call(named(call("alone"), "id-1")).await;
        if reject {
            assert_eq!(answer.status, 400);
            let error = &answer.json()["error"];
            assert_eq!(error["param"], "seed");
            assert!(error["message"].as_str().unwrap().contains("on_loss"));
            assert_eq!(asked.lock().len(), 0);
        } else {
            assert_ok(&answer);
            assert_eq!(answer.header("x-nowait-dropped"), "seed");
        }
        // One that can be told all of it is asked in its stead.
        let answer = stage.call(call("messages-first")).await;
        assert_ok(&answer);
        let expected = if reject {
            ("openai", "")
        } else {
            ("anthropic", "seed")
        };
        let told = (
            answer.header("x-nowait-provider"),
            answer.header("x-nowait-dropped"),
        );
        assert_eq!(told, expected);
        asked.lock().clear();
        let lines = stage.strike().await;
        let dropped = &line(&lines, "id-1")["dropped"];
        assert_eq!(dropped.as_str(), (!reject).then_some("seed"));
    }
}

#[tokio::test]
async fn a_kept_answer_is_one_of_the_callers_format() {
    let (provider, asked) = parrot::start().await;
    for caller in CALLERS {
        for first in [false, true] {
            let stage = Stage::set(&both(&provider, ""));
            asked.lock().clear();
            let losing = match caller {
                Caller::Chat => json!({"temperature": 0, "seed": 7}),
                Caller::Messages => json!({"temperature": 0, "top_k": 7}),
            };
            let dropped = match caller {
                Caller::Chat => "seed",
                Caller::Messages => "top_k",
            };
            for (at, stream) in [first, false, true, true, false].into_iter().enumerate() {
                let mut more = losing.clone();
                more["stream"] = stream.into();
                let answer = stage.call(caller.call("one two", &more)).await;
                assert_ok(&answer);
                let said = match stream {
                    true => caller.heard(answer.text()),
                    false => (caller.said(&answer.json()), true),
                };
                assert_eq!(said, ("one two".to_owned(), true));
                let status = answer.header("cache-status");
                assert_eq!(status.contains("hit"), at > 0, "{caller:?} {at}: {status}");
                assert_eq!(
                    answer.header("x-nowait-dropped"),
                    dropped,
                    "{caller:?} {at}"
                );
                assert_eq!(answer.header("x-nowait-provider"), caller.provider());
                assert!(
                    !answer.text().contains("\"usage\":{") || !stream || caller == Caller::Messages
                );
            }
            assert_eq!(asked.lock().len(), 1);
        }
    }
}

#[tokio::test]
async fn the_plain_endpoint_is_told_what_it_always_was() {
    let (provider, _) = parrot::start().await;
    let config = both(&provider, &format!("{UNSHARED}\n{}", models("")));
    let stage = Stage::set(&config);
    for model in ["chat-first", "messages-first"] {
        let body = json!({"prompt": "one two", "model": model}).to_string();
        let answer = stage.call(post("/generate", body)).await;
        assert_ok(&answer);
        assert_eq!(answer.json()["response"], "one two");
    }
}
