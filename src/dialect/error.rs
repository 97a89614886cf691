//! Errors of nowait's own, written in the caller's dialect.
//!
//! A provider's own error never comes through here: its bytes are passed on.
//! Which type and code a [`Kind`] has in which dialect is one exhaustive
//! `match` each. nowait's own endpoints answer with RFC 9457 problem details.

use bytes::Bytes;
use serde::Serialize;

use super::{Dialect, Format};
use crate::error::{Error, Kind};
use crate::sse;

/// What is told of one error, whatever the dialect.
#[derive(Clone, Copy, Debug)]
pub struct ErrorView<'a> {
    /// What happened; decides status, type and code.
    pub kind: Kind,
    /// What was being done, with what, and what to do now.
    pub message: &'a str,
    /// The path of the field at fault.
    pub param: Option<&'a str>,
    /// The request's id as the caller knows it.
    pub request_id: &'a str,
}

impl<'a> ErrorView<'a> {
    /// What `error` says, for the request of that id.
    pub fn new(error: &'a Error, request_id: &'a str) -> Self {
        Self {
            kind: error.kind(),
            message: error.message(),
            param: error.field(),
            request_id,
        }
    }

    /// The status code in the caller's dialect: Anthropic says 529 where
    /// others say 503.
    pub fn status(&self, dialect: Dialect) -> u16 {
        match (dialect, self.kind) {
            (Dialect::Anthropic, Kind::Overloaded) => 529,
            _ => self.kind.status().as_u16(),
        }
    }
}

/// The body of an error response in `dialect`, the form of the caller.
/// A [`Dialect::Sim`] or [`Dialect::Gemini`] caller doesn't exist; they read
/// OpenAI's form.
pub fn error_body(dialect: Dialect, view: &ErrorView<'_>) -> Bytes {
    match dialect {
        Dialect::Anthropic => json(&AnthropicError::of(view)),
        Dialect::OpenAi | Dialect::Gemini | Dialect::Sim => json(&OpenAiBody {
            error: OpenAiError::of(view),
        }),
    }
}

/// The body of an error response of nowait's own endpoints
/// (`application/problem+json`, RFC 9457).
pub fn problem_body(view: &ErrorView<'_>) -> Bytes {
    json(&Problem::of(view))
}

/// The event that ends a broken stream in the caller's format; nothing like
/// `[DONE]` or `message_stop` follows it, because the answer isn't whole.
///
/// `sequence_number` is the next one of a Responses stream ([`super::Watch`]
/// counts); other formats have none.
pub fn error_event(format: Format, view: &ErrorView<'_>, sequence_number: u64) -> Bytes {
    match format {
        Format::Messages | Format::CountTokens => {
            sse::event(Some("error"), &json(&AnthropicError::of(view)))
        }
        Format::Responses => {
            let event = ResponsesError::of(view, sequence_number);
            sse::event(Some("error"), &json(&event))
        }
        Format::Chat | Format::Completions | Format::Embeddings => {
            sse::event(None, &error_body(Dialect::OpenAi, view))
        }
    }
}

/// The event that ends a broken `/generate` stream.
pub fn problem_event(view: &ErrorView<'_>) -> Bytes {
    sse::event(Some("error"), &problem_body(view))
}

fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("structs of strings and numbers always serialise")
        .into()
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

/// All four fields are required by OpenAI's own description.
#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

impl<'a> OpenAiError<'a> {
    fn of(view: &ErrorView<'a>) -> Self {
        Self {
            message: view.message,
            kind: openai_type(view.kind),
            param: view.param,
            code: view.kind.code(),
        }
    }
}

/// The Responses API's `error` event: flat, as the specification has it, and
/// once more as the API sends it, without which the Python SDK hands the event
/// on and raises nothing.
#[derive(Serialize)]
struct ResponsesError<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    message: &'a str,
    param: Option<&'a str>,
    error: OpenAiError<'a>,
    sequence_number: u64,
}

impl<'a> ResponsesError<'a> {
    fn of(view: &ErrorView<'a>, sequence_number: u64) -> Self {
        Self {
            kind: "error",
            code: view.kind.code(),
            message: view.message,
            param: view.param,
            error: OpenAiError::of(view),
            sequence_number,
        }
    }
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: AnthropicDetail<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicDetail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

impl<'a> AnthropicError<'a> {
    fn of(view: &ErrorView<'a>) -> Self {
        Self {
            kind: "error",
            error: AnthropicDetail {
                kind: anthropic_type(view.kind),
                message: view.message,
            },
            request_id: view.request_id,
        }
    }
}

/// `about:blank` says that `title` is the status's own phrase (RFC 9457, 4.2.1);
/// what distinguishes the errors is `code`.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    request_id: &'a str,
}

impl<'a> Problem<'a> {
    fn of(view: &ErrorView<'a>) -> Self {
        let status = view.kind.status();
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: view.message,
            code: view.kind.code(),
            param: view.param,
            request_id: view.request_id,
        }
    }
}

/// The types OpenAI itself uses: `invalid_request_error` for everything that
/// is the caller's to mend, wrong keys and unknown models included.
fn openai_type(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::RequestTooLarge
        | Kind::RequestTimeout
        | Kind::TargetTooLong
        | Kind::HeadTooLarge
        | Kind::VersionNotSupported
        | Kind::InvalidApiKey
        | Kind::Forbidden
        | Kind::ModelNotFound
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::Loop => "invalid_request_error",
        Kind::RateLimited => "rate_limit_error",
        Kind::Overloaded
        | Kind::UpstreamUnreachable
        | Kind::UpstreamProtocol
        | Kind::Timeout
        | Kind::NotCached
        | Kind::Internal => "server_error",
    }
}

/// Anthropic's documented types.
fn anthropic_type(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::TargetTooLong
        | Kind::HeadTooLarge
        | Kind::VersionNotSupported
        | Kind::MethodNotAllowed
        | Kind::Loop => "invalid_request_error",
        Kind::RequestTooLarge => "request_too_large",
        Kind::InvalidApiKey => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::ModelNotFound | Kind::NotFound => "not_found_error",
        Kind::RateLimited => "rate_limit_error",
        Kind::Overloaded => "overloaded_error",
        Kind::RequestTimeout | Kind::Timeout | Kind::NotCached => "timeout_error",
        Kind::UpstreamUnreachable | Kind::UpstreamProtocol | Kind::Internal => "api_error",
    }
}

/// Fuzz body: whatever a message holds, every writer writes valid JSON (in
/// one frame) that says it back. Panics where not.
#[doc(hidden)]
pub fn fuzz_error(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let kind = match input.len() % 4 {
        0 => Kind::InvalidRequest,
        1 => Kind::Overloaded,
        2 => Kind::Timeout,
        _ => Kind::UpstreamProtocol,
    };
    let view = ErrorView {
        kind,
        message: &text,
        param: Some(&text),
        request_id: &text,
    };
    let says_it_back = |json: &[u8], path: &str| {
        let value: serde_json::Value = serde_json::from_slice(json).expect("valid JSON");
        let told = value.pointer(path).and_then(|told| told.as_str());
        assert_eq!(told, Some(&*text), "at {path}");
    };
    says_it_back(&error_body(Dialect::OpenAi, &view), "/error/message");
    says_it_back(&error_body(Dialect::Anthropic, &view), "/error/message");
    says_it_back(&problem_body(&view), "/detail");
    for (event, path) in [
        (error_event(Format::Chat, &view, 0), "/error/message"),
        (error_event(Format::Responses, &view, 7), "/message"),
        (error_event(Format::Messages, &view, 0), "/error/message"),
        (problem_event(&view), "/detail"),
    ] {
        let mut framer = sse::Framer::new(usize::MAX);
        framer.push(event.clone());
        assert_eq!(framer.next(), Some(sse::Piece::Frame(event.clone())));
        assert_eq!(framer.next(), None, "one frame");
        says_it_back(&sse::data(&event).expect("it has data"), path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: Kind) -> ErrorView<'static> {
        ErrorView {
            kind,
            message: "a \"message\"",
            param: Some("model"),
            request_id: "req_1",
        }
    }

    #[test]
    fn each_dialect_has_its_own_words() {
        let rows = [
            (
                Kind::InvalidRequest,
                400,
                "invalid_request_error",
                "invalid_request",
                400,
                "invalid_request_error",
            ),
            (
                Kind::RequestTooLarge,
                413,
                "invalid_request_error",
                "request_too_large",
                413,
                "request_too_large",
            ),
            (
                Kind::InvalidApiKey,
                401,
                "invalid_request_error",
                "invalid_api_key",
                401,
                "authentication_error",
            ),
            (
                Kind::ModelNotFound,
                404,
                "invalid_request_error",
                "model_not_found",
                404,
                "not_found_error",
            ),
            (
                Kind::RateLimited,
                429,
                "rate_limit_error",
                "rate_limited",
                429,
                "rate_limit_error",
            ),
            (
                Kind::Overloaded,
                503,
                "server_error",
                "overloaded",
                529,
                "overloaded_error",
            ),
            (
                Kind::UpstreamUnreachable,
                502,
                "server_error",
                "upstream_unreachable",
                502,
                "api_error",
            ),
            (
                Kind::Timeout,
                504,
                "server_error",
                "timeout",
                504,
                "timeout_error",
            ),
        ];
        for (kind, status, openai, code, anthropic_status, anthropic) in rows {
            let view = view(kind);
            assert_eq!(view.status(Dialect::OpenAi), status);
            assert_eq!(view.status(Dialect::Anthropic), anthropic_status);
            assert_eq!(
                error_body(Dialect::OpenAi, &view),
                format!(
                    r#"{{"error":{{"message":"a \"message\"","type":"{openai}","param":"model","code":"{code}"}}}}"#
                ),
            );
            assert_eq!(
                error_body(Dialect::Anthropic, &view),
                format!(
                    r#"{{"type":"error","error":{{"type":"{anthropic}","message":"a \"message\""}},"request_id":"req_1"}}"#
                ),
            );
        }
    }

    #[test]
    fn problems_are_rfc_9457() {
        let mut view = view(Kind::Timeout);
        view.param = None;
        assert_eq!(
            problem_body(&view),
            r#"{"type":"about:blank","title":"Gateway Timeout","status":504,"detail":"a \"message\"","code":"timeout","request_id":"req_1"}"#,
        );
    }

    #[test]
    fn a_broken_stream_ends_with_an_event_of_its_format() {
        let view = view(Kind::Timeout);
        let rows = [
            (Format::Chat, "data: {\"error\":{\"message\""),
            (Format::Completions, "data: {\"error\":{\"message\""),
            (
                Format::Messages,
                "event: error\ndata: {\"type\":\"error\",\"error\":{",
            ),
            (
                Format::Responses,
                "event: error\ndata: {\"type\":\"error\",\"code\":\"timeout\"",
            ),
        ];
        for (format, start) in rows {
            let event = error_event(format, &view, 9);
            assert!(event.starts_with(start.as_bytes()), "{event:?}");
        }
        let event = error_event(Format::Responses, &view, 9);
        assert!(event.ends_with(b",\"sequence_number\":9}\n\n"));
        let told: serde_json::Value =
            serde_json::from_slice(&sse::data(&event).expect("it has data")).expect("JSON");
        for field in ["code", "message", "param"] {
            assert_eq!(told[field], told["error"][field]);
        }
        assert_eq!(told["error"]["type"], "server_error");
    }
}
