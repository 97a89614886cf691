//! The one error: what happened, whose fault it is, and what the caller may be
//! told.
//!
//! Status, code and metric label are each one exhaustive `match` on [`Kind`],
//! so adding a kind stops the build in exactly those places. The wire body is
//! written by the caller's dialect from an error, never stored in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// The chain behind an error: for logs, never for the caller.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong with one request. One word wide, so that `Result` stays
/// small on the happy path. A copy is for another caller of the same call.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    origin: Origin,
    /// For the caller: what was being done, with what, and what to do now.
    message: Cow<'static, str>,
    /// The field at fault, as a path into the request's JSON.
    param: Option<String>,
    /// The methods a path takes, where the caller used another.
    allow: Option<&'static str>,
    /// What to tell a caller who may try again.
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not what its endpoint takes: bad JSON, wrong type,
    /// missing field, a combination that cannot work.
    InvalidRequest,
    /// The body is larger than `[server] max_body`.
    RequestTooLarge,
    /// The caller stopped sending its request.
    RequestTimeout,
    /// The target has more bytes than one may have.
    TargetTooLong,
    /// The head has too many fields, or too many bytes.
    HeadTooLarge,
    /// A version of HTTP that is not served.
    VersionNotSupported,
    /// No gateway key, or a wrong one.
    InvalidApiKey,
    /// A gateway key that may not do this.
    Forbidden,
    /// No configured provider serves this model.
    ModelNotFound,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// A limit of the gateway's own.
    RateLimited,
    /// A full queue, or a gateway that is draining.
    Overloaded,
    /// No answer: refused, unreachable, reset before the head, bad certificate.
    UpstreamUnreachable,
    /// An answer that is not the provider's protocol.
    UpstreamProtocol,
    /// A deadline passed: connect, first token, idle or total.
    Timeout,
    /// The caller takes an answer from the cache only, and it has none
    /// (RFC 9111 §5.2.1.7).
    NotCached,
    /// The request has been here before.
    Loop,
    /// A bug of ours.
    Internal,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller's.
    Caller,
    /// The provider's, or the network's on the way there.
    Upstream,
    /// Ours.
    Gateway,
}

impl Error {
    /// An error of `kind` that the caller is told about in `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            origin: kind.origin(),
            message: message.into(),
            param: None,
            allow: None,
            retry_after: None,
            source: None,
        }))
    }

    /// The request is not what its endpoint takes.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidRequest, message)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn param(mut self, path: impl Into<String>) -> Self {
        self.0.param = Some(path.into());
        self
    }

    /// Names the methods that the path takes, as the header `Allow` lists them
    /// (RFC 9110 §15.5.6 wants it on every 405).
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// Tells the caller when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps what lies behind it, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The field at fault, if one is.
    pub fn field(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The methods that the path takes, where that is what is wrong.
    pub fn methods(&self) -> Option<&'static str> {
        self.0.allow
    }

    /// When the caller may try again.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The chain behind it, for the log.
    pub fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Kind {
    /// The status an OpenAI client or one of nowait's own endpoints gets. The
    /// Anthropic dialect says 529 for [`Kind::Overloaded`].
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::InvalidApiKey => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::ModelNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamUnreachable | Self::UpstreamProtocol => StatusCode::BAD_GATEWAY,
            Self::Timeout | Self::NotCached => StatusCode::GATEWAY_TIMEOUT,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word for it, the same in bodies, logs and metric labels.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::VersionNotSupported => "version_not_supported",
            Self::InvalidApiKey => "invalid_api_key",
            Self::Forbidden => "forbidden",
            Self::ModelNotFound => "model_not_found",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::Timeout => "timeout",
            Self::NotCached => "not_cached",
            Self::Loop => "loop_detected",
            Self::Internal => "internal_error",
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::InvalidRequest
            | Self::RequestTooLarge
            | Self::RequestTimeout
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::VersionNotSupported
            | Self::InvalidApiKey
            | Self::Forbidden
            | Self::ModelNotFound
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Loop => Origin::Caller,
            Self::UpstreamUnreachable | Self::UpstreamProtocol | Self::Timeout => Origin::Upstream,
            Self::RateLimited | Self::Overloaded | Self::NotCached | Self::Internal => {
                Origin::Gateway
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.code(), self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut source = self.source();
        while let Some(cause) = source {
            // Causes often come told in the message already.
            let told = cause.to_string();
            if !self.0.message.contains(&told) {
                write!(f, ": {told}")?;
            }
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_shows_its_chain_only_to_the_log() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let error = Error::new(Kind::UpstreamUnreachable, "connecting to a:1 failed")
            .because(std::io::Error::other("refused by peer"));
        assert_eq!(
            error.to_string(),
            "upstream_unreachable: connecting to a:1 failed"
        );
        assert!(format!("{error:?}").ends_with("refused by peer"));
    }
}
