//! What is asked: turns, tools, settings.

use super::{At, Content, Json, Part, Settings, Text, Tool, ToolCall};

/// One call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// The model's name as the caller wrote it. What goes upstream is the
    /// target's ([`crate::dialect::translate::Target`]).
    pub model: Text<'a>,
    /// The conversation in its order, system and developer turns in place.
    pub turns: Vec<Turn<'a>>,
    /// What the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Everything that has one value.
    pub settings: Settings<'a>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// Whether the caller wants its stream to report usage; formats whose
    /// streams always do set it.
    pub include_usage: bool,
    /// Fields that only the caller's format knows, by their path, with what
    /// they say. None of them reaches a provider of another format: each is a
    /// loss, unless it is null, false or empty.
    pub unknown: Vec<(String, Json<'a>)>,
}

/// One contribution to the conversation.
///
/// In every decoder's result: a [`Role::Tool`] turn has tool results only, and
/// all that follow each other without another turn between them are one turn,
/// directly behind the assistant turn that called. Other turns have no tool
/// results, and only assistant turns have calls, reasoning and refusals. A
/// turn without parts isn't there. What the assistant says without another
/// turn between is one turn. [`Request::say`] sees to all that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where the format has one beside the role.
    pub name: Option<Text<'a>>,
    /// What is said, in order.
    pub parts: Vec<Part<'a>>,
    /// Where the caller wrote it.
    pub at: At,
}

impl<'a> Request<'a> {
    /// Adds what was said next, in the form that [`Turn`] promises.
    pub fn say(&mut self, turn: Turn<'a>) {
        if turn.parts.is_empty() {
            return;
        }
        let continues = matches!(turn.role, Role::Assistant | Role::Tool);
        match self.turns.last_mut() {
            Some(last) if continues && last.role == turn.role && last.name == turn.name => {
                last.parts.extend(turn.parts);
            }
            _ => self.turns.push(turn),
        }
    }

    /// All calls of tools, in their order.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall<'a>> {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.filter_map(|part| match &part.content {
            Content::Call(call) => Some(call),
            _ => None,
        })
    }

    /// Whether the caller marked anything for the provider's cache.
    pub fn is_marked(&self) -> bool {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.into_iter().any(|part| part.cache.is_some())
            || self.tools.iter().any(|tool| tool.cache.is_some())
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Whoever set the conversation up.
    System,
    /// The same in newer OpenAI words. Where a format has only one of the two
    /// it is that one.
    Developer,
    /// The user.
    #[default]
    User,
    /// The model.
    Assistant,
    /// The caller's program, giving results of the model's calls.
    Tool,
}

impl Role {
    /// Whether it instructs the model rather than talking to it.
    pub fn instructs(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }
}
