//! About how many tokens a call is, for providers that can't be asked.
//!
//! A tokenizer's table is of one family of models and of megabytes; this is
//! arithmetic on what texts look like, held against recorded calls by a test
//! (`tests/it/recordings`). An estimate is marked as one wherever it is told.

use super::ir::{Content, Json, Media, MediaKind, Request, Source, Text, Tool, ToolKind};
use super::translate::Wire;
use crate::error::Error;

/// What stands around each turn: who speaks, where it begins and ends.
const PER_TURN: u64 = 4;
/// What stands around each tool and its schema.
const PER_TOOL: u64 = 12;
/// An image: between the 85 of OpenAI's low detail and the 1,600 that
/// Anthropic scales down to (platform.claude.com/docs/en/build-with-claude/vision).
const PER_IMAGE: u64 = 1_000;
/// Bytes of a PDF that are about one token: pages of some 50 KB are 1,500 to
/// 3,000 (platform.claude.com/docs/en/build-with-claude/pdf-support).
const PDF_BYTES: u64 = 25;
/// Bytes of sound or film that are about one token.
const SOUND_BYTES: u64 = 500;

/// The answer to a call of `/v1/messages/count_tokens` whose body this is.
///
/// # Errors
/// Of a body that isn't one, naming the field.
pub fn count_tokens(body: &str) -> Result<u64, Error> {
    let request = Wire::Messages.codec().decode_request(body)?;
    Ok(input_tokens(&request))
}

/// About how many tokens `request` is for whoever reads it.
pub fn input_tokens(request: &Request<'_>) -> u64 {
    let turns = request.turns.iter().map(|turn| {
        let parts = turn.parts.iter().map(|part| content(&part.content));
        PER_TURN + parts.sum::<u64>()
    });
    let tools = request.tools.iter().map(tool);
    turns.sum::<u64>() + tools.sum::<u64>() + PER_TURN
}

fn content(content: &Content<'_>) -> u64 {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => of_text(text),
        Content::Media(media) => of_media(media),
        Content::Reasoning(reasoned) => of_text(&reasoned.text),
        Content::Call(call) => of_text(&call.name) + of_text(&call.arguments) + PER_TOOL,
        Content::Result(result) => {
            let parts = result.parts.iter().map(|part| self::content(&part.content));
            PER_TURN + parts.sum::<u64>()
        }
        Content::Foreign { json, .. } => of_json(json),
    }
}

fn of_media(media: &Media<'_>) -> u64 {
    // Four characters of base64 are three bytes.
    let bytes = |data: &Text<'_>| data.as_escaped().len() as u64 * 3 / 4;
    match (media.kind, &media.source) {
        (MediaKind::Image, _) => PER_IMAGE,
        (_, Source::Text(text)) => of_text(text),
        (MediaKind::Document, Source::Base64 { data, .. }) => bytes(data) / PDF_BYTES,
        (_, Source::Base64 { data, .. }) => bytes(data) / SOUND_BYTES,
        (_, Source::Url { .. } | Source::File { .. }) => PER_IMAGE,
    }
}

fn tool(tool: &Tool<'_>) -> u64 {
    let said = |text: &Option<Text<'_>>| text.as_ref().map_or(0, of_text);
    let json = |json: &Option<Json<'_>>| json.as_ref().map_or(0, of_json);
    PER_TOOL
        + match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                ..
            } => of_text(name) + said(description) + json(parameters),
            ToolKind::Custom {
                name,
                description,
                format,
            } => of_text(name) + said(description) + json(format),
            ToolKind::WebSearch | ToolKind::Hosted(_) => 0,
        }
}

fn of_json(json: &Json<'_>) -> u64 {
    of_str(json.as_str())
}

fn of_text(text: &Text<'_>) -> u64 {
    of_str(&text.resolved())
}

/// What a tokenizer makes of `text`, about: a common word with the space before
/// it is one token and a long one some more, digits go in threes, marks that
/// follow each other go together now and then, and outside the Latin alphabet
/// a token is one or two letters.
fn of_str(text: &str) -> u64 {
    let mut quarters = 0;
    let mut run = (Kind::Space, 0u64);
    for c in text.chars().map(Some).chain([None]) {
        let kind = c.map_or(Kind::Space, Kind::of);
        if c.is_some() && kind == run.0 {
            run.1 += 1;
            continue;
        }
        quarters += run.0.quarters(run.1);
        run = (kind, 1);
    }
    // The last run is the end itself, which costs nothing.
    quarters.div_ceil(4)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Space,
    Letter,
    Digit,
    Mark,
    /// A letter of an alphabet that tokenizers know less well.
    Foreign,
    /// A character that is a word or a syllable.
    Word,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            ' ' | '\t' | '\r' | '\n' => Self::Space,
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Self::Letter,
            '0'..='9' => Self::Digit,
            '\0'..='\u{7f}' => Self::Mark,
            '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'.. => Self::Word,
            _ => Self::Foreign,
        }
    }

    /// Quarters of tokens in a run of `length`.
    fn quarters(self, length: u64) -> u64 {
        match self {
            // One space belongs to the word behind it.
            Self::Space => length.saturating_sub(1).div_ceil(4),
            Self::Letter => 4 + length.saturating_sub(6),
            Self::Digit => 4 * length.div_ceil(3),
            Self::Mark => 2 + 2 * length,
            Self::Foreign => 2 * length + 1,
            Self::Word => 4 * length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_about_as_long_as_they_look() {
        let rows = [
            ("", 0, 0),
            ("hello", 1, 1),
            ("The quick brown fox jumps over the lazy dog.", 9, 12),
            ("2026-11-22", 5, 9),
            (
                r#"{"type":"object","properties":{"city":{"type":"string"}}}"#,
                14,
                30,
            ),
            ("これは日本語の文です。", 8, 12),
            ("Съешь же ещё этих мягких французских булок", 12, 24),
            ("        deep", 2, 4),
        ];
        for (text, least, most) in rows {
            let count = of_str(text);
            assert!((least..=most).contains(&count), "{text}: {count}");
        }
    }

    #[test]
    fn a_call_is_all_that_is_in_it() {
        let count = |body: &str| count_tokens(body).unwrap();
        let bare = count(r#"{"model":"m","messages":[{"role":"user","content":"hello there"}]}"#);
        assert!((8..=14).contains(&bare), "{bare}");
        let more = [
            r#""system":"be brief and kind","#,
            r#""tools":[{"name":"f","description":"finds the weather","input_schema":{"type":"object"}}],"#,
        ];
        for more in more {
            let body = format!(
                r#"{{"model":"m",{more}"messages":[{{"role":"user","content":"hello there"}}]}}"#
            );
            assert!(count(&body) > bare + 3, "{more}");
        }
        let seen = count(
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a.test/b.png"}}]}]}"#,
        );
        assert!(seen > PER_IMAGE);
        let error = count_tokens(r#"{"messages":1}"#).unwrap_err();
        assert_eq!(error.field(), Some("messages"));
    }
}
