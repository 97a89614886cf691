//! What goes to a Gemini model and comes back from it, over several turns.

use serde_json::{Value, json};

use super::*;
use crate::dialect::ir::{Event, Gather};
use crate::dialect::translate::{self, Quirks, Stream, Wire};

/// What is written for this model of a call in another format, and the paths
/// of what was lost.
fn written(client: Wire, model: &str, body: &Value) -> (Outgoing, Exchange, Value, String) {
    let target = Target {
        model,
        quirks: Quirks::default(),
        marks_cache: false,
    };
    let body = body.to_string();
    let (out, exchange) =
        translate::request(client, Wire::Gemini, body.as_bytes(), &target, "id", 1).unwrap();
    let sent = serde_json::from_slice(&out.body).unwrap();
    let lost = out.losses.header().unwrap_or_default();
    (out, exchange, sent, lost)
}

fn answered(client: Wire, body: &Value, exchange: &Exchange) -> Value {
    let body = body.to_string();
    let answer = translate::answer(Wire::Gemini, client, body.as_bytes(), exchange).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// Thinking that is shown, hidden thinking in front of words, a call.
fn signed() -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": [
        {"text": "Hm.", "thought": true},
        {"text": "Let me look.", "thoughtSignature": "bG9vaw=="},
        {"functionCall": {"name": "tide", "args": {"port": "Brest"}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"name": "now"}},
    ]}, "finishReason": "STOP"}], "modelVersion": "gemini-3-pro", "responseId": "r1"})
}

#[test]
fn marks_go_back_to_the_model_through_callers_of_any_format() {
    let model = json!({"role": "model", "parts": [
        {"text": "Let me look.", "thoughtSignature": "bG9vaw=="},
        {"functionCall": {"id": "ID0", "name": "tide", "args": {"port": "Brest"}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"id": "ID1", "name": "now", "args": {}}},
    ]});
    let exchange = Exchange::default();
    let ask = json!({"role": "user", "content": "Tide?"});

    let chat = answered(Wire::Chat, &signed(), &exchange);
    assert_eq!(chat["choices"][0]["finish_reason"], "tool_calls");
    let message = chat["choices"][0]["message"].clone();
    let ids = [0, 1].map(|at| message["tool_calls"][at]["id"].as_str().unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    let results = ids
        .iter()
        .map(|id| json!({"role": "tool", "tool_call_id": id, "content": "six"}));
    let mut messages = vec![ask.clone(), message];
    messages.extend(results);
    let body = json!({"model": "m", "messages": messages});
    let (_, _, sent, lost) = written(Wire::Chat, "gemini-3-pro", &body);
    let expected = |ids: &[String]| {
        let text = model
            .to_string()
            .replace("ID0", &ids[0])
            .replace("ID1", &ids[1]);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(sent["contents"][1], expected(&ids));
    let names = |sent: &Value| {
        let parts = sent["contents"][2]["parts"].as_array().unwrap().clone();
        parts
            .iter()
            .map(|part| {
                part["functionResponse"]["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&sent), ["tide", "now"]);
    // The thought has no mark, so that nobody can prove it.
    assert_eq!(lost, "messages[1]");

    let message = answered(Wire::Messages, &signed(), &exchange);
    assert_eq!(message["stop_reason"], "tool_use");
    let results: Vec<_> = ids
        .iter()
        .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "six"}))
        .collect();
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        ask, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": results},
    ]});
    let (_, _, sent, _) = written(Wire::Messages, "gemini-3-pro", &body);
    assert_eq!(sent["contents"][1], expected(&ids));
    assert_eq!(names(&sent), ["tide", "now"]);
}

#[test]
fn only_newer_models_want_a_mark_on_every_step() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "1", "content": "b"},
        {"role": "tool", "tool_call_id": "2", "content": "c"},
    ]});
    for (model, mark) in [
        ("gemini-3-flash", json!(NO_MARK)),
        ("gemini-2.5-pro", Value::Null),
    ] {
        let (_, _, sent, lost) = written(Wire::Chat, model, &body);
        let parts = &sent["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], mark, "{model}");
        assert_eq!(parts[1]["thoughtSignature"], Value::Null, "{model}");
        assert_eq!(lost, "");
    }
}

#[test]
fn what_a_result_shows_is_where_the_model_sees_it() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let result = |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content, "is_error": id == "2"});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [call("1"), call("2")]},
        {"role": "user", "content": [
            result("1", json!([{"type": "text", "text": "x"}, {"type": "text", "text": "y"}, image])),
            result("2", json!("no")),
            {"type": "text", "text": "go on"},
        ]},
    ]});
    let (_, _, sent, _) = written(Wire::Messages, "gemini-3-flash", &body);
    let parts = sent["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    let first = &parts[0]["functionResponse"];
    assert_eq!(first["response"], json!({"output": "x\ny"}));
    assert_eq!(first["parts"][0]["inlineData"]["mimeType"], "image/png");
    assert_eq!(
        parts[1]["functionResponse"]["response"],
        json!({"error": "no"})
    );
    assert_eq!(sent["contents"][3]["parts"], json!([{"text": "go on"}]));
    // Older ones see it behind all results.
    let (_, _, sent, _) = written(Wire::Messages, "gemini-2.5-flash", &body);
    let parts = sent["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["functionResponse"]["parts"], Value::Null);
    assert_eq!(parts[2]["inlineData"]["mimeType"], "image/png");
}

#[test]
fn settings_are_said_as_the_api_has_them() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}],
        "n": 3, "logprobs": true, "top_logprobs": 2, "stop": ["1", "2", "3", "4", "5", "6"],
        "metadata": {"team": "a"}, "modalities": ["text", "image"], "store": true,
        "service_tier": "scale", "presence_penalty": 0.5, "logit_bias": {"1": 2},
        "extra_body": {"google": {"cached_content": "cachedContents/1", "thinking_config": {"thinking_budget": 9}}}});
    let (out, _, sent, lost) = written(Wire::Chat, "gemini-2.5-flash", &body);
    assert_eq!(out.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(
        sent["generationConfig"],
        json!({"presencePenalty": 0.5, "stopSequences": ["1", "2", "3", "4", "5"],
            "candidateCount": 3, "responseLogprobs": true, "logprobs": 2,
            "thinkingConfig": {"thinking_budget": 9}, "responseModalities": ["TEXT", "IMAGE"]})
    );
    assert_eq!(sent["labels"], json!({"team": "a"}));
    assert_eq!(sent["cachedContent"], "cachedContents/1");
    assert_eq!(sent["store"], true);
    assert_eq!(lost, "logit_bias,stop,service_tier");

    // What a newer model does, and an older one refuses.
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "seed": 99999999999i64,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_object"}});
    for (model, expected) in [
        ("gemini-2.5-pro", "seed,response_format"),
        ("gemini-3-pro", "seed"),
    ] {
        let (_, _, sent, lost) = written(Wire::Chat, model, &body);
        assert_eq!(lost, expected);
        assert_eq!(
            sent["tools"][0]["functionDeclarations"],
            json!([{"name": "f"}])
        );
    }

    let too_many = json!({"model": "m", "n": 9, "messages": [{"role": "user", "content": "a"}]});
    let target = Target {
        model: "gemini-2.5-flash",
        quirks: Quirks::default(),
        marks_cache: false,
    };
    let body = too_many.to_string();
    let refused = translate::request(Wire::Chat, Wire::Gemini, body.as_bytes(), &target, "id", 1)
        .unwrap_err();
    assert_eq!(refused.field(), Some("n"));
}

#[test]
fn tools_are_sent_under_names_the_api_takes() {
    let long = format!("mcp.{}", "x".repeat(90));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}],
        "tools": [
            {"type": "function", "function": {"name": "3d", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": long}},
            {"type": "custom", "custom": {"name": "patch"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "3d"}}});
    let (out, exchange, sent, _) = written(Wire::Chat, "gemini-2.5-flash", &body);
    let functions = sent["tools"][0]["functionDeclarations"].as_array().unwrap();
    let names: Vec<&str> = functions
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        names[0].starts_with("_3d_") && names[1].len() == 64,
        "{names:?}"
    );
    assert_eq!(
        sent["toolConfig"]["functionCallingConfig"],
        json!({"mode": "ANY", "allowedFunctionNames": [names[0]]})
    );
    assert_eq!(out.free_text_tools, ["patch"]);
    let answer = json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"name": names[0], "args": {}}},
        {"functionCall": {"name": "patch", "args": {"input": "x\n"}}},
    ]}, "finishReason": "STOP"}]});
    let calls =
        answered(Wire::Chat, &answer, &exchange)["choices"][0]["message"]["tool_calls"].clone();
    assert_eq!(calls[0]["function"]["name"], "3d");
    assert_eq!(calls[1]["custom"], json!({"name": "patch", "input": "x\n"}));
}

#[test]
fn a_search_gives_way_to_functions() {
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let function = json!({"name": "f", "input_schema": {"type": "object"}});
    let body = |tools: Value| json!({"model": "m", "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "a"}]});
    let (_, _, sent, lost) = written(Wire::Messages, "gemini-3-pro", &body(json!([search])));
    assert_eq!(
        (&sent["tools"], lost.as_str()),
        (&json!([{"googleSearch": {}}]), "")
    );
    let (_, _, sent, lost) = written(
        Wire::Messages,
        "gemini-3-pro",
        &body(json!([search, function])),
    );
    assert_eq!(sent["tools"][0]["googleSearch"], Value::Null);
    assert_eq!(lost, "tools[0]");
}

#[test]
fn calls_without_ids_are_told_apart_in_every_answer() {
    let answer = |id: Value| json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}], "responseId": id});
    let exchange = |id: &str| Exchange {
        id: id.to_owned(),
        ..Exchange::default()
    };
    let mut seen = Vec::new();
    for (id, asked) in [
        (json!("r1"), "q1"),
        (json!("r2"), "q1"),
        (Value::Null, "q1"),
        (Value::Null, "q2"),
    ] {
        let told = answered(Wire::Chat, &answer(id.clone()), &exchange(asked));
        let again = answered(Wire::Messages, &answer(id), &exchange(asked));
        for at in [0, 1] {
            let call = told["choices"][0]["message"]["tool_calls"][at]["id"].clone();
            assert_eq!(call, again["content"][at]["id"]);
            assert!(!seen.contains(&call), "{call}");
            seen.push(call);
        }
    }
}

#[test]
fn whatever_ends_an_answer_has_a_word() {
    let rows = [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        ("BLOCKLIST", Finish::ContentFilter),
        ("PROHIBITED_CONTENT", Finish::ContentFilter),
        ("SPII", Finish::ContentFilter),
        ("IMAGE_SAFETY", Finish::ContentFilter),
        ("LANGUAGE", Finish::Other),
        ("OTHER", Finish::Other),
        ("MALFORMED_FUNCTION_CALL", Finish::Error),
        ("UNEXPECTED_TOOL_CALL", Finish::Error),
        ("TOO_MANY_TOOL_CALLS", Finish::Error),
        ("MISSING_THOUGHT_SIGNATURE", Finish::Error),
        ("SOMETHING_NEW", Finish::Other),
    ];
    for (word, finish) in rows {
        let body =
            json!({"candidates": [{"finishReason": word, "finishMessage": "why"}]}).to_string();
        let answer = Gemini.decode_answer(&body, &Exchange::default()).unwrap();
        assert_eq!(answer.choices[0].finish, Some(finish), "{word}");
        let tells = !matches!(finish, Finish::Stop | Finish::Length);
        assert_eq!(answer.choices[0].parts.len(), usize::from(tells), "{word}");
    }
}

#[test]
fn an_answer_that_calls_ends_for_the_call_whatever_its_word() {
    for word in ["STOP", "FUNCTION_CALL"] {
        let call = json!({"functionCall": {"name": "f", "args": {}}});
        let candidate = json!({"content": {"parts": [call]}, "finishReason": word});
        let body = json!({"candidates": [candidate]}).to_string();
        let answer = Gemini.decode_answer(&body, &Exchange::default()).unwrap();
        assert_eq!(answer.choices[0].finish, Some(Finish::ToolCalls), "{word}");
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"usageMetadata":{}}"#,
        r#"{"promptFeedback":{}}"#,
        r#"{"candidates":7}"#,
    ] {
        assert!(
            Gemini.decode_answer(body, &Exchange::default()).is_none(),
            "{body}"
        );
    }
    let told = r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#;
    let failure = translate::answer(
        Wire::Gemini,
        Wire::Chat,
        told.as_bytes(),
        &Exchange::default(),
    );
    assert_eq!(failure.unwrap_err().message, "slow");
}

#[test]
fn an_error_in_an_array_fails_the_stream() {
    for data in [
        r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#,
        r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#,
    ] {
        let mut stream = Stream::new(Wire::Gemini, Wire::Messages, &Exchange::default());
        let mut out = Vec::new();
        stream.push(format!("data: {data}\r\n\r\n").into(), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("overloaded_error") && out.contains("busy"),
            "{out}"
        );
    }
}

#[test]
fn a_mark_amid_words_does_not_break_them_up() {
    let chunk = |text: &str, mark: &str| {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"{mark}}}]}}}}]}}"#)
    };
    let mark = r#","thoughtSignature":"c2ln""#;
    let rows = [
        ([chunk("a", mark), chunk("b", "")], vec!["", "ab"]),
        ([chunk("a", ""), chunk("b", mark)], vec!["ab", ""]),
        ([chunk("a", ""), chunk("", mark)], vec!["a", ""]),
    ];
    for (chunks, expected) in rows {
        let mut decoder = Gemini.decoder(&Exchange::default());
        let mut gather = Gather::default();
        for data in &chunks {
            decoder.take(None, data, &mut |event| gather.take(event));
        }
        assert!(!decoder.may_end());
        gather.take(Event::End);
        let answer = gather.finish().unwrap();
        let texts: Vec<String> = answer.choices[0]
            .parts
            .iter()
            .map(|part| match &part.content {
                super::super::ir::Content::Text { text, .. } => text.resolved().into_owned(),
                _ => String::new(),
            })
            .collect();
        assert_eq!(texts, expected, "{chunks:?}");
    }
}

#[test]
fn what_is_no_call_is_refused_by_its_path() {
    let rows = [
        (r#"{"contents":7}"#, "contents"),
        (r#"{"contents":[{"role":"x"}]}"#, "contents[0].role"),
        (
            r#"{"contents":[{"parts":[{"text":1}]}]}"#,
            "contents[0].parts[0].text",
        ),
        (
            r#"{"contents":[{"parts":[{"inlineData":{"data":""}}]}]}"#,
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            r#"{"contents":[{"parts":[{"functionResponse":{}}]}]}"#,
            "contents[0].parts[0].functionResponse.name",
        ),
        (
            r#"{"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (
            r#"{"toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}}"#,
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            r#"{"generationConfig":{"responseMimeType":"text/x.enum"}}"#,
            "generationConfig.responseMimeType",
        ),
        (
            r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"x"}}}"#,
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
    ];
    for (body, field) in rows {
        let error = Gemini.decode_request(body).unwrap_err();
        assert_eq!(error.field(), Some(field), "{body}");
    }
}
