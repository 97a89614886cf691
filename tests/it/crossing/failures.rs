//! What a caller is told when the other side fails, in the caller's dialect.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{CALLERS, Caller, UNSHARED, both, line, named};
use crate::stage::parrot::repeat;
use crate::stage::scripted::{Beat, Played, Scripted, events, json as answer_json};
use crate::stage::{Stage, post};

/// A provider that refuses every call like this, in either dialect.
async fn refusing(status: u16, chat: &'static str, message: &'static str) -> Scripted {
    Scripted::start(move |seen| {
        let body = match seen.uri.path() {
            "/v1/messages" => message,
            _ => chat,
        };
        let mut answer = answer_json(status, body);
        let headers = answer.headers_mut();
        headers.insert("retry-after", "7".parse().unwrap());
        headers.insert("x-ratelimit-remaining-requests", "3".parse().unwrap());
        headers.insert("set-cookie", "a=b".parse().unwrap());
        headers.insert("request-id", "req_theirs".parse().unwrap());
        async move { answer }
    })
    .await
}

#[tokio::test]
async fn a_refusal_is_told_in_the_callers_words_with_its_status_and_wait() {
    let rows = [
        (
            429,
            r#"{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
            (429, "rate_limit_error"),
            (429, "rate_limit_error"),
        ),
        (
            529,
            r#"{"error":{"message":"slow down","type":"server_error","param":null,"code":null}}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"slow down"}}"#,
            (503, "server_error"),
            (529, "overloaded_error"),
        ),
        (
            401,
            r#"{"error":{"message":"slow down","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            r#"{"type":"error","error":{"type":"authentication_error","message":"slow down"}}"#,
            (401, "invalid_request_error"),
            (401, "authentication_error"),
        ),
        (
            500,
            "slow down",
            "slow down",
            (500, "server_error"),
            (500, "api_error"),
        ),
    ];
    for (status, chat, message, to_chat, to_messages) in rows {
        let provider = refusing(status, chat, message).await;
        let stage = Stage::set(&both(&provider, UNSHARED));
        for caller in CALLERS {
            for stream in [false, true] {
                let request = caller.call("x", &json!({"stream": stream}));
                let answer = stage.call(named(request, "id-1")).await;
                let told = answer.json();
                let (expected, kind) = match caller {
                    Caller::Chat => to_chat,
                    Caller::Messages => to_messages,
                };
                let shown = format!("{caller:?} {status}: {told}");
                assert_eq!(answer.status, expected, "{shown}");
                assert_eq!(told["error"]["type"], kind, "{shown}");
                assert_eq!(told["error"]["message"], "slow down", "{shown}");
                assert_eq!(answer.header("content-type"), "application/json");
                assert_eq!(answer.header("retry-after"), "7");
                assert_eq!(answer.header("x-ratelimit-remaining-requests"), "3");
                assert_eq!(answer.header("set-cookie"), "");
                assert_eq!(answer.header("x-nowait-upstream-request-id"), "req_theirs");
                assert_eq!(answer.header("x-nowait-provider"), caller.provider());
                if caller == Caller::Messages {
                    assert_eq!(told["request_id"], "id-1");
                    assert_eq!(answer.header("request-id"), "id-1");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_fault_of_the_provider() {
    for body in [
        "<html>secret",
        "{}",
        "[\"secret\"]",
        "{\"id\":\"secret\"",
        "{\"choices\":\"secret\",\"content\":\"secret\",\"message\":\"secret\"}",
        "{\"choices\":[{\"index\":0,\"message\":\"secret\"}],\"text\":\"secret\"}",
    ] {
        let provider = Scripted::start(move |_| async move { answer_json(200, body) }).await;
        let stage = Stage::set(&both(&provider, UNSHARED));
        for caller in CALLERS {
            let answer = stage.call(caller.call("x", &json!({}))).await;
            assert_eq!(answer.status, 502, "{body}: {}", answer.text());
            let told = answer.json();
            let words = told["error"]["message"].as_str().unwrap();
            assert!(!words.contains("secret"), "{words}");
            if body == "{}" {
                assert!(words.ends_with("is missing, not an array"), "{words}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_in_a_good_status_is_told_as_one() {
    let provider = Scripted::start(|seen| {
        let body = match seen.uri.path() {
            "/v1/messages" => r#"{"type":"error","error":{"type":"rate_limit_error","message":"no"}}"#,
            _ => r#"{"error":{"message":"no","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        };
        async move { answer_json(200, body) }
    })
    .await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for caller in CALLERS {
        let answer = stage.call(caller.call("x", &json!({}))).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json()["error"]["message"], "no");
    }
}

/// The head of a stream says nothing: what a provider says in place of any
/// content has its status, on the last attempt too.
#[tokio::test]
async fn an_error_in_place_of_content_is_told_by_its_status() {
    let provider = broken(|caller, stream| {
        let error = match caller {
            Caller::Chat => {
                let start = &stream[..stream.find("\n\n").unwrap() + 2];
                let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n";
                format!("{start}{error}")
            }
            Caller::Messages => {
                "data: {\"error\":{\"message\":\"too much\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\",\"param\":null}}\n\n".to_owned()
            }
        };
        Played::whole(error)
    })
    .await;
    let once = format!("[retry]\nattempts = 1\n{UNSHARED}");
    let stage = Stage::set(&both(&provider, &once));
    for (caller, status, kind) in [
        (Caller::Chat, 503, "server_error"),
        (Caller::Messages, 429, "rate_limit_error"),
    ] {
        let answer = stage.call(caller.call("x", &json!({"stream": true}))).await;
        assert_eq!(answer.status, status, "{caller:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        let told = answer.json();
        assert_eq!(told["error"]["type"], kind, "{told}");
        assert_eq!(told["error"]["message"], "too much", "{told}");
    }
}

/// What becomes of the stream that a caller's provider would send.
type Ending = fn(Caller, &str) -> Played;

/// A stream of that provider's, ended before its end.
async fn broken(end: Ending) -> Scripted {
    Scripted::start(move |seen| {
        let caller = match seen.uri.path() {
            "/v1/messages" => Caller::Chat,
            _ => Caller::Messages,
        };
        let played = end(caller, &caller.events("one two three"));
        async move { events(played) }
    })
    .await
}

fn until_two(stream: &str) -> &str {
    let at = stream.find("three").unwrap();
    &stream[..stream[..at].rfind("\n\n").unwrap() + 2]
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_the_callers_error_event() {
    let ends: [(&str, Ending); 5] = [
        ("ended", |_, stream| {
            Played::steps([Beat::Data(Bytes::copy_from_slice(
                until_two(stream).as_bytes(),
            ))])
        }),
        ("cut", |_, stream| {
            Played::steps([Beat::Data(Bytes::copy_from_slice(
                until_two(stream).as_bytes(),
            ))])
            .then(Beat::Cut)
        }),
        ("half an event", |_, stream| {
            let half = format!("{}event: x\ndata: {{\"choi", until_two(stream));
            Played::steps([Beat::Data(half.into())])
        }),
        ("before its terminal event", |_, stream| {
            let at = stream.trim_end().rfind("\n\n").unwrap() + 2;
            Played::steps([Beat::Data(Bytes::copy_from_slice(&stream.as_bytes()[..at]))])
                .then(Beat::Cut)
        }),
        ("an error event", |caller, stream| {
            let error = match caller {
                Caller::Chat => {
                    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n"
                }
                Caller::Messages => {
                    "data: {\"error\":{\"message\":\"too much\",\"type\":\"server_error\",\"code\":null,\"param\":null}}\n\n"
                }
            };
            let text = format!("{}{error}", until_two(stream));
            Played::steps([Beat::Data(text.into())])
        }),
    ];
    for (what, end) in ends {
        let provider = broken(end).await;
        for caller in CALLERS {
            let stage = Stage::set(&both(&provider, UNSHARED));
            let request = caller.call("x", &json!({"stream": true}));
            let answer = stage.call(named(request, "id-1")).await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{what}: {text}");
            assert!(answer.broken.is_none(), "{what}: {text}");
            assert!(
                caller.heard(text).0.starts_with("one two"),
                "{what}: {text}"
            );
            let error = caller.broke_off(text);
            let lines = stage.strike().await;
            let line = line(&lines, "id-1");
            if what == "an error event" {
                assert_eq!(error["message"], "too much", "{text}");
                assert_eq!(line["error"], Value::Null, "{line}");
            } else {
                assert_eq!(line["error"], "upstream_protocol", "{what}: {line}");
                let words = error["message"].as_str().unwrap();
                assert!(words.starts_with(caller.provider()), "{what}: {words}");
            }
        }
    }
}

/// An event larger than any that is translated ends the stream, and doesn't
/// fill the memory.
#[tokio::test]
async fn an_event_without_end_is_given_up() {
    let provider = broken(|_, stream| {
        let first = Bytes::copy_from_slice(until_two(stream).as_bytes());
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let endless = (0..40).map(|_| Beat::Data(piece.clone()));
        let beats = [Beat::Data(first), Beat::Data("data: {\"a\":\"".into())];
        Played::steps(beats.into_iter().chain(endless)).then(Beat::Hang)
    })
    .await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for caller in CALLERS {
        let request = caller.call("x", &json!({"stream": true}));
        let answer = stage.call(request).await;
        let error = caller.broke_off(answer.text());
        let words = error["message"].as_str().unwrap();
        assert!(words.contains("too large"), "{words}");
        assert!(words.starts_with(caller.provider()), "{words}");
        if caller == Caller::Chat {
            assert_eq!(error["code"], "upstream_protocol");
        }
    }
}

/// It may have been some of the answer, so that the rest is no answer, and
/// nobody else gets it out of the cache.
#[tokio::test]
async fn an_event_that_cant_be_read_ends_the_stream_and_is_not_kept() {
    let mangled: [Ending; 2] = [
        |_, stream| Played::whole(stream.replacen("two\"", "two\"\"", 1)),
        |_, stream| {
            let (before, after) = stream.split_once("two").unwrap();
            let mangled = [before.as_bytes(), b"t\xffo", after.as_bytes()].concat();
            Played::whole(mangled)
        },
    ];
    for mangle in mangled {
        let provider = broken(mangle).await;
        let stage = Stage::set(&both(&provider, "[cache]\nshare = \"deterministic\""));
        for caller in CALLERS {
            for id in ["id-1", "id-2"] {
                let request = caller.call("x", &json!({"stream": true, "temperature": 0}));
                let answer = stage.call(named(request, id)).await;
                let text = answer.text();
                assert_eq!(answer.status, 200, "{text}");
                let error = caller.broke_off(text);
                let words = error["message"].as_str().unwrap();
                assert!(words.contains("an event that is not"), "{words}");
                assert!(words.starts_with(caller.provider()), "{words}");
                assert_eq!(caller.heard(text).0, "one", "{text}");
            }
        }
        for line in stage.strike().await {
            assert_eq!(line["error"], "upstream_protocol", "{line}");
            assert_eq!(line["cache"], "miss", "{line}");
        }
    }
}

#[tokio::test]
async fn what_no_provider_can_be_asked_is_refused_before_anything_is_sent() {
    let provider = Scripted::start(|_| async { answer_json(500, "{}") }).await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for (path, body, field, words) in [
        (
            "/v1/chat/completions",
            r#"{"model":"anthropic/c","n":2,"messages":[{"role":"user","content":"x"}]}"#,
            "n",
            "n",
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"anthropic/c","messages":"x"}"#,
            "messages",
            "messages",
        ),
        (
            "/v1/responses",
            r#"{"model":"anthropic/c","input":"x","previous_response_id":"resp_1"}"#,
            "previous_response_id",
            "previous_response_id",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"anthropic/c","input":"x"}"#,
            "model",
            "name a model of a provider that has this endpoint",
        ),
    ] {
        let answer = stage.call(post(path, body)).await;
        let told = answer.json();
        assert_eq!(answer.status, 400, "{told}");
        assert_eq!(told["error"]["param"], field, "{told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert_eq!(answer.header("x-nowait-attempts"), "", "{told}");
    }
}

/// Nobody asked for it: an answer that can be read is read, and one that can't
/// be, a stream above all, is the provider's fault and named as one.
#[tokio::test]
async fn what_came_compressed_is_read_or_refused_by_name() {
    for (coding, stream, status) in [
        ("gzip", false, 200),
        ("br", false, 502),
        ("gzip", true, 502),
        ("br", true, 502),
    ] {
        let provider = Scripted::start(move |seen| async move {
            assert_eq!(seen.header("accept-encoding"), "identity");
            let (mut head, body) = repeat(&seen).into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&body).unwrap();
            head.headers
                .insert("content-encoding", coding.parse().unwrap());
            Response::from_parts(head, Played::whole(gzip.finish().unwrap()))
        })
        .await;
        let stage = Stage::set(&both(&provider, UNSHARED));
        for caller in CALLERS {
            let request = caller.call("x", &json!({"stream": stream}));
            let answer = stage.call(named(request, "id-1")).await;
            assert_eq!(answer.status, status, "{coding}: {}", answer.text());
            assert_eq!(answer.header("content-encoding"), "");
            let told = answer.json();
            if status == 200 {
                assert_eq!(caller.said(&told), "x");
            } else {
                let words = told["error"]["message"].as_str().unwrap();
                assert!(words.contains("not asked for"), "{words}");
                assert!(words.contains(caller.provider()), "{words}");
            }
        }
        for line in stage.strike().await {
            let error = (status == 502).then_some("upstream_protocol");
            assert_eq!(line["error"].as_str(), error, "{line}");
        }
    }
}
