//! Writes how hard to think: in OpenAI's word for it, or where this server
//! wants to be told.

use super::{Model, Outgoing, Target};
use crate::dialect::ir::{Effort, Given, Reasoning, Setting, Thinking};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::quirks::ReasoningField;

/// How hard to think, for models that are told so.
pub(in crate::dialect) fn effort(
    reasoning: &Setting<Reasoning<'_>>,
    model: Model,
    losses: &mut Losses,
) -> Option<Effort> {
    let given = reasoning.as_ref()?;
    let effort = given.value.effort();
    let wants = !matches!(given.value.thinking(), None | Some(Thinking::Off));
    match model {
        Model::Plain => {
            if wants {
                losses.dropped(given.path);
            }
            None
        }
        // They can't be told not to.
        Model::Reasons if effort == Some(Effort::None) => {
            losses.changed(given.path, "was sent as the least effort this model knows");
            Some(Effort::Low)
        }
        _ => effort,
    }
}

/// Writes `effort`, as [`effort`] made it of `reasoning`.
pub(super) fn write(
    call: &mut ObjectWriter<'_>,
    reasoning: &Setting<Reasoning<'_>>,
    effort: Option<Effort>,
    target: &Target<'_>,
    out: &mut Outgoing,
) {
    let (Some(given), Some(effort)) = (reasoning, effort) else {
        return;
    };
    if target.quirks.refuses.has("reasoning_effort") {
        return out.losses.dropped(given.path);
    }
    let thinks = effort != Effort::None;
    match target.quirks.reasoning {
        ReasoningField::Toggle if !thinks => switch(call, false),
        ReasoningField::Effort | ReasoningField::Toggle => {
            call.text("reasoning_effort", effort.as_str());
        }
        ReasoningField::Object => {
            let mut object = call.object("reasoning");
            match given.value.thinking {
                Some(Thinking::Budget(most)) => object.count("max_tokens", most),
                _ => object.text("effort", effort.as_str()),
            };
            object.end();
        }
        ReasoningField::Thinking => {
            switch(call, thinks);
            lose_degree(given, out);
        }
        ReasoningField::EnableThinking => {
            call.flag("enable_thinking", thinks);
            match given.value.thinking {
                Some(Thinking::Budget(most)) => drop(call.count("thinking_budget", most)),
                _ => lose_degree(given, out),
            }
        }
    }
}

fn switch(call: &mut ObjectWriter<'_>, on: bool) {
    let mut thinking = call.object("thinking");
    thinking.text("type", if on { "enabled" } else { "disabled" });
    thinking.end();
}

/// That it thinks is carried; how hard isn't.
fn lose_degree(given: &Given<Reasoning<'_>>, out: &mut Outgoing) {
    let said = given.value.effort;
    let budget = matches!(given.value.thinking, Some(Thinking::Budget(_)));
    if budget || said.is_some_and(|effort| effort != Effort::None) {
        let how = "was sent as thinking or not: this provider isn't told how hard";
        out.losses.changed(given.path, how);
    }
}
