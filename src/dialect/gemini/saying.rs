//! Writes parts: of a call's contents, and of an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dialect::ir::{Maker, Media, MediaKind, Reasoned, Seal, Source, Text, ToolCall};
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::seals::{self, Kind};

/// A seal as a `thoughtSignature`, which is bytes in base64.
pub(super) fn mark<'a>(seal: &'a Seal<'_>) -> Text<'a> {
    if seal.maker == Maker::Gemini {
        return seal.data.borrowed();
    }
    let kind = match seal.is_redacted {
        true => Kind::Redacted,
        false => Kind::Signature,
    };
    let tagged = seals::tagged(kind, seal);
    Text::owned(&STANDARD.encode(tagged.resolved().as_bytes()))
}

/// Writes words, with a mark if there is one.
pub(super) fn text(parts: &mut ListWriter<'_>, text: &Text<'_>, mark: Option<&Text<'_>>) {
    let mut part = parts.object();
    part.said("text", text).said_if("thoughtSignature", mark);
    part.end();
}

/// Writes thinking that is shown.
pub(super) fn thought(parts: &mut ListWriter<'_>, reasoned: &Reasoned<'_>) {
    let mark = reasoned.seal.as_ref().map(mark);
    let mut part = parts.object();
    part.said("text", &reasoned.text)
        .flag("thought", true)
        .said_if("thoughtSignature", mark.as_ref());
    part.end();
}

/// Writes a call of the function `name`. What isn't an object goes as the
/// `input` of one; says whether it was one.
pub(super) fn call(
    parts: &mut ListWriter<'_>,
    call: &ToolCall<'_>,
    name: &Text<'_>,
    mark: Option<&Text<'_>>,
) -> bool {
    let arguments = call.object();
    let mut part = parts.object();
    let mut function = part.object("functionCall");
    function.said("id", &call.id).said("name", name);
    match &arguments {
        Some(arguments) => drop(function.raw("args", arguments.as_str())),
        None => {
            let mut input = function.object("args");
            input.said("input", &call.arguments);
            input.end();
        }
    }
    function.end();
    part.said_if("thoughtSignature", mark);
    part.end();
    arguments.is_some()
}

/// Writes media into `part`; says whether the format has a place for it.
pub(super) fn media(part: &mut ObjectWriter<'_>, media: &Media<'_>) -> bool {
    let name = media.name.as_ref();
    match &media.source {
        Source::Base64 { media_type, data } => {
            let mut blob = part.object("inlineData");
            blob.said("mimeType", media_type)
                .said("data", data)
                .said_if("displayName", name);
            blob.end();
        }
        Source::Url { media_type, url } => {
            let mut file = part.object("fileData");
            match media_type {
                Some(media_type) => drop(file.said("mimeType", media_type)),
                None => {
                    if let Some(guess) = type_of(media.kind, &url.resolved()) {
                        file.text("mimeType", guess);
                    }
                }
            }
            file.said("fileUri", url).said_if("displayName", name);
            file.end();
        }
        Source::File { maker, id } => {
            // The name of a file that Google keeps is a URL, whatever field of
            // a caller's it came by.
            if *maker != Maker::Gemini && !super::parts::is_kept(id) {
                return false;
            }
            let mut file = part.object("fileData");
            if let Some(usual) = type_of(media.kind, "") {
                file.text("mimeType", usual);
            }
            file.said("fileUri", id).said_if("displayName", name);
            file.end();
        }
        Source::Text(_) => return false,
    }
    true
}

/// What a URL most likely leads to: by its ending, else what is usual for its
/// kind. The API wants a type; a film on YouTube is the one thing without.
fn type_of(kind: MediaKind, url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let known = ending.and_then(|ending| ENDINGS.iter().find(|(known, _)| *known == ending));
    match (known, kind) {
        (Some((_, media_type)), _) => Some(media_type),
        (None, MediaKind::Image) => Some("image/jpeg"),
        (None, MediaKind::Document) => Some("application/pdf"),
        (None, MediaKind::Audio) => Some("audio/mpeg"),
        (None, MediaKind::Video) => None,
    }
}

/// Endings of files the models read (ai.google.dev/gemini-api/docs, under
/// image, document, audio and video understanding).
const ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("csv", "text/csv"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("aiff", "audio/aiff"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urls_ending_tells_its_type() {
        let rows = [
            (
                MediaKind::Image,
                "https://a.b/c.PNG?d=e.f",
                Some("image/png"),
            ),
            (MediaKind::Image, "https://a.png/c", Some("image/jpeg")),
            (
                MediaKind::Document,
                "https://a.b/c",
                Some("application/pdf"),
            ),
            (MediaKind::Video, "https://youtu.be/x", None),
            (MediaKind::Video, "https://a.b/c.mp4#t=1", Some("video/mp4")),
        ];
        for (kind, url, expected) in rows {
            assert_eq!(type_of(kind, url), expected, "{url}");
        }
    }
}
