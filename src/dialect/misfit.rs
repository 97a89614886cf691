//! Why a body is not the answer it should be, told without a word of it.
//!
//! What a provider sends may be what a model has said, which has no place in
//! errors and in logs: only kinds, paths and positions are told. An error that
//! it sends instead is quoted, which is what its words are for.

use serde::de::IgnoredAny;

use super::generate::refusal;
use super::json::says_something;
use super::members::{Members, is_array, is_null, is_object};

/// Says why `body` is no answer of a format whose answers have the array
/// `list`, of objects that have the object `member` if there is one.
pub(super) fn misfit(body: &[u8], list: &str, member: Option<&str>) -> String {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.trim_ascii(),
        Err(fault) => return format!("byte {} of it is not UTF-8", fault.valid_up_to()),
    };
    if text.is_empty() {
        return "it is empty".to_owned();
    }
    if text.starts_with('<') {
        return "it is an HTML page".to_owned();
    }
    if let Err(fault) = serde_json::from_str::<IgnoredAny>(text) {
        let (line, column) = (fault.line(), fault.column());
        return format!("it is not JSON (line {line}, column {column})");
    }
    let Some(answer) = Members::of(text) else {
        return format!("it is {}, not an object", kind(Some(text)));
    };
    if answer.get("error").is_some_and(says_something) {
        return refusal(body).message;
    }
    let raw = answer.get(list);
    if !raw.is_some_and(is_array) {
        return format!("its {list} is {}, not an array", kind(raw));
    }
    for (index, element) in answer.list(list).into_iter().enumerate() {
        let Some(members) = Members::of(element) else {
            let kind = kind(Some(element));
            return format!("its {list}[{index}] is {kind}, not an object");
        };
        if let Some(member) = member
            && !members.get(member).is_some_and(is_object)
        {
            let kind = kind(members.get(member));
            return format!("its {list}[{index}].{member} is {kind}, not an object");
        }
    }
    format!("what is in its {list} can't be read")
}

/// What a value is.
fn kind(raw: Option<&str>) -> &'static str {
    match raw {
        None => "missing",
        Some(raw) if is_null(raw) => "null",
        Some(raw) => match raw.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a text",
            Some(b't' | b'f') => "true or false",
            _ => "a number",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_a_word_of_it() {
        let rows: [(&[u8], &str); 13] = [
            (b"", "it is empty"),
            (b"<html>secret", "it is an HTML page"),
            (b"{\"secret\":\"\xff\"}", "byte 11 of it is not UTF-8"),
            (b"secret", "it is not JSON (line 1, column 1)"),
            (
                b"{\"choices\":[\n\"secret\"",
                "it is not JSON (line 2, column 8)",
            ),
            (b"[\"secret\"]", "it is an array, not an object"),
            (b"null", "it is null, not an object"),
            (b"{}", "its choices is missing, not an array"),
            (
                b"{\"choices\":\"secret\"}",
                "its choices is a text, not an array",
            ),
            (
                b"{\"choices\":[7]}",
                "its choices[0] is a number, not an object",
            ),
            (
                b"{\"choices\":[{\"message\":{}},{\"message\":\"secret\"}]}",
                "its choices[1].message is a text, not an object",
            ),
            (
                b"{\"choices\":[{\"message\":{\"tool_calls\":\"secret\"}}]}",
                "what is in its choices can't be read",
            ),
            (b"{\"error\":{\"message\":\"busy\"}}", "busy"),
        ];
        for (body, expected) in rows {
            assert_eq!(misfit(body, "choices", Some("message")), expected);
        }
    }
}
