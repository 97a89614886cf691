//! What a call took, in one arithmetic for all dialects.
//!
//! OpenAI counts cached tokens into `prompt_tokens`; Anthropic reports cache
//! reads and writes beside `input_tokens`. Here `input` is always everything
//! the model read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Count, read};

/// Tokens of one call; 0 where the provider says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Everything the model read, cached or not. 0 in an estimate that had
    /// nothing to go by.
    pub input: u64,
    /// Everything it wrote, reasoning included where the provider includes it.
    pub output: u64,
    /// The part of `input` that came from the provider's prompt cache.
    pub cached: u64,
    /// The part of `input` that was written to the provider's prompt cache.
    pub cache_write: u64,
    /// The part of the work spent on reasoning.
    pub reasoning: u64,
    /// Set where the provider reported nothing and `output` was estimated from
    /// what was streamed.
    pub estimated: bool,
}

impl Usage {
    /// Input and output together.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Both reports of one call together, where each is cumulative: the later
    /// one may leave out what the earlier one said.
    pub(crate) fn merged(self, later: Self) -> Self {
        Self {
            input: self.input.max(later.input),
            output: self.output.max(later.output),
            cached: self.cached.max(later.cached),
            cache_write: self.cache_write.max(later.cache_write),
            reasoning: self.reasoning.max(later.reasoning),
            estimated: self.estimated && later.estimated,
        }
    }
}

/// Reads the `usage` object of chat, completions, embeddings or Responses.
/// Compatible servers mix the names of both APIs, so both are looked for.
pub(crate) fn openai(json: &str) -> Option<Usage> {
    let wire: Wire<'_> = read(json)?;
    let of_input = details(wire.prompt_tokens_details.or(wire.input_tokens_details));
    let of_output = details(
        wire.completion_tokens_details
            .or(wire.output_tokens_details),
    );
    if wire.says_nothing() {
        return None;
    }
    Some(Usage {
        input: wire.prompt_tokens.or(wire.input_tokens).count(),
        output: wire.completion_tokens.or(wire.output_tokens).count(),
        cached: of_input
            .cached_tokens
            .or(wire.prompt_cache_hit_tokens)
            .count(),
        cache_write: of_input.cache_write_tokens.count(),
        reasoning: of_output.reasoning_tokens.count(),
        estimated: false,
    })
}

/// Reads the `usage` object of the Messages API, whose `input_tokens` leave
/// out what was read from and written to the cache.
pub(crate) fn anthropic(json: &str) -> Option<Usage> {
    let wire: Wire<'_> = read(json)?;
    if wire.says_nothing() {
        return None;
    }
    let cached = wire.cache_read_input_tokens.count();
    let cache_write = wire.cache_creation_input_tokens.count();
    Some(Usage {
        input: wire
            .input_tokens
            .count()
            .saturating_add(cached)
            .saturating_add(cache_write),
        output: wire.output_tokens.count(),
        cached,
        cache_write,
        reasoning: details(wire.output_tokens_details).thinking_tokens.count(),
        estimated: false,
    })
}

/// Every name a count goes by.
#[derive(Deserialize)]
struct Wire<'a> {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    input_tokens: Option<Count>,
    output_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    prompt_cache_hit_tokens: Option<Count>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
}

impl Wire<'_> {
    fn says_nothing(&self) -> bool {
        self.prompt_tokens.is_none()
            && self.completion_tokens.is_none()
            && self.input_tokens.is_none()
            && self.output_tokens.is_none()
    }
}

#[derive(Default, Deserialize)]
struct Details {
    cached_tokens: Option<Count>,
    cache_write_tokens: Option<Count>,
    reasoning_tokens: Option<Count>,
    thinking_tokens: Option<Count>,
}

fn details(raw: Option<&RawValue>) -> Details {
    raw.and_then(|raw| read(raw.get())).unwrap_or_default()
}

/// An absent count is 0.
trait OrZero {
    fn count(self) -> u64;
}

impl OrZero for Option<Count> {
    fn count(self) -> u64 {
        self.map_or(0, |count| count.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cached: u64, cache_write: u64, reasoning: u64) -> Usage {
        Usage {
            input,
            output,
            cached,
            cache_write,
            reasoning,
            estimated: false,
        }
    }

    #[test]
    fn openai_counts_the_cached_into_the_prompt() {
        let rows = [
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#,
                usage(9, 4, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,
                   "prompt_tokens_details":{"cached_tokens":6,"cache_write_tokens":2},
                   "completion_tokens_details":{"reasoning_tokens":3}}"#,
                usage(9, 4, 6, 2, 3),
            ),
            (
                r#"{"input_tokens":9,"output_tokens":4,"input_tokens_details":{"cached_tokens":6},
                   "output_tokens_details":{"reasoning_tokens":3}}"#,
                usage(9, 4, 6, 0, 3),
            ),
            (
                r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":5,"completion_tokens":1}"#,
                usage(9, 1, 5, 0, 0),
            ),
            (
                r#"{"prompt_tokens":9,"total_tokens":9}"#,
                usage(9, 0, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":9.0,"completion_tokens":null,"prompt_tokens_details":[]}"#,
                usage(9, 0, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":-1,"completion_tokens":{"n":1},"x":[[[]]]}"#,
                usage(0, 0, 0, 0, 0),
            ),
        ];
        for (json, expected) in rows {
            assert_eq!(openai(json), Some(expected), "{json}");
        }
        for json in ["null", "{}", "[]", r#"{"total_tokens":3}"#, "7", "\"x\""] {
            assert_eq!(openai(json), None, "{json}");
        }
    }

    #[test]
    fn anthropic_counts_the_cached_beside_the_input() {
        let json = r#"{"input_tokens":4,"cache_creation_input_tokens":30,
            "cache_read_input_tokens":200,"output_tokens":7,
            "output_tokens_details":{"thinking_tokens":5}}"#;
        assert_eq!(anthropic(json), Some(usage(234, 7, 200, 30, 5)));
        assert_eq!(
            anthropic(r#"{"output_tokens":7}"#),
            Some(usage(0, 7, 0, 0, 0))
        );
        assert_eq!(anthropic("{}"), None);
    }
}
