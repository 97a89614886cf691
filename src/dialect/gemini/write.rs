//! Writes a whole answer, and errors.

use super::{cited, finish_reason, logprobs, saying};
use crate::dialect::Usage;
use crate::dialect::ir::{Answer, Choice, Class, Content, Failure, Finish, Maker, Text};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::Exchange;

pub(super) fn answer(answer: &Answer<'_>, exchange: &Exchange, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut object = ObjectWriter::begin(&mut out);
    let mut candidates = object.list("candidates");
    for (index, it) in answer.choices.iter().enumerate() {
        choice(&mut candidates, index, it, losses);
    }
    candidates.end();
    let tier = answer.service_tier.as_ref();
    usage(&mut object, answer.usage, tier);
    tail(&mut object, &answer.id, &answer.model, exchange);
    object.end();
    out
}

/// Writes who answered.
pub(super) fn tail(
    object: &mut ObjectWriter<'_>,
    id: &Text<'_>,
    model: &Text<'_>,
    exchange: &Exchange,
) {
    match model.is_empty() {
        true => object.text("modelVersion", &exchange.model),
        false => object.said("modelVersion", model),
    };
    match id.is_empty() {
        true => object.text("responseId", &exchange.id),
        false => object.said("responseId", id),
    };
}

fn choice(list: &mut ListWriter<'_>, index: usize, choice: &Choice<'_>, losses: &mut Losses) {
    let mut refuses = false;
    let mut probabilities = None;
    let mut candidate = list.object();
    let mut content = candidate.object("content");
    let mut parts = content.list("parts");
    for (at, part) in choice.parts.iter().enumerate() {
        refuses |= matches!(part.content, Content::Refusal(_));
        if let Content::Text { logprobs, .. } = &part.content {
            probabilities = logprobs.as_ref().or(probabilities);
        }
        if !part_of(&mut parts, &part.content) {
            losses.dropped(format_args!("response.content[{at}]"));
        }
    }
    parts.end();
    content.text("role", "model");
    content.end();
    let finish = match choice.finish {
        _ if refuses => Finish::ContentFilter,
        finish => finish.unwrap_or(Finish::Stop),
    };
    candidate
        .text("finishReason", finish_reason(finish))
        .number("index", index);
    cited::write(&mut candidate, choice, losses);
    if let Some(probabilities) = probabilities {
        logprobs::write(&mut candidate, probabilities);
    }
    candidate.end();
}

/// Writes one part; says whether the format has one for it.
pub(super) fn part_of(parts: &mut ListWriter<'_>, content: &Content<'_>) -> bool {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => saying::text(parts, text, None),
        Content::Reasoning(reasoned) => match &reasoned.seal {
            // Hidden thinking is nothing but its mark.
            Some(seal) if seal.is_redacted => {
                saying::text(parts, &Text::default(), Some(&saying::mark(seal)));
            }
            _ => saying::thought(parts, reasoned),
        },
        Content::Call(call) => {
            let mark = call.seal.as_ref().map(saying::mark);
            saying::call(parts, call, &call.name, mark.as_ref());
        }
        Content::Media(media) => {
            let mut json = Vec::new();
            let mut part = ObjectWriter::begin(&mut json);
            if !saying::media(&mut part, media) {
                return false;
            }
            part.end();
            parts.next().extend_from_slice(&json);
        }
        Content::Foreign {
            maker: Maker::Gemini,
            json,
        } => parts.next().extend_from_slice(json.as_str().as_bytes()),
        Content::Result(_) | Content::Foreign { .. } => return false,
    }
    true
}

/// Writes `usageMetadata`: the thoughts are beside what was answered.
pub(super) fn usage(object: &mut ObjectWriter<'_>, usage: Option<Usage>, tier: Option<&Text<'_>>) {
    let tier = tier.and_then(|tier| match &*tier.resolved() {
        "default" => Some("standard"),
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        _ => None,
    });
    if usage.is_none() && tier.is_none() {
        return;
    }
    let mut counts = object.object("usageMetadata");
    if let Some(usage) = usage {
        let answered = usage.output.saturating_sub(usage.reasoning);
        counts
            .count("promptTokenCount", usage.input)
            .count("candidatesTokenCount", answered)
            .count("totalTokenCount", usage.total());
        if usage.reasoning > 0 {
            counts.count("thoughtsTokenCount", usage.reasoning);
        }
        if usage.cached > 0 {
            counts.count("cachedContentTokenCount", usage.cached);
        }
    }
    if let Some(tier) = tier {
        counts.text("serviceTier", tier);
    }
    counts.end();
}

/// A provider's error as this API words it.
pub(super) fn failure(failure: &Failure) -> (u16, Vec<u8>) {
    let status = match failure.status() {
        529 => 503,
        status => status,
    };
    let mut out = Vec::with_capacity(256);
    let mut body = ObjectWriter::begin(&mut out);
    let mut error = body.object("error");
    error
        .count("code", u64::from(status))
        .text("message", &failure.message)
        .text("status", status_word(failure.class));
    if let Some(wait) = failure.retry_after {
        let mut details = error.list("details");
        let mut info = details.object();
        info.text("@type", "type.googleapis.com/google.rpc.RetryInfo")
            .text("retryDelay", &format!("{}s", wait.as_secs_f64()));
        info.end();
        details.end();
    }
    error.end();
    body.end();
    (status, out)
}

/// Google's word for it (google.rpc.Code).
fn status_word(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest | Class::ContextLength | Class::TooLarge => "INVALID_ARGUMENT",
        Class::Authentication => "UNAUTHENTICATED",
        Class::Permission => "PERMISSION_DENIED",
        Class::NotFound => "NOT_FOUND",
        Class::Billing | Class::RateLimited => "RESOURCE_EXHAUSTED",
        Class::Overloaded => "UNAVAILABLE",
        Class::Timeout => "DEADLINE_EXCEEDED",
        Class::Server => "INTERNAL",
    }
}
