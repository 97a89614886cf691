//! Writes what the model may call: `tools` and `toolConfig`.

use crate::dialect::ids;
use crate::dialect::ir::{Json, Request, Setting, Text, Tool, ToolChoice, ToolKind};
use crate::dialect::json::says_something;
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{FREE_TEXT, Outgoing};

/// The longest name of a function; newer models take 128.
const LONGEST_NAME: usize = 64;

/// Functions, or a search of the web: models that do both want the search's
/// own parts back in later turns, for which callers have no place.
pub(super) fn write(call: &mut ObjectWriter<'_>, request: &Request<'_>, out: &mut Outgoing) {
    let has_functions = request.tools.iter().any(is_function);
    let mut functions = Vec::new();
    let mut list = ListWriter::begin(&mut functions);
    let mut searches = false;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::WebSearch if !has_functions => searches = true,
            ToolKind::WebSearch | ToolKind::Hosted(_) => out.losses.dropped(tool.at),
            _ => write_one(&mut list, tool, out),
        }
    }
    list.end();
    if !has_functions && !searches {
        return;
    }
    let mut tools = call.list("tools");
    let mut tool = tools.object();
    match has_functions {
        true => tool
            .key("functionDeclarations")
            .extend_from_slice(&functions),
        false => drop(tool.raw("googleSearch", "{}")),
    }
    tool.end();
    tools.end();
}

fn write_one(list: &mut ListWriter<'_>, tool: &Tool<'_>, out: &mut Outgoing) {
    let (name, description, parameters) = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } => (name, description, parameters.as_ref().map(Json::as_str)),
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            if format.is_some() {
                out.losses.dropped(format_args!("{}.format", tool.at));
            }
            out.free_text_tools.push(name.resolved().into_owned());
            (name, description, Some(FREE_TEXT))
        }
        ToolKind::WebSearch | ToolKind::Hosted(_) => return,
    };
    let mut function = list.object();
    function
        .said("name", &out.named(name, function_name(name)))
        .said_if("description", description.as_ref());
    // An empty schema says no more than none, and isn't taken for one.
    if let Some(parameters) = parameters.filter(|schema| says_something(schema)) {
        function.raw("parametersJsonSchema", parameters);
    }
    function.end();
}

/// Writes `toolConfig`. Calls fit their schema where one must be called, and
/// where strictness is asked for.
pub(super) fn choose(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    choice: &Setting<ToolChoice<'_>>,
    out: &mut Outgoing,
) {
    let mut functions = request
        .tools
        .iter()
        .filter(|tool| is_function(tool))
        .peekable();
    if functions.peek().is_none() {
        // To use none of none is nothing.
        if let Some(given) = choice.as_ref().filter(|it| it.value != ToolChoice::None) {
            out.losses.dropped(given.path);
        }
        return;
    }
    let is_strict = functions.any(
        |tool| matches!(&tool.kind, ToolKind::Function { strict, .. } if *strict == Some(true)),
    );
    let chosen = choice.as_ref().map(|given| &given.value);
    let (mode, name) = match chosen {
        None if !is_strict => return,
        None | Some(ToolChoice::Auto) if is_strict => ("VALIDATED", None),
        None | Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    let mut config = call.object("toolConfig");
    let mut calling = config.object("functionCallingConfig");
    calling.text("mode", mode);
    if let Some(name) = name {
        let mut names = calling.list("allowedFunctionNames");
        function_name(name).write(names.next());
        names.end();
    }
    calling.end();
    config.end();
}

fn is_function(tool: &Tool<'_>) -> bool {
    matches!(
        tool.kind,
        ToolKind::Function { .. } | ToolKind::Custom { .. }
    )
}

/// A function's name as the API takes it: it begins with a letter or `_`.
pub(super) fn function_name<'n>(name: &'n Text<'_>) -> Text<'n> {
    let first = name.as_escaped().bytes().next().unwrap_or(b'_');
    if first.is_ascii_alphabetic() || first == b'_' {
        return ids::fit(name, LONGEST_NAME);
    }
    // Which makes another name that begins with `_`.
    let other = Text::owned(&format!(".{}", name.resolved()));
    ids::fit(&other, LONGEST_NAME).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_name_begins_with_a_letter() {
        assert_eq!(
            function_name(&Text::plain("get_x-1")),
            Text::plain("get_x-1")
        );
        let renamed = function_name(&Text::plain("3d")).resolved().into_owned();
        assert!(renamed.starts_with("_3d_"), "{renamed}");
        let long = "1".repeat(80);
        assert_eq!(function_name(&Text::plain(&long)).resolved().len(), 64);
    }
}
