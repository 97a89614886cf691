//! One answer for all who ask the same: who may share it, what is said of it,
//! and that nothing but a whole, successful answer is ever shared.
//!
//! The rules are here; `forms` has one entry in every form, `flights` what
//! happens while an answer is on its way.

mod cast;
mod flights;
mod forms;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant};

use crate::harness::client::{Reply, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, sharing as both};
use crate::harness::upstream::{LAST_CHUNK, Script, Step, Upstream, json_answer};
use crate::harness::{Signal, eventually};

use cast::{CALLS, Call, ask, cold};

/// What `Cache-Status` says.
#[track_caller]
fn status(reply: &Reply) -> &str {
    reply.head.get("cache-status").expect("a Cache-Status")
}

#[track_caller]
fn assert_hit(reply: &Reply, shown: &str) {
    assert!(
        reply.whole && reply.status == 200,
        "{shown}: {}",
        reply.text()
    );
    let said = status(reply);
    assert!(said.starts_with("nowait; hit; ttl="), "{shown}: {said}");
    let age: u64 = reply
        .head
        .get("age")
        .expect("an Age")
        .parse()
        .expect("seconds");
    assert!(age < 60, "{shown}: {age}");
    assert_eq!(reply.head.get("x-nowait-attempts"), Some("0"), "{shown}");
}

/// Answers that can be told apart, each by its number.
fn numbered(count: usize) -> impl Iterator<Item = Script> {
    (0..count).map(|number| vec![Step::Send(json_answer(200, &cast::chat_saying(number)))])
}

const LONG_AGO: Duration = Duration::from_millis(5);

#[test]
fn a_second_caller_gets_what_was_kept() {
    for call in CALLS {
        for stream in [false, true] {
            let upstream = Upstream::new([call.script(stream)]);
            let gateway = Gateway::new(&both(upstream.address));
            let shown = format!("{call:?}, stream {stream}");
            let first = gateway.call(call.ask(stream, true, &[]));
            assert_eq!(first.status, 200, "{shown}: {}", first.text());
            assert_eq!(status(&first), "nowait; fwd=miss; stored", "{shown}");
            assert_eq!(first.head.get("age"), None, "{shown}");
            let second = gateway.call(call.ask(stream, true, &[]));
            assert_hit(&second, &shown);
            assert_eq!(second.text(), first.text(), "{shown}");
            let kind = |reply: &Reply| reply.head.get("content-type").map(str::to_owned);
            assert_eq!(kind(&second), kind(&first), "{shown}");
            assert_eq!(upstream.seen().len(), 1, "{shown}");
        }
    }
}

#[test]
fn a_call_is_what_it_means_not_how_it_is_written() {
    let said = r#""messages":[{"role":"user","content":"hello"}]"#;
    let first = format!(r#"{{"model":"up/m","temperature":0,{said},"seed":5}}"#);
    for (body, same) in [
        (
            format!(r#"{{"seed":5,{said},"temperature":0,"model":"up/m"}}"#),
            true,
        ),
        (
            format!("{{ \"model\" : \"up/m\",\n\"temperature\":0.0,{said},\"seed\":5e0}}"),
            true,
        ),
        (first.replace("hello", "\\u0068ello"), true),
        (first.replace("hello", "Hello"), false),
        (first.replace("\"seed\":5", "\"seed\":6"), false),
        (
            first.replace("\"seed\":5", "\"seed\":5,\"unheard\":1"),
            false,
        ),
        (
            first.replace("\"seed\":5", "\"seed\":5,\"user\":\"me\""),
            false,
        ),
        (first.replace("up/m", "up/n"), false),
    ] {
        let upstream = Upstream::new(numbered(2));
        let gateway = Gateway::new(&both(upstream.address));
        gateway.post(Door::Chat.path(), &first);
        let reply = gateway.post(Door::Chat.path(), &body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        let calls = if same { 1 } else { 2 };
        assert_eq!(upstream.seen().len(), calls, "{body}");
    }
}

#[test]
fn the_rule_says_who_shares() {
    let warm = r#""temperature":0.7"#;
    let rows: &[(&str, &str, &str, Option<&str>, bool)] = &[
        // Configuration, endpoint, fields, header, whether it is shared.
        ("", "chat", r#""temperature":0"#, None, true),
        ("", "chat", r#""temperature":0.0"#, None, true),
        ("", "chat", warm, None, false),
        ("", "chat", r#""seed":1"#, None, false),
        ("", "chat", warm, Some("all"), true),
        ("", "chat", r#""temperature":0"#, Some("off"), false),
        ("[cache]\nshare = \"all\"\n", "chat", warm, None, true),
        (
            "[cache]\nshare = \"all\"\n",
            "chat",
            warm,
            Some("deterministic"),
            false,
        ),
        (
            "[cache]\nshare = \"off\"\n",
            "chat",
            r#""temperature":0"#,
            None,
            false,
        ),
        (
            "[cache]\nshare = \"off\"\n",
            "chat",
            r#""temperature":0"#,
            Some("all"),
            true,
        ),
        // What the provider does or keeps is never shared, whatever the rule.
        (
            "",
            "chat",
            r#""temperature":0,"store":true"#,
            Some("all"),
            false,
        ),
        (
            "",
            "chat",
            r#""temperature":0,"web_search_options":{}"#,
            Some("all"),
            false,
        ),
        (
            "",
            "chat",
            r#""temperature":0,"tools":[{"type":"function","function":{"name":"f"}}]"#,
            None,
            true,
        ),
        ("", "responses", r#""temperature":0"#, Some("all"), false),
        (
            "",
            "responses",
            r#""temperature":0,"store":false"#,
            None,
            true,
        ),
        (
            "",
            "responses",
            r#""temperature":0,"store":false,"previous_response_id":"r""#,
            Some("all"),
            false,
        ),
        (
            "",
            "responses",
            r#""temperature":0,"store":false,"background":true"#,
            Some("all"),
            false,
        ),
        (
            "",
            "responses",
            r#""temperature":0,"store":false,"tools":[{"type":"file_search"}]"#,
            Some("all"),
            false,
        ),
        ("", "messages", r#""temperature":0"#, None, true),
        (
            "",
            "messages",
            r#""temperature":0,"tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
            Some("all"),
            false,
        ),
        (
            "",
            "messages",
            r#""temperature":0,"container":"c""#,
            Some("all"),
            false,
        ),
        ("", "count_tokens", r#""system":"s""#, None, true),
        ("", "plain", r#""temperature":0.7"#, None, true),
        ("", "plain", r#""temperature":0.7"#, Some("off"), false),
        (
            "",
            "plain",
            r#""temperature":0.7"#,
            Some("deterministic"),
            false,
        ),
        (
            "[cache]\nshare = \"off\"\n",
            "plain",
            r#""max_tokens":5"#,
            None,
            true,
        ),
    ];
    for (config, endpoint, fields, header, shared) in rows {
        let shown = format!("{config:?} {endpoint} {fields} {header:?}");
        let call = Call::named(endpoint);
        let upstream = Upstream::new([call.script(false), call.script(false)]);
        let gateway = Gateway::new(&format!("{}{config}", both(upstream.address)));
        let headers: Vec<_> = header
            .iter()
            .map(|&rule| ("x-nowait-cache", rule))
            .collect();
        let request = || post(call.path(), &headers, call.body_with(fields));
        let first = gateway.call(request());
        assert_eq!(first.status, 200, "{shown}: {}", first.text());
        let second = gateway.call(request());
        if *shared {
            assert_hit(&second, &shown);
        } else {
            assert_eq!(status(&second), "nowait; fwd=bypass", "{shown}");
        }
        let calls = if *shared { 1 } else { 2 };
        assert_eq!(upstream.seen().len(), calls, "{shown}");
        for name in ["x-nowait-cache", "cache-control"] {
            assert_eq!(
                upstream.seen()[0].get(name),
                None,
                "{shown}: {name} is ours"
            );
        }
    }
}

#[test]
fn a_rule_that_is_none_is_refused() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    for door in DOORS {
        let reply = gateway.call(door.call_with(false, &[("x-nowait-cache", "maybe")]));
        let said = door.assert_error(&reply, 400, "invalid_request");
        assert!(said.contains("all, deterministic or off"), "{said}");
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn cache_control_in_its_five_forms() {
    // What is said, which answer comes, and what the next plain caller gets.
    for (said, answer, calls, then) in [
        ("no-store", 1, 2, 0),
        ("No-Store, max-age=100", 1, 2, 0),
        ("no-cache", 1, 2, 1),
        ("max-age=0", 1, 2, 1),
        ("max-age=3600", 0, 1, 0),
        ("only-if-cached", 0, 1, 0),
        ("stale-while-revalidate=60", 0, 1, 0),
        ("max-age=3600, only-if-cached, unheard-of", 0, 1, 0),
    ] {
        let upstream = Upstream::new(numbered(3));
        let gateway = Gateway::new(&both(upstream.address));
        gateway.call(ask(&cold("hello"), &[]));
        let kept = Instant::now();
        eventually("it has an age", || {
            (kept.elapsed() > LONG_AGO).then_some(())
        });
        let reply = gateway.call(ask(&cold("hello"), &[("cache-control", said)]));
        assert_eq!(cast::number_of(&reply), answer, "{said}");
        assert_eq!(upstream.seen().len(), calls, "{said}");
        match (
            said.starts_with("no-store") || said.starts_with("No-Store"),
            answer,
        ) {
            (true, _) => assert_eq!(status(&reply), "nowait; fwd=bypass", "{said}"),
            (_, 0) => assert_hit(&reply, said),
            _ => {
                let told = status(&reply);
                assert!(
                    told.starts_with("nowait; fwd=") && told.ends_with("; stored"),
                    "{said}: {told}"
                );
            }
        }
        let next = gateway.call(ask(&cold("hello"), &[]));
        assert_hit(&next, said);
        assert_eq!(cast::number_of(&next), then, "{said}");
    }
}

#[test]
fn only_if_cached_is_a_504_in_the_callers_dialect() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    for door in DOORS {
        for stream in [false, true] {
            let only = [
                ("cache-control", "only-if-cached"),
                ("x-nowait-cache", "all"),
            ];
            let reply = gateway.call(door.call_with(stream, &only));
            let said = door.assert_error(&reply, 504, "not_cached");
            assert!(said.contains("only-if-cached"), "{said}");
        }
    }
    // Nor does a call that is never shared go upstream.
    let only = [
        ("cache-control", "only-if-cached"),
        ("x-nowait-cache", "off"),
    ];
    let reply = gateway.call(Door::Chat.call_with(false, &only));
    Door::Chat.assert_error(&reply, 504, "not_cached");
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn what_is_stale_is_served_while_one_asks_again() {
    let go = Signal::default();
    let first = vec![Step::Send(json_answer(200, &cast::chat_saying(0)))];
    let second = vec![
        Step::Wait(go.clone()),
        Step::Send(json_answer(200, &cast::chat_saying(1))),
    ];
    let upstream = Upstream::new([first, second]);
    let config = format!("{}[cache]\nttl = \"1s\"\n", both(upstream.address));
    let gateway = Gateway::new(&config);
    gateway.call(ask(&cold("hello"), &[]));
    let kept = Instant::now();
    eventually("it is stale", || {
        (kept.elapsed() > Duration::from_millis(1010)).then_some(())
    });
    let stale = [("cache-control", "stale-while-revalidate=600")];
    for _ in 0..4 {
        let reply = gateway.call(ask(&cold("hello"), &stale));
        assert_hit(&reply, "stale");
        assert_eq!(cast::number_of(&reply), 0);
    }
    upstream.wait_for(2);
    assert_eq!(upstream.seen().len(), 2, "one refresh at a time");
    go.raise();
    let fresh = eventually("the new answer is kept", || {
        let reply = gateway.call(ask(&cold("hello"), &stale));
        (cast::number_of(&reply) == 1).then_some(reply)
    });
    assert_hit(&fresh, "refreshed");
    // Nobody waited for it, and it is booked all the same.
    let line = gateway.logged(|text| {
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find(|line| line["background"] == "refresh")
    });
    assert_eq!(line["attempts"], 1, "{line}");
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(line["input_tokens"], 7, "{line}");
    let refreshed = "nowait_background_calls_total{reason=\"refresh\"}";
    assert_eq!(gateway.metric(refreshed), 1.0);
    let chat =
        "nowait_requests_total{endpoint=\"chat\",provider=\"up\",model=\"m\",status=\"200\"}";
    let requests = gateway.metric(chat);
    let paid = "gen_ai_client_token_usage_count{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"up\",gen_ai_request_model=\"m\",gen_ai_token_type=\"input\"}";
    assert_eq!(gateway.metric(paid), 2.0, "the first and the new one");
    assert!(requests >= 6.0, "{requests}");
}

#[test]
fn an_answer_that_is_past_its_time_is_asked_for_again() {
    let upstream = Upstream::new(numbered(2));
    let config = format!("{}[cache]\nttl = \"2ms\"\n", both(upstream.address));
    let gateway = Gateway::new(&config);
    gateway.call(ask(&cold("hello"), &[]));
    let kept = Instant::now();
    eventually("it is stale", || (kept.elapsed() > LONG_AGO).then_some(()));
    let reply = gateway.call(ask(&cold("hello"), &[]));
    assert_eq!(cast::number_of(&reply), 1);
}

fn key(name: &str, more: &str) -> String {
    let hash = Sha256::digest(format!("k-{name}"));
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[keys]]\nname = \"{name}\"\nhash = \"sha256:{hash}\"\n{more}\n")
}

#[test]
fn equal_calls_of_two_tenants_are_two_calls() {
    let keys = [key("one", ""), key("two", "")].concat();
    for (keys, scope, shared) in [
        (keys.as_str(), "", false),
        ("", "", false),
        (&keys, "[cache]\nscope = \"global\"\n", true),
        ("", "[cache]\nscope = \"global\"\n", true),
    ] {
        let upstream = Upstream::new(numbered(2));
        let gateway = Gateway::new(&format!("{}{scope}{keys}", both(upstream.address)));
        let shown = format!("keys {}, {scope:?}", !keys.is_empty());
        for caller in ["Bearer k-one", "Bearer k-two"] {
            let own = [("authorization", caller)];
            let first = gateway.call(ask(&cold("hello"), &own));
            let number = usize::from(caller == "Bearer k-two" && !shared);
            assert_eq!(cast::number_of(&first), number, "{shown}");
            let again = gateway.call(ask(&cold("hello"), &own));
            assert_eq!(cast::number_of(&again), number, "{shown}");
            assert_hit(&again, &shown);
        }
        assert_eq!(upstream.seen().len(), if shared { 1 } else { 2 }, "{shown}");
    }
}

#[test]
fn only_whole_successes_are_kept() {
    let events = Door::Chat.events();
    let cut: Script = vec![Step::Send(Door::Chat.opening(3)), Step::Reset];
    // Framed as whole, but without `[DONE]`; and with an error in the middle.
    let unfinished: Script = vec![Step::Send([&Door::Chat.opening(3), LAST_CHUNK].concat())];
    let mut erring = Door::Chat.opening(2);
    let event = "data: {\"error\":{\"message\":\"gave up\",\"type\":\"server_error\"}}\n\n";
    erring.extend(crate::harness::upstream::chunk(event));
    erring.extend_from_slice(LAST_CHUNK);
    let mut rows: Vec<(&str, bool, Script)> = vec![
        ("cut", true, cut),
        ("unfinished", true, unfinished),
        ("erring", true, vec![Step::Send(erring)]),
        (
            "not JSON",
            false,
            vec![Step::Send(json_answer(200, "<html>"))],
        ),
    ];
    for code in [201, 400, 404, 429, 500, 503] {
        let said = json_answer(code, r#"{"error":{"message":"no"}}"#);
        rows.push(("status", false, vec![Step::Send(said)]));
    }
    for (what, stream, script) in rows {
        let good = if stream {
            Door::Chat.stream()
        } else {
            vec![Step::Send(Door::Chat.answer())]
        };
        let upstream = Upstream::new([script, good]);
        let gateway = Gateway::new(&both(upstream.address));
        let body = cold("hello").replace("STREAM", &stream.to_string());
        let request = || post(Door::Chat.path(), &[], &body);
        gateway.call(request());
        let second = gateway.call(request());
        assert_eq!(upstream.seen().len(), 2, "{what}: {}", second.text());
        assert_eq!(status(&second), "nowait; fwd=miss; stored", "{what}");
        if stream {
            assert_eq!(second.text(), events.concat(), "{what}");
        }
    }
}

#[test]
fn purged_by_key_model_tenant_or_all() {
    let upstream = Upstream::new(numbered(64));
    let config = format!("{}[cache]\nmemory = \"1MiB\"\n", both(upstream.address));
    let gateway = Gateway::new(&config);
    let calls = || upstream.seen().len();
    let hello = |model: &str| cold("hello").replace("up/m", model);
    for (body, drops_m, drops_n) in [
        ("KEY", true, false),
        (r#"{"model":"up/m"}"#, true, false),
        (r#"{"tenant":"nobody-here"}"#, false, false),
        (r#"{"all":true}"#, true, true),
    ] {
        let first = gateway.call(ask(&hello("up/m"), &[]));
        gateway.call(ask(&hello("up/n"), &[]));
        let key = first.head.get("x-nowait-cache-key").expect("its key");
        let body = body.replace("KEY", &format!(r#"{{"key":"{key}"}}"#));
        let purged = gateway.post("/cache/purge", &body);
        assert_eq!(purged.status, 200, "{body}: {}", purged.text());
        let dropped = u64::from(drops_m) + u64::from(drops_n);
        assert_eq!(
            purged.json()["memory"],
            dropped,
            "{body}: {}",
            purged.text()
        );
        let before = calls();
        gateway.call(ask(&hello("up/m"), &[]));
        assert_eq!(calls() - before, usize::from(drops_m), "{body}");
        let before = calls();
        gateway.call(ask(&hello("up/n"), &[]));
        assert_eq!(calls() - before, usize::from(drops_n), "{body}");
    }
    for body in [
        "{}",
        r#"{"key":"xyz"}"#,
        r#"{"all":true,"model":"up/m"}"#,
        "[]",
    ] {
        let refused = gateway.post("/cache/purge", body);
        Door::Plain.assert_error(&refused, 400, "invalid_request");
    }
}

#[test]
fn a_tenant_is_purged_by_an_admin_only() {
    let upstream = Upstream::new(numbered(64));
    let keys = [key("one", ""), key("two", ""), key("ops", "admin = true")].concat();
    let gateway = Gateway::new(&format!("{}{keys}", both(upstream.address)));
    let call = |who: &str| {
        let bearer = format!("Bearer k-{who}");
        gateway.call(ask(&cold("hello"), &[("authorization", &bearer)]))
    };
    let purge = |headers: &[(&str, &str)]| {
        gateway.call(post("/cache/purge", headers, r#"{"tenant":"one"}"#))
    };
    call("one");
    call("two");
    assert_eq!(purge(&[]).status, 401);
    assert_eq!(purge(&[("authorization", "Bearer k-one")]).status, 403);
    assert_hit(&call("one"), "nothing was dropped");
    let purged = purge(&[("authorization", "Bearer k-ops")]);
    assert_eq!(purged.status, 200, "{}", purged.text());
    assert_eq!(status(&call("one")), "nowait; fwd=miss; stored");
    assert_hit(&call("two"), "another tenant's");
}
