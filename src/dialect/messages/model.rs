//! What the Claude models differ in, as far as a request must know.
//!
//! From platform.claude.com/docs/en/models (limits of tokens, how each thinks),
//! …/about-claude/models/migration-guide (sampling, thinking) and
//! …/build-with-claude/structured-outputs.
//!
//! Read from the version in the model's name, which every provider of these
//! models keeps (`claude-3-7-sonnet-…`, `claude-opus-4-6`,
//! `us.anthropic.claude-sonnet-4-5-…`). Others behind this API are taken for a
//! Claude 4.5 that writes little.

use crate::dialect::generate::MESSAGES_MAX_TOKENS;

/// One model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor; nothing where it isn't a Claude.
    version: Option<(u32, u32)>,
    is_opus: bool,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinks {
    /// It can't.
    Never,
    /// By a number of tokens.
    Budget,
    /// By itself, with an effort in words.
    Adaptive,
}

impl Model {
    pub(super) fn of(name: &str) -> Self {
        let version = name.split_once("claude").map(|(_, rest)| {
            let mut numbers = rest
                .split(['-', '.', '@', ':'])
                .filter_map(|word| word.parse::<u32>().ok())
                // A date follows the version.
                .take_while(|number| *number < 100);
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
        });
        Self {
            version: version.filter(|version| *version > (0, 0)),
            is_opus: name.contains("opus"),
        }
    }

    fn version(self) -> (u32, u32) {
        self.version.unwrap_or((4, 5))
    }

    /// The most tokens it writes, or fewer: the API wants a limit in every
    /// call, and refuses one that is too large.
    pub(super) fn max_tokens(self) -> u64 {
        match (self.version, self.is_opus) {
            (None, _) => MESSAGES_MAX_TOKENS,
            (Some((0..=3, 0..5)), _) => 4_096,
            (Some((3, 5..7)), _) => 8_192,
            (Some((4, 0..5)), true) => 32_000,
            (Some((3, 7) | (4, 0..6)), _) => 64_000,
            _ => 128_000,
        }
    }

    pub(super) fn thinks(self) -> Thinks {
        match self.version() {
            version if version < (3, 7) => Thinks::Never,
            version if version < (4, 6) => Thinks::Budget,
            _ => Thinks::Adaptive,
        }
    }

    /// Whether it knows `output_config.format` and strict tools.
    pub(super) fn has_forms(self) -> bool {
        self.version.is_some()
            && (self.version() >= (4, 5) || (self.is_opus && self.version() == (4, 1)))
    }

    /// Whether it refuses temperature and `top_p` together.
    pub(super) fn samples_one_way(self) -> bool {
        self.version.is_some() && self.version() >= (4, 1)
    }

    /// Whether it refuses every sampling parameter.
    pub(super) fn samples_its_way(self) -> bool {
        self.version() >= (4, 7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_their_version() {
        let rows = [
            ("claude-3-opus-20240229", 4_096, Thinks::Never, false),
            ("claude-3-5-haiku-20241022", 8_192, Thinks::Never, false),
            ("claude-3-7-sonnet-latest", 64_000, Thinks::Budget, false),
            ("claude-sonnet-4-20250514", 64_000, Thinks::Budget, false),
            ("claude-opus-4-1-20250805", 32_000, Thinks::Budget, true),
            ("claude-sonnet-4-5", 64_000, Thinks::Budget, true),
            (
                "us.anthropic.claude-haiku-4-5-20251001-v1:0",
                64_000,
                Thinks::Budget,
                true,
            ),
            ("anthropic/claude-opus-4.6", 128_000, Thinks::Adaptive, true),
            ("claude-sonnet-5-5", 128_000, Thinks::Adaptive, true),
            ("MiniMax-M2", 4_096, Thinks::Budget, false),
        ];
        for (name, max_tokens, thinks, has_forms) in rows {
            let model = Model::of(name);
            assert_eq!(model.max_tokens(), max_tokens, "{name}");
            assert_eq!(model.thinks(), thinks, "{name}");
            assert_eq!(model.has_forms(), has_forms, "{name}");
        }
        assert!(Model::of("claude-opus-4-7").samples_its_way());
        assert!(!Model::of("claude-sonnet-4").samples_one_way());
        assert!(Model::of("claude-opus-4-1").samples_one_way());
    }
}
