//! A round trip with a tool: the model calls it, the caller answers with what
//! its SDK was given, and the provider reads its own call back.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{Caller, UNSHARED, assert_ok, both};
use crate::stage::scripted::{Played, Scripted, Seen, events, json as whole};
use crate::stage::{Stage, post};

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Anthropic,
    OpenAi,
    Gemini,
}

impl Provider {
    fn model(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic/claude-x",
            Self::OpenAi => "openai/gpt-x",
            Self::Gemini => "google/gemini-x",
        }
    }

    /// The call of the tool, whole.
    fn calls(self) -> Value {
        match self {
            Self::Anthropic => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
                "content": [
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {"place": "Brest"}},
                ],
                "stop_reason": "tool_use", "stop_sequence": null,
                "usage": {"input_tokens": 5, "output_tokens": 3},
            }),
            Self::OpenAi => json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-x",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": "Let me see.", "refusal": null,
                    "tool_calls": [{"id": "call_1", "type": "function",
                        "function": {"name": "tide", "arguments": "{\"place\":\"Brest\"}"}}],
                }}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            }),
            Self::Gemini => json!({
                "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                    {"text": "Let me see."},
                    {"functionCall": {"name": "tide", "args": {"place": "Brest"}}, "thoughtSignature": "c2lnbmVk"},
                ]}}],
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
                "modelVersion": "gemini-x", "responseId": "r1",
            }),
        }
    }

    /// The same as a stream, the arguments in pieces where they may be.
    fn calls_streamed(self) -> String {
        match self {
            Self::Anthropic => {
                let mut start = self.calls();
                start["content"] = json!([]);
                start["stop_reason"] = Value::Null;
                let delta = |index: u8, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
                let all = [
                    json!({"type": "message_start", "message": start}),
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                    delta(0, json!({"type": "text_delta", "text": "Let me see."})),
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}}),
                    delta(1, json!({"type": "input_json_delta", "partial_json": ""})),
                    delta(
                        1,
                        json!({"type": "input_json_delta", "partial_json": "{\"place\":"}),
                    ),
                    delta(
                        1,
                        json!({"type": "input_json_delta", "partial_json": " \"Brest\"}"}),
                    ),
                    json!({"type": "content_block_stop", "index": 1}),
                    json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 3}}),
                    json!({"type": "message_stop"}),
                ];
                let frame = |event: &Value| {
                    let name = event["type"].as_str().unwrap();
                    format!("event: {name}\ndata: {event}\n\n")
                };
                all.iter().map(frame).collect()
            }
            Self::OpenAi => {
                let call = |call: Value| json!({"tool_calls": [call]});
                let all = [
                    json!({"role": "assistant", "content": ""}),
                    json!({"content": "Let me see."}),
                    call(
                        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "tide", "arguments": ""}}),
                    ),
                    call(json!({"index": 0, "function": {"arguments": "{\"place\":"}})),
                    call(json!({"index": 0, "function": {"arguments": " \"Brest\"}"}})),
                    json!({}),
                ];
                let last = all.len() - 1;
                let frame = |(at, delta): (usize, &Value)| {
                    let finish = if at == last {
                        json!("tool_calls")
                    } else {
                        Value::Null
                    };
                    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
                    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x", "choices": [choice]});
                    format!("data: {chunk}\n\n")
                };
                let frames: String = all.iter().enumerate().map(frame).collect();
                frames + "data: [DONE]\n\n"
            }
            Self::Gemini => format!("data: {}\r\n\r\n", self.calls()),
        }
    }

    /// Looks at what it is told of its call and of the result.
    fn assert_reads_back(self, sent: &Value) {
        match self {
            Self::Anthropic => {
                let used = &sent["messages"][1]["content"][1];
                assert_eq!(used["id"], "toolu_1", "{sent}");
                assert_eq!(
                    (&used["name"], &used["input"]),
                    (&json!("tide"), &json!({"place": "Brest"}))
                );
                let result = &sent["messages"][2]["content"][0];
                assert_eq!(result["tool_use_id"], "toolu_1", "{sent}");
                assert!(
                    result["content"].to_string().contains("high at noon"),
                    "{sent}"
                );
                assert_eq!(
                    sent["tools"][0]["input_schema"]["required"],
                    json!(["place"])
                );
            }
            Self::OpenAi => {
                let call = &sent["messages"][1]["tool_calls"][0];
                assert_eq!(call["id"], "call_1", "{sent}");
                let arguments = call["function"]["arguments"].as_str().unwrap();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                assert_eq!(arguments, json!({"place": "Brest"}));
                let result = &sent["messages"][2];
                assert_eq!(
                    (&result["role"], &result["tool_call_id"]),
                    (&json!("tool"), &json!("call_1"))
                );
                assert!(
                    result["content"].to_string().contains("high at noon"),
                    "{sent}"
                );
                assert_eq!(
                    sent["tools"][0]["function"]["parameters"]["required"],
                    json!(["place"])
                );
            }
            Self::Gemini => {
                let call = &sent["contents"][1]["parts"][1];
                assert_eq!(
                    call["functionCall"]["args"],
                    json!({"place": "Brest"}),
                    "{sent}"
                );
                assert_eq!(call["thoughtSignature"], "c2lnbmVk", "{sent}");
                let result = &sent["contents"][2]["parts"][0]["functionResponse"];
                assert_eq!(result["name"], "tide", "{sent}");
                assert!(
                    result["response"].to_string().contains("high at noon"),
                    "{sent}"
                );
                let tool = &sent["tools"][0]["functionDeclarations"][0];
                assert_eq!(tool["parametersJsonSchema"]["required"], json!(["place"]));
            }
        }
    }
}

/// A provider of all three that calls the tool, or says when it turns once it
/// knows; and what it was asked last.
async fn start() -> (Scripted, Arc<Mutex<Option<Value>>>) {
    let asked = Arc::new(Mutex::new(None));
    let notes = Arc::clone(&asked);
    let provider = Scripted::start(move |seen: Seen| {
        let path = seen.uri.to_string();
        let who = match path.as_str() {
            "/v1/messages" => Provider::Anthropic,
            "/v1/chat/completions" => Provider::OpenAi,
            _ => Provider::Gemini,
        };
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let is_streamed = path.contains("stream") || body["stream"] == true;
        let knows = seen.text().contains("high at noon");
        *notes.lock() = Some(body);
        let mut answer = (who.calls(), who.calls_streamed());
        if knows {
            answer = (said(who), said_streamed(who));
        }
        std::future::ready(match is_streamed {
            true => events(Played::whole(answer.1)),
            false => whole(200, answer.0.to_string()),
        })
    })
    .await;
    (provider, asked)
}

const SAID: &str = "It turns at noon.";

fn said(who: Provider) -> Value {
    let mut answer = who.calls();
    match who {
        Provider::Anthropic => {
            answer["content"] = json!([{"type": "text", "text": SAID}]);
            answer["stop_reason"] = "end_turn".into();
        }
        Provider::OpenAi => {
            answer["choices"][0]["message"] =
                json!({"role": "assistant", "content": SAID, "refusal": null});
            answer["choices"][0]["finish_reason"] = "stop".into();
        }
        Provider::Gemini => {
            answer["candidates"][0]["content"]["parts"] = json!([{"text": SAID}]);
        }
    }
    answer
}

fn said_streamed(who: Provider) -> String {
    match who {
        Provider::Anthropic => Caller::Chat.events(SAID),
        Provider::OpenAi => Caller::Messages.events(SAID),
        Provider::Gemini => format!("data: {}\r\n\r\n", said(who)),
    }
}

/// The events of a stream.
fn data(stream: &str) -> Vec<Value> {
    let lines = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events = lines.filter(|data| *data != "[DONE]");
    events
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

impl Caller {
    fn ask_with_tool(self, model: &str, stream: bool, turns: &[Value]) -> Request<Bytes> {
        let schema = json!({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]});
        let tool = match self {
            Self::Chat => {
                json!({"type": "function", "function": {"name": "tide", "parameters": schema}})
            }
            Self::Messages => json!({"name": "tide", "input_schema": schema}),
        };
        let body = json!({"model": model, "max_tokens": 99, "stream": stream, "messages": turns, "tools": [tool]});
        post(self.path(), body.to_string())
    }

    /// The turn of the model's in an answer, as an SDK hands it back.
    fn turn(self, answer: &str, stream: bool) -> Value {
        match (self, stream) {
            (Self::Chat, false) => {
                let body: Value = serde_json::from_str(answer).unwrap();
                assert_eq!(body["choices"][0]["finish_reason"], "tool_calls", "{body}");
                body["choices"][0]["message"].clone()
            }
            (Self::Messages, false) => {
                let body: Value = serde_json::from_str(answer).unwrap();
                assert_eq!(body["stop_reason"], "tool_use", "{body}");
                json!({"role": "assistant", "content": body["content"]})
            }
            (Self::Chat, true) => gathered_chat(answer),
            (Self::Messages, true) => gathered_message(answer),
        }
    }

    /// The caller's next turn: what the tool has said.
    fn result(self, turn: &Value) -> Value {
        match self {
            Self::Chat => {
                let call = &turn["tool_calls"][0];
                assert_eq!(call["function"]["name"], "tide", "{turn}");
                json!({"role": "tool", "tool_call_id": call["id"], "content": "high at noon"})
            }
            Self::Messages => {
                let used = &turn["content"][1];
                assert_eq!(
                    (&used["type"], &used["name"]),
                    (&json!("tool_use"), &json!("tide")),
                    "{turn}"
                );
                let result = json!({"type": "tool_result", "tool_use_id": used["id"], "content": "high at noon"});
                json!({"role": "user", "content": [result]})
            }
        }
    }
}

/// Adds the deltas of a chat stream up.
fn gathered_chat(stream: &str) -> Value {
    let (mut content, mut arguments) = (String::new(), String::new());
    let mut call = Map::new();
    for event in data(stream) {
        let delta = &event["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        if let Some(piece) = delta["tool_calls"][0].as_object() {
            let more = piece["function"]["arguments"].as_str();
            arguments.push_str(more.unwrap_or_default());
            let new = piece.iter().filter(|(key, _)| *key != "index");
            for (key, value) in new {
                call.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    call["function"]["arguments"] = arguments.into();
    json!({"role": "assistant", "content": content, "tool_calls": [call]})
}

/// Adds the deltas of a Messages stream up.
fn gathered_message(stream: &str) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in data(stream) {
        match event["type"].as_str() {
            Some("content_block_start") => blocks.push(event["content_block"].clone()),
            Some("content_block_delta") => {
                let delta = &event["delta"];
                let last = blocks.last_mut().unwrap();
                if let Some(text) = delta["text"].as_str() {
                    last["text"] = (last["text"].as_str().unwrap().to_owned() + text).into();
                }
                if let Some(signature) = delta.get("signature") {
                    last["signature"] = signature.clone();
                }
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }
    let used = blocks.iter_mut().find(|block| block["type"] == "tool_use");
    used.unwrap()["input"] = serde_json::from_str(&input).unwrap();
    json!({"role": "assistant", "content": blocks})
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_read_by_every_provider() {
    let (provider, asked) = start().await;
    let google = format!(
        "{UNSHARED}\n[providers.google]\ndialect = \"gemini\"\napi_key = \"g-key\"\nbase_url = \"{}\"\npool.warm = 0\n",
        provider.base("")
    );
    let stage = Stage::set(&both(&provider, &google));
    for (caller, to) in [
        (Caller::Chat, Provider::Anthropic),
        (Caller::Chat, Provider::Gemini),
        (Caller::Messages, Provider::OpenAi),
        (Caller::Messages, Provider::Gemini),
    ] {
        for stream in [false, true] {
            let mut turns = vec![json!({"role": "user", "content": "When does it turn?"})];
            let answer = stage
                .call(caller.ask_with_tool(to.model(), stream, &turns))
                .await;
            assert_ok(&answer);
            let turn = caller.turn(answer.text(), stream);
            assert!(turn.to_string().contains("Let me see."), "{turn}");
            let result = caller.result(&turn);
            turns.extend([turn, result]);
            let answer = stage
                .call(caller.ask_with_tool(to.model(), stream, &turns))
                .await;
            assert_ok(&answer);
            let words = match stream {
                true => caller.heard(answer.text()).0,
                false => caller.said(&answer.json()),
            };
            assert_eq!(words, SAID, "{caller:?} {to:?}");
            assert_eq!(answer.header("x-nowait-dropped"), "", "{caller:?} {to:?}");
            to.assert_reads_back(asked.lock().as_ref().unwrap());
        }
    }
}
