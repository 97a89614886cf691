//! Gateway keys: who a presented key belongs to, and what it may ask for.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// `[[keys]]`: one who may call.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Who, in logs and metrics.
    pub name: String,
    /// SHA-256 of the key's text.
    pub hash: [u8; 32],
    /// What it may ask for; never empty.
    pub models: Vec<ModelPattern>,
    /// Whether it may see metrics and status, and empty the cache.
    pub admin: bool,
}

impl Key {
    /// Whether it may ask for this model, by the name the caller used.
    pub fn allows(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}

/// The key that was presented, if it is one of these.
///
/// Every hash is compared, and each in constant time: how long it takes tells
/// nothing about which key it was, or how much of one.
pub fn find<'a>(keys: &'a [Key], presented: &[u8]) -> Option<&'a Key> {
    let hash = Sha256::digest(presented);
    let mut found = None;
    for key in keys {
        if bool::from(key.hash.ct_eq(hash.as_slice())) {
            found = Some(key);
        }
    }
    found
}

/// Reads `sha256:` and 64 hex digits.
pub(super) fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim().strip_prefix("sha256:")?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(hash)
}

/// The hash is left out: it is enough to try guesses against.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("models", &self.models)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// A model name with `*` for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Any text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `name` is meant. Takes time linear in both, whatever they hold:
    /// the name comes from a caller.
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        // The leftmost place for each piece leaves the most room for the rest.
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match() {
        let rows = [
            ("*", "anything", true),
            ("*", "", true),
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "xgpt-4o", false),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-x", false),
            ("openai/*-mini", "openai/gpt-4o-mini", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, name, expected) in rows {
            assert_eq!(
                ModelPattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_key_is_found_by_what_it_hashes_to() {
        let key = |name: &str, text: &str| Key {
            name: name.to_owned(),
            hash: Sha256::digest(text).into(),
            models: vec![ModelPattern::new("gpt-*")],
            admin: false,
        };
        let keys = [key("a", "sesame"), key("b", "open")];
        assert_eq!(find(&keys, b"open").map(|key| key.name.as_str()), Some("b"));
        assert_eq!(find(&keys, b"Open"), None);
        assert_eq!(find(&[], b"open"), None);
        assert!(keys[0].allows("gpt-4o") && !keys[0].allows("claude"));
        assert!(!format!("{:?}", keys[0]).contains("hash"));
    }

    #[test]
    fn hashes_are_64_digits() {
        let good = format!("sha256:{}", "aF".repeat(32));
        assert_eq!(parse_hash(&good), Some([0xaf; 32]));
        for bad in [
            "",
            "sha256:",
            "sha256:zz",
            &"a".repeat(64),
            &format!("sha256:{}", "g".repeat(64)),
            &format!("sha256:{}é", "a".repeat(62)),
        ] {
            assert_eq!(parse_hash(bad), None, "{bad}");
        }
    }
}
