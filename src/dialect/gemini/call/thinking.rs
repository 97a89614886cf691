//! How a Gemini model is told to think.

use crate::dialect::gemini::model::{Model, Thinks};
use crate::dialect::ir::{Effort, Reasoning, Setting, Thinking};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;

/// What is written of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Tokens; -1 for as many as the model finds right.
    budget: Option<i64>,
    level: Option<&'static str>,
    shows: Option<bool>,
}

/// Writes `thinkingConfig`, if there is anything to say.
pub(super) fn write(
    config: &mut ObjectWriter<'_>,
    reasoning: &Setting<Reasoning<'_>>,
    model: Model,
    losses: &mut Losses,
) {
    let plan = plan(reasoning, model, losses);
    if plan == Plan::default() {
        return;
    }
    let mut thinking = config.object("thinkingConfig");
    if let Some(budget) = plan.budget {
        thinking.raw("thinkingBudget", itoa::Buffer::new().format(budget));
    }
    if let Some(level) = plan.level {
        thinking.text("thinkingLevel", level);
    }
    if let Some(shows) = plan.shows {
        thinking.flag("includeThoughts", shows);
    }
    thinking.end();
}

fn plan(reasoning: &Setting<Reasoning<'_>>, model: Model, losses: &mut Losses) -> Plan {
    let Some(given) = reasoning else {
        return Plan::default();
    };
    let reasoning = &given.value;
    let is_off = reasoning.thinking() == Some(Thinking::Off);
    let hides = reasoning.summary.as_ref().is_some_and(|it| it.is("none"));
    // Whoever asks for thinking is shown it, as other providers do.
    let shows = (!is_off).then_some(!hides);
    let plan = match model.thinks() {
        Thinks::Never => {
            if !is_off && reasoning.thinking().is_some() {
                losses.dropped(given.path);
            }
            return Plan::default();
        }
        Thinks::Budget {
            least,
            most,
            can_stop,
        } => Plan {
            budget: reasoning.thinking().map(|thinking| match thinking {
                Thinking::Auto => -1,
                Thinking::Off if can_stop => 0,
                Thinking::Off => {
                    losses.changed(given.path, LEAST);
                    least as i64
                }
                Thinking::Budget(tokens) => {
                    let fitting = tokens.clamp(least, most);
                    // A word is no promise of a number.
                    if fitting != tokens && reasoning.effort.is_none() {
                        let how = format!("was sent as {fitting}, the nearest this model takes");
                        losses.changed(given.path, how);
                    }
                    fitting as i64
                }
            }),
            ..Plan::default()
        },
        Thinks::Level { least } => {
            let effort = reasoning.effort();
            if effort == Some(Effort::None) {
                losses.changed(given.path, LEAST);
            }
            Plan {
                level: effort.map(|effort| level(effort.max(least))),
                ..Plan::default()
            }
        }
    };
    Plan { shows, ..plan }
}

const LEAST: &str = "was sent as the least thinking this model can be told to do";

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::ir::{Given, Text};

    #[test]
    fn each_model_is_told_in_its_way() {
        let rows = [
            (
                "gemini-2.5-flash",
                Some(Thinking::Off),
                None,
                r#"{"thinkingConfig":{"thinkingBudget":0}}"#,
                0,
            ),
            (
                "gemini-2.5-pro",
                Some(Thinking::Off),
                None,
                r#"{"thinkingConfig":{"thinkingBudget":128}}"#,
                1,
            ),
            (
                "gemini-2.5-pro",
                Some(Thinking::Auto),
                None,
                r#"{"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true}}"#,
                0,
            ),
            (
                "gemini-2.5-flash",
                Some(Thinking::Budget(99_999)),
                None,
                r#"{"thinkingConfig":{"thinkingBudget":24576,"includeThoughts":true}}"#,
                1,
            ),
            (
                "gemini-2.5-flash",
                None,
                Some(Effort::Max),
                r#"{"thinkingConfig":{"thinkingBudget":24576,"includeThoughts":true}}"#,
                0,
            ),
            (
                "gemini-3-flash",
                None,
                Some(Effort::None),
                r#"{"thinkingConfig":{"thinkingLevel":"MINIMAL"}}"#,
                1,
            ),
            (
                "gemini-3.1-pro",
                None,
                Some(Effort::Minimal),
                r#"{"thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true}}"#,
                0,
            ),
            (
                "gemini-3.1-pro",
                Some(Thinking::Auto),
                None,
                r#"{"thinkingConfig":{"includeThoughts":true}}"#,
                0,
            ),
            (
                "gemini-3.1-pro",
                Some(Thinking::Budget(10_000)),
                None,
                r#"{"thinkingConfig":{"thinkingLevel":"MEDIUM","includeThoughts":true}}"#,
                0,
            ),
            ("gemini-2.0-flash", None, Some(Effort::High), "{}", 1),
            ("gemini-2.0-flash", None, Some(Effort::None), "{}", 0),
        ];
        for (model, thinking, effort, expected, lost) in rows {
            let reasoning = Reasoning {
                thinking,
                effort,
                summary: None,
            };
            let setting = Some(Given::new("reasoning", reasoning));
            let mut losses = Losses::default();
            let mut out = Vec::new();
            let mut config = ObjectWriter::begin(&mut out);
            write(&mut config, &setting, Model::of(model), &mut losses);
            config.end();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{model}");
            assert_eq!(losses.iter().count(), lost, "{model}: {losses:?}");
        }
        let hidden = Reasoning {
            effort: Some(Effort::Low),
            summary: Some(Text::plain("none")),
            thinking: None,
        };
        let plan = plan(
            &Some(Given::new("", hidden)),
            Model::of("gemini-3-pro"),
            &mut Losses::default(),
        );
        assert_eq!(plan.shows, Some(false));
    }
}
