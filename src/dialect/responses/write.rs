//! Writes responses: whole answers, and what a stream's events hold of them.
//!
//! A whole answer is what its stream would end with, so that the two can't
//! differ.

use super::encoder::Encoder;
use super::{call, echo};
use crate::dialect::Usage;
use crate::dialect::chat;
use crate::dialect::ir::{
    Answer, Citation, Event, Failure, Finish, Maker, Opening, Place, Reasoned, Seal, Start, Text,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{Members, ObjectWriter};
use crate::dialect::seals::{self, Kind};
use crate::dialect::translate::{Encode, Exchange};

pub(super) fn answer(answer: &Answer<'_>, exchange: &Exchange, losses: &mut Losses) -> Vec<u8> {
    let mut encoder = Encoder::new(exchange);
    let mut frames = Vec::new();
    tell(answer, &mut |event| {
        frames.clear();
        encoder.put(&event, &mut frames, losses);
    });
    encoder.whole()
}

/// Tells an answer's parts as events, each whole.
fn tell(answer: &Answer<'_>, each: &mut dyn FnMut(Event<'_>)) {
    each(Event::Start(Start {
        id: answer.id.borrowed(),
        model: answer.model.borrowed(),
        created: answer.created,
        service_tier: answer.service_tier.clone(),
    }));
    for (choice, said) in (0..).zip(&answer.choices) {
        for (part, said) in (0..).zip(&said.parts) {
            let place = Place { choice, part };
            let opening = Opening::Whole(said.content.clone());
            each(Event::Open { place, opening });
            each(Event::Close { place });
        }
        each(Event::Finish {
            choice,
            finish: said.finish.unwrap_or(Finish::Stop),
            stopped_by: None,
        });
    }
    if let Some(usage) = answer.usage {
        each(Event::Usage(usage));
    }
}

/// The words for how a response was served.
const TIERS: [&str; 7] = [
    "auto",
    "default",
    "flex",
    "scale",
    "priority",
    "fast",
    "ultrafast",
];

/// What every response of one answer says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: Text<'static>,
    model: Text<'static>,
    created: u64,
    tier: Option<Text<'static>>,
    /// What is repeated of the call, an object.
    asked: String,
}

/// How a response stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status<'s> {
    InProgress,
    Failed(&'s Failure),
    Ended(Finish),
}

impl Head {
    pub(super) fn new(exchange: &Exchange) -> Self {
        let asked = match exchange.asked.is_empty() {
            true => echo::of(&Members::default()),
            false => exchange.asked.clone(),
        };
        Self {
            id: Text::owned(&format!("resp_{}", exchange.id)),
            model: Text::owned(&exchange.model),
            created: exchange.created,
            tier: None,
            asked,
        }
    }

    pub(super) fn start(&mut self, start: &Start<'_>, losses: &mut Losses) {
        if !start.id.is_empty() {
            self.id = start.id.clone().into_owned();
        }
        if !start.model.is_empty() {
            self.model = start.model.clone().into_owned();
        }
        self.created = start.created.unwrap_or(self.created);
        let tier = start.service_tier.as_ref().filter(|it| !it.is_empty());
        let known = tier.filter(|tier| TIERS.iter().any(|word| tier.is(word)));
        if known.is_none() && tier.is_some() {
            losses.dropped("response.service_tier");
        }
        self.tier = known.cloned().map(Text::into_owned);
    }

    /// Writes a response that has put out `output` so far, items with commas
    /// between them.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        status: Status<'_>,
        output: &[u8],
        usage: Option<Usage>,
    ) {
        let mut response = ObjectWriter::begin(out);
        response
            .said("id", &self.id)
            .text("object", "response")
            .count("created_at", self.created)
            .text("status", status.word());
        write_error(&mut response, status);
        match status.reason() {
            None => drop(response.raw("incomplete_details", "null")),
            Some(reason) => {
                let mut details = response.object("incomplete_details");
                details.text("reason", reason);
                details.end();
            }
        }
        response.said("model", &self.model);
        let list = response.key("output");
        list.push(b'[');
        list.extend_from_slice(output);
        list.push(b']');
        match usage {
            None => drop(response.raw("usage", "null")),
            Some(usage) => write_usage(&mut response, usage),
        }
        match &self.tier {
            None => response.raw("service_tier", "null"),
            Some(tier) => response.said("service_tier", tier),
        };
        response.rest(&self.asked);
        response.end();
    }
}

impl Status<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Failed(_) => "failed",
            Self::Ended(_) if self.reason().is_some() => "incomplete",
            Self::Ended(_) => "completed",
        }
    }

    /// Why it is incomplete.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Ended(Finish::Length) => Some("max_output_tokens"),
            Self::Ended(Finish::ContentFilter) => Some("content_filter"),
            _ => None,
        }
    }

    /// The event that tells it.
    pub(super) fn event(self) -> &'static str {
        match self.word() {
            "failed" => "response.failed",
            "incomplete" => "response.incomplete",
            "completed" => "response.completed",
            _ => "response.in_progress",
        }
    }
}

fn write_error(response: &mut ObjectWriter<'_>, status: Status<'_>) {
    let Status::Failed(failure) = status else {
        response.raw("error", "null");
        return;
    };
    let mut error = response.object("error");
    error
        .text(
            "code",
            chat::error_code(failure.class).unwrap_or("server_error"),
        )
        .text("message", &failure.message);
    error.end();
}

/// Writes `usage`: what was cached is part of the input.
fn write_usage(response: &mut ObjectWriter<'_>, usage: Usage) {
    let mut counts = response.object("usage");
    counts.count("input_tokens", usage.input);
    let mut details = counts.object("input_tokens_details");
    details
        .count("cached_tokens", usage.cached)
        .count("cache_write_tokens", usage.cache_write);
    details.end();
    counts.count("output_tokens", usage.output);
    let mut details = counts.object("output_tokens_details");
    details.count("reasoning_tokens", usage.reasoning);
    details.end();
    counts.count("total_tokens", usage.total());
    counts.end();
}

/// Writes the event that tells of an error: flat, as the specification has
/// it, and once more as the API sends it, by which the official SDKs know.
pub(super) fn error_event(event: &mut ObjectWriter<'_>, failure: &Failure) {
    match chat::code(failure) {
        Some(code) => event.text("code", code),
        None => event.raw("code", "null"),
    };
    event.text("message", &failure.message);
    match &failure.param {
        Some(param) => event.text("param", param),
        None => event.raw("param", "null"),
    };
    chat::error(event.key("error"), failure);
}

/// Writes a reasoning item.
pub(super) fn reasoning(out: &mut Vec<u8>, made_up: &str, reasoned: &Reasoned<'_>) {
    let mut item = ObjectWriter::begin(out);
    let seal = reasoned.seal.as_ref();
    match seal.filter(|seal| seal.maker == Maker::OpenAi) {
        Some(Seal { id: Some(id), .. }) => item.said("id", id),
        _ => item.text("id", made_up),
    };
    item.text("type", "reasoning");
    call::write_words(&mut item, reasoned);
    item.said_if("encrypted_content", seal.map(mark).as_ref());
    item.end();
}

/// A seal as this format carries it.
fn mark<'a>(seal: &'a Seal<'_>) -> Text<'a> {
    match (seal.maker, seal.is_redacted) {
        (Maker::OpenAi, _) => seal.data.borrowed(),
        (_, true) => seals::tagged(Kind::Redacted, seal),
        (_, false) => seals::tagged(Kind::Signature, seal),
    }
}

/// Writes the mark on a call as the item that carries it.
pub(super) fn call_mark(out: &mut Vec<u8>, made_up: &str, call: &Text<'_>, seal: &Seal<'_>) {
    let named = Seal {
        id: Some(call.borrowed()),
        data: seal.data.borrowed(),
        ..*seal
    };
    let mut item = ObjectWriter::begin(out);
    item.text("id", made_up)
        .text("type", "reasoning")
        .raw("summary", "[]")
        .said("encrypted_content", &seals::tagged(Kind::Call, &named));
    item.end();
}

/// Writes a citation of words that begin at `start` and are `length` long, in
/// characters; says whether the format has one for it.
pub(super) fn annotation(
    out: &mut Vec<u8>,
    citation: &Citation<'_>,
    start: u64,
    length: u64,
) -> bool {
    if let Some((Maker::OpenAi, json)) = &citation.original {
        out.extend_from_slice(json.as_str().as_bytes());
        return true;
    }
    let Some(url) = &citation.url else {
        return false;
    };
    let (from, to) = citation.span.unwrap_or((0, length));
    let mut annotation = ObjectWriter::begin(out);
    annotation
        .text("type", "url_citation")
        .count("start_index", start + from)
        .count("end_index", start + to)
        .said("url", url)
        .said("title", citation.title.as_ref().unwrap_or(url))
        .said_if("content", citation.quote.as_ref());
    annotation.end();
    true
}
