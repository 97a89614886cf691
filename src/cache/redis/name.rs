//! The names answers are kept under in Redis: `nowait:2:TENANT:PROVIDER:MODEL:KEY`.
//!
//! A purge finds by them what it is to drop, and an operator can read them.
//! Parts are percent-encoded, so that neither a `:` nor anything that `SCAN
//! MATCH` takes for a pattern is in them. The `2` is the version of names and
//! values: another version's are not seen.

use std::fmt::Write as _;

use crate::cache::key::Key;
use crate::cache::store::Purge;
use crate::cache::stored::Label;

/// What every name begins with.
const PREFIX: &str = "nowait:2:";
/// Where purges are told to the other replicas.
pub(super) const CHANNEL: &str = "nowait:2:purge";
/// Longer parts are cut and end in their hash.
const LONGEST_PART: usize = 96;
const HASH: usize = 16;

/// The name of an answer.
pub(super) fn name(key: &Key, label: &Label) -> String {
    let parts = [&label.tenant, &label.provider, &label.model];
    let length = parts.iter().map(|text| text.len() + 1).sum::<usize>();
    let mut name = String::with_capacity(PREFIX.len() + length + 2 * key.as_bytes().len());
    name.push_str(PREFIX);
    for text in parts {
        push_part(&mut name, text);
        name.push(':');
    }
    // Writing to a String does not fail.
    let _ = write!(name, "{key}");
    name
}

/// A pattern for `SCAN MATCH` that finds every name a purge is about, and some
/// others: [`is_named`] tells.
pub(super) fn pattern(what: &Purge) -> String {
    match what {
        Purge::All => format!("{PREFIX}*"),
        // What was cut of a long one, its end says nothing of.
        Purge::Tenant(tenant) if part(tenant).contains('~') => format!("{PREFIX}*"),
        Purge::Tenant(tenant) => format!("{PREFIX}{}*", part(tenant)),
        Purge::Key(key) => format!("{PREFIX}*:{key}"),
        // `a/b` is the model `a/b` of anybody or the model `b` of `a`: both
        // names hold `b:`. A part that was cut doesn't.
        Purge::Model(model) => {
            let last = part(model.split_once('/').map_or(model, |(_, last)| last));
            if part(model).contains('~') || last.contains('~') {
                format!("{PREFIX}*")
            } else {
                format!("{PREFIX}*{last}:*")
            }
        }
    }
}

/// Whether a purge is about the answer of this name.
pub(super) fn is_named(what: &Purge, name: &[u8]) -> bool {
    let parts = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.strip_prefix(PREFIX))
        .map(|rest| rest.split(':').collect::<Vec<_>>());
    let Some([tenant, provider, model, key]) = parts.as_deref() else {
        return false;
    };
    match what {
        Purge::All => true,
        Purge::Tenant(which) => {
            part(which) == **tenant || tenant.starts_with(&part(&format!("{which}#")))
        }
        Purge::Key(which) => which.to_string() == **key,
        Purge::Model(which) => {
            part(which) == **model
                || which.match_indices('/').any(|(at, _)| {
                    part(&which[..at]) == **provider && part(&which[at + 1..]) == **model
                })
        }
    }
}

/// A part of a name.
fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    push_part(&mut part, text);
    part
}

/// Adds a part: what it says, in characters that mean nothing else.
fn push_part(name: &mut String, text: &str) {
    let from = name.len();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                name.push(char::from(byte))
            }
            // Writing to a String does not fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
    }
    if name.len() - from > LONGEST_PART {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        name.truncate(from + LONGEST_PART - HASH - 1);
        name.push('~');
        name.push_str(&hash[..HASH]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(tenant: &str, provider: &str, model: &str) -> Label {
        Label {
            tenant: tenant.into(),
            provider: provider.into(),
            model: model.into(),
        }
    }

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 32])
    }

    #[test]
    fn names_and_values_have_one_version() {
        let version = crate::cache::stored::VERSION;
        assert_eq!(PREFIX, format!("nowait:{version}:"));
        assert!(CHANNEL.starts_with(PREFIX));
    }

    #[test]
    fn a_name_can_be_read_and_holds_no_pattern() {
        let name = name(&key(0xab), &label("we*b:é", "openai", "meta/llama[3]?"));
        let hex = "ab".repeat(32);
        assert_eq!(
            name,
            format!("nowait:2:we%2Ab%3A%C3%A9:openai:meta%2Fllama%5B3%5D%3F:{hex}")
        );
        let long = "x".repeat(5000);
        let cut = super::name(&key(1), &label(&long, &long, &long));
        assert!(cut.len() < 4 * 100, "{}", cut.len());
        let other = super::name(&key(1), &label(&format!("{long}y"), &long, &long));
        assert_ne!(cut, other);
    }

    /// As Redis matches, for patterns whose only special character is `*`.
    fn matches(pattern: &str, name: &str) -> bool {
        let mut pieces = pattern.split('*');
        let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else {
            return false;
        };
        let mut pieces = pieces.peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// What names an entry in memory names it in Redis too, and the pattern
    /// lets it through.
    #[test]
    fn a_purge_finds_in_redis_what_it_finds_in_memory() {
        let long = "m".repeat(300);
        let texts = [
            "",
            "a",
            "b",
            "a/b",
            "a/a/b",
            "openai",
            "gpt-4o",
            "openai/gpt-4o",
            "*",
            ":",
            "é",
            &long,
        ];
        let mut purges: Vec<_> = texts
            .iter()
            .flat_map(|text| [Purge::Model((*text).into()), Purge::Tenant((*text).into())])
            .collect();
        purges.extend([Purge::All, Purge::Key(key(1)), Purge::Key(key(2))]);
        purges.push(Purge::Model(format!("a/{long}")));
        let mut named = 0;
        for tenant in texts {
            for provider in ["a", "openai", "gpt-4o"] {
                for model in texts {
                    let label = label(tenant, provider, model);
                    let name = name(&key(1), &label);
                    for purge in &purges {
                        let expected = purge.names(&key(1), &label);
                        assert_eq!(
                            is_named(purge, name.as_bytes()),
                            expected,
                            "{purge:?} {name}"
                        );
                        assert!(
                            !expected || matches(&pattern(purge), &name),
                            "{purge:?} {name}"
                        );
                        named += usize::from(expected);
                    }
                }
            }
        }
        assert!(named > 500, "{named}");
        for foreign in [
            "",
            "nowait:2:",
            "nowait:1:a:b:c:d",
            "nowait:2:a:b:c",
            "other",
        ] {
            assert!(!is_named(&Purge::All, foreign.as_bytes()), "{foreign}");
        }
    }
}
