//! The providers everybody knows: one row each.
//!
//! A row is what the provider's own SDK has built in: the variable its key is
//! read from, the base URL, how the key is presented; and in what it differs
//! from the maker of its format, each with its source. Model-name families
//! make bare names resolve. Adding a compatible provider is adding a row to
//! [`PRESETS`]; `docs/providers.md` is written from them ([`page`]).

mod page;
mod retired;
mod rows;

use http::HeaderName;

pub use page::page;
pub use retired::{RETIRED, Retired, retired};
pub use rows::PRESETS;

use crate::dialect::{Dialect, Quirk, Quirks};

use super::{Auth, EmbeddingLimits};

/// One known provider.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    /// Its base URL; empty where it has none of its own.
    pub base_url: &'static str,
    /// Where it speaks other dialects, for who asks for one of them.
    pub also: &'static [(Dialect, &'static str)],
    /// The variable that holds its key; empty for local servers without one.
    pub key_variable: &'static str,
    /// The variable its SDK reads another base URL from; empty for none.
    pub base_variable: &'static str,
    /// How the key is presented.
    pub auth: Scheme,
    /// What is particular about it, each with where that is said; of its own
    /// dialect only.
    pub quirks: &'static [(Quirk, &'static str)],
    /// What one call for embeddings may hold.
    pub embeddings: EmbeddingLimits,
    /// What `/generate` asks it for when nobody names a model.
    pub default_model: Option<&'static str>,
    /// Bare model names that are its own: beginnings.
    pub families: &'static [&'static str],
    /// Where the URLs and the variable are from.
    pub source: &'static str,
}

impl Preset {
    /// Where it speaks `dialect`, if it does.
    pub fn base_of(&self, dialect: Dialect) -> Option<&'static str> {
        let own = (self.dialect, self.base_url);
        let mut all = std::iter::once(&own).chain(self.also);
        let (_, url) = *all.find(|(its, url)| *its == dialect && !url.is_empty())?;
        Some(url)
    }

    /// All that is particular about it where it speaks `dialect`.
    pub fn quirks_of(&self, dialect: Dialect) -> Quirks {
        let own = self.quirks.iter().filter(|_| dialect == self.dialect);
        Quirks::of(own.map(|(quirk, _)| *quirk))
    }
}

/// [`Auth`], in a form a constant can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone, in this header.
    Header(&'static str),
    /// No key.
    None,
}

impl Scheme {
    /// How a dialect's own provider wants its key.
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi | Dialect::Sim => Self::Bearer,
            Dialect::Anthropic => Self::Header("x-api-key"),
            Dialect::Gemini => Self::Header("x-goog-api-key"),
        }
    }
}

impl From<Scheme> for Auth {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Bearer => Self::Bearer,
            Scheme::Header(name) => Self::Header(HeaderName::from_static(name)),
            Scheme::None => Self::None,
        }
    }
}

/// The name of the simulated provider.
pub const SIM: &str = "sim";

/// The name of Azure OpenAI, whose URLs have two forms.
pub const AZURE: &str = "azure";

/// The known provider of that name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The known provider a bare model name belongs to: `gpt-4o` → `openai`.
pub fn family(model: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|preset| preset.families.iter().any(|start| model.starts_with(start)))
        .map(|preset| preset.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::provider::BaseUrl;

    #[test]
    fn bare_names_belong_to_families() {
        let rows = [
            ("gpt-4o", Some("openai")),
            ("o1", Some("openai")),
            ("o3-mini", Some("openai")),
            ("o4-mini", Some("openai")),
            ("chatgpt-4o-latest", Some("openai")),
            ("text-embedding-3-small", Some("openai")),
            ("claude-haiku-4-5", Some("anthropic")),
            ("gemini-2.5-pro", Some("gemini")),
            ("mistral-small-latest", Some("mistral")),
            ("grok-4", Some("xai")),
            ("deepseek-chat", Some("deepseek")),
            ("accounts/fireworks/models/x", Some("fireworks")),
            ("kimi-k3", Some("moonshot")),
            ("nvidia/nemotron", Some("nvidia_nim")),
            ("my-own", None),
            ("o", None),
            ("", None),
        ];
        for (model, expected) in rows {
            assert_eq!(family(model), expected, "{model}");
        }
    }

    #[test]
    fn every_row_is_sound() {
        let names: BTreeSet<_> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names.len(), PRESETS.len(), "two rows of one name");
        for preset in PRESETS {
            let urls = preset.also.iter().map(|(_, url)| *url);
            for url in urls.chain([preset.base_url]).filter(|url| !url.is_empty()) {
                let parsed: BaseUrl = url.parse().expect(preset.name);
                assert_eq!(parsed.to_string(), url);
            }
            for family in preset.families {
                assert_eq!(
                    super::family(family),
                    Some(preset.name),
                    "{family} is shadowed"
                );
            }
            assert!(!preset.source.is_empty(), "{}", preset.name);
            assert!(
                preset.quirks.iter().all(|(_, source)| !source.is_empty()),
                "{}",
                preset.name
            );
            // Less would let no call share.
            assert!(preset.embeddings.inputs > 1 && preset.embeddings.tokens > 2);
            if let Some(model) = preset.default_model {
                assert_eq!(retired(preset.name, model), None, "{model}");
            }
            // `from_static` panics on a bad name: here rather than at start.
            let _ = Auth::from(preset.auth);
        }
        for gone in RETIRED {
            assert!(preset(gone.provider).is_some());
            assert_eq!(retired(gone.provider, gone.instead), None, "{}", gone.model);
        }
    }

    #[test]
    fn a_row_knows_where_each_of_its_dialects_is_spoken() {
        let deepseek = preset("deepseek").expect("it is known");
        assert_eq!(
            deepseek.base_of(Dialect::Anthropic),
            Some("https://api.deepseek.com/anthropic")
        );
        assert_eq!(deepseek.base_of(Dialect::Gemini), None);
        assert!(deepseek.quirks_of(Dialect::OpenAi).wants_reasoning_back);
        assert_eq!(deepseek.quirks_of(Dialect::Anthropic), Quirks::default());
        let azure = preset("azure").expect("it is known");
        assert_eq!(azure.base_of(Dialect::OpenAi), None);
    }

    #[test]
    fn the_page_of_providers_is_what_the_rows_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
        if std::env::var_os("NOWAIT_BLESS").is_some() {
            std::fs::write(&path, page()).expect("a writable folder");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == page(),
            "docs/providers.md is old; run NOWAIT_BLESS=1 cargo test --lib provider::"
        );
    }
}
