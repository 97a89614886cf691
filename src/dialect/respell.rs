//! What is spelled otherwise in a chat call that isn't translated.
//!
//! Calls in the provider's own format travel byte for byte. The exceptions are
//! two words that some servers refuse and have another word for that means
//! exactly the same: the field `max_completion_tokens` (`max_tokens`) and the
//! role `developer` (`system`). They are put in place of the old ones; all other
//! bytes stay. What has no other word is the server's to refuse.

use std::ops::Range;

use super::json::scan::{Invalid, Scan};
use super::json::span_in;
use super::quirks::Refused;

/// `body` with other words for those in `refused`; nothing where it has none
/// of them, or isn't a chat call.
pub fn respell(body: &[u8], refused: Refused) -> Option<Vec<u8>> {
    let limit = refused.has("max_completion_tokens") && has(body, b"\"max_completion_tokens\"");
    let role = refused.has("developer") && has(body, b"\"developer\"");
    if !limit && !role {
        return None;
    }
    let text = simdutf8::basic::from_utf8(body).ok()?;
    let edits = edits(text, limit, role).ok()?;
    if edits.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    let mut from = 0;
    for (span, word) in edits {
        out.extend_from_slice(&body[from..span.start]);
        out.extend_from_slice(word.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(&body[from..]);
    Some(out)
}

fn has(body: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(body, word).is_some()
}

type Edits = Vec<(Range<usize>, &'static str)>;

fn edits(text: &str, limit: bool, role: bool) -> Result<Edits, Invalid> {
    let mut edits = Edits::new();
    let mut old = None;
    let mut new = None;
    let mut scan = Scan::new(text);
    scan.object(|scan, key| {
        let raw = match (&*key, role) {
            ("messages", true) if scan.peek() == b'[' => return messages(scan, text, &mut edits),
            _ => scan.skip()?,
        };
        match &*key {
            "max_completion_tokens" => new = Some(span_in(text, raw)),
            "max_tokens" => old = Some(()),
            _ => {}
        }
        Ok(())
    })?;
    // With both there the caller has seen to it.
    if let (true, Some(value), None) = (limit, new, old) {
        edits.extend(key_before(text, value.start).map(|span| (span, "\"max_tokens\"")));
    }
    edits.sort_by_key(|(span, _)| span.start);
    Ok(edits)
}

fn messages<'a>(scan: &mut Scan<'a>, text: &'a str, edits: &mut Edits) -> Result<(), Invalid> {
    scan.array(|scan| {
        if scan.peek() != b'{' {
            return scan.skip().map(drop);
        }
        scan.object(|scan, key| {
            let raw = scan.skip()?;
            if key == "role" && raw == "\"developer\"" {
                edits.push((span_in(text, raw), "\"system\""));
            }
            Ok(())
        })
    })
}

/// The key, quotes included, of the member whose value begins at `value`.
fn key_before(text: &str, value: usize) -> Option<Range<usize>> {
    let before = text[..value].trim_end().strip_suffix(':')?.trim_end();
    let word = "\"max_completion_tokens\"";
    before
        .ends_with(word)
        .then(|| before.len() - word.len()..before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_words_change() {
        let both = Refused::of(&["max_completion_tokens", "developer"]);
        let rows = [
            (
                r#"{"max_completion_tokens" : 1e1,  "messages":[ {"role": "developer","content":"developer"} ,1,{"content":"","role":"user"}]}"#,
                Some(
                    r#"{"max_tokens" : 1e1,  "messages":[ {"role": "system","content":"developer"} ,1,{"content":"","role":"user"}]}"#,
                ),
            ),
            (
                r#"{"messages":[{"role":"developer","content":"a"},{"role":"developer"}],"max_completion_tokens":3}"#,
                Some(
                    r#"{"messages":[{"role":"system","content":"a"},{"role":"system"}],"max_tokens":3}"#,
                ),
            ),
            // The same words where they mean something else.
            (
                r#"{"messages":[{"role":"user","content":"\"max_completion_tokens\" \"developer\""}]}"#,
                None,
            ),
            (
                r#"{"tools":[{"max_completion_tokens":1,"role":"developer"}]}"#,
                None,
            ),
            (
                r#"{"user":"max_completion_tokens","messages":"developer"}"#,
                None,
            ),
            (r#"{"max_completion_tokens":3,"max_tokens":2}"#, None),
            (r#"{"max_completion_tokens":3"#, None),
            (r#"[{"role":"developer"}]"#, None),
        ];
        for (body, expected) in rows {
            let respelled = respell(body.as_bytes(), both);
            let respelled = respelled.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(respelled.as_deref(), expected, "{body}");
            assert_eq!(respell(body.as_bytes(), Refused::of(&["seed"])), None);
        }
    }
}
