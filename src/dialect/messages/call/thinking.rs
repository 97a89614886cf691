//! How a Claude model is told to think.

use crate::dialect::ir::{Content, Effort, Maker, Reasoning, Request, Role, Thinking, ToolChoice};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::messages::model::{Model, Thinks};

/// The least and the most that the API takes as a budget.
const LEAST: u64 = 1_024;

/// What is written of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    kind: Kind,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    display: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Nothing is said: the model's own way.
    #[default]
    Unsaid,
    Off,
    Budget(u64),
    Adaptive,
}

/// Whether `reasoning` asks for any thinking.
pub(super) fn wants(reasoning: &Reasoning<'_>) -> bool {
    !matches!(reasoning.thinking(), None | Some(Thinking::Off))
}

impl Plan {
    /// What to write for `request`, whose answer has `most` tokens. A
    /// `form_tool` is one that must be called.
    pub(super) fn of(
        request: &Request<'_>,
        model: Model,
        most: u64,
        form_tool: bool,
        losses: &mut Losses,
    ) -> Self {
        let Some(given) = &request.settings.reasoning else {
            return Self::default();
        };
        let reasoning = &given.value;
        match model.thinks() {
            _ if !wants(reasoning) => Self {
                // Older models don't think unless they are told to.
                kind: match (model.thinks(), reasoning.thinking()) {
                    (Thinks::Adaptive, Some(_)) => Kind::Off,
                    _ => Kind::Unsaid,
                },
                ..Self::default()
            },
            Thinks::Never => {
                losses.dropped(given.path);
                Self::default()
            }
            Thinks::Adaptive => Self::adaptive(reasoning),
            Thinks::Budget => {
                let Some(why) = conflict(request, most, form_tool) else {
                    return Self::budget(reasoning, most);
                };
                losses.changed(given.path, why);
                Self::default()
            }
        }
    }

    fn adaptive(reasoning: &Reasoning<'_>) -> Self {
        let effort = reasoning.effort().map(|effort| match effort {
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        });
        let display = reasoning
            .summary
            .as_ref()
            .map(|summary| match summary.is("none") {
                true => "omitted",
                false => "summarized",
            });
        Self {
            kind: Kind::Adaptive,
            effort,
            display,
        }
    }

    fn budget(reasoning: &Reasoning<'_>, most: u64) -> Self {
        let budget = match reasoning.thinking() {
            Some(Thinking::Budget(budget)) => budget,
            _ => match Effort::Medium.budget() {
                Thinking::Budget(budget) => budget,
                Thinking::Off | Thinking::Auto => LEAST,
            },
        };
        Self {
            kind: Kind::Budget(budget.clamp(LEAST, most.saturating_sub(1).max(LEAST))),
            ..Self::default()
        }
    }

    /// Whether the model thinks: it takes no sampling parameters then.
    pub(super) fn is_on(self) -> bool {
        matches!(self.kind, Kind::Budget(_) | Kind::Adaptive)
    }

    /// Writes `thinking`.
    pub(super) fn write(self, call: &mut ObjectWriter<'_>) {
        let mut object = match self.kind {
            Kind::Unsaid => return,
            Kind::Off | Kind::Budget(_) | Kind::Adaptive => call.object("thinking"),
        };
        match self.kind {
            Kind::Budget(budget) => object
                .text("type", "enabled")
                .count("budget_tokens", budget),
            Kind::Adaptive => object.text("type", "adaptive"),
            Kind::Off | Kind::Unsaid => object.text("type", "disabled"),
        };
        if let Some(display) = self.display {
            object.text("display", display);
        }
        object.end();
    }
}

/// Why these models can't think here, which makes the API refuse the call.
fn conflict(request: &Request<'_>, most: u64, form_tool: bool) -> Option<&'static str> {
    let choice = request.settings.tool_choice.as_ref().map(|it| &it.value);
    let is_forced = matches!(choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    if form_tool || (is_forced && !request.tools.is_empty()) {
        return Some("was left out: this model doesn't think where it must call a tool");
    }
    if most <= LEAST {
        return Some("was left out: the limit of tokens leaves no room to think");
    }
    if calls_without_thought(request) {
        return Some("was left out: the last call of a tool comes without its signed thinking");
    }
    None
}

/// Whether the conversation ends with results of calls whose thinking isn't
/// there: it was another model's, or the caller dropped it.
fn calls_without_thought(request: &Request<'_>) -> bool {
    let mut turns = request.turns.iter().rev();
    let has_results = turns
        .by_ref()
        .find(|turn| matches!(turn.role, Role::Tool | Role::Assistant))
        .is_some_and(|turn| turn.role == Role::Tool);
    let called = turns.find(|turn| turn.role == Role::Assistant);
    has_results
        && !called.is_some_and(|turn| {
            turn.parts.iter().any(|part| match &part.content {
                Content::Reasoning(reasoned) => reasoned
                    .seal
                    .as_ref()
                    .is_some_and(|seal| seal.maker == Maker::Anthropic),
                _ => false,
            })
        })
}
