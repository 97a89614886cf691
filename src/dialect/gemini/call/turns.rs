//! Writes the conversation: `contents` and `systemInstruction`.

use std::collections::HashMap;

use super::Outgoing;
use super::tools::function_name;
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::{NO_MARK, saying};
use crate::dialect::ir::{
    At, Content, Maker, Media, Part, Request, Role, Source, Text, ToolCall, ToolResult, Turn,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::error::Error;

pub(super) fn write(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    model: Model,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let instructs = |turn: &&Turn<'_>| turn.role.instructs();
    let leading = request.turns.iter().take_while(instructs).count();
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
    let mut contents = Contents {
        list: call.list("contents"),
        called: request.calls().map(|call| (&call.id, &call.name)).collect(),
        model,
        out,
    };
    for turns in turns.chunk_by(|a, b| follows(a.role, b.role)) {
        contents.content(turns);
    }
    contents.list.end();
    write_system(call, system, out);
    Ok(())
}

/// Whether both are one content: roles take turns. Results stand alone, as
/// many as there were calls.
fn follows(role: Role, next: Role) -> bool {
    let is_users = |role| !matches!(role, Role::Assistant | Role::Tool);
    is_users(role) && is_users(next)
}

fn write_system(call: &mut ObjectWriter<'_>, turns: &[Turn<'_>], out: &mut Outgoing) {
    let mut written = Vec::new();
    let mut parts = ListWriter::begin(&mut written);
    for turn in turns {
        lose_name(turn, &mut out.losses);
        for part in &turn.parts {
            match &part.content {
                Content::Text { text, .. } if text.is_empty() => {}
                Content::Text { text, .. } => saying::text(&mut parts, text, None),
                _ => out.losses.dropped(part.at),
            }
        }
    }
    parts.end();
    if written != b"[]" {
        let mut system = call.object("systemInstruction");
        system.key("parts").extend_from_slice(&written);
        system.end();
    }
}

fn lose_name(turn: &Turn<'_>, losses: &mut Losses) {
    if turn.name.is_some() {
        losses.dropped(format_args!("{}.name", turn.at));
    }
}

struct Contents<'o, 'r> {
    list: ListWriter<'o>,
    /// The name of the tool that each call called, by the call's id.
    called: HashMap<&'r Text<'r>, &'r Text<'r>>,
    model: Model,
    out: &'o mut Outgoing,
}

impl<'r> Contents<'_, 'r> {
    /// Writes one content, unless nothing of it is left.
    fn content(&mut self, turns: &'r [Turn<'r>]) {
        let role = match turns.first().map(|turn| turn.role) {
            Some(Role::Assistant) => "model",
            _ => "user",
        };
        let mut written = Vec::with_capacity(256);
        let mut parts = Parts {
            list: ListWriter::begin(&mut written),
            hidden: None,
            shown: Vec::new(),
            // Newer models want a mark on the first call of each step.
            lacks_mark: self.model.wants_marks(),
            sees_results: self.model.sees_results(),
            called: &self.called,
            out: self.out,
        };
        for turn in turns {
            lose_name(turn, &mut parts.out.losses);
            for part in &turn.parts {
                match &part.content {
                    Content::Text { text, .. } if turn.role.instructs() => {
                        parts.instruct(text, turn.at);
                    }
                    _ => parts.part(part),
                }
            }
        }
        parts.reveal();
        for (media, at) in std::mem::take(&mut parts.shown) {
            parts.media(media, at);
        }
        parts.list.end();
        if written != b"[]" {
            let mut content = self.list.object();
            content.text("role", role);
            content.key("parts").extend_from_slice(&written);
            content.end();
        }
    }
}

struct Parts<'o, 'r> {
    list: ListWriter<'o>,
    /// The mark of hidden thinking, which goes on the part behind it.
    hidden: Option<Text<'static>>,
    /// What results show, where the model doesn't see it in them: it comes
    /// behind all of them.
    shown: Vec<(&'r Media<'r>, At)>,
    lacks_mark: bool,
    sees_results: bool,
    called: &'o HashMap<&'r Text<'r>, &'r Text<'r>>,
    out: &'o mut Outgoing,
}

impl<'r> Parts<'_, 'r> {
    /// Writes a mark that has no part to be on.
    fn reveal(&mut self) {
        if let Some(mark) = self.hidden.take() {
            saying::text(&mut self.list, &Text::default(), Some(&mark));
        }
    }

    /// Words. The API refuses those that say nothing.
    fn text(&mut self, text: &Text<'_>) {
        if !text.is_empty() {
            let mark = self.hidden.take();
            saying::text(&mut self.list, text, mark.as_ref());
        }
    }

    /// Instructions in the middle, where the format has no role for them.
    fn instruct(&mut self, text: &Text<'_>, at: At) {
        self.out.losses.changed(
            format_args!("{at}.role"),
            "was sent as a user's: this provider takes instructions at the beginning only",
        );
        let mut said = Text::plain("<system>\n").into_owned();
        said.push(text);
        said.push(&Text::plain("\n</system>"));
        self.text(&said);
    }

    fn part(&mut self, part: &'r Part<'r>) {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => self.text(text),
            Content::Media(media) => self.media(media, part.at),
            Content::Reasoning(reasoned) => match &reasoned.seal {
                Some(seal) if seal.maker == Maker::Gemini && seal.is_redacted => {
                    self.reveal();
                    self.hidden = Some(seal.data.clone().into_owned());
                }
                Some(seal) if seal.maker == Maker::Gemini => {
                    self.reveal();
                    saying::thought(&mut self.list, reasoned);
                }
                _ => self.out.losses.dropped(part.at),
            },
            Content::Call(call) => self.call(call, part.at),
            Content::Result(result) => self.result(result, part.at),
            Content::Foreign {
                maker: Maker::Gemini,
                json,
            } => {
                self.reveal();
                self.list.next().extend_from_slice(json.as_str().as_bytes());
            }
            Content::Foreign { .. } => self.out.losses.dropped(part.at),
        }
    }

    fn call(&mut self, call: &ToolCall<'_>, at: At) {
        self.reveal();
        let mark = match &call.seal {
            Some(seal) if seal.maker == Maker::Gemini => Some(seal.data.borrowed()),
            _ if self.lacks_mark => Some(Text::plain(NO_MARK)),
            _ => None,
        };
        self.lacks_mark = false;
        let name = function_name(&call.name);
        if !saying::call(&mut self.list, call, &name, mark.as_ref()) {
            let how = "was sent as {\"input\": …}: it is not a JSON object";
            self.out.losses.changed(format_args!("{at}.arguments"), how);
        }
    }

    /// A result, with what it shows inside of it where the model sees that.
    fn result(&mut self, result: &'r ToolResult<'r>, at: At) {
        let mut said: Option<Text<'_>> = None;
        let mut shown = Vec::new();
        let mut shows = ListWriter::begin(&mut shown);
        for part in &result.parts {
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) => match &mut said {
                    Some(said) => {
                        said.push(&Text::plain("\n"));
                        said.push(text);
                    }
                    none => *none = Some(text.borrowed()),
                },
                Content::Media(media) if self.sees_results => {
                    let mut json = Vec::new();
                    let mut object = ObjectWriter::begin(&mut json);
                    match saying::media(&mut object, media) {
                        true => {
                            object.end();
                            shows.next().extend_from_slice(&json);
                        }
                        false => self.out.losses.dropped(at),
                    }
                }
                Content::Media(media) => self.shown.push((media, at)),
                _ => self.out.losses.dropped(at),
            }
        }
        shows.end();
        let called = self.called.get(&&result.call).copied();
        // A result of nothing that was called is refused, in the API's words.
        let name = result.name.as_ref().or(called).unwrap_or(&result.call);
        let mut part = self.list.object();
        let mut response = part.object("functionResponse");
        response
            .said("id", &result.call)
            .said("name", &function_name(name));
        let mut fields = response.object("response");
        match (&said, result.is_error) {
            (Some(text), true) => drop(fields.said("error", text)),
            (Some(text), false) => drop(fields.said("output", text)),
            (None, true) => drop(fields.text("error", "")),
            (None, false) => {}
        }
        fields.end();
        if shown != b"[]" {
            response.key("parts").extend_from_slice(&shown);
        }
        response.end();
        part.end();
    }

    fn media(&mut self, media: &Media<'_>, at: At) {
        if media.detail.is_some() {
            self.out.losses.dropped(format_args!("{at}.detail"));
        }
        if let Source::Text(text) = &media.source {
            if media.name.is_some() {
                self.out.losses.dropped(format_args!("{at}.title"));
            }
            return self.text(text);
        }
        let mut json = Vec::new();
        let mut part = ObjectWriter::begin(&mut json);
        if !saying::media(&mut part, media) {
            return self.out.losses.dropped(at);
        }
        let mark = self.hidden.take();
        part.said_if("thoughtSignature", mark.as_ref());
        part.end();
        self.list.next().extend_from_slice(&json);
    }
}
