//! Reads the answers to `/generate`'s calls, whole or streamed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Answer, Event, refusal};
use crate::dialect::answer::{self, Told};
use crate::dialect::json::{read, text};
use crate::dialect::misfit::misfit;
use crate::dialect::{Format, Watch, complaint};
use crate::sse;

/// An answer that isn't one of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    message: String,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Undecodable {}

/// Reads an unstreamed answer: the text of a chat completion's first choice,
/// or of a message's text blocks. A refusal's text is text; its finish reason
/// says what it is.
pub fn decode(format: Format, body: &[u8]) -> Result<Answer, Undecodable> {
    let found = std::str::from_utf8(body)
        .ok()
        .and_then(|body| match format {
            Format::Messages | Format::CountTokens => message_text(body),
            Format::Chat | Format::Responses | Format::Completions | Format::Embeddings => {
                completion_text(body)
            }
        });
    let Some(text) = found else {
        return Err(undecodable(format, body));
    };
    let Told {
        id,
        model,
        finish,
        usage,
    } = answer::read(format, body);
    Ok(Answer {
        text,
        model,
        id,
        finish,
        usage,
    })
}

fn undecodable(format: Format, body: &[u8]) -> Undecodable {
    let (wanted, why) = match format {
        Format::Messages | Format::CountTokens => ("a message", misfit(body, "content", None)),
        Format::Chat | Format::Responses | Format::Completions | Format::Embeddings => (
            "a chat completion",
            misfit(body, "choices", Some("message")),
        ),
    };
    Undecodable {
        message: format!("the provider's answer is not {wanted}: {why}"),
    }
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

/// A choice of a whole answer has a `message`, one of a stream a `delta`
/// (Perplexity's have both, the message growing with every chunk).
#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

/// A content part of chat, a content block of Messages.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

fn completion_text(body: &str) -> Option<String> {
    let completion: Completion<'_> = read(body)?;
    let first = completion.choices.into_iter().next()?;
    Some(first.message?.into_text())
}

impl Said<'_> {
    fn into_text(self) -> String {
        let mut said = self.content.map(content_text).unwrap_or_default();
        said.extend(text(self.refusal.map(RawValue::get)));
        said
    }
}

/// Content is a text, or (Mistral's reasoning models) parts of which the
/// texts count.
fn content_text(content: &RawValue) -> String {
    if let Some(text) = text(Some(content.get())) {
        return text.into_owned();
    }
    let parts: Vec<Block<'_>> = read(content.get()).unwrap_or_default();
    texts_of(&parts)
}

fn texts_of(blocks: &[Block<'_>]) -> String {
    blocks
        .iter()
        .filter(|block| text(block.kind.map(RawValue::get)).as_deref() == Some("text"))
        .filter_map(|block| text(block.text.map(RawValue::get)))
        .collect()
}

fn message_text(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Vec<Block<'a>>,
    }
    let message: Message<'_> = read(body)?;
    Some(texts_of(&message.content))
}

/// Reads a streamed answer frame by frame.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    format: Format,
    watch: Watch,
}

impl StreamDecoder {
    /// A decoder at the start of a stream of `format`.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            watch: Watch::new(format),
        }
    }

    /// Takes the next frame. Most say one thing or nothing; how the stream
    /// stands is for [`Self::watch`] to say.
    pub fn push(&mut self, frame: &[u8]) -> Option<Event> {
        let seen = self.watch.see(frame);
        if !(seen.content || seen.end || seen.error) {
            return None;
        }
        let data = sse::data(frame)?;
        if seen.error {
            let status = complaint(None, &data).status();
            return Some(Event::Failed(refusal(&data), status));
        }
        if seen.end {
            return Some(Event::End);
        }
        let text = delta_text(self.format, std::str::from_utf8(&data).ok()?)?;
        (!text.is_empty()).then_some(Event::Delta(text))
    }

    /// What has been seen of the stream.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// What the stream has said of the answer, beside its text.
    pub fn answer(&self) -> Answer {
        Answer {
            text: String::new(),
            model: self.watch.model().map(str::to_owned),
            id: self.watch.id().map(str::to_owned),
            finish: self.watch.finish(),
            usage: self.watch.usage(),
        }
    }
}

fn delta_text(format: Format, data: &str) -> Option<String> {
    match format {
        Format::Messages | Format::CountTokens => {
            #[derive(Deserialize)]
            struct BlockDelta<'a> {
                #[serde(borrow)]
                delta: TextDelta<'a>,
            }
            #[derive(Deserialize)]
            struct TextDelta<'a> {
                #[serde(borrow)]
                text: Cow<'a, str>,
            }
            Some(read::<BlockDelta<'_>>(data)?.delta.text.into_owned())
        }
        Format::Chat | Format::Responses | Format::Completions | Format::Embeddings => {
            let chunk: Completion<'_> = read(data)?;
            let mut choices = chunk.choices.into_iter();
            let first = choices.find(|choice| choice.index.is_none_or(|index| index == 0))?;
            Some(first.delta?.into_text())
        }
    }
}

/// Fuzz body: the first byte chooses the format; the rest is read as a whole
/// answer, a stream and an error. Panics only where the readers do, or where
/// they hand out an empty delta.
#[doc(hidden)]
pub fn fuzz_generate(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else {
        return;
    };
    let format = if choice % 2 == 0 {
        Format::Chat
    } else {
        Format::Messages
    };
    if let Err(error) = decode(format, body) {
        assert!(!error.to_string().is_empty());
    }
    assert!(!refusal(body).message.is_empty());
    let mut decoder = StreamDecoder::new(format);
    let mut framer = sse::Framer::default();
    framer.push(bytes::Bytes::copy_from_slice(body));
    while let Some(piece) = framer.next() {
        if let Some(Event::Delta(text)) = decoder.push(&piece.into_bytes()) {
            assert!(!text.is_empty());
        }
    }
    assert!(decoder.answer().text.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Finish;

    #[test]
    fn whole_answers_are_read() {
        let rows = [
            (
                Format::Chat,
                r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"h\u0069"},"finish_reason":"stop"}],
                    "usage":{"prompt_tokens":2,"completion_tokens":1}}"#,
                Ok(("hi", Some(Finish::Stop))),
            ),
            (
                Format::Chat,
                r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"content_filter"}]}"#,
                Ok(("no", Some(Finish::ContentFilter))),
            ),
            (
                Format::Chat,
                r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"hi"}]}}]}"#,
                Ok(("hi", None)),
            ),
            (
                Format::Messages,
                r#"{"type":"message","content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"h"},{"type":"text","text":"i"}],
                    "stop_reason":"end_turn"}"#,
                Ok(("hi", Some(Finish::Stop))),
            ),
            (
                Format::Messages,
                r#"{"content":[],"stop_reason":"refusal"}"#,
                Ok(("", Some(Finish::ContentFilter))),
            ),
            (
                Format::Chat,
                r#"{"error":{"message":"busy","code":502}}"#,
                Err("the provider's answer is not a chat completion: busy"),
            ),
            (
                Format::Messages,
                "<!doctype html>",
                Err("the provider's answer is not a message: it is an HTML page"),
            ),
        ];
        for (format, body, expected) in rows {
            match (decode(format, body.as_bytes()), expected) {
                (Ok(answer), Ok((text, finish))) => {
                    assert_eq!((&*answer.text, answer.finish), (text, finish), "{body}");
                }
                (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
                (got, _) => panic!("{body}: {got:?}"),
            }
        }
    }

    #[test]
    fn streams_are_read_frame_by_frame() {
        let delta = |text: &str| Some(Event::Delta(text.to_owned()));
        let rows = [
            (
                r#"data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
                None,
            ),
            (
                r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"h\n"},"finish_reason":null}]}"#,
                delta("h\n"),
            ),
            (
                r#"data: {"id":"c","choices":[{"index":1,"delta":{"content":"other"},"finish_reason":null}]}"#,
                None,
            ),
            (
                r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"i"},"finish_reason":"length"}]}"#,
                delta("i"),
            ),
            (": note", None),
            (
                r#"data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2}}"#,
                None,
            ),
            ("data: [DONE]", Some(Event::End)),
        ];
        let mut decoder = StreamDecoder::new(Format::Chat);
        for (frame, event) in rows {
            assert_eq!(
                decoder.push(format!("{frame}\n\n").as_bytes()),
                event,
                "{frame}"
            );
        }
        let answer = decoder.answer();
        assert_eq!(answer.finish, Some(Finish::Length));
        assert_eq!(
            (answer.id.as_deref(), answer.model.as_deref()),
            (Some("c"), Some("m"))
        );
        assert_eq!(answer.usage.map(|usage| usage.total()), Some(4));
    }

    #[test]
    fn a_provider_that_gives_up_says_why() {
        let mut decoder = StreamDecoder::new(Format::Messages);
        let frame = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        let Some(Event::Failed(refusal, _)) = decoder.push(frame) else {
            panic!("not failed");
        };
        assert_eq!(refusal.message, "Overloaded");
        assert_eq!(refusal.code.as_deref(), Some("overloaded_error"));
    }
}
