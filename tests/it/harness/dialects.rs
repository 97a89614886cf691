//! The three kinds of callers, and how each of them is told of an error.

use serde_json::Value;

use super::client::{Reply, post};
use super::upstream::{LAST_CHUNK, Script, Step, chunk, json_answer, stream_head};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// An OpenAI client.
    Chat,
    /// An Anthropic client.
    Messages,
    /// A caller of the plain endpoint.
    Plain,
}

pub(crate) const DOORS: [Door; 3] = [Door::Chat, Door::Messages, Door::Plain];

impl Door {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Plain => "/generate",
        }
    }

    /// A call that `harness::gateway::both` has a provider for.
    pub(crate) fn body(self, stream: bool) -> String {
        let said = r#""messages":[{"role":"user","content":"hello"}]"#;
        match self {
            Self::Chat => format!(r#"{{"model":"up/m","stream":{stream},{said}}}"#),
            Self::Messages => {
                format!(r#"{{"model":"claude/m","max_tokens":9,"stream":{stream},{said}}}"#)
            }
            Self::Plain => format!(r#"{{"prompt":"hello","stream":{stream}}}"#),
        }
    }

    pub(crate) fn call(self, stream: bool) -> Vec<u8> {
        self.call_with(stream, &[])
    }

    pub(crate) fn call_with(self, stream: bool, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        post(self.path(), &all, self.body(stream))
    }

    /// A whole answer as this caller's provider gives it.
    pub(crate) fn answer(self) -> Vec<u8> {
        json_answer(200, self.answer_body())
    }

    pub(crate) fn answer_body(self) -> &'static str {
        match self {
            Self::Chat | Self::Plain => CHAT,
            Self::Messages => MESSAGE,
        }
    }

    /// The events of a stream, one frame each; the last is the terminal one.
    pub(crate) fn events(self) -> &'static [&'static str] {
        match self {
            Self::Chat | Self::Plain => CHAT_EVENTS,
            Self::Messages => MESSAGE_EVENTS,
        }
    }

    /// The first `count` events after the head of a stream.
    pub(crate) fn opening(self, count: usize) -> Vec<u8> {
        let mut out = stream_head();
        for event in &self.events()[..count] {
            out.extend_from_slice(&chunk(event));
        }
        out
    }

    /// The events from `at` on, and the end.
    pub(crate) fn closing(self, at: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for event in &self.events()[at..] {
            out.extend_from_slice(&chunk(event));
        }
        out.extend_from_slice(LAST_CHUNK);
        out
    }

    /// A script that streams a whole answer.
    pub(crate) fn stream(self) -> Script {
        let mut all = self.opening(0);
        all.extend_from_slice(&self.closing(0));
        vec![Step::Send(all)]
    }

    /// What this caller sees of the first content event of a stream.
    pub(crate) fn first_words(self) -> &'static str {
        match self {
            Self::Chat => r#""content":"tide""#,
            Self::Messages => r#""text":"tide""#,
            Self::Plain => r#"{"delta":"tide"}"#,
        }
    }

    /// Looks at an error of nowait's own, told as this caller expects it.
    /// Returns its words.
    #[track_caller]
    pub(crate) fn assert_error(self, reply: &Reply, status: u16, code: &str) -> String {
        let shown = format!("{self:?}: {} {}", reply.status, reply.text());
        let (status, kind) = match self {
            Self::Messages if code == "overloaded" => (529, "application/json"),
            Self::Plain => (status, "application/problem+json"),
            _ => (status, "application/json"),
        };
        assert_eq!(reply.status, status, "{shown}");
        assert!(reply.whole, "{shown}");
        assert_eq!(reply.head.get("content-type"), Some(kind), "{shown}");
        let id = reply.head.get("x-request-id").expect("an id");
        self.assert_error_body(&reply.json(), status, code, id)
    }

    #[track_caller]
    fn assert_error_body(self, body: &Value, status: u16, code: &str, id: &str) -> String {
        let words = match self {
            Self::Chat => {
                let error = &body["error"];
                assert_eq!(error["code"], code, "{body}");
                assert!(error["type"].is_string(), "{body}");
                assert!(error.get("param").is_some(), "{body}");
                &error["message"]
            }
            Self::Messages => {
                assert_eq!(body["type"], "error", "{body}");
                assert_eq!(body["error"]["type"], anthropic_type(code), "{body}");
                assert_eq!(body["request_id"], id, "{body}");
                &body["error"]["message"]
            }
            Self::Plain => {
                assert_eq!(body["code"], code, "{body}");
                assert_eq!(body["status"], status, "{body}");
                assert_eq!(body["request_id"], id, "{body}");
                &body["detail"]
            }
        };
        words.as_str().expect("words").to_owned()
    }

    /// Looks at the end of a stream that broke off: an error event in this
    /// caller's format is the last thing in it, and nothing pretends that the
    /// answer is whole. Returns the event's words.
    #[track_caller]
    pub(crate) fn assert_broken(self, stream: &[u8], code: &str, id: &str) -> String {
        let text = String::from_utf8(stream.to_vec()).expect("text");
        for end in ["[DONE]", "message_stop", "event: done"] {
            assert!(!text.contains(end), "a made-up {end}: {text}");
        }
        assert!(text.ends_with("\n\n"), "{text:?}");
        let frame = text.trim_end().rsplit("\n\n").next().expect("a frame");
        let (event, data) = match frame.split_once('\n') {
            Some((event, data)) => (event.strip_prefix("event: "), data),
            None => (None, frame),
        };
        assert_eq!(event, (self != Self::Chat).then_some("error"), "{text}");
        let data = data.strip_prefix("data: ").expect("data");
        let body = serde_json::from_str(data).expect("JSON");
        let status = match code {
            "timeout" => 504,
            "overloaded" => 503,
            _ => 502,
        };
        self.assert_error_body(&body, status, code, id)
    }
}

fn anthropic_type(code: &str) -> &'static str {
    match code {
        "invalid_request" => "invalid_request_error",
        "request_too_large" => "request_too_large",
        "invalid_api_key" => "authentication_error",
        "forbidden" => "permission_error",
        "model_not_found" | "not_found" => "not_found_error",
        "overloaded" => "overloaded_error",
        "timeout" | "not_cached" => "timeout_error",
        "request_timeout" => "timeout_error",
        "loop_detected" | "method_not_allowed" => "invalid_request_error",
        _ => "api_error",
    }
}

const CHAT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m-2026","choices":[{"index":0,"message":{"role":"assistant","content":"tide turns"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

const CHAT_EVENTS: &[&str] = &[
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"tide\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" turns\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-2026","content":[{"type":"text","text":"tide turns"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":2}}"#;

const MESSAGE_EVENTS: &[&str] = &[
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"tide\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" turns\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];
