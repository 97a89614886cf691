//! What is particular about known providers: Azure's URLs and key, and words
//! that a provider refuses and has others for.

use crate::harness::client::post;
use crate::harness::dialects::Door;
use crate::harness::gateway::Gateway;
use crate::harness::upstream::{Upstream, json_answer};

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

#[test]
fn responses_reach_providers_that_only_talk() {
    let talked = Door::Chat.answer();
    let responded = json_answer(200, r#"{"id":"resp_1","object":"response","output":[]}"#);
    let rows = [
        ("mistral", "", &talked, "/v1/chat/completions"),
        (
            "mine",
            "quirks.responses = false",
            &talked,
            "/v1/chat/completions",
        ),
        (
            "mistral",
            "quirks.responses = true",
            &responded,
            "/v1/responses",
        ),
        ("mine", "", &responded, "/v1/responses"),
    ];
    for (provider, more, answer, path) in rows {
        let upstream = Upstream::always(answer.clone());
        let base = format!("http://{}/v1", upstream.address);
        let gateway = Gateway::new(&config(provider, &base, more));
        let body = format!(r#"{{"model":"{provider}/m","input":"go on"}}"#);
        let reply = gateway.post("/v1/responses", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["object"], "response", "{provider} {more}");
        let seen = upstream.one();
        assert_eq!(seen.head.first, format!("POST {path} HTTP/1.1"), "{more}");
    }
}

#[test]
fn every_conversation_reaches_providers_that_only_have_responses() {
    let answer = r#"{"id":"resp_1","object":"response","status":"completed","model":"m","output":[
        {"type":"message","role":"assistant","status":"completed","content":[
            {"type":"output_text","text":"on and on","annotations":[]}]}],
        "usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}"#;
    let turns = r#""messages":[{"role":"user","content":"go on"}],"max_tokens":9"#;
    let rows = [
        (
            "/v1/chat/completions",
            turns,
            "/choices/0/message/content",
            "",
        ),
        ("/v1/messages", turns, "/content/0/text", ""),
        (
            "/v1/completions",
            r#""prompt":"go on""#,
            "/choices/0/text",
            "quirks.completions = false",
        ),
        ("/generate", r#""prompt":"go on""#, "/response", ""),
    ];
    for (path, asked, said, more) in rows {
        let upstream = Upstream::always(json_answer(200, answer));
        let base = format!("http://{}/v1", upstream.address);
        let more = format!("quirks.chat = false\n{more}");
        let gateway = Gateway::new(&config("mine", &base, &more));
        let reply = gateway.post(path, &format!(r#"{{"model":"mine/m",{asked}}}"#));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = reply.json();
        assert_eq!(told.pointer(said), Some(&"on and on".into()), "{told}");
        let seen = upstream.one();
        assert_eq!(
            seen.head.first, "POST /v1/responses HTTP/1.1",
            "{path} {more}"
        );
    }
}

#[test]
fn legacy_completions_reach_providers_that_only_talk() {
    let body = r#"{"model":"NAME/m","prompt":"go on","max_tokens":9,"logprobs":2}"#;
    let rows = [
        ("anthropic", "", Door::Messages, "/v1/messages", "logprobs"),
        (
            "groq",
            "/v1",
            Door::Chat,
            "/v1/chat/completions",
            "logprobs",
        ),
    ];
    for (provider, version, door, path, lost) in rows {
        let upstream = Upstream::always(door.answer());
        let base = format!("http://{}{version}", upstream.address);
        let gateway = Gateway::new(&config(provider, &base, ""));
        let body = body.replace("NAME", provider);
        let reply = gateway.post("/v1/completions", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = reply.json();
        assert_eq!(told["object"], "text_completion");
        assert!(
            told["choices"][0]["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(told["usage"]["prompt_tokens"].as_u64().is_some());
        assert_eq!(reply.head.get("x-nowait-dropped"), Some(lost), "{provider}");
        let seen = upstream.one();
        assert_eq!(seen.head.first, format!("POST {path} HTTP/1.1"));
        let asked: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(asked["messages"][0]["content"], "go on");

        let reply = gateway.post(
            "/v1/completions",
            &body.replace("\"go on\"", "[\"a\",\"b\"]"),
        );
        let error = reply.json();
        assert_eq!(
            (reply.status, &error["error"]["param"]),
            (400, &"prompt".into())
        );
    }
}

#[test]
fn tokens_are_counted_by_those_who_can_and_estimated_for_others() {
    let body = r#"{"model":"NAME/m","messages":[{"role":"user","content":"how many are these"}]}"#;
    let upstream = Upstream::always(json_answer(200, r#"{"input_tokens":7}"#));
    let at = upstream.address;
    let text = format!(
        "{}{}",
        config("openai", &format!("http://{at}/v1"), ""),
        config("anthropic", &format!("http://{at}"), "").replace("[cache]\nshare = \"off\"\n", "")
    );
    let gateway = Gateway::new(&text);
    let count = |provider: &str| {
        let body = body.replace("NAME", provider);
        gateway.post("/v1/messages/count_tokens", &body)
    };
    let counted = count("anthropic");
    assert_eq!(counted.json(), serde_json::json!({"input_tokens": 7}));
    assert_eq!(counted.head.get("x-nowait-estimated"), None);
    let estimated = count("openai");
    assert_eq!(estimated.status, 200, "{}", estimated.text());
    assert_eq!(
        estimated.head.get("x-nowait-estimated"),
        Some("input_tokens")
    );
    let tokens = estimated.json()["input_tokens"].as_u64();
    assert!(
        tokens.is_some_and(|tokens| (6..20).contains(&tokens)),
        "{tokens:?}"
    );
    let wrong = gateway.post(
        "/v1/messages/count_tokens",
        r#"{"model":"openai/m","messages":5}"#,
    );
    Door::Messages.assert_error(&wrong, 400, "invalid_request");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_stable_beginning_of_a_prompt_is_marked_where_the_model_says_so() {
    let body = r#"{"model":"NAME","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
        "tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let upstream = Upstream::always(Door::Messages.answer());
    let base = format!("http://{}", upstream.address);
    let models = "[models.kept]\ntargets = [\"anthropic/claude-sonnet-4-5\"]\nprompt_cache = \"auto\"\n\
                  [models.plain]\ntargets = [\"anthropic/claude-sonnet-4-5\"]\n";
    let gateway = Gateway::new(&format!("{}{models}", config("anthropic", &base, "")));
    for (index, (model, marks)) in [("kept", 3), ("plain", 0)].into_iter().enumerate() {
        let reply = gateway.post("/v1/chat/completions", &body.replace("NAME", model));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = upstream.wait_for(index + 1).remove(index);
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        assert_eq!(text.matches("cache_control").count(), marks, "{text}");
    }
}
