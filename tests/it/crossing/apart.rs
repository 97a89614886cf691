//! What stays between a caller and nowait, or between two callers: headers of
//! another dialect's, keys, and answers that somebody else paid for.

use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::{CALLERS, Caller, UNSHARED, assert_ok, both};
use crate::stage::parrot;
use crate::stage::scripted::{Scripted, json as whole};
use crate::stage::{Stage, with};

/// A configuration in which callers bring the keys.
fn keyless(provider: &Scripted, more: &str) -> String {
    both(provider, more).replace("api_key", "# api_key")
}

/// The same call with a key of the caller's own.
fn by(caller: Caller, request: Request<Bytes>, key: &str) -> Request<Bytes> {
    match caller {
        Caller::Chat => with(request, "authorization", &format!("Bearer {key}")),
        Caller::Messages => with(request, "x-api-key", key),
    }
}

#[tokio::test]
async fn equal_calls_with_keys_of_their_own_share_nothing() {
    let (provider, asked) = parrot::start().await;
    for caller in CALLERS {
        let stage = Stage::set(&keyless(&provider, "[cache]\nshare = \"all\""));
        asked.lock().clear();
        for (key, expected) in [
            ("one", "miss"),
            ("two", "miss"),
            ("one", "hit"),
            ("two", "hit"),
        ] {
            for stream in [false, true] {
                let request = caller.call("one two", &json!({"stream": stream}));
                let answer = stage.call(by(caller, request, key)).await;
                assert_ok(&answer);
                let status = answer.header("cache-status");
                // What one has, that one may have in the other form too.
                let expected = if stream { "hit" } else { expected };
                assert!(status.contains(expected), "{caller:?} {key}: {status}");
            }
        }
        let keys: Vec<_> = asked
            .lock()
            .iter()
            .map(|seen| match caller {
                Caller::Chat => seen.header("x-api-key").to_owned(),
                Caller::Messages => seen.header("authorization").replace("Bearer ", ""),
            })
            .collect();
        assert_eq!(keys, ["one", "two"], "{caller:?}");
    }
}

/// What stands before a provider may ask for a key of its own; and a provider may
/// have its key in any header.
#[tokio::test]
async fn whatever_may_be_a_key_keeps_callers_apart() {
    let (provider, asked) = parrot::start().await;
    for caller in CALLERS {
        let config = keyless(&provider, "[cache]\nshare = \"all\"");
        let auth = "[providers.openai]\nauth = { header = \"X-My-Own\" }";
        let config = config.replace("[providers.openai]", auth);
        let stage = Stage::set(&config);
        for name in ["x-my-own", "ocp-apim-subscription-key", "cookie"] {
            for (value, expected) in [("one", "miss"), ("two", "miss"), ("one", "hit")] {
                let request = caller.call(name, &json!({}));
                let answer = stage.call(with(request, name, value)).await;
                assert_ok(&answer);
                let status = answer.header("cache-status");
                // Of the two providers one has its key there.
                let is_apart = name != "x-my-own" || caller == Caller::Messages;
                let expected = if is_apart { expected } else { "" };
                assert!(status.contains(expected), "{caller:?} {name}: {status}");
            }
        }
        asked.lock().clear();
        let request = caller.call("moved", &json!({}));
        assert_ok(&stage.call(by(caller, request, "mine")).await);
        let seen = asked.lock().pop().unwrap();
        let to = match caller {
            Caller::Chat => "x-api-key",
            Caller::Messages => "x-my-own",
        };
        assert_eq!(seen.header(to), "mine", "{caller:?}");
    }
}

#[tokio::test]
async fn what_is_of_a_callers_dialect_or_browser_does_not_cross() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    let names = [
        "openai-organization",
        "openai-project",
        "openai-beta",
        "anthropic-beta",
        "anthropic-dangerous-direct-browser-access",
        "cookie",
        "origin",
        "referer",
        "x-forwarded-for",
        "x-stainless-lang",
        "x-unknown",
    ];
    for caller in CALLERS {
        let mut request = caller.call("x", &json!({}));
        for name in names {
            request = with(request, name, "secret");
        }
        assert_ok(&stage.call(request).await);
        let seen = asked.lock().pop().unwrap();
        for (name, value) in &seen.headers {
            assert!(!names.contains(&name.as_str()), "{caller:?}: {name}");
            assert_ne!(value, "secret", "{caller:?}: {name}");
        }
    }
}

/// Neither a provider's key nor a caller's, whatever becomes of the call.
#[tokio::test]
async fn no_key_is_in_the_log_or_in_an_answer() {
    let refusing = Scripted::start(|seen| {
        let key = format!(
            "{}{}",
            seen.header("authorization"),
            seen.header("x-api-key")
        );
        assert!(key.ends_with("-secret"), "{key}");
        std::future::ready(whole(401, r#"{"error":{"message":"no such key"}}"#))
    })
    .await;
    let (answering, _) = parrot::start().await;
    for (provider, status) in [(&refusing, 401), (&answering, 200)] {
        for of_callers in [false, true] {
            let config = match of_callers {
                true => keyless(provider, UNSHARED),
                false => both(provider, UNSHARED)
                    .replace("sk-openai", "sk-openai-secret")
                    .replace("sk-anthropic", "sk-anthropic-secret"),
            };
            let gone = "[providers.gone]\ndialect = \"DIALECT\"\nbase_url = \"http://127.0.0.1:1\"\napi_key = \"sk-secret\"\n";
            for caller in CALLERS {
                let dialect = match caller {
                    Caller::Chat => "anthropic",
                    Caller::Messages => "gemini",
                };
                let stage = Stage::set(&format!("{config}{}", gone.replace("DIALECT", dialect)));
                for (model, status) in [(caller.model(), status), ("gone/x", 502)] {
                    let request = caller.call_of(model, "x", &json!({}));
                    let answer = stage.call(by(caller, request, "sk-mine-secret")).await;
                    assert_eq!(answer.status, status, "{}", answer.text());
                    let told = format!("{:?} {}", answer.headers, answer.text());
                    assert!(!told.contains("secret"), "{told}");
                }
                let lines = stage.strike().await;
                assert_eq!(lines.len(), 2);
                for line in lines {
                    assert!(!line.to_string().contains("secret"), "{line}");
                }
            }
        }
    }
}
