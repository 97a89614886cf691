//! Reads OpenAI's Responses. Nothing is stored: `previous_response_id` is
//! accepted and brings nothing back.

use std::fmt::Write as _;

use super::chat::{answered, named, schema, word};
use super::{Ask, Form};
use crate::sim::json::{self, Object};
use crate::sim::refusal::Refusal;

/// What a Responses object repeats from its request: name, and what stands
/// there where the request is silent.
const REPEATED: [(&str, &str); 17] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
];

/// Reads `POST /v1/responses`.
pub(super) fn read(object: &Object<'_>) -> Result<Ask, Refusal> {
    let mut ask = Ask::new(Form::Responses, object)?;
    if let Some(instructions) = object.text("instructions")? {
        ask.reads(&instructions);
    }
    let input = object.need("input")?;
    if input.get().starts_with('"') {
        let text = json::text("input", input)?;
        ask.reads(&text);
        ask.input += 3;
        ask.said.push(text.into_owned());
    } else {
        items(&mut ask, json::list("input", input)?)?;
    }
    ask.limit = object.count("max_output_tokens", 16)?;
    // Here the padding's switch is all there is in `stream_options`.
    ask.stream_options(object)?;
    tools(&mut ask, object)?;
    if let Some(text) = object.object("text")?
        && let Some(format) = text.object("format")?
    {
        ask.schema = schema(&format, &format)?;
    }
    for (name, silent) in REPEATED {
        let value = object.get(name).map_or(silent, |raw| raw.get());
        let _ = write!(ask.repeated, r#""{name}":{value},"#);
    }
    Ok(ask)
}

fn items(ask: &mut Ask, items: Vec<&serde_json::value::RawValue>) -> Result<(), Refusal> {
    let mut said = String::new();
    let mut by_tool = false;
    for (at, raw) in items.into_iter().enumerate() {
        let item = Object::at(&format!("input[{at}]"), raw)?;
        ask.input += 3;
        let kind = item.text("type")?.unwrap_or("message".into());
        by_tool = kind == "function_call_output";
        if kind != "message" {
            ask.reads_raw(raw);
            continue;
        }
        let role = item.need_text("role")?;
        ask.essence = crate::sim::dice::digest(ask.essence, role.as_bytes());
        let content = ask.reads_content(&item.path("content"), item.need("content")?)?;
        if role == "user" {
            said = content.into_owned();
        }
    }
    ask.said.push(said);
    answered(ask, by_tool);
    Ok(())
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
            ask.offers(tool.need_text("name")?, tool.get("parameters"));
        }
    }
    let Some(choice) = object.get("tool_choice") else {
        return Ok(());
    };
    if choice.get().starts_with('"') {
        return word(ask, &json::text("tool_choice", choice)?);
    }
    match Object::at("tool_choice", choice)?.text("name")? {
        Some(name) => named(ask, &name),
        None => Ok(()),
    }
}
