//! Reads a whole response.

use super::items::{self, Item};
use crate::dialect::ir::{Answer, At, Choice, Content, Finish, Part, Role, Seal, Start, Text};
use crate::dialect::json::says_something;
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, is_array};
use crate::dialect::reading::{Path, Reading};
use crate::dialect::watch::incomplete_reason;
use crate::dialect::{Usage, usage};

pub(super) fn decode(body: &str) -> Option<Answer<'_>> {
    let response = Members::of(body)?;
    let status = response.text("status");
    let is_whole = !matches!(
        status.as_deref(),
        Some("failed" | "cancelled" | "queued" | "in_progress")
    );
    if !is_whole || response.get("error").is_some_and(says_something) {
        return None;
    }
    response.get("output").filter(|raw| is_array(raw))?;
    let parts = parts(response.list("output"));
    let Start {
        id,
        model,
        created,
        service_tier,
    } = start(&response);
    Some(Answer {
        id,
        model,
        created,
        choices: vec![Choice {
            finish: finish(&response, parts.iter().any(is_call)),
            parts,
            stopped_by: None,
        }],
        usage: counts(&response),
        service_tier,
    })
}

fn is_call(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Call(_))
}

/// Who answers, and when.
pub(super) fn start<'a>(response: &Members<'a>) -> Start<'a> {
    let text = |key: &str| response.get(key).and_then(Text::of_json);
    // Some servers write parts of seconds.
    let created = response.get("created_at").and_then(|raw| {
        let seconds = raw.split('.').next().unwrap_or(raw);
        seconds.parse().ok()
    });
    Start {
        id: text("id").unwrap_or_default(),
        model: text("model").unwrap_or_default(),
        created,
        // Which it will be is told at the end.
        service_tier: text("service_tier").filter(|tier| !tier.is("auto")),
    }
}

/// What the usage counts.
pub(super) fn counts(response: &Members<'_>) -> Option<Usage> {
    let usage = response.get("usage").filter(|raw| *raw != "null")?;
    usage::openai(&mut Scan::new(usage))
}

/// Why a response ended: its status says so, or its calls.
pub(super) fn finish(response: &Members<'_>, has_calls: bool) -> Option<Finish> {
    let incomplete = response.get("incomplete_details");
    let reason = incomplete.and_then(incomplete_reason);
    let is_incomplete = response.text("status").as_deref() == Some("incomplete");
    Some(match reason {
        Some(reason) => reason,
        None if is_incomplete => Finish::Length,
        None if has_calls => Finish::ToolCalls,
        None => Finish::Stop,
    })
}

/// What the items of an output are, those that say something.
fn parts<'a>(output: Vec<&'a str>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(output.len());
    for json in output {
        match item(json) {
            Item::Message(_, said) => parts.extend(said.into_iter().filter(says)),
            Item::Done(list) => parts.extend(list.into_iter().map(Part::from)),
            Item::Result(_) => parts.push(items::foreign(json).into()),
            Item::Mark(seal) => mark(&mut parts, seal),
        }
    }
    parts
}

/// Whether a part of a message says something.
pub(super) fn says(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => !text.is_empty(),
        _ => true,
    }
}

/// What an item is; one that isn't as documented is its maker's, as is such a
/// part of a message.
pub(super) fn item(json: &str) -> Item<'_> {
    if let Some(message) = Members::of(json)
        && message.text("type").as_deref() == Some("message")
    {
        let content = |json| items::content(json).unwrap_or_else(|| items::foreign(json));
        let parts = message.list("content").into_iter().map(content);
        return Item::Message(Role::Assistant, parts.map(Part::from).collect());
    }
    Reading::of(json, Path::default())
        .and_then(|reading| items::one(reading, json, At::default(), &mut Vec::new()))
        .unwrap_or_else(|_| Item::Done(vec![items::foreign(json)]))
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
