//! Every section and key there is, declared once.
//!
//! From these rows come the defaults the program uses, the refusal of unknown
//! keys, the environment form of each key, `docs/configuration.md` and
//! `nowait.example.toml`. A key that is not here does not exist.

mod render;
mod rows;

pub use render::{commented, example, markdown};
pub(super) use rows::{ROWS, SECTIONS};

/// A `[section]`.
pub(super) struct Part {
    /// Its path; `*` stands for a name of the user's.
    pub(super) path: &'static str,
    /// Its path in the example file; empty for one that is only shown
    /// commented out.
    pub(super) sample: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
}

/// A key.
pub(super) struct Row {
    /// Its path; `*` stands for a name of the user's.
    pub(super) path: &'static str,
    pub(super) form: Form,
    /// Its value where it is not set, as TOML.
    pub(super) default: Option<&'static str>,
    /// A value worth showing where there is no default, as TOML.
    pub(super) sample: &'static str,
    /// What it does, in one line.
    pub(super) about: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Secret,
    Flag,
    Count,
    Duration,
    Size,
    Ratio,
    Address,
    Path,
    Url,
    Words(&'static [&'static str]),
    Hedge,
    Pace,
    Length,
    Auth,
    Hash,
    Texts,
    Headers,
    Counts,
    Secrets,
    Refusals,
    Limit,
}

impl Form {
    /// Whether the key has an environment form.
    pub(super) fn is_scalar(self) -> bool {
        !matches!(
            self,
            Self::Texts | Self::Headers | Self::Counts | Self::Secrets | Self::Refusals
        )
    }

    /// For the reference page.
    fn describe(self) -> String {
        match self {
            Self::Text | Self::Path => "string".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Count => "whole number".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Ratio => "ratio".to_owned(),
            Self::Address => "`IP:PORT`".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Self::Hedge => "`off`, `pNN` or a duration".to_owned(),
            Self::Pace => "duration or distribution".to_owned(),
            Self::Length => "count or distribution, as a string".to_owned(),
            Self::Auth => "`bearer`, `none` or `{ header = \"NAME\" }`".to_owned(),
            Self::Hash => "`sha256:` and 64 hex digits".to_owned(),
            Self::Texts => "list of strings".to_owned(),
            Self::Headers => "table of strings".to_owned(),
            Self::Counts => "list of whole numbers".to_owned(),
            Self::Secrets => "list of secrets".to_owned(),
            Self::Refusals => "list of `context_length`, `content_policy`, 400 to 499".to_owned(),
            Self::Limit => "`auto`, `aimd`, `gradient` or a whole number".to_owned(),
        }
    }
}

impl Row {
    /// The section it stands in, and its own name.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// Its variable, `*` kept. Keys of `[[keys]]` have none.
    pub(super) fn variable(&self) -> Option<String> {
        let has_one = self.form.is_scalar() && !self.path.starts_with("keys.");
        has_one.then(|| format!("NOWAIT__{}", self.path.to_uppercase().replace('.', "__")))
    }
}

/// The row of a path whose names are already `*`.
pub(super) fn row(pattern: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.path == pattern)
}

/// Whether a path is a section, or leads to one.
pub(super) fn is_section(pattern: &str) -> bool {
    SECTIONS.iter().any(|part| {
        part.path == pattern
            || part
                .path
                .strip_prefix(pattern)
                .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// What may stand directly inside a section: keys and sections.
pub(super) fn names_in(pattern: &str) -> Vec<&'static str> {
    let paths = ROWS.iter().map(|row| row.path);
    let paths = paths.chain(SECTIONS.iter().map(|part| part.path));
    let mut names: Vec<_> = paths
        .filter_map(|path| match pattern {
            "" => path.split('.').next(),
            _ => path
                .strip_prefix(pattern)?
                .strip_prefix('.')?
                .split('.')
                .next(),
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_stands_in_a_section_and_only_once() {
        let paths: BTreeSet<_> = ROWS.iter().map(|row| row.path).collect();
        assert_eq!(paths.len(), ROWS.len());
        for row in ROWS {
            let (section, _) = row.split();
            assert!(
                SECTIONS.iter().any(|part| part.path == section),
                "{}",
                row.path
            );
            assert!(
                row.default.is_some() || !row.sample.is_empty(),
                "{} shows nothing",
                row.path
            );
        }
    }

    #[test]
    fn every_known_provider_is_named_on_the_page() {
        let page = markdown();
        for preset in crate::provider::presets::PRESETS {
            assert!(page.contains(preset.name), "{}", preset.name);
        }
    }

    #[test]
    fn names_are_found_by_section() {
        assert!(names_in("").contains(&"server"));
        assert!(names_in("server").contains(&"listen"));
        assert!(names_in("server").contains(&"tls"));
        assert!(names_in("providers.*.pool").contains(&"warm"));
        assert!(
            is_section("providers")
                && is_section("providers.*")
                && !is_section("providers.*.api_key")
        );
    }
}
