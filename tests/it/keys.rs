//! Who may call, and whose key goes where.

use sha2::{Digest as _, Sha256};

use crate::harness::client::{head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::upstream::{Step, Upstream, json_answer};

pub(crate) fn key(name: &str, text: &str, more: &str) -> String {
    let hash: String = Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("[[keys]]\nname = \"{name}\"\nhash = \"sha256:{hash}\"\n{more}\n")
}

/// Two callers: one for some models, one who may see everything.
fn keys() -> String {
    format!(
        "{}{}",
        key("web", "k-web-4711", "models = [\"up/m\", \"claude/m\"]"),
        key("ops", "k-ops-4711", "admin = true")
    )
}

#[test]
fn a_gateway_with_keys_asks_for_one() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&format!("{}{}", both(upstream.address), keys()));
    for door in DOORS {
        for (headers, words) in [
            (&[][..], "no gateway key: send it as"),
            (
                &[("authorization", "Bearer k-nobody")],
                "is not one of this gateway's",
            ),
            (
                &[("authorization", "Bearer ")],
                "is not one of this gateway's",
            ),
            (
                &[("authorization", "Basic k-web-4711")],
                "is not one of this gateway's",
            ),
            (
                &[("x-api-key", "K-WEB-4711")],
                "is not one of this gateway's",
            ),
        ] {
            let reply = gateway.call(door.call_with(false, headers));
            let said = door.assert_error(&reply, 401, "invalid_api_key");
            assert!(said.contains(words), "{headers:?}: {said}");
            assert!(!said.contains("k-"), "no key is repeated: {said}");
            let wanted = Some("Bearer realm=\"nowait\"");
            assert_eq!(reply.head.get("www-authenticate"), wanted);
            assert_eq!(gateway.line_of(&reply)["tenant"], "-");
        }
        for header in ["authorization", "x-api-key", "api-key"] {
            let value = match header {
                "authorization" => "Bearer k-web-4711",
                _ => "k-web-4711",
            };
            let answer = door.call_with(false, &[(header, value)]);
            let reply = gateway.call(answer);
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(gateway.line_of(&reply)["tenant"], "web");
        }
    }
    for seen in upstream.seen() {
        for (name, value) in &seen.head.headers {
            assert!(!value.contains("4711"), "{name}: {value} went upstream");
        }
    }
}

#[test]
fn a_key_is_held_to_its_models() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&format!("{}{}", both(upstream.address), keys()));
    let auth = ("authorization", "Bearer k-web-4711");
    for (door, body) in [
        (Door::Chat, r#"{"model":"up/other"}"#),
        (Door::Messages, r#"{"model":"claude/other"}"#),
        (Door::Plain, r#"{"prompt":"x","model":"up/other"}"#),
    ] {
        let reply = gateway.call(post(door.path(), &[auth], body));
        let said = door.assert_error(&reply, 403, "forbidden");
        assert!(said.contains("`web` may not use the model"), "{said}");
    }
    // What a raw call asks for is not looked into.
    let reply = gateway.call(head("GET", "/up/v1/files", &[auth]));
    Door::Chat.assert_error(&reply, 403, "forbidden");
    // One item of a batch that may not is an error in its place.
    let batch = r#"{"prompts":["a",{"prompt":"b","model":"up/other"}]}"#;
    let reply = gateway.call(post("/generate/batch", &[auth], batch));
    let items = reply.json()["responses"].clone();
    assert_eq!(items[0]["response"], "tide turns", "{items}");
    assert_eq!(items[1]["error"]["code"], "forbidden", "{items}");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn metrics_are_for_admins_and_health_for_everybody() {
    let gateway = Gateway::new(&format!("{}{}", both(Upstream::closed_port()), keys()));
    for (path, key, status) in [
        ("/metrics", None, 401),
        ("/metrics", Some("Bearer k-web-4711"), 403),
        ("/metrics", Some("Bearer k-ops-4711"), 200),
        ("/v1/models", None, 401),
        ("/v1/models", Some("Bearer k-web-4711"), 200),
        ("/up/v1/files", None, 401),
        ("/health", None, 200),
        ("/healthz", None, 200),
        ("/livez", None, 200),
        ("/health/liveliness", None, 200),
        ("/docs", None, 200),
        ("/openapi.json", None, 200),
    ] {
        let auth: Vec<_> = key.map(|key| ("authorization", key)).into_iter().collect();
        let reply = gateway.call(head("GET", path, &auth));
        assert_eq!(
            reply.status,
            status,
            "{path} with {key:?}: {}",
            reply.text()
        );
    }
}

#[test]
fn whose_key_a_provider_gets() {
    const BEARER: (&str, &str) = ("authorization", "Bearer sk-own-0815");
    const HEADER: (&str, &str) = ("x-api-key", "sk-own-0815");
    const GATEWAY_KEY: (&str, &str) = ("x-api-key", "k-ops-4711");
    const GATEWAY_BEARER: (&str, &str) = ("authorization", "Bearer k-ops-4711");
    const OTHER: (&str, &str) = ("api-key", "sk-other-0815");
    const OWN: &str = "api_key = \"sk-ours-0815\"";
    // The dialect, the provider's settings, whether the gateway has keys, what
    // the caller sends, and what the provider gets in either header.
    type Case = (
        &'static str,
        &'static str,
        bool,
        &'static [(&'static str, &'static str)],
        (Option<&'static str>, Option<&'static str>),
    );
    let cases: &[Case] = &[
        // A provider without a key gets the caller's, as the caller sent it.
        (
            "openai",
            "",
            false,
            &[BEARER],
            (Some("Bearer sk-own-0815"), None),
        ),
        (
            "anthropic",
            "",
            false,
            &[HEADER],
            (None, Some("sk-own-0815")),
        ),
        ("openai", "", false, &[], (None, None)),
        // One that has a key gets that and no other.
        (
            "openai",
            OWN,
            false,
            &[BEARER, HEADER, OTHER],
            (Some("Bearer sk-ours-0815"), None),
        ),
        (
            "anthropic",
            OWN,
            false,
            &[BEARER, HEADER, OTHER],
            (None, Some("sk-ours-0815")),
        ),
        (
            "openai",
            OWN,
            false,
            &[],
            (Some("Bearer sk-ours-0815"), None),
        ),
        // The gateway's key stays here, the caller's own beside it passes.
        ("openai", "", true, &[GATEWAY_BEARER], (None, None)),
        (
            "openai",
            "",
            true,
            &[GATEWAY_KEY, BEARER],
            (Some("Bearer sk-own-0815"), None),
        ),
        (
            "anthropic",
            "",
            true,
            &[GATEWAY_BEARER, HEADER],
            (None, Some("sk-own-0815")),
        ),
        (
            "openai",
            OWN,
            true,
            &[GATEWAY_BEARER],
            (Some("Bearer sk-ours-0815"), None),
        ),
        (
            "anthropic",
            OWN,
            true,
            &[GATEWAY_KEY],
            (None, Some("sk-ours-0815")),
        ),
    ];
    for (dialect, settings, locked, sent, expected) in cases {
        let upstream = Upstream::always(json_answer(200, "{}"));
        let lock = if *locked { keys() } else { String::new() };
        let gateway = Gateway::new(&format!(
            "{}{lock}",
            provider("up", dialect, upstream.address, settings)
        ));
        let path = match *dialect {
            "openai" => "/v1/chat/completions",
            _ => "/v1/messages",
        };
        let raw = post("/up/v1/moderations", sent, "{}");
        for call in [post(path, sent, r#"{"model":"up/m"}"#), raw] {
            let reply = gateway.call(call);
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        for seen in upstream.wait_for(2) {
            let got = (seen.get("authorization"), seen.get("x-api-key"));
            assert_eq!(got, *expected, "{dialect} {settings:?} {sent:?}");
            assert_eq!(seen.get("api-key"), None);
        }
    }
}

#[test]
fn the_plain_endpoint_moves_a_callers_key_to_where_its_provider_looks() {
    let upstream = Upstream::new([
        vec![Step::Send(Door::Plain.answer())],
        vec![Step::Send(Door::Messages.answer())],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    let calls = [
        (
            "up/m",
            ("x-api-key", "sk-own"),
            ("authorization", "Bearer sk-own"),
        ),
        (
            "claude/m",
            ("authorization", "Bearer sk-own"),
            ("x-api-key", "sk-own"),
        ),
    ];
    for (index, (model, sent, expected)) in calls.into_iter().enumerate() {
        let body = format!(r#"{{"prompt":"x","model":"{model}"}}"#);
        assert_eq!(gateway.call(post("/generate", &[sent], body)).status, 200);
        let seen = upstream.wait_for(index + 1).remove(index);
        assert_eq!(seen.get(expected.0), Some(expected.1));
        assert_eq!(seen.get(sent.0), None, "only there");
    }
}

#[test]
fn no_secret_is_in_what_nowait_says() {
    let upstream = Upstream::new([vec![Step::Reset]]);
    let own = "api_key = \"sk-ours-0815\"";
    let gateway = Gateway::new(&format!(
        "{}{}",
        provider("up", "openai", upstream.address, own),
        keys()
    ));
    let auth = [("authorization", "Bearer k-ops-4711"), ("cookie", "c-4711")];
    let reply = gateway.call(post(
        "/v1/chat/completions?key=q-4711",
        &auth,
        r#"{"model":"up/m"}"#,
    ));
    assert_eq!(reply.status, 502);
    let line = gateway.line_of(&reply).to_string();
    let metrics = gateway.call(head("GET", "/metrics", &auth)).text();
    let debug = format!("{:?}", gateway.running().gateway());
    for said in [reply.text(), line, metrics, debug] {
        for secret in ["4711", "0815"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}
