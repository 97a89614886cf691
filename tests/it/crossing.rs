//! Calls that go to a provider of another dialect, end to end: what the
//! provider is asked, what the caller is told, and what becomes of failures,
//! losses and kept answers on the way.

mod answers;
mod apart;
mod failures;
mod gemini;
mod racing;
mod recorded;
mod several;
mod tools;
mod vectors;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::stage::parrot;
use crate::stage::scripted::Scripted;
use crate::stage::{Answer, post, with};

/// A caller, and a model of the other dialect's provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// An OpenAI client that asks Anthropic.
    Chat,
    /// An Anthropic client that asks OpenAI.
    Messages,
}

const CALLERS: [Caller; 2] = [Caller::Chat, Caller::Messages];

impl Caller {
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    /// Where its provider is asked.
    fn asked_at(self) -> &'static str {
        match self {
            Self::Chat => "/v1/messages",
            Self::Messages => "/v1/chat/completions",
        }
    }

    fn provider(self) -> &'static str {
        match self {
            Self::Chat => "anthropic",
            Self::Messages => "openai",
        }
    }

    fn model(self) -> &'static str {
        match self {
            Self::Chat => "anthropic/claude-x",
            Self::Messages => "openai/gpt-x",
        }
    }

    /// A call of `model` that says `prompt`, with more fields.
    fn body(self, model: &str, prompt: &str, more: &Value) -> String {
        let mut body = json!({
            "model": model, "max_tokens": 99, "messages": [{"role": "user", "content": prompt}],
        });
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        body.to_string()
    }

    fn call(self, prompt: &str, more: &Value) -> Request<Bytes> {
        self.call_of(self.model(), prompt, more)
    }

    fn call_of(self, model: &str, prompt: &str, more: &Value) -> Request<Bytes> {
        post(self.path(), self.body(model, prompt, more))
    }

    /// The words of a whole answer in its format.
    fn said(self, body: &Value) -> String {
        let text = match self {
            Self::Chat => &body["choices"][0]["message"]["content"],
            Self::Messages => &body["content"][0]["text"],
        };
        text.as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// The words of a stream in its format, and whether it ended well.
    fn heard(self, stream: &str) -> (String, bool) {
        let mut words = String::new();
        let mut ended = false;
        for frame in stream.split("\n\n").filter(|frame| !frame.is_empty()) {
            assert!(!ended, "something behind the end: {stream}");
            let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
            let Some(data) = data else { continue };
            if data == "[DONE]" {
                ended = true;
                continue;
            }
            let event: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{frame}"));
            let text = match self {
                Self::Chat => &event["choices"][0]["delta"]["content"],
                Self::Messages => &event["delta"]["text"],
            };
            words.push_str(text.as_str().unwrap_or_default());
            ended |= event["type"] == "message_stop";
        }
        (words, ended)
    }

    /// The error at the end of a stream.
    fn broke_off(self, stream: &str) -> Value {
        let frame = stream.trim_end().rsplit("\n\n").next().unwrap();
        let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
        let event: Value = serde_json::from_str(data.unwrap()).unwrap();
        assert!(event["error"].is_object(), "{stream}");
        assert!(!self.heard(stream).1, "a made-up end: {stream}");
        event["error"].clone()
    }

    /// The stream of events by which its provider says `text`.
    fn events(self, text: &str) -> String {
        match self {
            Self::Chat => parrot::message_events(text),
            Self::Messages => parrot::chat_events(text),
        }
    }
}

/// Both providers on one server, which share nothing unless `more` says so.
fn both(provider: &Scripted, more: &str) -> String {
    format!(
        "[providers.openai]\napi_key = \"sk-openai\"\nbase_url = \"{}\"\npool.warm = 0\n\
         [providers.anthropic]\napi_key = \"sk-anthropic\"\nbase_url = \"{}\"\npool.warm = 0\n{more}\n",
        provider.base("/v1"),
        provider.base("")
    )
}

const UNSHARED: &str = "[cache]\nshare = \"off\"\n[generate]\nshare = \"off\"";

/// The same call under that id.
fn named(request: Request<Bytes>, id: &str) -> Request<Bytes> {
    with(request, "x-request-id", id)
}

/// The access line of a call.
fn line<'a>(lines: &'a [Value], id: &str) -> &'a Value {
    let mut lines = lines.iter();
    lines.find(|line| line["request_id"] == id).unwrap()
}

#[track_caller]
fn assert_ok(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}
