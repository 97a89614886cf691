//! Anthropic's Messages: named events, a ping behind the first block's start,
//! no `[DONE]`.

use bytes::{Bytes, BytesMut};

use super::{Call, Quoted, quote};
use crate::sim::answer::{Choice, Finish};
use crate::sim::ask::Form;

/// The real one pads its JSON with spaces before the last brace; so does this,
/// because a relay must keep them.
const SPACES: &str = "               ";

/// A stream of events.
#[derive(Debug)]
pub(super) struct Events {
    /// Deltas so far: what the padding depends on.
    deltas: usize,
}

impl Events {
    pub(super) fn new(_call: &Call) -> Self {
        Self { deltas: 0 }
    }

    pub(super) fn opening(&self, call: &Call) -> Vec<Bytes> {
        let block = match call
            .answer
            .choices
            .first()
            .and_then(|choice| choice.calls.as_ref())
        {
            Some(name) => tool(call, name, "{}"),
            None => r#"{"type":"text","text":""}"#.to_owned(),
        };
        let start = message(call, "", "null", "null", call.answer.output.min(1));
        vec![
            event(
                "message_start",
                &format!(r#"{{"type":"message_start","message":{start}}}"#),
            ),
            event(
                "content_block_start",
                &format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#),
            ),
            event("ping", r#"{"type": "ping"}"#),
        ]
    }

    pub(super) fn delta(&mut self, choice: &Choice, token: &str, out: &mut BytesMut) {
        out.reserve(token.len() + 160);
        out.extend_from_slice(b"event: content_block_delta\ndata: ");
        out.extend_from_slice(br#"{"type":"content_block_delta","index":0,"delta":{"type":"#);
        out.extend_from_slice(match choice.calls {
            Some(_) => br#""input_json_delta","partial_json":"#.as_slice(),
            None => br#""text_delta","text":"#,
        });
        quote(token, out);
        out.extend_from_slice(b"}");
        self.deltas += 1;
        out.extend_from_slice(&SPACES.as_bytes()[..self.deltas * 7 % SPACES.len()]);
        out.extend_from_slice(b"}\n\n");
    }

    pub(super) fn closing(&self, call: &Call) -> Vec<Bytes> {
        let (reason, sequence) = stop(call);
        let usage = format!(
            r#"{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{}}}"#,
            call.answer.input, call.answer.output
        );
        vec![
            event(
                "content_block_stop",
                r#"{"type":"content_block_stop","index":0     }"#,
            ),
            event(
                "message_delta",
                &format!(
                    r#"{{"type":"message_delta","delta":{{"stop_reason":{reason},"stop_sequence":{sequence},"stop_details":null}},"usage":{usage}  }}"#
                ),
            ),
            event("message_stop", r#"{"type":"message_stop"    }"#),
        ]
    }
}

/// `POST /v1/messages` without `stream`.
pub(super) fn whole(call: &Call) -> String {
    let content = match call.answer.choices.first() {
        Some(Choice {
            calls: Some(name),
            text,
            ..
        }) => {
            // Arguments cut short are no JSON; then none were given.
            let is_json =
                serde_json::from_str::<&serde_json::value::RawValue>(text.as_str()).is_ok();
            tool(call, name, if is_json { text.as_str() } else { "{}" })
        }
        Some(choice) => format!(
            r#"{{"type":"text","text":{}}}"#,
            Quoted(choice.text.as_str())
        ),
        None => String::new(),
    };
    let (reason, sequence) = stop(call);
    message(call, &content, &reason, &sequence, call.answer.output)
}

fn message(call: &Call, content: &str, reason: &str, sequence: &str, output: u64) -> String {
    format!(
        r#"{{"model":{},"id":"msg_{}","type":"message","role":"assistant","content":[{content}],"stop_reason":{reason},"stop_sequence":{sequence},"stop_details":null,"usage":{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":{output},"service_tier":"standard","inference_geo":"not_available"}}}}"#,
        Quoted(&call.ask.model),
        call.id,
        call.answer.input,
    )
}

fn tool(call: &Call, name: &str, input: &str) -> String {
    format!(
        r#"{{"type":"tool_use","id":"toolu_{}","name":{},"input":{input},"caller":{{"type":"direct"}}}}"#,
        call.id,
        Quoted(name)
    )
}

/// `stop_reason` and `stop_sequence`, as JSON.
fn stop(call: &Call) -> (String, String) {
    let Some(choice) = call.answer.choices.first() else {
        return ("null".to_owned(), "null".to_owned());
    };
    let sequence = match &choice.finish {
        Finish::Sequence(sequence) => Quoted(sequence).to_string(),
        Finish::Stop | Finish::Length | Finish::Tool => "null".to_owned(),
    };
    (format!("\"{}\"", choice.finish(Form::Messages)), sequence)
}

fn event(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
