//! What is particular about a provider, as far as the file says it.

use crate::config::raw::Node;
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::dialect::MaxTokensField;
use crate::dialect::quirks::{Quirks, REFUSABLE, ReasoningField, Refused};

/// What the file says of it, over what is known of it.
pub(super) fn over(section: &Section<'_>, usual: Quirks) -> Quirks {
    let fields = [
        MaxTokensField::MaxTokens,
        MaxTokensField::MaxCompletionTokens,
    ];
    let fields = fields.map(|field| (field.as_str(), field));
    let refusable = REFUSABLE.map(|name| (name, name));
    let refused = |node: &Node| -> Read<Refused> {
        let names = read::list(read::word(&refusable))(node)?;
        let sets = names.map(|names| names.into_iter().filter_map(Refused::one));
        Ok(sets.map(|sets| sets.fold(Refused::default(), Refused::and)))
    };
    let most = section.get("default_max_tokens", read::count(1, 10_000_000));
    let all = Quirks {
        max_tokens: section
            .get("max_tokens_field", read::word(&fields))
            .unwrap_or(usual.max_tokens),
        default_max_tokens: most.or(usual.default_max_tokens),
        refuses: section.get("refuses", refused).unwrap_or(usual.refuses),
        reasoning: section
            .get("reasoning_field", read::word(&ReasoningField::ALL))
            .unwrap_or(usual.reasoning),
        takes_cache_control: section
            .get("cache_control", read::flag)
            .unwrap_or(usual.takes_cache_control),
        wants_reasoning_back: section
            .get("reasoning_back", read::flag)
            .unwrap_or(usual.wants_reasoning_back),
        lacks_completions: section
            .get("completions", read::flag)
            .map_or(usual.lacks_completions, |has| !has),
        lacks_responses: section
            .get("responses", read::flag)
            .map_or(usual.lacks_responses, |has| !has),
        lacks_chat: section
            .get("chat", read::flag)
            .map_or(usual.lacks_chat, |has| !has),
        ..usual
    };
    if all.lacks_chat && all.lacks_responses {
        section.problem(
            "chat",
            "there is no way to talk to a provider that has neither `/chat/completions` nor `/responses`",
        );
    }
    all
}
