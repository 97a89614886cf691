//! Reads what was said: contents of parts.

use std::collections::HashMap;

use crate::dialect::gemini::parts::{self, Call, Said, What};
use crate::dialect::ids;
use crate::dialect::ir::{
    At, Content, Json, Part, Reasoned, Request, Role, Seal, Text, ToolCall, ToolResult, Turn,
};
use crate::dialect::reading::Reading;
use crate::error::Error;

/// What is known of the contents so far.
#[derive(Default)]
pub(super) struct Contents<'a> {
    /// Calls without a result, by name: results of calls without ids go by it.
    open: Vec<(Text<'a>, Text<'a>)>,
    /// The name of the tool that each call called, by the call's id.
    called: HashMap<Text<'a>, Text<'a>>,
    calls: usize,
}

impl<'a> Contents<'a> {
    /// A content is one turn, or two where it has results and more: the
    /// results are the first.
    pub(super) fn turns(
        &mut self,
        json: &'a str,
        index: usize,
        request: &mut Request<'a>,
    ) -> Result<(), Error> {
        let at = At::element("contents", index);
        let mut content = Reading::of(json, at)?;
        let role = match content.word("role")?.as_deref() {
            None | Some("user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(content.wrong("role", "\"user\" or \"model\"")),
        };
        let parts = self.parts(content, at, request)?;
        let (results, parts): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(is_result, _)| *is_result);
        for (role, parts) in [(Role::Tool, results), (role, parts)] {
            request.say(Turn {
                role,
                parts: parts.into_iter().map(|(_, part)| part).collect(),
                at,
                ..Turn::default()
            });
        }
        Ok(())
    }

    /// The parts of a content, each with whether it is a result.
    pub(super) fn parts(
        &mut self,
        mut content: Reading<'a>,
        at: At,
        request: &mut Request<'a>,
    ) -> Result<Vec<(bool, Part<'a>)>, Error> {
        let list = parts::elements_of(&mut content, "parts")?;
        content.leave(&mut request.unknown);
        let mut read = Vec::with_capacity(list.len());
        for (index, json) in list.into_iter().enumerate() {
            let at = at.within("parts", index);
            let said = parts::one(Reading::of(json, at)?, json, &mut request.unknown)?;
            self.add(said, &mut |content| {
                let is_result = matches!(content, Content::Result(_));
                let cache = None;
                read.push((is_result, Part { content, cache, at }));
            });
        }
        Ok(read)
    }

    fn add(&mut self, said: Said<'a>, each: &mut dyn FnMut(Content<'a>)) {
        let is_own = matches!(said.what, What::Thought(_) | What::Call(_));
        let mut seal = said.mark.and_then(|mark| parts::seal(mark, !is_own));
        // On anything else it stands for thinking in front of it.
        if let Some(hidden) = seal.take_if(|_| !is_own) {
            each(Content::Reasoning(Reasoned {
                seal: Some(hidden),
                ..Reasoned::default()
            }));
        }
        match said.what {
            What::Text(text) if text.is_empty() => {}
            What::Text(text) => each(Content::text(text)),
            What::Thought(text) => each(Content::Reasoning(Reasoned {
                text,
                is_summary: true,
                seal,
            })),
            What::Call(call) => each(Content::Call(self.call(call, seal))),
            What::Result(result) => each(Content::Result(self.result(result))),
            What::Content(content) => each(content),
        }
    }

    fn call(&mut self, call: Call<'a>, seal: Option<Seal<'a>>) -> ToolCall<'a> {
        let made_up = || ids::made_up(&Text::default(), self.calls);
        let id = call.id.unwrap_or_else(made_up);
        self.calls += 1;
        self.open.push((call.name.clone(), id.clone()));
        self.called.insert(id.clone(), call.name.clone());
        ToolCall {
            id,
            name: call.name,
            arguments: Json::scanned(call.arguments.unwrap_or("{}")).as_text(),
            is_custom: false,
            seal,
        }
    }

    /// Finds the call that a result is of: by its id, else the first of that
    /// name that has none yet.
    fn result(&mut self, mut result: ToolResult<'a>) -> ToolResult<'a> {
        let name = result.name.clone().unwrap_or_default();
        let known = self
            .open
            .iter()
            .position(|(called, id)| match result.call.is_empty() {
                true => *called == name,
                false => *id == result.call,
            });
        match known {
            Some(at) => result.call = self.open.remove(at).1,
            None if result.call.is_empty() => result.call = name.clone(),
            None => {}
        }
        // A turn before has it.
        if known.is_some() || self.called.get(&result.call) == Some(&name) {
            result.name = None;
        }
        result
    }
}
