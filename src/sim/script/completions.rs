//! OpenAI's legacy completions: like chat, with bare text.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::chat::usage;
use super::{Call, Quoted, quote};
use crate::sim::ask::Form;

/// What is the same in every chunk of a stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Up to the text.
    before: String,
    /// Behind the choices.
    after: String,
}

impl Chunks {
    pub(super) fn new(call: &Call) -> Self {
        let before = format!(
            r#"data: {{"id":"cmpl-{}","object":"text_completion","created":{},"choices":["#,
            call.id, call.created
        );
        let usage = if call.ask.usage_chunk {
            r#","usage":null"#
        } else {
            ""
        };
        let after = format!("],\"model\":{}{usage}}}\n\n", Quoted(&call.ask.model));
        Self { before, after }
    }

    pub(super) fn delta(&self, at: usize, token: &str, out: &mut BytesMut) {
        out.reserve(self.before.len() + self.after.len() + token.len() + 80);
        out.extend_from_slice(self.before.as_bytes());
        out.extend_from_slice(br#"{"text":"#);
        quote(token, out);
        out.extend_from_slice(br#","index":"#);
        out.extend_from_slice(itoa::Buffer::new().format(at).as_bytes());
        out.extend_from_slice(br#","logprobs":null,"finish_reason":null}"#);
        out.extend_from_slice(self.after.as_bytes());
    }

    /// The finish of each choice, the usage where it was asked for, the end.
    pub(super) fn closing(&self, call: &Call) -> Vec<Bytes> {
        let (before, after) = (&self.before, &self.after);
        let choices = call.answer.choices.iter().enumerate();
        let mut events: Vec<_> = choices
            .map(|(at, choice)| {
                let finish = choice.finish(Form::Completions);
                Bytes::from(format!(
                    r#"{before}{{"text":"","index":{at},"logprobs":null,"finish_reason":"{finish}"}}{after}"#
                ))
            })
            .collect();
        if call.ask.usage_chunk {
            let model = Quoted(&call.ask.model);
            events.push(Bytes::from(format!(
                "{before}],\"model\":{model},\"usage\":{}}}\n\n",
                usage(call)
            )));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }
}

/// `POST /v1/completions` without `stream`.
pub(super) fn whole(call: &Call) -> String {
    let mut json = format!(
        r#"{{"id":"cmpl-{}","object":"text_completion","created":{},"model":{},"choices":["#,
        call.id,
        call.created,
        Quoted(&call.ask.model)
    );
    for (at, choice) in call.answer.choices.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}{{"text":{},"index":{at},"logprobs":null,"finish_reason":"{}"}}"#,
            Quoted(choice.text.as_str()),
            choice.finish(Form::Completions)
        );
    }
    let _ = write!(json, r#"],"usage":{}}}"#, usage(call));
    json
}
