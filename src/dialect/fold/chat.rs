//! Chat and completions: the deltas of each choice become its `message`, or
//! its `text`.

use super::grown::{Object, is_name};
use super::{Folding, Step, fold_into};
use crate::dialect::json::elements;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_null, is_object};
use crate::dialect::watch::is_an_error;

/// Which of the two formats: they share everything but where the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Form {
    Chat,
    Completions,
}

pub(super) fn fold(form: Form, stream: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Answer {
        form,
        head: Object::default(),
        choices: Vec::new(),
        last_text: None,
    };
    fold_into(&mut answer, stream)?;
    answer.finish()
}

/// The answer so far.
#[derive(Debug)]
struct Answer {
    form: Form,
    /// Everything beside the choices.
    head: Object,
    choices: Vec<Choice>,
    /// Where the last text went: the choice's place here, the field.
    last_text: Option<(usize, Box<str>)>,
}

#[derive(Debug, Default)]
struct Choice {
    index: u64,
    message: Object,
    /// Everything beside the message.
    rest: Object,
}

/// More choices than anybody asks for; they are searched one by one.
const MOST_CHOICES: usize = 1024;

impl Folding for Answer {
    fn take<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Option<Step<'d>> {
        if data.trim_ascii() == "[DONE]" {
            return Some(Step::End);
        }
        if event == Some(b"error") {
            return None;
        }
        let mut step = Step::More;
        for (key, raw) in Members::of(data)?.iter() {
            match key {
                "choices" if is_null(raw) => {}
                "choices" => {
                    let choices = elements(raw)?;
                    let is_only = choices.len() == 1;
                    for choice in choices {
                        let text = self.add(&Members::of(choice)?)?;
                        if let Some(text) = text.filter(|_| is_only) {
                            step = Step::Text(text);
                        }
                    }
                }
                "error" if is_an_error(raw) => return None,
                // Random padding: OpenAI's, Mistral's.
                "obfuscation" | "p" => {}
                "object" => self.head.put(key, self.form.object()),
                _ => self.head.set(key, raw)?,
            }
        }
        Some(step)
    }

    fn take_text(&mut self, text: &str) -> Option<()> {
        let (at, key) = self.last_text.as_ref()?;
        let choice = self.choices.get_mut(*at)?;
        choice.message.add_text(key, text)
    }
}

impl Answer {
    /// Adds to a choice. Gives the text if that was all there was to add.
    fn add<'d>(&mut self, delta: &Members<'d>) -> Option<Option<&'d str>> {
        let index = match delta.get("index") {
            None => 0,
            Some(index) => index.parse().ok()?,
        };
        let at = self.choice(index)?;
        let choice = &mut self.choices[at];
        let mut text = None;
        for (key, raw) in delta.iter() {
            match key {
                // Perplexity sends the message so far beside the delta.
                "index" | "message" => {}
                "delta" => text = choice.say(raw)?,
                "text" => choice.rest.grow(key, raw)?,
                "logprobs" => choice.rest.append(key, raw)?,
                _ => choice.rest.set(key, raw)?,
            }
        }
        let is_all = ["text", "logprobs"]
            .iter()
            .all(|key| delta.get(key).is_none_or(is_null));
        let (key, text) = match text.filter(|_| is_all) {
            Some(found) => found,
            None => return Some(None),
        };
        self.last_text = Some((at, key));
        Some(Some(text))
    }

    /// Where the choice of that number is.
    fn choice(&mut self, index: u64) -> Option<usize> {
        let found = self.choices.iter().position(|choice| choice.index == index);
        let at = found.unwrap_or(self.choices.len());
        if at == MOST_CHOICES {
            return None;
        }
        if found.is_none() {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
        }
        Some(at)
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.choices.is_empty() {
            return None;
        }
        self.choices.sort_by_key(|choice| choice.index);
        let usage = self.take_usage();
        let mut out = Vec::with_capacity(1024);
        let mut whole = ObjectWriter::begin(&mut out);
        if !self.head.has("object") {
            whole.raw("object", self.form.object());
        }
        self.head.write_into(&mut whole);
        let choices = whole.key("choices");
        for (at, choice) in self.choices.iter_mut().enumerate() {
            choices.push(if at == 0 { b'[' } else { b',' });
            choice.write(self.form, choices);
        }
        choices.push(b']');
        // Last, where it is looked for first.
        if let Some(usage) = usage {
            whole.raw("usage", &usage);
        }
        whole.end();
        Some(out)
    }

    /// Takes the usage out of the head, or out of where Groq's streams have
    /// it and its whole answers don't.
    fn take_usage(&mut self) -> Option<String> {
        let reported = self.head.raw("usage").filter(|usage| *usage != "null");
        let mut usage = reported.map(str::to_owned);
        self.head.remove("usage");
        let groq = self.head.raw("x_groq").map(str::to_owned);
        if let Some(members) = groq.as_deref().and_then(Members::of)
            && let Some(groqs) = members.get("usage")
        {
            if is_object(groqs) {
                usage.get_or_insert_with(|| groqs.to_owned());
            }
            let mut rest = Object::of(&members);
            rest.remove("usage");
            self.head.put_object("x_groq", rest);
        }
        usage
    }
}

impl Choice {
    /// Adds a delta to the message. Gives the field and the text if that was
    /// all there was to add.
    fn say<'d>(&mut self, delta: &'d str) -> Option<Option<(Box<str>, &'d str)>> {
        if is_null(delta) {
            return Some(None);
        }
        let mut text = None;
        let mut is_all = true;
        for (key, raw) in Members::of(delta)?.iter() {
            // Some servers number the delta as well as its choice.
            if key == "index" {
                continue;
            }
            self.message.grow(key, raw)?;
            match inside_quotes(raw) {
                _ if is_null(raw) || is_name(key) => {}
                Some("") => {}
                Some(more) if text.is_none() => text = Some((key.into(), more)),
                _ => is_all = false,
            }
        }
        Some(text.filter(|_| is_all))
    }

    fn write(&mut self, form: Form, out: &mut Vec<u8>) {
        let mut choice = ObjectWriter::begin(out);
        choice.raw("index", itoa::Buffer::new().format(self.index));
        if form == Form::Chat {
            for call in self.message.elements("tool_calls") {
                call.remove("index");
            }
            let mut message = choice.object("message");
            if !self.message.has("role") {
                message.text("role", "assistant");
            }
            if !self.message.has("content") {
                message.raw("content", "null");
            }
            self.message.write_into(&mut message);
            message.end();
        }
        if !self.rest.has("finish_reason") {
            choice.raw("finish_reason", "null");
        }
        self.rest.write_into(&mut choice);
        choice.end();
    }
}

impl Form {
    /// The `object` of a whole answer, as JSON.
    fn object(self) -> &'static str {
        match self {
            Self::Chat => "\"chat.completion\"",
            Self::Completions => "\"text_completion\"",
        }
    }

    /// The `object` of a chunk of a stream.
    pub(in crate::dialect) fn chunk_object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Completions => "text_completion",
        }
    }
}
