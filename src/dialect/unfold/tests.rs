//! Unfolding: event by event where that matters, and there and back.

use super::*;
use crate::dialect::fold;

/// The events of a stream, a line each: the name and the data.
fn lines(stream: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split_terminator("\n\n")
        .map(|frame| frame.replace('\n', " "))
        .collect()
}

#[test]
fn white_space_between_values_goes() {
    let rows = [
        ("{\n  \"a b\": [1, 2]\r\n}\n", r#"{"a b":[1,2]}"#),
        ("{ \"a\" : 1 }", "{ \"a\" : 1 }"),
        ("[\n\"\\\" \\\\\" , \" \"]", r#"["\" \\"," "]"#),
        ("\n\"cut\\", "\"cut\\"),
        ("", ""),
    ];
    for (json, expected) in rows {
        assert_eq!(compact(json), expected, "{json}");
    }
}

#[test]
fn a_chat_completion_is_streamed() {
    let whole = r#"{
        "id": "c", "object": "chat.completion", "created": 7, "model": "m", "extra": {"a": 1},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": null, "annotations": [],
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            "logprobs": {"content": [1], "refusal": null}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1}
    }"#;
    let asked = unfold(Format::Chat, whole.as_bytes(), true).unwrap();
    assert_eq!(
        lines(&asked),
        [
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","extra":{"a":1},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"logprobs":{"content":[1],"refusal":null},"finish_reason":null}],"usage":null}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1}}"#,
            "data: [DONE]",
        ]
    );
    let unasked = unfold(Format::Chat, whole.as_bytes(), false).unwrap();
    assert!(
        !String::from_utf8(unasked.to_vec())
            .unwrap()
            .contains("usage")
    );
}

#[test]
fn a_message_is_streamed() {
    let whole = br#"{"id":"m","type":"message","content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"f","input":{"a": 1}}],
        "stop_reason":"tool_use","usage":{"input_tokens":9,"output_tokens":7,"server_tool_use":null},"context_management":{}}"#;
    assert_eq!(
        lines(&unfold(Format::Messages, whole, false).unwrap()),
        [
            r#"event: message_start data: {"type":"message_start","message":{"id":"m","type":"message","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#,
            r#"event: content_block_start data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"event: content_block_delta data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
            r#"event: content_block_stop data: {"type":"content_block_stop","index":0}"#,
            r#"event: content_block_start data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            r#"event: content_block_delta data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
            r#"event: content_block_stop data: {"type":"content_block_stop","index":1}"#,
            r#"event: message_delta data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":9,"output_tokens":7,"server_tool_use":null},"context_management":{}}"#,
            r#"event: message_stop data: {"type":"message_stop"}"#,
        ]
    );
}

#[test]
fn a_response_is_streamed() {
    let whole = br#"{"id":"r","status":"completed","output":[{"id":"i","type":"message","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[{"a":1}]}]},{"id":"w","type":"news"}]}"#;
    let stream = unfold(Format::Responses, whole, false).unwrap();
    let lines = lines(&stream);
    for (at, line) in lines.iter().enumerate() {
        assert!(
            line.contains(&format!(r#","sequence_number":{at},"#)),
            "{line}"
        );
    }
    let rests: Vec<&str> = lines
        .iter()
        .map(|line| line.split_once("\"sequence_number\":").unwrap().1)
        .collect();
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line.split_once(" data: ").unwrap().0)
        .collect();
    assert_eq!(
        names,
        [
            "event: response.created",
            "event: response.in_progress",
            "event: response.output_item.added",
            "event: response.content_part.added",
            "event: response.output_text.delta",
            "event: response.output_text.annotation.added",
            "event: response.output_text.done",
            "event: response.content_part.done",
            "event: response.output_item.done",
            "event: response.output_item.added",
            "event: response.output_item.done",
            "event: response.completed",
        ]
    );
    assert_eq!(
        rests[0],
        r#"0,"response":{"id":"r","status":"in_progress","output":[]}}"#
    );
    assert_eq!(
        rests[2],
        r#"2,"output_index":0,"item":{"id":"i","type":"message","status":"in_progress","content":[]}}"#
    );
    assert_eq!(
        rests[4],
        r#"4,"item_id":"i","output_index":0,"content_index":0,"delta":"hi","logprobs":[]}"#
    );
    assert_eq!(
        rests[9],
        r#"9,"output_index":1,"item":{"id":"w","type":"news"}}"#
    );
}

/// Every kind of answer, and what a format may add to it.
const WHOLES: &[(Format, &str)] = &[
    (
        Format::Chat,
        r#"{"object":"chat.completion","id":"c","created":1.0,"model":"m","system_fingerprint":null,"service_tier":"default","citations":["x"],
            "choices":[
                {"index":0,"message":{"role":"assistant","content":"a\n\u00e9","reasoning_content":"r","refusal":null,"annotations":[{"type":"x"},{"type":"x"}],"n":1,"e":{},"o":{"p":{"q":"s"}}},"logprobs":{"content":[{"token":"a","top_logprobs":[]}],"refusal":null},"finish_reason":"stop","content_filter_results":{"hate":{"severity":"safe"}}},
                {"index":1,"message":{"role":"assistant","content":null,"refusal":"no","audio":{"id":"u","data":"AQ=="}},"logprobs":null,"finish_reason":"content_filter"}],
            "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"cost":0.10}}"#,
    ),
    (
        Format::Chat,
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,
            "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"f","arguments":""}},{"id":"c","type":"custom","custom":{"name":"g","input":"z"}}],
            "function_call":{"name":"f","arguments":"{}"},
            "reasoning_details":[{"type":"t","index":0,"text":"a"},{"type":"t","index":0,"text":"b"}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3}}"#,
    ),
    (
        Format::Chat,
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"},{"type":"text","text":"c"}]},"finish_reason":"length"}],"usage":{"prompt_tokens":3}}"#,
    ),
    (
        Format::Completions,
        r#"{"object":"text_completion","id":"c","choices":[{"index":0,"text":"a","logprobs":{"tokens":["a"],"top_logprobs":null},"finish_reason":"length"},{"index":1,"text":"","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
    ),
    (
        Format::Messages,
        r#"{"id":"m","type":"message","role":"assistant","model":"x","content":[
            {"type":"thinking","thinking":"t","signature":"s=="},{"type":"redacted_thinking","data":"d"},
            {"type":"text","text":"a\"","citations":[{"type":"c","n":1},{"type":"c","n":2}]},{"type":"text","text":"","citations":null},
            {"type":"tool_use","id":"t","name":"f","input":{"a":[1.50,{"b":"\u0001"}]}},{"type":"server_tool_use","id":"u","name":"web_search","input":{}},
            {"type":"web_search_tool_result","tool_use_id":"u","content":[{"type":"web_search_result","title":"x"}]},{"type":"news","input":7,"text":"z"}],
            "stop_reason":"stop_sequence","stop_sequence":"END","container":{"id":"k"},"stop_details":null,"context_management":{"applied_edits":[]},
            "usage":{"input_tokens":9,"cache_read_input_tokens":2,"output_tokens":12,"service_tier":"standard","server_tool_use":{"web_search_requests":1},"cache_creation":{"ephemeral_5m_input_tokens":0}}}"#,
    ),
    (
        Format::Messages,
        r#"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":0}}"#,
    ),
    (
        Format::Responses,
        r#"{"id":"r","object":"response","status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},"output":[
            {"id":"1","type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"e"},
            {"id":"2","type":"message","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[1]},{"type":"refusal","refusal":"no"},{"type":"news"}]},
            {"type":"function_call","call_id":"x","name":"f","arguments":"{}"},{"id":"4","type":"custom_tool_call","name":"g","input":""},
            {"id":"5","type":"web_search_call","status":"completed","action":{"type":"search"}}],
            "usage":{"input_tokens":3,"output_tokens":4}}"#,
    ),
    (
        Format::Responses,
        r#"{"status":"completed","output":[{"id":"4","type":"custom_tool_call","name":"g","input":""}],"usage":{"input_tokens":3}}"#,
    ),
];

#[test]
fn there_and_back_nothing_is_lost() {
    for (format, whole) in WHOLES {
        let stream = unfold(*format, whole.as_bytes(), true).unwrap();
        let back = fold(*format, &stream).unwrap_or_else(|| panic!("not folded: {whole}"));
        let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&back), value(whole.as_bytes()));
    }
}

#[test]
fn a_watch_sees_what_the_answer_says() {
    for (format, whole) in WHOLES {
        let mut watch = crate::dialect::Watch::new(*format);
        let stream = unfold(*format, whole.as_bytes(), true).unwrap();
        for frame in std::str::from_utf8(&stream)
            .unwrap()
            .split_inclusive("\n\n")
        {
            watch.see(frame.as_bytes());
        }
        let told = crate::dialect::answer::read(*format, whole.as_bytes());
        assert_eq!(watch.ending(), crate::dialect::Ending::Terminal, "{whole}");
        assert_eq!(watch.usage(), told.usage, "{whole}");
        if !whole.contains("\"index\":1,") {
            assert_eq!(watch.finish(), told.finish, "{whole}");
        }
    }
}

#[test]
fn what_is_no_answer_is_not_streamed() {
    let rows = [
        (Format::Chat, r#"{"error":{"message":"no"}}"#),
        (Format::Chat, r#"{"choices":[]}"#),
        (Format::Chat, r#"{"choices":[{"text":"a"}]}"#),
        (
            Format::Chat,
            r#"{"choices":[{"message":{}}],"error":{"code":1}}"#,
        ),
        (Format::Chat, "<html>"),
        (Format::Completions, r#"{"choices":[{"message":{}}]}"#),
        (
            Format::Messages,
            r#"{"type":"error","error":{},"content":[]}"#,
        ),
        (Format::Messages, r#"{"type":"message"}"#),
        (Format::Messages, r#"{"type":"message","content":["a"]}"#),
        (Format::Responses, r#"{"status":"failed","output":[]}"#),
        (Format::Responses, r#"{"status":"in_progress","output":[]}"#),
        (Format::Responses, r#"{"status":"completed"}"#),
        (Format::Embeddings, r#"{"data":[]}"#),
        (Format::CountTokens, r#"{"input_tokens":1}"#),
    ];
    for (format, whole) in rows {
        assert_eq!(unfold(format, whole.as_bytes(), true), None, "{whole}");
    }
}
