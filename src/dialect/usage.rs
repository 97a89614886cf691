//! What a call took, in one arithmetic for all dialects.
//!
//! OpenAI counts cached tokens into `prompt_tokens`; Anthropic reports cache
//! reads and writes beside `input_tokens`. Here `input` is always everything
//! the model read.

use super::json::scan::Scan;
use super::json::{count, fields};

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

/// Takes the `usage` object of chat, completions, embeddings or Responses.
/// Compatible servers mix the names of both APIs, so both are looked for.
pub(crate) fn openai(scan: &mut Scan<'_>) -> Option<Usage> {
    let names = [
        "prompt_tokens",
        "input_tokens",
        "completion_tokens",
        "output_tokens",
        "prompt_tokens_details",
        "input_tokens_details",
        "completion_tokens_details",
        "output_tokens_details",
        "prompt_cache_hit_tokens",
    ];
    let found = scan.fields(names).ok()?;
    let [prompt, read, completion, written, rest @ ..] = found;
    let [of_prompt, of_read, of_completion, of_written, cache_hit] = rest;
    let input = prompt.or(read);
    let output = completion.or(written);
    input.or(output)?;
    let [cached, cache_write] = details(
        of_prompt.or(of_read),
        ["cached_tokens", "cache_write_tokens"],
    );
    let [reasoning] = details(of_completion.or(of_written), ["reasoning_tokens"]);
    Some(Usage {
        input: tokens(input),
        output: tokens(output),
        cached: tokens(cached.or(cache_hit)),
        cache_write: tokens(cache_write),
        reasoning: tokens(reasoning),
        estimated: false,
    })
}

/// Takes the `usage` object of the Messages API, whose `input_tokens` leave
/// out what was read from and written to the cache.
pub(crate) fn anthropic(scan: &mut Scan<'_>) -> Option<Usage> {
    let names = [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens_details",
    ];
    let [input, output, cached, cache_write, of_output] = scan.fields(names).ok()?;
    input.or(output)?;
    let [reasoning] = details(of_output, ["thinking_tokens"]);
    let cached = tokens(cached);
    let cache_write = tokens(cache_write);
    Some(Usage {
        input: tokens(input)
            .saturating_add(cached)
            .saturating_add(cache_write),
        output: tokens(output),
        cached,
        cache_write,
        reasoning: tokens(reasoning),
        estimated: false,
    })
}

/// Counts that are one level deeper; none where that is no object.
fn details<'a, const N: usize>(raw: Option<&'a str>, names: [&str; N]) -> [Option<&'a str>; N] {
    raw.and_then(|raw| fields(raw, names)).unwrap_or([None; N])
}

/// An absent count is 0.
fn tokens(raw: Option<&str>) -> u64 {
    raw.map_or(0, count)
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
            assert_eq!(openai(&mut Scan::new(json)), Some(expected), "{json}");
        }
        for json in ["null", "{}", "[]", r#"{"total_tokens":3}"#, "7", "\"x\""] {
            assert_eq!(openai(&mut Scan::new(json)), None, "{json}");
        }
    }

    #[test]
    fn anthropic_counts_the_cached_beside_the_input() {
        let json = r#"{"input_tokens":4,"cache_creation_input_tokens":30,
            "cache_read_input_tokens":200,"output_tokens":7,
            "output_tokens_details":{"thinking_tokens":5}}"#;
        assert_eq!(
            anthropic(&mut Scan::new(json)),
            Some(usage(234, 7, 200, 30, 5))
        );
        assert_eq!(
            anthropic(&mut Scan::new(r#"{"output_tokens":7}"#)),
            Some(usage(0, 7, 0, 0, 0))
        );
        assert_eq!(anthropic(&mut Scan::new("{}")), None);
    }
}
