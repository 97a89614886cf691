//! What goes there and what comes back, when all goes well.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{CALLERS, Caller, UNSHARED, assert_ok, both, named};
use crate::stage::parrot::{self, repeat};
use crate::stage::scripted::{Beat, Played, Scripted, events};
use crate::stage::{Caller as Connection, Stage, post, with};

#[tokio::test]
async fn a_provider_is_asked_in_its_own_words_and_answers_in_the_callers() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    let theirs = [
        ("authorization", "Bearer of-the-caller"),
        ("x-api-key", "of-the-caller"),
        ("openai-organization", "org"),
        ("openai-beta", "assistants=v2"),
        ("anthropic-version", "2020-01-01"),
        ("anthropic-beta", "of-the-caller"),
        ("x-stainless-lang", "python"),
        ("user-agent", "SDK/1"),
        ("x-title", "an app"),
        ("traceparent", "00-1-2-01"),
    ];
    for caller in CALLERS {
        let more = json!({"temperature": 0.5, "stop_sequences": null, "stop": null});
        let mut request = named(caller.call("tide turns", &more), "id-1");
        request = with(request, "x-nowait-tags", "a=b");
        for (name, value) in theirs {
            request = with(request, name, value);
        }
        let answer = stage.call(request).await;
        assert_ok(&answer);
        let seen = asked.lock().pop().unwrap();
        assert_eq!(seen.uri.to_string(), caller.asked_at());
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["temperature"], 0.5);
        assert!(sent.get("stop").is_none() && sent.get("stop_sequences").is_none());
        for name in [
            "openai-organization",
            "openai-beta",
            "anthropic-beta",
            "x-stainless-lang",
            "x-title",
            "x-nowait-tags",
        ] {
            assert_eq!(seen.header(name), "", "{caller:?}: {name}");
        }
        assert!(seen.header("user-agent").starts_with("nowait/"));
        assert_eq!(seen.header("traceparent"), "00-1-2-01");
        assert_eq!(seen.header("x-request-id"), "id-1");
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("accept-encoding"), "identity");
        let keys = (
            seen.header("authorization"),
            seen.header("x-api-key"),
            seen.header("anthropic-version"),
        );
        let (model, expected) = match caller {
            Caller::Chat => ("claude-x", ("", "sk-anthropic", "2023-06-01")),
            Caller::Messages => ("gpt-x", ("Bearer sk-openai", "", "")),
        };
        assert_eq!((sent["model"].as_str(), keys), (Some(model), expected));

        let told = answer.json();
        assert_eq!(caller.said(&told), "tide turns");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-nowait-provider"), caller.provider());
        assert_eq!(answer.header("x-nowait-model"), model);
        assert_eq!(answer.header("x-nowait-attempts"), "1");
        assert_eq!(answer.header("x-request-id"), "id-1");
        assert_eq!(answer.header("x-nowait-dropped"), "");
        match caller {
            Caller::Chat => {
                assert_eq!(told["object"], "chat.completion");
                assert_eq!(told["choices"][0]["finish_reason"], "length");
                assert_eq!(told["usage"]["prompt_tokens"], 9);
                assert_eq!(told["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
                assert_eq!(answer.header("request-id"), "");
            }
            Caller::Messages => {
                assert_eq!(told["type"], "message");
                assert_eq!(told["stop_reason"], "end_turn");
                assert_eq!(told["usage"]["input_tokens"], 5);
                assert_eq!(told["usage"]["cache_read_input_tokens"], 4);
                assert_eq!(answer.header("request-id"), "id-1");
            }
        }
    }
    for line in stage.strike().await {
        assert_eq!(line["input_tokens"], 9, "{line}");
        assert_eq!(line["output_tokens"], 3, "{line}");
        assert_eq!(line["tokens_estimated"], false, "{line}");
    }
}

#[tokio::test]
async fn a_key_of_the_callers_own_goes_where_the_provider_looks_for_it() {
    let (provider, asked) = parrot::start().await;
    let config = both(&provider, UNSHARED);
    let stage = Stage::set(&config.replace("api_key", "# api_key"));
    for (caller, sent, expected) in [
        (
            Caller::Chat,
            ("authorization", "Bearer mine"),
            ("x-api-key", "mine"),
        ),
        (
            Caller::Messages,
            ("x-api-key", "mine"),
            ("authorization", "Bearer mine"),
        ),
    ] {
        let request = with(caller.call("hello", &json!({})), sent.0, sent.1);
        assert_ok(&stage.call(request).await);
        let seen = asked.lock().pop().unwrap();
        assert_eq!(seen.header(expected.0), expected.1);
        assert_eq!(seen.header(sent.0), "");
    }
}

/// Streams go through in whatever pieces they come, and are the same.
#[tokio::test]
async fn a_stream_comes_out_the_same_however_it_was_cut() {
    const WORDS: &str = "the tide turns at \u{e9} noon";
    for most in [1, 7, 100, 100_000] {
        let provider = Scripted::start(move |seen| {
            let caller = match seen.uri.path() {
                "/v1/messages" => Caller::Chat,
                _ => Caller::Messages,
            };
            let mut random = fastrand::Rng::with_seed(5);
            let played = Played::chunked(caller.events(WORDS).as_bytes(), most, &mut random);
            async move { events(played) }
        })
        .await;
        let stage = Stage::set(&both(&provider, UNSHARED));
        for (caller, more, told) in [
            (Caller::Chat, json!({"stream": true}), false),
            (
                Caller::Chat,
                json!({"stream": true, "stream_options": {"include_usage": true}}),
                true,
            ),
            (Caller::Messages, json!({"stream": true}), true),
        ] {
            let answer = stage.call(caller.call("x", &more)).await;
            assert_ok(&answer);
            let kind = answer.header("content-type");
            assert_eq!(kind, "text/event-stream; charset=utf-8");
            assert_eq!(answer.header("x-accel-buffering"), "no");
            let heard = caller.heard(answer.text());
            assert_eq!(heard, (WORDS.to_owned(), true));
            let tells = answer.text().contains("\"usage\":{");
            assert_eq!(tells, told, "{}", answer.text());
        }
        for line in stage.strike().await {
            assert_eq!(line["input_tokens"], 9, "{line}");
            assert_eq!(line["tokens_estimated"], false, "{line}");
            assert_eq!(line["stream"], true, "{line}");
        }
    }
}

/// No event waits for a later one.
#[tokio::test]
async fn each_event_goes_out_as_it_comes() {
    for caller in CALLERS {
        let stream = caller.events("one two three");
        let (go, wait) = tokio::sync::oneshot::channel();
        let wait = Arc::new(Mutex::new(Some(wait)));
        let provider = Scripted::start(move |_| {
            let at = stream.find("two").unwrap();
            let at = at + stream[at..].find("\n\n").unwrap() + 2;
            let (first, rest) = stream.split_at(at);
            let wait = wait.lock().take().unwrap();
            let played = Played::steps([
                Beat::Data(Bytes::copy_from_slice(first.as_bytes())),
                Beat::Until(wait),
                Beat::Data(Bytes::copy_from_slice(rest.as_bytes())),
            ]);
            async move { events(played) }
        })
        .await;
        let stage = Stage::set(&both(&provider, UNSHARED));
        let mut connection = Connection::connect(stage.address()).await;
        let request = caller.call("x", &json!({"stream": true}));
        let response = connection.begin(request).await;
        let mut body = response.into_body();
        let mut got = Vec::new();
        while !String::from_utf8_lossy(&got).contains(" two") {
            let frame = body.frame().await.unwrap().unwrap();
            got.extend_from_slice(&frame.into_data().unwrap());
        }
        // What comes later has not been sent yet.
        go.send(()).unwrap();
        got.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        let (words, ended) = caller.heard(std::str::from_utf8(&got).unwrap());
        assert_eq!((&*words, ended), ("one two three", true));
    }
}

#[tokio::test]
async fn a_path_that_names_the_provider_crosses_too() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for caller in CALLERS {
        let path = format!("/{}{}", caller.provider(), caller.path());
        let model = caller.model().split_once('/').unwrap().1;
        let request = post(&path, caller.body(model, "hello", &json!({})));
        let answer = stage.call(request).await;
        assert_ok(&answer);
        assert_eq!(caller.said(&answer.json()), "hello");
        assert_eq!(asked.lock().pop().unwrap().uri.path(), caller.asked_at());
    }
}

/// A server that knows no streams answers in one piece; its caller gets one.
#[tokio::test]
async fn an_answer_in_one_piece_becomes_the_stream_that_was_asked_for() {
    let provider = Scripted::start(|mut seen| {
        let text = seen.text().replace("\"stream\":true", "\"stream\":false");
        seen.body = text.into();
        let answer = repeat(&seen);
        async move { answer }
    })
    .await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for caller in CALLERS {
        let request = caller.call("one two", &json!({"stream": true}));
        let answer = stage.call(request).await;
        assert_ok(&answer);
        let (words, ended) = caller.heard(answer.text());
        assert_eq!((&*words, ended), ("one two", true));
    }
}
