//! Reads parts: of a caller's contents, and of a provider's answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::NO_MARK;
use crate::dialect::ir::{
    Content, Json, Maker, Media, MediaKind, Part, Seal, Source, Text, ToolResult,
};
use crate::dialect::json::{elements, says_something};
use crate::dialect::members::{Members, is_object};
use crate::dialect::reading::{Reading, wrong};
use crate::dialect::seals;
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// One part.
pub(super) struct Said<'a> {
    pub(super) what: What<'a>,
    /// Its `thoughtSignature`.
    pub(super) mark: Option<Text<'a>>,
}

/// What a part is.
pub(super) enum What<'a> {
    /// Words; often none, where there is only a mark.
    Text(Text<'a>),
    /// Thinking that is shown.
    Thought(Text<'a>),
    Call(Call<'a>),
    /// What a call gave. It may have no id: the name tells the call then.
    Result(ToolResult<'a>),
    /// Media, and what is Google's alone.
    Content(Content<'a>),
}

/// A call of a function.
#[derive(Default)]
pub(super) struct Call<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) name: Text<'a>,
    pub(super) arguments: Option<&'a str>,
    /// Vertex streams arguments value by value where it is asked to.
    pub(super) pieces: Vec<&'a str>,
    /// More pieces follow.
    pub(super) goes_on: bool,
}

/// Reads a part whose JSON is `json`.
pub(super) fn one<'a>(
    part: Reading<'a>,
    json: &'a str,
    unknown: &mut Unknown<'a>,
) -> Result<Said<'a>, Error> {
    let mut part = part.camel();
    let mark = part.text("thoughtSignature")?.filter(|it| !it.is_empty());
    let is_thought = part.flag("thought")?.unwrap_or(false);
    let what = if let Some(text) = part.text("text")? {
        match is_thought {
            true => What::Thought(text),
            false => What::Text(text),
        }
    } else if let Some(fields) = part.open("functionCall")? {
        What::Call(call(fields.camel(), unknown)?)
    } else if let Some(fields) = part.open("functionResponse")? {
        What::Result(result(fields.camel(), unknown)?)
    } else if let Some(media) = media(&mut part)? {
        What::Content(Content::Media(media))
    } else if mark.is_some() && json_is_mark(json) {
        What::Text(Text::default())
    } else {
        return Ok(Said {
            what: What::Content(foreign(json)),
            mark: None,
        });
    };
    part.leave(unknown);
    Ok(Said { what, mark })
}

/// A part that only Google understands, with its mark if it has one.
pub(super) fn foreign(json: &str) -> Content<'_> {
    Content::Foreign {
        maker: Maker::Gemini,
        json: Json::scanned(json),
    }
}

/// Whether a part is nothing but its mark.
fn json_is_mark(json: &str) -> bool {
    let members = Members::of(json).unwrap_or_default();
    members.iter().count() == 1
}

/// The seal that a `thoughtSignature` is; none where it only says that there
/// is none.
pub(super) fn seal(mark: Text<'_>, is_redacted: bool) -> Option<Seal<'_>> {
    if mark.is(NO_MARK) {
        return None;
    }
    // Those of others went out as bytes, which begin with the tag.
    if mark.as_escaped().starts_with(TAG) {
        let bytes = STANDARD.decode(mark.as_escaped()).ok()?;
        let tagged = Text::owned(std::str::from_utf8(&bytes).ok()?);
        let (_, seal) = seals::untagged(&tagged)?;
        return Some(seal.into_owned());
    }
    Some(Seal {
        maker: Maker::Gemini,
        id: None,
        data: mark,
        is_redacted,
    })
}

/// What `nowait:` begins with in base64.
const TAG: &str = "bm93YWl0O";

fn call<'a>(mut call: Reading<'a>, unknown: &mut Unknown<'a>) -> Result<Call<'a>, Error> {
    let read = Call {
        id: call.text("id")?.filter(|id| !id.is_empty()),
        // The later pieces of a call have none.
        name: call.text("name")?.unwrap_or_default(),
        arguments: call.object("args")?,
        pieces: call.list("partialArgs")?,
        goes_on: call.flag("willContinue")?.unwrap_or(false),
    };
    call.leave(unknown);
    Ok(read)
}

/// A result says what the function gave under `output`, or that it failed
/// under `error`, or is all of it what the function gave.
fn result<'a>(
    mut response: Reading<'a>,
    unknown: &mut Unknown<'a>,
) -> Result<ToolResult<'a>, Error> {
    let mut result = ToolResult {
        call: response.text("id")?.unwrap_or_default(),
        name: Some(response.need_text("name")?),
        ..ToolResult::default()
    };
    if let Some(raw) = response.object("response")? {
        let mut fields = Reading::of(raw, response.path("response"))?;
        let only = match Members::of(raw) {
            Some(members) if members.iter().count() == 1 => {
                let failed = fields.raw("error");
                result.is_error = failed.is_some();
                failed.or_else(|| fields.raw("output"))
            }
            _ => None,
        };
        let text = match only {
            Some(only) => Text::of_json(only).unwrap_or_else(|| Json::scanned(only).as_text()),
            None => Json::scanned(raw).as_text(),
        };
        let says = match only {
            Some(_) => !(result.is_error && text.is_empty()),
            None => says_something(raw),
        };
        if says {
            result.parts.push(Part::from(Content::text(text)));
        }
    }
    let path = response.path("parts");
    for (index, json) in response.list("parts")?.into_iter().enumerate() {
        let path = path.element(index);
        let mut part = Reading::of(json, path)?.camel();
        match media(&mut part)? {
            Some(media) => result.parts.push(Part::from(Content::Media(media))),
            None => return Err(wrong(path, "an inlineData or a fileData")),
        }
    }
    response.leave(unknown);
    Ok(result)
}

/// Takes what a part shows or plays.
fn media<'a>(part: &mut Reading<'a>) -> Result<Option<Media<'a>>, Error> {
    if let Some(blob) = part.open("inlineData")? {
        let mut blob = blob.camel();
        let media_type = blob.need_text("mimeType")?;
        return Ok(Some(Media {
            kind: kind(&media_type.resolved()),
            source: Source::Base64 {
                media_type,
                data: blob.need_text("data")?,
            },
            name: blob.text("displayName")?,
            detail: None,
        }));
    }
    let Some(file) = part.open("fileData")? else {
        return Ok(None);
    };
    let mut file = file.camel();
    let url = file.need_text("fileUri")?;
    let media_type = file.text("mimeType")?;
    Ok(Some(Media {
        // A film on YouTube has no type.
        kind: media_type
            .as_ref()
            .map_or(MediaKind::Video, |it| kind(&it.resolved())),
        source: match is_kept(&url) {
            true => Source::File {
                maker: Maker::Gemini,
                id: url,
            },
            false => Source::Url { media_type, url },
        },
        name: file.text("displayName")?,
        detail: None,
    }))
}

/// Whether it leads to what Google keeps for the caller, and to nowhere for
/// anybody else.
pub(super) fn is_kept(url: &Text<'_>) -> bool {
    let url = url.as_escaped();
    url.starts_with("gs://")
        || url.starts_with("files/")
        || (url.starts_with("https://generativelanguage.googleapis.com/")
            && url.contains("/files/"))
}

fn kind(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// The elements of a list, or the one object that stands for it.
pub(super) fn elements_of<'a>(
    object: &mut Reading<'a>,
    key: &'static str,
) -> Result<Vec<&'a str>, Error> {
    match object.raw(key) {
        None => Ok(Vec::new()),
        Some(raw) if is_object(raw) => Ok(vec![raw]),
        Some(raw) => elements(raw).ok_or_else(|| object.wrong(key, "an array")),
    }
}
