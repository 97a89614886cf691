//! What Gemini models differ in, as far as a request must know.
//!
//! Read from the name (`gemini-2.5-flash-lite`, `gemini-3.1-pro-preview`). One
//! without a version (`gemini-flash-latest`) is taken for the newest, one of
//! another family for a model that doesn't think.

use crate::dialect::ir::Effort;

/// One model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor.
    version: (u32, u32),
    is_pro: bool,
    is_lite: bool,
    /// It makes images or sound, and thinks as it likes.
    makes_media: bool,
}

/// How a model is told to think
/// (ai.google.dev/gemini-api/docs/thinking).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinks {
    /// It isn't.
    Never,
    /// By a number of tokens, within these.
    Budget {
        /// The fewest, if it thinks.
        least: u64,
        /// The most.
        most: u64,
        /// Whether it can be told not to.
        can_stop: bool,
    },
    /// In words, from this one up to [`Effort::High`].
    Level {
        /// The least: it can't be told not to think.
        least: Effort,
    },
}

/// The version that a model without one is taken for.
const NEWEST: (u32, u32) = (u32::MAX, 0);

impl Model {
    pub(super) fn of(name: &str) -> Self {
        let has = |word: &str| name.contains(word);
        let version = match name.split_once("gemini-") {
            None => (0, 0),
            Some((_, rest)) => {
                let word = rest.split(['-', '@']).next().unwrap_or(rest);
                let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
                match (major.parse(), minor.parse()) {
                    (Ok(major), Ok(minor)) => (major, minor),
                    // The experiments (`gemini-exp-1206`) are from before 2.0.
                    _ if has("-exp-") => (1, 5),
                    _ => NEWEST,
                }
            }
        };
        Self {
            version,
            is_pro: has("pro"),
            is_lite: has("lite"),
            makes_media: has("image") || has("tts") || has("audio"),
        }
    }

    pub(super) fn thinks(self) -> Thinks {
        match self.version {
            _ if self.makes_media => Thinks::Never,
            (0..=1, _) | (2, 0..5) => Thinks::Never,
            (2, _) if self.is_pro => Thinks::Budget {
                least: 128,
                most: 32_768,
                can_stop: false,
            },
            (2, _) => Thinks::Budget {
                least: if self.is_lite { 512 } else { 1 },
                most: 24_576,
                can_stop: true,
            },
            _ if self.is_pro => Thinks::Level { least: Effort::Low },
            _ => Thinks::Level {
                least: Effort::Minimal,
            },
        }
    }

    /// Whether it answers in a form though it may call tools; others refuse a
    /// call that asks for both.
    pub(super) fn has_forms_beside_tools(self) -> bool {
        self.version >= (3, 0)
    }

    /// Whether it takes images and documents inside of a function's result.
    pub(super) fn sees_results(self) -> bool {
        self.version >= (3, 0)
    }

    /// Whether it refuses calls without a mark.
    pub(super) fn wants_marks(self) -> bool {
        self.version >= (3, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_their_names() {
        let budget = |least, most, can_stop| Thinks::Budget {
            least,
            most,
            can_stop,
        };
        let level = |least| Thinks::Level { least };
        let rows = [
            ("gemini-1.5-pro-002", Thinks::Never, false),
            ("gemini-2.0-flash-001", Thinks::Never, false),
            ("gemini-exp-1206", Thinks::Never, false),
            ("gemma-3-27b-it", Thinks::Never, false),
            ("gemini-2.5-flash-image", Thinks::Never, false),
            ("gemini-2.5-pro", budget(128, 32_768, false), false),
            ("models/gemini-2.5-flash", budget(1, 24_576, true), false),
            ("gemini-2.5-flash-lite", budget(512, 24_576, true), false),
            ("gemini-3.1-pro-preview", level(Effort::Low), true),
            ("gemini-3-flash-preview", level(Effort::Minimal), true),
            ("gemini-flash-latest", level(Effort::Minimal), true),
        ];
        for (name, thinks, is_new) in rows {
            let model = Model::of(name);
            assert_eq!(model.thinks(), thinks, "{name}");
            assert_eq!(model.wants_marks(), is_new, "{name}");
            assert_eq!(model.sees_results(), is_new, "{name}");
            assert_eq!(model.has_forms_beside_tools(), is_new, "{name}");
        }
    }
}
