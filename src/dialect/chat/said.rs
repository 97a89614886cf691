//! Reads what an assistant's message says: one a caller sends back, and one
//! that answers.

use super::parts;
use crate::dialect::ir::{
    At, Citation, Content, Json, Maker, Part, Reasoned, Seal, Text, ToolCall,
};
use crate::dialect::json::elements;
use crate::dialect::members::{Members, is_object};
use crate::dialect::reading::{Reading, wrong};
use crate::dialect::seals;
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// The parts of the message at `at`: its reasoning, its words, its refusal,
/// its calls.
pub(super) fn parts<'a>(
    message: &mut Reading<'a>,
    at: At,
    unknown: &mut Unknown<'a>,
) -> Result<Vec<Part<'a>>, Error> {
    // Most say one thing.
    let mut list = Vec::with_capacity(1);
    let part = |content| Part {
        content,
        cache: None,
        at,
    };
    list.extend(reasoning(message)?.into_iter().map(part));
    if let Some(content) = message.raw("content") {
        let words = parts::list(content, at, unknown)?;
        list.extend(words.into_iter().filter(says_something));
    }
    let cited = message.list("annotations")?;
    if let Some(Part {
        content: Content::Text {
            citations, text, ..
        },
        ..
    }) = list.iter_mut().find(|part| is_text(part))
    {
        citations.extend(cited.into_iter().filter_map(|json| citation(json, text)));
    }
    if let Some(refusal) = message.text("refusal")? {
        list.extend((!refusal.is_empty()).then(|| part(Content::Refusal(refusal))));
    }
    for (index, json) in message.each("tool_calls")?.enumerate() {
        let at = at.within("tool_calls", index);
        let call = call(Reading::of(json, at)?, unknown)?;
        list.push(Part {
            content: Content::Call(call),
            cache: None,
            at,
        });
    }
    if let Some(mut function) = message.open("function_call")? {
        let name = function.need_text("name")?;
        list.push(part(Content::Call(ToolCall {
            id: id_of_function(&name),
            arguments: function
                .text("arguments")?
                .unwrap_or_else(|| Text::plain("{}")),
            name,
            is_custom: false,
            seal: None,
        })));
    }
    Ok(list)
}

/// The older form has no ids: a function's name ties its result to its call.
pub(super) fn id_of_function(name: &Text<'_>) -> Text<'static> {
    let mut id = Text::plain("call_").into_owned();
    id.push(name);
    id
}

fn is_text(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text { .. })
}

fn says_something(part: &Part<'_>) -> bool {
    !matches!(&part.content, Content::Text { text, .. } if text.is_empty())
}

/// `thinking_blocks` have the words with their marks; else the words are in
/// `reasoning_content`, or in `reasoning` (OpenRouter, vLLM).
pub(super) fn reasoning<'a>(message: &mut Reading<'a>) -> Result<Vec<Content<'a>>, Error> {
    let path = message.path("thinking_blocks");
    let blocks = message.list("thinking_blocks")?;
    let words = match message.text("reasoning_content")? {
        Some(words) => Some(words),
        None => message.raw("reasoning").and_then(Text::of_json),
    };
    message.ignore(&["reasoning"]);
    let mut list = Vec::new();
    for json in blocks {
        list.push(Content::Reasoning(thinking_block(Reading::of(
            json, path,
        )?)?));
    }
    let words = words.filter(|words| !words.is_empty());
    if let (true, Some(text)) = (list.is_empty(), words) {
        list.push(Content::Reasoning(Reasoned {
            text,
            ..Reasoned::default()
        }));
    }
    Ok(list)
}

fn thinking_block<'a>(mut block: Reading<'a>) -> Result<Reasoned<'a>, Error> {
    let data = block.text("data")?.filter(|data| !data.is_empty());
    let mark = block.text("signature")?.filter(|mark| !mark.is_empty());
    let is_redacted = data.is_some();
    Ok(Reasoned {
        text: block.text("thinking")?.unwrap_or_default(),
        is_summary: false,
        seal: data.or(mark).map(|mark| seal(mark, is_redacted)),
    })
}

/// What a mark in `thinking_blocks` is: Anthropic's, unless it is tagged.
pub(super) fn seal(mark: Text<'_>, is_redacted: bool) -> Seal<'_> {
    match seals::untagged(&mark) {
        Some((_, seal)) => seal,
        None => Seal {
            maker: Maker::Anthropic,
            id: None,
            data: mark,
            is_redacted,
        },
    }
}

fn call<'a>(mut call: Reading<'a>, unknown: &mut Unknown<'a>) -> Result<ToolCall<'a>, Error> {
    let id = call.text("id")?.unwrap_or_default();
    let seal = call_seal(&mut call)?;
    call.ignore(&["type", "index"]);
    let (mut tool, input, is_custom) = match (call.open("function")?, call.open("custom")?) {
        (Some(function), _) => (function, "arguments", false),
        (None, Some(custom)) => (custom, "input", true),
        (None, None) => return Err(call.wrong("function", "an object")),
    };
    let name = tool.need_text("name")?;
    let arguments = arguments(&mut tool, input)?;
    call.leave(unknown);
    Ok(ToolCall {
        id,
        name,
        arguments,
        is_custom,
        seal,
    })
}

/// A text; some servers write the object itself.
fn arguments<'a>(tool: &mut Reading<'a>, key: &'static str) -> Result<Text<'a>, Error> {
    let path = tool.path(key);
    Ok(match tool.raw(key) {
        None => Text::plain("{}"),
        Some(raw) if is_object(raw) => Json::scanned(raw).as_text(),
        Some(raw) => match Text::of_json(raw) {
            Some(text) if text.is_blank() && key == "arguments" => Text::plain("{}"),
            Some(text) => text,
            None => return Err(wrong(path, "a text")),
        },
    })
}

/// Gemini's mark on a call, where Google's own translation has it.
pub(super) fn call_seal<'a>(call: &mut Reading<'a>) -> Result<Option<Seal<'a>>, Error> {
    let Some(mut extra) = call.open("extra_content")? else {
        return Ok(None);
    };
    let Some(mut google) = extra.open("google")? else {
        return Ok(None);
    };
    Ok(google.text("thought_signature")?.map(|data| Seal {
        maker: Maker::Gemini,
        id: None,
        data,
        is_redacted: false,
    }))
}

/// A citation of a page, of words in `text`.
pub(in crate::dialect) fn citation<'a>(json: &'a str, text: &Text<'_>) -> Option<Citation<'a>> {
    let annotation = Members::of(json)?;
    let inner = annotation.get("url_citation").and_then(Members::of);
    let fields = inner.as_ref().unwrap_or(&annotation);
    let number = |key: &str| fields.get(key)?.parse::<u64>().ok();
    let span = number("start_index").zip(number("end_index"));
    let is_all = |span: &(u64, u64)| *span == (0, text.chars());
    Some(Citation {
        url: Some(fields.get("url").and_then(Text::of_json)?),
        title: fields.get("title").and_then(Text::of_json),
        quote: fields.get("content").and_then(Text::of_json),
        span: span.filter(|span| !is_all(span)),
        original: None,
    })
}

/// The elements of an array of annotations.
pub(super) fn citations<'a>(raw: &'a str, text: &Text<'_>) -> Vec<Citation<'a>> {
    let list = elements(raw).unwrap_or_default();
    list.into_iter()
        .filter_map(|json| citation(json, text))
        .collect()
}
