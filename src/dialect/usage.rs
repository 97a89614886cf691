//! What a call took, in one arithmetic for all dialects.
//!
//! OpenAI counts cached tokens into `prompt_tokens`; Anthropic reports cache
//! reads and writes beside `input_tokens`. Here `input` is always everything
//! the model read.

use super::json::count;
use super::json::scan::{Invalid, Scan};

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
    let wire = Wire::take(scan).ok()?;
    let input = wire.prompt_tokens.or(wire.input_tokens);
    let output = wire.completion_tokens.or(wire.output_tokens);
    input.or(output)?;
    let of_input = wire.prompt_tokens_details.or(wire.input_tokens_details);
    let of_input = of_input.unwrap_or_default();
    let of_output = wire
        .completion_tokens_details
        .or(wire.output_tokens_details)
        .unwrap_or_default();
    Some(Usage {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        cached: of_input
            .cached_tokens
            .or(wire.prompt_cache_hit_tokens)
            .unwrap_or(0),
        cache_write: of_input.cache_write_tokens.unwrap_or(0),
        reasoning: of_output.reasoning_tokens.unwrap_or(0),
        estimated: false,
    })
}

/// Takes the `usage` object of the Messages API, whose `input_tokens` leave
/// out what was read from and written to the cache.
pub(crate) fn anthropic(scan: &mut Scan<'_>) -> Option<Usage> {
    let wire = Wire::take(scan).ok()?;
    wire.input_tokens.or(wire.output_tokens)?;
    let cached = wire.cache_read_input_tokens.unwrap_or(0);
    let cache_write = wire.cache_creation_input_tokens.unwrap_or(0);
    let of_output = wire.output_tokens_details.unwrap_or_default();
    Some(Usage {
        input: wire
            .input_tokens
            .unwrap_or(0)
            .saturating_add(cached)
            .saturating_add(cache_write),
        output: wire.output_tokens.unwrap_or(0),
        cached,
        cache_write,
        reasoning: of_output.thinking_tokens.unwrap_or(0),
        estimated: false,
    })
}

/// Takes Gemini's `usageMetadata`: what came from the cache is in the prompt,
/// what tools gave the model beside it, and the thoughts are beside what was
/// answered.
pub(crate) fn gemini(scan: &mut Scan<'_>) -> Option<Usage> {
    let (mut prompt, mut tools, mut answered, mut thoughts, mut cached) =
        (None, None, None, None, None);
    let all = scan.object(|scan, key| {
        let count = match &*key {
            "promptTokenCount" => &mut prompt,
            "toolUsePromptTokenCount" => &mut tools,
            "candidatesTokenCount" => &mut answered,
            "thoughtsTokenCount" => &mut thoughts,
            "cachedContentTokenCount" => &mut cached,
            _ => return pass(scan),
        };
        note(scan, count)
    });
    all.ok()?;
    prompt.or(answered).or(thoughts)?;
    let or_none = |count: Option<u64>| count.unwrap_or(0);
    Some(Usage {
        input: or_none(prompt).saturating_add(or_none(tools)),
        output: or_none(answered).saturating_add(or_none(thoughts)),
        cached: or_none(cached),
        cache_write: 0,
        reasoning: or_none(thoughts),
        estimated: false,
    })
}

/// Every name a count goes by.
#[derive(Default)]
struct Wire {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    prompt_cache_hit_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
}

impl Wire {
    fn take(scan: &mut Scan<'_>) -> Result<Self, Invalid> {
        let mut wire = Self::default();
        scan.object(|scan, key| {
            let count = match &*key {
                "prompt_tokens" => &mut wire.prompt_tokens,
                "completion_tokens" => &mut wire.completion_tokens,
                "input_tokens" => &mut wire.input_tokens,
                "output_tokens" => &mut wire.output_tokens,
                "cache_read_input_tokens" => &mut wire.cache_read_input_tokens,
                "cache_creation_input_tokens" => &mut wire.cache_creation_input_tokens,
                "prompt_cache_hit_tokens" => &mut wire.prompt_cache_hit_tokens,
                key => {
                    let details = match key {
                        "prompt_tokens_details" => &mut wire.prompt_tokens_details,
                        "completion_tokens_details" => &mut wire.completion_tokens_details,
                        "input_tokens_details" => &mut wire.input_tokens_details,
                        "output_tokens_details" => &mut wire.output_tokens_details,
                        _ => return pass(scan),
                    };
                    return match Details::take(scan)? {
                        Some(said) => once(details, said),
                        None => Ok(()),
                    };
                }
            };
            note(scan, count)
        })?;
        Ok(wire)
    }
}

#[derive(Default)]
struct Details {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    thinking_tokens: Option<u64>,
}

impl Details {
    /// Takes an object of details, or something else in its place.
    fn take(scan: &mut Scan<'_>) -> Result<Option<Self>, Invalid> {
        if scan.peek() != b'{' {
            return scan.skip().map(|_| None);
        }
        let mut details = Self::default();
        scan.object(|scan, key| {
            let count = match &*key {
                "cached_tokens" => &mut details.cached_tokens,
                "cache_write_tokens" => &mut details.cache_write_tokens,
                "reasoning_tokens" => &mut details.reasoning_tokens,
                "thinking_tokens" => &mut details.thinking_tokens,
                _ => return pass(scan),
            };
            note(scan, count)
        })?;
        Ok(Some(details))
    }
}

/// Takes a count into `slot`; a null says nothing.
#[inline]
fn note(scan: &mut Scan<'_>, slot: &mut Option<u64>) -> Result<(), Invalid> {
    let number = match scan.whole_number() {
        Some(number) => number,
        None => match scan.skip()? {
            "null" => return Ok(()),
            raw => count(raw),
        },
    };
    once(slot, number)
}

/// Passes what is not looked for, most often a count as well.
#[inline]
fn pass(scan: &mut Scan<'_>) -> Result<(), Invalid> {
    match scan.whole_number() {
        Some(_) => Ok(()),
        None => scan.skip().map(drop),
    }
}

/// Puts what was said where nothing was said before.
#[inline]
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Invalid> {
    match slot.replace(value) {
        Some(_) => Err(Invalid),
        None => Ok(()),
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

    #[test]
    fn gemini_counts_thoughts_beside_the_answer() {
        let rows = [
            (
                r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"toolUsePromptTokenCount":20,
                    "candidatesTokenCount":7,"thoughtsTokenCount":5,"totalTokenCount":132,
                    "promptTokensDetails":[{"modality":"TEXT","tokenCount":100}],"serviceTier":"standard"}"#,
                Some(usage(120, 12, 60, 0, 5)),
            ),
            (
                r#"{"candidatesTokenCount":18,"thoughtsTokenCount":58}"#,
                Some(usage(0, 76, 0, 0, 58)),
            ),
            (r#"{"trafficType":"ON_DEMAND"}"#, None),
        ];
        for (json, expected) in rows {
            assert_eq!(gemini(&mut Scan::new(json)), expected, "{json}");
        }
    }
}
