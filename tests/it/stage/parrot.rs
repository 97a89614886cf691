//! A provider of both dialects that says back what it was asked, word by word.

use std::sync::Arc;

use http::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::scripted::{self, Played, Scripted, Seen};

/// Everything a provider was asked, in the order it came.
pub(crate) type Asked = Arc<Mutex<Vec<Seen>>>;

/// Starts one, and hands out what it is asked.
pub(crate) async fn start() -> (Scripted, Asked) {
    let asked = Asked::default();
    let theirs = Arc::clone(&asked);
    let provider = Scripted::start(move |seen| {
        let answer = repeat(&seen);
        theirs.lock().push(seen);
        async move { answer }
    })
    .await;
    (provider, asked)
}

/// A configuration in which it is both OpenAI and Anthropic.
pub(crate) fn both(provider: &Scripted) -> String {
    format!(
        "[providers.openai]\napi_key = \"sk-openai\"\nbase_url = \"{}\"\npool.warm = 0\n\
         [providers.anthropic]\napi_key = \"sk-anthropic\"\nbase_url = \"{}\"\npool.warm = 0\n\
         [cache]\nshare = \"off\"\n[generate]\nshare = \"off\"\n",
        provider.base("/v1"),
        provider.base("")
    )
}

/// What the caller's words come back as.
pub(crate) fn repeat(seen: &Seen) -> Response<Played> {
    let Ok(asked) = serde_json::from_slice::<Value>(&seen.body) else {
        return scripted::json(400, r#"{"error":{"message":"not JSON"}}"#);
    };
    let messages = asked["messages"].as_array().unwrap();
    let prompt = messages.last().unwrap()["content"].as_str().unwrap();
    let is_chat = seen.uri.path().ends_with("/chat/completions");
    let streamed = asked["stream"] == true;
    match (is_chat, streamed) {
        (true, false) => scripted::json(200, chat(prompt).to_string()),
        (false, false) => scripted::json(200, message(prompt).to_string()),
        (true, true) => scripted::events(Played::whole(chat_events(prompt))),
        (false, true) => scripted::events(Played::whole(message_events(prompt))),
    }
}

fn chat(text: &str) -> Value {
    json!({
        "id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, "refusal": null},
        }],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    })
}

fn message(text: &str) -> Value {
    json!({
        "id": "msg_7", "type": "message", "role": "assistant", "model": "claude-3-5-haiku-20241022",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens", "stop_sequence": null,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 3},
    })
}

/// Its words, the spaces in front of them.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let starts = text.match_indices(' ').map(|(at, _)| at);
    let starts: Vec<usize> = std::iter::once(0)
        .chain(starts.filter(|at| *at > 0))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &text[*start..end])
        .collect()
}

/// A chat stream's frames of that text.
pub(crate) fn chat_events(text: &str) -> String {
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1,
            "model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage,
        })
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut events = vec![chunk(
        choice(json!({"role": "assistant", "content": ""}), Value::Null),
        Value::Null,
    )];
    events.extend(
        words(text)
            .into_iter()
            .map(|word| chunk(choice(json!({"content": word}), Value::Null), Value::Null)),
    );
    events.push(chunk(choice(json!({}), "stop".into()), Value::Null));
    let usage = &chat("")["usage"];
    events.push(chunk(json!([]), usage.clone()));
    let frames = events.iter().map(|event| format!("data: {event}\n\n"));
    frames.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// A Messages stream's frames of that text.
pub(crate) fn message_events(text: &str) -> String {
    let mut start = message("");
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = 1.into();
    let mut events = vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(words(text).into_iter().map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    }));
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": null}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]);
    events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        })
        .collect()
}
