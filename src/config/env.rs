//! The environment, as a value.
//!
//! Taken once at the top and handed down, so that nothing below reads what a
//! test cannot set. Holds secrets: its `Debug` shows names only.

use std::collections::BTreeMap;
use std::fmt;

/// The variables a configuration may draw on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's own. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable that is set, be it to nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that is set to something: `KEY=` is how people
    /// switch one off.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// The variables whose names start like this, in order of name.
    pub fn starting<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(start))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a value cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadExpansion {
    #[error("the variable {0} is not set; set it, or write ${{{0}:-DEFAULT}}")]
    Missing(String),
    #[error("a ${{ is not closed; write ${{NAME}}, or $${{ for the two characters")]
    Open,
    #[error("{0} is not the name of a variable; write ${{NAME}} or ${{NAME:-DEFAULT}}")]
    Name(String),
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. The
/// default is used where the variable is unset or empty, as in a shell.
pub(super) fn expand(text: &str, env: &Environment) -> Result<String, Vec<BadExpansion>> {
    let mut out = String::with_capacity(text.len());
    let mut bad = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let Some(end) = from.find('}') else {
            bad.push(BadExpansion::Open);
            return Err(bad);
        };
        match value_of(&from[2..end], env) {
            Ok(value) => out.push_str(value),
            Err(why) => bad.push(why),
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    if bad.is_empty() { Ok(out) } else { Err(bad) }
}

fn value_of<'a>(inside: &'a str, env: &'a Environment) -> Result<&'a str, BadExpansion> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(BadExpansion::Name(super::units::quoted(name)));
    }
    match (env.get(name), default) {
        (None | Some(""), Some(default)) => Ok(default),
        (Some(value), _) => Ok(value),
        (None, None) => Err(BadExpansion::Missing(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_expand() {
        let env = Environment::from_iter([("A", "one"), ("EMPTY", "")]);
        let rows = [
            ("plain $A", Ok("plain $A")),
            ("${A}", Ok("one")),
            ("<${A}-${A}>", Ok("<one-one>")),
            ("${B:-two}", Ok("two")),
            ("${A:-two}", Ok("one")),
            ("${EMPTY:-two}", Ok("two")),
            ("${EMPTY}", Ok("")),
            ("${B:-}", Ok("")),
            ("$${A}", Ok("${A}")),
            ("${A", Err(vec![BadExpansion::Open])),
            ("${}", Err(vec![BadExpansion::Name("\"\"".into())])),
            ("${a b}", Err(vec![BadExpansion::Name("\"a b\"".into())])),
            (
                "${B}${A}${C}",
                Err(vec![
                    BadExpansion::Missing("B".into()),
                    BadExpansion::Missing("C".into()),
                ]),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(expand(text, &env), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_environment_shows_names_only() {
        let env = Environment::from_iter([("KEY", "sesame"), ("OFF", " ")]);
        assert_eq!(format!("{env:?}"), r#"{"KEY", "OFF"}"#);
        assert_eq!(
            (env.filled("KEY"), env.filled("OFF"), env.get("OFF")),
            (Some("sesame"), None, Some(" "))
        );
    }
}
