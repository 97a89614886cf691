//! Reads `tools` and `tool_choice`.

use super::held;
use crate::dialect::ir::{At, Given, Json, Request, Setting, Text, Tool, ToolChoice, ToolKind};
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_object};
use crate::dialect::reading::{Path, Reading};
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

/// Reads what the model may call into `request`; gives what it must.
pub(super) fn decode<'a>(
    body: &mut Reading<'a>,
    request: &mut Request<'a>,
) -> Result<Setting<ToolChoice<'a>>, Error> {
    for (index, json) in body.list("tools")?.into_iter().enumerate() {
        let at = At::element("tools", index);
        let kind = tool(Reading::of(json, at)?, at, &mut request.unknown)?;
        let cache = None;
        request.tools.push(Tool { kind, cache, at });
    }
    let choice = choice(body, &mut request.tools)?;
    Ok(choice.map(|choice| Given::new("tool_choice", choice)))
}

fn tool<'a>(
    mut tool: Reading<'a>,
    at: At,
    unknown: &mut Unknown<'a>,
) -> Result<ToolKind<'a>, Error> {
    let kind = match tool.word("type")?.as_deref() {
        Some("function") => ToolKind::Function {
            name: tool.need_text("name")?,
            description: tool.text("description")?,
            parameters: tool.object("parameters")?.map(Json::scanned),
            // What isn't strict needn't be said elsewhere.
            strict: tool.flag("strict")?.filter(|strict| *strict),
        },
        Some("custom") => ToolKind::Custom {
            name: tool.need_text("name")?,
            description: tool.text("description")?,
            format: tool.object("format")?.and_then(grammar),
        },
        Some(kind) if kind.starts_with("web_search") => ToolKind::WebSearch,
        Some(kind) => return Err(held::hosted(&format!("{at}.type"), kind)),
        None => return Err(tool.wrong("type", "a text")),
    };
    tool.leave(unknown);
    Ok(kind)
}

/// The format of a custom tool as chat has it: a grammar is an object in it.
/// Nothing for free text, which is what a tool takes that says nothing.
fn grammar(format: &str) -> Option<Json<'static>> {
    let members = Members::of(format)?;
    if members.text("type").as_deref() == Some("text") {
        return None;
    }
    let mut out = Vec::with_capacity(format.len() + 16);
    let mut object = ObjectWriter::begin(&mut out);
    object.text("type", "grammar");
    let mut grammar = object.object("grammar");
    for (key, raw) in members.iter().filter(|(key, _)| *key != "type") {
        grammar.raw(key, raw);
    }
    grammar.end();
    object.end();
    let json = String::from_utf8(out).expect("what is written of texts is UTF-8");
    Json::checked(&json).map(Json::into_owned)
}

fn choice<'a>(
    body: &mut Reading<'a>,
    tools: &mut Vec<Tool<'a>>,
) -> Result<Option<ToolChoice<'a>>, Error> {
    let Some(raw) = body.raw("tool_choice") else {
        return Ok(None);
    };
    if is_object(raw) {
        return named(Reading::of(raw, Path::field("tool_choice"))?, tools).map(Some);
    }
    match inside_quotes(raw) {
        Some("auto") => Ok(Some(ToolChoice::Auto)),
        Some("none") => Ok(Some(ToolChoice::None)),
        Some("required") => Ok(Some(ToolChoice::Required)),
        _ => {
            let wanted = "\"auto\", \"none\", \"required\" or an object that names a tool";
            Err(body.wrong("tool_choice", wanted))
        }
    }
}

/// A choice that names one tool, or those that are allowed: others needn't be
/// offered.
fn named<'a>(mut choice: Reading<'a>, tools: &mut Vec<Tool<'a>>) -> Result<ToolChoice<'a>, Error> {
    match choice.word("type")?.as_deref() {
        Some("function" | "custom") => Ok(ToolChoice::Named(choice.need_text("name")?)),
        Some("allowed_tools") => {
            let allowed: Vec<Option<Text<'_>>> = choice
                .list("tools")?
                .into_iter()
                .map(|json| Members::of(json)?.get("name").and_then(Text::of_json))
                .collect();
            Tool::offer_only(tools, |tool| {
                allowed.iter().any(|name| name.as_ref() == tool.name())
            });
            match choice.word("mode")?.as_deref() {
                Some("required") => Ok(ToolChoice::Required),
                Some("auto") | None => Ok(ToolChoice::Auto),
                Some(_) => Err(choice.wrong("mode", "\"auto\" or \"required\"")),
            }
        }
        Some(kind) => Err(held::hosted("tool_choice.type", kind)),
        None => Err(choice.wrong("type", "a text")),
    }
}
