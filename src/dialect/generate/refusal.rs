//! What a provider's error body says, whatever its shape.
//!
//! Every provider has one of its own: OpenAI's and Anthropic's nested object,
//! Gemini's (in an array on streams), a bare text under `error`, `message` or
//! `detail`, or no JSON at all.

use serde_json::Value;

use crate::dialect::generate::Refusal;

/// No more of a message than this is kept, in bytes; some providers repeat
/// the whole request in it.
const LONGEST: usize = 4096;

/// Reads a provider's error body. The message is never empty.
pub fn refusal(body: &[u8]) -> Refusal {
    let mut refusal = match serde_json::from_slice::<Value>(body) {
        Ok(value) => of_value(&value).unwrap_or_default(),
        Err(_) => plain(body),
    };
    if refusal.message.trim().is_empty() {
        refusal.message = "the provider gave no reason".to_owned();
    }
    refusal.message = shortened(refusal.message);
    refusal
}

fn of_value(value: &Value) -> Option<Refusal> {
    match value {
        Value::String(text) => Some(Refusal {
            message: text.clone(),
            code: None,
        }),
        Value::Array(items) => items.first().and_then(of_value),
        Value::Object(fields) => {
            let outer = code(value);
            let told = ["error", "response", "errors", "message", "detail", "msg"]
                .iter()
                .filter_map(|name| fields.get(*name))
                .find_map(of_value)?;
            Some(Refusal {
                code: told.code.or(outer),
                message: told.message,
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The most telling of an error's codes: a word before a number, a precise
/// one (`code`, Gemini's `status`) before a class (`type`).
fn code(value: &Value) -> Option<String> {
    let word = ["code", "status", "type"]
        .iter()
        .filter_map(|name| value.get(*name)?.as_str())
        .find(|word| !matches!(*word, "" | "error"));
    let number = || Some(value.get("code")?.as_u64()?.to_string());
    word.map(str::to_owned).or_else(number)
}

/// A body that isn't JSON: text as it is, but no HTML page.
fn plain(body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
    let text = text.trim();
    let message = if text.starts_with('<') {
        "the provider sent an HTML page instead of a reason".to_owned()
    } else {
        text.to_owned()
    };
    Refusal {
        message,
        code: None,
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST {
        let end = (0..=LONGEST)
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_says_why() {
        let rows = [
            (
                r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
                "no",
                Some("invalid_api_key"),
            ),
            (
                r#"{"error":{"message":"no","type":"server_error","code":null}}"#,
                "no",
                Some("server_error"),
            ),
            (
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"no"},"request_id":"r"}"#,
                "no",
                Some("overloaded_error"),
            ),
            (
                r#"[{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}]"#,
                "no",
                Some("RESOURCE_EXHAUSTED"),
            ),
            (
                r#"{"error":{"code":400,"message":"no"}}"#,
                "no",
                Some("400"),
            ),
            (r#"{"code":"limit","error":"no"}"#, "no", Some("limit")),
            (r#"{"error":"no"}"#, "no", None),
            (r#"{"message":"no"}"#, "no", None),
            (r#"{"detail":"no"}"#, "no", None),
            (
                r#"{"detail":[{"loc":["body"],"msg":"no","type":"missing"}]}"#,
                "no",
                Some("missing"),
            ),
            (
                r#"{"object":"error","message":"no","code":404}"#,
                "no",
                Some("404"),
            ),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"no"}}}"#,
                "no",
                Some("rate_limit_exceeded"),
            ),
            ("no\n", "no", None),
            (
                "<html>no</html>",
                "the provider sent an HTML page instead of a reason",
                None,
            ),
            ("", "the provider gave no reason", None),
            ("{}", "the provider gave no reason", None),
            (
                r#"{"error":{"message":""}}"#,
                "the provider gave no reason",
                None,
            ),
        ];
        for (body, message, code) in rows {
            let refusal = refusal(body.as_bytes());
            assert_eq!(refusal.message, message, "{body}");
            assert_eq!(refusal.code.as_deref(), code, "{body}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let body = format!(r#"{{"error":"{}"}}"#, "é".repeat(5000));
        let message = refusal(body.as_bytes()).message;
        assert!(message.len() <= LONGEST + '…'.len_utf8() && message.ends_with("é…"));
    }
}
