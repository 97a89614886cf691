//! Writes a whole chat completion, and errors.

use crate::dialect::Usage;
use crate::dialect::ir::{
    Answer, Choice, Citation, Class, Content, Failure, Finish, Maker, Media, MediaKind, Reasoned,
    Seal, Source, Text, ToolCall,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::seals::{self, Kind};
use crate::dialect::translate::Exchange;

pub(super) fn answer(answer: &Answer<'_>, exchange: &Exchange, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut completion = ObjectWriter::begin(&mut out);
    let created = answer.created.unwrap_or(exchange.created);
    head(
        &mut completion,
        &answer.id,
        &answer.model,
        created,
        "chat.completion",
        exchange,
    );
    let mut choices = completion.list("choices");
    for (index, it) in answer.choices.iter().enumerate() {
        choice(&mut choices, index, it, losses);
    }
    choices.end();
    if let Some(counts) = answer.usage {
        usage(completion.key("usage"), counts);
    }
    completion.said_if("service_tier", answer.service_tier.as_ref());
    completion.end();
    out
}

/// Writes who answers, and in what.
pub(super) fn head(
    object: &mut ObjectWriter<'_>,
    id: &Text<'_>,
    model: &Text<'_>,
    created: u64,
    kind: &str,
    exchange: &Exchange,
) {
    if id.is_empty() {
        object.text("id", &format!("chatcmpl-{}", exchange.id));
    } else {
        object.said("id", id);
    }
    object.text("object", kind).count("created", created);
    if model.is_empty() {
        object.text("model", &exchange.model);
    } else {
        object.said("model", model);
    }
}

fn choice(choices: &mut ListWriter<'_>, index: usize, choice: &Choice<'_>, losses: &mut Losses) {
    let mut object = choices.object();
    object.number("index", index);
    let said = Said::of(choice, losses);
    let mut message = object.object("message");
    said.write(&mut message);
    message.end();
    match said.logprobs {
        None => drop(object.raw("logprobs", "null")),
        Some(content) => {
            let mut logprobs = object.object("logprobs");
            logprobs.raw("content", content).raw("refusal", "null");
            logprobs.end();
        }
    }
    object.text("finish_reason", finish_reason(choice.finish));
    object.end();
}

/// OpenAI's word for why it ended.
pub(super) fn finish_reason(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(finish @ (Finish::Length | Finish::ToolCalls | Finish::ContentFilter)) => {
            finish.as_str()
        }
        None | Some(Finish::Stop | Finish::Error | Finish::Other) => "stop",
    }
}

/// What a message has in fields of their own.
struct Said<'c, 'a> {
    text: Option<Text<'static>>,
    refusal: Option<&'c Text<'a>>,
    reasoned: Vec<&'c Reasoned<'a>>,
    calls: Vec<&'c ToolCall<'a>>,
    /// Each with where its text begins, in characters, and how long it is.
    citations: Vec<(&'c Citation<'a>, u64, u64)>,
    images: Vec<&'c Media<'a>>,
    logprobs: Option<&'c str>,
}

impl<'c, 'a> Said<'c, 'a> {
    fn of(choice: &'c Choice<'a>, losses: &mut Losses) -> Self {
        let mut said = Self {
            text: None,
            refusal: None,
            reasoned: Vec::new(),
            calls: Vec::new(),
            citations: Vec::new(),
            images: Vec::new(),
            logprobs: None,
        };
        for (index, part) in choice.parts.iter().enumerate() {
            match &part.content {
                Content::Text {
                    text,
                    citations,
                    logprobs,
                } => {
                    if !citations.is_empty() {
                        let start = said.text.as_ref().map_or(0, Text::chars);
                        let length = text.chars();
                        let cited = citations.iter().map(|it| (it, start, length));
                        said.citations.extend(cited);
                    }
                    said.text.get_or_insert_default().push(text);
                    said.logprobs = logprobs.as_ref().map(|it| it.as_str()).or(said.logprobs);
                }
                Content::Refusal(text) => said.refusal = Some(text),
                Content::Reasoning(reasoned) => said.reasoned.push(reasoned),
                Content::Call(call) => said.calls.push(call),
                Content::Media(media) if media.kind == MediaKind::Image => said.images.push(media),
                Content::Media(_) | Content::Result(_) | Content::Foreign { .. } => {
                    losses.dropped(format_args!("response.content[{index}]"));
                }
            }
        }
        if said
            .citations
            .iter()
            .any(|(citation, ..)| citation.url.is_none())
        {
            losses.dropped("response.citations");
        }
        said
    }

    fn write(&self, message: &mut ObjectWriter<'_>) {
        message.text("role", "assistant");
        match &self.text {
            Some(text) => message.said("content", text),
            None => message.raw("content", "null"),
        };
        match self.refusal {
            Some(text) => message.said("refusal", text),
            None => message.raw("refusal", "null"),
        };
        self.write_reasoning(message);
        if !self.calls.is_empty() {
            let mut list = message.list("tool_calls");
            self.calls
                .iter()
                .for_each(|call| write_call(&mut list, call));
            list.end();
        }
        if self
            .citations
            .iter()
            .any(|(citation, ..)| citation.url.is_some())
        {
            let mut list = message.list("annotations");
            for (citation, start, length) in &self.citations {
                annotation(&mut list, citation, *start, *length);
            }
            list.end();
        }
        if !self.images.is_empty() {
            let mut list = message.list("images");
            self.images.iter().for_each(|media| image(&mut list, media));
            list.end();
        }
    }

    fn write_reasoning(&self, message: &mut ObjectWriter<'_>) {
        let mut words = Text::default();
        self.reasoned
            .iter()
            .for_each(|reasoned| words.push(&reasoned.text));
        if !words.is_empty() {
            message.said("reasoning_content", &words);
        }
        if self.reasoned.iter().any(|reasoned| reasoned.seal.is_some()) {
            let mut list = message.list("thinking_blocks");
            for reasoned in &self.reasoned {
                thinking_block(list.next(), &reasoned.text, reasoned.seal.as_ref());
            }
            list.end();
        }
    }
}

/// Writes one of the `thinking_blocks`.
pub(super) fn thinking_block(out: &mut Vec<u8>, text: &Text<'_>, seal: Option<&Seal<'_>>) {
    let mut block = ObjectWriter::begin(out);
    match seal {
        Some(seal) if seal.is_redacted => {
            block
                .text("type", "redacted_thinking")
                .said("data", &mark(seal));
        }
        seal => {
            block.text("type", "thinking").said("thinking", text);
            block.said("signature", &seal.map(mark).unwrap_or_default());
        }
    }
    block.end();
}

/// A seal as this format carries it.
fn mark<'a>(seal: &'a Seal<'_>) -> Text<'a> {
    match (seal.maker, seal.is_redacted) {
        (Maker::Anthropic, _) => seal.data.borrowed(),
        (_, true) => seals::tagged(Kind::Redacted, seal),
        (_, false) => seals::tagged(Kind::Signature, seal),
    }
}

fn write_call(list: &mut ListWriter<'_>, call: &ToolCall<'_>) {
    let mut object = list.object();
    let (kind, input) = match call.is_custom {
        true => ("custom", "input"),
        false => ("function", "arguments"),
    };
    object.said("id", &call.id).text("type", kind);
    let mut tool = object.object(kind);
    tool.said("name", &call.name).said(input, &call.arguments);
    tool.end();
    if let Some(seal) = &call.seal {
        call_mark(&mut object, seal);
    }
    object.end();
}

/// Writes Gemini's mark on a call.
pub(super) fn call_mark(call: &mut ObjectWriter<'_>, seal: &Seal<'_>) {
    let mut extra = call.object("extra_content");
    let mut google = extra.object("google");
    google.said("thought_signature", &seal.data);
    google.end();
    extra.end();
}

/// Writes a citation of a page. Others aren't the format's.
pub(super) fn annotation(
    list: &mut ListWriter<'_>,
    citation: &Citation<'_>,
    start: u64,
    length: u64,
) {
    let Some(url) = &citation.url else { return };
    let (from, to) = citation.span.unwrap_or((0, length));
    let mut annotation = list.object();
    annotation.text("type", "url_citation");
    let mut page = annotation.object("url_citation");
    page.count("start_index", start + from)
        .count("end_index", start + to)
        .said("url", url);
    let title = citation.title.as_ref().unwrap_or(url);
    page.said("title", title)
        .said_if("content", citation.quote.as_ref());
    page.end();
    annotation.end();
}

/// Writes an image that was made, as OpenRouter does.
pub(super) fn image(list: &mut ListWriter<'_>, media: &Media<'_>) {
    let mut object = list.object();
    object.text("type", "image_url");
    let mut image = object.object("image_url");
    match &media.source {
        Source::Base64 { media_type, data } => {
            let mut url = Text::plain("data:").into_owned();
            url.push(media_type);
            url.push(&Text::plain(";base64,"));
            url.push(data);
            image.said("url", &url);
        }
        Source::Url { url, .. } | Source::Text(url) | Source::File { id: url, .. } => {
            image.said("url", url);
        }
    }
    image.end();
    object.end();
}

/// Writes a usage object: what was cached is part of the prompt.
pub(in crate::dialect) fn usage(out: &mut Vec<u8>, usage: Usage) {
    let mut counts = ObjectWriter::begin(out);
    counts
        .count("prompt_tokens", usage.input)
        .count("completion_tokens", usage.output)
        .count("total_tokens", usage.total());
    let mut details = counts.object("prompt_tokens_details");
    details.count("cached_tokens", usage.cached);
    if usage.cache_write > 0 {
        details.count("cache_write_tokens", usage.cache_write);
    }
    details.end();
    let mut details = counts.object("completion_tokens_details");
    details.count("reasoning_tokens", usage.reasoning);
    details.end();
    counts.end();
}

/// A provider's error as this API words it.
pub(in crate::dialect) fn failure(failure: &Failure) -> (u16, Vec<u8>) {
    let status = match failure.status() {
        // OpenAI's SDKs know no such status; 503 says the same.
        529 => 503,
        status => status,
    };
    let mut out = Vec::with_capacity(256);
    let mut body = ObjectWriter::begin(&mut out);
    error(body.key("error"), failure);
    body.end();
    (status, out)
}

/// Writes the object that tells of an error.
pub(in crate::dialect) fn error(out: &mut Vec<u8>, failure: &Failure) {
    let mut error = ObjectWriter::begin(out);
    error
        .text("message", &failure.message)
        .text("type", error_type(failure.class));
    match &failure.param {
        Some(param) => error.text("param", param),
        None => error.raw("param", "null"),
    };
    match code(failure) {
        Some(code) => error.text("code", code),
        None => error.raw("code", "null"),
    };
    error.end();
}

/// The code of an error: OpenAI's for all of its class, else the provider's.
pub(in crate::dialect) fn code(failure: &Failure) -> Option<&str> {
    error_code(failure.class).or(failure.code.as_deref())
}

fn error_type(class: Class) -> &'static str {
    match class {
        Class::RateLimited => "rate_limit_error",
        Class::Billing => "insufficient_quota",
        Class::Overloaded | Class::Timeout | Class::Server => "server_error",
        Class::InvalidRequest
        | Class::ContextLength
        | Class::Authentication
        | Class::Permission
        | Class::NotFound
        | Class::TooLarge => "invalid_request_error",
    }
}

/// OpenAI's code for it, where there is one for all of the class.
pub(in crate::dialect) fn error_code(class: Class) -> Option<&'static str> {
    match class {
        Class::ContextLength => Some("context_length_exceeded"),
        Class::Authentication => Some("invalid_api_key"),
        Class::Billing => Some("insufficient_quota"),
        Class::NotFound => Some("model_not_found"),
        Class::RateLimited => Some("rate_limit_exceeded"),
        Class::InvalidRequest
        | Class::Permission
        | Class::TooLarge
        | Class::Overloaded
        | Class::Timeout
        | Class::Server => None,
    }
}
