//! Callers who send what is wrong, too much, too little or meant to harm.

use crate::harness::client::{Reply, head, post};
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both};
use crate::harness::upstream::{Step, Upstream, json_answer};

fn gateway() -> Gateway {
    Gateway::new(&both(Upstream::closed_port()))
}

fn json(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post(path, &[("content-type", "application/json")], body)
}

#[test]
fn what_is_wrong_with_a_body_is_said_in_the_callers_dialect() {
    let gateway = gateway();
    // The body, what the error says, and the field it names to OpenAI's clients.
    let of_calls: &[(&[u8], &str, Option<&str>)] = &[
        (b"", "empty", None),
        (b"{", "not valid JSON", None),
        (b"{\"model\":\"up/m\",}", "not valid JSON", None),
        (b"{\"model\":\"up/m\"} x", "not valid JSON", None),
        (b"[1]", "must be a JSON object", None),
        (b"null", "must be a JSON object", None),
        (b"\"model\"", "must be a JSON object", None),
        (b"{\"model\":\"\xff\"}", "not UTF-8", None),
        (b"\xef\xbb\xbf{\"model\":\"up/m\"}", "byte order mark", None),
        (b"{}", "`model` is missing", Some("model")),
        (b"{\"model\":5}", "a string, not a number", Some("model")),
        (b"{\"model\":null}", "a string, not null", Some("model")),
        (b"{\"model\":[]}", "a string, not an array", Some("model")),
        (b"{\"model\":\"\"}", "model is empty", Some("model")),
        (b"{\"model\":\"\\ud800\"}", "broken escape", Some("model")),
        (
            b"{\"model\":\"up/m\",\"stream\":\"yes\"}",
            "true or false, not a string",
            Some("stream"),
        ),
        (
            b"{\"model\":\"up/m\",\"stream\":1}",
            "true or false, not a number",
            Some("stream"),
        ),
        (
            b"{\"model\":\"up/m\",\"model\":\"up/n\"}",
            "model is in the body twice",
            Some("model"),
        ),
        (
            b"{\"model\":\"up/m\",\"stream\":true,\"str\\u0065am\":false}",
            "stream is in the body twice",
            Some("stream"),
        ),
        (
            b"{\"model\":\"up/m\",\"stream_options\":7}",
            "an object, not a number",
            Some("stream_options"),
        ),
    ];
    let of_the_plain_endpoint: &[(&[u8], &str, Option<&str>)] = &[
        (b"", "prompt is missing", Some("prompt")),
        (b"{", "not JSON", None),
        (b"[]", "not a JSON object", None),
        (b"{\"prompt\":\"\xff\"}", "not JSON", None),
        (b"{\"prompt\":5}", "not a string", Some("prompt")),
        (b"{\"prompt\":null}", "not a string", Some("prompt")),
        (
            b"{\"prompt\":\"a\",\"model\":5}",
            "not a string",
            Some("model"),
        ),
        (
            b"{\"prompt\":\"a\",\"max_tokens\":-1}",
            "above zero",
            Some("max_tokens"),
        ),
        (
            b"{\"prompt\":\"a\",\"stream\":\"perhaps\"}",
            "true or false",
            Some("stream"),
        ),
        (
            b"{\"prompt\":\"a\",\"timeout\":\"soon\"}",
            "a duration",
            Some("timeout"),
        ),
        (
            b"{\"prompt\":\"a\",\"stop\":[\"x\",1]}",
            "stop[1] is not",
            Some("stop[1]"),
        ),
    ];
    for door in DOORS {
        let cases = match door {
            Door::Plain => of_the_plain_endpoint,
            _ => of_calls,
        };
        for (body, words, param) in cases {
            let reply = gateway.call(json(door.path(), body));
            let said = door.assert_error(&reply, 400, "invalid_request");
            let shown = String::from_utf8_lossy(body);
            assert!(said.contains(words), "{shown}: {said}");
            let named = match door {
                Door::Chat => reply.json()["error"]["param"].clone(),
                Door::Plain => reply.json()["param"].clone(),
                // Anthropic's errors have no place for it but their words.
                Door::Messages => continue,
            };
            assert_eq!(named.as_str(), *param, "{shown}");
        }
    }
    let expected = (2 * of_calls.len() + of_the_plain_endpoint.len()) as f64;
    let counted = gateway.metric("nowait_errors_total{code=\"invalid_request\"}");
    assert_eq!(counted, expected);
}

#[test]
fn paths_and_methods_that_are_not_served_are_refused_in_the_callers_dialect() {
    let gateway = gateway();
    for (method, path, door, status, code) in [
        (
            "GET",
            "/v1/chat/completions",
            Door::Chat,
            405,
            "method_not_allowed",
        ),
        (
            "DELETE",
            "/v1/messages",
            Door::Messages,
            405,
            "method_not_allowed",
        ),
        ("GET", "/generate", Door::Plain, 405, "method_not_allowed"),
        ("POST", "/v1/nothing", Door::Chat, 404, "not_found"),
        (
            "POST",
            "/v1/messages/nothing",
            Door::Messages,
            404,
            "not_found",
        ),
        ("GET", "/nothing", Door::Plain, 404, "not_found"),
        ("GET", "/", Door::Plain, 404, "not_found"),
    ] {
        let reply = gateway.call(head(method, path, &[("content-length", "0")]));
        door.assert_error(&reply, status, code);
    }
    let reply = gateway.call(head("GET", "/nobody/v1/files", &[]));
    let said = Door::Chat.assert_error(&reply, 404, "not_found");
    assert!(said.contains("there are up, claude"), "{said}");
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest_names() {
    let gateway = Gateway::new(&format!(
        "{}[models.fast]\ntargets = [\"up/m\"]\n[models.\"quick-chat\"]\ntargets = [\"up/n\"]\n",
        both(Upstream::closed_port())
    ));
    for (asked, near) in [
        ("fsat", "did you mean `fast`?"),
        ("quick_chat", "did you mean `quick-chat`?"),
        ("gpt-4o", "of openai's family, and openai is not configured"),
        ("zzzzzzzzzzzz", "up/MODEL, claude/MODEL always works"),
        ("nobody/m", "up/MODEL, claude/MODEL always works"),
    ] {
        for door in DOORS {
            let body = match door {
                Door::Plain => format!(r#"{{"prompt":"x","model":"{asked}"}}"#),
                _ => format!(r#"{{"model":"{asked}","messages":[]}}"#),
            };
            let reply = gateway.post(door.path(), &body);
            let said = door.assert_error(&reply, 404, "model_not_found");
            assert!(said.contains(near), "{asked}: {said}");
            assert!(said.contains(asked), "{asked}: {said}");
        }
    }
    // A model that has no such endpoint is another matter: it exists.
    let reply = gateway.post("/v1/embeddings", r#"{"model":"claude/m","input":"x"}"#);
    let said = Door::Chat.assert_error(&reply, 400, "invalid_request");
    assert!(
        said.contains("name a model of a provider that has this endpoint"),
        "{said}"
    );
}

#[test]
fn a_model_name_writes_no_header_and_no_field() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let names = [
        r"a\r\nx-evil: 1",
        r"a\nb",
        r#"a\",\"stream\":true,\"x\":\""#,
        r"a\u0000b",
        r"modèle-\ud83c\udf0a",
        r"\u001b[31mred",
    ];
    for (index, name) in names.iter().enumerate() {
        let body = format!(r#"{{"model":"up/{name}","messages":[]}}"#);
        let reply = gateway.post("/v1/chat/completions", &body);
        assert_eq!(reply.status, 200, "{name}");
        assert_eq!(reply.head.get("x-evil"), None, "{name}");
        let shown = reply.head.get("x-nowait-model").expect("the model");
        assert!(
            shown.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
            "{shown:?}"
        );
        let seen = upstream.wait_for(index + 1).remove(index);
        assert_eq!(seen.get("x-evil"), None, "{name}");
        let sent: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
        let wanted: String = serde_json::from_str(&format!("\"{name}\"")).expect("a string");
        assert_eq!(sent["model"], wanted);
        assert_eq!(sent.as_object().expect("an object").len(), 2, "{name}");
        let line = gateway.line_of(&reply);
        assert_eq!(line["model"], wanted);
    }
}

#[test]
fn tags_and_ids_stay_inside_their_field_of_the_log() {
    let upstream = Upstream::always(Door::Chat.answer());
    let config = both(upstream.address);
    let gateway = Gateway::new(&config);
    let tags = r#"team=a" ,"status":1,"x":"\"#;
    let reply = gateway.call(Door::Chat.call_with(
        false,
        &[("x-nowait-tags", tags), ("x-request-id", "mine-1")],
    ));
    assert_eq!(reply.head.get("x-request-id"), Some("mine-1"));
    let line = gateway.line("mine-1");
    assert_eq!(
        (&line["tags"], &line["status"]),
        (&tags.into(), &200.into())
    );
    assert_eq!(upstream.one().get("x-nowait-tags"), None);
    assert_eq!(upstream.one().get("x-request-id"), Some("mine-1"));

    // An id that could be more than an id is replaced by one of ours.
    let long = "i".repeat(201);
    for id in ["a b", "a\tb", "", "id\u{e9}", &long] {
        let reply = gateway.call(Door::Chat.call_with(false, &[("x-request-id", id)]));
        let given = reply.head.get("x-request-id").expect("an id");
        assert!(
            given.starts_with("req_") && given.len() == 36,
            "{id:?}: {given}"
        );
    }

    // Bare control characters in a header are no HTTP at all.
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-nowait-tags: a\x00b\r\n\r\n");
    Door::Chat.assert_error(&client.reply(), 400, "invalid_request");
    assert!(client.wire.ends());

    // And in the log for people, a field's end is where it seems to be.
    let text = crate::harness::gateway::text("", &config);
    let gateway = Gateway::start(&text, nowait::telemetry::LogFormat::Text, None);
    gateway.call(Door::Chat.call_with(
        false,
        &[
            ("x-nowait-tags", "a status=500 error=x"),
            ("x-request-id", "mine-2"),
        ],
    ));
    let line = gateway.logged(|text| {
        let line = text
            .lines()
            .find(|line| line.contains("request_id=mine-2"))?;
        Some(line.to_owned())
    });
    assert!(line.contains(r#" tags="a status=500 error=x" "#), "{line}");
    assert!(line.contains(" status=200 "), "{line}");
}

/// Names are kept, logged and counted by: callers may not make them long.
#[test]
fn what_callers_make_up_is_kept_short() {
    let upstream = Upstream::new((0..1_100).map(|_| vec![Step::Send(Door::Chat.answer())]));
    let gateway = Gateway::new(&both(upstream.address));
    let long = "m".repeat(1 << 20);
    for door in DOORS {
        let body = match door {
            Door::Plain => format!(r#"{{"prompt":"x","model":"up/{long}"}}"#),
            Door::Chat => format!(r#"{{"model":"up/{long}"}}"#),
            Door::Messages => format!(r#"{{"model":"claude/{long}"}}"#),
        };
        let reply = gateway.post(door.path(), &body);
        let said = door.assert_error(&reply, 404, "model_not_found");
        assert!(
            said.contains("at most 512 bytes") && said.len() < 300,
            "{said}"
        );
    }
    let tags = "t".repeat(100_000);
    let call = Door::Chat.call_with(false, &[("x-nowait-tags", &tags)]);
    let line = gateway.line_of(&gateway.call(call)).to_string();
    assert!(line.len() < 3_000, "{} bytes of log", line.len());
    let method = "X".repeat(50_000);
    let reply = gateway.call(head(&method, "/nothing", &[("content-length", "0")]));
    let line = gateway.line_of(&reply).to_string();
    assert!(line.len() < 1_000, "{} bytes of log", line.len());

    // And of many short ones, only so many are counted by name.
    let mut client = gateway.client();
    for n in 0..130 {
        client.send(json(
            Door::Chat.path(),
            format!(r#"{{"model":"up/m-{n}"}}"#),
        ));
        assert_eq!(client.reply().status, 200);
    }
    let metrics = gateway.call(head("GET", "/metrics", &[])).text();
    assert!(metrics.contains("model=\"m-80\"") && !metrics.contains("model=\"m-120\""));
    let others =
        "nowait_requests_total{endpoint=\"chat\",provider=\"up\",model=\"other\",status=\"200\"}";
    assert!(gateway.metric(others) > 20.0);
}

#[test]
fn json_nested_without_end_is_nobodys_stack() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let answer = format!(r#"{{"choices":{deep}}}"#);
    for door in DOORS {
        upstream.add(vec![Step::Send(json_answer(200, &answer))]);
        let body = door
            .body(false)
            .replacen('{', &format!("{{\"x\":{deep},"), 1);
        let reply = gateway.post(door.path(), &body);
        if door == Door::Plain {
            door.assert_error(&reply, 400, "invalid_request");
            let reply = gateway.call(door.call(false));
            door.assert_error(&reply, 502, "upstream_protocol");
            continue;
        }
        assert_eq!(reply.status, 200);
        assert!(reply.text() == answer, "as it came");
    }
}

#[test]
fn ten_thousand_headers_are_refused_and_harm_nobody_else() {
    let upstream = Upstream::always(Door::Chat.answer());
    let gateway = Gateway::new(&both(upstream.address));
    let many: String = (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(1 << 20));
    for headers in [many, long] {
        let mut client = gateway.client();
        let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let _ = client.wire.write(request.as_bytes());
        let reply = client.reply();
        Door::Chat.assert_error(&reply, 431, "head_too_large");
        reply.assert_signed();
        assert!(client.wire.ends());
        let line = gateway.line_of(&reply);
        assert_eq!(
            (&line["status"], &line["path"]),
            (&431.into(), &Door::Chat.path().into())
        );
    }
    assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn what_is_not_http_is_hung_up_on() {
    let gateway = gateway();
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n"[..],
        b"EHLO gateway.test\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, but long enough for one",
    ] {
        let mut client = gateway.client();
        client.send(junk);
        // Whatever it says to that, it says nothing for long.
        while !client.wire.ends() {
            client.wire.forget();
        }
    }
    assert_eq!(gateway.call(head("GET", "/health", &[])).status, 200);
}

#[test]
fn a_caller_that_sends_byte_by_byte_is_served() {
    let upstream = Upstream::new([vec![Step::Send(Door::Chat.answer())]]);
    let gateway = Gateway::new(&both(upstream.address));
    let mut client = gateway.client();
    for byte in Door::Chat.call(false) {
        client.send([byte]);
    }
    let reply: Reply = client.reply();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), Door::Chat.answer_body());
    let sent = Door::Chat.body(false).replace("up/m", "m");
    assert_eq!(upstream.one().body, sent.as_bytes());
}
