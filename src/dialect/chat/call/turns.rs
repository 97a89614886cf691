//! Writes the conversation: `messages`.

use std::borrow::Borrow;

use super::{LONGEST_NAME, Outgoing, Target};
use crate::dialect::ids;
use crate::dialect::ir::{
    At, CacheMark, Content, Maker, Media, MediaKind, Part, Request, Role, Source, Text, ToolCall,
    ToolResult, Turn,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::error::Error;

/// The longest id of a call that OpenAI takes.
const LONGEST_ID: usize = 40;

pub(super) fn write(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    if request.turns.is_empty() {
        let say = "translating the request: there are no messages; send at least one";
        return Err(Error::invalid(say).param("messages"));
    }
    let mut messages = Messages {
        list: call.list("messages"),
        target,
        out,
    };
    for turn in &request.turns {
        match turn.role {
            Role::System => messages.words("system", turn),
            Role::Developer if target.quirks.refuses.has("developer") => {
                messages.words("system", turn)
            }
            Role::Developer => messages.words("developer", turn),
            Role::User => messages.words("user", turn),
            Role::Assistant => messages.assistant(turn),
            Role::Tool => messages.results(turn),
        }
    }
    messages.list.end();
    Ok(())
}

/// Writes `cache_control` for those who know it. Others cache by themselves,
/// not always where the caller has marked it, so that is named.
pub(super) fn write_mark(
    object: &mut ObjectWriter<'_>,
    cache: Option<CacheMark>,
    at: At,
    target: &Target<'_>,
    losses: &mut Losses,
) {
    let Some(cache) = cache else { return };
    if !target.quirks.takes_cache_control {
        return lose_mark(at, losses);
    }
    let mut mark = object.object("cache_control");
    mark.text("type", "ephemeral");
    if cache.for_an_hour {
        mark.text("ttl", "1h");
    }
    mark.end();
}

fn lose_mark(at: At, losses: &mut Losses) {
    losses.dropped(format_args!("{at}.cache_control"));
}

struct Messages<'o> {
    list: ListWriter<'o>,
    target: &'o Target<'o>,
    out: &'o mut Outgoing,
}

impl Messages<'_> {
    /// A message of words and media.
    fn words(&mut self, role: &str, turn: &Turn<'_>) {
        if let Some(text) = self.only_text(&turn.parts) {
            let name = self.name(turn);
            let mut message = self.list.object();
            message.text("role", role).said_if("name", name);
            message.said("content", text);
            return message.end();
        }
        let mut content = Vec::new();
        if !self.content(&mut content, &turn.parts) {
            return;
        }
        let name = self.name(turn);
        let mut message = self.list.object();
        message.text("role", role).said_if("name", name);
        message.key("content").extend_from_slice(&content);
        message.end();
    }

    /// Who says it, unless the provider refuses to be told.
    fn name<'n, 'a>(&mut self, turn: &'n Turn<'a>) -> Option<&'n Text<'a>> {
        let refused = self.target.quirks.refuses.has("name");
        if refused && turn.name.is_some() {
            self.out.losses.dropped(format_args!("{}.name", turn.at));
        }
        turn.name.as_ref().filter(|_| !refused)
    }

    /// The text that is all of a content, which is written as such.
    fn only_text<'p, 'a: 'p>(
        &mut self,
        parts: &'p [impl Borrow<Part<'a>>],
    ) -> Option<&'p Text<'a>> {
        let [part] = parts else { return None };
        let Part { content, cache, at } = part.borrow();
        let Content::Text { text, .. } = content else {
            return None;
        };
        if cache.is_some() {
            if self.target.quirks.takes_cache_control {
                return None;
            }
            lose_mark(*at, &mut self.out.losses);
        }
        Some(text)
    }

    /// Writes a content, as a text if it is nothing else; says whether there
    /// is any.
    fn content<'a>(&mut self, content: &mut Vec<u8>, parts: &[impl Borrow<Part<'a>>]) -> bool {
        if let Some(text) = self.only_text(parts) {
            text.write(content);
            return true;
        }
        let mut list = ListWriter::begin(content);
        let mut written = 0;
        for part in parts.iter().map(Borrow::borrow) {
            let mut json = Vec::new();
            let mut object = ObjectWriter::begin(&mut json);
            if self.part(&mut object, part) {
                write_mark(
                    &mut object,
                    part.cache,
                    part.at,
                    self.target,
                    &mut self.out.losses,
                );
                object.end();
                list.next().extend_from_slice(&json);
                written += 1;
            } else {
                self.out.losses.dropped(part.at);
            }
        }
        list.end();
        written > 0
    }

    /// Writes one part; says whether the format has one for it.
    fn part(&mut self, object: &mut ObjectWriter<'_>, part: &Part<'_>) -> bool {
        match &part.content {
            Content::Text { text, .. } => {
                object.text("type", "text").said("text", text);
                true
            }
            Content::Refusal(text) => {
                object.text("type", "refusal").said("refusal", text);
                true
            }
            Content::Media(media) => self.media(object, media, part.at),
            Content::Reasoning(_)
            | Content::Call(_)
            | Content::Result(_)
            | Content::Foreign { .. } => false,
        }
    }

    fn media(&mut self, object: &mut ObjectWriter<'_>, media: &Media<'_>, at: At) -> bool {
        match (media.kind, &media.source) {
            (MediaKind::Image, Source::Base64 { .. } | Source::Url { .. }) => {
                object.text("type", "image_url");
                let mut image = object.object("image_url");
                write_url(image.key("url"), &media.source);
                image.said_if("detail", media.detail.as_ref());
                image.end();
            }
            (MediaKind::Document, Source::Base64 { .. }) => {
                object.text("type", "file");
                let mut file = object.object("file");
                match &media.name {
                    Some(name) => file.said("filename", name),
                    None => file.text("filename", "document.pdf"),
                };
                write_url(file.key("file_data"), &media.source);
                file.end();
            }
            (MediaKind::Document, Source::Text(text)) => {
                object.text("type", "text").said("text", text);
                if media.name.is_some() {
                    self.out.losses.dropped(format_args!("{at}.title"));
                }
            }
            (
                _,
                Source::File {
                    maker: Maker::OpenAi,
                    id,
                },
            ) => {
                object.text("type", "file");
                let mut file = object.object("file");
                file.said("file_id", id);
                file.end();
            }
            (MediaKind::Audio, Source::Base64 { media_type, data }) => {
                let Some(format) = audio_format(media_type) else {
                    return false;
                };
                object.text("type", "input_audio");
                let mut audio = object.object("input_audio");
                audio.said("data", data).text("format", format);
                audio.end();
            }
            _ => return false,
        }
        true
    }

    fn assistant(&mut self, turn: &Turn<'_>) {
        let mut words: Vec<&Part<'_>> = Vec::new();
        let mut calls: Vec<(&ToolCall<'_>, At)> = Vec::new();
        let mut refusal: Option<&Text<'_>> = None;
        let mut thought = Text::default();
        for part in &turn.parts {
            match &part.content {
                Content::Call(call) => {
                    // The format has no place for one behind a call.
                    if part.cache.is_some() {
                        lose_mark(part.at, &mut self.out.losses);
                    }
                    calls.push((call, part.at));
                }
                Content::Refusal(text) => refusal = Some(text),
                Content::Reasoning(reasoned) if self.target.quirks.wants_reasoning_back => {
                    thought.push(&reasoned.text);
                }
                Content::Reasoning(_) => self.out.losses.dropped(part.at),
                _ => words.push(part),
            }
        }
        let mut content = Vec::new();
        let has_words = !words.is_empty() && self.content(&mut content, &words);
        if !has_words && calls.is_empty() && refusal.is_none() {
            return;
        }
        let name = self.name(turn);
        let mut message = self.list.object();
        message.text("role", "assistant").said_if("name", name);
        match has_words {
            true => message.key("content").extend_from_slice(&content),
            false => drop(message.raw("content", "null")),
        }
        message.said_if("refusal", refusal);
        if !thought.is_empty() {
            message.said("reasoning_content", &thought);
        }
        if !calls.is_empty() {
            let mut list = message.list("tool_calls");
            calls
                .iter()
                .for_each(|(call, _)| write_call(&mut list, call));
            list.end();
        }
        message.end();
        for (call, at) in calls {
            if call.seal.is_some() {
                self.out.losses.dropped(format_args!("{at}.signature"));
            }
        }
    }

    /// A message for each result, and one for what they show: the format has
    /// only words in results.
    fn results(&mut self, turn: &Turn<'_>) {
        let mut shown: Vec<&Part<'_>> = Vec::new();
        for part in &turn.parts {
            let Content::Result(result) = &part.content else {
                self.out.losses.dropped(part.at);
                continue;
            };
            if result.is_error {
                self.out
                    .losses
                    .dropped(format_args!("{}.is_error", part.at));
            }
            shown.extend(result.parts.iter().filter(|part| !is_words(part)));
            self.result(result, part);
        }
        if shown.is_empty() {
            return;
        }
        let mut content = Vec::new();
        if self.content(&mut content, &shown) {
            let mut message = self.list.object();
            message.text("role", "user");
            message.key("content").extend_from_slice(&content);
            message.end();
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, whole: &Part<'_>) {
        let words = result.parts.iter().filter(|part| is_words(part));
        let mut words: Vec<Part<'_>> = words.cloned().collect();
        // What is marked behind the result is marked behind its last words.
        match words.last_mut() {
            Some(last) if whole.cache.is_some() => {
                last.cache = last.cache.or(whole.cache);
                last.at = whole.at;
            }
            None if whole.cache.is_some() => lose_mark(whole.at, &mut self.out.losses),
            _ => {}
        }
        let mut content = Vec::new();
        let only = self.only_text(&words);
        let has_words = only.is_none() && self.content(&mut content, &words);
        let mut message = self.list.object();
        message
            .text("role", "tool")
            .said("tool_call_id", &ids::fit(&result.call, LONGEST_ID));
        match only {
            Some(text) => drop(message.said("content", text)),
            None if has_words => message.key("content").extend_from_slice(&content),
            None => drop(message.text("content", "")),
        }
        message.end();
    }
}

fn is_words(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text { .. })
}

/// OpenAI's word for a type of sound.
fn audio_format(media_type: &Text<'_>) -> Option<&'static str> {
    match &*media_type.resolved() {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" => Some("mp3"),
        _ => None,
    }
}

/// Writes a URL, or one that holds the bytes.
pub(in crate::dialect) fn write_url(out: &mut Vec<u8>, source: &Source<'_>) {
    match source {
        Source::Base64 { media_type, data } => {
            out.extend_from_slice(b"\"data:");
            out.extend_from_slice(media_type.as_escaped().as_bytes());
            out.extend_from_slice(b";base64,");
            out.extend_from_slice(data.as_escaped().as_bytes());
            out.push(b'"');
        }
        Source::Url { url, .. } => url.write(out),
        Source::Text(text) => text.write(out),
        Source::File { id, .. } => id.write(out),
    }
}

fn write_call(list: &mut ListWriter<'_>, call: &ToolCall<'_>) {
    let mut object = list.object();
    object.said("id", &ids::fit(&call.id, LONGEST_ID));
    let (kind, input) = match call.is_custom {
        true => ("custom", "input"),
        false => ("function", "arguments"),
    };
    object.text("type", kind);
    let mut tool = object.object(kind);
    tool.said("name", &ids::fit(&call.name, LONGEST_NAME))
        .said(input, &call.arguments);
    tool.end();
    object.end();
}
