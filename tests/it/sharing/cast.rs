//! The calls that share answers, and what their providers say: every format
//! that has both forms, and those that have one.

use serde_json::Value;

use crate::harness::client::{Reply, post};
use crate::harness::dialects::Door;
use crate::harness::upstream::{LAST_CHUNK, Script, Step, chunk, json_answer, stream_head};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Chat,
    Completions,
    Responses,
    Messages,
    CountTokens,
    Plain,
}

/// Those whose caller chooses the form.
pub(super) const CALLS: [Call; 4] = [
    Call::Chat,
    Call::Completions,
    Call::Responses,
    Call::Messages,
];

impl Call {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "chat" => Self::Chat,
            "completions" => Self::Completions,
            "responses" => Self::Responses,
            "messages" => Self::Messages,
            "count_tokens" => Self::CountTokens,
            "plain" => Self::Plain,
            other => unreachable!("no call is named {other}"),
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Plain => "/generate",
        }
    }

    /// A body with these fields and nothing that makes it deterministic.
    pub(super) fn body_with(self, fields: &str) -> String {
        let said = r#""messages":[{"role":"user","content":"hello"}]"#;
        match self {
            Self::Chat => format!(r#"{{"model":"up/m",{said},{fields}}}"#),
            Self::Completions => format!(r#"{{"model":"up/m","prompt":"hello",{fields}}}"#),
            Self::Responses => format!(r#"{{"model":"up/m","input":"hello",{fields}}}"#),
            Self::Messages => {
                format!(r#"{{"model":"claude/m","max_tokens":9,{said},{fields}}}"#)
            }
            Self::CountTokens => format!(r#"{{"model":"claude/m",{said},{fields}}}"#),
            Self::Plain => format!(r#"{{"prompt":"hello",{fields}}}"#),
        }
    }

    /// A call that may be shared; a stream with or without what it took, where
    /// that is the caller's to say.
    pub(super) fn ask(self, stream: bool, usage: bool, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut fields = format!(r#""temperature":0,"stream":{stream}"#);
        if stream && usage && matches!(self, Self::Chat | Self::Completions) {
            fields.push_str(r#","stream_options":{"include_usage":true}"#);
        }
        if self == Self::Responses {
            fields.push_str(r#","store":false"#);
        }
        post(self.path(), headers, self.body_with(&fields))
    }

    /// Its provider's whole answer, as a stream or not.
    pub(super) fn script(self, stream: bool) -> Script {
        if !stream {
            return vec![Step::Send(json_answer(200, self.whole()))];
        }
        let mut all = stream_head();
        self.events()
            .iter()
            .for_each(|event| all.extend(chunk(event)));
        all.extend_from_slice(LAST_CHUNK);
        vec![Step::Send(all)]
    }

    pub(super) fn whole(self) -> &'static str {
        match self {
            Self::Completions => COMPLETION,
            Self::Responses => RESPONSE,
            Self::Messages => Door::Messages.answer_body(),
            Self::CountTokens => r#"{"input_tokens":7}"#,
            Self::Chat | Self::Plain => Door::Chat.answer_body(),
        }
    }

    /// The stream, with what it took.
    pub(super) fn events(self) -> Vec<&'static str> {
        match self {
            Self::Completions => COMPLETION_EVENTS.to_vec(),
            Self::Responses => RESPONSE_EVENTS.to_vec(),
            Self::Messages => Door::Messages.events().to_vec(),
            _ => {
                let mut events = Door::Chat.events().to_vec();
                events.insert(events.len() - 1, CHAT_USAGE);
                events
            }
        }
    }

    /// The text of a whole answer.
    pub(super) fn text_of_whole(self, body: &Value) -> String {
        let text = match self {
            Self::Chat => &body["choices"][0]["message"]["content"],
            Self::Completions => &body["choices"][0]["text"],
            Self::Responses => &body["output"][0]["content"][0]["text"],
            Self::Messages => &body["content"][0]["text"],
            Self::CountTokens | Self::Plain => &body["response"],
        };
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The text that the events of a stream say.
    pub(super) fn text_of_stream(self, stream: &str) -> String {
        let said = |event: &Value| {
            let text = match self {
                Self::Chat => &event["choices"][0]["delta"]["content"],
                Self::Completions => &event["choices"][0]["text"],
                Self::Responses if event["type"] != "response.output_text.delta" => &Value::Null,
                Self::Messages => &event["delta"]["text"],
                Self::Responses | Self::CountTokens | Self::Plain => &event["delta"],
            };
            text.as_str().unwrap_or_default().to_owned()
        };
        data(stream).iter().map(said).collect()
    }

    /// The last thing in a whole stream.
    pub(super) fn terminal(self) -> &'static str {
        match self {
            Self::Responses => "response.completed",
            Self::Messages => "message_stop",
            Self::Plain => "event: done",
            _ => "data: [DONE]",
        }
    }
}

/// The JSON of each event of a stream.
pub(super) fn data(stream: &str) -> Vec<Value> {
    let lines = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|data| data.parse().ok()).collect()
}

/// A chat body that may be shared; `STREAM` stands where `stream` is said.
pub(super) fn cold(prompt: &str) -> String {
    format!(
        r#"{{"model":"up/m","temperature":0,"stream":STREAM,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    )
}

/// An unstreamed call with a body of [`cold`].
pub(super) fn ask(body: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    post(Door::Chat.path(), headers, body.replace("STREAM", "false"))
}

/// A whole chat answer whose text is this number.
pub(super) fn chat_saying(number: usize) -> String {
    let said = format!("\"content\":\"{number}\"");
    Door::Chat
        .answer_body()
        .replace("\"content\":\"tide turns\"", &said)
}

/// The number in an answer of [`chat_saying`].
#[track_caller]
pub(super) fn number_of(reply: &Reply) -> usize {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = Call::Chat.text_of_whole(&reply.json());
    text.parse().expect("a number")
}

const CHAT_USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";

const COMPLETION: &str = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"m-2026","choices":[{"index":0,"text":"tide turns","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

const COMPLETION_EVENTS: &[&str] = &[
    "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"tide\",\"logprobs\":null,\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\" turns\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n",
    "data: [DONE]\n\n",
];

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"incomplete_details":null,"model":"m-2026","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"tide turns","annotations":[]}]}],"store":false,"usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9}}"#;

const RESPONSE_EVENTS: &[&str] = &[
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"model\":\"m-2026\",\"output\":[],\"store\":false,\"usage\":null}}\n\n",
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n",
    "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"tide\"}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\" turns\"}\n\n",
    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"sequence_number\":5,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"text\":\"tide turns\"}\n\n",
    "event: response.content_part.done\ndata: {\"type\":\"response.content_part.done\",\"sequence_number\":6,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"tide turns\",\"annotations\":[]}}\n\n",
    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":7,\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"tide turns\",\"annotations\":[]}]}}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":8,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"m-2026\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"tide turns\",\"annotations\":[]}]}],\"store\":false,\"usage\":{\"input_tokens\":7,\"output_tokens\":2,\"total_tokens\":9}}}\n\n",
];
