//! Folding, as tables.

use serde_json::{Value, json};

use super::*;

/// A stream of these events' data.
fn stream(data: &[&str]) -> String {
    data.iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect()
}

#[track_caller]
fn folded(format: Format, stream: &str) -> Value {
    let whole = fold(format, stream.as_bytes()).unwrap_or_else(|| panic!("not folded: {stream}"));
    serde_json::from_slice(&whole).unwrap()
}

/// The message that these deltas of one choice add up to.
#[track_caller]
fn message(deltas: &[&str]) -> Value {
    let mut events: Vec<String> = deltas
        .iter()
        .map(|delta| {
            format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
        })
        .collect();
    events.push(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned());
    events.push("[DONE]".to_owned());
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    folded(Format::Chat, &stream(&events))["choices"][0]["message"].clone()
}

#[test]
fn deltas_add_up_to_a_message() {
    let rows: &[(&[&str], Value)] = &[
        (
            &[
                r#"{"role":"assistant","content":"","refusal":null}"#,
                r#"{"content":"a\n"}"#,
                r#"{"content":"\ud83d"}"#,
                r#"{"content":"\ude00"}"#,
            ],
            json!({"role": "assistant", "content": "a\n😀", "refusal": null}),
        ),
        // What a whole message must have.
        (&["{}"], json!({"role": "assistant", "content": null})),
        (
            &[
                r#"{"role":"assistant","content":null}"#,
                r#"{"refusal":"I "}"#,
                r#"{"refusal":"can't"}"#,
            ],
            json!({"role": "assistant", "content": null, "refusal": "I can't"}),
        ),
        // The role in every delta, and names that aren't joined.
        (
            &[
                r#"{"role":"assistant","reasoning":"a","channel":"analysis"}"#,
                r#"{"role":"assistant","reasoning":"b","channel":"analysis"}"#,
                r#"{"role":"","content":"c","channel":"final"}"#,
            ],
            json!({"role": "assistant", "content": "c", "reasoning": "ab", "channel": "final"}),
        ),
        // Calls side by side.
        (
            &[
                r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"id":"","function":{"name":"","arguments":":1}"}}]}"#,
            ],
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ]}),
        ),
        // All numbered 0, in one delta and in two.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"h","arguments":"{}"}}]}"#,
            ],
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "function": {"name": "g", "arguments": "{}"}},
                {"id": "c", "function": {"name": "h", "arguments": "{}"}},
            ]}),
        ),
        // Not numbered.
        (
            &[
                r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
                r#"{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
            ],
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "function": {"name": "g", "arguments": "{}"}},
            ]}),
        ),
        (
            &[
                r#"{"content":null,"function_call":{"name":"f","arguments":""}}"#,
                r#"{"function_call":{"arguments":"{}"}}"#,
            ],
            json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}),
        ),
        // A summary and what is encrypted have one number.
        (
            &[
                r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"a","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"b","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"x","index":0}]}"#,
            ],
            json!({"role": "assistant", "content": null, "reasoning_details": [
                {"type": "reasoning.summary", "summary": "ab", "index": 0},
                {"type": "reasoning.encrypted", "data": "x", "index": 0},
            ]}),
        ),
        // Mistral's parts, then its plain text.
        (
            &[
                r#"{"role":"assistant","content":""}"#,
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]}"#,
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"b"}]}]}"#,
                r#"{"content":"c"}"#,
                r#"{"content":"d"}"#,
            ],
            json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "ab"}]},
                {"type": "text", "text": "cd"},
            ]}),
        ),
        // Annotations are separate, however alike.
        (
            &[
                r#"{"content":"a","annotations":[{"type":"url_citation","url_citation":{"url":"x"}}]}"#,
                r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"y"}}]}"#,
            ],
            json!({"role": "assistant", "content": "a", "annotations": [
                {"type": "url_citation", "url_citation": {"url": "x"}},
                {"type": "url_citation", "url_citation": {"url": "y"}},
            ]}),
        ),
        (
            &[
                r#"{"audio":{"id":"au","transcript":"a"}}"#,
                r#"{"audio":{"data":"AAAA","transcript":"b"}}"#,
                r#"{"audio":{"data":"AQ=="}}"#,
                r#"{"audio":{"expires_at":7}}"#,
            ],
            json!({"role": "assistant", "content": null, "audio": {"id": "au", "transcript": "ab", "data": "AAAAAQ==", "expires_at": 7}}),
        ),
    ];
    for (deltas, expected) in rows {
        assert_eq!(message(deltas), *expected, "{deltas:?}");
    }
}

#[test]
fn chunks_add_up_to_a_completion() {
    let whole = folded(
        Format::Chat,
        &stream(&[
            // Azure's first.
            r#"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":1.0e9,"model":"m","system_fingerprint":null,"choices":[{"index":1,"delta":{"role":"assistant","content":"b"},"logprobs":{"content":[{"token":"b"}],"refusal":null},"finish_reason":null}],"usage":null,"obfuscation":"xyz"}"#,
            r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"c","choices":[{"index":1,"delta":{"content":"c"},"logprobs":{"content":[{"token":"c"}, {"token":"d"}],"refusal":null},"finish_reason":null}],"p":"ab"}"#,
            r#"{"id":"c","choices":[{"index":1,"delta":{},"finish_reason":"length","stop_reason":null}],"service_tier":"default"}"#,
            r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop","native_finish_reason":"STOP"}]}"#,
            r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ]),
    );
    assert_eq!(
        whole,
        json!({
            "id": "c", "object": "chat.completion", "created": 1.0e9, "model": "m",
            "prompt_filter_results": [{"prompt_index": 0}],
            "system_fingerprint": null, "service_tier": "default",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "a"}, "logprobs": null, "finish_reason": "stop", "native_finish_reason": "STOP"},
                {"index": 1, "message": {"role": "assistant", "content": "bc"}, "logprobs": {"content": [{"token": "b"}, {"token": "c"}, {"token": "d"}], "refusal": null}, "finish_reason": "length", "stop_reason": null},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        })
    );
}

#[test]
fn numbers_keep_their_spelling() {
    let events = [
        r#"{"created":1.0e9,"big":123456789012345678901234567890,"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"cost":0.10}}"#,
        "[DONE]",
    ];
    let whole = fold(Format::Chat, stream(&events).as_bytes()).unwrap();
    assert_eq!(
        std::str::from_utf8(&whole).unwrap(),
        r#"{"object":"chat.completion","created":1.0e9,"big":123456789012345678901234567890,"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"cost":0.10}}"#
    );
}

#[test]
fn groqs_usage_is_usage() {
    let whole = folded(
        Format::Chat,
        &stream(&[
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":1}}}"#,
            "[DONE]",
        ]),
    );
    assert_eq!(whole["usage"], json!({"prompt_tokens": 1}));
    assert_eq!(whole["x_groq"], json!({"id": "r"}));
}

#[test]
fn texts_add_up_to_a_completion() {
    let whole = folded(
        Format::Completions,
        &stream(&[
            r#"{"id":"c","object":"text_completion","choices":[{"text":"a","index":0,"logprobs":{"tokens":["a"],"token_logprobs":[-0.1]},"finish_reason":null}]}"#,
            r#"{"id":"c","object":"text_completion","choices":[{"text":"b","index":0,"logprobs":{"tokens":["b"],"token_logprobs":[-0.20]},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ]),
    );
    assert_eq!(
        whole,
        json!({"id": "c", "object": "text_completion", "choices": [
            {"index": 0, "text": "ab", "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-0.1, -0.2]}, "finish_reason": "stop"},
        ]})
    );
}

const START: &str = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1,"service_tier":"standard"}}}"#;
const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"container":{"id":"k"}},"usage":{"input_tokens":0,"output_tokens":7},"context_management":{"applied_edits":[]}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

/// The content that these events add up to.
#[track_caller]
fn content(events: &[&str]) -> Value {
    let all = [&[START], events, &[DELTA, STOP]].concat();
    folded(Format::Messages, &stream(&all))["content"].take()
}

#[test]
fn events_add_up_to_a_message() {
    let events = [
        START,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"news","index":0}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        DELTA,
        STOP,
    ];
    assert_eq!(
        folded(Format::Messages, &stream(&events)),
        json!({
            "id": "m", "type": "message", "role": "assistant", "model": "x",
            "content": [{"type": "text", "text": "hé"}],
            "stop_reason": "end_turn", "stop_sequence": null, "container": {"id": "k"},
            "context_management": {"applied_edits": []},
            "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 7, "service_tier": "standard"},
        })
    );
}

#[test]
fn every_kind_of_block_adds_up() {
    let rows: &[(&str, &[&str], Value)] = &[
        (
            r#"{"type":"thinking","thinking":"","signature":""}"#,
            &[
                r#"{"type":"thinking_delta","thinking":"a"}"#,
                r#"{"type":"thinking_delta","thinking":"b"}"#,
                r#"{"type":"signature_delta","signature":"s=="}"#,
            ],
            json!({"type": "thinking", "thinking": "ab", "signature": "s=="}),
        ),
        (
            r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#,
            &[
                r#"{"type":"input_json_delta","partial_json":""}"#,
                r#"{"type":"input_json_delta","partial_json":"{\"a\": \"\\u00"}"#,
                r#"{"type":"input_json_delta","partial_json":"e9\", \"n\": 1.0}"}"#,
            ],
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": "é", "n": 1.0}}),
        ),
        (
            r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#,
            &[r#"{"type":"input_json_delta","partial_json":""}"#],
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        ),
        (
            r#"{"type":"server_tool_use","id":"t","name":"f","input":{"q":1}}"#,
            &[],
            json!({"type": "server_tool_use", "id": "t", "name": "f", "input": {"q": 1}}),
        ),
        (
            r#"{"type":"text","text":"","citations":[]}"#,
            &[
                r#"{"type":"citations_delta","citation":{"n":[1]}}"#,
                r#"{"type":"text_delta","text":"a"}"#,
                r#"{"type":"citations_delta","citation":{"n":2}}"#,
            ],
            json!({"type": "text", "text": "a", "citations": [{"n": [1]}, {"n": 2}]}),
        ),
        (
            r#"{"type":"text","text":"","citations":null}"#,
            &[r#"{"type":"citations_delta","citation":{"n":1}}"#],
            json!({"type": "text", "text": "", "citations": [{"n": 1}]}),
        ),
        (
            r#"{"type":"redacted_thinking","data":"x=="}"#,
            &[],
            json!({"type": "redacted_thinking", "data": "x=="}),
        ),
        (
            r#"{"type":"compaction","content":null}"#,
            &[r#"{"type":"compaction_delta","content":"a"}"#],
            json!({"type": "compaction", "content": "a"}),
        ),
    ];
    for (block, deltas, expected) in rows {
        let mut events = vec![format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#
        )];
        for delta in *deltas {
            events.push(format!(
                r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#
            ));
        }
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(content(&events), json!([expected]), "{block}");
    }
}

#[test]
fn a_response_is_the_terminal_events() {
    let events = "event: response.created\ndata: {\"response\":{}}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{ \"n\":1.0 }}\n\n";
    assert_eq!(
        fold(Format::Responses, events.as_bytes()).unwrap(),
        "{ \"n\":1.0 }"
    );
    let unnamed = stream(&[
        r#"{"type":"response.created"}"#,
        r#"{"sequence_number":1,"type":"response.incomplete","response":{}}"#,
        "[DONE]",
    ]);
    assert_eq!(fold(Format::Responses, unnamed.as_bytes()).unwrap(), "{}");
    let outside = stream(&[
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"b"}}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"a"}}"#,
        r#"{"type":"response.completed","response":{"id":"r","output":[],"n":1.0}}"#,
    ]);
    assert_eq!(
        fold(Format::Responses, outside.as_bytes()).unwrap(),
        r#"{"id":"r","output":[{"id":"a"},{"id":"b"}],"n":1.0}"#
    );
}

#[test]
fn what_is_not_a_complete_stream_is_not_folded() {
    let said = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","input":{}}}"#;
    let input = r#"{"type":"content_block_delta","index":0,"delta":{"partial_json":"{\"a\":"}}"#;
    let rows: &[(Format, &[&str])] = &[
        (Format::Chat, &[]),
        (Format::Chat, &["[DONE]"]),
        (Format::Chat, &[said]),
        (Format::Chat, &[said, "[DONE]", said]),
        (Format::Chat, &[said, "junk", "[DONE]"]),
        (
            Format::Chat,
            &[said, r#"{"error":{"message":"no"}}"#, "[DONE]"],
        ),
        (
            Format::Chat,
            &[r#"{"choices":[{"index":-1,"delta":{}}]}"#, "[DONE]"],
        ),
        (Format::Chat, &[r#"{"choices":{}}"#, "[DONE]"]),
        (
            Format::Chat,
            &[
                r#"{"choices":[{"delta":{"audio":{"data":"AQ=="}}}]}"#,
                r#"{"choices":[{"delta":{"audio":{"data":"AQ=="}}}]}"#,
                "[DONE]",
            ],
        ),
        (Format::Messages, &[START, DELTA]),
        (Format::Messages, &[DELTA, STOP]),
        (Format::Messages, &[START, START, DELTA, STOP]),
        (Format::Messages, &[START, DELTA, STOP, START, DELTA, STOP]),
        (Format::Messages, &[START, r#"{"type":"error"}"#, STOP]),
        (Format::Messages, &[START, block, input, DELTA, STOP]),
        (Format::Messages, &[START, input, DELTA, STOP]),
        (Format::Responses, &[r#"{"type":"response.created"}"#]),
        (
            Format::Responses,
            &[r#"{"type":"response.failed","response":{}}"#],
        ),
        (
            Format::Responses,
            &[
                r#"{"type":"error"}"#,
                r#"{"type":"response.completed","response":{}}"#,
            ],
        ),
        (Format::Embeddings, &[said, "[DONE]"]),
    ];
    for (format, events) in rows {
        let stream = stream(events);
        assert_eq!(fold(*format, stream.as_bytes()), None, "{stream}");
    }
}

/// Events alike but for their text are taken without being read; a comment's
/// line in each makes that impossible.
#[test]
fn events_that_are_not_read_add_the_same() {
    let texts = [
        "a",
        r"\n\u00e9",
        "é\"}",
        r"\\",
        "",
        r"\ud83d",
        r"\ude00",
        "z",
    ];
    let chat = |delta: &str| {
        let events: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| {
                format!(
                    r#"{{"id":"c","choices":[{{"index":0,"delta":{}}}],"obfuscation":"{}"}}"#,
                    delta.replace('$', &text.replace("é\"}", r#"é\"}"#)),
                    "x".repeat(at)
                )
            })
            .collect();
        let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
        events.push("[DONE]");
        stream(&events)
    };
    let message = |delta: &str| {
        let mut events = vec![
            START.to_owned(),
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
                .to_owned(),
        ];
        for (at, text) in texts.iter().enumerate() {
            events.push(format!(
                r#"{{"type":"content_block_delta","index":0,"delta":{}{}}}"#,
                delta.replace('$', &text.replace("é\"}", r#"é\"}"#)),
                " ".repeat(at)
            ));
        }
        events.extend([DELTA.to_owned(), STOP.to_owned()]);
        stream(&events.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let rows = [
        (Format::Chat, chat(r#"{"content":"$"}"#)),
        (
            Format::Chat,
            chat(r#"{"role":"assistant","content":"","reasoning":"$"}"#),
        ),
        (Format::Chat, chat(r#"{"content":"$","reasoning":"x"}"#)),
        (Format::Chat, chat(r#"{"role":"$"}"#)),
        (
            Format::Chat,
            chat(r#"{"tool_calls":[{"index":0,"function":{"arguments":"$"}}]}"#),
        ),
        (
            Format::Chat,
            chat(r#"{"content":"$","annotations":[{"a":1}]}"#),
        ),
        (
            Format::Messages,
            message(r#"{"type":"text_delta","text":"$"}"#),
        ),
        (
            Format::Messages,
            message(r#"{"type":"x_delta","name":"$"}"#),
        ),
        (
            Format::Messages,
            message(r#"{"type":"x_delta","text":"$","n":"a"}"#),
        ),
    ];
    for (format, stream) in rows {
        let mut at = 0;
        let read: String = stream
            .split_inclusive("\n\n")
            .map(|frame| {
                at += 1;
                format!(": {at}\n{frame}")
            })
            .collect();
        let whole = fold(format, stream.as_bytes());
        assert!(whole.is_some(), "{stream}");
        assert_eq!(whole, fold(format, read.as_bytes()), "{stream}");
    }
    let cut = stream(&[
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"\x"}}]}"#,
        "[DONE]",
    ]);
    assert_eq!(fold(Format::Chat, cut.as_bytes()), None);
}
