//! Reads a whole answer: a stream of one chunk.

use super::decoder::Decoder;
use crate::dialect::ir::{Answer, Event, Gather, Text};
use crate::dialect::json::scan::Scan;
use crate::dialect::members::{Members, inside_quotes};
use crate::dialect::translate::{Decode, Exchange};
use crate::dialect::{Usage, usage};

pub(super) fn decode<'a>(body: &'a str, exchange: &Exchange) -> Option<Answer<'a>> {
    let mut decoder = Decoder::new(exchange);
    let mut gather = Gather::default();
    decoder.take(None, body, &mut |event| gather.take(event));
    if !decoder.has_started() {
        return None;
    }
    gather.take(Event::End);
    gather.finish().ok()
}

/// What the `usageMetadata` of an answer counts.
pub(super) fn counts(answer: &Members<'_>) -> Option<Usage> {
    usage::gemini(&mut Scan::new(answer.get("usageMetadata")?))
}

/// How it was served, in OpenAI's words.
pub(super) fn service_tier<'a>(answer: &Members<'a>) -> Option<Text<'a>> {
    let usage = Members::of(answer.get("usageMetadata")?)?;
    let tier = inside_quotes(usage.get("serviceTier")?)?;
    Some(match tier {
        "standard" | "STANDARD" => Text::plain("default"),
        tier => Text::plain(tier),
    })
}
