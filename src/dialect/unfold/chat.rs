//! Chat and completions: for each choice its deltas and its finish reason,
//! then the usage if it was asked for, and `[DONE]`.

use super::event;
use crate::dialect::fold::{Form, is_name};
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_array, is_object};
use crate::dialect::watch::is_an_error;

pub(super) fn unfold(form: Form, whole: &str, include_usage: bool) -> Option<Vec<u8>> {
    let answer = Members::of(whole)?;
    if answer.get("error").is_some_and(is_an_error) {
        return None;
    }
    let mut choices = Vec::new();
    for (at, choice) in answer.list("choices").into_iter().enumerate() {
        choices.push(Choice::of(form, at, choice)?);
    }
    if choices.is_empty() {
        return None;
    }
    let mut chunks = Chunks::of(form, &answer, include_usage, whole.len());
    for choice in &choices {
        match form {
            Form::Chat => chunks.message(choice),
            Form::Completions => chunks.text(choice),
        }
    }
    if let Some(usage) = answer.get("usage").filter(|_| include_usage) {
        chunks.event(usage, |_| {});
    }
    chunks.out.extend_from_slice(b"data: [DONE]\n\n");
    Some(chunks.out)
}

#[derive(Debug)]
struct Choice<'a> {
    index: usize,
    /// Its message; for a completion the choice itself.
    said: Members<'a>,
    logprobs: Option<&'a str>,
    finish_reason: &'a str,
    /// What else it has: in its last chunk.
    rest: Vec<(String, &'a str)>,
}

/// What a choice has in other places than its last chunk. Perplexity's have an
/// empty delta beside the message.
const SAID: [&str; 6] = [
    "index",
    "message",
    "delta",
    "text",
    "logprobs",
    "finish_reason",
];

impl<'a> Choice<'a> {
    fn of(form: Form, at: usize, raw: &'a str) -> Option<Self> {
        let choice = Members::of(raw)?;
        let index = choice.get("index").and_then(|raw| raw.parse().ok());
        let rest = choice.iter().filter(|(key, _)| !SAID.contains(key));
        Some(Self {
            index: index.unwrap_or(at),
            logprobs: choice.get("logprobs"),
            finish_reason: choice.get("finish_reason").map_or("null", |raw| raw),
            rest: rest.map(|(key, raw)| (key.to_owned(), raw)).collect(),
            said: match form {
                Form::Chat => choice.get("message").and_then(Members::of)?,
                Form::Completions => {
                    choice.get("text").and_then(inside_quotes)?;
                    choice
                }
            },
        })
    }
}

/// What a chunk tells of its choice beside the delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Logprobs,
    /// The finish reason, and the logprobs if no delta had them.
    Finish {
        logprobs: bool,
    },
}

/// The stream so far, and what its chunks have in common.
#[derive(Debug)]
struct Chunks<'a> {
    form: Form,
    head: Vec<(&'a str, &'a str)>,
    /// What else the answer has: in the first chunk only.
    once: Vec<(&'a str, &'a str)>,
    include_usage: bool,
    out: Vec<u8>,
}

/// What OpenAI repeats in every chunk.
const EVERYWHERE: [&str; 6] = [
    "id",
    "object",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
];

impl<'a> Chunks<'a> {
    fn of(form: Form, answer: &'a Members<'_>, include_usage: bool, length: usize) -> Self {
        let (head, rest): (Vec<_>, Vec<_>) =
            answer.iter().partition(|(key, _)| EVERYWHERE.contains(key));
        let elsewhere = ["choices", "usage"];
        Self {
            form,
            head,
            once: rest
                .into_iter()
                .filter(|(key, _)| !elsewhere.contains(key))
                .collect(),
            include_usage,
            out: Vec::with_capacity(length + 2048),
        }
    }

    /// A message's role, its texts in the order models write them, its tool
    /// calls, its end.
    fn message(&mut self, choice: &Choice<'_>) {
        let mut fields: Vec<_> = choice.said.iter().collect();
        fields.sort_by_key(|(key, _)| rank(key));
        self.delta(choice, Beside::Nothing, |delta| {
            if choice.said.get("role").is_none() {
                delta.text("role", "assistant");
            }
            for (key, raw) in &fields {
                if opens(key, raw) {
                    delta.raw(key, raw);
                } else if *key == "content" && inside_quotes(raw).is_some() {
                    delta.text(key, "");
                }
            }
        });
        let mut has_told_logprobs = false;
        for (key, raw) in fields.iter().filter(|(key, raw)| !opens(key, raw)) {
            match *key {
                "tool_calls" if is_array(raw) => self.tool_calls(choice, &choice.said.list(key)),
                "function_call" if is_object(raw) => self.function_call(choice, raw),
                "content" | "refusal" if !has_told_logprobs => {
                    has_told_logprobs = true;
                    self.delta(choice, Beside::Logprobs, |delta| {
                        delta.raw(key, raw);
                    });
                }
                _ => self.delta(choice, Beside::Nothing, |delta| {
                    delta.raw(key, raw);
                }),
            }
        }
        let logprobs = !has_told_logprobs;
        self.delta(choice, Beside::Finish { logprobs }, |_| {});
    }

    /// Each call as OpenAI sends it: its id and name, then its arguments.
    fn tool_calls(&mut self, choice: &Choice<'_>, calls: &[&str]) {
        for (at, raw) in calls.iter().enumerate() {
            let call = Members::of(raw).unwrap_or_default();
            let function = call.get("function").and_then(Members::of);
            self.delta(choice, Beside::Nothing, |delta| {
                one_call(delta, at, |opening| {
                    for (key, raw) in call.iter().filter(|(key, _)| *key != "index") {
                        match &function {
                            Some(function) if key == "function" => {
                                without_arguments(opening.object(key), function);
                            }
                            _ => drop(opening.raw(key, raw)),
                        }
                    }
                });
            });
            if let Some(arguments) = function.as_ref().and_then(arguments) {
                self.delta(choice, Beside::Nothing, |delta| {
                    one_call(delta, at, |more| {
                        let mut function = more.object("function");
                        function.raw("arguments", arguments);
                        function.end();
                    });
                });
            }
        }
    }

    /// The older form of a tool call.
    fn function_call(&mut self, choice: &Choice<'_>, call: &str) {
        let function = Members::of(call).unwrap_or_default();
        self.delta(choice, Beside::Nothing, |delta| {
            without_arguments(delta.object("function_call"), &function);
        });
        if let Some(arguments) = arguments(&function) {
            self.delta(choice, Beside::Nothing, |delta| {
                let mut more = delta.object("function_call");
                more.raw("arguments", arguments);
                more.end();
            });
        }
    }

    /// A completion's text, then its end.
    fn text(&mut self, choice: &Choice<'_>) {
        let text = choice.said.get("text").map_or("\"\"", |raw| raw);
        self.chunk(choice, Beside::Logprobs, |object| {
            object.raw("text", text);
        });
        let end = Beside::Finish { logprobs: false };
        self.chunk(choice, end, |object| {
            object.text("text", "");
        });
    }

    fn delta(
        &mut self,
        choice: &Choice<'_>,
        beside: Beside,
        write: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        self.chunk(choice, beside, |object| {
            let mut delta = object.object("delta");
            write(&mut delta);
            delta.end();
        });
    }

    /// One chunk of one choice, whose delta `write` adds.
    fn chunk(
        &mut self,
        choice: &Choice<'_>,
        beside: Beside,
        write: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        self.event("null", |choices| {
            let mut object = ObjectWriter::begin(choices);
            object.number("index", choice.index);
            write(&mut object);
            if let Some(logprobs) = choice.logprobs {
                let now = matches!(beside, Beside::Logprobs | Beside::Finish { logprobs: true });
                object.raw("logprobs", if now { logprobs } else { "null" });
            }
            if let Beside::Finish { .. } = beside {
                object.raw("finish_reason", choice.finish_reason);
                for (key, raw) in &choice.rest {
                    object.raw(key, raw);
                }
            } else {
                object.raw("finish_reason", "null");
            }
            object.end();
        });
    }

    /// One chunk: what is in all of them, the choices `write` adds, and the
    /// usage if that was asked for.
    fn event(&mut self, usage: &str, write: impl FnOnce(&mut Vec<u8>)) {
        event(&mut self.out, |chunk| {
            for (key, raw) in self.head.iter().copied().chain(self.once.drain(..)) {
                match key {
                    "object" => chunk.text(key, self.form.chunk_object()),
                    _ => chunk.raw(key, raw),
                };
            }
            let choices = chunk.key("choices");
            choices.push(b'[');
            write(choices);
            choices.push(b']');
            if self.include_usage {
                chunk.raw("usage", usage);
            }
        });
    }
}

/// The order in which models write: what they think comes before what they
/// say, and calls come last.
fn rank(key: &str) -> u8 {
    match key {
        "role" => 0,
        "reasoning" | "reasoning_content" | "thinking" => 1,
        "reasoning_details" => 2,
        "content" => 3,
        "refusal" => 4,
        "tool_calls" | "function_call" => 6,
        _ => 5,
    }
}

/// Whether a field of a message comes whole with its role: names, numbers,
/// and what says nothing.
fn opens(key: &str, raw: &str) -> bool {
    let is_built = is_array(raw) || is_object(raw) || inside_quotes(raw).is_some();
    is_name(key) || !is_built || !says_something(raw)
}

/// A delta of the tool call at `at`.
fn one_call(delta: &mut ObjectWriter<'_>, at: usize, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    let calls = delta.key("tool_calls");
    calls.push(b'[');
    let mut call = ObjectWriter::begin(calls);
    call.number("index", at);
    write(&mut call);
    call.end();
    calls.push(b']');
}

/// The arguments a delta of their own is for.
fn arguments<'a>(function: &Members<'a>) -> Option<&'a str> {
    let arguments = function.get("arguments")?;
    let says_anything = says_something(arguments) && inside_quotes(arguments).is_some();
    says_anything.then_some(arguments)
}

/// A function that is about to be called: its arguments are to come.
fn without_arguments(mut out: ObjectWriter<'_>, function: &Members<'_>) {
    let are_to_come = arguments(function).is_some();
    for (key, raw) in function.iter() {
        let text = if key == "arguments" && are_to_come {
            "\"\""
        } else {
            raw
        };
        out.raw(key, text);
    }
    out.end();
}
