//! Reads a whole message.

use super::blocks::{self, Block};
use crate::dialect::ir::{Answer, Choice, Content, Finish, Json, Maker, Part, Seal, Text};
use crate::dialect::json::says_something;
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, is_array};
use crate::dialect::reading::{Path, Reading};
use crate::dialect::{Usage, usage};

pub(super) fn decode(body: &str) -> Option<Answer<'_>> {
    let message = Members::of(body)?;
    if message.get("error").is_some_and(says_something) {
        return None;
    }
    message.get("content").filter(|raw| is_array(raw))?;
    let usage = message.get("usage");
    Some(Answer {
        id: text(&message, "id"),
        model: text(&message, "model"),
        created: None,
        choices: vec![Choice {
            parts: parts(message.list("content")),
            finish: message
                .text("stop_reason")
                .map(|word| Finish::from_word(&word)),
            stopped_by: message.get("stop_sequence").and_then(Text::of_json),
        }],
        usage: usage.and_then(counts),
        service_tier: usage.and_then(service_tier),
    })
}

/// A text, empty where there is none.
pub(super) fn text<'a>(members: &Members<'a>, key: &str) -> Text<'a> {
    members.get(key).and_then(Text::of_json).unwrap_or_default()
}

/// What the `usage` object counts.
pub(super) fn counts(usage: &str) -> Option<Usage> {
    usage::anthropic(&mut Scan::new(usage))
}

/// The tier that the `usage` object tells, in OpenAI's words.
pub(super) fn service_tier(usage: &str) -> Option<Text<'_>> {
    let tier = Members::of(usage)?
        .get("service_tier")
        .and_then(Text::of_json)?;
    Some(if tier.is("standard") {
        Text::plain("default")
    } else {
        tier
    })
}

fn parts<'a>(list: Vec<&'a str>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(list.len());
    for json in list {
        match block(json) {
            Block::Part(content) => parts.push(content.into()),
            Block::Mark(seal) => mark(&mut parts, seal),
        }
    }
    parts
}

/// What a block is; one that isn't as documented is its maker's.
pub(super) fn block(json: &str) -> Block<'_> {
    Reading::of(json, Path::default())
        .and_then(|reading| blocks::one(reading, json, &mut Vec::new()))
        .unwrap_or(Block::Part(Content::Foreign {
            maker: Maker::Anthropic,
            json: Json::scanned(json),
        }))
}

/// Puts a mark on the call it belongs to.
fn mark<'a>(parts: &mut [Part<'a>], seal: Seal<'a>) {
    for part in parts {
        if let Content::Call(call) = &mut part.content
            && Some(&call.id) == seal.id.as_ref()
        {
            call.seal = Some(Seal { id: None, ..seal });
            return;
        }
    }
}
