//! What a Responses call is like for whom, and what a stream of it says.

use super::*;
use crate::dialect::ir::{
    Citation, Class, Content, Effort, Event, Given, Json, Maker, Opening, Part, Piece, Place,
    Reasoned, Reasoning, Role, Seal, Text, Turn,
};
use crate::dialect::members::Members;
use crate::dialect::translate::{self, Quirks, Wire};

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        quirks: Quirks::default(),
        marks_cache: false,
    }
}

fn written(request: &Request<'_>, model: &str) -> (serde_json::Value, String) {
    let mut out = Outgoing::default();
    Responses
        .encode_request(request, &target(model), &mut out)
        .unwrap();
    let losses: Vec<String> = out.losses.iter().map(|loss| loss.path.clone()).collect();
    (serde_json::from_slice(&out.body).unwrap(), losses.join(","))
}

fn said(role: Role, parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn {
        role,
        parts: parts.into_iter().map(Part::from).collect(),
        ..Turn::default()
    }
}

#[test]
fn settings_are_what_the_model_takes() {
    let hello = Content::text(Text::plain("a"));
    let mut request = Request {
        turns: vec![said(Role::User, vec![hello])],
        ..Request::default()
    };
    let reasoning = Reasoning {
        effort: Some(Effort::Low),
        summary: Some(Text::plain("auto")),
        ..Reasoning::default()
    };
    request.settings.reasoning = Some(Given::new("thinking", reasoning));
    request.settings.max_tokens = Some(Given::new("max_tokens", 9));
    request.settings.temperature = Some(Given::new("temperature", Json::checked("0").unwrap()));
    let rows = [
        ("o3", Some("low"), true, "max_tokens,temperature"),
        ("gpt-5.2", Some("low"), true, "max_tokens,temperature"),
        // It refuses the wish for sealed reasoning.
        ("gpt-4o", None, false, "max_tokens,thinking"),
        ("grok-4", Some("low"), true, "max_tokens"),
    ];
    for (model, effort, sealed, lost) in rows {
        let (body, losses) = written(&request, model);
        assert_eq!(body["reasoning"]["effort"].as_str(), effort, "{model}");
        assert_eq!(body["include"].is_array(), sealed, "{model}");
        assert_eq!(body["reasoning"]["summary"].is_string(), sealed, "{model}");
        assert_eq!(losses, lost, "{model}");
        assert_eq!(body["max_output_tokens"], 16);
        assert_eq!(body["store"], false);
    }
    request.settings = Default::default();
    let (body, _) = written(&request, "grok-4");
    assert!(body["include"].is_null());
}

#[test]
fn what_openai_keeps_is_refused_by_its_field() {
    let rows = [
        (r#""previous_response_id":"r""#, "previous_response_id"),
        (r#""conversation":{"id":"c"}"#, "conversation"),
        (r#""prompt":{"id":"p"}"#, "prompt"),
        (r#""store":true"#, "store"),
        (r#""background":true"#, "background"),
        (r#""tools":[{"type":"mcp"}]"#, "tools[0].type"),
        (
            r#""tool_choice":{"type":"file_search"}"#,
            "tool_choice.type",
        ),
    ];
    for (field, param) in rows {
        let body = format!(r#"{{"input":"a",{field}}}"#);
        let error = Responses.decode_request(&body).unwrap_err();
        assert_eq!(error.field(), Some(param), "{error}");
    }
    let unsaid = r#"{"input":"a","store":false,"previous_response_id":null,"background":false}"#;
    let request = Responses.decode_request(unsaid).unwrap();
    assert_eq!(request.unknown, []);
}

#[test]
fn reasoning_goes_back_to_its_maker_only() {
    let thought = |maker, id: Option<&'static str>| {
        Content::Reasoning(Reasoned {
            seal: Some(Seal {
                maker,
                id: id.map(Text::plain),
                data: Text::plain("x"),
                is_redacted: false,
            }),
            ..Reasoned::default()
        })
    };
    let parts = vec![
        thought(Maker::OpenAi, Some("rs_1")),
        thought(Maker::OpenAi, None),
        thought(Maker::Anthropic, None),
        Content::text(Text::plain("a")),
    ];
    let request = Request {
        turns: vec![said(Role::Assistant, parts)],
        ..Request::default()
    };
    let (body, losses) = written(&request, "gpt-5.2");
    let input = body["input"].as_array().unwrap();
    assert_eq!(input.len(), 3);
    assert_eq!(input[0]["id"], "rs_1");
    assert_eq!(input[0]["encrypted_content"], "x");
    // An id that is made up would not be believed.
    assert!(input[1]["id"].is_null());
    assert_eq!(input[2]["content"], "a");
    // Everything here is at one place.
    assert_eq!(losses, "");
}

/// The data of the frames that `events` become for a caller of `asked`.
fn frames(asked: &str, events: &[Event<'_>]) -> Vec<serde_json::Value> {
    let exchange = Exchange {
        asked: echo::of(&Members::of(asked).unwrap_or_default()),
        ..Exchange::default()
    };
    let mut encoder = Responses.encoder(&exchange);
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events {
        encoder.put(event, &mut out, &mut losses);
    }
    let text = String::from_utf8(out).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| serde_json::from_str(json).unwrap())
        .collect()
}

fn open(part: u32, opening: Opening<'static>) -> Event<'static> {
    let place = Place { choice: 0, part };
    Event::Open { place, opening }
}

fn more(part: u32, piece: Piece<'static>) -> Event<'static> {
    let place = Place { choice: 0, part };
    Event::Delta { place, piece }
}

fn close(part: u32) -> Event<'static> {
    let place = Place { choice: 0, part };
    Event::Close { place }
}

#[test]
fn texts_that_follow_each_other_are_one_whose_citations_are_placed() {
    let text = |text| Piece::Text(Text::plain(text));
    let cited = Citation {
        url: Some(Text::plain("u")),
        ..Citation::default()
    };
    let events = [
        Event::Start(Default::default()),
        open(0, Opening::Text),
        more(0, text("é, ")),
        close(0),
        open(1, Opening::Text),
        more(1, Piece::Citation(cited)),
        more(1, text("six")),
        close(1),
        Event::End,
    ];
    let frames = frames("{}", &events);
    let last = frames.last().unwrap();
    let part = &last["response"]["output"][0]["content"][0];
    assert_eq!(part["text"], "é, six");
    assert_eq!(part["annotations"][0]["start_index"], 3);
    assert_eq!(part["annotations"][0]["end_index"], 6);
    assert_eq!(last["type"], "response.completed");
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], number);
    }
}

#[test]
fn thinking_is_a_summary_for_those_who_asked_for_one() {
    let events = [
        Event::Start(Default::default()),
        open(0, Opening::Reasoning { is_summary: false }),
        more(0, Piece::Text(Text::plain("hm"))),
        close(0),
        Event::End,
    ];
    for (asked, field) in [
        (r#"{"reasoning":{"summary":"auto"}}"#, "summary"),
        (r#"{"reasoning":{"effort":"low"}}"#, "content"),
    ] {
        let frames = frames(asked, &events);
        let response = &frames.last().unwrap()["response"];
        assert_eq!(response["output"][0][field][0]["text"], "hm", "{asked}");
        assert_eq!(response["store"], false);
    }
}

#[test]
fn a_failure_is_told_both_ways_and_ends_the_stream() {
    let failure = Failure::new(Class::RateLimited, "slow down");
    let events = [
        Event::Start(Default::default()),
        Event::Failed(failure),
        Event::End,
    ];
    let frames = frames("{}", &events);
    let types: Vec<_> = frames
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "response.created",
            "response.in_progress",
            "error",
            "response.failed"
        ]
    );
    assert_eq!(frames[2]["message"], "slow down");
    assert_eq!(frames[2]["error"]["message"], "slow down");
    assert_eq!(
        frames[3]["response"]["error"]["code"],
        "rate_limit_exceeded"
    );
}

#[test]
fn a_seal_comes_back_through_a_caller() {
    let answer = r#"{"id":"m","model":"c","content":[{"type":"thinking","thinking":"t","signature":"s1"},{"type":"redacted_thinking","data":"d2"},{"type":"tool_use","id":"i","name":"f","input":{}}],"stop_reason":"tool_use"}"#;
    let exchange = Exchange::default();
    let told = translate::answer(
        Wire::Messages,
        Wire::Responses,
        answer.as_bytes(),
        &exchange,
    );
    let told: serde_json::Value = serde_json::from_slice(&told.unwrap().body).unwrap();
    let mut input = told["output"].as_array().unwrap().clone();
    input.push(serde_json::json!({"type": "function_call_output", "call_id": "i", "output": "r"}));
    let body = serde_json::json!({"model": "m", "input": input}).to_string();
    let target = target("claude-sonnet-4-5");
    let (client, provider) = (Wire::Responses, Wire::Messages);
    let (out, _) = translate::request(client, provider, body.as_bytes(), &target, "id", 1).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&out.body).unwrap();
    let content = &sent["messages"][0]["content"];
    assert_eq!(content[0]["signature"], "s1");
    assert_eq!(content[1]["data"], "d2");
    assert_eq!(content[2]["type"], "tool_use");
    assert!(out.losses.is_empty());
}
