//! Writes `/generate`'s calls and reads their answers, in chat and in Messages
//! form: every provider spoken to takes one of the two.

mod asked;
mod decode;
mod refusal;

pub use asked::{Answer, Event, Prompt, Refusal};
#[doc(hidden)]
pub use decode::fuzz_generate;
pub use decode::{StreamDecoder, Undecodable, decode};
pub use refusal::refusal;

use serde::Serialize;

use super::{Format, MaxTokensField};

/// What Messages calls are limited to where the caller sets no limit: the API
/// wants one, and this many every Claude model can write.
pub const MESSAGES_MAX_TOKENS: u64 = 4096;

/// A provider's request body, and what it couldn't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// JSON.
    pub body: Vec<u8>,
    /// The fields of the prompt that the format has no place for, for
    /// `x-nowait-dropped`.
    pub dropped: Vec<&'static str>,
}

/// How to write a prompt for one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The field for the output limit; chat only.
    pub max_tokens: MaxTokensField,
    /// Whether a stream is to report its usage; chat only, since Messages
    /// streams always do.
    pub include_usage: bool,
}

/// Writes `prompt` as a call in `format`: [`Format::Messages`] as such, any
/// other as chat. An absent or empty system prompt is left out.
pub fn encode(format: Format, prompt: &Prompt<'_>, style: Style) -> Encoded {
    match format {
        Format::Messages | Format::CountTokens => messages(prompt),
        Format::Chat | Format::Responses | Format::Completions | Format::Embeddings => {
            chat(prompt, style)
        }
    }
}

fn chat(prompt: &Prompt<'_>, style: Style) -> Encoded {
    let mut turns = Vec::with_capacity(2);
    turns.extend(system(prompt).map(|text| Turn::new("system", text)));
    turns.push(Turn::new("user", prompt.prompt));
    let limit_in = |field| prompt.max_tokens.filter(|_| style.max_tokens == field);
    let call = ChatCall {
        model: prompt.model,
        messages: turns,
        max_tokens: limit_in(MaxTokensField::MaxTokens),
        max_completion_tokens: limit_in(MaxTokensField::MaxCompletionTokens),
        temperature: prompt.temperature,
        stop: prompt.stop,
        seed: prompt.seed,
        stream: prompt.stream,
        stream_options: (prompt.stream && style.include_usage).then_some(StreamOptions {
            include_usage: true,
        }),
    };
    Encoded {
        body: json(&call),
        dropped: Vec::new(),
    }
}

fn messages(prompt: &Prompt<'_>) -> Encoded {
    let call = MessagesCall {
        model: prompt.model,
        max_tokens: prompt.max_tokens.unwrap_or(MESSAGES_MAX_TOKENS),
        system: system(prompt),
        messages: [Turn::new("user", prompt.prompt)],
        temperature: prompt.temperature,
        stop_sequences: prompt.stop,
        stream: prompt.stream,
    };
    Encoded {
        body: json(&call),
        dropped: prompt.seed.map(|_| "seed").into_iter().collect(),
    }
}

fn system<'a>(prompt: &Prompt<'a>) -> Option<&'a str> {
    prompt.system.filter(|text| !text.is_empty())
}

fn json<T: Serialize>(call: &T) -> Vec<u8> {
    serde_json::to_vec(call).expect("structs of strings and numbers always serialise")
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Turn<'a> {
    fn new(role: &'static str, content: &'a str) -> Self {
        Self { role, content }
    }
}

#[derive(Serialize)]
struct ChatCall<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct MessagesCall<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    messages: [Turn<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_written_in_either_form() {
        let stop = ["END".to_owned()];
        let plain = Prompt {
            model: "m",
            prompt: "say \"hi\"",
            ..Prompt::default()
        };
        let full = Prompt {
            system: Some("be brief"),
            max_tokens: Some(9),
            temperature: Some(0.5),
            stop: &stop,
            seed: Some(7),
            stream: true,
            ..plain
        };
        let asking = Style {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            include_usage: true,
        };
        let user = r#"{"role":"user","content":"say \"hi\""}"#;
        let rows = [
            (
                Format::Chat,
                plain,
                Style::default(),
                format!(r#"{{"model":"m","messages":[{user}]}}"#),
                vec![],
            ),
            (
                Format::Chat,
                Prompt {
                    system: Some(""),
                    max_tokens: Some(3),
                    ..plain
                },
                asking,
                format!(r#"{{"model":"m","messages":[{user}],"max_completion_tokens":3}}"#),
                vec![],
            ),
            (
                Format::Chat,
                full,
                asking,
                format!(
                    r#"{{"model":"m","messages":[{{"role":"system","content":"be brief"}},{user}],"max_completion_tokens":9,"temperature":0.5,"stop":["END"],"seed":7,"stream":true,"stream_options":{{"include_usage":true}}}}"#
                ),
                vec![],
            ),
            (
                Format::Messages,
                plain,
                asking,
                format!(r#"{{"model":"m","max_tokens":4096,"messages":[{user}]}}"#),
                vec![],
            ),
            (
                Format::Messages,
                full,
                Style::default(),
                format!(
                    r#"{{"model":"m","max_tokens":9,"system":"be brief","messages":[{user}],"temperature":0.5,"stop_sequences":["END"],"stream":true}}"#
                ),
                vec!["seed"],
            ),
        ];
        for (format, prompt, style, body, dropped) in rows {
            let encoded = encode(format, &prompt, style);
            assert_eq!(String::from_utf8(encoded.body).unwrap(), body);
            assert_eq!(encoded.dropped, dropped);
        }
    }
}
