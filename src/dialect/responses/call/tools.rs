//! Writes `tools` and `tool_choice`.

use super::LONGEST_NAME;
use crate::dialect::ids;
use crate::dialect::ir::{Json, Request, Tool, ToolChoice, ToolKind};
use crate::dialect::members::{ListWriter, Members, ObjectWriter};
use crate::dialect::translate::Outgoing;

pub(super) fn write(call: &mut ObjectWriter<'_>, request: &Request<'_>, out: &mut Outgoing) {
    let (hosted, known): (Vec<&Tool<'_>>, Vec<&Tool<'_>>) = request
        .tools
        .iter()
        .partition(|tool| matches!(tool.kind, ToolKind::Hosted(_)));
    for tool in hosted {
        out.losses.dropped(tool.at);
    }
    if known.is_empty() {
        return;
    }
    let mut tools = call.list("tools");
    for tool in known {
        write_tool(&mut tools, tool, out);
    }
    tools.end();
}

fn write_tool(tools: &mut ListWriter<'_>, tool: &Tool<'_>, out: &mut Outgoing) {
    let mut object = tools.object();
    match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            object
                .text("type", "function")
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref())
                .raw(
                    "parameters",
                    parameters.as_ref().map_or("null", Json::as_str),
                );
            // Unsaid it is true here, where other formats mean false.
            object.flag("strict", *strict == Some(true));
        }
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            object
                .text("type", "custom")
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref());
            if let Some(format) = format {
                write_format(object.key("format"), format);
            }
        }
        ToolKind::WebSearch => drop(object.text("type", "web_search")),
        ToolKind::Hosted(_) => {}
    }
    object.end();
}

/// Writes a custom tool's format, whose grammar chat has in an object of its
/// own.
fn write_format(out: &mut Vec<u8>, format: &Json<'_>) {
    let grammar = Members::of(format.as_str())
        .and_then(|format| format.get("grammar"))
        .and_then(Members::of);
    let Some(grammar) = grammar else {
        return out.extend_from_slice(format.as_str().as_bytes());
    };
    let mut object = ObjectWriter::begin(out);
    object.text("type", "grammar");
    for (key, raw) in grammar.iter() {
        object.raw(key, raw);
    }
    object.end();
}

pub(super) fn write_choice(
    call: &mut ObjectWriter<'_>,
    choice: &ToolChoice<'_>,
    request: &Request<'_>,
) {
    match choice {
        ToolChoice::Auto => drop(call.text("tool_choice", "auto")),
        ToolChoice::None => drop(call.text("tool_choice", "none")),
        ToolChoice::Required => drop(call.text("tool_choice", "required")),
        ToolChoice::Named(name) => {
            let is_custom = request.tools.iter().any(
                |tool| matches!(&tool.kind, ToolKind::Custom { name: known, .. } if known == name),
            );
            let mut object = call.object("tool_choice");
            object
                .text("type", if is_custom { "custom" } else { "function" })
                .said("name", &ids::fit(name, LONGEST_NAME));
            object.end();
        }
    }
}
