//! Writes a whole legacy completion.

use super::probabilities;
use crate::dialect::chat;
use crate::dialect::ir::{Answer, Choice, Content, Finish, Text};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::Exchange;

pub(super) fn answer(answer: &Answer<'_>, exchange: &Exchange, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut completion = ObjectWriter::begin(&mut out);
    let created = answer.created.unwrap_or(exchange.created);
    head(
        &mut completion,
        &answer.id,
        &answer.model,
        created,
        exchange,
    );
    let mut choices = completion.list("choices");
    for (index, it) in answer.choices.iter().enumerate() {
        choice(&mut choices, index, it, losses);
    }
    choices.end();
    if let Some(counts) = answer.usage {
        chat::write_usage(completion.key("usage"), counts);
    }
    completion.end();
    if answer.service_tier.is_some() {
        losses.dropped("response.service_tier");
    }
    out
}

/// Writes who answers, and in what.
pub(super) fn head(
    object: &mut ObjectWriter<'_>,
    id: &Text<'_>,
    model: &Text<'_>,
    created: u64,
    exchange: &Exchange,
) {
    if id.is_empty() {
        object.text("id", &format!("cmpl-{}", exchange.id));
    } else {
        object.said("id", id);
    }
    object
        .text("object", "text_completion")
        .count("created", created);
    if model.is_empty() {
        object.text("model", &exchange.model);
    } else {
        object.said("model", model);
    }
}

/// The format has words and nothing else: a refusal is words, and what the
/// model thought or wants called is lost.
fn choice(choices: &mut ListWriter<'_>, index: usize, choice: &Choice<'_>, losses: &mut Losses) {
    let mut words = Text::default();
    let mut told = None;
    for (index, part) in choice.parts.iter().enumerate() {
        match &part.content {
            Content::Text {
                text,
                citations,
                logprobs,
            } => {
                words.push(text);
                told = logprobs.as_ref().or(told);
                if !citations.is_empty() {
                    losses.dropped("response.citations");
                }
            }
            Content::Refusal(text) => words.push(text),
            _ => losses.dropped(format_args!("response.content[{index}]")),
        }
    }
    let mut object = choices.object();
    object.said("text", &words).number("index", index);
    match told {
        None => drop(object.raw("logprobs", "null")),
        Some(content) => drop(probabilities::write(object.key("logprobs"), content, 0)),
    }
    object.text("finish_reason", finish_reason(choice.finish));
    object.end();
}

/// The format's word for why it ended.
pub(super) fn finish_reason(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(Finish::Length) => "length",
        Some(Finish::ContentFilter) => "content_filter",
        None | Some(Finish::Stop | Finish::ToolCalls | Finish::Error | Finish::Other) => "stop",
    }
}
