//! OpenAI's Responses: named events, each numbered, and a terminal one that
//! holds the whole response.

use bytes::{Bytes, BytesMut};

use super::{ALPHABET, Call, Quoted, quote};
use crate::sim::answer::{Choice, Finish};

/// A stream of events.
#[derive(Debug)]
pub(super) struct Events {
    /// The number of the next event.
    sequence: u64,
    /// Up to the token of a delta.
    before: String,
    /// Between the token and the sequence number.
    after: String,
    padding: bool,
}

impl Events {
    pub(super) fn new(call: &Call) -> Self {
        let item = item_id(call);
        let is_tool = tool(call).is_some();
        let name = if is_tool {
            "response.function_call_arguments.delta"
        } else {
            "response.output_text.delta"
        };
        let before = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"delta\":");
        let content = if is_tool {
            ""
        } else {
            r#""content_index":0,"logprobs":[],"#
        };
        let after = format!(r#",{content}"item_id":"{item}","output_index":0,"sequence_number":"#);
        Self {
            sequence: 0,
            before,
            after,
            padding: call.ask.padding,
        }
    }

    pub(super) fn opening(&mut self, call: &Call) -> Vec<Bytes> {
        let response = object(call, "in_progress", "", "null");
        let mut events = vec![
            self.event("response.created", &format!(r#""response":{response}"#)),
            self.event("response.in_progress", &format!(r#""response":{response}"#)),
        ];
        let item = item(call, "in_progress", None);
        let added = format!(r#""item":{item},"output_index":0"#);
        events.push(self.event("response.output_item.added", &added));
        if tool(call).is_none() {
            let part = self.part(call, "");
            events.push(self.event("response.content_part.added", &part));
        }
        events
    }

    pub(super) fn delta(&mut self, _choice: &Choice, token: &str, out: &mut BytesMut) {
        out.reserve(self.before.len() + self.after.len() + token.len() + 60);
        out.extend_from_slice(self.before.as_bytes());
        quote(token, out);
        if self.padding {
            let length = 16usize.saturating_sub(token.len()).max(1);
            out.extend_from_slice(br#","obfuscation":""#);
            out.extend_from_slice(&ALPHABET[token.len() % 40..][..length]);
            out.extend_from_slice(b"\"");
        }
        out.extend_from_slice(self.after.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    pub(super) fn closing(&mut self, call: &Call) -> Vec<Bytes> {
        let Some(choice) = call.answer.choices.first() else {
            return Vec::new();
        };
        let text = choice.text.as_str();
        let id = item_id(call);
        let mut events = Vec::with_capacity(4);
        if tool(call).is_some() {
            let done = format!(
                r#""arguments":{},"item_id":"{id}","output_index":0"#,
                Quoted(text)
            );
            events.push(self.event("response.function_call_arguments.done", &done));
        } else {
            let done = format!(
                r#""content_index":0,"item_id":"{id}","logprobs":[],"output_index":0,"text":{}"#,
                Quoted(text)
            );
            events.push(self.event("response.output_text.done", &done));
            let part = self.part(call, text);
            events.push(self.event("response.content_part.done", &part));
        }
        let status = status(call);
        let item = item(call, status, Some(text));
        let done = format!(r#""item":{item},"output_index":0"#);
        events.push(self.event("response.output_item.done", &done));
        let whole = object(call, status, &item, &usage(call));
        let name = format!("response.{status}");
        events.push(self.event(&name, &format!(r#""response":{whole}"#)));
        events
    }

    fn part(&self, call: &Call, text: &str) -> String {
        format!(
            r#""content_index":0,"item_id":"{}","output_index":0,"part":{}"#,
            item_id(call),
            output_text(text)
        )
    }

    fn event(&mut self, name: &str, members: &str) -> Bytes {
        let sequence = self.sequence;
        self.sequence += 1;
        Bytes::from(format!(
            "event: {name}\ndata: {{\"type\":\"{name}\",{members},\"sequence_number\":{sequence}}}\n\n"
        ))
    }
}

/// `POST /v1/responses` without `stream`.
pub(super) fn whole(call: &Call) -> String {
    let text = call
        .answer
        .choices
        .first()
        .map(|choice| choice.text.as_str());
    let status = status(call);
    object(call, status, &item(call, status, text), &usage(call))
}

fn object(call: &Call, status: &str, output: &str, usage: &str) -> String {
    let completed = match status {
        "completed" => call.created.to_string(),
        _ => "null".to_owned(),
    };
    let incomplete = match status {
        "incomplete" => r#"{"reason":"max_output_tokens"}"#,
        _ => "null",
    };
    format!(
        r#"{{"id":"resp_{}","object":"response","created_at":{},"status":"{status}","completed_at":{completed},"error":null,"frequency_penalty":0.0,"incomplete_details":{incomplete},"model":{},"moderation":null,"output":[{output}],"presence_penalty":0.0,"prompt_cache_retention":null,{}"service_tier":"default","top_logprobs":0,"usage":{usage},"user":null}}"#,
        call.id,
        call.created,
        Quoted(&call.ask.model),
        call.ask.repeated,
    )
}

/// The one output item; `text` is absent while nothing has been said.
fn item(call: &Call, status: &str, text: Option<&str>) -> String {
    let id = item_id(call);
    if let Some(name) = tool(call) {
        return format!(
            r#"{{"id":"{id}","type":"function_call","status":"{status}","arguments":{},"call_id":"call_{}","name":{}}}"#,
            Quoted(text.unwrap_or("")),
            call.id,
            Quoted(name)
        );
    }
    let content = text.map(output_text).unwrap_or_default();
    format!(
        r#"{{"id":"{id}","type":"message","status":"{status}","content":[{content}],"role":"assistant"}}"#
    )
}

fn output_text(text: &str) -> String {
    format!(
        r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":{}}}"#,
        Quoted(text)
    )
}

fn usage(call: &Call) -> String {
    let (input, output) = (call.answer.input, call.answer.output);
    format!(
        r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":0}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}}"#,
        input + output
    )
}

fn status(call: &Call) -> &'static str {
    match call.answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => "incomplete",
        _ => "completed",
    }
}

fn tool(call: &Call) -> Option<&str> {
    call.answer.choices.first()?.calls.as_deref()
}

fn item_id(call: &Call) -> String {
    let kind = if tool(call).is_some() { "fc" } else { "msg" };
    format!("{kind}_{}", call.id)
}
