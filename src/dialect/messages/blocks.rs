//! Reads blocks: of a caller's messages, and of a provider's answer.

use crate::dialect::ir::{
    At, CacheMark, Citation, Content, Json, Maker, Media, MediaKind, Part, Reasoned, Seal, Source,
    Text, ToolCall, ToolResult,
};
use crate::dialect::json::elements;
use crate::dialect::members::{inside_quotes, is_object};
use crate::dialect::reading::{Elements, Path, Reading, wrong};
use crate::dialect::seals::{self, Kind};
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// The blocks in `content`, which is the field `field` of what is at `at`: a
/// text, or an array.
pub(super) fn list<'a>(
    content: &'a str,
    at: At,
    field: &'static str,
    unknown: &mut Unknown<'a>,
) -> Result<Vec<Part<'a>>, Error> {
    if let Some(text) = Text::of_json(content) {
        return Ok(vec![Part {
            content: Content::text(text),
            cache: None,
            at,
        }]);
    }
    let Some(blocks) = Elements::of(content) else {
        let path = match field {
            "system" => Path::from(at),
            _ => Path::from(at).key(field),
        };
        return Err(wrong(path, "a text or an array of blocks"));
    };
    // Most have one.
    let mut parts = Vec::with_capacity(1);
    // Marks on calls, which come as blocks of their own.
    let mut marks = Vec::new();
    for (index, element) in blocks.enumerate() {
        let json = element.json;
        let at = match field {
            "system" => At::element(field, index),
            _ => at.within(field, index),
        };
        let mut block = Reading::of(element, at)?;
        let cache = cache_mark(&mut block)?;
        match one(block, json, unknown)? {
            Block::Part(content) => parts.push(Part { content, cache, at }),
            Block::Mark(seal) => marks.push(seal),
        }
    }
    seals::put(marks, parts.iter_mut());
    Ok(parts)
}

/// Whether a part is a tool's result, which is a turn of its own.
pub(super) fn is_result(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Result(_))
}

/// Takes `cache_control`.
pub(super) fn cache_mark(block: &mut Reading<'_>) -> Result<Option<CacheMark>, Error> {
    let Some(mut mark) = block.open("cache_control")? else {
        return Ok(None);
    };
    let for_an_hour = mark.word("ttl")?.as_deref() == Some("1h");
    Ok(Some(CacheMark { for_an_hour }))
}

/// What one block is.
pub(super) enum Block<'a> {
    Part(Content<'a>),
    /// A mark on a call of another provider's (see [`seals`]).
    Mark(Seal<'a>),
}

/// Reads a block whose JSON is `json`.
pub(super) fn one<'a>(
    mut block: Reading<'a>,
    json: &'a str,
    unknown: &mut Unknown<'a>,
) -> Result<Block<'a>, Error> {
    let content = match block.word("type")?.as_deref() {
        Some("text") => Content::Text {
            text: block.need_text("text")?,
            citations: citations(block.list("citations")?),
            logprobs: None,
        },
        Some("image") => media(&mut block, MediaKind::Image)?,
        Some("document") => media(&mut block, MediaKind::Document)?,
        Some("thinking") => thinking(&mut block)?,
        Some("redacted_thinking") => match redacted(block.need_text("data")?) {
            Block::Part(content) => content,
            mark => return Ok(mark),
        },
        Some("tool_use") => Content::Call(call(&mut block)?),
        Some("tool_result") => {
            let result = result(&mut block, unknown)?;
            Content::Result(result)
        }
        _ => return Ok(Block::Part(foreign(json))),
    };
    block.leave(unknown);
    Ok(Block::Part(content))
}

fn foreign(json: &str) -> Content<'_> {
    Content::Foreign {
        maker: Maker::Anthropic,
        json: Json::scanned(json),
    }
}

fn citations<'a>(list: Vec<&'a str>) -> Vec<Citation<'a>> {
    list.into_iter().filter_map(citation).collect()
}

/// Reads one citation, of whatever kind.
pub(super) fn citation(json: &str) -> Option<Citation<'_>> {
    let mut fields = Reading::of(json, Path::default()).ok()?;
    let mut text = |key| fields.text(key).ok().flatten();
    Some(Citation {
        url: text("url"),
        title: text("title").or_else(|| text("document_title")),
        quote: text("cited_text"),
        span: None,
        original: Some((Maker::Anthropic, Json::scanned(json))),
    })
}

fn thinking<'a>(block: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let text = block.text("thinking")?.unwrap_or_default();
    let mark = block.text("signature")?.filter(|mark| !mark.is_empty());
    Ok(Content::Reasoning(Reasoned {
        text,
        is_summary: false,
        seal: mark.map(signature),
    }))
}

/// The seal that a `signature` is.
pub(super) fn signature(mark: Text<'_>) -> Seal<'_> {
    match seals::untagged(&mark) {
        Some((_, seal)) => seal,
        None => Seal {
            maker: Maker::Anthropic,
            id: None,
            data: mark,
            is_redacted: false,
        },
    }
}

/// What the `data` of a `redacted_thinking` block is.
pub(super) fn redacted(data: Text<'_>) -> Block<'_> {
    let seal = match seals::untagged(&data) {
        Some((Kind::Call, seal)) => return Block::Mark(seal),
        Some((_, seal)) => seal,
        None => Seal {
            maker: Maker::Anthropic,
            id: None,
            data,
            is_redacted: true,
        },
    };
    Block::Part(Content::Reasoning(Reasoned {
        seal: Some(seal),
        ..Reasoned::default()
    }))
}

fn call<'a>(block: &mut Reading<'a>) -> Result<ToolCall<'a>, Error> {
    // Which code of the provider's may call; nobody else has that.
    block.ignore(&["caller"]);
    let arguments = match block.object("input")? {
        Some(input) => Json::scanned(input).as_text(),
        None => Text::plain("{}"),
    };
    Ok(ToolCall {
        id: block.need_text("id")?,
        name: block.need_text("name")?,
        arguments,
        is_custom: false,
        seal: None,
    })
}

fn result<'a>(block: &mut Reading<'a>, unknown: &mut Unknown<'a>) -> Result<ToolResult<'a>, Error> {
    let call = block.need_text("tool_use_id")?;
    let is_error = block.flag("is_error")?.unwrap_or(false);
    let path = block.path("content");
    let mut parts = Vec::new();
    match block.raw("content") {
        None => {}
        Some(raw) if inside_quotes(raw).is_some() => {
            parts.extend(Text::of_json(raw).map(|text| Part::from(Content::text(text))));
        }
        Some(raw) => {
            let blocks =
                Elements::of(raw).ok_or_else(|| wrong(path, "a text or an array of blocks"))?;
            for (index, element) in blocks.enumerate() {
                let json = element.json;
                let mut inner = Reading::of(element, path.element(index))?;
                let cache = cache_mark(&mut inner)?;
                if let Block::Part(content) = one(inner, json, unknown)? {
                    parts.push(Part {
                        cache,
                        ..Part::from(content)
                    });
                }
            }
        }
    }
    Ok(ToolResult {
        call,
        name: None,
        parts,
        is_error,
        is_custom: false,
    })
}

fn media<'a>(block: &mut Reading<'a>, kind: MediaKind) -> Result<Content<'a>, Error> {
    let Some(mut source) = block.open("source")? else {
        return Err(block.wrong("source", "an object"));
    };
    let source = match source.word("type")?.as_deref() {
        Some("base64") => Source::Base64 {
            media_type: source.need_text("media_type")?,
            data: source.need_text("data")?,
        },
        Some("url") => Source::Url {
            media_type: None,
            url: source.need_text("url")?,
        },
        Some("text") => Source::Text(source.need_text("data")?),
        Some("file") => Source::File {
            maker: Maker::Anthropic,
            id: source.need_text("file_id")?,
        },
        Some("content") => match source.raw("content").and_then(texts_of) {
            Some(text) => Source::Text(text),
            None => return Err(source.wrong("content", "a text or text blocks")),
        },
        _ => return Err(source.wrong("type", "\"base64\", \"url\", \"text\" or \"file\"")),
    };
    Ok(Content::Media(Media {
        kind,
        source,
        name: block.text("title")?,
        detail: None,
    }))
}

/// A document of text blocks as one text.
fn texts_of(content: &str) -> Option<Text<'_>> {
    if let Some(text) = Text::of_json(content) {
        return Some(text);
    }
    let mut all = Text::default();
    for json in elements(content)? {
        is_object(json).then_some(())?;
        let mut block = Reading::of(json, Path::default()).ok()?;
        all.push(&block.text("text").ok()??);
    }
    Some(all.into_owned())
}
