//! What rests on something that OpenAI keeps or runs for a caller.
//!
//! A call is read only to be written for a provider of another format, where
//! none of that exists. Going on without it would answer another question, so
//! it is refused.

use crate::dialect::ir::At;
use crate::dialect::reading::{Element, Reading};
use crate::error::Error;

/// Fields that name what is kept, what that is, and what to do instead.
const KEPT: [(&str, &str, &str); 3] = [
    (
        "previous_response_id",
        "names a response",
        "send the whole conversation in input",
    ),
    (
        "conversation",
        "names a conversation",
        "send the whole conversation in input",
    ),
    (
        "prompt",
        "names a template",
        "send its words in instructions or input",
    ),
];

/// Refuses what the whole call rests on.
pub(super) fn refuse(body: &mut Reading<'_>) -> Result<(), Error> {
    for (field, names, instead) in KEPT {
        if body.raw(field).is_some() {
            return Err(elsewhere(
                field,
                &format!("{names} that OpenAI keeps"),
                instead,
            ));
        }
    }
    for (field, asks, instead) in [
        ("store", "asks for the answer to be kept", "set it to false"),
        ("background", "asks for an answer later", "leave it out"),
    ] {
        if body.flag(field)? == Some(true) {
            return Err(elsewhere(field, asks, instead));
        }
    }
    Ok(())
}

/// Refuses an item that is only a name for another: `item_reference`, which
/// needn't say so.
pub(super) fn refuse_item(element: &Element<'_>, at: At) -> Result<(), Error> {
    let Some(item) = &element.members else {
        return Ok(());
    };
    let is_reference = match item.text("type").as_deref() {
        Some(kind) => kind == "item_reference",
        None => item.get("id").is_some() && item.get("role").is_none(),
    };
    match is_reference {
        true => Err(elsewhere(
            &at.to_string(),
            "names an item that OpenAI keeps",
            "send the item itself",
        )),
        false => Ok(()),
    }
}

/// Refuses a tool of the type `kind` that OpenAI runs.
pub(super) fn hosted(path: &str, kind: &str) -> Error {
    let is = format!("is {kind:?}, a tool that OpenAI runs or knows");
    elsewhere(path, &is, "leave it out")
}

fn elsewhere(path: &str, what: &str, instead: &str) -> Error {
    Error::invalid(format!(
        "translating the request: {path} {what}, and the provider of this model speaks another format; {instead}, or choose a model whose provider speaks Responses"
    ))
    .param(path)
}
