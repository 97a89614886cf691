//! Writes the conversation: `input`.

use std::collections::HashSet;

use super::LONGEST_NAME;
use crate::dialect::chat::write_url;
use crate::dialect::ids;
use crate::dialect::ir::{
    At, Content, Maker, Media, MediaKind, Part, Reasoned, Request, Role, Source, Text, ToolCall,
    Turn,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;

/// The longest id of a call that OpenAI takes.
const LONGEST_ID: usize = 64;

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
    let custom = request.calls().filter(|call| call.is_custom);
    let mut input = Input {
        list: call.list("input"),
        custom: custom.map(|call| &call.id).collect(),
        takes_thought: target.quirks.wants_reasoning_back,
        written: 0,
        losses: &mut out.losses,
    };
    for turn in &request.turns {
        if turn.name.is_some() {
            input.losses.dropped(format_args!("{}.name", turn.at));
        }
        match turn.role {
            Role::System => input.words("system", turn),
            Role::Developer if target.quirks.refuses.has("developer") => {
                input.words("system", turn)
            }
            Role::Developer => input.words("developer", turn),
            Role::User => input.words("user", turn),
            Role::Assistant => turn.parts.iter().for_each(|part| input.said(part)),
            Role::Tool => turn.parts.iter().for_each(|part| input.given(part)),
        }
    }
    input.list.end();
    Ok(())
}

struct Input<'o, 'a> {
    list: ListWriter<'o>,
    /// The ids of calls of custom tools: results of other formats don't say
    /// whether they are of one.
    custom: HashSet<&'o Text<'a>>,
    /// Reasoning goes back without a mark too.
    takes_thought: bool,
    /// The number of items.
    written: usize,
    losses: &'o mut Losses,
}

impl Input<'_, '_> {
    fn item(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut item = self.list.object();
        write(&mut item);
        item.end();
        self.written += 1;
    }

    /// A message of words and media.
    fn words(&mut self, role: &str, turn: &Turn<'_>) {
        if let Some(text) = only_text(&turn.parts) {
            return self.item(|item| {
                item.text("type", "message")
                    .text("role", role)
                    .said("content", text);
            });
        }
        let mut content = Vec::new();
        if self.content(&mut content, &turn.parts, None) {
            self.item(|item| {
                item.text("type", "message")
                    .text("role", role)
                    .key("content")
                    .extend_from_slice(&content);
            });
        }
    }

    /// Writes what callers say, as a text if it is nothing else; says whether
    /// there is any. They are `at` one place, or each where it says.
    fn content(&mut self, content: &mut Vec<u8>, parts: &[Part<'_>], at: Option<At>) -> bool {
        if let Some(text) = only_text(parts) {
            text.write(content);
            return true;
        }
        let mut list = ListWriter::begin(content);
        let mut written = 0;
        for part in parts {
            let mut json = Vec::new();
            let mut object = ObjectWriter::begin(&mut json);
            let at = at.unwrap_or(part.at);
            if write_part(&mut object, part, at, self.losses) {
                object.end();
                list.next().extend_from_slice(&json);
                written += 1;
            } else {
                self.losses.dropped(at);
            }
        }
        list.end();
        written > 0
    }

    /// What the model said, thought or called in an earlier turn.
    fn said(&mut self, part: &Part<'_>) {
        match &part.content {
            Content::Text { text, .. } => self.item(|item| {
                item.text("type", "message")
                    .text("role", "assistant")
                    .said("content", text);
            }),
            Content::Refusal(text) => self.refused(text),
            Content::Reasoning(reasoned) => self.thought(reasoned, part.at),
            Content::Call(call) => self.called(call, part.at),
            Content::Foreign {
                maker: Maker::OpenAi,
                json,
            } => {
                self.list.next().extend_from_slice(json.as_str().as_bytes());
                self.written += 1;
            }
            Content::Media(_) | Content::Result(_) | Content::Foreign { .. } => {
                self.losses.dropped(part.at);
            }
        }
    }

    /// Words of refusal are only in messages as the API writes them, which
    /// have ids.
    fn refused(&mut self, text: &Text<'_>) {
        let id = format!("msg_{}", self.written);
        self.item(|item| {
            item.text("type", "message")
                .text("id", &id)
                .text("status", "completed")
                .text("role", "assistant");
            let mut content = item.list("content");
            let mut part = content.object();
            part.text("type", "refusal").said("refusal", text);
            part.end();
            content.end();
        });
    }

    fn thought(&mut self, reasoned: &Reasoned<'_>, at: At) {
        let mark = reasoned.seal.as_ref();
        let mark = mark.filter(|seal| seal.maker == Maker::OpenAi);
        if mark.is_none() && (!self.takes_thought || reasoned.text.is_empty()) {
            return self.losses.dropped(at);
        }
        let made_up = format!("rs_{}", self.written);
        self.item(|item| {
            item.text("type", "reasoning");
            match mark {
                // What is sealed with an id is not believed with another.
                Some(seal) => item.said_if("id", seal.id.as_ref()),
                None => item.text("id", &made_up),
            };
            write_words(item, reasoned);
            item.said_if("encrypted_content", mark.map(|seal| &seal.data));
        });
    }

    fn called(&mut self, call: &ToolCall<'_>, at: At) {
        let (kind, input) = match call.is_custom {
            true => ("custom_tool_call", "input"),
            false => ("function_call", "arguments"),
        };
        self.item(|item| {
            item.text("type", kind)
                .said("call_id", &ids::fit(&call.id, LONGEST_ID))
                .said("name", &ids::fit(&call.name, LONGEST_NAME))
                .said(input, &call.arguments);
        });
        if call.seal.is_some() {
            self.losses.dropped(format_args!("{at}.signature"));
        }
    }

    fn given(&mut self, part: &Part<'_>) {
        let Content::Result(result) = &part.content else {
            return self.losses.dropped(part.at);
        };
        if result.is_error {
            self.losses.dropped(format_args!("{}.is_error", part.at));
        }
        let mut output = Vec::new();
        if !self.content(&mut output, &result.parts, Some(part.at)) {
            output = b"\"\"".to_vec();
        }
        let kind = match result.is_custom || self.custom.contains(&result.call) {
            true => "custom_tool_call_output",
            false => "function_call_output",
        };
        self.item(|item| {
            item.text("type", kind)
                .said("call_id", &ids::fit(&result.call, LONGEST_ID))
                .key("output")
                .extend_from_slice(&output);
        });
    }
}

/// The text that is all of a content, which is written as such.
fn only_text<'p, 'a>(parts: &'p [Part<'a>]) -> Option<&'p Text<'a>> {
    match parts {
        [
            Part {
                content: Content::Text { text, .. },
                ..
            },
        ] => Some(text),
        _ => None,
    }
}

/// Writes `summary`, which must be there, and `content` where reasoning is
/// shown as it is.
pub(in crate::dialect::responses) fn write_words(
    item: &mut ObjectWriter<'_>,
    reasoned: &Reasoned<'_>,
) {
    let shown = |is_summary| reasoned.is_summary == is_summary && !reasoned.text.is_empty();
    let mut summary = item.list("summary");
    if shown(true) {
        let mut part = summary.object();
        part.text("type", "summary_text")
            .said("text", &reasoned.text);
        part.end();
    }
    summary.end();
    if shown(false) {
        let mut content = item.list("content");
        let mut part = content.object();
        part.text("type", "reasoning_text")
            .said("text", &reasoned.text);
        part.end();
        content.end();
    }
}

/// Writes one part of what a caller says; says whether the format has one for
/// it.
fn write_part(object: &mut ObjectWriter<'_>, part: &Part<'_>, at: At, losses: &mut Losses) -> bool {
    match &part.content {
        Content::Text { text, .. } => {
            object.text("type", "input_text").said("text", text);
            true
        }
        Content::Media(media) => write_media(object, media, at, losses),
        Content::Refusal(_)
        | Content::Reasoning(_)
        | Content::Call(_)
        | Content::Result(_)
        | Content::Foreign { .. } => false,
    }
}

fn write_media(
    object: &mut ObjectWriter<'_>,
    media: &Media<'_>,
    at: At,
    losses: &mut Losses,
) -> bool {
    let openai_file = |source: &Source<'_>| matches!(source, Source::File { maker, .. } if *maker == Maker::OpenAi);
    match (media.kind, &media.source) {
        (MediaKind::Image, source @ (Source::Base64 { .. } | Source::Url { .. })) => {
            object.text("type", "input_image");
            write_url(object.key("image_url"), source);
            write_detail(object, media);
        }
        (MediaKind::Image, Source::File { id, .. }) if openai_file(&media.source) => {
            object.text("type", "input_image").said("file_id", id);
            write_detail(object, media);
        }
        (MediaKind::Document, source @ Source::Base64 { .. }) => {
            object.text("type", "input_file");
            match &media.name {
                Some(name) => object.said("filename", name),
                None => object.text("filename", "document.pdf"),
            };
            write_url(object.key("file_data"), source);
            object.said_if("detail", media.detail.as_ref());
        }
        (MediaKind::Document, Source::Url { url, .. }) => {
            object.text("type", "input_file").said("file_url", url);
            lose_name(media, at, losses);
        }
        (MediaKind::Document, Source::File { id, .. }) if openai_file(&media.source) => {
            object.text("type", "input_file").said("file_id", id);
            lose_name(media, at, losses);
        }
        (MediaKind::Document, Source::Text(text)) => {
            object.text("type", "input_text").said("text", text);
            lose_name(media, at, losses);
        }
        _ => return false,
    }
    true
}

/// What is elsewhere has its own name.
fn lose_name(media: &Media<'_>, at: At, losses: &mut Losses) {
    if media.name.is_some() {
        losses.dropped(format_args!("{at}.title"));
    }
}

fn write_detail(object: &mut ObjectWriter<'_>, media: &Media<'_>) {
    match &media.detail {
        Some(detail) => object.said("detail", detail),
        None => object.text("detail", "auto"),
    };
}
