//! What a chat call is like for whom, and what its stream looks like.

use super::*;
use crate::dialect::Ending;
use crate::dialect::MaxTokensField;
use crate::dialect::ir::{
    Content, Effort, Event, Given, Json, Maker, Opening, Part, Piece, Reasoned, Reasoning, Role,
    Seal, Text, Tool, ToolCall, ToolChoice, ToolKind, ToolResult, Turn,
};
use crate::dialect::quirks::Refused;
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

fn written(request: &Request<'_>, model: &str, quirks: Quirks) -> (serde_json::Value, String) {
    let target = Target {
        model,
        quirks,
        marks_cache: false,
    };
    let mut out = Outgoing::default();
    Chat.encode_request(request, &target, &mut out).unwrap();
    let losses: Vec<String> = out.losses.iter().map(|loss| loss.path.clone()).collect();
    (serde_json::from_slice(&out.body).unwrap(), losses.join(","))
}

#[test]
fn settings_are_what_the_model_takes() {
    let mut request = Request {
        turns: vec![said(Role::Developer, vec![text("a")])],
        stream: true,
        ..Request::default()
    };
    let reasoning = Reasoning {
        effort: Some(Effort::Low),
        ..Reasoning::default()
    };
    request.settings.reasoning = Some(Given::new("thinking", reasoning));
    request.settings.max_tokens = Some(Given::new("max_tokens", 9));
    request.settings.temperature = Some(Given::new("temperature", Json::checked("0").unwrap()));
    let rows = [
        ("o3", "max_completion_tokens", Some("low"), "temperature"),
        (
            "gpt-5.2",
            "max_completion_tokens",
            Some("low"),
            "temperature",
        ),
        ("gpt-4o", "max_tokens", None, "thinking"),
        ("deepseek-chat", "max_tokens", Some("low"), ""),
    ];
    for (model, field, effort, lost) in rows {
        let (body, losses) = written(&request, model, Quirks::default());
        assert_eq!(body[field], 9, "{model}");
        assert_eq!(body["reasoning_effort"].as_str(), effort, "{model}");
        assert_eq!(losses, lost, "{model}");
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert_eq!(body["messages"][0]["role"], "developer");
    }
    let quirks = Quirks {
        max_tokens: MaxTokensField::MaxCompletionTokens,
        refuses: Refused::of(&["stream_options", "developer"]),
        ..Quirks::default()
    };
    let (body, _) = written(&request, "m", quirks);
    assert_eq!(body["max_completion_tokens"], 9);
    assert!(body["stream_options"].is_null());
    assert_eq!(body["messages"][0]["role"], "system");
}

#[test]
fn what_a_provider_refuses_is_left_out_and_named() {
    let body = r#"{"model":"m","messages":[{"role":"user","name":"me","content":"a"}],"seed":7,
        "logit_bias":{"1":2},"logprobs":true,"parallel_tool_calls":false,"user":"u","stop":["s"],
        "tools":[{"function":{"name":"f"}}],"verbosity":"low","service_tier":"auto","store":true,
        "metadata":{"a":"b"},"temperature":0.5,"reasoning_effort":"low","prompt_cache_key":"k"}"#;
    let request = Chat.decode_request(body).unwrap();
    let (plain, losses) = written(&request, "m", Quirks::default());
    assert_eq!((plain["seed"].as_u64(), losses.as_str()), (Some(7), ""));
    let names = [
        "logit_bias",
        "logprobs",
        "metadata",
        "name",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning_effort",
        "seed",
        "service_tier",
        "stop",
        "store",
        "temperature",
        "user",
        "verbosity",
    ];
    let quirks = Quirks {
        refuses: Refused::of(&names),
        ..Quirks::default()
    };
    let (bare, losses) = written(&request, "m", quirks);
    let keys: Vec<_> = bare.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        ["messages", "model", "tools"].map(str::to_owned),
        "{bare}"
    );
    let mut lost: Vec<_> = losses.split(',').collect();
    lost.sort_unstable();
    let mut expected: Vec<_> = names.to_vec();
    expected[3] = "messages[0].name";
    expected.sort_unstable();
    assert_eq!(lost, expected);
    let several = Chat
        .decode_request(r#"{"n":2,"messages":[{"role":"user","content":"a"}]}"#)
        .unwrap();
    let target = Target {
        model: "m",
        quirks: Quirks {
            refuses: Refused::of(&["n"]),
            random_seed: true,
            ..Quirks::default()
        },
        marks_cache: false,
    };
    let error = Chat.encode_request(&several, &target, &mut Outgoing::default());
    assert_eq!(error.unwrap_err().field(), Some("n"));
    let (random, _) = written(&request, "m", target.quirks);
    assert_eq!(random["random_seed"], 7);
}

#[test]
fn each_server_is_told_its_way_how_hard_to_think() {
    use crate::dialect::quirks::ReasoningField::{
        Effort, EnableThinking, Object, Thinking, Toggle,
    };
    let none = r#"{"reasoning_effort":"none"}"#;
    let high = r#"{"reasoning_effort":"high"}"#;
    let budget = r#"{"reasoning":{"max_tokens":2000}}"#;
    let rows = [
        (Effort, none, r#"{"reasoning_effort":"none"}"#, ""),
        (Object, high, r#"{"reasoning":{"effort":"high"}}"#, ""),
        (Object, budget, r#"{"reasoning":{"max_tokens":2000}}"#, ""),
        (Toggle, none, r#"{"thinking":{"type":"disabled"}}"#, ""),
        (Toggle, high, r#"{"reasoning_effort":"high"}"#, ""),
        (Thinking, none, r#"{"thinking":{"type":"disabled"}}"#, ""),
        (
            Thinking,
            high,
            r#"{"thinking":{"type":"enabled"}}"#,
            "reasoning_effort",
        ),
        (EnableThinking, none, r#"{"enable_thinking":false}"#, ""),
        (
            EnableThinking,
            high,
            r#"{"enable_thinking":true}"#,
            "reasoning_effort",
        ),
        (
            EnableThinking,
            budget,
            r#"{"enable_thinking":true,"thinking_budget":2000}"#,
            "",
        ),
    ];
    for (reasoning, given, expected, lost) in rows {
        let given = given.strip_prefix('{').unwrap();
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{given}"#);
        let request = Chat.decode_request(&body).unwrap();
        let quirks = Quirks {
            reasoning,
            ..Quirks::default()
        };
        let (mut body, losses) = written(&request, "m", quirks);
        let fields = body.as_object_mut().unwrap();
        fields.remove("model");
        fields.remove("messages");
        assert_eq!(
            body,
            serde_json::from_str::<serde_json::Value>(expected).unwrap()
        );
        assert_eq!(losses, lost, "{reasoning:?} {given}");
    }
}

#[test]
fn results_are_messages_and_what_they_show_follows() {
    let image = r#"[{"type":"image_url","image_url":{"url":"https://a.test/"}}]"#;
    let image = parts::list(image, Default::default(), &mut Vec::new()).unwrap();
    let result = |call, parts| {
        Content::Result(ToolResult {
            call: Text::plain(call),
            parts,
            is_error: call == "b",
            ..ToolResult::default()
        })
    };
    let words = vec![Part::from(text("words"))];
    let request = Request {
        turns: vec![said(
            Role::Tool,
            vec![result("a.1", image), result("b", words)],
        )],
        ..Request::default()
    };
    let (body, losses) = written(&request, "m", Quirks::default());
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|it| it["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["tool", "tool", "user"]);
    assert_eq!(messages[0]["content"], "");
    assert!(
        messages[0]["tool_call_id"]
            .as_str()
            .unwrap()
            .starts_with("a_1_")
    );
    assert_eq!(messages[2]["content"][0]["type"], "image_url");
    assert_eq!(losses, ".is_error");
}

#[test]
fn reasoning_goes_back_to_those_who_want_it() {
    let thought = Content::Reasoning(Reasoned {
        text: Text::plain("hm"),
        ..Reasoned::default()
    });
    let request = Request {
        turns: vec![said(Role::Assistant, vec![thought, text("a")])],
        ..Request::default()
    };
    let (body, losses) = written(&request, "m", Quirks::default());
    assert!(body["messages"][0]["reasoning_content"].is_null());
    assert_eq!(losses, "");
    let quirks = Quirks {
        wants_reasoning_back: true,
        ..Quirks::default()
    };
    let (body, _) = written(&request, "m", quirks);
    assert_eq!(body["messages"][0]["reasoning_content"], "hm");
}

#[test]
fn a_long_name_comes_back_as_it_was() {
    let name = format!("mcp__{}", "x".repeat(90));
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"{name}","input":{{}}}}]}}],"tools":[{{"name":"{name}","input_schema":{{}}}}],"tool_choice":{{"type":"tool","name":"{name}"}}}}"#
    );
    let target = Target {
        model: "m",
        quirks: Quirks::default(),
        marks_cache: false,
    };
    let (client, provider) = (Wire::Messages, Wire::Chat);
    let (out, exchange) =
        translate::request(client, provider, body.as_bytes(), &target, "id", 1).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&out.body).unwrap();
    let short = sent["tools"][0]["function"]["name"].as_str().unwrap();
    assert_eq!(short.len(), 64);
    assert_eq!(sent["tool_choice"]["function"]["name"], short);
    assert_eq!(
        sent["messages"][1]["tool_calls"][0]["function"]["name"],
        short
    );
    let answer = format!(
        r#"{{"choices":[{{"message":{{"tool_calls":[{{"id":"c","function":{{"name":"{short}","arguments":"{{}}"}}}}]}},"finish_reason":"tool_calls"}}]}}"#
    );
    let whole = translate::answer(provider, client, answer.as_bytes(), &exchange).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(whole["content"][0]["name"], name);
    let mut translation = translate::Stream::new(provider, client, &exchange);
    let mut out = Vec::new();
    let stream = crate::dialect::unfold(crate::dialect::Format::Chat, answer.as_bytes(), false);
    translation.push(stream.unwrap(), &mut out);
    assert!(String::from_utf8(out).unwrap().contains(&name));
}

#[test]
fn older_forms_are_read() {
    let body = r#"{"model":"m","max_tokens":0,"functions":[{"name":"f","parameters":{}}],
        "function_call":{"name":"f"},"messages":[
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"r"}]}"#;
    let request = Chat.decode_request(body).unwrap();
    assert_eq!(request.unknown, []);
    let [call, result] = &request.turns[..] else {
        panic!("{request:?}");
    };
    let (Content::Call(call), Content::Result(result)) =
        (&call.parts[0].content, &result.parts[0].content)
    else {
        panic!("{request:?}");
    };
    assert_eq!(call.id, result.call);
    assert_eq!(request.tools.len(), 1);
    assert!(request.settings.tool_choice.is_some());
}

#[test]
fn tools_that_are_not_allowed_are_not_offered() {
    let body = r#"{"tools":[{"type":"function","function":{"name":"a"}},
        {"type":"custom","custom":{"name":"b"},"cache_control":{"type":"ephemeral"}},
        {"type":"function","function":{"name":"c"}}],"web_search_options":{},
        "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"MODE","tools":[LIST]}}}"#;
    let a = r#"{"type":"function","function":{"name":"a"}}"#;
    let b = r#"{"type":"custom","custom":{"name":"b"}}"#;
    for (mode, list, names, choice) in [
        ("auto", a.to_owned(), &["a"][..], ToolChoice::Auto),
        (
            "required",
            format!("{b},{a}"),
            &["a", "b"],
            ToolChoice::Required,
        ),
        ("auto", String::new(), &[], ToolChoice::Auto),
    ] {
        let body = body.replace("MODE", mode).replace("LIST", &list);
        let request = Chat.decode_request(&body).unwrap();
        let offered = request.tools.iter().filter_map(Tool::name);
        let offered: Vec<_> = offered.map(|name| name.resolved()).collect();
        assert_eq!(offered, names);
        assert_eq!(request.tools.last().unwrap().kind, ToolKind::WebSearch);
        let marks = request.tools.iter().filter(|tool| tool.cache.is_some());
        assert_eq!(marks.count(), usize::from(!names.is_empty()), "{list}");
        assert_eq!(request.settings.tool_choice.unwrap().value, choice);
        assert_eq!(request.unknown, []);
    }
}

#[test]
fn what_is_no_call_is_refused_by_its_path() {
    let rows = [
        (r#"{"messages":{}}"#, "messages"),
        (r#"{"messages":[1]}"#, "messages[0]"),
        (r#"{"messages":[{"role":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"x"}]}]}"#,
            "messages[0].content[0].type",
        ),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{}}]}]}"#,
            "messages[0].tool_calls[0].function.name",
        ),
        (r#"{"temperature":"hot"}"#, "temperature"),
        (
            r#"{"response_format":{"type":"x"}}"#,
            "response_format.type",
        ),
        (r#"{"tool_choice":"x"}"#, "tool_choice"),
        (
            r#"{"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"x","tools":[]}}}"#,
            "tool_choice.allowed_tools.mode",
        ),
        (
            r#"{"tool_choice":{"allowed_tools":{"tools":[{"type":"function"}]}}}"#,
            "tool_choice.allowed_tools.tools[0].name",
        ),
        (r#"{"reasoning_effort":"x"}"#, "reasoning_effort"),
    ];
    for (body, path) in rows {
        let error = Chat.decode_request(body).unwrap_err();
        assert_eq!(error.field(), Some(path), "{body}: {error}");
    }
    assert!(Chat.decode_request("[]").is_err());
}

/// The events of these chunks' data, in short.
fn events(chunks: &[&str]) -> Vec<String> {
    let mut decoder = Chat.decoder(&Exchange::default());
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.take(None, chunk, &mut |event| {
            events.push(match event {
                Event::Open { place, opening } => match opening {
                    Opening::Text => format!("{} text", place.part),
                    Opening::Reasoning { .. } => format!("{} reasoning", place.part),
                    Opening::Refusal => format!("{} refusal", place.part),
                    Opening::Call { id, .. } => format!("{} call {id:?}", place.part),
                    Opening::Whole(_) => format!("{} whole", place.part),
                },
                Event::Delta {
                    place,
                    piece: Piece::Text(text),
                } => format!("{}: {}", place.part, text.resolved()),
                Event::Delta { place, .. } => format!("{} piece", place.part),
                Event::Close { place } => format!("{} closed", place.part),
                Event::Finish { finish, .. } => finish.as_str().to_owned(),
                Event::Start(_) => "start".to_owned(),
                other => format!("{other:?}").chars().take(6).collect(),
            });
        });
    }
    events
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#)
}

#[test]
fn parts_open_and_close_as_they_come() {
    let rows: [(&[&str], &str); 5] = [
        (
            &[
                r#"{"role":"assistant","content":""}"#,
                r#"{"reasoning":"a","reasoning_content":"a"}"#,
                r#"{"content":"b"}"#,
            ],
            "start 0 reasoning|0: a|0 closed|1 text|1: b|1 closed|stop",
        ),
        (
            &[r#"{"tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":""}}]}"#],
            "start 0 call \"i\"|0: {}|0 closed|stop",
        ),
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"i","function":{"arguments":"{\"a\":"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#,
                r#"{"tool_calls":[{"id":"j","function":{"arguments":{}}},{"id":"k","function":{"arguments":"{}"}}]}"#,
            ],
            "start 0 call \"i\"|0: {\"a\":|0: 1}|0 closed|1 call \"j\"|1: {}|1 closed|2 call \"k\"|2: {}|2 closed|stop",
        ),
        (
            &[
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]}"#,
                r#"{"content":[{"type":"text","text":"b"}]}"#,
                r#"{"refusal":"no"}"#,
            ],
            "start 0 reasoning|0: a|0 closed|1 text|1: b|1 closed|2 refusal|2: no|2 closed|stop",
        ),
        (
            &[
                r#"{"reasoning_content":"a"}"#,
                r#"{"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"d"}]}"#,
            ],
            "start 0 reasoning|0: a|0 piece|0 closed|1 whole|1 closed|stop",
        ),
    ];
    for (deltas, expected) in rows {
        let mut chunks: Vec<String> = deltas.iter().map(|delta| chunk(delta, "null")).collect();
        chunks.push(chunk("{}", "\"stop\""));
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        assert_eq!(events(&chunks).join("|").replacen('|', " ", 1), expected);
    }
}

#[test]
fn errors_and_ends_are_told_apart() {
    let end = events(&[&chunk(r#"{"content":"a"}"#, "\"stop\""), "[DONE]"]);
    assert_eq!(end.last().map(String::as_str), Some("End"));
    let cut = events(&[&chunk(r#"{"content":"a"}"#, "null"), "[DONE]"]);
    assert_eq!(cut, ["start", "0 text", "0: a"]);
    let failed = events(&[r#"{"error":{"message":"no","code":429}}"#]);
    assert_eq!(failed, ["Failed"]);
    let mut decoder = Chat.decoder(&Exchange::default());
    decoder.take(None, &chunk(r#"{"content":"a"}"#, "null"), &mut |_| {});
    assert!(!decoder.may_end());
    decoder.take(None, &chunk("{}", "\"stop\""), &mut |_| {});
    assert!(decoder.may_end());
}

#[test]
fn a_message_that_comes_back_keeps_its_marks() {
    let seal = |maker, is_redacted| {
        Some(Seal {
            maker,
            id: (maker == Maker::OpenAi).then(|| Text::plain("rs_1")),
            data: Text::plain("c2ln"),
            is_redacted,
        })
    };
    let reasoned = |text, seal| {
        Part::from(Content::Reasoning(Reasoned {
            text: Text::plain(text),
            is_summary: false,
            seal,
        }))
    };
    let parts = vec![
        reasoned("hm", seal(Maker::Anthropic, false)),
        reasoned("", seal(Maker::OpenAi, true)),
        Part::from(text("a")),
        Part::from(Content::Call(ToolCall {
            id: Text::plain("c"),
            name: Text::plain("f"),
            arguments: Text::plain("{}"),
            is_custom: false,
            seal: seal(Maker::Gemini, false),
        })),
    ];
    let answer = Answer {
        choices: vec![crate::dialect::ir::Choice {
            parts: parts.clone(),
            ..Default::default()
        }],
        ..Answer::default()
    };
    let body = Chat.encode_answer(&answer, &Exchange::default(), &mut Losses::default());
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let message = &body["choices"][0]["message"];
    let again = format!(r#"{{"model":"m","messages":[{message}]}}"#);
    let again = Chat.decode_request(&again).unwrap();
    assert_eq!(again.turns[0].parts, parts);
    assert_eq!(again.unknown, []);
}

/// Its sentinel says that no more comes, not that this was all.
#[test]
fn a_stream_without_a_reason_to_end_has_broken_off() {
    let chunk = |finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}},\"finish_reason\":{finish}}}]}}\n\ndata: [DONE]\n\n"
        )
    };
    for (finish, ending) in [("null", Ending::Failed), ("\"stop\"", Ending::Terminal)] {
        let exchange = Exchange::default();
        let mut translation = translate::Stream::new(Wire::Chat, Wire::Messages, &exchange);
        let mut out = Vec::new();
        translation.push(chunk(finish).into(), &mut out);
        assert_eq!(translation.end(&mut out), ending, "{finish}");
    }
}
