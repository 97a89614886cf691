//! The rule as rows: every field and tool that forbids sharing, and those that
//! look like it and don't.

use Format::{Chat, Completions, CountTokens, Embeddings, Messages, Responses};

use super::*;

fn private(format: Format, fields: &str) -> Option<&'static str> {
    nature(format, "m", &format!("{{{fields}}}")).private
}

#[test]
fn answers_that_ought_to_repeat_are_deterministic() {
    let temperatures = [
        ("0", true),
        ("0.0", true),
        ("-0", true),
        ("0e9", true),
        ("0.00E-5", true),
        ("0.01", false),
        ("1e-999", false),
        ("1", false),
        ("null", false),
        (r#""0""#, false),
        ("[0]", false),
        ("false", false),
    ];
    for format in [Chat, Responses, Completions, Messages] {
        for (value, expected) in temperatures {
            let body = format!(r#"{{"seed":0,"temperature": {value} ,"top_p":0}}"#);
            let nature = nature(format, "m", &body);
            assert_eq!(nature.deterministic, expected, "{format:?} {value}");
        }
        assert!(!nature(format, "m", r#"{"x":{"temperature":0}}"#).deterministic);
    }
    for format in [Embeddings, CountTokens] {
        assert!(nature(format, "m", r#"{"temperature":1}"#).deterministic);
    }
}

#[test]
fn a_field_may_forbid_sharing() {
    let rows: &[(Format, &str, Option<&str>)] = &[
        (Chat, "", None),
        (Chat, r#""unknown":true,"user":"u","seed":1,"n":2"#, None),
        (Chat, r#""store":true"#, Some("store")),
        (Chat, r#""store":"yes""#, Some("store")),
        (Chat, r#""store":false"#, None),
        (Chat, r#""store":null"#, None),
        (
            Chat,
            r#""web_search_options":{}"#,
            Some("web_search_options"),
        ),
        (Chat, r#""web_search_options":null"#, None),
        (
            Chat,
            r#""modalities":["audio"],"audio":{"voice":"v"}"#,
            Some("audio"),
        ),
        (
            Chat,
            r#""search_parameters":{"mode":"auto"}"#,
            Some("search_parameters"),
        ),
        (Chat, r#""plugins":[{"id":"web"}]"#, Some("plugins")),
        (Chat, r#""plugins":[ ]"#, None),
        (Chat, r#""enable_search":true"#, Some("enable_search")),
        (Chat, r#""enable_search":false"#, None),
        (Chat, r#""search_settings":{}"#, Some("search_settings")),
        (Chat, r#""compound_custom":{}"#, Some("compound_custom")),
        (Chat, r#""preset":"p""#, Some("preset")),
        (Chat, r#""deferred":true"#, Some("deferred")),
        // A template, and the text itself.
        (
            Responses,
            r#""store":false,"prompt":{"id":"pmpt_1"}"#,
            Some("prompt"),
        ),
        (Responses, r#""store":false,"prompt":null"#, None),
        (Completions, r#""prompt":"text""#, None),
        // OpenAI keeps responses unless told not to.
        (Responses, "", Some("store")),
        (Responses, r#""store":null"#, Some("store")),
        (Responses, r#""store":true"#, Some("store")),
        (Responses, r#""store":false"#, None),
        (Responses, r#""st\u006fre":false"#, None),
        (
            Responses,
            r#""store":false,"previous_response_id":"resp_1""#,
            Some("previous_response_id"),
        ),
        (
            Responses,
            r#""store":false,"previous_response_id":null"#,
            None,
        ),
        (
            Responses,
            r#""store":false,"conversation":"conv_1""#,
            Some("conversation"),
        ),
        (
            Responses,
            r#""store":false,"conversation":{"id":"c"}"#,
            Some("conversation"),
        ),
        (
            Responses,
            r#""store":false,"background":true"#,
            Some("background"),
        ),
        (Responses, r#""store":false,"background":false"#, None),
        (
            Messages,
            r#""mcp_servers":[{"type":"url"}]"#,
            Some("mcp_servers"),
        ),
        (Messages, r#""mcp_servers":[]"#, None),
        (Messages, r#""container":"c_1""#, Some("container")),
        (Messages, r#""container":{"skills":[]}"#, Some("container")),
        (Messages, r#""container":null"#, None),
        (
            CountTokens,
            r#""mcp_servers":[{"type":"url"}]"#,
            Some("mcp_servers"),
        ),
        (Embeddings, r#""input":["a"],"user":"u""#, None),
        // Only the body's own fields count.
        (Chat, r#""metadata":{"store":true,"background":true}"#, None),
        (Chat, r#""messages":[{"web_search_options":{}}]"#, None),
    ];
    for (format, fields, expected) in rows {
        assert_eq!(private(*format, fields), *expected, "{format:?} {fields}");
    }
}

#[test]
fn a_tool_that_runs_at_the_providers_forbids_sharing() {
    let chat = [
        "web_search",
        "builtin_function",
        "openrouter:web_search",
        "mcp",
        "shell",
        "",
    ];
    let responses = [
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "file_search",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "image_generation",
        "mcp",
        "shell",
        "tool_search",
        "programmatic_tool_calling",
        "namespace",
        "not_invented_yet",
    ];
    let messages = [
        "web_search_20250305",
        "web_search_20260209",
        "web_fetch_20250910",
        "code_execution_20250825",
        "computer_20251124",
        "advisor_20260301",
        "tool_search_tool_regex_20251119",
        "tool_search_tool_bm25_20251119",
        "mcp_toolset",
        "bash",
        "function",
        "not_invented_yet_20270101",
    ];
    let of_the_callers: [(Format, &[&str], &[&str]); 3] = [
        (Chat, &["function", "custom"], &chat),
        (
            Responses,
            &["function", "custom", "local_shell", "apply_patch"],
            &responses,
        ),
        (
            Messages,
            &[
                "custom",
                "bash_20250124",
                "text_editor_20250728",
                "memory_20250818",
            ],
            &messages,
        ),
    ];
    for (format, shared, alone) in of_the_callers {
        let judge = |kind: &str| {
            let harmless = shared[0];
            private(
                format,
                &format!(
                    r#""store":false,"tools":[{{"name":"f","type":"{harmless}"}},{{"type":"{kind}"}}]"#
                ),
            )
        };
        for kind in shared {
            assert_eq!(judge(kind), None, "{format:?} {kind}");
        }
        for kind in alone {
            assert_eq!(judge(kind), Some("tools"), "{format:?} {kind}");
        }
    }
}

#[test]
fn a_tool_may_have_no_type_or_no_form() {
    let rows: &[(Format, &str, Option<&str>)] = &[
        (
            Messages,
            r#"[{"name":"f","input_schema":{"type":"x"}}]"#,
            None,
        ),
        (Messages, r#"[{"type":null,"name":"f"}]"#, None),
        (Chat, r#"[{"function":{"type":"function"}}]"#, Some("tools")),
        (Chat, r#"[{"type":"func\u0074ion"}]"#, None),
        (Chat, r#"[{"type":7}]"#, Some("tools")),
        (Messages, r#"[{"type":["custom"]}]"#, Some("tools")),
        (Chat, "[]", None),
        (Chat, "null", None),
        (Chat, r#"["web_search"]"#, Some("tools")),
        (Chat, r#"{"type":"function"}"#, Some("tools")),
    ];
    for (format, tools, expected) in rows {
        let fields = format!(r#""tools":{tools}"#);
        assert_eq!(private(*format, &fields), *expected, "{format:?} {tools}");
    }
}

#[test]
fn an_input_may_lie_with_the_provider() {
    let rows = [
        (r#""text""#, None),
        (r#"[{"role":"user","content":"a"}]"#, None),
        (r#"[{"type":"message","id":"msg_1","content":[]}]"#, None),
        (r#"[{"id":"msg_1","role":"assistant","content":[]}]"#, None),
        (r#"[{"type":"function_call_output","call_id":"c"}]"#, None),
        (
            r#"[{"role":"user","content":[{"file_id":"file-1"}]}]"#,
            None,
        ),
        (r#"[{"type":"item_reference","id":"msg_1"}]"#, Some("input")),
        (r#"[{"type":null,"id":"msg_1"}]"#, Some("input")),
        (
            r#"[{"role":"user","content":"a"},{"id":"m"}]"#,
            Some("input"),
        ),
    ];
    for (input, expected) in rows {
        let fields = format!(r#""store":false,"input":{input}"#);
        assert_eq!(private(Responses, &fields), expected, "{input}");
    }
}

#[test]
fn what_leaves_a_trace_is_told_from_what_acts() {
    use Effect::{Act, Nothing, Trace};
    let rows: &[(Format, &str, Effect)] = &[
        (Chat, "", Nothing),
        (Chat, r#""tools":[{"type":"function"}]"#, Nothing),
        (Chat, r#""store":true"#, Trace),
        (Responses, "", Trace),
        (Responses, r#""store":false"#, Nothing),
        (Responses, r#""previous_response_id":"resp_1""#, Trace),
        (
            Responses,
            r#""tools":[{"type":"web_search_preview"}]"#,
            Trace,
        ),
        (Responses, r#""tools":[{"type":"file_search"}]"#, Trace),
        (Chat, r#""tools":[{"type":"openrouter:web_search"}]"#, Trace),
        (
            Messages,
            r#""tools":[{"type":"web_search_20250305"}]"#,
            Trace,
        ),
        (
            Messages,
            r#""tools":[{"type":"web_fetch_20250910"}]"#,
            Trace,
        ),
        (Chat, r#""web_search_options":{}"#, Trace),
        (Responses, r#""background":true"#, Act),
        (Responses, r#""background":false"#, Trace),
        (Responses, r#""conversation":"conv_1""#, Act),
        (Responses, r#""tools":[{"type":"mcp"}]"#, Act),
        (Responses, r#""tools":[{"type":"code_interpreter"}]"#, Act),
        (
            Responses,
            r#""tools":[{"type":"web_search"},{"type":"mcp"}]"#,
            Act,
        ),
        (
            Messages,
            r#""tools":[{"type":"code_execution_20250825"}]"#,
            Act,
        ),
        (Messages, r#""container":"c_1""#, Act),
        (Messages, r#""mcp_servers":[{"type":"url"}]"#, Act),
        (Chat, r#""deferred":true"#, Act),
        (Chat, r#""tools":{}"#, Act),
        (Chat, r#""unread"#, Act),
    ];
    for (format, fields, expected) in rows {
        let found = nature(*format, "m", &format!("{{{fields}}}"));
        assert_eq!(found.effect, *expected, "{format:?} {fields}");
        let is_private = found.private.is_some();
        assert_eq!(is_private, *expected > Nothing, "{format:?} {fields}");
    }
    assert_eq!(nature(Chat, "sonar", "{}").effect, Trace);
}

#[test]
fn a_model_may_search_by_itself() {
    let rows = [
        ("gpt-4o", false),
        ("text-search-ada", false),
        ("gpt-4o-search-preview-2025-03-11", true),
        ("gpt-5-search-api", true),
        ("o4-mini-deep-research", true),
        ("sonar", true),
        ("perplexity/sonar-pro", true),
        ("groq/compound-mini", true),
        ("openai/gpt-4o:online", true),
        ("@preset/mine", true),
    ];
    for (model, expected) in rows {
        let found = nature(Chat, model, "{}").private;
        assert_eq!(found, expected.then_some("model"), "{model}");
    }
}

#[test]
fn what_is_no_body_is_not_shared() {
    for body in ["", "[]", "{", r#"{"tools":[}"#, "{} 1", r#"{"\ud800":1}"#] {
        assert_eq!(nature(Chat, "m", body).private, Some("body"), "{body}");
    }
}
