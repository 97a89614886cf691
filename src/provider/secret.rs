//! A value that cannot print.
//!
//! `Debug` and `Display` show a placeholder, so that no log line, error or
//! panic can leak one by accident; reading it is an explicit call.

use std::fmt;

use subtle::ConstantTimeEq;

/// An API key, a password, or anything else that must not be shown.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes what must not be shown.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the wire, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Compares in time that depends on the lengths alone.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_compares_but_does_not_print() {
        let secret = Secret::new("sk-real");
        assert_eq!(
            format!("{secret} {secret:?} {secret:#?}"),
            "[hidden] [hidden] [hidden]"
        );
        assert_eq!(secret, Secret::new("sk-real"));
        assert_ne!(secret, Secret::new("sk-rea1"));
        assert_ne!(secret, Secret::new("sk-real-longer"));
        assert_eq!(secret.expose(), "sk-real");
    }
}
