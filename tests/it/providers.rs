//! What is particular about known providers: Azure's URLs and key, and words
//! that a provider refuses and has others for.

use crate::harness::client::post;
use crate::harness::dialects::Door;
use crate::harness::gateway::Gateway;
use crate::harness::upstream::Upstream;

/// A configuration of `provider` at `base`, with more to say about it.
fn config(provider: &str, base: &str, more: &str) -> String {
    format!(
        "[providers.{provider}]\nbase_url = \"{base}\"\napi_key = \"sesame\"\n{more}\n\
         [providers.{provider}.pool]\nwarm = 0\n[cache]\nshare = \"off\"\n"
    )
}

#[test]
fn azure_is_called_in_both_forms_of_its_urls() {
    let chat = r#"{ "model" : "azure/my gpt","messages":[] }"#;
    let sent = r#"{ "model" : "my gpt","messages":[] }"#;
    let dated = "api_version = \"2024-10-21\"";
    let deployment = "/openai/deployments/my%20gpt";
    // Base URL, more of the configuration, the caller's path, and the one that
    // must arrive.
    let rows = [
        (
            "",
            "",
            "/v1/chat/completions",
            "/openai/v1/chat/completions",
        ),
        ("/openai/v1", "", "/v1/responses", "/openai/v1/responses"),
        (
            "",
            "api_version = \"preview\"",
            "/v1/embeddings",
            "/openai/v1/embeddings?api-version=preview",
        ),
        (
            "",
            dated,
            "/v1/chat/completions",
            &format!("{deployment}/chat/completions?api-version=2024-10-21"),
        ),
        (
            "/openai",
            dated,
            "/v1/embeddings",
            &format!("{deployment}/embeddings?api-version=2024-10-21"),
        ),
        (
            "",
            dated,
            "/v1/completions?api-version=2023-05-15",
            &format!("{deployment}/completions?api-version=2023-05-15"),
        ),
        (
            "",
            dated,
            "/v1/responses?a=b",
            "/openai/responses?a=b&api-version=2024-10-21",
        ),
        (
            "/openai/deployments/mine",
            dated,
            "/v1/chat/completions",
            "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        ),
        (
            "/models",
            dated,
            "/v1/chat/completions",
            "/models/chat/completions?api-version=2024-10-21",
        ),
        (
            "",
            dated,
            "/azure/deployments/mine/audio/speech",
            "/openai/deployments/mine/audio/speech?api-version=2024-10-21",
        ),
        (
            "",
            dated,
            "/azure/openai/deployments/mine/chat/completions?api-version=2025-01-01-preview",
            "/openai/deployments/mine/chat/completions?api-version=2025-01-01-preview",
        ),
        ("", dated, "/azure/v1/files", "/openai/v1/files"),
        ("", "", "/azure/v1/files", "/openai/v1/files"),
    ];
    for (base, more, path, arrives) in rows {
        let upstream = Upstream::always(Door::Chat.answer());
        let base = format!("http://{}{base}", upstream.address);
        let gateway = Gateway::new(&config("azure", &base, more));
        let reply = gateway.call(post(path, &[("api-key", "mine")], chat));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let seen = upstream.one();
        assert_eq!(
            seen.head.first,
            format!("POST {arrives} HTTP/1.1"),
            "{base}"
        );
        assert_eq!(seen.get("api-key"), Some("sesame"), "{path}");
        assert_eq!(seen.get("authorization"), None);
        let expected = match path.starts_with("/azure/") {
            true => chat,
            false => sent,
        };
        assert_eq!(seen.body, expected.as_bytes(), "{path}");
    }
}

#[test]
fn azure_takes_tokens_as_bearers_too() {
    let upstream = Upstream::always(Door::Chat.answer());
    let base = format!("http://{}", upstream.address);
    let gateway = Gateway::new(&config("azure", &base, "auth = \"bearer\""));
    let body = r#"{"model":"azure/d","messages":[]}"#;
    assert_eq!(gateway.post("/v1/chat/completions", body).status, 200);
    let seen = upstream.one();
    assert_eq!(seen.get("authorization"), Some("Bearer sesame"));
    assert_eq!(seen.get("api-key"), None);
}

#[test]
fn words_that_a_provider_refuses_become_those_it_has() {
    let body = r#"{ "model":"m", "max_completion_tokens": 9,"messages":[ {"role" : "developer","content":"\"developer\""}],"seed":1 }"#;
    let both = r#"{ "model":"m", "max_tokens": 9,"messages":[ {"role" : "system","content":"\"developer\""}],"seed":1 }"#;
    let role = r#"{ "model":"m", "max_completion_tokens": 9,"messages":[ {"role" : "system","content":"\"developer\""}],"seed":1 }"#;
    let rows = [
        ("mistral", "", both),
        ("deepseek", "", role),
        ("groq", "", body),
        ("mine", "", body),
        (
            "mine",
            "quirks.refuses = [\"max_completion_tokens\", \"developer\"]",
            both,
        ),
        ("mistral", "quirks.refuses = []", body),
    ];
    for (provider, more, arrives) in rows {
        let upstream = Upstream::always(Door::Chat.answer());
        let base = format!("http://{}/v1", upstream.address);
        let gateway = Gateway::new(&config(provider, &base, more));
        let asked = body.replacen("\"m\"", &format!("\"{provider}/m\""), 1);
        let reply = gateway.post("/v1/chat/completions", &asked);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = upstream.one();
        let sent = String::from_utf8_lossy(&seen.body);
        assert_eq!(sent, arrives, "{provider} {more}");
    }
}
