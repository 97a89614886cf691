//! One entry for callers of both forms, and for the plain endpoints.

use serde_json::Value;

use super::cast::{CALLS, Call, data};
use super::{assert_hit, status};
use crate::harness::client::post;
use crate::harness::gateway::{Gateway, sharing as both};
use crate::harness::upstream::Upstream;

#[test]
fn what_came_in_one_form_is_had_in_the_other() {
    for call in CALLS {
        for recorded in [false, true] {
            let upstream = Upstream::new([call.script(recorded)]);
            let gateway = Gateway::new(&both(upstream.address));
            let shown = format!("{call:?}, recorded as a stream: {recorded}");
            gateway.call(call.ask(recorded, true, &[]));
            let other = gateway.call(call.ask(!recorded, true, &[]));
            assert_hit(&other, &shown);
            assert_eq!(upstream.seen().len(), 1, "{shown}");
            let text = other.text();
            let (kind, said) = if recorded {
                let body = other.json();
                let original: Value = call.whole().parse().expect("JSON");
                assert_eq!(body["usage"], original["usage"], "{shown}: {text}");
                assert_eq!(body["id"], original["id"], "{shown}: {text}");
                ("application/json", call.text_of_whole(&body))
            } else {
                let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
                assert!(last.contains(call.terminal()), "{shown}: {text}");
                ("text/event-stream", call.text_of_stream(&text))
            };
            assert_eq!(said, "tide turns", "{shown}: {text}");
            let told = other.head.get("content-type").expect("a type");
            assert!(told.starts_with(kind), "{shown}: {told}");
        }
    }
}

#[test]
fn a_stream_tells_what_it_took_only_when_asked() {
    for call in [Call::Chat, Call::Completions] {
        for recorded in [false, true] {
            let upstream = Upstream::new([call.script(recorded)]);
            let gateway = Gateway::new(&both(upstream.address));
            gateway.call(call.ask(recorded, true, &[]));
            for usage in [true, false] {
                let shown = format!("{call:?}, recorded as a stream: {recorded}, asked: {usage}");
                let reply = gateway.call(call.ask(true, usage, &[]));
                assert_hit(&reply, &shown);
                let text = reply.text();
                let events = data(&text);
                let counts = events.iter().filter(|event| event["usage"].is_object());
                assert_eq!(counts.count(), usize::from(usage), "{shown}: {text}");
                let empty = events
                    .iter()
                    .filter(|event| event["choices"].as_array().is_some_and(Vec::is_empty));
                assert_eq!(empty.count(), usize::from(usage), "{shown}: {text}");
                assert_eq!(call.text_of_stream(&text), "tide turns", "{shown}");
            }
            assert_eq!(upstream.seen().len(), 1);
        }
    }
}

#[test]
fn a_stream_without_counts_serves_only_those_who_want_none() {
    let call = Call::Chat;
    let upstream = Upstream::new([
        crate::harness::dialects::Door::Chat.stream(),
        call.script(false),
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let first = gateway.call(call.ask(true, false, &[]));
    assert_hit(&gateway.call(call.ask(true, false, &[])), "the same");
    let whole = gateway.call(call.ask(false, true, &[]));
    assert_eq!(status(&whole), "nowait; fwd=miss; stored");
    assert!(whole.json()["usage"].is_object(), "{}", whole.text());
    assert_hit(
        &gateway.call(call.ask(true, true, &[])),
        "counts are kept now",
    );
    assert!(first.whole);
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn plain_answers_say_that_they_were_kept() {
    for accept in ["application/json", "text/event-stream", "text/plain"] {
        for (path, script) in [
            ("/generate", Call::Chat),
            ("/generate_claude", Call::Messages),
        ] {
            let streamed = accept != "application/json";
            let upstream = Upstream::new([script.script(streamed)]);
            let gateway = Gateway::new(&both(upstream.address));
            let ask = || post(path, &[("accept", accept)], r#"{"prompt":"hello"}"#);
            let shown = format!("{path}, {accept}");
            let first = gateway.call(ask());
            assert_eq!(first.status, 200, "{shown}: {}", first.text());
            let second = gateway.call(ask());
            assert_hit(&second, &shown);
            for (reply, cached) in [(&first, false), (&second, true)] {
                let text = reply.text();
                match accept {
                    "text/plain" => assert_eq!(text, "tide turns", "{shown}"),
                    "text/event-stream" => {
                        let events = data(&text);
                        let done = events.last().expect("events");
                        assert_eq!(done["cached"], cached, "{shown}: {text}");
                        assert_eq!(Call::Plain.text_of_stream(&text), "tide turns", "{shown}");
                    }
                    _ => {
                        let body = reply.json();
                        assert_eq!(body["cached"], cached, "{shown}: {text}");
                        assert_eq!(body["response"], "tide turns", "{shown}");
                        assert_eq!(body["usage"]["input_tokens"], 7, "{shown}");
                    }
                }
            }
            assert_eq!(upstream.seen().len(), 1, "{shown}");
        }
    }
}

#[test]
fn plain_callers_of_all_forms_share_one_entry() {
    let upstream = Upstream::new([Call::Chat.script(false)]);
    let gateway = Gateway::new(&both(upstream.address));
    for accept in ["application/json", "text/event-stream", "text/plain"] {
        let reply = gateway.call(post(
            "/generate",
            &[("accept", accept)],
            r#"{"prompt":"hello"}"#,
        ));
        assert_eq!(reply.status, 200, "{accept}: {}", reply.text());
        assert!(reply.text().contains("tide"), "{accept}: {}", reply.text());
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn equal_prompts_of_a_batch_are_asked_once() {
    let upstream = Upstream::new([Call::Chat.script(false), Call::Chat.script(false)]);
    let gateway = Gateway::new(&both(upstream.address));
    let body = r#"{"prompts":["a","b","a",{"prompt":"a"},"b"]}"#;
    let reply = gateway.post("/generate/batch", body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answers = reply.json();
    let answers = answers["responses"].as_array().expect("a list");
    assert_eq!(answers.len(), 5);
    for answer in answers {
        assert_eq!(answer["response"], "tide turns", "{answer}");
    }
    assert_eq!(upstream.seen().len(), 2);
}
