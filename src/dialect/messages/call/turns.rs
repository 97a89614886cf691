//! Writes the conversation: `system` and `messages`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{LONGEST_NAME, Outgoing, Target, write_mark};
use crate::dialect::ids;
use crate::dialect::ir::{
    At, CacheMark, Content, Maker, Media, MediaKind, Part, Request, Role, Source, Text, ToolCall,
    ToolResult, Turn,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::error::Error;

/// The longest id: none is documented, and OpenAI's are no longer.
const LONGEST_ID: usize = 64;

/// Images the API reads.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

pub(super) fn write(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let leading = request
        .turns
        .iter()
        .take_while(|turn| turn.role.instructs())
        .count();
    // A conversation of instructions only begins with what they say.
    let leading = if leading == request.turns.len() {
        0
    } else {
        leading
    };
    let (system, turns) = request.turns.split_at(leading);
    if turns.is_empty() {
        let say = "translating the request: there are no messages; send at least one";
        return Err(Error::invalid(say).param("messages"));
    }
    let marks = target.marks_cache && !request.is_marked();
    write_system(call, system, marks, out);
    let mut messages = call.list("messages");
    let mut at = 0;
    while let Some(turn) = turns.get(at) {
        // Results and what the user says to them are one message.
        let mut together = 1;
        if turn.role == Role::Tool {
            let more = turns[at + 1..].iter();
            together += more
                .take_while(|next| !matches!(next.role, Role::Assistant | Role::Tool))
                .count();
        }
        let is_last = at + together == turns.len();
        let message = Message {
            turns: &turns[at..at + together],
            is_last,
            is_marked: marks && is_last,
        };
        message.write(&mut messages, out);
        at += together;
    }
    messages.end();
    if out.uses_files {
        out.headers
            .push(("anthropic-beta", "files-api-2025-04-14".into()));
    }
    Ok(())
}

fn write_system(call: &mut ObjectWriter<'_>, turns: &[Turn<'_>], marks: bool, out: &mut Outgoing) {
    let mut texts: Vec<(&Text<'_>, Option<CacheMark>)> = Vec::new();
    for turn in turns {
        lose_name(turn, &mut out.losses);
        for part in &turn.parts {
            match &part.content {
                Content::Text { text, .. } if text.is_blank() => {}
                Content::Text { text, .. } => texts.push((text, part.cache)),
                _ => out.losses.dropped(part.at),
            }
        }
    }
    if let (true, Some((_, mark))) = (marks, texts.last_mut()) {
        *mark = Some(CacheMark { for_an_hour: false });
    }
    match &texts[..] {
        [] => {}
        [(text, None)] => drop(call.said("system", text)),
        texts => {
            let mut list = call.list("system");
            for (text, mark) in texts {
                let mut block = list.object();
                block.text("type", "text").said("text", text);
                write_mark(&mut block, *mark);
                block.end();
            }
            list.end();
        }
    }
}

fn lose_name(turn: &Turn<'_>, losses: &mut Losses) {
    if turn.name.is_some() {
        losses.dropped(format_args!("{}.name", turn.at));
    }
}

/// One message: one turn, or results with what the user says to them.
struct Message<'t, 'a> {
    turns: &'t [Turn<'a>],
    is_last: bool,
    /// Its end is where the provider's cache is to reach to.
    is_marked: bool,
}

impl Message<'_, '_> {
    fn write(&self, messages: &mut ListWriter<'_>, out: &mut Outgoing) {
        for turn in self.turns {
            lose_name(turn, &mut out.losses);
        }
        let role = match self.turns.first().map(|turn| turn.role) {
            Some(Role::Assistant) => "assistant",
            _ => "user",
        };
        let ends_early = self.is_last && role == "assistant";
        if let Some(text) = self.only_text(ends_early) {
            if !text.is_blank() {
                let mut message = messages.object();
                message.text("role", role).said("content", text);
                message.end();
            }
            return;
        }
        let mut content = Vec::with_capacity(256);
        // Where all of it is lost, or empty, the API wants no message.
        if self.write_blocks(&mut content, ends_early, out) > 0 {
            let mut message = messages.object();
            message.text("role", role);
            message.key("content").extend_from_slice(&content);
            message.end();
        }
    }

    /// Writes the content as blocks; gives their number.
    fn write_blocks(&self, content: &mut Vec<u8>, ends_early: bool, out: &mut Outgoing) -> usize {
        let mut blocks = Blocks {
            list: ListWriter::begin(content),
            written: 0,
            out,
        };
        let last: usize = self.turns.iter().map(|turn| turn.parts.len()).sum();
        let parts = self
            .turns
            .iter()
            .flat_map(|turn| turn.parts.iter().map(move |part| (turn, part)));
        for (at, (turn, part)) in parts.enumerate() {
            let is_last = at + 1 == last;
            let mark = (self.is_marked && is_last).then_some(CacheMark { for_an_hour: false });
            let mark = part.cache.or(mark);
            match &part.content {
                Content::Text { text, .. } if turn.role.instructs() => {
                    blocks.instruct(text, turn.at, mark);
                }
                // What the model is to go on from must not end in space.
                Content::Text { text, .. } if ends_early && is_last => {
                    blocks.text(&text.trimmed_end(), mark);
                }
                content => blocks.part(content, part.at, mark),
            }
        }
        blocks.list.end();
        blocks.written
    }

    /// The text that is all of it.
    fn only_text(&self, ends_early: bool) -> Option<&Text<'_>> {
        let [turn] = self.turns else { return None };
        let [part] = &turn.parts[..] else { return None };
        if part.cache.is_some() || self.is_marked || turn.role.instructs() || ends_early {
            return None;
        }
        match &part.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

struct Blocks<'o> {
    list: ListWriter<'o>,
    written: usize,
    out: &'o mut Outgoing,
}

impl Blocks<'_> {
    fn block(&mut self, mark: Option<CacheMark>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut block = self.list.object();
        write(&mut block);
        write_mark(&mut block, mark);
        block.end();
        self.written += 1;
    }

    /// A text block. The API refuses those that say nothing.
    fn text(&mut self, text: &Text<'_>, mark: Option<CacheMark>) {
        if !text.is_blank() {
            self.block(mark, |block| {
                block.text("type", "text").said("text", text);
            });
        }
    }

    /// Instructions in the middle, where the format has no role for them.
    fn instruct(&mut self, text: &Text<'_>, at: At, mark: Option<CacheMark>) {
        self.out.losses.changed(
            format_args!("{at}.role"),
            "was sent as a user's: this provider takes instructions at the beginning only",
        );
        let mut said = Text::plain("<system>\n").into_owned();
        said.push(text);
        said.push(&Text::plain("\n</system>"));
        self.text(&said, mark);
    }

    fn part(&mut self, content: &Content<'_>, at: At, mark: Option<CacheMark>) {
        match content {
            Content::Text { text, .. } | Content::Refusal(text) => self.text(text, mark),
            Content::Media(media) => self.media(media, at, mark),
            Content::Reasoning(reasoned) => match &reasoned.seal {
                Some(seal) if seal.maker == Maker::Anthropic => {
                    self.block(mark.filter(|_| false), |block| {
                        if seal.is_redacted {
                            block
                                .text("type", "redacted_thinking")
                                .said("data", &seal.data);
                        } else {
                            block
                                .text("type", "thinking")
                                .said("thinking", &reasoned.text)
                                .said("signature", &seal.data);
                        }
                    });
                }
                _ => self.out.losses.dropped(at),
            },
            Content::Call(call) => self.call(call, at, mark),
            Content::Result(result) => self.result(result, at, mark),
            Content::Foreign { maker, json } if *maker == Maker::Anthropic => {
                self.list.next().extend_from_slice(json.as_str().as_bytes());
                self.written += 1;
            }
            Content::Foreign { .. } => self.out.losses.dropped(at),
        }
    }

    fn call(&mut self, call: &ToolCall<'_>, at: At, mark: Option<CacheMark>) {
        let input = call.object();
        if input.is_none() {
            let how = "was sent as {\"input\": …}: it is not a JSON object";
            self.out.losses.changed(format_args!("{at}.arguments"), how);
        }
        self.block(mark, |block| {
            block
                .text("type", "tool_use")
                .said("id", &ids::fit(&call.id, LONGEST_ID))
                .said("name", &ids::fit(&call.name, LONGEST_NAME));
            match input {
                Some(input) => drop(block.raw("input", input.as_str())),
                None => {
                    let mut object = block.object("input");
                    object.said("input", &call.arguments);
                    object.end();
                }
            }
        });
        if call.seal.is_some() {
            self.out.losses.dropped(format_args!("{at}.signature"));
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, at: At, mark: Option<CacheMark>) {
        let only = match &result.parts[..] {
            [
                Part {
                    content: Content::Text { text, .. },
                    cache: None,
                    ..
                },
            ] => Some(text).filter(|text| !text.is_blank()),
            _ => None,
        };
        let mut content = Vec::new();
        let mut written = 0;
        if only.is_none() {
            let mut inner = Blocks {
                list: ListWriter::begin(&mut content),
                written,
                out: self.out,
            };
            for part in &result.parts {
                inner.part(&part.content, at, part.cache);
            }
            written = inner.written;
            inner.list.end();
        }
        self.block(mark, |block| {
            block
                .text("type", "tool_result")
                .said("tool_use_id", &ids::fit(&result.call, LONGEST_ID));
            match only {
                Some(text) => drop(block.said("content", text)),
                None if written == 0 => {}
                None => block.key("content").extend_from_slice(&content),
            }
            if result.is_error {
                block.flag("is_error", true);
            }
        });
    }

    fn media(&mut self, media: &Media<'_>, at: At, mark: Option<CacheMark>) {
        if media.detail.is_some() {
            self.out.losses.dropped(format_args!("{at}.detail"));
        }
        let kind = match media.kind {
            MediaKind::Image => "image",
            MediaKind::Document => "document",
            MediaKind::Audio | MediaKind::Video => return self.out.losses.dropped(at),
        };
        let mut source = Vec::new();
        if !write_source(&mut source, media, self.out) {
            return self.out.losses.dropped(at);
        }
        self.block(mark, |block| {
            block.text("type", kind);
            block.key("source").extend_from_slice(&source);
            if kind == "document" {
                block.said_if("title", media.name.as_ref());
            }
        });
    }
}

/// Writes a `source`, unless the API knows none like it.
fn write_source(source: &mut Vec<u8>, media: &Media<'_>, out: &mut Outgoing) -> bool {
    let mut object = ObjectWriter::begin(source);
    match &media.source {
        Source::Base64 { media_type, data } => {
            let kind = media_type.resolved().to_ascii_lowercase();
            let kind = match &*kind {
                "image/jpg" => "image/jpeg",
                kind => kind,
            };
            let is_known = match media.kind {
                MediaKind::Image => IMAGES.contains(&kind),
                _ => kind == "application/pdf",
            };
            if is_known {
                object
                    .text("type", "base64")
                    .text("media_type", kind)
                    .said("data", data);
            } else {
                // Words in base64 are words.
                let is_words = media.kind == MediaKind::Document && kind.starts_with("text/");
                let bytes = STANDARD.decode(data.as_escaped()).ok();
                match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    Some(text) if is_words => {
                        object
                            .text("type", "text")
                            .text("media_type", "text/plain")
                            .text("data", &text);
                    }
                    _ => return false,
                }
            }
        }
        Source::Url { url, .. } => drop(object.text("type", "url").said("url", url)),
        Source::Text(text) if media.kind == MediaKind::Document => {
            object
                .text("type", "text")
                .text("media_type", "text/plain")
                .said("data", text);
        }
        Source::File { maker, id } if *maker == Maker::Anthropic => {
            out.uses_files = true;
            object.text("type", "file").said("file_id", id);
        }
        Source::Text(_) | Source::File { .. } => return false,
    }
    object.end();
    true
}
