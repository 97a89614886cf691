//! Decides what is said, once and before the first byte, so that a stream and
//! an unstreamed answer say the same and count the same.

use super::ask::{Ask, Form};
use super::dice::{Dice, mix};
use super::plausible;
use super::spread::Length;
use super::text::Text;

/// Everything an answer holds but its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) choices: Vec<Choice>,
    /// Tokens read.
    pub(crate) input: u64,
    /// Tokens said, over all choices.
    pub(crate) output: u64,
}

/// One of the alternatives a caller asked for with `n`; elsewhere the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The function that is called, where one is: then the text is its
    /// arguments.
    pub(crate) calls: Option<String>,
    pub(crate) text: Text,
    pub(crate) finish: Finish,
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// The caller's stop sequence came up.
    Sequence(String),
    Length,
    Tool,
}

impl Answer {
    /// The answer to `ask` from the provider with this seed; `tokens` is how
    /// long it is where nothing cuts it short.
    pub(crate) fn to(ask: &Ask, seed: u64, tokens: &Length) -> Self {
        let base = mix(seed, ask.essence);
        let choices: Vec<_> = ask
            .said
            .iter()
            .flat_map(|said| std::iter::repeat_n(said, ask.choices))
            .enumerate()
            .map(|(at, said)| Choice::of(ask, said, &mut Dice::new(mix(base, at as u64)), tokens))
            .collect();
        let output = choices.iter().map(|choice| choice.text.len()).sum();
        Self {
            choices,
            input: ask.input,
            output,
        }
    }

    /// How many tokens pass before the longest choice ends.
    pub(crate) fn longest(&self) -> u64 {
        self.choices
            .iter()
            .map(|choice| choice.text.len())
            .max()
            .unwrap_or(0)
    }
}

impl Choice {
    fn of(ask: &Ask, said: &str, dice: &mut Dice, tokens: &Length) -> Self {
        let called = ask.tool();
        let mut text = if let Some(tool) = called {
            Text::chopped(plausible::value(&tool.schema, dice).to_string())
        } else if let Some(schema) = &ask.schema {
            Text::chopped(plausible::value(schema, dice).to_string())
        } else if is_echo(&ask.model) {
            Text::echo(said)
        } else {
            // Nobody reads a million words of this; a bound keeps a typo from filling memory.
            let natural = tokens.draw(dice).min(1 << 20);
            // One more than the limit is enough to know that it cuts.
            let wanted = ask
                .limit
                .map_or(natural, |limit| natural.min(limit.saturating_add(1)));
            Text::words(wanted, dice)
        };
        let cut = ask.limit.is_some_and(|limit| text.limit(limit));
        let sequence = if called.is_none() {
            text.stop_at(&ask.stop)
        } else {
            None
        };
        let finish = match (sequence, cut, called) {
            (Some(sequence), ..) => Finish::Sequence(sequence),
            (None, true, _) => Finish::Length,
            (None, false, Some(_)) => Finish::Tool,
            (None, false, None) => Finish::Stop,
        };
        Self {
            calls: called.map(|tool| tool.name.clone()),
            text,
            finish,
        }
    }

    /// How this choice ended, in the words of a form.
    pub(crate) fn finish(&self, form: Form) -> &'static str {
        match (form, &self.finish) {
            (Form::Messages, Finish::Stop) => "end_turn",
            (Form::Messages, Finish::Sequence(_)) => "stop_sequence",
            (Form::Messages, Finish::Length) => "max_tokens",
            (Form::Messages, Finish::Tool) => "tool_use",
            (_, Finish::Stop | Finish::Sequence(_)) => "stop",
            (_, Finish::Length) => "length",
            (_, Finish::Tool) => "tool_calls",
        }
    }
}

/// Whether a model repeats its prompt: `echo`, `sim/echo`, `echo-2`.
fn is_echo(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name == "echo" || name.starts_with("echo-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::ask;

    fn answer(form: Form, body: &str, seed: u64) -> Answer {
        let ask = ask::read(form, body.as_bytes()).unwrap();
        Answer::to(&ask, seed, &Length::fixed(32))
    }

    #[test]
    fn the_answer_depends_on_seed_model_and_prompt_and_on_nothing_else() {
        let base = r#"{"model":"m","messages":[{"role":"user","content":"hi there"}]}"#;
        let same = [
            r#"{ "messages": [ {"content":"hi there","role":"user"} ], "stream": true, "model":"m" }"#,
            r#"{"model":"m","temperature":1,"messages":[{"role":"user","content":[{"type":"text","text":"hi there"}]}]}"#,
        ];
        let other = [
            r#"{"model":"n","messages":[{"role":"user","content":"hi there"}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"hi  there"}]}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"x"},{"role":"user","content":"hi there"}]}"#,
        ];
        let first = answer(Form::Chat, base, 1);
        for body in same {
            assert_eq!(answer(Form::Chat, body, 1), first, "{body}");
        }
        for body in other {
            assert_ne!(answer(Form::Chat, body, 1).choices, first.choices, "{body}");
        }
        assert_ne!(answer(Form::Chat, base, 2).choices, first.choices);
    }

    #[test]
    fn an_answer_ends_as_it_was_asked_to() {
        let echo = |rest: &str| {
            format!(
                r#"{{"model":"sim/echo","messages":[{{"role":"user","content":"one two three"}}]{rest}}}"#
            )
        };
        let rows = [
            ("", "one two three", "stop", 3),
            (r#","max_tokens":2"#, "one two", "length", 2),
            (r#","max_completion_tokens":3"#, "one two three", "stop", 3),
            (r#","stop":" three""#, "one two", "stop", 2),
            (r#","stop":["x","two"],"max_tokens":1"#, "one", "length", 1),
        ];
        for (rest, text, finish, tokens) in rows {
            let answer = answer(Form::Chat, &echo(rest), 1);
            let choice = &answer.choices[0];
            assert_eq!(
                (choice.text.as_str(), choice.finish(Form::Chat)),
                (text, finish),
                "{rest}"
            );
            assert_eq!(answer.output, tokens);
        }
        assert_eq!(answer(Form::Chat, &echo(r#","n":3"#), 1).choices.len(), 3);
    }

    #[test]
    fn a_forced_tool_is_called_with_arguments_of_its_schema() {
        let body = |choice: &str, said: &str| {
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{said}"}}],"tool_choice":{choice},
                "tools":[{{"type":"function","function":{{"name":"a_b","parameters":{{"type":"object",
                "properties":{{"x":{{"type":"integer"}}}}}}}}}}]}}"#
            )
        };
        let rows = [
            (r#""auto""#, "hello", false),
            (r#""auto""#, "please use a_b now", true),
            (r#""none""#, "please use a_b now", false),
            (r#""required""#, "hello", true),
            (
                r#"{"type":"function","function":{"name":"a_b"}}"#,
                "hello",
                true,
            ),
        ];
        for (choice, said, called) in rows {
            let answer = answer(Form::Chat, &body(choice, said), 1);
            let choice = &answer.choices[0];
            assert_eq!(choice.calls.is_some(), called, "{choice:?}");
            if called {
                let arguments: serde_json::Value =
                    serde_json::from_str(choice.text.as_str()).unwrap();
                assert!(arguments["x"].is_i64());
                assert_eq!(choice.finish, Finish::Tool);
            }
        }
    }
}
