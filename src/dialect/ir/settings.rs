//! What has one value per call.
//!
//! An encoder takes [`Settings`] apart by its fields, all of them, without
//! `..`: a setting that is added stops the build in every encoder until each
//! says what becomes of it.

use super::{Json, Text, ToolChoice};

/// A setting that was given, or not.
pub type Setting<T> = Option<Given<T>>;

/// The value of a setting, and where the caller wrote it. Only the value
/// counts when two are compared.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// What it was set to.
    pub value: T,
    /// The field in the caller's format.
    pub path: &'static str,
}

impl<T> Given<T> {
    /// `value`, as the field at `path` had it.
    pub fn new(path: &'static str, value: T) -> Self {
        Self { value, path }
    }
}

impl<T: PartialEq> PartialEq for Given<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Every setting that at least two formats know.
///
/// A value that is the same as not setting it (`n: 1`, a penalty of 0, an
/// empty list) isn't here: decoders leave it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings<'a> {
    /// The most tokens to write, reasoning included.
    pub max_tokens: Setting<u64>,
    /// How freely to choose, 0 to 2 as OpenAI counts.
    pub temperature: Setting<Json<'a>>,
    /// The share of probability to choose from.
    pub top_p: Setting<Json<'a>>,
    /// The number of tokens to choose from.
    pub top_k: Setting<Json<'a>>,
    /// For providers that can repeat themselves.
    pub seed: Setting<Json<'a>>,
    /// Against repeating often.
    pub frequency_penalty: Setting<Json<'a>>,
    /// Against repeating at all.
    pub presence_penalty: Setting<Json<'a>>,
    /// Per-token biases, by OpenAI's token numbers.
    pub logit_bias: Setting<Json<'a>>,
    /// Texts that end the answer.
    pub stop: Setting<Vec<Text<'a>>>,
    /// The number of answers, more than one.
    pub choices: Setting<u64>,
    /// Tell how probable each token was, and this many others in its place.
    pub logprobs: Setting<u64>,
    /// Which tools to use.
    pub tool_choice: Setting<ToolChoice<'a>>,
    /// Whether several tools may be called at once.
    pub parallel_tools: Setting<bool>,
    /// What form the answer must have.
    pub form: Setting<Form<'a>>,
    /// How much to think.
    pub reasoning: Setting<Reasoning<'a>>,
    /// How much to say, in OpenAI's words (`low`, `medium`, `high`).
    pub verbosity: Setting<Text<'a>>,
    /// The caller's name for its user: `user`, `safety_identifier`,
    /// `metadata.user_id`.
    pub user: Setting<Text<'a>>,
    /// The caller's notes for the provider's records: an object of texts.
    pub metadata: Setting<Json<'a>>,
    /// What the call may cost and wait.
    pub service_tier: Setting<Tier<'a>>,
    /// What brings calls with the same beginning to the same cache.
    pub cache_key: Setting<Text<'a>>,
    /// How long a cached prompt is kept, in OpenAI's words.
    pub cache_retention: Setting<Text<'a>>,
    /// The kinds of answer wanted beside text (`["text","audio"]`).
    pub modalities: Setting<Json<'a>>,
    /// How audio is to sound.
    pub audio: Setting<Json<'a>>,
    /// Keep the answer with the provider. Only true is here.
    pub store: Setting<bool>,
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Form<'a> {
    /// Some JSON object.
    Object,
    /// JSON that fits a schema.
    Schema {
        /// Its name, where the format wants one.
        name: Option<Text<'a>>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The schema.
        schema: Json<'a>,
        /// Whether it must fit exactly.
        strict: Option<bool>,
    },
}

/// How much to think, and what to show of it. At least one field is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning<'a> {
    /// Whether to, and how many tokens it may take.
    pub thinking: Option<Thinking>,
    /// In words.
    pub effort: Option<Effort>,
    /// What of it to show, in Responses' words (`auto`, `concise`,
    /// `detailed`); `none` to hide it.
    pub summary: Option<Text<'a>>,
}

/// Whether to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// As much as the model finds right.
    Auto,
    /// Up to this many tokens.
    Budget(u64),
}

/// How hard to think, as every format has it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as there is.
    Max,
}

impl Effort {
    /// Every effort, from none to most.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::XHigh,
        Self::Max,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == word)
    }

    /// The tokens that thinking this hard may take, for models that want a
    /// number. Low, medium and high are those that Google documents for its
    /// own translation of OpenAI's words; the others lie around them.
    pub fn budget(self) -> Thinking {
        match self {
            Self::None => Thinking::Off,
            Self::Minimal | Self::Low => Thinking::Budget(1_024),
            Self::Medium => Thinking::Budget(8_192),
            Self::High => Thinking::Budget(24_576),
            Self::XHigh | Self::Max => Thinking::Budget(32_768),
        }
    }

    /// The effort whose budget is next to `thinking`, for models that want a
    /// word.
    pub fn of(thinking: Thinking) -> Option<Self> {
        match thinking {
            Thinking::Off => Some(Self::None),
            Thinking::Auto => None,
            Thinking::Budget(0..4_096) => Some(Self::Low),
            Thinking::Budget(4_096..16_384) => Some(Self::Medium),
            Thinking::Budget(_) => Some(Self::High),
        }
    }
}

impl Reasoning<'_> {
    /// How hard to think, in words: as said, else as the budget has it.
    pub fn effort(&self) -> Option<Effort> {
        match (self.thinking, self.effort) {
            (Some(Thinking::Off), _) => Some(Effort::None),
            (_, Some(effort)) => Some(effort),
            (thinking, None) => thinking.and_then(Effort::of),
        }
    }

    /// How much to think, in tokens: as said, else as the effort has it.
    pub fn thinking(&self) -> Option<Thinking> {
        match (self.thinking, self.effort) {
            (Some(Thinking::Auto) | None, Some(effort)) => Some(effort.budget()),
            (thinking, _) => thinking,
        }
    }
}

/// What a call may cost and wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Tier<'a> {
    /// As the account is set.
    Auto,
    /// The usual: OpenAI's `default`, Anthropic's `standard_only`.
    Standard,
    /// Another, in the words of OpenAI (`flex`, `priority`, …).
    Other(Text<'a>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_budgets_lead_to_each_other() {
        for effort in Effort::ALL {
            assert_eq!(Effort::from_word(effort.as_str()), Some(effort));
        }
        let rows = [
            (Some(Thinking::Off), Some(Effort::High), Some(Effort::None)),
            (Some(Thinking::Auto), Some(Effort::Max), Some(Effort::Max)),
            (Some(Thinking::Auto), None, None),
            (Some(Thinking::Budget(1_024)), None, Some(Effort::Low)),
            (Some(Thinking::Budget(10_000)), None, Some(Effort::Medium)),
            (Some(Thinking::Budget(60_000)), None, Some(Effort::High)),
        ];
        for (thinking, effort, word) in rows {
            let reasoning = Reasoning {
                thinking,
                effort,
                summary: None,
            };
            assert_eq!(reasoning.effort(), word);
        }
        for effort in [Effort::None, Effort::Low, Effort::Medium, Effort::High] {
            let reasoning = Reasoning {
                effort: Some(effort),
                ..Reasoning::default()
            };
            let thinking = reasoning.thinking().unwrap();
            assert_eq!(Effort::of(thinking), Some(effort));
        }
    }
}
