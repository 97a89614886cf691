//! What servers of one format differ in, as data.
//!
//! Chat completions are spoken by dozens of servers, each a little
//! differently: a field has another name, a field is refused. A [`Quirk`] is
//! one such thing, as a provider's row has it beside its source; [`Quirks`] is
//! all of them together, as those who write a call ask for them. What makes a
//! call possible at all without changing what it asks is also done to calls
//! that aren't translated ([`super::respell`]).

use std::fmt;

use super::MaxTokensField;

/// One thing in which a server differs from its format's maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// It wants its limit in this field.
    MaxTokens(MaxTokensField),
    /// Unless the caller sets a limit, this many tokens are asked for; for
    /// formats that want a limit in every call.
    DefaultMaxTokens(u64),
    /// It refuses a call that has one of these.
    Refuses(Refused),
    /// It is told here how hard to think.
    Reasoning(ReasoningField),
    /// It reads the seed from `random_seed`.
    RandomSeed,
    /// It takes `cache_control` in chat calls.
    CacheControl,
    /// It wants its `reasoning_content` back in later turns; others refuse it
    /// or pay for it.
    ReasoningBack,
    /// It has chat completions, and none of the legacy ones.
    NoCompletions,
    /// It has chat completions, and no Responses.
    NoResponses,
    /// It has Responses, and no chat completions.
    NoChat,
}

/// All that is particular about a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// As [`Quirk::MaxTokens`]; chat only.
    pub max_tokens: MaxTokensField,
    /// As [`Quirk::DefaultMaxTokens`]; the model's own limit where this is
    /// none.
    pub default_max_tokens: Option<u64>,
    /// As [`Quirk::Refuses`]; chat only.
    pub refuses: Refused,
    /// As [`Quirk::Reasoning`]; chat only.
    pub reasoning: ReasoningField,
    /// As [`Quirk::RandomSeed`]; chat only.
    pub random_seed: bool,
    /// As [`Quirk::CacheControl`]; chat only.
    pub takes_cache_control: bool,
    /// As [`Quirk::ReasoningBack`]; chat only.
    pub wants_reasoning_back: bool,
    /// As [`Quirk::NoCompletions`].
    pub lacks_completions: bool,
    /// As [`Quirk::NoResponses`].
    pub lacks_responses: bool,
    /// As [`Quirk::NoChat`].
    pub lacks_chat: bool,
}

impl Quirks {
    /// These together; of two that say the same the later counts.
    pub fn of(quirks: impl IntoIterator<Item = Quirk>) -> Self {
        let mut all = Self::default();
        for quirk in quirks {
            match quirk {
                Quirk::MaxTokens(field) => all.max_tokens = field,
                Quirk::DefaultMaxTokens(most) => all.default_max_tokens = Some(most),
                Quirk::Refuses(refused) => all.refuses = all.refuses.and(refused),
                Quirk::Reasoning(field) => all.reasoning = field,
                Quirk::RandomSeed => all.random_seed = true,
                Quirk::CacheControl => all.takes_cache_control = true,
                Quirk::ReasoningBack => all.wants_reasoning_back = true,
                Quirk::NoCompletions => all.lacks_completions = true,
                Quirk::NoResponses => all.lacks_responses = true,
                Quirk::NoChat => all.lacks_chat = true,
            }
        }
        all
    }

    /// One by one, those that there are.
    pub fn each(self) -> Vec<Quirk> {
        let Self {
            max_tokens,
            default_max_tokens,
            refuses,
            reasoning,
            random_seed,
            takes_cache_control,
            wants_reasoning_back,
            lacks_completions,
            lacks_responses,
            lacks_chat,
        } = self;
        let usual = Self::default();
        let all = [
            (max_tokens != usual.max_tokens).then_some(Quirk::MaxTokens(max_tokens)),
            default_max_tokens.map(Quirk::DefaultMaxTokens),
            (refuses != usual.refuses).then_some(Quirk::Refuses(refuses)),
            (reasoning != usual.reasoning).then_some(Quirk::Reasoning(reasoning)),
            random_seed.then_some(Quirk::RandomSeed),
            takes_cache_control.then_some(Quirk::CacheControl),
            wants_reasoning_back.then_some(Quirk::ReasoningBack),
            lacks_completions.then_some(Quirk::NoCompletions),
            lacks_responses.then_some(Quirk::NoResponses),
            lacks_chat.then_some(Quirk::NoChat),
        ];
        all.into_iter().flatten().collect()
    }

    /// The field for the limit, as far as the provider decides.
    pub fn limit_field(self) -> MaxTokensField {
        match self.refuses.has("max_completion_tokens") {
            true => MaxTokensField::MaxTokens,
            false => self.max_tokens,
        }
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxTokens(field) => write!(f, "the limit goes in `{}`", field.as_str()),
            Self::DefaultMaxTokens(most) => write!(f, "{most} tokens where the caller sets no limit"),
            Self::Refuses(refused) => {
                let names: Vec<_> = refused.names().map(|name| format!("`{name}`")).collect();
                write!(f, "refuses {}", names.join(", "))
            }
            Self::Reasoning(field) => f.write_str(match field {
                ReasoningField::Effort => "reasoning goes in `reasoning_effort`",
                ReasoningField::Object => "reasoning goes in `reasoning`, efforts and budgets",
                ReasoningField::Toggle => {
                    "reasoning goes in `reasoning_effort`, and none of it is `thinking.type: \"disabled\"`"
                }
                ReasoningField::Thinking => {
                    "reasoning goes in `thinking.type`, which is on or off"
                }
                ReasoningField::EnableThinking => {
                    "reasoning goes in `enable_thinking` and `thinking_budget`"
                }
            }),
            Self::RandomSeed => f.write_str("the seed goes in `random_seed`"),
            Self::CacheControl => f.write_str("takes `cache_control`"),
            Self::ReasoningBack => {
                f.write_str("wants its `reasoning_content` back in later turns")
            }
            Self::NoCompletions => f.write_str("has no `/completions`: such calls become chat"),
            Self::NoResponses => f.write_str("has no `/responses`: such calls become chat"),
            Self::NoChat => {
                f.write_str("has no `/chat/completions`: such calls become Responses")
            }
        }
    }
}

/// Where a chat server is told how hard to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningField {
    /// `reasoning_effort`, a word.
    #[default]
    Effort,
    /// `reasoning`, an object with a word or a number of tokens.
    Object,
    /// `reasoning_effort`, but `thinking: {"type": "disabled"}` for none.
    Toggle,
    /// `thinking`, an object whose `type` is `enabled` or `disabled`.
    Thinking,
    /// `enable_thinking`, true or false, with a number of tokens in
    /// `thinking_budget`.
    EnableThinking,
}

impl ReasoningField {
    /// Each with the word for it in configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("reasoning_effort", Self::Effort),
        ("reasoning", Self::Object),
        ("thinking_or_effort", Self::Toggle),
        ("thinking", Self::Thinking),
        ("enable_thinking", Self::EnableThinking),
    ];
}

/// What chat servers can refuse: fields of the call; `name`, a field of its
/// messages; and `developer`, a role.
pub const REFUSABLE: [&str; 24] = [
    "audio",
    "developer",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "metadata",
    "modalities",
    "n",
    "name",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "temperature",
    "top_p",
    "user",
    "verbosity",
];

/// A set of what is [`REFUSABLE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused(u32);

impl Refused {
    /// The set of these.
    ///
    /// # Panics
    /// Where one isn't [`REFUSABLE`]: in a constant, at build time.
    pub const fn of(names: &[&str]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < names.len() {
            set |= 1 << place(names[at]).expect("only what is refusable is refused");
            at += 1;
        }
        Self(set)
    }

    /// The set of one, if it can be refused.
    pub fn one(name: &str) -> Option<Self> {
        place(name).map(|place| Self(1 << place))
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `name` is in it.
    pub fn has(self, name: &str) -> bool {
        place(name).is_some_and(|place| self.0 & (1 << place) != 0)
    }

    /// What is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        REFUSABLE.into_iter().filter(move |name| self.has(name))
    }
}

const fn place(name: &str) -> Option<usize> {
    let mut at = 0;
    while at < REFUSABLE.len() {
        if is_same(REFUSABLE[at].as_bytes(), name.as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// `==` isn't to be had in constants.
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_come_apart_and_together_again() {
        let set = Refused::of(&["seed", "developer"]).and(Refused::of(&["verbosity"]));
        assert_eq!(
            set.names().collect::<Vec<_>>(),
            ["developer", "seed", "verbosity"]
        );
        assert!(!set.has("n") && !set.has("see") && Refused::one("seeds").is_none());
        let all = [
            Quirk::MaxTokens(MaxTokensField::MaxCompletionTokens),
            Quirk::DefaultMaxTokens(7),
            Quirk::Refuses(set),
            Quirk::Reasoning(ReasoningField::Toggle),
            Quirk::RandomSeed,
            Quirk::CacheControl,
            Quirk::ReasoningBack,
            Quirk::NoCompletions,
            Quirk::NoResponses,
            Quirk::NoChat,
        ];
        assert_eq!(Quirks::of(all).each(), all);
        assert_eq!(Quirks::of([]), Quirks::default());
        assert_eq!(Quirks::default().each(), []);
    }

    #[test]
    fn who_refuses_the_newer_field_gets_the_older() {
        let quirks = Quirks::of([
            Quirk::MaxTokens(MaxTokensField::MaxCompletionTokens),
            Quirk::Refuses(Refused::of(&["max_completion_tokens"])),
        ]);
        assert_eq!(quirks.limit_field(), MaxTokensField::MaxTokens);
    }
}
