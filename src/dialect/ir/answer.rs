//! What is answered, whole.

use super::{Finish, Part, Text};
use crate::dialect::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer<'a> {
    /// The provider's id of it; empty where it gave none.
    pub id: Text<'a>,
    /// The model the provider says it used; empty where it didn't say.
    pub model: Text<'a>,
    /// When, in seconds since 1970, where the format says it.
    pub created: Option<u64>,
    /// What was said, once for each of the answers asked for.
    pub choices: Vec<Choice<'a>>,
    /// What it took.
    pub usage: Option<Usage>,
    /// How it was served, in OpenAI's words for it.
    pub service_tier: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice<'a> {
    /// What was said, in order. No two [`super::Content::Text`]s follow each
    /// other in a format that doesn't tell them apart.
    pub parts: Vec<Part<'a>>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// The text that ended it, where the format says which.
    pub stopped_by: Option<Text<'a>>,
}
