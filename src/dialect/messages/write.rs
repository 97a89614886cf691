//! Writes a whole message, and errors.

use super::stop_reason;
use crate::dialect::Usage;
use crate::dialect::ir::{
    Answer, Choice, Citation, Class, Content, Failure, Finish, Json, Maker, Reasoned, Seal, Text,
    ToolCall,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter, is_object};
use crate::dialect::seals::{self, Kind};
use crate::dialect::translate::Exchange;

pub(super) fn answer(answer: &Answer<'_>, exchange: &Exchange, losses: &mut Losses) -> Vec<u8> {
    let none = Choice::default();
    let choice = answer.choices.first().unwrap_or(&none);
    if answer.choices.len() > 1 {
        losses.dropped("response.choices[1]");
    }
    let mut out = Vec::with_capacity(1024);
    let mut message = ObjectWriter::begin(&mut out);
    head(&mut message, &answer.id, &answer.model, exchange);
    let mut content = message.list("content");
    let mut refuses = false;
    for (index, part) in choice.parts.iter().enumerate() {
        refuses |= matches!(part.content, Content::Refusal(_));
        if !block(&mut content, &part.content) {
            losses.dropped(format_args!("response.content[{index}]"));
        }
        if let Content::Text {
            logprobs: Some(_), ..
        } = part.content
        {
            losses.dropped("response.logprobs");
        }
    }
    content.end();
    let finish = match choice.finish {
        _ if refuses => Finish::ContentFilter,
        finish => finish.unwrap_or(Finish::Stop),
    };
    end(&mut message, finish, choice.stopped_by.as_ref());
    let tier = answer.service_tier.as_ref();
    usage(&mut message, answer.usage.unwrap_or_default(), tier);
    message.end();
    out
}

/// Writes who answers.
pub(super) fn head(
    message: &mut ObjectWriter<'_>,
    id: &Text<'_>,
    model: &Text<'_>,
    exchange: &Exchange,
) {
    if id.is_empty() {
        message.text("id", &format!("msg_{}", exchange.id));
    } else {
        message.said("id", id);
    }
    message.text("type", "message").text("role", "assistant");
    if model.is_empty() {
        message.text("model", &exchange.model);
    } else {
        message.said("model", model);
    }
}

/// Writes why it ended.
pub(super) fn end(message: &mut ObjectWriter<'_>, finish: Finish, text: Option<&Text<'_>>) {
    message.text("stop_reason", stop_reason(finish, text.is_some()));
    match text {
        Some(text) => message.said("stop_sequence", text),
        None => message.raw("stop_sequence", "null"),
    };
}

/// Writes `usage`: what came from the cache or went there is beside the input.
pub(super) fn usage(message: &mut ObjectWriter<'_>, usage: Usage, tier: Option<&Text<'_>>) {
    let cached = usage.cached.saturating_add(usage.cache_write);
    let mut counts = message.object("usage");
    counts
        .count("input_tokens", usage.input.saturating_sub(cached))
        .count("cache_creation_input_tokens", usage.cache_write)
        .count("cache_read_input_tokens", usage.cached)
        .count("output_tokens", usage.output);
    if usage.reasoning > 0 {
        let mut details = counts.object("output_tokens_details");
        details.count("thinking_tokens", usage.reasoning);
        details.end();
    }
    match tier {
        Some(tier) if tier.is("default") => drop(counts.text("service_tier", "standard")),
        Some(tier) if tier.is("priority") || tier.is("batch") => {
            counts.said("service_tier", tier);
        }
        _ => {}
    }
    counts.end();
}

/// Writes one block; says whether the format has one for it.
fn block(content: &mut ListWriter<'_>, part: &Content<'_>) -> bool {
    match part {
        Content::Text {
            text, citations, ..
        } => {
            let mut block = content.object();
            block.text("type", "text").said("text", text);
            if !citations.is_empty() {
                let mut list = block.list("citations");
                citations.iter().for_each(|it| citation(list.next(), it));
                list.end();
            }
            block.end();
        }
        Content::Refusal(text) => {
            let mut block = content.object();
            block.text("type", "text").said("text", text);
            block.end();
        }
        Content::Reasoning(reasoned) => thinking(content.next(), reasoned),
        Content::Call(call) => tool_use(content, call),
        Content::Foreign {
            maker: Maker::Anthropic,
            json,
        } => content.next().extend_from_slice(json.as_str().as_bytes()),
        Content::Media(_) | Content::Result(_) | Content::Foreign { .. } => return false,
    }
    true
}

/// Writes a `thinking` or a `redacted_thinking` block.
pub(super) fn thinking(out: &mut Vec<u8>, reasoned: &Reasoned<'_>) {
    let mut block = ObjectWriter::begin(out);
    match &reasoned.seal {
        Some(seal) if seal.is_redacted => {
            block
                .text("type", "redacted_thinking")
                .said("data", &mark(seal));
        }
        seal => {
            let mark = seal.as_ref().map(mark).unwrap_or_default();
            block
                .text("type", "thinking")
                .said("thinking", &reasoned.text)
                .said("signature", &mark);
        }
    }
    block.end();
}

/// A seal as this format carries it.
pub(super) fn mark<'a>(seal: &'a Seal<'_>) -> Text<'a> {
    match (seal.maker, seal.is_redacted) {
        (Maker::Anthropic, _) => seal.data.borrowed(),
        (_, true) => seals::tagged(Kind::Redacted, seal),
        (_, false) => seals::tagged(Kind::Signature, seal),
    }
}

fn tool_use(content: &mut ListWriter<'_>, call: &ToolCall<'_>) {
    let mut block = content.object();
    block
        .text("type", "tool_use")
        .said("id", &call.id)
        .said("name", &call.name);
    let input = Json::inside(&call.arguments.borrowed()).map(Json::into_owned);
    match input.filter(|json| is_object(json.as_str())) {
        Some(input) => drop(block.raw("input", input.as_str())),
        // Cut off by the limit, or free text: it is told, not mended.
        None if call.arguments.is_blank() => drop(block.raw("input", "{}")),
        None => {
            let mut input = block.object("input");
            input.said("input", &call.arguments);
            input.end();
        }
    }
    block.end();
    if let Some(seal) = &call.seal {
        call_mark(content.next(), &call.id, seal);
    }
}

/// Writes the mark on a call as the block that carries it.
pub(super) fn call_mark(out: &mut Vec<u8>, call: &Text<'_>, seal: &Seal<'_>) {
    let named = Seal {
        id: Some(call.borrowed()),
        data: seal.data.borrowed(),
        ..*seal
    };
    let mut block = ObjectWriter::begin(out);
    block
        .text("type", "redacted_thinking")
        .said("data", &seals::tagged(Kind::Call, &named));
    block.end();
}

/// Writes a citation: its own, or a page's as its web search cites them.
pub(super) fn citation(out: &mut Vec<u8>, citation: &Citation<'_>) {
    if let Some((Maker::Anthropic, json)) = &citation.original {
        return out.extend_from_slice(json.as_str().as_bytes());
    }
    let empty = Text::default();
    let or_empty =
        |text: &Option<Text<'_>>| text.as_ref().unwrap_or(&empty).borrowed().into_owned();
    let mut object = ObjectWriter::begin(out);
    object
        .text("type", "web_search_result_location")
        .said("url", &or_empty(&citation.url))
        .said("title", &or_empty(&citation.title))
        .said("cited_text", &or_empty(&citation.quote))
        .text("encrypted_index", "");
    object.end();
}

/// A provider's error as this API words it.
pub(super) fn failure(failure: &Failure, exchange: &Exchange) -> (u16, Vec<u8>) {
    let status = match failure.class {
        Class::Overloaded => 529,
        _ => failure.status(),
    };
    let mut out = Vec::with_capacity(256);
    let mut body = ObjectWriter::begin(&mut out);
    body.text("type", "error");
    let mut error = body.object("error");
    error
        .text("type", error_type(failure.class))
        .text("message", &failure.message);
    error.end();
    body.text("request_id", &exchange.id);
    body.end();
    (status, out)
}

/// Anthropic's word for it.
fn error_type(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest | Class::ContextLength => "invalid_request_error",
        Class::Authentication => "authentication_error",
        Class::Permission => "permission_error",
        Class::Billing => "billing_error",
        Class::NotFound => "not_found_error",
        Class::TooLarge => "request_too_large",
        Class::RateLimited => "rate_limit_error",
        Class::Overloaded => "overloaded_error",
        Class::Timeout => "timeout_error",
        Class::Server => "api_error",
    }
}
