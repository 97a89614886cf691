//! What can be asked, as clients of each format write it.

/// One thing to ask. Each body is merged into [`base`]; an empty one says that
/// the format has no way to ask it.
pub(super) struct Call {
    pub(super) what: &'static str,
    pub(super) chat: &'static str,
    pub(super) responses: &'static str,
    pub(super) messages: &'static str,
}

/// What every call has, per format.
pub(super) const CHAT: &str = r#"{"model": "m", "max_completion_tokens": 4096,
    "messages": [{"role": "user", "content": "Hello."}]}"#;
pub(super) const RESPONSES: &str = r#"{"model": "m", "max_output_tokens": 4096, "store": false,
    "input": [{"role": "user", "content": "Hello."}]}"#;
pub(super) const MESSAGES: &str = r#"{"model": "m", "max_tokens": 4096,
    "messages": [{"role": "user", "content": "Hello."}]}"#;

const fn call(
    what: &'static str,
    chat: &'static str,
    responses: &'static str,
    messages: &'static str,
) -> Call {
    Call {
        what,
        chat,
        responses,
        messages,
    }
}

/// By what they are about, with a title for each.
pub(super) const CALLS: &[(&str, &[Call])] = &[
    ("What is said", SAID),
    ("Media", MEDIA),
    ("Tools", TOOLS),
    ("The answer's form, and thinking", FORM),
    ("Settings", SETTINGS),
];

const SAID: &[Call] = &[
    call("text", "{}", "{}", "{}"),
    call(
        "system text",
        r#"{"messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hello."}]}"#,
        r#"{"instructions": "Be terse."}"#,
        r#"{"system": "Be terse."}"#,
    ),
    call(
        "developer's text",
        r#"{"messages": [{"role": "developer", "content": "Be terse."}, {"role": "user", "content": "Hello."}]}"#,
        r#"{"input": [{"role": "developer", "content": "Be terse."}, {"role": "user", "content": "Hello."}]}"#,
        "",
    ),
    call(
        "system text in the middle",
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."},
            {"role": "system", "content": "Be terse."}, {"role": "user", "content": "Bye."}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."},
            {"role": "system", "content": "Be terse."}, {"role": "user", "content": "Bye."}]}"#,
        "",
    ),
    call(
        "several turns",
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Bye."}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Bye."}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Bye."}]}"#,
    ),
    call(
        "several texts in a turn",
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello."}, {"type": "text", "text": "Bye."}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello."}, {"type": "input_text", "text": "Bye."}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello."}, {"type": "text", "text": "Bye."}]}]}"#,
    ),
    call(
        "the beginning of the answer",
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Dear"}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Dear"}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Dear"}]}"#,
    ),
    call(
        "the speaker's name",
        r#"{"messages": [{"role": "user", "name": "ada", "content": "Hello."}]}"#,
        "",
        "",
    ),
    call(
        "an earlier refusal",
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": null, "refusal": "No."}, {"role": "user", "content": "Bye."}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}]}, {"role": "user", "content": "Bye."}]}"#,
        "",
    ),
    call(
        "stream",
        r#"{"stream": true, "stream_options": {"include_usage": true}}"#,
        r#"{"stream": true}"#,
        r#"{"stream": true}"#,
    ),
];

const MEDIA: &[Call] = &[
    call(
        "image, as data",
        r#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]}]}"#,
    ),
    call(
        "image, by URL",
        r#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a.example/b.png"}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}]}]}"#,
    ),
    call(
        "image, in low detail",
        r#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}]}]}"#,
        "",
    ),
    call(
        "PDF, as data",
        r#"{"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}]}]}"#,
    ),
    call(
        "PDF, by URL",
        "",
        r#"{"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/b.pdf"}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}}]}]}"#,
    ),
    call(
        "document of plain text",
        "",
        "",
        r#"{"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Tides."}}]}]}"#,
    ),
    call(
        "audio, as data",
        r#"{"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"format": "wav", "data": "aGk="}}]}]}"#,
        "",
        "",
    ),
    call(
        "a file its provider keeps",
        r#"{"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}"#,
        r#"{"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]}]}"#,
    ),
];

const TOOLS: &[Call] = &[
    call(
        "function",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}]}"#,
        r#"{"tools": [{"type": "function", "name": "f", "description": "Does it.", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}, "strict": false}]}"#,
        r#"{"tools": [{"name": "f", "description": "Does it.", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}]}"#,
    ),
    call(
        "function, strictly by its schema",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}}]}"#,
        r#"{"tools": [{"type": "function", "name": "f", "strict": true, "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}]}"#,
        r#"{"tools": [{"name": "f", "strict": true, "input_schema": {"type": "object", "properties": {}, "additionalProperties": false}}]}"#,
    ),
    call(
        "function without parameters",
        r#"{"tools": [{"type": "function", "function": {"name": "f"}}]}"#,
        "",
        "",
    ),
    call(
        "a name that not everyone takes",
        r#"{"tools": [{"type": "function", "function": {"name": "a.b_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "parameters": {"type": "object", "properties": {}}}}]}"#,
        r#"{"tools": [{"type": "function", "name": "a.b_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "parameters": {"type": "object", "properties": {}}, "strict": false}]}"#,
        r#"{"tools": [{"name": "a_b_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "input_schema": {"type": "object", "properties": {}}}]}"#,
    ),
    call(
        "use a tool or not",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}], "tool_choice": "auto"}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}], "tool_choice": "auto"}"#,
        r#"{"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "auto"}}"#,
    ),
    call(
        "use some tool",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}], "tool_choice": "required"}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}], "tool_choice": "required"}"#,
        r#"{"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "any"}}"#,
    ),
    call(
        "use this tool",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}], "tool_choice": {"type": "function", "function": {"name": "f"}}}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}], "tool_choice": {"type": "function", "name": "f"}}"#,
        r#"{"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "tool", "name": "f"}}"#,
    ),
    call(
        "use these tools of several",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}, {"type": "function", "function": {"name": "g"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}, {"type": "function", "name": "g", "parameters": null, "strict": false}], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}}"#,
        "",
    ),
    call(
        "use no tool",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}], "tool_choice": "none"}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}], "tool_choice": "none"}"#,
        r#"{"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "none"}}"#,
    ),
    call(
        "one call at a time",
        r#"{"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}], "parallel_tool_calls": false}"#,
        r#"{"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}], "parallel_tool_calls": false}"#,
        r#"{"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}"#,
    ),
    call(
        "parallel calls and their results",
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "one"}, {"role": "tool", "tool_call_id": "b", "content": "two"}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"}, {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "one"}, {"type": "function_call_output", "call_id": "b", "output": "two"}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x":1}}, {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "one"}, {"type": "tool_result", "tool_use_id": "b", "content": "two"}]}]}"#,
    ),
    call(
        "text beside calls, and after results",
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "one"}, {"role": "user", "content": "Go on."}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Wait."},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "one"}, {"role": "user", "content": "Go on."}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": [{"type": "text", "text": "Wait."}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "one"}, {"type": "text", "text": "Go on."}]}]}"#,
    ),
    call(
        "a call's id that not everyone takes",
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "a:1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a:1", "content": "one"}]}"#,
        r#"{"input": [{"role": "user", "content": "Hello."}, {"type": "function_call", "call_id": "a:1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a:1", "output": "one"}]}"#,
        "",
    ),
    call(
        "a result that is an error",
        "",
        "",
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "no such file"}]}]}"#,
    ),
    call(
        "a result with an image",
        "",
        r#"{"input": [{"role": "user", "content": "Hello."}, {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]}]}]}"#,
    ),
    call(
        "a tool of free text",
        r#"{"tools": [{"type": "custom", "custom": {"name": "f", "description": "Runs code."}}]}"#,
        r#"{"tools": [{"type": "custom", "name": "f", "description": "Runs code."}]}"#,
        "",
    ),
    call(
        "web search",
        r#"{"web_search_options": {}}"#,
        r#"{"tools": [{"type": "web_search"}]}"#,
        r#"{"tools": [{"type": "web_search_20250305", "name": "web_search"}]}"#,
    ),
    call(
        "other tools the provider runs",
        "",
        r#"{"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}"#,
        r#"{"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}"#,
    ),
];

const FORM: &[Call] = &[
    call(
        "some JSON object",
        r#"{"response_format": {"type": "json_object"}}"#,
        r#"{"text": {"format": {"type": "json_object"}}}"#,
        "",
    ),
    call(
        "JSON by a schema",
        r#"{"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}}}"#,
        r#"{"text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}}}"#,
        r#"{"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}}}"#,
    ),
    call(
        "think hard",
        r#"{"reasoning_effort": "high"}"#,
        r#"{"reasoning": {"effort": "high"}}"#,
        r#"{"output_config": {"effort": "high"}}"#,
    ),
    call(
        "don't think",
        r#"{"reasoning_effort": "none"}"#,
        r#"{"reasoning": {"effort": "none"}}"#,
        r#"{"thinking": {"type": "disabled"}}"#,
    ),
    call(
        "think as much as is needed",
        "",
        "",
        r#"{"thinking": {"type": "adaptive"}}"#,
    ),
    call(
        "think for so many tokens",
        "",
        "",
        r#"{"thinking": {"type": "enabled", "budget_tokens": 2048}}"#,
    ),
    call(
        "a summary of the thoughts",
        "",
        r#"{"reasoning": {"effort": "high", "summary": "auto"}}"#,
        "",
    ),
    call(
        "thoughts of another provider's",
        "",
        r#"{"input": [{"role": "user", "content": "Hello."},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "c2VhbA=="},
            {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Bye."}]}"#,
        r#"{"messages": [{"role": "user", "content": "Hello."},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="}, {"type": "text", "text": "Hi."}]},
            {"role": "user", "content": "Bye."}]}"#,
    ),
    call(
        "at length or not",
        r#"{"verbosity": "low"}"#,
        r#"{"text": {"verbosity": "low"}}"#,
        "",
    ),
    call(
        "spoken",
        r#"{"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}"#,
        "",
        "",
    ),
];

const SETTINGS: &[Call] = &[
    call(
        "no limit of tokens",
        r#"{"max_completion_tokens": null}"#,
        r#"{"max_output_tokens": null}"#,
        "",
    ),
    call(
        "stop",
        r#"{"stop": ["END"]}"#,
        "",
        r#"{"stop_sequences": ["END"]}"#,
    ),
    call(
        "`temperature` 0.5",
        r#"{"temperature": 0.5}"#,
        r#"{"temperature": 0.5}"#,
        r#"{"temperature": 0.5}"#,
    ),
    call(
        "`temperature` 1.5",
        r#"{"temperature": 1.5}"#,
        r#"{"temperature": 1.5}"#,
        "",
    ),
    call(
        "`top_p`",
        r#"{"top_p": 0.9}"#,
        r#"{"top_p": 0.9}"#,
        r#"{"top_p": 0.9}"#,
    ),
    call("`top_k`", "", "", r#"{"top_k": 40}"#),
    call("`seed`", r#"{"seed": 7}"#, "", ""),
    call(
        "penalties",
        r#"{"frequency_penalty": 0.5, "presence_penalty": 0.5}"#,
        "",
        "",
    ),
    call("`logit_bias`", r#"{"logit_bias": {"50256": -100}}"#, "", ""),
    call(
        "`logprobs`",
        r#"{"logprobs": true, "top_logprobs": 2}"#,
        r#"{"include": ["message.output_text.logprobs"], "top_logprobs": 2}"#,
        "",
    ),
    call("`n` 2", r#"{"n": 2}"#, "", ""),
    call(
        "who the user is",
        r#"{"safety_identifier": "u-1"}"#,
        r#"{"safety_identifier": "u-1"}"#,
        r#"{"metadata": {"user_id": "u-1"}}"#,
    ),
    call(
        "`metadata`",
        r#"{"metadata": {"team": "a"}}"#,
        r#"{"metadata": {"team": "a"}}"#,
        "",
    ),
    call(
        "only the standard service",
        r#"{"service_tier": "default"}"#,
        r#"{"service_tier": "default"}"#,
        r#"{"service_tier": "standard_only"}"#,
    ),
    call(
        "another service tier",
        r#"{"service_tier": "flex"}"#,
        r#"{"service_tier": "flex"}"#,
        "",
    ),
    call(
        "marks for the prompt cache",
        r#"{"messages": [{"role": "system", "content": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]}, {"role": "user", "content": "Hello."}]}"#,
        "",
        r#"{"system": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]}"#,
    ),
    call(
        "the prompt cache's key",
        r#"{"prompt_cache_key": "k"}"#,
        r#"{"prompt_cache_key": "k"}"#,
        "",
    ),
    call(
        "keep the answer (`store`)",
        r#"{"store": true}"#,
        r#"{"store": true}"#,
        "",
    ),
    call(
        "go on from a kept answer",
        "",
        r#"{"previous_response_id": "resp_1"}"#,
        "",
    ),
    call("in the background", "", r#"{"background": true}"#, ""),
    call(
        "a field nobody knows",
        r#"{"shiny": 1}"#,
        r#"{"shiny": 1}"#,
        r#"{"shiny": 1}"#,
    ),
];
