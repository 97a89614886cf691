//! Which endpoint a request is for.

use http::request::Parts;
use http::{HeaderMap, Method};

use super::ask::Form;
use super::refusal::{Accent, Refusal};
use super::stats::Endpoint;

/// An endpoint, with what its path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Text(Form),
    CountTokens,
    Embeddings,
    /// All models, or one.
    Models(Option<String>),
    /// `/echo…`: what came in, as JSON.
    Echo,
    /// `/upload…`: the length and the SHA-256 of the body.
    Upload,
    /// `/download/N`: so many bytes.
    Download(u64),
}

impl Route {
    /// The route of a request, and the accent to answer in; with or without `/v1`.
    pub(crate) fn of(head: &Parts) -> (Accent, Result<Self, Refusal>) {
        let path = head.uri.path();
        let path = match path.strip_prefix("/v1") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let accent = match path {
            "/messages" | "/messages/count_tokens" => Accent::Anthropic,
            _ => accent(&head.headers),
        };
        let (method, route) = match path {
            "/chat/completions" => (Method::POST, Self::Text(Form::Chat)),
            "/completions" => (Method::POST, Self::Text(Form::Completions)),
            "/responses" => (Method::POST, Self::Text(Form::Responses)),
            "/messages" => (Method::POST, Self::Text(Form::Messages)),
            "/messages/count_tokens" => (Method::POST, Self::CountTokens),
            "/embeddings" => (Method::POST, Self::Embeddings),
            "/models" => (Method::GET, Self::Models(None)),
            _ => match Self::with_tail(path, &head.method) {
                Some(route) => return (accent, Ok(route)),
                None => {
                    let message = format!("no such path: {} {path}", head.method);
                    return (accent, Err(Refusal::of(404, Some("unknown_url"), message)));
                }
            },
        };
        if head.method != method {
            let message = format!("{path} takes {method}, not {}", head.method);
            return (
                accent,
                Err(Refusal::of(405, Some("method_not_supported"), message)),
            );
        }
        (accent, Ok(route))
    }

    fn with_tail(path: &str, method: &Method) -> Option<Self> {
        let (first, tail) = path
            .strip_prefix('/')?
            .split_once('/')
            .unwrap_or((&path[1..], ""));
        match first {
            "models" if method == Method::GET => Some(Self::Models(Some(tail.to_owned()))),
            "echo" => Some(Self::Echo),
            "upload" => Some(Self::Upload),
            "download" => tail.parse().ok().map(Self::Download),
            _ => None,
        }
    }

    /// What the counters call it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Text(Form::Chat) => Endpoint::Chat,
            Self::Text(Form::Completions) => Endpoint::Completions,
            Self::Text(Form::Responses) => Endpoint::Responses,
            Self::Text(Form::Messages) => Endpoint::Messages,
            Self::CountTokens => Endpoint::CountTokens,
            Self::Embeddings => Endpoint::Embeddings,
            Self::Models(_) => Endpoint::Models,
            Self::Echo | Self::Upload | Self::Download(_) => Endpoint::Raw,
        }
    }
}

/// Only Anthropic's clients send a version.
fn accent(headers: &HeaderMap) -> Accent {
    if headers.contains_key("anthropic-version") {
        Accent::Anthropic
    } else {
        Accent::OpenAi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_endpoints() {
        let rows = [
            ("POST /v1/chat/completions", Ok(Route::Text(Form::Chat))),
            ("POST /chat/completions?x=1", Ok(Route::Text(Form::Chat))),
            ("POST /v1/completions", Ok(Route::Text(Form::Completions))),
            ("POST /responses", Ok(Route::Text(Form::Responses))),
            (
                "POST /v1/messages?beta=true",
                Ok(Route::Text(Form::Messages)),
            ),
            ("POST /v1/messages/count_tokens", Ok(Route::CountTokens)),
            ("POST /v1/embeddings", Ok(Route::Embeddings)),
            ("GET /v1/models", Ok(Route::Models(None))),
            (
                "GET /v1/models/a/b",
                Ok(Route::Models(Some("a/b".to_owned()))),
            ),
            ("DELETE /v1/echo/x", Ok(Route::Echo)),
            ("PUT /upload", Ok(Route::Upload)),
            ("GET /v1/download/12", Ok(Route::Download(12))),
            ("GET /v1/download/x", Err(404)),
            ("GET /v1/chat/completions", Err(405)),
            ("POST /v1/models", Err(405)),
            ("GET /v1", Err(404)),
            ("GET /v1x/models", Err(404)),
            ("GET /", Err(404)),
        ];
        for (line, expected) in rows {
            let (method, uri) = line.split_once(' ').unwrap();
            let request = http::Request::builder()
                .method(method)
                .uri(uri)
                .body(())
                .unwrap();
            let (accent, route) = Route::of(&request.into_parts().0);
            assert_eq!(route.map_err(|refusal| refusal.status), expected, "{line}");
            let is_anthropic = line.contains("/messages");
            assert_eq!(accent == Accent::Anthropic, is_anthropic, "{line}");
        }
    }
}
