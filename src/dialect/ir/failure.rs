//! A provider's error, whatever its shape was.

use std::time::Duration;

use serde_json::Value;

use crate::dialect::complaint::{Complaint, complaint};
use crate::dialect::generate::refusal;

/// What went wrong at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing.
    pub class: Class,
    /// The status it came with, where it came as a response; the one it should
    /// have come with, where the words say that (Gemini's 400 of a key).
    pub status: Option<u16>,
    /// What the provider said; never empty.
    pub message: String,
    /// Its own code or type, where it named one.
    pub code: Option<String>,
    /// The field at fault, where it named one.
    pub param: Option<String>,
    /// When to try again, where the body says it (Gemini's `RetryInfo`).
    pub retry_after: Option<Duration>,
}

/// The kinds of failures that providers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request isn't what the provider takes.
    InvalidRequest,
    /// More tokens than the model reads.
    ContextLength,
    /// A wrong key, or none.
    Authentication,
    /// A key that may not do this.
    Permission,
    /// No money left.
    Billing,
    /// No such model, or no such thing.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many calls or tokens.
    RateLimited,
    /// The provider is busy.
    Overloaded,
    /// The provider took too long.
    Timeout,
    /// The provider failed.
    Server,
}

impl Class {
    /// The status that says this, where the provider's own isn't known: the
    /// one most APIs use. Anthropic says 529 for [`Self::Overloaded`].
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::ContextLength => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Server => 500,
            Self::Overloaded => 503,
            Self::Timeout => 504,
        }
    }

    /// What a provider's word for an error means, where it is known: OpenAI's
    /// `code` and `type`, Anthropic's `type`, Google's `status`.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "context_length_exceeded" | "exceed_context_size_error" => Self::ContextLength,
            "invalid_api_key" | "authentication_error" | "UNAUTHENTICATED" => Self::Authentication,
            "permission_error" | "PERMISSION_DENIED" => Self::Permission,
            "insufficient_quota" | "billing_error" => Self::Billing,
            "model_not_found" | "not_found_error" | "NOT_FOUND" => Self::NotFound,
            "request_too_large" => Self::TooLarge,
            "rate_limit_exceeded"
            | "rate_limit_error"
            | "rate_limited"
            | "tokens"
            | "requests"
            | "RESOURCE_EXHAUSTED" => Self::RateLimited,
            "overloaded_error" | "overloaded" | "UNAVAILABLE" => Self::Overloaded,
            "timeout_error" | "timeout" | "DEADLINE_EXCEEDED" => Self::Timeout,
            "server_error" | "api_error" | "internal_error" | "INTERNAL" | "UNKNOWN" => {
                Self::Server
            }
            "invalid_request_error"
            | "invalid_request"
            | "unsupported_parameter"
            | "unsupported_value"
            | "unknown_parameter"
            | "INVALID_ARGUMENT"
            | "FAILED_PRECONDITION"
            | "OUT_OF_RANGE" => Self::InvalidRequest,
            _ => return None,
        })
    }

    /// What a status by itself means.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Server,
        }
    }
}

impl Failure {
    /// A failure that no provider worded.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            message: message.into(),
            code: None,
            param: None,
            retry_after: None,
        }
    }

    /// The answer broke off.
    pub fn cut() -> Self {
        Self::new(
            Class::Server,
            "the provider's stream ended before its answer did; try again",
        )
    }

    /// Reads a provider's error: the body of a response with its status, or
    /// the data of an error event.
    ///
    /// The status says whose fault it is, unless it is the general 400 or 500
    /// or there is none; the words say it then. What the status never says
    /// ([`Complaint`]) is in the words alone.
    pub fn read(status: Option<u16>, body: &[u8]) -> Self {
        let told = refusal(body);
        let about = complaint(status, body);
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = error_in(&value);
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let words = [
            told.code.as_deref(),
            text("code"),
            text("type"),
            text("status"),
        ];
        let by_word = words.into_iter().flatten().find_map(Class::of_word);
        let status = match about {
            // Which says more than the status it came with.
            Complaint::Status(401) => Some(401),
            _ => status.or_else(|| status_in(error)),
        };
        let class = match (status, by_word) {
            _ if about == Complaint::ContextLength => Class::ContextLength,
            _ if about == Complaint::Exhausted => Class::Billing,
            (None | Some(400 | 500), Some(class)) => class,
            (Some(status), _) => Class::of_status(status),
            (None, None) => Class::Server,
        };
        Self {
            class,
            status,
            message: told.message,
            code: told.code,
            param: text("param").map(str::to_owned),
            retry_after: retry_delay(error),
        }
    }

    /// The error that a body with a good status is in place of an answer, where
    /// it says what kind of one.
    pub fn instead(body: &[u8]) -> Option<Self> {
        let told = Self::read(None, body);
        (told.code.is_some() || told.status.is_some()).then_some(told)
    }

    /// The status the caller gets where nothing else decides it.
    pub fn status(&self) -> u16 {
        self.status
            .filter(|status| (400..=599).contains(status))
            .unwrap_or_else(|| self.class.status())
    }
}

/// The object that names the error, in whatever it is wrapped.
fn error_in(value: &Value) -> &Value {
    match value {
        Value::Array(items) => items.first().map_or(value, error_in),
        Value::Object(fields) => match fields.get("error").or_else(|| fields.get("response")) {
            Some(inner @ Value::Object(_)) => error_in(inner),
            _ => value,
        },
        _ => value,
    }
}

/// A status that is told in the body: Gemini's and llama.cpp's `code`, Groq's
/// `status_code`.
fn status_in(error: &Value) -> Option<u16> {
    ["code", "status_code", "status"]
        .iter()
        .filter_map(|name| error.get(*name)?.as_u64())
        .find_map(|number| {
            u16::try_from(number)
                .ok()
                .filter(|it| (400..600).contains(it))
        })
}

/// Google's `RetryInfo`: a number of seconds with its unit.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details
        .iter()
        .find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_words_make_the_class() {
        let rows = [
            (
                Some(401),
                r#"{"error":{"message":"no","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Class::Authentication,
                401,
            ),
            (
                Some(400),
                r#"{"error":{"message":"no","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                Class::ContextLength,
                400,
            ),
            (
                Some(429),
                r#"{"error":{"message":"no","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Class::Billing,
                429,
            ),
            (
                Some(529),
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Class::Overloaded,
                529,
            ),
            (
                None,
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#,
                Class::Overloaded,
                503,
            ),
            (
                None,
                r#"{"error":{"message":"bad","type":"x","status_code":400}}"#,
                Class::InvalidRequest,
                400,
            ),
            (
                Some(400),
                r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
                Class::Authentication,
                401,
            ),
            (
                Some(404),
                r#"{"error":{"message":"no model","code":"model_not_found"}}"#,
                Class::NotFound,
                404,
            ),
            (Some(502), "<html>", Class::Server, 502),
            (None, "", Class::Server, 500),
        ];
        for (status, body, class, sent) in rows {
            let failure = Failure::read(status, body.as_bytes());
            assert_eq!(failure.class, class, "{body}");
            assert_eq!(failure.status(), sent, "{body}");
            assert!(!failure.message.is_empty());
        }
    }

    #[test]
    fn googles_wait_is_read() {
        let body = r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"retryDelay":"48.5s"}]}}]"#;
        let failure = Failure::read(Some(429), body.as_bytes());
        assert_eq!(failure.retry_after, Some(Duration::from_millis(48_500)));
        assert_eq!(failure.code.as_deref(), Some("RESOURCE_EXHAUSTED"));
    }
}
