//! What OpenAI's own models differ in, as far as a request must know.
//!
//! Known by their names alone; a model of anyone else's takes everything, and
//! its server says what it doesn't.

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Model {
    /// It reasons, takes its limit as `max_completion_tokens` and no sampling
    /// parameters: o1, o3, o4, gpt-5.
    Reasons,
    /// The same, but it samples as it is told while it doesn't reason, which
    /// is how it starts: gpt-5.1 and later.
    MayReason,
    /// It doesn't know `reasoning_effort`: gpt-4 and before.
    Plain,
    /// Somebody else's.
    Unknown,
}

impl Model {
    pub(in crate::dialect) fn of(name: &str) -> Self {
        // Routers put the maker's name before the model's.
        let name = name.rsplit('/').next().unwrap_or(name);
        let begins = |with: &[&str]| with.iter().any(|start| name.starts_with(start));
        if begins(&["o1", "o3", "o4"]) {
            Self::Reasons
        } else if begins(&["gpt-5."]) && !name.contains("chat") {
            Self::MayReason
        } else if begins(&["gpt-5"]) && !name.contains("chat") {
            Self::Reasons
        } else if begins(&["gpt-3", "gpt-4", "chatgpt-"]) || name.starts_with("gpt-5") {
            Self::Plain
        } else {
            Self::Unknown
        }
    }

    /// Whether its limit is `max_completion_tokens` wherever it is served.
    pub(in crate::dialect) fn limits_completion(self) -> bool {
        matches!(self, Self::Reasons | Self::MayReason)
    }

    /// Whether it refuses sampling parameters, in a call that asks it to
    /// reason or not.
    pub(in crate::dialect) fn samples_its_way(self, reasons: bool) -> bool {
        match self {
            Self::Reasons => true,
            Self::MayReason => reasons,
            Self::Plain | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_their_names() {
        let rows = [
            ("o3-mini", Model::Reasons),
            ("openai/gpt-5-mini", Model::Reasons),
            ("gpt-5.2", Model::MayReason),
            ("gpt-5-chat-latest", Model::Plain),
            ("gpt-4o-2024-08-06", Model::Plain),
            ("llama-3.3-70b", Model::Unknown),
        ];
        for (name, model) in rows {
            assert_eq!(Model::of(name), model, "{name}");
        }
        assert!(!Model::MayReason.samples_its_way(false));
        assert!(Model::Reasons.samples_its_way(false));
    }
}
