//! Streams of every format, frame by frame, and how each frame is seen.

use super::*;

/// What a frame is seen as, in letters: c(ontent), e(nd), x (error), u(sage
/// only).
fn letters(seen: Seen) -> String {
    [
        (seen.content, 'c'),
        (seen.end, 'e'),
        (seen.error, 'x'),
        (seen.usage_only, 'u'),
    ]
    .into_iter()
    .filter_map(|(is, letter)| is.then_some(letter))
    .collect()
}

/// Shows a watch `frames`, each with how it is to be seen.
fn watched(format: Format, frames: &[(&str, &str)]) -> Watch {
    let mut watch = Watch::new(format);
    for (frame, expected) in frames {
        let seen = watch.see(format!("{frame}\n\n").as_bytes());
        assert_eq!(letters(seen), *expected, "{frame}");
    }
    watch
}

const ROLE: &str = r#"data: {"id":"c1","model":"m1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
const TEXT: &str = r#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hello wor"},"logprobs":{"content":[{"token":"Hello"}]},"finish_reason":null}],"usage":null,"obfuscation":"xx"}"#;
const STOP: &str =
    r#"data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
const USAGE: &str = r#"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}"#;

#[test]
fn a_chat_stream_is_understood() {
    let watch = watched(
        Format::Chat,
        &[
            (": OPENING", ""),
            (ROLE, ""),
            (TEXT, "c"),
            (TEXT, "c"),
            (STOP, ""),
            (USAGE, "u"),
            ("data: [DONE]", "e"),
        ],
    );
    assert_eq!(watch.ending(), Ending::Terminal);
    assert_eq!(watch.finish(), Some(Finish::Stop));
    assert_eq!((watch.id(), watch.model()), (Some("c1"), Some("m1")));
    let usage = watch.usage().unwrap();
    assert_eq!((usage.input, usage.output, usage.cached), (5, 7, 2));
    assert!(!usage.estimated);
}

#[test]
fn chat_deltas_of_every_kind_are_content_and_notes_are_not() {
    let rows = [
        (r#"{"content":"x"}"#, "c"),
        (r#"{"content":[{"type":"text","text":"x"}]}"#, "c"),
        (r#"{"reasoning_content":"x"}"#, "c"),
        (
            r#"{"content":null,"reasoning":"x","channel":"analysis"}"#,
            "c",
        ),
        (r#"{"refusal":"x"}"#, "c"),
        (
            r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":""}}]}"#,
            "c",
        ),
        (
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
            "c",
        ),
        (r#"{"function_call":{"name":"f"}}"#, "c"),
        (r#"{"audio":{"data":"AAAA"}}"#, "c"),
        (r#"{"role":"assistant"}"#, ""),
        (
            r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[]}"#,
            "",
        ),
        (r#"{"content":"","channel":"analysis"}"#, ""),
        (r#"{"provider_metadata":{"a":1}}"#, ""),
        (r#"{}"#, ""),
        ("null", ""),
    ];
    for (delta, expected) in rows {
        let frame = format!(r#"data: {{"choices":[{{"delta":{delta},"finish_reason":null}}]}}"#);
        watched(Format::Chat, &[(&frame, expected)]);
        // And once a stream is on its way.
        watched(Format::Chat, &[(TEXT, "c"), (&frame, expected)]);
    }
}

#[test]
fn completions_are_chat_with_text() {
    let watch = watched(
        Format::Completions,
        &[
            (
                r#"data: {"choices":[{"text":"","finish_reason":null}]}"#,
                "",
            ),
            (
                r#"data: {"choices":[{"text":"abcd","finish_reason":null}]}"#,
                "c",
            ),
            (
                r#"data: {"choices":[{"text":"efghi","finish_reason":"length"}]}"#,
                "c",
            ),
            ("data: [DONE]", "e"),
        ],
    );
    assert_eq!(watch.finish(), Some(Finish::Length));
    let usage = watch.usage().unwrap();
    assert!(usage.estimated);
    assert_eq!(usage.output, 3, "nine bytes of text");
}

#[test]
fn a_chat_error_is_one_in_every_shape() {
    let rows = [
        (r#"data: {"error":{"message":"m"}}"#, "x"),
        ("event: error\ndata: {\"error\":{\"message\":\"m\"}}", "x"),
        ("event: error\ndata: {\"message\":\"m\"}", "x"),
        (r#"data: {"error":"m"}"#, "x"),
        (
            r#"data: {"error":{"code":502},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            "x",
        ),
        (
            r#"data: {"error":{"code":502},"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
            "cx",
        ),
        (
            r#"data: {"error":null,"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
            "c",
        ),
        (
            r#"data: {"choices":[{"delta":{"content":"\"error\":{"},"finish_reason":null}]}"#,
            "c",
        ),
    ];
    for (frame, expected) in rows {
        let watch = watched(
            Format::Chat,
            &[(TEXT, "c"), (frame, expected), ("data: [DONE]", "e")],
        );
        let failed = expected.contains('x');
        assert_eq!(watch.ending() == Ending::Failed, failed, "{frame}");
    }
}

#[test]
fn a_chat_stream_without_its_sentinel_is_told_from_one_cut_off() {
    assert_eq!(watched(Format::Chat, &[(TEXT, "c")]).ending(), Ending::Open);
    let implied = watched(Format::Chat, &[(TEXT, "c"), (STOP, "")]);
    assert_eq!(implied.ending(), Ending::Implied);
}

#[test]
fn groq_and_the_last_delta_may_carry_usage() {
    let rows = [
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4}}}"#,
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
    ];
    for frame in rows {
        let usage = watched(Format::Chat, &[(TEXT, "c"), (frame, "")])
            .usage()
            .unwrap();
        assert_eq!((usage.input, usage.output, usage.estimated), (3, 4, false));
    }
}

#[test]
fn a_messages_stream_is_understood() {
    let watch = watched(
        Format::Messages,
        &[
            (
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"model\":\"c\",\"usage\":{\"input_tokens\":4,\"cache_read_input_tokens\":10,\"cache_creation_input_tokens\":1,\"output_tokens\":1}}}",
                "",
            ),
            (
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
                "",
            ),
            ("event: ping\ndata: {\"type\": \"ping\"}", ""),
            (
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}      }",
                "c",
            ),
            (
                "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}",
                "",
            ),
            (
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}}",
                "c",
            ),
            (
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}",
                "c",
            ),
            ("event: brand_new\ndata: {\"type\":\"brand_new\"}", ""),
            (
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":20}}",
                "",
            ),
            (
                "event: message_stop\ndata: {\"type\":\"message_stop\"}",
                "e",
            ),
        ],
    );
    assert_eq!(watch.ending(), Ending::Terminal);
    assert_eq!(watch.finish(), Some(Finish::ToolCalls));
    assert_eq!((watch.id(), watch.model()), (Some("msg"), Some("c")));
    assert_eq!(
        watch.usage(),
        Some(Usage {
            input: 15,
            output: 20,
            cached: 10,
            cache_write: 1,
            ..Usage::default()
        })
    );
}

#[test]
fn a_messages_stream_cut_short_has_its_output_estimated() {
    let watch = watched(
        Format::Messages,
        &[
            (
                "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}",
                "",
            ),
            (
                "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"0123456789\"}}",
                "c",
            ),
            (
                "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
                "x",
            ),
        ],
    );
    let usage = watch.usage().unwrap();
    assert_eq!((usage.input, usage.output, usage.estimated), (4, 3, true));
    assert_eq!(watch.ending(), Ending::Failed);
}

#[test]
fn a_responses_stream_is_understood() {
    let watch = watched(
        Format::Responses,
        &[
            (
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null},\"sequence_number\":0}",
                "",
            ),
            (
                "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1}",
                "",
            ),
            (
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"abcde\",\"sequence_number\":2}",
                "c",
            ),
            // bedrock-mantle: the data first, its keys in another order, the name last
            (
                "data: {\"sequence_number\":3,\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}\nevent: response.function_call_arguments.delta",
                "c",
            ),
            // no name at all
            (
                "data: {\"delta\":\"}\",\"type\":\"response.function_call_arguments.delta\"}",
                "c",
            ),
            (
                "data: {\"type\":\"response.output_item.done\",\"item\":{}}",
                "c",
            ),
            (
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"m\",\"incomplete_details\":null,\"usage\":{\"input_tokens\":6,\"output_tokens\":3,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}",
                "e",
            ),
            ("data: [DONE]", "e"),
        ],
    );
    assert_eq!(watch.ending(), Ending::Terminal);
    assert_eq!(watch.finish(), Some(Finish::ToolCalls));
    assert_eq!((watch.id(), watch.model()), (Some("r"), Some("m")));
    assert_eq!(watch.next_sequence_number(), 8);
    let usage = watch.usage().unwrap();
    assert_eq!((usage.input, usage.output, usage.reasoning), (6, 3, 1));
}

#[test]
fn responses_end_in_three_ways_and_fail_in_two() {
    let rows = [
        (
            "response.completed",
            "{}",
            "e",
            Ending::Terminal,
            Some(Finish::Stop),
        ),
        (
            "response.incomplete",
            r#"{"incomplete_details":{"reason":"content_filter"}}"#,
            "e",
            Ending::Terminal,
            Some(Finish::ContentFilter),
        ),
        (
            "response.incomplete",
            "null",
            "e",
            Ending::Terminal,
            Some(Finish::Length),
        ),
        (
            "response.failed",
            r#"{"error":{"code":"server_error"}}"#,
            "ex",
            Ending::Failed,
            Some(Finish::Error),
        ),
        ("error", "null", "x", Ending::Failed, None),
        ("response.in_progress", "{}", "", Ending::Open, None),
    ];
    for (name, response, expected, ending, finish) in rows {
        let frame = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"response\":{response}}}");
        let watch = watched(Format::Responses, &[(&frame, expected)]);
        assert_eq!(watch.ending(), ending, "{name}");
        assert_eq!(watch.finish(), finish, "{name}");
        assert_eq!(watch.usage(), None, "{name}");
    }
}

#[test]
fn the_opening_of_an_oversized_frame_tells_its_kind() {
    let rows = [
        (
            Format::Responses,
            "event: response.completed\ndata: {\"type\":\"resp",
            "e",
        ),
        (
            Format::Responses,
            "data: {\"type\":\"response.failed\",\"resp",
            "ex",
        ),
        (
            Format::Responses,
            "event: response.image_generation_call.partial_image\ndata: {",
            "c",
        ),
        (
            Format::Messages,
            "event: content_block_delta\ndata: {\"ty",
            "c",
        ),
        (
            Format::Chat,
            "data: {\"choices\":[{\"delta\":{\"audio\":{\"data\":\"AAAA",
            "c",
        ),
        (Format::Chat, ": a long comment", ""),
    ];
    for (format, opening, expected) in rows {
        let mut watch = Watch::new(format);
        assert_eq!(
            letters(watch.see_part(opening.as_bytes())),
            expected,
            "{opening}"
        );
    }
}

#[test]
fn what_is_not_understood_is_passed_over() {
    for format in Format::ALL {
        let frames = [
            "",
            ":",
            "data:",
            "data: {",
            "data: []",
            "data: 1",
            "event: x",
            "data: \u{0}",
            "id: 1",
        ];
        for frame in frames {
            let watch = watched(format, &[(frame, "")]);
            assert_eq!(
                (watch.ending(), watch.usage()),
                (Ending::Open, None),
                "{frame}"
            );
        }
        let mut watch = Watch::new(format);
        assert_eq!(watch.see(b"data: {\"choices\":\xff}\n\n"), Seen::default());
    }
}
