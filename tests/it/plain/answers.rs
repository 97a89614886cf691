//! Every shape an answer of the plain endpoint comes in, whole, refused or
//! broken off.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::query;
use crate::stage::parrot::{self, both};
use crate::stage::scripted::{self, Beat, Played, Scripted};
use crate::stage::{Caller, Stage, call, post, with};

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
    for (more, code, words) in [
        (failed, "server_error", "The server had an error"),
        (
            "",
            "upstream_protocol",
            "the stream ended before its terminal event",
        ),
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
        assert_eq!(problem["code"], code);
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

#[tokio::test]
async fn an_error_in_a_good_status_has_its_own() {
    for (body, status) in [
        (
            r#"{"error":{"message":"no","type":"tokens","code":"rate_limit_exceeded"}}"#,
            429,
        ),
        (r#"{"error":{"message":"no"}}"#, 502),
    ] {
        let provider = Scripted::start(move |_| async move { scripted::json(200, body) }).await;
        let stage = Stage::set(&both(&provider));
        for path in ["/generate", "/generate_claude"] {
            let answer = stage.call(query(&format!("{path}?prompt=x"))).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
            let told = answer.json();
            assert!(told["detail"].as_str().unwrap().ends_with("no"), "{told}");
        }
    }
}

/// It may have been some of the answer.
#[tokio::test]
async fn text_that_is_not_utf8_ends_a_stream() {
    let provider = Scripted::start(|seen| {
        let stream = match seen.uri.path() {
            "/v1/messages" => parrot::message_events("one two three"),
            _ => parrot::chat_events("one two three"),
        };
        let (before, after) = stream.split_once("two").unwrap();
        let mangled = [before.as_bytes(), b"t\xffo", after.as_bytes()].concat();
        async move { scripted::events(Played::whole(mangled)) }
    })
    .await;
    let stage = Stage::set(&both(&provider));
    for path in ["/generate", "/generate_claude"] {
        let answer = stage
            .call(query(&format!("{path}?prompt=x&stream=true")))
            .await;
        let text = answer.text();
        assert!(text.starts_with("data: {\"delta\":\"one\"}"), "{text}");
        assert!(text.contains("upstream_protocol"), "{text}");
        assert!(!text.contains("three"), "{text}");
    }
}
