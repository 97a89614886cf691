//! The shapes of each form, checked against the protocol: which fields there
//! are, and in which order events come.

use serde_json::Value;

use super::*;
use crate::sim::ask;
use crate::sim::spread::Length;

fn call(form: Form, body: &str) -> Call {
    let ask = ask::read(form, body.as_bytes()).unwrap();
    let answer = Answer::to(&ask, 1, &Length::fixed(5));
    Call {
        ask,
        answer,
        id: id(24, &mut Dice::new(1)),
        created: 1_700_000_000,
        fingerprint: 7,
    }
}

/// Event name (empty where it has none) and data, in order.
fn stream(form: Form, body: &str) -> Vec<(String, Value)> {
    let mut script = Script::new(call(form, body));
    let mut out = BytesMut::new();
    let mut events = Vec::new();
    while script.next().is_some() {
        script.render(&mut out);
        let event = String::from_utf8(out.split().to_vec()).unwrap();
        let event = event
            .strip_suffix("\n\n")
            .expect("an event ends in an empty line");
        let (name, data) = match event.strip_prefix("event: ") {
            Some(rest) => rest.split_once("\ndata: ").unwrap(),
            None => ("", event.strip_prefix("data: ").unwrap()),
        };
        let value = match data {
            "[DONE]" => Value::from("[DONE]"),
            json => serde_json::from_str(json).unwrap(),
        };
        events.push((name.to_owned(), value));
    }
    events
}

fn whole_of(form: Form, body: &str) -> Value {
    serde_json::from_slice(&whole(&call(form, body))).unwrap()
}

fn has(value: &Value, fields: &str) {
    for field in fields.split(' ') {
        assert!(value.get(field).is_some(), "{field} is missing in {value}");
    }
}

const PLAIN: &str = r#""messages":[{"role":"user","content":"hi \"you\"\n"}]"#;

#[test]
fn chat_streams_what_it_says_whole() {
    for (n, model) in [(1, "m"), (3, "m"), (2, "echo")] {
        let body = format!(
            r#"{{"model":"{model}","n":{n},"stream":true,"stream_options":{{"include_usage":true}},{PLAIN}}}"#
        );
        let whole = whole_of(Form::Chat, &body);
        has(
            &whole,
            "id object created model choices usage service_tier system_fingerprint",
        );
        has(&whole["choices"][0], "index message logprobs finish_reason");
        has(
            &whole["choices"][0]["message"],
            "role content refusal annotations",
        );

        let events = stream(Form::Chat, &body);
        let mut said = vec![String::new(); n];
        let mut finish = vec![Value::Null; n];
        for (name, chunk) in &events[..events.len() - 1] {
            assert_eq!(name, "");
            has(chunk, "id object created model choices usage");
            assert_eq!(chunk["object"], "chat.completion.chunk");
            assert_eq!(chunk["id"], whole["id"]);
            for choice in chunk["choices"].as_array().unwrap() {
                has(choice, "index delta logprobs finish_reason");
                let at = choice["index"].as_u64().unwrap() as usize;
                said[at].push_str(choice["delta"]["content"].as_str().unwrap_or(""));
                finish[at] = choice["finish_reason"].clone();
            }
        }
        for at in 0..n {
            assert_eq!(whole["choices"][at]["message"]["content"], said[at]);
            assert_eq!(whole["choices"][at]["finish_reason"], finish[at]);
        }
        assert_eq!(events[0].1["choices"][0]["delta"]["role"], "assistant");
        let usage = &events[events.len() - 2].1;
        assert_eq!(
            (&usage["usage"], &usage["choices"]),
            (&whole["usage"], &serde_json::json!([]))
        );
        assert_eq!(events.last().unwrap().1, "[DONE]");
    }
}

#[test]
fn chat_streams_a_tool_call_in_fragments() {
    let body = format!(
        r#"{{"model":"m","tool_choice":"required","tools":[{{"type":"function","function":{{"name":"f",
        "parameters":{{"type":"object","properties":{{"city":{{"type":"string"}}}}}}}}}}],{PLAIN}}}"#
    );
    let whole = whole_of(Form::Chat, &body);
    let called = &whole["choices"][0]["message"]["tool_calls"][0];
    has(called, "id type function");
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let events = stream(Form::Chat, &body);
    let deltas = events
        .iter()
        .filter_map(|(_, chunk)| chunk["choices"][0]["delta"].get("tool_calls"));
    let calls: Vec<_> = deltas.map(|calls| &calls[0]).collect();
    assert_eq!(
        (&calls[0]["id"], &calls[0]["type"]),
        (&called["id"], &"function".into())
    );
    assert_eq!(calls[0]["function"]["arguments"], "");
    assert!(calls[1].get("id").is_none());
    let arguments: String = calls
        .iter()
        .map(|call| call["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(called["function"]["arguments"], arguments);
}

#[test]
fn completions_stream_what_they_say_whole() {
    let body =
        r#"{"model":"m","prompt":["a","b"],"stream":true,"stream_options":{"include_usage":true}}"#;
    let whole = whole_of(Form::Completions, body);
    has(&whole, "id object created model choices usage");
    let events = stream(Form::Completions, body);
    for at in 0..2 {
        let mut said = String::new();
        for (_, chunk) in &events {
            for choice in chunk["choices"].as_array().into_iter().flatten() {
                if choice["index"] == at {
                    said.push_str(choice["text"].as_str().unwrap());
                }
            }
        }
        assert_eq!(whole["choices"][at]["text"], said);
    }
    assert_eq!(events[events.len() - 2].1["usage"], whole["usage"]);
    assert_eq!(events.last().unwrap().1, "[DONE]");
}

#[test]
fn responses_number_their_events_and_end_with_the_whole() {
    let tool = r#""tool_choice":"required","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"#;
    let text = "response.created response.in_progress response.output_item.added \
        response.content_part.added DELTAS response.output_text.done response.content_part.done \
        response.output_item.done";
    let call = "response.created response.in_progress response.output_item.added DELTAS \
        response.function_call_arguments.done response.output_item.done";
    let rows = [
        ("", text, "response.output_text.delta", "completed"),
        (
            r#""max_output_tokens":16,"#,
            text,
            "response.output_text.delta",
            "completed",
        ),
        (
            tool,
            call,
            "response.function_call_arguments.delta",
            "completed",
        ),
    ];
    for (rest, order, delta, status) in rows {
        let body = format!(r#"{{"model":"m",{rest}"input":"hi"}}"#);
        let events = stream(Form::Responses, &body);
        let mut names: Vec<_> = Vec::new();
        let mut said = String::new();
        for (at, (name, data)) in events.iter().enumerate() {
            assert_eq!(
                (&data["type"], &data["sequence_number"]),
                (&name.as_str().into(), &at.into())
            );
            if name == delta {
                said.push_str(data["delta"].as_str().unwrap());
            }
            let name = if name == delta { "DELTAS" } else { name };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        let last = names.pop().unwrap();
        assert_eq!(
            names.join(" "),
            order.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        assert_eq!(last, format!("response.{status}"));
        let whole = whole_of(Form::Responses, &body);
        has(
            &whole,
            "id object created_at status error incomplete_details instructions model output",
        );
        has(
            &whole,
            "parallel_tool_calls tool_choice tools usage metadata temperature top_p text store",
        );
        assert_eq!(events.last().unwrap().1["response"], whole);
        let item = &whole["output"][0];
        let told = item["content"][0]
            .get("text")
            .or(item.get("arguments"))
            .unwrap();
        assert_eq!(told, &said);
    }
}

#[test]
fn a_response_that_hits_its_limit_is_incomplete() {
    let words = "one two three four five six seven eight nine ten eleven twelve a b c d e";
    let body = format!(r#"{{"model":"echo","max_output_tokens":16,"input":"{words}"}}"#);
    let whole = whole_of(Form::Responses, &body);
    assert_eq!(whole["status"], "incomplete");
    assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(
        stream(Form::Responses, &body).last().unwrap().0,
        "response.incomplete"
    );
}

#[test]
fn messages_come_in_anthropics_order() {
    let tool = r#""tool_choice":{"type":"any"},"tools":[{"name":"f","input_schema":{"type":"object",
        "properties":{"a":{"type":"integer"}}}}],"#;
    let rows = [
        ("", "end_turn"),
        (tool, "tool_use"),
        (r#""stop_sequences":["."],"#, "stop_sequence"),
    ];
    for (rest, reason) in rows {
        let body = format!(r#"{{"model":"m","max_tokens":64,{rest}{PLAIN}}}"#);
        let whole = whole_of(Form::Messages, &body);
        has(
            &whole,
            "id type role model content stop_reason stop_sequence usage",
        );
        assert_eq!(whole["stop_reason"], reason);

        let events = stream(Form::Messages, &body);
        let mut names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        assert_eq!(
            names.join(" "),
            "message_start content_block_start ping content_block_delta content_block_stop \
             message_delta message_stop"
        );
        let mut said = String::new();
        for (name, data) in &events {
            assert_eq!(data["type"], name.as_str());
            let delta = &data["delta"];
            let piece = delta.get("text").or(delta.get("partial_json"));
            said.push_str(piece.and_then(Value::as_str).unwrap_or(""));
        }
        let start = &events[0].1["message"];
        assert_eq!(
            (&start["id"], &start["content"]),
            (&whole["id"], &serde_json::json!([]))
        );
        assert_eq!(
            start["usage"]["input_tokens"],
            whole["usage"]["input_tokens"]
        );
        let end = &events[events.len() - 2].1;
        assert_eq!(end["delta"]["stop_reason"], whole["stop_reason"]);
        assert_eq!(end["delta"]["stop_sequence"], whole["stop_sequence"]);
        assert_eq!(
            end["usage"]["output_tokens"],
            whole["usage"]["output_tokens"]
        );
        match whole["content"][0]["type"].as_str().unwrap() {
            "text" => assert_eq!(whole["content"][0]["text"], said),
            _ => assert_eq!(whole["content"][0]["input"].to_string(), said),
        }
    }
}

#[test]
fn an_answer_of_no_tokens_still_opens_and_closes() {
    let body = r#"{"model":"echo","max_tokens":9,"messages":[{"role":"user","content":""}]}"#;
    assert_eq!(stream(Form::Chat, body).len(), 3);
    assert_eq!(stream(Form::Messages, body).len(), 6);
}
