//! The beginning of a call that stays the same from turn to turn.
//!
//! Providers keep what they made of a prompt's beginning for a while, each
//! machine and each account for itself. Calls with the same beginning belong to
//! the same target: tools, system prompt and the first thing the user said,
//! which tells one conversation from another with the same system prompt. Where
//! a caller names what belongs together (`prompt_cache_key`), that counts
//! instead.

use super::Format;
use super::json::{elements, fields, text};

/// The parts of `body` that later calls of the same conversation begin with;
/// empty where there are none.
pub fn prefix(format: Format, body: &str) -> Vec<&str> {
    let parts = match format {
        Format::Chat => of(body, ["prompt_cache_key", "tools", "messages"]),
        Format::Responses => responses(body),
        Format::Messages | Format::CountTokens => messages(body),
        Format::Completions => of(body, ["prompt_cache_key", "prompt", ""]),
        Format::Embeddings => None,
    };
    parts.unwrap_or_default()
}

fn of<'a>(body: &'a str, names: [&'static str; 3]) -> Option<Vec<&'a str>> {
    let [key, first, turns] = fields(body, names)?;
    if let Some(key) = key.filter(|key| *key != "null") {
        return Some(vec![key]);
    }
    let mut parts: Vec<_> = first.into_iter().collect();
    parts.extend(turns.map(opening).unwrap_or_default());
    Some(parts)
}

fn responses(body: &str) -> Option<Vec<&str>> {
    let [instructions] = fields(body, ["instructions"])?;
    let mut parts = of(body, ["prompt_cache_key", "tools", "input"])?;
    parts.extend(instructions);
    Some(parts)
}

fn messages(body: &str) -> Option<Vec<&str>> {
    let [tools, system, turns] = fields(body, ["tools", "system", "messages"])?;
    let mut parts: Vec<_> = tools.into_iter().chain(system).collect();
    parts.extend(turns.map(opening).unwrap_or_default());
    Some(parts)
}

/// The first turns, up to and with the user's first.
fn opening(turns: &str) -> Vec<&str> {
    let Some(mut all) = elements(turns) else {
        return vec![turns];
    };
    let is_users = |turn: &&str| {
        let role = fields(turn, ["role"]).and_then(|[role]| text(role));
        role.as_deref() == Some("user")
    };
    if let Some(first) = all.iter().position(is_users) {
        all.truncate(first + 1);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_turns_begin_like_the_first() {
        let chat = |turns: &str| format!(r#"{{"model":"m","messages":[{turns}],"stream":true}}"#);
        let first = r#"{"role":"system","content":"s"},{"role":"user","content":"a"}"#;
        let later = format!(
            r#"{first},{{"role":"assistant","content":"b"}},{{"role":"user","content":"c"}}"#
        );
        let other = r#"{"role":"system","content":"s"},{"role":"user","content":"z"}"#;
        let (one, two, three) = (chat(first), chat(&later), chat(other));
        assert_eq!(prefix(Format::Chat, &one), prefix(Format::Chat, &two));
        assert_ne!(prefix(Format::Chat, &one), prefix(Format::Chat, &three));
        assert_eq!(prefix(Format::Chat, &one).len(), 2);
    }

    #[test]
    fn each_format_has_its_own_parts() {
        for (format, body, expected) in [
            (
                Format::Chat,
                r#"{"prompt_cache_key":"k","messages":[]}"#,
                vec![r#""k""#],
            ),
            (
                Format::Chat,
                r#"{"prompt_cache_key":null,"tools":[1],"messages":[{"role":"user"}]}"#,
                vec!["[1]", r#"{"role":"user"}"#],
            ),
            (
                Format::Messages,
                r#"{"messages":[{"role":"user","content":"a"}],"system":"s","tools":[2]}"#,
                vec!["[2]", r#""s""#, r#"{"role":"user","content":"a"}"#],
            ),
            (
                Format::Responses,
                r#"{"input":"hi","instructions":"i"}"#,
                vec![r#""hi""#, r#""i""#],
            ),
            (Format::Completions, r#"{"prompt":"p"}"#, vec![r#""p""#]),
            (Format::Embeddings, r#"{"input":"p"}"#, vec![]),
            (Format::Chat, "[]", vec![]),
        ] {
            assert_eq!(prefix(format, body), expected, "{body}");
        }
    }
}
