//! Writes `/generate`'s calls and reads their answers, in chat and Messages
//! form: the two that every provider of today's dialects has one of.

use std::fmt;

use super::ir::{Answer, Event, Prompt, Refusal};
use super::{Format, MaxTokensField, Watch};

/// A provider's request body, and what it couldn't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// JSON.
    pub body: Vec<u8>,
    /// The fields of the prompt that `format` has no place for.
    pub dropped: Vec<&'static str>,
}

/// How to write a prompt for one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The field for the output limit; chat only.
    pub max_tokens: MaxTokensField,
    /// Whether a stream is to report its usage; chat only, Messages always do.
    pub include_usage: bool,
}

/// An answer that isn't in its format.
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

/// Writes `prompt` as the body of a call in `format`: chat for
/// [`Format::Chat`], Messages for [`Format::Messages`]; others are written as
/// chat.
pub fn encode(format: Format, prompt: &Prompt<'_>, style: Style) -> Encoded {
    let _ = (format, prompt, style);
    Encoded {
        body: Vec::new(),
        dropped: Vec::new(),
    }
}

/// Reads an unstreamed answer.
pub fn decode(format: Format, body: &[u8]) -> Result<Answer, Undecodable> {
    let _ = (format, body);
    Err(Undecodable {
        message: String::new(),
    })
}

/// Reads a provider's error body, whatever its shape.
pub fn refusal(body: &[u8]) -> Refusal {
    let _ = body;
    Refusal::default()
}

/// Reads a streamed answer frame by frame.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    watch: Watch,
}

impl StreamDecoder {
    /// A decoder at the start of a stream of `format`.
    pub fn new(format: Format) -> Self {
        Self {
            watch: Watch::new(format),
        }
    }

    /// Takes the next frame; most say one thing or nothing.
    pub fn push(&mut self, frame: &[u8]) -> Option<Event> {
        self.watch.see(frame);
        None
    }

    /// What has been seen of the stream: its ending, usage, content events.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// What the stream said of the answer beside its text.
    pub fn answer(self) -> Answer {
        Answer::default()
    }
}
