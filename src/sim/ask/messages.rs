//! Reads Anthropic's Messages and token counts.

use super::chat::answered;
use super::{Ask, Choose, Form};
use crate::sim::json::{self, Object};
use crate::sim::refusal::Refusal;

/// Reads `POST /v1/messages`; a call that is to be `answered` needs
/// `max_tokens`.
pub(super) fn read(object: &Object<'_>, answered: bool) -> Result<Ask, Refusal> {
    let mut ask = Ask::new(Form::Messages, object)?;
    if answered {
        object.need("max_tokens")?;
        ask.limit = object.count("max_tokens", 1)?;
    }
    if let Some(system) = object.get("system") {
        ask.reads_content("system", system)?;
    }
    messages(&mut ask, object)?;
    ask.stops(object, "stop_sequences")?;
    tools(&mut ask, object)?;
    format(&mut ask, object)?;
    Ok(ask)
}

fn messages(ask: &mut Ask, object: &Object<'_>) -> Result<(), Refusal> {
    let messages = json::list("messages", object.need("messages")?)?;
    if messages.is_empty() {
        let message = "at least one message is required";
        return Err(Refusal::field("empty_array", "messages", message));
    }
    let mut said = String::new();
    let mut by_tool = false;
    for (at, message) in messages.into_iter().enumerate() {
        let message = Object::at(&format!("messages.{at}"), message)?;
        let role = message.need_text("role")?;
        if !matches!(role.as_ref(), "user" | "assistant") {
            let text = format!("'{role}' is not one of user, assistant");
            return Err(Refusal::field("invalid_value", message.path("role"), text));
        }
        ask.input += 3;
        ask.essence = crate::sim::dice::digest(ask.essence, role.as_bytes());
        let content = message.need("content")?;
        by_tool = content.get().contains(r#""tool_result""#);
        let text = ask.reads_content(&message.path("content"), content)?;
        if role == "user" {
            said = text.into_owned();
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
        let tool = Object::at(&format!("tools.{at}"), tool)?;
        // Tools of the provider's own carry a type and no schema: nothing here runs them.
        if tool.text("type")?.is_none_or(|kind| kind == "custom") {
            ask.offers(tool.need_text("name")?, Some(tool.need("input_schema")?));
        }
    }
    let Some(choice) = object.object("tool_choice")? else {
        return Ok(());
    };
    match choice.need_text("type")?.as_ref() {
        "auto" => {}
        "none" => ask.choose = Choose::Never,
        "any" => ask.choose = Choose::Any,
        "tool" => {
            let name = choice.need_text("name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                let text = format!("tool '{name}' is not in tools");
                return Err(Refusal::field("invalid_value", "tool_choice.name", text));
            }
            ask.choose = Choose::Named(name.into_owned());
        }
        other => {
            let text = format!("'{other}' is not one of auto, any, tool, none");
            return Err(Refusal::field("invalid_value", "tool_choice.type", text));
        }
    }
    Ok(())
}

/// Reads structured output: `output_config.format`, or `output_format` of the
/// time before.
fn format(ask: &mut Ask, object: &Object<'_>) -> Result<(), Refusal> {
    let format = match object.object("output_config")? {
        Some(config) => config.object("format")?,
        None => object.object("output_format")?,
    };
    if let Some(format) = format {
        ask.schema = super::chat::schema(&format, &format)?;
    }
    Ok(())
}
