//! Reads OpenAI's chat and legacy completions.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Ask, Choose, Form};
use crate::sim::json::{self, Object, mistyped};
use crate::sim::refusal::Refusal;

/// Reads `POST /v1/chat/completions`.
pub(super) fn read(object: &Object<'_>) -> Result<Ask, Refusal> {
    let mut ask = Ask::new(Form::Chat, object)?;
    messages(&mut ask, object)?;
    ask.limit = match object.count("max_completion_tokens", 1)? {
        Some(limit) => Some(limit),
        None => object.count("max_tokens", 1)?,
    };
    ask.numbers(object)?;
    ask.stops(object, "stop")?;
    ask.stream_options(object)?;
    tools(&mut ask, object)?;
    ask.schema = match object.object("response_format")? {
        Some(format) => schema(&format, &format)?,
        None => None,
    };
    Ok(ask)
}

/// Reads `POST /v1/completions`.
pub(super) fn read_completions(object: &Object<'_>) -> Result<Ask, Refusal> {
    let mut ask = Ask::new(Form::Completions, object)?;
    let prompt = object.need("prompt")?;
    match json::texts("prompt", prompt) {
        Ok(prompts) => {
            for prompt in prompts {
                ask.reads(&prompt);
                ask.said.push(prompt.into_owned());
            }
        }
        // Not text: then it is tokens, a list of them or several lists.
        Err(_) => token_prompts(&mut ask, prompt)?,
    }
    if ask.said.is_empty() {
        return Err(Refusal::field(
            "empty_array",
            "prompt",
            "invalid 'prompt': empty array",
        ));
    }
    // 16 is what the API documents for a call that names no limit.
    ask.limit = Some(object.count("max_tokens", 1)?.unwrap_or(16));
    ask.numbers(object)?;
    ask.stops(object, "stop")?;
    ask.stream_options(object)?;
    Ok(ask)
}

fn token_prompts(ask: &mut Ask, prompt: &RawValue) -> Result<(), Refusal> {
    let wrong = || {
        mistyped(
            "prompt",
            "a string, an array of strings or an array of tokens",
            prompt,
        )
    };
    let lists: Vec<Vec<u64>> = match serde_json::from_str::<Vec<u64>>(prompt.get()) {
        Ok(one) => vec![one],
        Err(_) => serde_json::from_str(prompt.get()).map_err(|_| wrong())?,
    };
    for tokens in lists {
        let text: Vec<_> = tokens.iter().map(u64::to_string).collect();
        ask.essence = crate::sim::dice::digest(ask.essence, text.join(" ").as_bytes());
        ask.input += tokens.len() as u64;
        ask.said.push(text.join(" "));
    }
    Ok(())
}

fn messages(ask: &mut Ask, object: &Object<'_>) -> Result<(), Refusal> {
    let messages = json::list("messages", object.need("messages")?)?;
    if messages.is_empty() {
        let message = "invalid 'messages': empty array, expected at least one message";
        return Err(Refusal::field("empty_array", "messages", message));
    }
    let mut said = String::new();
    let mut last = String::new();
    for (at, message) in messages.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let message = Object::at(&path, message)?;
        let role = message.need_text("role")?;
        // The marks around a message and its role cost about as much in every model.
        ask.input += 3;
        ask.essence = crate::sim::dice::digest(ask.essence, role.as_bytes());
        let content = match message.get("content") {
            Some(content) => ask.reads_content(&message.path("content"), content)?,
            None if role == "assistant" => "".into(),
            None => ask.reads_content(&path, message.need("content")?)?,
        };
        match role.as_ref() {
            "user" => said = content.into_owned(),
            "system" | "developer" | "function" => {}
            "assistant" => message
                .get("tool_calls")
                .into_iter()
                .for_each(|raw| ask.reads_raw(raw)),
            "tool" => drop(message.need_text("tool_call_id")?),
            other => {
                let message = format!("invalid value: '{other}' is not a role");
                return Err(Refusal::field(
                    "invalid_value",
                    format!("{path}.role"),
                    message,
                ));
            }
        }
        last = role.into_owned();
    }
    ask.said.push(said);
    answered(ask, last == "tool");
    Ok(())
}

/// A conversation that ends with a tool's result is answered in words, unless
/// a tool is forced.
pub(super) fn answered(ask: &mut Ask, by_tool: bool) {
    if by_tool {
        ask.choose = Choose::Never;
    }
}

fn tools(ask: &mut Ask, object: &Object<'_>) -> Result<(), Refusal> {
    for (at, tool) in object
        .list("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let tool = Object::at(&format!("tools[{at}]"), tool)?;
        if tool.need_text("type")? == "function" {
            let path = tool.path("function");
            let function = Object::at(&path, tool.need("function")?)?;
            ask.offers(function.need_text("name")?, function.get("parameters"));
        }
    }
    let Some(choice) = object.get("tool_choice") else {
        return Ok(());
    };
    if choice.get().starts_with('"') {
        return word(ask, &json::text("tool_choice", choice)?);
    }
    let choice = Object::at("tool_choice", choice)?;
    if let Some(function) = choice.object("function")? {
        named(ask, &function.need_text("name")?)?;
    }
    Ok(())
}

/// Reads `tool_choice` where it is a word.
pub(super) fn word(ask: &mut Ask, word: &str) -> Result<(), Refusal> {
    match word {
        "auto" => {}
        "none" => ask.choose = Choose::Never,
        "required" if ask.tools.is_empty() => {
            let message = "'tool_choice' is only allowed when 'tools' are given";
            return Err(Refusal::field("invalid_value", "tool_choice", message));
        }
        "required" => ask.choose = Choose::Any,
        _ => {
            let message = format!("invalid value: '{word}'; expected none, auto or required");
            return Err(Refusal::field("invalid_value", "tool_choice", message));
        }
    }
    Ok(())
}

/// Reads `tool_choice` where it names a function.
pub(super) fn named(ask: &mut Ask, name: &str) -> Result<(), Refusal> {
    if !ask.tools.iter().any(|tool| tool.name == name) {
        let message = format!("'tool_choice' names '{name}', which is not in 'tools'");
        return Err(Refusal::field("invalid_value", "tool_choice", message));
    }
    ask.choose = Choose::Named(name.to_owned());
    Ok(())
}

/// Reads a format: `outer` says its type, `inner` holds the schema's wrapping.
pub(super) fn schema(outer: &Object<'_>, inner: &Object<'_>) -> Result<Option<Value>, Refusal> {
    Ok(match outer.need_text("type")?.as_ref() {
        "json_object" => {
            Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}}))
        }
        "json_schema" => {
            let wrapped = inner.object("json_schema")?;
            let raw = match &wrapped {
                Some(wrapped) => wrapped.need("schema")?,
                None => inner.need("schema")?,
            };
            serde_json::from_str(raw.get()).ok()
        }
        _ => None,
    })
}
