//! What each form accepts, and what it refuses by name.

use super::*;

#[test]
fn wrong_requests_are_refused_by_path_and_code() {
    use Form::{Chat, Completions, Messages, Responses};
    let rows = [
        (
            Chat,
            r#"{"messages":[]}"#,
            "missing_required_parameter",
            "model",
        ),
        (
            Chat,
            r#"{"model":"m"}"#,
            "missing_required_parameter",
            "messages",
        ),
        (
            Chat,
            r#"{"model":1,"messages":[]}"#,
            "invalid_type",
            "model",
        ),
        (
            Chat,
            r#"{"model":"m","messages":{}}"#,
            "invalid_type",
            "messages",
        ),
        (
            Chat,
            r#"{"model":"m","messages":[]}"#,
            "empty_array",
            "messages",
        ),
        (
            Chat,
            r#"{"model":"m","messages":[3]}"#,
            "invalid_type",
            "messages[0]",
        ),
        (
            Chat,
            r#"{"model":"m","messages":[{"role":"user","content":4}]}"#,
            "invalid_type",
            "messages[0].content",
        ),
        (
            Chat,
            r#"{"model":"m","messages":[{"role":"king","content":"x"}]}"#,
            "invalid_value",
            "messages[0].role",
        ),
        (
            Chat,
            r#"{"model":"m","messages":[{"role":"user"}]}"#,
            "missing_required_parameter",
            "messages[0].content",
        ),
        (
            Chat,
            r#"{"model":"m","stream":"yes","messages":[{"role":"user","content":"x"}]}"#,
            "invalid_type",
            "stream",
        ),
        (
            Chat,
            r#"{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}"#,
            "integer_below_min_value",
            "max_tokens",
        ),
        (
            Chat,
            r#"{"model":"m","tool_choice":"required","messages":[{"role":"user","content":"x"}]}"#,
            "invalid_value",
            "tool_choice",
        ),
        (
            Chat,
            r#"{"model":"m","stream_options":{},"messages":[{"role":"user","content":"x"}]}"#,
            "invalid_value",
            "stream_options",
        ),
        (
            Completions,
            r#"{"model":"m"}"#,
            "missing_required_parameter",
            "prompt",
        ),
        (
            Completions,
            r#"{"model":"m","prompt":true}"#,
            "invalid_type",
            "prompt",
        ),
        (
            Completions,
            r#"{"model":"m","prompt":[]}"#,
            "empty_array",
            "prompt",
        ),
        (
            Responses,
            r#"{"model":"m"}"#,
            "missing_required_parameter",
            "input",
        ),
        (
            Responses,
            r#"{"model":"m","input":[{"content":"x"}]}"#,
            "missing_required_parameter",
            "input[0].role",
        ),
        (
            Messages,
            r#"{"model":"m","messages":[]}"#,
            "missing_required_parameter",
            "max_tokens",
        ),
        (
            Messages,
            r#"{"model":"m","max_tokens":"9","messages":[]}"#,
            "invalid_type",
            "max_tokens",
        ),
        (
            Messages,
            r#"{"model":"m","max_tokens":9}"#,
            "missing_required_parameter",
            "messages",
        ),
        (
            Messages,
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"system","content":"x"}]}"#,
            "invalid_value",
            "messages.0.role",
        ),
    ];
    for (form, body, code, param) in rows {
        let refusal = read(form, body.as_bytes()).expect_err(body);
        assert_eq!((refusal.status, refusal.code), (400, Some(code)), "{body}");
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn each_form_says_what_it_wants() {
    let chat = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":2,
        "stop":"END","max_completion_tokens":9,"messages":[{"role":"system","content":"be"},
        {"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:"}}]}]}"#;
    let ask = read(Form::Chat, chat.as_bytes()).unwrap();
    assert!(ask.stream && ask.usage_chunk && ask.padding);
    assert_eq!(
        (ask.choices, ask.limit, ask.stop),
        (2, Some(9), vec!["END".to_owned()])
    );
    assert_eq!(ask.said, ["hi"]);

    let completions = r#"{"model":"m","prompt":["a","b"]}"#;
    let ask = read(Form::Completions, completions.as_bytes()).unwrap();
    assert_eq!((ask.said.len(), ask.limit), (2, Some(16)));
    let tokens = r#"{"model":"m","prompt":[[1,2],[3]]}"#;
    assert_eq!(read(Form::Completions, tokens.as_bytes()).unwrap().input, 3);

    let responses = r#"{"model":"m","instructions":"be","input":[{"role":"user","content":
        [{"type":"input_text","text":"hi"}]}],"metadata":{"a":"b"}}"#;
    let ask = read(Form::Responses, responses.as_bytes()).unwrap();
    assert_eq!(ask.said, ["hi"]);
    assert!(ask.repeated.contains(r#""metadata":{"a":"b"},"#));

    let messages = r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"be"}],
        "stop_sequences":["E"],"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = read(Form::Messages, messages.as_bytes()).unwrap();
    assert_eq!(
        (ask.limit, ask.stop, ask.said),
        (Some(5), vec!["E".to_owned()], vec!["hi".to_owned()])
    );
}

#[test]
fn after_a_tools_result_the_answer_is_in_words_unless_a_tool_is_forced() {
    let chat = |choice: &str| {
        format!(
            r#"{{"model":"m","tools":[{{"type":"function","function":{{"name":"f"}}}}],{choice}
            "messages":[{{"role":"user","content":"use f"}},{{"role":"assistant","tool_calls":[{{"id":"c1"}}]}},
            {{"role":"tool","tool_call_id":"c1","content":"4"}}]}}"#
        )
    };
    let called = |body: &str| read(Form::Chat, body.as_bytes()).unwrap().tool().is_some();
    assert!(!called(&chat("")));
    assert!(!called(&chat(r#""tool_choice":"auto","#)));
    assert!(called(&chat(r#""tool_choice":"required","#)));

    let messages = r#"{"model":"m","max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}],
        "messages":[{"role":"user","content":"use f"},{"role":"assistant","content":[{"type":"tool_use",
        "id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result",
        "tool_use_id":"t1","content":"4"}]}]}"#;
    assert!(
        read(Form::Messages, messages.as_bytes())
            .unwrap()
            .tool()
            .is_none()
    );
}
