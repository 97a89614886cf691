//! Reads content parts.

use crate::dialect::ir::{
    At, CacheMark, Content, Json, Maker, Media, MediaKind, Part, Source, Text,
};
use crate::dialect::reading::{Elements, Reading, wrong};
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// The parts in `content`, a text or an array, of the message at `at`.
pub(super) fn list<'a>(
    content: &'a str,
    at: At,
    unknown: &mut Unknown<'a>,
) -> Result<Vec<Part<'a>>, Error> {
    if let Some(text) = Text::of_json(content) {
        return Ok(vec![Part {
            content: Content::text(text),
            cache: None,
            at,
        }]);
    }
    let Some(elements) = Elements::of(content) else {
        return Err(wrong(
            format!("{at}.content"),
            "a text or an array of parts",
        ));
    };
    // Most have one.
    let mut parts = Vec::with_capacity(1);
    for (index, json) in elements.enumerate() {
        let at = at.within("content", index);
        let mut part = Reading::of(json, at)?;
        let cache = cache_mark(&mut part)?;
        let content = one(&mut part)?;
        part.leave(unknown);
        parts.push(Part { content, cache, at });
    }
    Ok(parts)
}

/// Takes `cache_control`, which OpenRouter and LiteLLM know.
pub(super) fn cache_mark(object: &mut Reading<'_>) -> Result<Option<CacheMark>, Error> {
    let Some(mut mark) = object.open("cache_control")? else {
        return Ok(None);
    };
    let for_an_hour = mark.word("ttl")?.as_deref() == Some("1h");
    Ok(Some(CacheMark { for_an_hour }))
}

fn one<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    Ok(match part.word("type")?.as_deref() {
        Some("text") => Content::text(part.need_text("text")?),
        Some("refusal") => Content::Refusal(part.need_text("refusal")?),
        Some("image_url") => image(part)?,
        Some("input_audio") => audio(part)?,
        Some("file") => file(part)?,
        Some("video_url") => {
            let Some(mut video) = part.open("video_url")? else {
                return Err(part.wrong("video_url", "an object"));
            };
            media(MediaKind::Video, source(video.need_text("url")?))
        }
        _ => {
            let wanted = "\"text\", \"image_url\", \"input_audio\", \"file\" or \"refusal\"";
            return Err(part.wrong("type", wanted));
        }
    })
}

fn media<'a>(kind: MediaKind, source: Source<'a>) -> Content<'a> {
    Content::Media(Media {
        kind,
        source,
        name: None,
        detail: None,
    })
}

fn image<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let path = part.path("image_url");
    let Some(raw) = part.raw("image_url") else {
        return Err(part.wrong("image_url", "an object"));
    };
    // Some clients write the URL by itself.
    if let Some(url) = Text::of_json(raw) {
        return Ok(media(MediaKind::Image, source(url)));
    }
    let mut image = Reading::of(raw, path)?;
    Ok(Content::Media(Media {
        kind: MediaKind::Image,
        source: source(image.need_text("url")?),
        name: None,
        detail: image.text("detail")?.filter(|detail| !detail.is("auto")),
    }))
}

/// Where a URL leads: into itself, if it is a `data:` one.
pub(in crate::dialect) fn source(url: Text<'_>) -> Source<'_> {
    match data_url(&url) {
        Some(source) => source,
        None => Source::Url {
            media_type: None,
            url,
        },
    }
}

fn data_url<'a>(url: &Text<'a>) -> Option<Source<'a>> {
    let rest = url.as_escaped().strip_prefix("data:")?;
    let (head, data) = rest.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    let start = "data:".len();
    // What may stand between the two (a charset) isn't needed for bytes.
    let kind = media_type.split(';').next().unwrap_or(media_type);
    let end = url.as_escaped().len();
    Some(Source::Base64 {
        media_type: url.slice(start, start + kind.len()),
        data: url.slice(end - data.len(), end),
    })
}

pub(in crate::dialect) fn audio<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let Some(mut audio) = part.open("input_audio")? else {
        return Err(part.wrong("input_audio", "an object"));
    };
    let data = audio.need_text("data")?;
    let format = audio.need_text("format")?;
    let media_type = match &*format.resolved() {
        "mp3" => Text::plain("audio/mpeg"),
        format => Text::owned(&format!("audio/{format}")),
    };
    Ok(media(MediaKind::Audio, Source::Base64 { media_type, data }))
}

fn file<'a>(part: &mut Reading<'a>) -> Result<Content<'a>, Error> {
    let Some(mut file) = part.open("file")? else {
        return Err(part.wrong("file", "an object"));
    };
    let name = file.text("filename")?;
    let source = match (file.text("file_data")?, file.text("file_id")?) {
        (Some(data), _) => match data_url(&data) {
            Some(source) => source,
            // The bytes alone: PDF is what the API takes.
            None => Source::Base64 {
                media_type: Text::plain("application/pdf"),
                data,
            },
        },
        (None, Some(id)) => Source::File {
            maker: Maker::OpenAi,
            id,
        },
        (None, None) => return Err(file.wrong("file_data", "a text")),
    };
    Ok(Content::Media(Media {
        kind: MediaKind::Document,
        source,
        name,
        detail: None,
    }))
}
