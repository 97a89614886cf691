//! What a provider says instead of an answer, in the words of its dialect.
//!
//! Shapes: OpenAI `{"error":{message,type,param,code}}`, all four always there;
//! Anthropic `{"type":"error","error":{type,message},"request_id"}`.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;

/// Which provider is being imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accent {
    OpenAi,
    Anthropic,
}

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// OpenAI's `code`; Anthropic has none.
    pub(crate) code: Option<&'static str>,
    /// The field at fault, as a path.
    pub(crate) param: Option<String>,
    /// What is wrong.
    pub(crate) message: Cow<'static, str>,
    /// Seconds, for `Retry-After`.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with what its status alone implies.
    pub(crate) fn status(status: u16, retry_after: u64) -> Self {
        let (code, message) = match status {
            400 => (
                None,
                "the simulated provider was told to refuse this request",
            ),
            401 => (
                Some("invalid_api_key"),
                "the api key is not one of this provider's",
            ),
            404 => (Some("model_not_found"), "the model does not exist"),
            429 => (Some("rate_limit_exceeded"), "the rate limit is used up"),
            503 | 529 => (None, "overloaded"),
            _ => (None, "the simulated provider was told to fail"),
        };
        let wait = matches!(status, 429 | 503 | 529).then_some(retry_after);
        Self {
            status,
            code,
            param: None,
            message: message.into(),
            retry_after: wait,
        }
    }

    /// A 400 about one field.
    pub(crate) fn field(
        code: &'static str,
        param: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status: 400,
            code: Some(code),
            param: Some(param.into()),
            message: message.into(),
            retry_after: None,
        }
    }

    /// A refusal that is about no field.
    pub(crate) fn of(
        status: u16,
        code: Option<&'static str>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            param: None,
            message: message.into(),
            retry_after: None,
        }
    }

    /// OpenAI's `type`.
    fn openai_type(&self) -> &'static str {
        match self.status {
            429 => "requests",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// Anthropic's `type`.
    fn anthropic_type(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The body of an error answer.
    pub(crate) fn body(&self, accent: Accent, request_id: &str) -> Bytes {
        let json = match accent {
            Accent::OpenAi => json!({"error": {
                "message": self.message, "type": self.openai_type(),
                "param": self.param, "code": self.code,
            }}),
            Accent::Anthropic => {
                let message = match &self.param {
                    Some(param) => format!("{param}: {}", self.message),
                    None => self.message.to_string(),
                };
                json!({
                    "type": "error",
                    "error": {"type": self.anthropic_type(), "message": message},
                    "request_id": request_id,
                })
            }
        };
        Bytes::from(json.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_gets_its_own_form() {
        let rows = [
            (400, "invalid_request_error", "invalid_request_error"),
            (401, "invalid_request_error", "authentication_error"),
            (404, "invalid_request_error", "not_found_error"),
            (429, "requests", "rate_limit_error"),
            (500, "server_error", "api_error"),
            (503, "server_error", "overloaded_error"),
            (529, "server_error", "overloaded_error"),
        ];
        for (status, openai, anthropic) in rows {
            let refusal = Refusal::status(status, 3);
            let body = |accent| {
                serde_json::from_slice::<serde_json::Value>(&refusal.body(accent, "req_1")).unwrap()
            };
            let (a, b) = (body(Accent::OpenAi), body(Accent::Anthropic));
            assert_eq!(a["error"]["type"], openai);
            for field in ["message", "type", "param", "code"] {
                assert!(a["error"].get(field).is_some(), "{status} {field}");
            }
            assert_eq!(
                (&b["error"]["type"], &b["type"]),
                (&anthropic.into(), &"error".into())
            );
            assert_eq!(b["request_id"], "req_1");
            assert_eq!(
                refusal.retry_after.is_some(),
                matches!(status, 429 | 503 | 529)
            );
        }
    }
}
