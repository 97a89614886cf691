//! The plain endpoint's streams: a provider's events in, deltas or bare text
//! out.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::dialect::error::problem_event;
use crate::dialect::generate::{Answer, Event, StreamDecoder};
use crate::dialect::{Ending, ErrorView, Format, Usage, Watch};
use crate::error::{Error, Kind};
use crate::sse::{self, Framer};

/// How the caller wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One JSON object.
    Whole,
    /// `data: {"delta": …}` events and a last `event: done`.
    Events,
    /// The text and nothing else.
    Text,
}

/// Who answers, as an answer names it.
#[derive(Clone, Debug)]
pub struct Names {
    /// The provider.
    pub provider: String,
    /// The model asked for, in the provider's words.
    pub model: String,
    /// The request's id, for answers that have none of their own.
    pub request_id: String,
    /// The answer was kept.
    pub cached: bool,
}

/// A stream on its way through the plain endpoint.
pub struct Plain {
    shape: Shape,
    names: Names,
    framer: Framer,
    decoder: StreamDecoder,
}

impl Plain {
    /// At the start of a stream in `format`.
    pub fn new(format: Format, shape: Shape, names: Names) -> Self {
        Self {
            shape,
            names,
            framer: Framer::default(),
            decoder: StreamDecoder::new(format),
        }
    }

    /// Takes a chunk and makes ready what it says, which is all content. What
    /// comes before a failure in the same chunk is made ready all the same.
    pub fn take(&mut self, chunk: Bytes, ready: &mut VecDeque<Bytes>) -> Result<(), Error> {
        self.framer.push(chunk);
        let mut out = Vec::new();
        let taken = self.decode(&mut out);
        if !out.is_empty() {
            ready.push_back(out.into());
        }
        taken
    }

    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        while let Some(run) = self.framer.next_run() {
            if run.is_part() {
                return Err(self.refused("an event of over 1 MiB, which /generate does not take"));
            }
            for frame in run.frames() {
                let event = self.decoder.push(frame);
                if event.is_none() && is_junk(frame) {
                    return Err(self.refused("an event that is not JSON"));
                }
                write(self.shape, event, out).map_err(|said| refusal(&self.names, &said))?;
            }
        }
        Ok(())
    }

    /// At the end of the bytes: writes the last event. `false` where the
    /// answer is not whole.
    pub fn finish(&mut self, ready: &mut VecDeque<Bytes>) -> Result<bool, Error> {
        let rest = self.framer.rest();
        let mut out = Vec::new();
        if !rest.is_empty() {
            write(self.shape, self.decoder.push(&rest), &mut out)
                .map_err(|said| refusal(&self.names, &said))?;
        }
        if self.decoder.watch().ending() == Ending::Open {
            return Ok(false);
        }
        if self.shape == Shape::Events {
            let answer = self.decoder.clone().answer();
            let done =
                serde_json::to_vec(&Told::of(None, &answer, &self.names)).unwrap_or_default();
            sse::write_event(&mut out, Some("done"), &done);
        }
        if !out.is_empty() {
            ready.push_back(out.into());
        }
        Ok(true)
    }

    /// Tells of a stream that broke off. Bare text has no words for it.
    pub fn tell(&self, view: &ErrorView<'_>) -> Option<Bytes> {
        (self.shape == Shape::Events).then(|| problem_event(view))
    }

    /// What has been seen of the stream.
    pub fn watch(&self) -> &Watch {
        self.decoder.watch()
    }

    fn refused(&self, what: &str) -> Error {
        Error::new(
            Kind::UpstreamProtocol,
            format!("{}: the stream carried {what}", self.names.provider),
        )
    }
}

fn write(shape: Shape, event: Option<Event>, out: &mut Vec<u8>) -> Result<(), String> {
    match event {
        Some(Event::Delta(text)) => {
            if shape == Shape::Text {
                out.extend_from_slice(text.as_bytes());
            } else {
                let delta = serde_json::to_vec(&Delta { delta: &text }).unwrap_or_default();
                sse::write_event(out, None, &delta);
            }
            Ok(())
        }
        Some(Event::Failed(refusal)) => Err(refusal.message),
        Some(Event::End) | None => Ok(()),
    }
}

/// An event whose data can't be read may have been text: to pass over it would
/// be to lose some of the answer in silence.
fn is_junk(frame: &[u8]) -> bool {
    sse::data(frame).is_some_and(|data| {
        data.trim_ascii() != b"[DONE]" && serde_json::from_slice::<IgnoredAny>(&data).is_err()
    })
}

fn refusal(names: &Names, said: &str) -> Error {
    Error::new(
        Kind::UpstreamProtocol,
        format!(
            "{} gave up in the middle of its answer: {said}",
            names.provider
        ),
    )
}

#[derive(Serialize)]
struct Delta<'a> {
    delta: &'a str,
}

/// An answer of the plain endpoint, whole or without its text.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    model: &'a str,
    provider: &'a str,
    usage: Tokens,
    finish_reason: Option<&'a str>,
    cached: bool,
    id: &'a str,
}

impl<'a> Told<'a> {
    /// What `answer` says; with its text where that has not gone out already.
    pub(super) fn of(text: Option<&'a str>, answer: &'a Answer, names: &'a Names) -> Self {
        Self {
            response: text,
            model: answer.model.as_deref().unwrap_or(&names.model),
            provider: &names.provider,
            usage: Tokens::of(answer.usage.unwrap_or(Usage {
                estimated: true,
                ..Usage::default()
            })),
            finish_reason: answer.finish.map(|finish| finish.as_str()),
            cached: names.cached,
            id: answer.id.as_deref().unwrap_or(&names.request_id),
        }
    }
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    /// Only where the provider reported nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

impl Tokens {
    fn of(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached_tokens: usage.cached,
            estimated: usage.estimated,
        }
    }
}
