//! What can be answered, as providers of each format write it.

/// One answer. An empty one says that the format has no way to say it.
pub(super) struct Said {
    pub(super) what: &'static str,
    pub(super) chat: &'static str,
    pub(super) responses: &'static str,
    pub(super) messages: &'static str,
    pub(super) gemini: &'static str,
}

/// What every answer has, per format: each of [`ANSWERS`] is merged into it.
pub(super) const CHAT: &str = r#"{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5.2",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi.", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}"#;
pub(super) const RESPONSES: &str = r#"{"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5.2",
    "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null, "metadata": {}, "parallel_tool_calls": true,
    "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "temperature": 1.0, "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "user": null,
    "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}],
    "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7}}"#;
pub(super) const MESSAGES: &str = r#"{"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": 2}}"#;
pub(super) const GEMINI: &str = r#"{"responseId": "r1", "modelVersion": "gemini-3-flash",
    "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}}"#;

const fn said(
    what: &'static str,
    chat: &'static str,
    responses: &'static str,
    messages: &'static str,
    gemini: &'static str,
) -> Said {
    Said {
        what,
        chat,
        responses,
        messages,
        gemini,
    }
}

pub(super) const ANSWERS: &[Said] = &[
    said(
        "text, its id, model and token counts",
        "{}",
        "{}",
        "{}",
        "{}",
    ),
    said(
        "a call of a tool, with text before it",
        r#"{"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "Wait.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]}}]}"#,
        r#"{"output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]},
            {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"}]}"#,
        r#"{"stop_reason": "tool_use", "content": [{"type": "text", "text": "Wait."}, {"type": "tool_use", "id": "a", "name": "f", "input": {"x":1}}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Wait."}, {"functionCall": {"id": "a", "name": "f", "args": {"x":1}}}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "parallel calls",
        r#"{"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]}"#,
        r#"{"output": [{"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "a", "name": "f", "arguments": "{}"},
            {"id": "fc_2", "type": "function_call", "status": "completed", "call_id": "b", "name": "f", "arguments": "{}"}]}"#,
        r#"{"stop_reason": "tool_use", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "tool_use", "id": "b", "name": "f", "input": {}}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}, {"functionCall": {"id": "b", "name": "f", "args": {}}}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "thoughts",
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi.", "reasoning_content": "Hm."}}]}"#,
        r#"{"output": [{"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}]}"#,
        r#"{"content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "Hi."}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hm.", "thought": true}, {"text": "Hi."}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "thoughts with a signature",
        "",
        r#"{"output": [{"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "c2VhbA=="},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}]}"#,
        r#"{"content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="}, {"type": "text", "text": "Hi."}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hm.", "thought": true}, {"text": "Hi.", "thoughtSignature": "c2VhbA=="}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "thoughts nobody may read",
        "",
        "",
        r#"{"content": [{"type": "redacted_thinking", "data": "c2VhbA=="}, {"type": "text", "text": "Hi."}]}"#,
        "",
    ),
    said(
        "a signed call",
        "",
        "",
        "",
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "c2VhbA=="}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "a refusal",
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": null, "refusal": "No."}}]}"#,
        r#"{"output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]}"#,
        r#"{"stop_reason": "refusal", "content": [{"type": "text", "text": "No."}]}"#,
        r#"{"candidates": [{"index": 0, "finishReason": "SAFETY"}]}"#,
    ),
    said(
        "citations",
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi.",
            "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}}]}}]}"#,
        r#"{"output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.",
            "annotations": [{"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}]}]}]}"#,
        r#"{"content": [{"type": "text", "text": "Hi.", "citations": [{"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "Hi", "encrypted_index": "x"}]}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP",
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
                "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 2, "text": "Hi"}, "groundingChunkIndices": [0]}]}}]}"#,
    ),
    said(
        "cut off at the limit of tokens",
        r#"{"choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "Hi"}}]}"#,
        r#"{"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
            "output": [{"id": "msg_1", "type": "message", "status": "incomplete", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}]}"#,
        r#"{"stop_reason": "max_tokens", "content": [{"type": "text", "text": "Hi"}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "MAX_TOKENS"}]}"#,
    ),
    said(
        "stopped by a word of the caller's",
        "",
        "",
        r#"{"stop_reason": "stop_sequence", "stop_sequence": "END", "content": [{"type": "text", "text": "Hi"}]}"#,
        "",
    ),
    said(
        "filtered",
        r#"{"choices": [{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": "Hi"}}]}"#,
        r#"{"status": "incomplete", "incomplete_details": {"reason": "content_filter"},
            "output": [{"id": "msg_1", "type": "message", "status": "incomplete", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}]}"#,
        r#"{"stop_reason": "refusal", "content": [{"type": "text", "text": "Hi"}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "SAFETY"}]}"#,
    ),
    said(
        "cached, written and thinking tokens",
        r#"{"usage": {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70,
            "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 8}}}"#,
        r#"{"usage": {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
            "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 8}, "total_tokens": 70}}"#,
        r#"{"usage": {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 10, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 8}}}"#,
        r#"{"usageMetadata": {"promptTokenCount": 50, "cachedContentTokenCount": 30, "candidatesTokenCount": 12, "thoughtsTokenCount": 8, "totalTokenCount": 70}}"#,
    ),
    said(
        "two answers",
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}},
            {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "Ho."}}]}"#,
        "",
        "",
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"},
            {"index": 1, "content": {"role": "model", "parts": [{"text": "Ho."}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "logprobs",
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"},
            "logprobs": {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}], "refusal": null}}]}"#,
        r#"{"output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": [],
            "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]}]}]}"#,
        "",
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP",
            "logprobsResult": {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}], "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}]}]}}]}"#,
    ),
    said(
        "the service tier",
        r#"{"service_tier": "priority"}"#,
        r#"{"service_tier": "priority"}"#,
        r#"{"usage": {"input_tokens": 5, "output_tokens": 2, "service_tier": "priority"}}"#,
        "",
    ),
    said(
        "an image",
        "",
        r#"{"output": [{"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGk="}]}"#,
        "",
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}, "finishReason": "STOP"}]}"#,
    ),
    said(
        "what the provider's own tools did",
        "",
        r#"{"output": [{"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "tides"}},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}]}"#,
        r#"{"content": [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tides"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, {"type": "text", "text": "Hi."}]}"#,
        r#"{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "Hi."}]}, "finishReason": "STOP"}]}"#,
    ),
];

/// A provider's error, as each format's provider sends it.
pub(super) struct Failed {
    pub(super) what: &'static str,
    pub(super) openai: (u16, &'static str),
    pub(super) anthropic: (u16, &'static str),
    pub(super) gemini: (u16, &'static str),
}

pub(super) const FAILURES: &[Failed] = &[
    Failed {
        what: "a field that isn't allowed",
        openai: (
            400,
            r#"{"error": {"message": "Unknown parameter: 'x'.", "type": "invalid_request_error", "param": "x", "code": "unknown_parameter"}}"#,
        ),
        anthropic: (
            400,
            r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "x: extra inputs are not permitted"}}"#,
        ),
        gemini: (
            400,
            r#"{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"x\".", "status": "INVALID_ARGUMENT"}}"#,
        ),
    },
    Failed {
        what: "more tokens than the model reads",
        openai: (
            400,
            r#"{"error": {"message": "This model's maximum context length is 128000 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}"#,
        ),
        anthropic: (
            400,
            r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}}"#,
        ),
        gemini: (
            400,
            r#"{"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}"#,
        ),
    },
    Failed {
        what: "a wrong key",
        openai: (
            401,
            r#"{"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}"#,
        ),
        anthropic: (
            401,
            r#"{"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}"#,
        ),
        gemini: (
            400,
            r#"{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
                "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}}"#,
        ),
    },
    Failed {
        what: "a key that may not",
        openai: (
            403,
            r#"{"error": {"message": "Country not supported.", "type": "request_forbidden", "param": null, "code": "unsupported_country_region_territory"}}"#,
        ),
        anthropic: (
            403,
            r#"{"type": "error", "error": {"type": "permission_error", "message": "Your key may not use this."}}"#,
        ),
        gemini: (
            403,
            r#"{"error": {"code": 403, "message": "Permission denied.", "status": "PERMISSION_DENIED"}}"#,
        ),
    },
    Failed {
        what: "no such model",
        openai: (
            404,
            r#"{"error": {"message": "The model `m` does not exist.", "type": "invalid_request_error", "param": null, "code": "model_not_found"}}"#,
        ),
        anthropic: (
            404,
            r#"{"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}"#,
        ),
        gemini: (
            404,
            r#"{"error": {"code": 404, "message": "models/m is not found.", "status": "NOT_FOUND"}}"#,
        ),
    },
    Failed {
        what: "a body that is too large",
        openai: (
            413,
            r#"{"error": {"message": "Too large.", "type": "invalid_request_error", "param": null, "code": null}}"#,
        ),
        anthropic: (
            413,
            r#"{"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}"#,
        ),
        gemini: (
            413,
            r#"{"error": {"code": 413, "message": "Too large.", "status": "INVALID_ARGUMENT"}}"#,
        ),
    },
    Failed {
        what: "too many calls",
        openai: (
            429,
            r#"{"error": {"message": "Rate limit reached.", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}"#,
        ),
        anthropic: (
            429,
            r#"{"type": "error", "error": {"type": "rate_limit_error", "message": "Too many."}}"#,
        ),
        gemini: (
            429,
            r#"{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}]}}"#,
        ),
    },
    Failed {
        what: "no money left",
        openai: (
            429,
            r#"{"error": {"message": "You exceeded your current quota.", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}}"#,
        ),
        anthropic: (
            402,
            r#"{"type": "error", "error": {"type": "billing_error", "message": "Your credit balance is too low."}}"#,
        ),
        gemini: (0, ""),
    },
    Failed {
        what: "a failure of its own",
        openai: (
            500,
            r#"{"error": {"message": "The server had an error.", "type": "server_error", "param": null, "code": null}}"#,
        ),
        anthropic: (
            500,
            r#"{"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}"#,
        ),
        gemini: (
            500,
            r#"{"error": {"code": 500, "message": "An internal error has occurred.", "status": "INTERNAL"}}"#,
        ),
    },
    Failed {
        what: "too busy",
        openai: (
            503,
            r#"{"error": {"message": "The engine is overloaded.", "type": "server_error", "param": null, "code": null}}"#,
        ),
        anthropic: (
            529,
            r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#,
        ),
        gemini: (
            503,
            r#"{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}"#,
        ),
    },
    Failed {
        what: "too slow",
        openai: (
            504,
            r#"{"error": {"message": "Timed out.", "type": "timeout", "param": null, "code": null}}"#,
        ),
        anthropic: (
            504,
            r#"{"type": "error", "error": {"type": "timeout_error", "message": "Timed out."}}"#,
        ),
        gemini: (
            504,
            r#"{"error": {"code": 504, "message": "Deadline expired.", "status": "DEADLINE_EXCEEDED"}}"#,
        ),
    },
];
