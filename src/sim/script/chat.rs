//! OpenAI's chat completions: `data:` lines without event names, and `[DONE]`.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::{ALPHABET, Call, Quoted, quote};
use crate::sim::answer::Choice;
use crate::sim::ask::Form;

/// What is the same in every chunk of a stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Up to the choice's index.
    before: String,
    /// Behind the choice's `finish_reason`.
    after: &'static str,
    /// Whether an `obfuscation` field hides the token's length.
    padding: bool,
}

impl Chunks {
    pub(super) fn new(call: &Call) -> Self {
        let mut before = String::from("data: ");
        names(call, "chat.completion.chunk", &mut before);
        let after = if call.ask.usage_chunk {
            r#"}],"usage":null"#
        } else {
            "}]"
        };
        before.push_str(r#","choices":[{"index":"#);
        Self {
            before,
            after,
            padding: call.ask.padding,
        }
    }

    /// One event per choice with its role, and one with the head of its call.
    pub(super) fn opening(&self, call: &Call) -> Vec<Bytes> {
        let mut events = Vec::with_capacity(2);
        for (at, choice) in call.answer.choices.iter().enumerate() {
            let content = if choice.calls.is_some() {
                "null"
            } else {
                "\"\""
            };
            let role = format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#);
            events.push(self.chunk(at, &role, "null"));
            if let Some(name) = &choice.calls {
                let call = format!(
                    r#"{{"tool_calls":[{{"index":0,"id":"call_{}{at}","type":"function","function":{{"name":{},"arguments":""}}}}]}}"#,
                    call.id,
                    Quoted(name)
                );
                events.push(self.chunk(at, &call, "null"));
            }
        }
        events
    }

    pub(super) fn delta(&self, at: usize, choice: &Choice, token: &str, out: &mut BytesMut) {
        out.reserve(self.before.len() + token.len() + 160);
        out.extend_from_slice(self.before.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(at).as_bytes());
        if choice.calls.is_some() {
            out.extend_from_slice(
                br#","delta":{"tool_calls":[{"index":0,"function":{"arguments":"#,
            );
            quote(token, out);
            out.extend_from_slice(b"}}]}");
        } else {
            out.extend_from_slice(br#","delta":{"content":"#);
            quote(token, out);
            out.extend_from_slice(b"}");
        }
        out.extend_from_slice(br#","logprobs":null,"finish_reason":null"#);
        out.extend_from_slice(self.after.as_bytes());
        if self.padding {
            // Longer for shorter tokens, so that all events weigh about the same.
            let length = 16usize.saturating_sub(token.len()).max(1);
            out.extend_from_slice(br#","obfuscation":""#);
            out.extend_from_slice(&ALPHABET[token.len() % 40..][..length]);
            out.extend_from_slice(b"\"");
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// The finish of each choice, the usage where it was asked for, the end.
    pub(super) fn closing(&self, call: &Call) -> Vec<Bytes> {
        let choices = call.answer.choices.iter().enumerate();
        let mut events: Vec<_> = choices
            .map(|(at, choice)| self.chunk(at, "{}", &format!("\"{}\"", choice.finish(Form::Chat))))
            .collect();
        if call.ask.usage_chunk {
            let mut event = String::from("data: ");
            names(call, "chat.completion.chunk", &mut event);
            let _ = write!(event, r#","choices":[],"usage":{}}}"#, usage(call));
            event.push_str("\n\n");
            events.push(Bytes::from(event));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn chunk(&self, at: usize, delta: &str, finish: &str) -> Bytes {
        let (before, after) = (&self.before, self.after);
        let padding = if self.padding {
            r#","obfuscation":"Kq7""#
        } else {
            ""
        };
        Bytes::from(format!(
            "{before}{at},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}{after}{padding}}}\n\n"
        ))
    }
}

/// `POST /v1/chat/completions` without `stream`.
pub(super) fn whole(call: &Call) -> String {
    let mut json = String::with_capacity(1024);
    names(call, "chat.completion", &mut json);
    json.push_str(r#","choices":["#);
    for (at, choice) in call.answer.choices.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let text = Quoted(choice.text.as_str());
        let _ = write!(
            json,
            r#"{comma}{{"index":{at},"message":{{"role":"assistant","content":"#
        );
        let _ = match &choice.calls {
            Some(name) => write!(
                json,
                r#"null,"tool_calls":[{{"id":"call_{}{at}","type":"function","function":{{"name":{},"arguments":{text}}}}}]"#,
                call.id,
                Quoted(name)
            ),
            None => write!(json, "{text}"),
        };
        let finish = choice.finish(Form::Chat);
        let _ = write!(
            json,
            r#","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}"#
        );
    }
    let _ = write!(json, r#"],"usage":{}}}"#, usage(call));
    json
}

/// The opening brace, and the members every object of a call shares.
fn names(call: &Call, object: &str, out: &mut String) {
    let _ = write!(
        out,
        r#"{{"id":"chatcmpl-{}","object":"{object}","created":{},"model":{},"service_tier":"default","system_fingerprint":"fp_{:010x}""#,
        call.id,
        call.created,
        Quoted(&call.ask.model),
        call.fingerprint & 0xff_ffff_ffff,
    );
}

/// The usage object of chat and completions.
pub(super) fn usage(call: &Call) -> String {
    let (input, output) = (call.answer.input, call.answer.output);
    format!(
        r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        input + output
    )
}
