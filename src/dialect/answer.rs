//! What an unstreamed answer says of itself, beside the answer.
//!
//! The body itself is passed on untouched; this reads its usage and, where
//! asked, its id, model and finish reason. Nothing here fails: a body that
//! says nothing readable has told nothing.

use std::borrow::Cow;

use super::json::scan::Scan;
use super::json::{count, elements, fields, text};
use super::watch::{self, incomplete_reason};
use super::{Finish, Format, Usage, usage};

/// What [`read`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model the provider says it used.
    pub model: Option<String>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// What it took.
    pub usage: Option<Usage>,
}

/// Reads what a whole body says of itself.
pub fn read(format: Format, body: &[u8]) -> Told {
    let Some(answer) = outline(body) else {
        return Told::default();
    };
    Told {
        id: text(answer.id).map(Into::into),
        model: text(answer.model).map(Into::into),
        finish: answer.finish(format),
        usage: answer.usage(format),
    }
}

/// Reads only what a whole body took and why it ended, which is what every
/// call's accounts want; cheaper than [`read`].
pub fn outcome(format: Format, body: &[u8]) -> (Option<Usage>, Option<Finish>) {
    // In these two formats everything a model writes is in strings, so the
    // key can only be the format's own.
    if matches!(format, Format::Chat | Format::Completions)
        && let Some(usage) = closing_usage(format, body)
        && let Some(value) = watch::FINISH_REASON.value(body)
    {
        let word = value.strip_prefix(b"\"").and_then(|rest| {
            let end = memchr::memchr(b'"', rest)?;
            std::str::from_utf8(&rest[..end]).ok()
        });
        return (Some(usage), word.map(Finish::from_word));
    }
    let Some(answer) = outline(body) else {
        return (None, None);
    };
    (answer.usage(format), answer.finish(format))
}

/// Reads only the usage of a whole body.
///
/// Most bodies end with it, so the end is tried first: an embeddings answer
/// is hundreds of kilobytes of numbers that needn't be read.
pub fn usage_of(format: Format, body: &[u8]) -> Option<Usage> {
    if format != Format::CountTokens
        && let Some(usage) = closing_usage(format, body)
    {
        return Some(usage);
    }
    outline(body)?.usage(format)
}

/// A top-level `usage` that is the last field of `body`.
///
/// A key with its quotes and a colon isn't inside a string (its quotes would
/// be escaped there), and with one closing brace after its value it can only
/// be the top level's.
fn closing_usage(format: Format, body: &[u8]) -> Option<Usage> {
    let (usage, after) = last_usage(format, body)?;
    (after == "}").then_some(usage)
}

/// Reads the usage from the end of a body whose beginning was not kept. What
/// follows it in the answer's object may be texts and numbers, no more.
pub fn usage_at_end(format: Format, end: &[u8]) -> Option<Usage> {
    let (usage, after) = last_usage(format, end)?;
    let between = after.strip_suffix('}')?;
    let is_top_level = !between.contains(['{', '}', '[', ']']);
    is_top_level.then_some(usage)
}

/// The last `usage` in `body`, and what follows it.
fn last_usage(format: Format, body: &[u8]) -> Option<(Usage, &str)> {
    const KEY: &[u8] = b"\"usage\"";
    // A usage has no other g, or one in "reasoning_tokens": looking for that
    // letter takes a tenth of looking for the word from the end.
    let at = memchr::memrchr_iter(b'g', body).find_map(|g| {
        let at = g.checked_sub(4)?;
        body[at..].starts_with(KEY).then_some(at)
    })?;
    let rest = body[at + KEY.len()..].trim_ascii_start();
    let value = simdutf8::basic::from_utf8(rest.strip_prefix(b":")?).ok()?;
    let mut scan = Scan::new(value);
    let usage = read_usage(format, &mut scan)?;
    Some((usage, scan.rest().trim_ascii()))
}

fn read_usage(format: Format, scan: &mut Scan<'_>) -> Option<Usage> {
    match format {
        Format::Messages | Format::CountTokens => usage::anthropic(scan),
        Format::Chat | Format::Responses | Format::Completions | Format::Embeddings => {
            usage::openai(scan)
        }
    }
}

/// The fields of an answer that are read, as they are written.
struct Outline<'a> {
    id: Option<&'a str>,
    model: Option<&'a str>,
    usage: Option<&'a str>,
    choices: Option<&'a str>,
    stop_reason: Option<&'a str>,
    status: Option<&'a str>,
    incomplete_details: Option<&'a str>,
    output: Option<&'a str>,
    input_tokens: Option<&'a str>,
}

fn outline(body: &[u8]) -> Option<Outline<'_>> {
    let body = simdutf8::basic::from_utf8(body).ok()?;
    let names = [
        "id",
        "model",
        "usage",
        "choices",
        "stop_reason",
        "status",
        "incomplete_details",
        "output",
        "input_tokens",
    ];
    let [id, model, usage, choices, stop_reason, rest @ ..] = fields(body, names)?;
    let [status, incomplete_details, output, input_tokens] = rest;
    Some(Outline {
        id,
        model,
        usage,
        choices,
        stop_reason,
        status,
        incomplete_details,
        output,
        input_tokens,
    })
}

impl Outline<'_> {
    fn usage(&self, format: Format) -> Option<Usage> {
        if format == Format::CountTokens {
            return self.input_tokens.map(|raw| Usage {
                input: count(raw),
                ..Usage::default()
            });
        }
        read_usage(format, &mut Scan::new(self.usage?))
    }

    fn finish(&self, format: Format) -> Option<Finish> {
        let word = match format {
            Format::Chat | Format::Completions => first_finish_reason(self.choices?),
            Format::Messages => text(self.stop_reason),
            Format::Responses => return self.response_finish(),
            Format::Embeddings | Format::CountTokens => None,
        };
        word.as_deref().map(Finish::from_word)
    }

    fn response_finish(&self) -> Option<Finish> {
        let status = text(self.status)?;
        Some(match &*status {
            "incomplete" => self
                .incomplete_details
                .and_then(incomplete_reason)
                .unwrap_or(Finish::Length),
            "completed" if self.output.is_some_and(calls_a_function) => Finish::ToolCalls,
            status => Finish::from_word(status),
        })
    }
}

fn first_finish_reason(choices: &str) -> Option<Cow<'_, str>> {
    let [reason] = fields(elements(choices)?.first()?, ["finish_reason"])?;
    text(reason)
}

fn calls_a_function(output: &str) -> bool {
    let items = elements(output).unwrap_or_default();
    items.iter().any(|item| {
        let kind = fields(item, ["type"]).and_then(|[kind]| text(kind));
        matches!(kind.as_deref(), Some("function_call" | "custom_tool_call"))
    })
}

/// Fuzz body: the first byte chooses the format, the rest is a body. Panics
/// where the short cut to the usage disagrees with reading a valid body whole.
#[doc(hidden)]
pub fn fuzz_answer(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else {
        return;
    };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let (short, whole) = (usage_of(format, body), read(format, body).usage);
    if outline(body).is_some() {
        assert_eq!(short, whole);
        assert_eq!(outcome(format, body).0, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(input: u64, output: u64) -> Option<Usage> {
        Some(Usage {
            input,
            output,
            ..Usage::default()
        })
    }

    #[test]
    fn the_end_of_a_body_tells_its_usage() {
        let rows = [
            (
                r#"0.5]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
                took(8, 0),
            ),
            (
                r#"é"}],"usage": {"prompt_tokens":8,"completion_tokens":2} ,"service_tier":"default","n":null }"#,
                took(8, 2),
            ),
            // Something else's.
            (r#","usage":{"prompt_tokens":8}}]}"#, None),
            (r#","usage":{"prompt_tokens":8},"choices":[{}]}"#, None),
            (r#"said \"usage\":{"prompt_tokens":8}""#, None),
            (r#","usage":{"prompt_tok"#, None),
            ("", None),
        ];
        for (end, expected) in rows {
            assert_eq!(
                usage_at_end(Format::Chat, end.as_bytes()),
                expected,
                "{end}"
            );
        }
    }

    #[test]
    fn every_format_tells_its_usage_and_finish() {
        let rows = [
            (
                Format::Chat,
                r#"{"id":"c1","model":"m","choices":[{"finish_reason":"length","message":{"content":"x"}}],
                    "usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
                took(3, 2),
                Some(Finish::Length),
            ),
            (
                Format::Completions,
                r#"{"id":"c1","usage":{"prompt_tokens":3,"completion_tokens":2},
                    "choices":[{"text":"\"usage\":{\"prompt_tokens\":9}}","finish_reason":"stop"}]}"#,
                took(3, 2),
                Some(Finish::Stop),
            ),
            (
                Format::Responses,
                r#"{"status":"completed","output":[{"type":"function_call"}],
                    "usage":{"input_tokens":3,"output_tokens":2},"metadata":{"usage":{"input_tokens":9}}}"#,
                took(3, 2),
                Some(Finish::ToolCalls),
            ),
            (
                Format::Responses,
                r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"},"usage":null}"#,
                None,
                Some(Finish::ContentFilter),
            ),
            (
                Format::Messages,
                r#"{"type":"message","stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":2},
                    "content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}]}"#,
                took(3, 2),
                Some(Finish::ToolCalls),
            ),
            (
                Format::Embeddings,
                r#"{"data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#,
                took(3, 0),
                None,
            ),
            (
                Format::CountTokens,
                r#"{"input_tokens":3}"#,
                took(3, 0),
                None,
            ),
            (Format::Chat, r#"{"error":{"message":"no"}}"#, None, None),
            (Format::Chat, "<html>", None, None),
            (Format::Chat, "", None, None),
            (
                Format::Chat,
                r#""usage":{"prompt_tokens":1}}"#,
                took(1, 0),
                None,
            ),
        ];
        for (format, body, usage, finish) in rows {
            assert_eq!(usage_of(format, body.as_bytes()), usage, "{body}");
            let told = read(format, body.as_bytes());
            assert_eq!(told.finish, finish, "{body}");
            assert_eq!(outcome(format, body.as_bytes()).1, finish, "{body}");
            if serde_json::from_str::<serde_json::Value>(body).is_ok() {
                assert_eq!(told.usage, usage, "{body}");
            }
        }
        let told = read(Format::Chat, rows_body());
        assert_eq!(
            (told.id.as_deref(), told.model.as_deref()),
            (Some("c1"), Some("m"))
        );
    }

    fn rows_body() -> &'static [u8] {
        br#"{"id":"c1","object":"chat.completion","model":"m","choices":[]}"#
    }
}
