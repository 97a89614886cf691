//! Another target for what one refuses: over rules, keys, providers, dialects.

use super::*;
use crate::harness::dialects::DOORS;

pub(super) fn too_long(door: Door) -> Script {
    refuses_with(
        400,
        &[],
        match door {
            Door::Messages => {
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#
            }
            Door::Chat | Door::Plain => {
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#
            }
        },
    )
}

#[test]
fn a_prompt_too_long_goes_elsewhere_where_that_is_a_rule() {
    for (door, stream) in DOORS
        .iter()
        .flat_map(|door| [(*door, false), (*door, true)])
    {
        for (rule, calls) in [
            ("", "1"),
            ("fallback_on = [\"content_policy\", 404]", "1"),
            ("fallback_on = [\"context_length\"]", "2"),
            ("fallback_on = [400]", "2"),
        ] {
            let a = Upstream::new([too_long(door)]);
            let b = Upstream::new([good(door, stream)]);
            let gateway = gateway(door, &[&a, &b], rule, TWICE);
            let reply = gateway.call(call(door, stream, &[]));
            match calls {
                "1" => {
                    assert_eq!(reply.status, 400, "{}", reply.text());
                    assert_calls(&reply, "1");
                    assert!(b.seen().is_empty());
                }
                _ => {
                    assert_good(door, stream, &reply, "2");
                    let name = "nowait_fallbacks_total{provider=\"b\",reason=\"context_length\"}";
                    assert_eq!(gateway.metric(name), 1.0);
                }
            }
        }
    }
}

#[test]
fn a_rule_may_name_a_status() {
    let a = Upstream::new([refuses(404, &[])]);
    let b = Upstream::new([good(Door::Chat, false)]);
    let gateway = gateway(Door::Chat, &[&a, &b], "fallback_on = [404]", TWICE);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_good(Door::Chat, false, &reply, "2");
}

/// The plain endpoint has no dialect, so any target will do.
#[test]
fn a_plain_call_goes_on_in_another_dialect() {
    for stream in [false, true] {
        for failing in [
            refuses(500, &[]),
            vec![Step::Reset],
            error_event(Door::Chat),
        ] {
            let a = Upstream::new([failing]);
            let b = Upstream::new([good(Door::Messages, stream)]);
            let gateway = Gateway::new(&format!(
                "{}{}[models.m]\ntargets = [\"a/m\", \"b/claude\"]\n[generate]\nmodel = \"m\"\nshare = \"off\"\n{TWICE}",
                provider("a", "openai", a.address, "api_key = \"sk-a\""),
                provider("b", "anthropic", b.address, "api_key = \"sk-b\""),
            ));
            let reply = gateway.call(call(Door::Plain, stream, &[]));
            assert_good(Door::Plain, stream, &reply, "2");
            assert!(
                reply.text().contains("\"provider\":\"b\""),
                "{}",
                reply.text()
            );
            let asked = b.one();
            assert!(
                asked.head.first.starts_with("POST /v1/messages "),
                "{:?}",
                asked.head
            );
            assert_eq!(asked.get("x-api-key"), Some("sk-b"));
            assert_eq!(asked.get("authorization"), None, "another provider's key");
            let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
            assert_eq!(body["model"], "claude");
        }
    }
}

pub(super) const EMPTY: &str = r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;

/// Several keys of one provider are targets of their own.
#[test]
fn another_key_goes_on_where_one_is_used_up() {
    let limited = || refuses(429, &[("retry-after", "30")]);
    let empty = || refuses_with(429, &[], EMPTY);
    let failing: [fn() -> Script; 1] = [empty];
    for first in [limited as fn() -> Script].into_iter().chain(failing) {
        let only = Upstream::new([first(), good(Door::Chat, false), good(Door::Chat, false)]);
        let keys = "api_keys = [\"sk-one\", \"sk-two\"]";
        let gateway = Gateway::new(&format!(
            "{}[cache]\nshare = \"off\"\n{TWICE}",
            provider("up", "openai", only.address, keys)
        ));
        let reply = gateway.call(Door::Chat.call(false));
        assert_good(Door::Chat, false, &reply, "2");
        // The one that was refused rests.
        let next = gateway.call(Door::Chat.call(false));
        assert_good(Door::Chat, false, &next, "1");
        let seen = only.wait_for(3);
        let keys: Vec<_> = seen.iter().map(|seen| seen.get("authorization")).collect();
        // Which is asked first is left to chance: they are as good as each other.
        let mut both = [keys[0], keys[1]];
        both.sort_unstable();
        assert_eq!(both, [Some("Bearer sk-one"), Some("Bearer sk-two")]);
        assert_eq!(keys[2], keys[1]);
        for seen in &seen {
            let headers = seen.head.headers.iter();
            let told = headers.filter(|(_, value)| value.contains("sk-")).count();
            assert_eq!(told, 1, "each call has one key: {:?}", seen.head);
        }
        let page = gateway.call(crate::harness::client::head("GET", "/status", &[]));
        for text in [reply.text(), page.text(), format!("{:?}", reply.head)] {
            assert!(!text.contains("sk-"), "{text}");
        }
        assert_eq!(
            page.json()["providers"][0]["keys"].as_array().map(Vec::len),
            Some(2)
        );
    }
}

/// Who has one key only is told that it has run dry, and not asked again.
#[test]
fn an_account_that_has_run_dry_is_not_asked_again() {
    let a = Upstream::new([refuses_with(429, &[], EMPTY)]);
    let gateway = gateway(Door::Chat, &[&a], "", TWICE);
    let reply = gateway.call(call(Door::Chat, false, &[]));
    assert_eq!(reply.status, 429);
    assert_calls(&reply, "1");
    assert!(
        reply.text().contains("insufficient_quota"),
        "{}",
        reply.text()
    );
}

/// Targets of another dialect are as good as any.
#[test]
fn a_chat_call_goes_on_in_another_dialect() {
    let a = Upstream::new([refuses(500, &[("retry-after", "30")])]);
    let b = Upstream::always(Door::Messages.answer());
    let gateway = Gateway::new(&format!(
        "{}{}[models.m]\ntargets = [\"a/m\", \"b/m\"]\n{TWICE}",
        provider("a", "openai", a.address, ""),
        provider("b", "anthropic", b.address, ""),
    ));
    let headers = [("x-nowait-timeout", "5s")];
    let reply = gateway.call(call(Door::Chat, false, &headers));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["object"], "chat.completion");
    assert_eq!(b.one().head.first, "POST /v1/messages HTTP/1.1");
}
