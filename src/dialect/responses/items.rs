//! Reads items: of a caller's input, and of a provider's output.

use crate::dialect::chat;
use crate::dialect::ir::{
    At, CacheMark, Citation, Content, Json, Maker, Media, MediaKind, Part, Reasoned, Role, Seal,
    Source, Text, ToolCall, ToolResult,
};
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, is_array, is_object};
use crate::dialect::reading::{Elements, Path, Reading, wrong};
use crate::dialect::seals::{self, Kind};
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// What one item is.
pub(super) enum Item<'a> {
    /// What somebody says.
    Message(Role, Vec<Part<'a>>),
    /// What else the model does: it thinks, calls, draws.
    Done(Vec<Content<'a>>),
    /// What a call gave.
    Result(ToolResult<'a>),
    /// A mark on a call of another provider's (see [`seals`]).
    Mark(Seal<'a>),
}

/// Reads the item at `at` whose JSON is `json`.
pub(super) fn one<'a>(
    mut item: Reading<'a>,
    json: &'a str,
    at: At,
    unknown: &mut Unknown<'a>,
) -> Result<Item<'a>, Error> {
    let kind = item.word("type")?;
    // Whoever sends an item back sends what we made up with it.
    let id = item.raw("id").and_then(Text::of_json);
    item.ignore(&["status", "phase", "caller"]);
    let read = match kind.as_deref() {
        None | Some("message") => {
            let (role, parts) = message(&mut item, at, unknown)?;
            Item::Message(role, parts)
        }
        Some("reasoning") => reasoning(&mut item, id)?,
        Some("function_call") => call(&mut item, "arguments", id)?,
        Some("custom_tool_call") => call(&mut item, "input", id)?,
        Some("function_call_output") => Item::Result(result(&mut item, at, false, unknown)?),
        Some("custom_tool_call_output") => Item::Result(result(&mut item, at, true, unknown)?),
        Some(kind) => {
            let image = (kind == "image_generation_call").then(|| image(json));
            let content = image.flatten().unwrap_or_else(|| foreign(json));
            return Ok(Item::Done(vec![content]));
        }
    };
    item.leave(unknown);
    Ok(read)
}

/// An item that only OpenAI understands.
pub(super) fn foreign(json: &str) -> Content<'_> {
    Content::Foreign {
        maker: Maker::OpenAi,
        json: Json::scanned(json),
    }
}

fn message<'a>(
    item: &mut Reading<'a>,
    at: At,
    unknown: &mut Unknown<'a>,
) -> Result<(Role, Vec<Part<'a>>), Error> {
    let role = match item.word("role")?.as_deref() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => {
            let wanted = "\"system\", \"developer\", \"user\" or \"assistant\"";
            return Err(item.wrong("role", wanted));
        }
    };
    let Some(content) = item.raw("content") else {
        return Err(item.wrong("content", "a text or an array of parts"));
    };
    Ok((role, parts(content, at, "content", unknown)?))
}

/// The parts in `content`, the field `field` of the item at `at`: a text, or
/// an array.
fn parts<'a>(
    content: &'a str,
    at: At,
    field: &'static str,
    unknown: &mut Unknown<'a>,
) -> Result<Vec<Part<'a>>, Error> {
    if let Some(text) = Text::of_json(content) {
        let content = Content::text(text);
        let cache = None;
        return Ok(vec![Part { content, cache, at }]);
    }
    let Some(elements) = Elements::of(content) else {
        return Err(wrong(
            format!("{at}.{field}"),
            "a text or an array of parts",
        ));
    };
    // Most have one.
    let mut parts = Vec::with_capacity(1);
    for (index, json) in elements.enumerate() {
        let at = at.within(field, index);
        let mut part = Reading::of(json, at)?;
        let breakpoint = part.open("prompt_cache_breakpoint")?;
        let cache = breakpoint.map(|_| CacheMark { for_an_hour: false });
        let content = content_part(&mut part)?;
        part.leave(unknown);
        parts.push(Part { content, cache, at });
    }
    Ok(parts)
}

/// What a part of a message is; nothing where it isn't one.
pub(super) fn content(json: &str) -> Option<Content<'_>> {
    let mut part = Reading::of(json, Path::default()).ok()?;
    content_part(&mut part).ok()
}

fn content_part<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    Ok(match part.word("type")?.as_deref() {
        Some("input_text" | "text") => Content::text(part.need_text("text")?),
        Some("output_text") => output_text(part)?,
        Some("refusal") => Content::Refusal(part.need_text("refusal")?),
        Some("input_image") => input_image(part)?,
        Some("input_file") => input_file(part)?,
        Some("input_audio") => chat::audio(part)?,
        _ => {
            let wanted =
                "\"input_text\", \"input_image\", \"input_file\", \"output_text\" or \"refusal\"";
            return Err(part.wrong("type", wanted));
        }
    })
}

fn output_text<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let text = part.need_text("text")?;
    let annotations = part.list("annotations")?.into_iter();
    let citations = annotations.filter_map(|json| citation(json, &text));
    Ok(Content::Text {
        citations: citations.collect(),
        logprobs: part.raw("logprobs").and_then(logprobs),
        text,
    })
}

/// The probabilities of words, where there are any.
pub(super) fn logprobs(raw: &str) -> Option<Json<'_>> {
    (is_array(raw) && says_something(raw)).then(|| Json::scanned(raw))
}

/// A citation of words in `text`: of a page, or (files, containers) one that
/// only OpenAI can follow.
pub(super) fn citation<'a>(json: &'a str, text: &Text<'_>) -> Option<Citation<'a>> {
    if let Some(page) = chat::citation(json, text) {
        return Some(page);
    }
    let filename = Members::of(json)?.get("filename");
    Some(Citation {
        title: filename.and_then(Text::of_json),
        original: Some((Maker::OpenAi, Json::scanned(json))),
        ..Citation::default()
    })
}

fn media<'a>(kind: MediaKind, source: Source<'a>) -> Media<'a> {
    Media {
        kind,
        source,
        name: None,
        detail: None,
    }
}

fn file(id: Text<'_>) -> Source<'_> {
    let maker = Maker::OpenAi;
    Source::File { maker, id }
}

fn input_image<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let source = match (part.text("image_url")?, part.text("file_id")?) {
        (Some(url), _) => chat::source(url),
        (None, Some(id)) => file(id),
        (None, None) => return Err(part.wrong("image_url", "a text")),
    };
    Ok(Content::Media(Media {
        detail: part.text("detail")?.filter(|detail| !detail.is("auto")),
        ..media(MediaKind::Image, source)
    }))
}

fn input_file<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let data = part.text("file_data")?;
    let (url, id) = (part.text("file_url")?, part.text("file_id")?);
    let source = match (data, url, id) {
        (Some(data), ..) => match chat::source(data) {
            // The bytes alone: PDF is what the API took first.
            Source::Url { url: data, .. } => Source::Base64 {
                media_type: Text::plain("application/pdf"),
                data,
            },
            source => source,
        },
        (None, Some(url), _) => chat::source(url),
        (None, None, Some(id)) => file(id),
        (None, None, None) => return Err(part.wrong("file_data", "a text")),
    };
    Ok(Content::Media(Media {
        name: part.text("filename")?,
        detail: part.text("detail")?.filter(|detail| !detail.is("auto")),
        ..media(MediaKind::Document, source)
    }))
}

/// An image that the provider made; nothing where it isn't there.
fn image(json: &str) -> Option<Content<'_>> {
    let item = Members::of(json)?;
    let data = item.get("result").and_then(Text::of_json)?;
    let format = item.text("output_format");
    let media_type = format!("image/{}", format.as_deref().unwrap_or("png"));
    let media_type = Text::owned(&media_type);
    let source = Source::Base64 { media_type, data };
    Some(Content::Media(media(MediaKind::Image, source)))
}

/// Reasoning is its summary and, where it is shown, itself: each is a part of
/// its own, and the mark is on the last.
fn reasoning<'a>(item: &mut Reading<'a>, id: Option<Text<'a>>) -> Result<Item<'a>, Error> {
    let mark = item.text("encrypted_content")?;
    let seal = match mark.and_then(|mark| seal(mark, id)) {
        Some((Kind::Call, seal)) => return Ok(Item::Mark(seal)),
        marked => marked.map(|(_, seal)| seal),
    };
    let summary = item.list("summary")?;
    let content = item.list("content")?;
    let mut parts = Vec::new();
    for (list, is_summary) in [(summary, true), (content, false)] {
        let text = words(list);
        if !text.is_empty() {
            parts.push(Reasoned {
                text,
                is_summary,
                seal: None,
            });
        }
    }
    if parts.is_empty() && seal.is_some() {
        parts.push(Reasoned::default());
    }
    if let Some(last) = parts.last_mut() {
        last.seal = seal;
    }
    let parts = parts.into_iter().map(Content::Reasoning);
    Ok(Item::Done(parts.collect()))
}

/// What `encrypted_content` is: OpenAI's, unless it is tagged.
/// Nothing where it is empty.
pub(super) fn seal<'a>(mark: Text<'a>, id: Option<Text<'a>>) -> Option<(Kind, Seal<'a>)> {
    if mark.is_empty() {
        return None;
    }
    seals::untagged(&mark).or_else(|| {
        let seal = Seal {
            maker: Maker::OpenAi,
            id: id.filter(|id| !id.is_empty()),
            data: mark,
            is_redacted: false,
        };
        Some((Kind::Signature, seal))
    })
}

/// What stands between two parts of a reasoning's words.
pub(super) fn between() -> Text<'static> {
    Text::of_json(r#""\n\n""#).expect("a JSON string is a text")
}

/// The words of a summary's parts, those that say something.
fn words(list: Vec<&str>) -> Text<'_> {
    let texts = list.into_iter().filter_map(|json| {
        let text = Members::of(json)?.get("text").and_then(Text::of_json)?;
        (!text.is_empty()).then_some(text)
    });
    texts
        .reduce(|words, more| {
            let mut words = words.into_owned();
            words.push(&between());
            words.push(&more);
            words
        })
        .unwrap_or_default()
}

fn call<'a>(
    item: &mut Reading<'a>,
    input: &'static str,
    id: Option<Text<'a>>,
) -> Result<Item<'a>, Error> {
    let is_custom = input == "input";
    let path = item.path(input);
    let arguments = match item.raw(input) {
        None if is_custom => Text::default(),
        None => Text::plain("{}"),
        // Some servers write the object itself.
        Some(raw) if is_object(raw) => Json::scanned(raw).as_text(),
        Some(raw) => match Text::of_json(raw) {
            Some(text) if text.is_blank() && !is_custom => Text::plain("{}"),
            Some(text) => text,
            None => return Err(wrong(path, "a text")),
        },
    };
    Ok(Item::Done(vec![Content::Call(ToolCall {
        // Some servers have one id for both.
        id: match item.text("call_id")?.or(id) {
            Some(id) => id,
            None => return Err(item.wrong("call_id", "a text")),
        },
        name: item.need_text("name")?,
        arguments,
        is_custom,
        seal: None,
    })]))
}

fn result<'a>(
    item: &mut Reading<'a>,
    at: At,
    is_custom: bool,
    unknown: &mut Unknown<'a>,
) -> Result<ToolResult<'a>, Error> {
    let call = item.need_text("call_id")?;
    let parts = match item.raw("output") {
        None | Some("\"\"") => Vec::new(),
        Some(output) => parts(output, at, "output", unknown)?,
    };
    Ok(ToolResult {
        call,
        name: item.text("name")?,
        parts,
        is_error: false,
        is_custom,
    })
}
