//! What a Messages call is like for whom, and what its stream looks like.

use super::*;
use crate::dialect::ir::{
    CacheMark, Content, Effort, Event, Form, Given, Json, Maker, Opening, Part, Piece, Place,
    Reasoned, Reasoning, Role, Seal, Start, Text, Thinking, Tool, ToolCall, ToolChoice, ToolKind,
    ToolResult, Turn,
};
use crate::dialect::translate::arbitrary::Arbitrary;
use crate::dialect::translate::{self, Quirks, Wire};

fn said(role: Role, parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn {
        role,
        parts: parts.into_iter().map(Part::from).collect(),
        ..Turn::default()
    }
}

fn text(text: &'static str) -> Content<'static> {
    Content::text(Text::plain(text))
}

fn asking(turns: Vec<Turn<'static>>) -> Request<'static> {
    Request {
        turns,
        ..Request::default()
    }
}

fn function(name: &'static str) -> Tool<'static> {
    Tool {
        kind: ToolKind::Function {
            name: Text::plain(name),
            description: None,
            parameters: None,
            strict: None,
        },
        cache: None,
        at: Default::default(),
    }
}

/// What is written for this model: the body, and what was lost.
fn written(request: &Request<'_>, model: &str, marks_cache: bool) -> (serde_json::Value, String) {
    let target = Target {
        model,
        quirks: Quirks::default(),
        marks_cache,
    };
    let mut out = Outgoing::default();
    Messages.encode_request(request, &target, &mut out).unwrap();
    let losses: Vec<String> = out.losses.iter().map(ToString::to_string).collect();
    (
        serde_json::from_slice(&out.body).unwrap(),
        losses.join("; "),
    )
}

fn reasoning(effort: Option<Effort>, thinking: Option<Thinking>) -> Request<'static> {
    let mut request = asking(vec![said(Role::User, vec![text("a")])]);
    let reasoning = Reasoning {
        effort,
        thinking,
        summary: None,
    };
    request.settings.reasoning = Some(Given::new("reasoning_effort", reasoning));
    request
}

#[test]
fn thinking_is_told_as_the_model_knows_it() {
    let rows = [
        (
            "claude-3-5-haiku-20241022",
            Some(Effort::High),
            "null",
            "null",
            "reasoning_effort",
        ),
        (
            "claude-sonnet-4-5",
            Some(Effort::Low),
            r#"{"budget_tokens":1024,"type":"enabled"}"#,
            "null",
            "",
        ),
        ("claude-sonnet-4-5", Some(Effort::None), "null", "null", ""),
        (
            "claude-opus-4-6",
            Some(Effort::Minimal),
            r#"{"type":"adaptive"}"#,
            r#"{"effort":"low"}"#,
            "",
        ),
        (
            "claude-opus-4-6",
            Some(Effort::None),
            r#"{"type":"disabled"}"#,
            "null",
            "",
        ),
    ];
    for (model, effort, thinking, output, lost) in rows {
        let (body, losses) = written(&reasoning(effort, None), model, false);
        assert_eq!(body["thinking"].to_string(), thinking, "{model} {effort:?}");
        assert_eq!(
            body["output_config"].to_string(),
            output,
            "{model} {effort:?}"
        );
        assert_eq!(losses.is_empty(), lost.is_empty(), "{losses}");
        assert!(losses.contains(lost), "{losses}");
    }
}

#[test]
fn a_budget_stays_below_the_limit_and_gives_way_to_what_excludes_it() {
    let enabled = |budget: u64| format!(r#"{{"budget_tokens":{budget},"type":"enabled"}}"#);
    let mut request = reasoning(None, Some(Thinking::Budget(60_000)));
    request.settings.max_tokens = Some(Given::new("max_tokens", 4_000));
    let (body, _) = written(&request, "claude-sonnet-4-5", false);
    assert_eq!(body["thinking"].to_string(), enabled(3_999));

    request.settings.max_tokens = Some(Given::new("max_tokens", 500));
    let (body, losses) = written(&request, "claude-sonnet-4-5", false);
    assert!(body["thinking"].is_null());
    assert!(losses.contains("no room to think"), "{losses}");

    let mut request = reasoning(Some(Effort::Low), None);
    request.tools.push(function("f"));
    request.settings.tool_choice = Some(Given::new("tool_choice", ToolChoice::Required));
    let (body, losses) = written(&request, "claude-sonnet-4-5", false);
    assert!(body["thinking"].is_null());
    assert!(losses.contains("must call a tool"), "{losses}");
    // Newer models think before they call.
    let (body, losses) = written(&request, "claude-opus-4-6", false);
    assert_eq!(body["thinking"]["type"], "adaptive");
    assert_eq!(losses, "");
}

#[test]
fn thinking_waits_for_the_next_turn_where_the_last_call_has_none() {
    let call = |seal: Option<Maker>| {
        let mut parts = Vec::new();
        if let Some(maker) = seal {
            parts.push(Content::Reasoning(Reasoned {
                seal: Some(Seal {
                    maker,
                    id: None,
                    data: Text::plain("s"),
                    is_redacted: false,
                }),
                ..Reasoned::default()
            }));
        }
        parts.push(Content::Call(ToolCall {
            id: Text::plain("c"),
            name: Text::plain("f"),
            arguments: Text::plain("{}"),
            is_custom: false,
            seal: None,
        }));
        let mut request = reasoning(Some(Effort::Low), None);
        request.turns.push(said(Role::Assistant, parts));
        let result = ToolResult {
            call: Text::plain("c"),
            ..ToolResult::default()
        };
        request
            .turns
            .push(said(Role::Tool, vec![Content::Result(result)]));
        request
    };
    for (seal, thinks) in [
        (None, false),
        (Some(Maker::Gemini), false),
        (Some(Maker::Anthropic), true),
    ] {
        let (body, _) = written(&call(seal), "claude-sonnet-4-5", false);
        assert_eq!(!body["thinking"].is_null(), thinks, "{seal:?}");
        let kinds: Vec<&str> = body["messages"][1]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        let expected: &[&str] = if thinks {
            &["thinking", "tool_use"]
        } else {
            &["tool_use"]
        };
        assert_eq!(kinds, expected);
    }
}

#[test]
fn sampling_is_what_the_model_takes() {
    let json = |json| Some(Given::new("", Json::checked(json).unwrap()));
    let mut request = asking(vec![said(Role::User, vec![text("a")])]);
    request.settings.temperature = json("1.7");
    request.settings.top_p = json("0.9");
    let rows = [
        ("claude-3-5-haiku-20241022", "1", "0.9"),
        ("claude-sonnet-4-5", "1", "null"),
        ("claude-opus-4-7", "null", "null"),
    ];
    for (model, temperature, top_p) in rows {
        let (body, losses) = written(&request, model, false);
        assert_eq!(body["temperature"].to_string(), temperature, "{model}");
        assert_eq!(body["top_p"].to_string(), top_p, "{model}");
        assert!(!losses.is_empty());
    }
}

#[test]
fn what_the_api_refuses_is_left_out() {
    let request = asking(vec![
        said(Role::System, vec![text(" ")]),
        said(Role::User, vec![text("a"), text("")]),
        said(Role::Assistant, vec![text("")]),
        said(Role::User, vec![text("b")]),
        said(Role::Assistant, vec![text("{\\\"a\\\": \\n ")]),
    ]);
    let (body, losses) = written(&request, "m", false);
    assert!(body["system"].is_null());
    assert_eq!(
        body["messages"].to_string(),
        r#"[{"content":[{"text":"a","type":"text"}],"role":"user"},{"content":"b","role":"user"},{"content":[{"text":"{\\\"a\\\": \\n","type":"text"}],"role":"assistant"}]"#
    );
    assert_eq!(
        (losses.as_str(), body["max_tokens"].as_u64()),
        ("", Some(4_096))
    );
}

#[test]
fn instructions_alone_are_what_is_asked() {
    let (body, losses) = written(
        &asking(vec![said(Role::System, vec![text("a")])]),
        "m",
        false,
    );
    assert_eq!(body["messages"][0]["role"], "user");
    assert!(losses.contains("was sent as a user's"), "{losses}");
    let mut out = Outgoing::default();
    let target = Target {
        model: "m",
        quirks: Quirks::default(),
        marks_cache: false,
    };
    let error = Messages.encode_request(&asking(Vec::new()), &target, &mut out);
    assert_eq!(error.unwrap_err().field(), Some("messages"));
}

/// Where in a body the cache is marked.
fn marks(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, inner) in fields {
                match key.as_str() {
                    "cache_control" => found.push(path.to_owned()),
                    key => marks(inner, &format!("{path}/{key}"), found),
                }
            }
        }
        serde_json::Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, inner)| marks(inner, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

#[test]
fn the_stable_beginning_is_marked_where_nobody_marked_anything() {
    let mut request = asking(vec![
        said(Role::System, vec![text("a")]),
        said(Role::System, vec![text("b")]),
        said(Role::User, vec![text("c")]),
        said(Role::Assistant, vec![text("d")]),
        said(Role::User, vec![text("e"), text("f")]),
    ]);
    request.tools = vec![function("f"), function("g")];
    let (body, _) = written(&request, "m", true);
    let mut found = Vec::new();
    marks(&body, "", &mut found);
    assert_eq!(found, ["/messages/2/content/1", "/system/1", "/tools/1"]);

    request.turns[2].parts[0].cache = Some(CacheMark { for_an_hour: true });
    let (body, _) = written(&request, "m", true);
    let mut found = Vec::new();
    marks(&body, "", &mut found);
    assert_eq!(found, ["/messages/0/content/0"]);
    assert_eq!(
        body["messages"][0]["content"][0]["cache_control"]["ttl"],
        "1h"
    );
}

#[test]
fn a_form_is_asked_for_as_the_model_knows_it() {
    let mut request = asking(vec![said(Role::User, vec![text("a")])]);
    let schema = || Form::Schema {
        name: None,
        description: None,
        schema: Json::checked(r#"{"type":"object"}"#).unwrap(),
        strict: None,
    };
    let set = |form| Some(Given::new("response_format", form));
    request.settings.form = set(schema());
    let (body, losses) = written(&request, "claude-sonnet-4-5", false);
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    assert_eq!(losses, "");
    let (body, losses) = written(&request, "claude-sonnet-4", false);
    assert_eq!(body["tool_choice"]["name"], translate::FORM_TOOL);
    assert_eq!(losses, "");
    request.tools.push(function("f"));
    request.settings.form = set(Form::Object);
    let (body, losses) = written(&request, "claude-sonnet-4-5", false);
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert!(losses.contains("response_format"), "{losses}");
}

#[test]
fn a_tools_answer_and_free_text_are_retold() {
    let exchange = Exchange {
        form_tool: true,
        free_text_tools: vec!["patch".to_owned()],
        ..Exchange::default()
    };
    let body = r#"{"type":"message","content":[{"type":"tool_use","id":"a","name":"answer","input":{"b":1}},{"type":"tool_use","id":"c","name":"patch","input":{"input":"x\n"}}],"stop_reason":"tool_use"}"#;
    let whole = translate::answer(Wire::Messages, Wire::Chat, body.as_bytes(), &exchange).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole.body).unwrap();
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["content"], r#"{"b":1}"#);
    assert_eq!(message["tool_calls"][0]["custom"]["input"], "x\n");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");

    let stream = crate::dialect::unfold(crate::dialect::Format::Messages, body.as_bytes(), true);
    let mut translation = translate::Stream::new(Wire::Messages, Wire::Chat, &exchange);
    let mut out = Vec::new();
    translation.push(stream.unwrap(), &mut out);
    translation.end(&mut out);
    let folded = crate::dialect::fold(crate::dialect::Format::Chat, &out).unwrap();
    let folded: serde_json::Value = serde_json::from_slice(&folded).unwrap();
    let streamed = &folded["choices"][0]["message"];
    assert_eq!(streamed["content"], message["content"]);
    assert_eq!(streamed["tool_calls"], message["tool_calls"]);
    assert_eq!(folded["choices"][0]["finish_reason"], "stop");
}

#[test]
fn blocks_come_one_after_another() {
    let place = |part| Place { choice: 0, part };
    let call = |part| Event::Open {
        place: place(part),
        opening: Opening::Call {
            id: Text::plain("c"),
            name: Text::plain("f"),
            is_custom: false,
        },
    };
    let delta = |part, text| Event::Delta {
        place: place(part),
        piece: Piece::Text(Text::plain(text)),
    };
    let close = |part| Event::Close { place: place(part) };
    let mut encoder = Messages.encoder(&Exchange::default());
    let mut losses = Losses::default();
    let mut put = |event: Event<'_>| {
        let mut out = Vec::new();
        encoder.put(&event, &mut out, &mut losses);
        let out = String::from_utf8(out).unwrap();
        let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
        let names = data.map(|data| {
            let event: serde_json::Value = serde_json::from_str(data).unwrap();
            let name = event["type"]
                .as_str()
                .unwrap()
                .replace("content_block_", "");
            format!("{name} {}", event["index"])
        });
        names.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(put(Event::Start(Start::default())), "message_start null");
    assert_eq!(put(call(0)), "start 0");
    assert_eq!(put(call(1)), "");
    assert_eq!(put(delta(1, "{")), "");
    assert_eq!(put(delta(0, "{}")), "delta 0");
    assert_eq!(put(Event::Ping), "ping null");
    assert_eq!(put(call(2)), "");
    assert_eq!(put(close(2)), "");
    assert_eq!(put(close(0)), "stop 0, start 1, delta 1");
    assert_eq!(put(delta(1, "}")), "delta 1");
    assert_eq!(put(close(1)), "stop 1, start 2, stop 2");
    assert_eq!(put(Event::End), "message_delta null, message_stop null");
}

#[test]
fn a_provider_that_begins_again_has_begun_once() {
    let mut decoder = Messages.decoder(&Exchange::default());
    let mut starts = 0;
    for _ in 0..2 {
        let data = r#"{"type":"message_start","message":{"id":"a"}}"#;
        decoder.take(None, data, &mut |event| {
            starts += usize::from(matches!(event, Event::Start(_)));
        });
    }
    assert_eq!(starts, 1);
    assert!(!decoder.may_end());
}

/// Tools and instructions as they are written, and every block of the
/// conversation without its mark.
fn laid_out(body: &serde_json::Value) -> (serde_json::Value, Vec<serde_json::Value>) {
    let mut blocks = Vec::new();
    for message in body["messages"].as_array().unwrap() {
        let role = &message["role"];
        let content = match &message["content"] {
            serde_json::Value::String(text) => vec![serde_json::json!({"type":"text","text":text})],
            content => content.as_array().unwrap().clone(),
        };
        for mut block in content {
            block.as_object_mut().unwrap().remove("cache_control");
            blocks.push(serde_json::json!({"role": role, "block": block}));
        }
    }
    let head = serde_json::json!({"tools": body["tools"], "system": body["system"]});
    (head, blocks)
}

#[test]
fn marks_stay_where_they_are_from_turn_to_turn() {
    let mut compared = 0;
    for seed in 0..400 {
        let mut request = Arbitrary::new(Wire::Chat, seed).request();
        let unmark = |part: &mut Part<'_>| part.cache = None;
        request.tools.iter_mut().for_each(|tool| tool.cache = None);
        for turn in &mut request.turns {
            turn.parts.iter_mut().for_each(unmark);
            for part in &mut turn.parts {
                if let Content::Result(result) = &mut part.content {
                    result.parts.iter_mut().for_each(unmark);
                }
            }
        }
        let mut earlier: Option<(serde_json::Value, Vec<serde_json::Value>)> = None;
        for until in 1..=request.turns.len() {
            let so_far = Request {
                turns: request.turns[..until].to_vec(),
                ..request.clone()
            };
            // Callers ask when it isn't the model's turn that is the last.
            let last = so_far.turns[until - 1].role;
            if last == Role::Assistant || so_far.turns.iter().all(|turn| turn.role.instructs()) {
                continue;
            }
            let target = Target {
                model: "claude-sonnet-4-5",
                quirks: Quirks::default(),
                marks_cache: true,
            };
            let mut out = Outgoing::default();
            if Messages.encode_request(&so_far, &target, &mut out).is_err() {
                continue;
            }
            let body: serde_json::Value = serde_json::from_slice(&out.body).unwrap();
            let mut found = Vec::new();
            marks(&body, "", &mut found);
            assert!(found.len() <= 4, "{found:?}");
            let now = laid_out(&body);
            if let Some((head, blocks)) = &earlier {
                assert_eq!(*head, now.0, "seed {seed}, turn {until}");
                assert!(now.1.starts_with(blocks), "seed {seed}, turn {until}");
                compared += 1;
            }
            earlier = Some(now);
        }
    }
    assert!(compared > 100, "{compared}");
}
