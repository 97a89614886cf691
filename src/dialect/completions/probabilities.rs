//! The probabilities of words, in the two forms OpenAI has had.
//!
//! Chat tells an object for each token; legacy completions tell a list of
//! tokens, a list of numbers, a list of the alternatives and a list of where
//! each token begins. Between the two nothing but the bytes is lost, which the
//! older form never told.

use crate::dialect::ir::{Json, Text};
use crate::dialect::json::elements;
use crate::dialect::members::{ListWriter, Members, ObjectWriter, is_object};

/// Writes chat's array in the older form; texts begin at `from` characters.
/// Gives where the next one begins.
pub(super) fn write(out: &mut Vec<u8>, content: &Json<'_>, from: u64) -> u64 {
    let tokens = elements(content.as_str()).unwrap_or_default();
    let tokens: Vec<Members<'_>> = tokens.into_iter().filter_map(Members::of).collect();
    let mut object = ObjectWriter::begin(out);
    let mut list = object.list("tokens");
    for token in &tokens {
        token_of(token).write(list.next());
    }
    list.end();
    let mut list = object.list("token_logprobs");
    for token in &tokens {
        push(&mut list, token.get("logprob").unwrap_or("null"));
    }
    list.end();
    let mut list = object.list("top_logprobs");
    for token in &tokens {
        let mut others = list.object();
        for other in token
            .list("top_logprobs")
            .into_iter()
            .filter_map(Members::of)
        {
            let name = token_of(&other).into_resolved();
            others.raw(&name, other.get("logprob").unwrap_or("null"));
        }
        others.end();
    }
    list.end();
    let mut list = object.list("text_offset");
    let mut at = from;
    for token in &tokens {
        push(&mut list, itoa::Buffer::new().format(at));
        at += token_of(token).chars();
    }
    list.end();
    object.end();
    at
}

fn token_of<'a>(token: &Members<'a>) -> Text<'a> {
    let text = token.get("token").and_then(Text::of_json);
    text.unwrap_or_default()
}

fn push(list: &mut ListWriter<'_>, json: &str) {
    list.next().extend_from_slice(json.as_bytes());
}

/// Reads the older form as chat's array.
pub(super) fn read(logprobs: &str) -> Option<Json<'static>> {
    let older = Members::of(logprobs)?;
    let numbers = older.list("token_logprobs");
    let others = older.list("top_logprobs");
    let mut out = Vec::new();
    let mut list = ListWriter::begin(&mut out);
    for (index, token) in older.list("tokens").into_iter().enumerate() {
        Text::of_json(token)?;
        let mut object = list.object();
        object
            .raw("token", token)
            .raw("logprob", numbers.get(index).copied().unwrap_or("null"))
            .raw("bytes", "null");
        let mut top = object.list("top_logprobs");
        let others = others.get(index).filter(|raw| is_object(raw));
        let others = others.and_then(|raw| Members::of(raw)).unwrap_or_default();
        for (name, number) in others.iter() {
            let mut other = top.object();
            other
                .text("token", name)
                .raw("logprob", number)
                .raw("bytes", "null");
            other.end();
        }
        top.end();
        object.end();
    }
    list.end();
    let json = String::from_utf8(out).ok()?;
    Json::checked(&json).map(Json::into_owned)
}
