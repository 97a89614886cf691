//! The plain endpoint's streams: a provider's events in, deltas or bare text
//! out.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::asked::{Asked, Source};
use super::attempt::failure::FailureKind;
use super::commit::{Broken, Told as Said};
use super::encoding::Coding;
use super::relay::unfit;
use crate::dialect::error::problem_event;
use crate::dialect::generate::{Answer, Event, Refusal, StreamDecoder, decode};
use crate::dialect::ir::Failure;
use crate::dialect::{Ending, ErrorView, Format, Usage, Watch, complaint};
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
    framer: Framer,
    decoder: StreamDecoder,
    writer: Writer,
}

/// The caller's side of it.
struct Writer {
    shape: Shape,
    names: Names,
    /// Some text has come.
    has_said: bool,
    /// What the provider said in place of the rest, and the status of that.
    refusal: Option<(Refusal, StatusCode)>,
}

impl Plain {
    /// At the start of a stream in `format`.
    pub fn new(format: Format, shape: Shape, names: Names) -> Self {
        Self {
            framer: Framer::default(),
            decoder: StreamDecoder::new(format),
            writer: Writer {
                shape,
                names,
                has_said: false,
                refusal: None,
            },
        }
    }

    /// Whether some text has come.
    pub fn has_said(&self) -> bool {
        self.writer.has_said
    }

    /// What the provider said in place of the rest, if it gave up.
    pub fn refusal(&self) -> Option<&(Refusal, StatusCode)> {
        self.writer.refusal.as_ref()
    }

    /// Takes a chunk and makes ready what it says. What comes before a failure in
    /// the same chunk is made ready all the same.
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
                return Err(unfit(&self.writer.names.provider, PART));
            }
            for frame in run.frames() {
                let event = self.decoder.push(frame);
                if event.is_none() && is_junk(frame) {
                    return Err(unfit(&self.writer.names.provider, JUNK));
                }
                self.writer.write(event, out)?;
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
            let event = self.decoder.push(&rest);
            self.writer.write(event, &mut out)?;
        }
        if self.decoder.watch().ending() == Ending::Open {
            return Ok(false);
        }
        if self.writer.shape == Shape::Events && self.writer.refusal.is_none() {
            let answer = self.decoder.clone().answer();
            let done = serde_json::to_vec(&Told::of(None, &answer, &self.writer.names))
                .unwrap_or_default();
            sse::write_event(&mut out, Some("done"), &done);
        }
        if !out.is_empty() {
            ready.push_back(out.into());
        }
        Ok(true)
    }

    /// Tells of a stream that broke off. Bare text has no words for it.
    pub fn tell(&self, view: &ErrorView<'_>) -> Option<Bytes> {
        (self.writer.shape == Shape::Events).then(|| problem_event(view))
    }

    /// What has been seen of the stream.
    pub fn watch(&self) -> &Watch {
        self.decoder.watch()
    }
}

impl Writer {
    /// Writes what an event says. After the provider's last word there is nothing.
    fn write(&mut self, event: Option<Event>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.has_said |= matches!(event, Some(Event::Delta(_)));
        match (event, self.shape) {
            (Some(_), _) if self.refusal.is_some() => {}
            (Some(Event::Delta(text)), Shape::Text) => out.extend_from_slice(text.as_bytes()),
            (Some(Event::Delta(text)), Shape::Events | Shape::Whole) => {
                let delta = serde_json::to_vec(&Delta { delta: &text }).unwrap_or_default();
                sse::write_event(out, None, &delta);
            }
            (Some(Event::Failed(said, status)), shape) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                let provider = &self.names.provider;
                let detail = format!("{provider} gave up: {}", said.message);
                if shape == Shape::Text {
                    // Bare text has no words for it.
                    self.refusal = Some((said, status));
                    return Err(Error::new(Kind::UpstreamProtocol, detail));
                }
                let problem = Refused::of(&said, status, detail, provider, &self.names.request_id);
                let problem = serde_json::to_vec(&problem).unwrap_or_default();
                sse::write_event(out, Some("error"), &problem);
                self.refusal = Some((said, status));
            }
            (Some(Event::End) | None, _) => {}
        }
        Ok(())
    }
}

/// What a stream may carry that this endpoint can't take.
const PART: &str = "an event of over 1 MiB, which /generate does not take";
const JUNK: &str = "an event that is not JSON in UTF-8";

/// An answer that has come as far as its commit point, if this endpoint can read
/// what is there of it: else another attempt may bring one that it can.
pub(super) fn readable(asked: Box<Asked>) -> Result<Box<Asked>, Broken> {
    let provider = &asked.callee.provider.name;
    let is_plain = matches!(Coding::of(&asked.fields), Ok(Coding::Identity));
    let error = match &asked.body {
        _ if asked.is_event_stream() && !is_plain => Some(undecodable(
            provider,
            "a compressed stream came where none was asked for",
        )),
        Source::After(ready, ..) if asked.is_event_stream() => {
            objection(asked.format, ready).map(|what| unfit(provider, what))
        }
        Source::Kept(body) if is_plain => match decode(asked.format, body) {
            Ok(_) => None,
            Err(fault) => match Failure::instead(body) {
                Some(failure) => return Err(refused(asked, &failure)),
                None => Some(undecodable(provider, &fault.to_string())),
            },
        },
        _ => None,
    };
    match error {
        None => Ok(asked),
        Some(error) => Err(Broken {
            kind: FailureKind::Protocol,
            told: Said::Ours(error),
        }),
    }
}

/// An error that came with a good status, as the refusal it is.
fn refused(asked: Box<Asked>, failure: &Failure) -> Broken {
    let status = StatusCode::from_u16(failure.status());
    Broken {
        kind: complaint(None, asked.ready()).into(),
        told: Said::Said(Box::new(Asked {
            status: status.unwrap_or(StatusCode::BAD_GATEWAY),
            ..*asked
        })),
    }
}

/// What can't be read of the events up to the first content.
fn objection(format: Format, ready: &VecDeque<Bytes>) -> Option<&'static str> {
    let (mut framer, mut watch) = (Framer::default(), Watch::new(format));
    for bytes in ready {
        framer.push(bytes.clone());
        while let Some(run) = framer.next_run() {
            if run.is_part() {
                return Some(PART);
            }
            for frame in run.frames() {
                if is_junk(frame) {
                    return Some(JUNK);
                }
                if watch.see(frame).content {
                    return None;
                }
            }
        }
    }
    None
}

/// The error of an answer that is not in its provider's format.
pub(super) fn undecodable(provider: &str, fault: &str) -> Error {
    Error::new(
        Kind::UpstreamProtocol,
        format!("the answer of {provider} is not in its format: {fault}"),
    )
}

/// An event whose data can't be read may have been text: to pass over it would
/// be to lose some of the answer in silence.
fn is_junk(frame: &[u8]) -> bool {
    let is_json = |data: &[u8]| {
        let text = std::str::from_utf8(data);
        text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    };
    sse::data(frame)
        .is_some_and(|data| !matches!(data.trim_ascii(), b"" | b"[DONE]") && !is_json(&data))
}

/// A problem (RFC 9457) of a provider's making, its fields in the order of
/// nowait's own.
#[derive(Serialize)]
pub(super) struct Refused<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'a str,
    provider: &'a str,
    request_id: &'a str,
}

impl<'a> Refused<'a> {
    /// What that provider `said`, in the words of `detail`.
    pub(super) fn of(
        said: &'a Refusal,
        status: StatusCode,
        detail: String,
        provider: &'a str,
        request_id: &'a str,
    ) -> Self {
        Self {
            kind: "about:blank",
            title: status
                .canonical_reason()
                .unwrap_or("refused by the provider"),
            status: status.as_u16(),
            detail,
            code: said.code.as_deref().unwrap_or("upstream_error"),
            provider,
            request_id,
        }
    }
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
