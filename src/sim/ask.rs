//! What one call asks for, whatever dialect it is written in.
//!
//! Each dialect's reader checks what its provider would check and fills the
//! same [`Ask`]. Two requests that mean the same have the same `essence`, and
//! so the same answer, streamed or not.

mod chat;
mod messages;
mod responses;

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::dice::digest;
use super::json::{self, Object};
use super::refusal::Refusal;

/// The wire form a call is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Chat,
    Completions,
    Responses,
    Messages,
}

/// One call for text.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) form: Form,
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// `stream_options.include_usage`.
    pub(crate) usage_chunk: bool,
    /// Whether chunks are padded (`stream_options.include_obfuscation`).
    pub(crate) padding: bool,
    /// `n`: answers for each prompt.
    pub(crate) choices: usize,
    /// The most tokens an answer may have.
    pub(crate) limit: Option<u64>,
    pub(crate) stop: Vec<String>,
    /// What the caller said last, one for each prompt: what `echo` repeats.
    pub(crate) said: Vec<String>,
    /// A hash of everything the model reads.
    pub(crate) essence: u64,
    /// Tokens of everything the model reads.
    pub(crate) input: u64,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choose: Choose,
    /// The answer is JSON of this schema.
    pub(crate) schema: Option<Value>,
    /// Fields a Responses object repeats from its request, as JSON members.
    pub(crate) repeated: String,
}

/// A function the caller offers.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// JSON schema of its arguments.
    pub(crate) schema: Value,
}

/// Whether a tool is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choose {
    /// The model decides: this one calls the tool whose name the prompt holds.
    Auto,
    Never,
    /// Any tool: the first.
    Any,
    Named(String),
}

/// Reads and checks a request body.
pub(crate) fn read(form: Form, body: &[u8]) -> Result<Ask, Refusal> {
    let object = Object::root(body)?;
    match form {
        Form::Chat => chat::read(&object),
        Form::Completions => chat::read_completions(&object),
        Form::Responses => responses::read(&object),
        Form::Messages => messages::read(&object, true),
    }
}

/// Reads the body of a token count, which needs no `max_tokens`.
pub(crate) fn count(body: &[u8]) -> Result<Ask, Refusal> {
    messages::read(&Object::root(body)?, false)
}

/// Tokens of a text: four bytes each, the rule of thumb of both providers.
pub(crate) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

impl Ask {
    /// A call for `model` that asks for nothing particular yet.
    fn new(form: Form, object: &Object<'_>) -> Result<Self, Refusal> {
        let model = object.need_text("model")?.into_owned();
        let essence = digest(0, model.as_bytes());
        Ok(Self {
            form,
            model,
            stream: object.flag("stream")?,
            usage_chunk: false,
            padding: false,
            choices: 1,
            limit: None,
            stop: Vec::new(),
            said: Vec::new(),
            essence,
            input: 0,
            tools: Vec::new(),
            choose: Choose::Auto,
            schema: None,
            repeated: String::new(),
        })
    }

    /// The model reads `text`.
    fn reads(&mut self, text: &str) {
        self.essence = digest(self.essence, text.as_bytes());
        self.input += tokens(text);
    }

    /// The model reads content: a string, or an array of parts whose texts are
    /// collected. Parts that are no text cost what a small image does.
    fn reads_content<'a>(
        &mut self,
        path: &str,
        content: &'a RawValue,
    ) -> Result<Cow<'a, str>, Refusal> {
        if content.get().starts_with('"') {
            let text = json::text(path, content)?;
            self.reads(&text);
            return Ok(text);
        }
        let mut collected = String::new();
        for (at, part) in json::list(path, content)?.into_iter().enumerate() {
            let part = Object::at(&format!("{path}[{at}]"), part)?;
            part.need_text("type")?;
            match part.text("text")? {
                Some(text) => {
                    self.reads(&text);
                    collected.push_str(&text);
                }
                None => self.reads_other(&part)?,
            }
        }
        Ok(Cow::Owned(collected))
    }

    /// The model reads a part that is not text: an image, a tool's result.
    fn reads_other(&mut self, part: &Object<'_>) -> Result<(), Refusal> {
        for name in [
            "content",
            "input",
            "image_url",
            "source",
            "file",
            "input_audio",
            "name",
        ] {
            if let Some(raw) = part.get(name) {
                self.essence = digest(self.essence, raw.get().as_bytes());
                self.input += tokens(raw.get()).min(85);
            }
        }
        Ok(())
    }

    /// The model reads something whose JSON is all that is known of it.
    fn reads_raw(&mut self, raw: &RawValue) {
        self.reads(raw.get());
    }

    /// The model is offered a tool.
    fn offers(&mut self, name: Cow<'_, str>, schema: Option<&RawValue>) {
        self.reads(&name);
        let schema = schema
            .inspect(|raw| self.reads(raw.get()))
            .map(RawValue::get);
        // Already read as JSON once; a schema that is none offers no arguments.
        let schema = serde_json::from_str(schema.unwrap_or("{}")).unwrap_or_default();
        self.tools.push(Tool {
            name: name.into_owned(),
            schema,
        });
    }

    /// Reads `stop`: one sequence or several.
    fn stops(&mut self, object: &Object<'_>, name: &str) -> Result<(), Refusal> {
        if let Some(raw) = object.get(name) {
            let stop = json::texts(&object.path(name), raw)?;
            self.stop = stop
                .into_iter()
                .filter(|s| !s.is_empty())
                .map(Cow::into_owned)
                .collect();
        }
        Ok(())
    }

    /// Reads `n` and refuses what a provider would.
    fn numbers(&mut self, object: &Object<'_>) -> Result<(), Refusal> {
        let n = object.count("n", 1)?.unwrap_or(1);
        if n > 128 {
            let message = format!("invalid 'n': {n} is greater than 128");
            return Err(Refusal::field("integer_above_max_value", "n", message));
        }
        self.choices = n as usize;
        Ok(())
    }

    /// Reads `stream_options`.
    fn stream_options(&mut self, object: &Object<'_>) -> Result<(), Refusal> {
        self.padding = true;
        let Some(options) = object.object("stream_options")? else {
            return Ok(());
        };
        if !self.stream {
            let message = "'stream_options' is only allowed when 'stream' is true";
            return Err(Refusal::field("invalid_value", "stream_options", message));
        }
        self.usage_chunk = options.flag("include_usage")?;
        self.padding = options
            .get("include_obfuscation")
            .is_none_or(|raw| raw.get() != "false");
        Ok(())
    }

    /// The tool the answer calls, if it calls one.
    pub(crate) fn tool(&self) -> Option<&Tool> {
        match &self.choose {
            Choose::Never => None,
            Choose::Any => self.tools.first(),
            Choose::Named(name) => self.tools.iter().find(|tool| tool.name == *name),
            Choose::Auto => {
                let said = self.said.last()?;
                self.tools.iter().find(|tool| said.contains(&tool.name))
            }
        }
    }
}

#[cfg(test)]
mod tests;
