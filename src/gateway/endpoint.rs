//! Which endpoint a method and a path mean, and in which dialect its caller is
//! to be answered.

use http::Method;

use crate::dialect::{Dialect, Format};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};

/// What a method and a path ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A call in a known wire form, for whoever serves its model.
    Call(Format),
    /// The same, addressed to one provider by path.
    CallTo(Format, String),
    /// The plain endpoint.
    Generate(Flavour),
    /// Many plain calls at once.
    Batch,
    /// The kept answers, to drop some.
    Purge,
    /// The list of models.
    Models,
    /// One model of it.
    Model(String),
    /// Anything else a provider serves, untouched.
    Raw {
        /// The provider named by the path.
        provider: String,
        /// The rest of the path, with its leading slash.
        rest: String,
    },
}

/// Which of the two plain endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `/generate`.
    Any,
    /// `/generate_claude`, with its own defaults.
    Claude,
}

impl Endpoint {
    /// Finds the endpoint. Paths that begin with a provider's name are left to
    /// the plan: whether that provider exists is not known here.
    pub fn of(method: &Method, path: &str) -> Result<Self, Error> {
        let found = match path {
            "/generate" => Some((Method::POST, Self::Generate(Flavour::Any))),
            "/generate_claude" => Some((Method::POST, Self::Generate(Flavour::Claude))),
            "/generate/batch" => Some((Method::POST, Self::Batch)),
            "/cache/purge" => Some((Method::POST, Self::Purge)),
            "/v1/models" | "/models" => Some((Method::GET, Self::Models)),
            "/v1/messages" => Some((Method::POST, Self::Call(Format::Messages))),
            "/v1/messages/count_tokens" => Some((Method::POST, Self::Call(Format::CountTokens))),
            _ => openai_format(path.strip_prefix("/v1").unwrap_or(path))
                .map(|format| (Method::POST, Self::Call(format))),
        };
        if let Some((wanted, endpoint)) = found {
            return allow(method, &wanted, path, endpoint);
        }
        let unversioned = path.strip_prefix("/v1").unwrap_or(path);
        if let Some(id) = unversioned
            .strip_prefix("/models/")
            .filter(|id| !id.is_empty())
        {
            let id = percent_decode(id);
            return allow(method, &Method::GET, path, Self::Model(id));
        }
        Self::of_provider(method, path)
    }

    /// `/{provider}/…`.
    fn of_provider(method: &Method, path: &str) -> Result<Self, Error> {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let provider = parts.next().unwrap_or_default();
        let Some(rest) = parts.next().filter(|_| !is_reserved(provider)) else {
            return Err(not_found(path));
        };
        let rest = format!("/{rest}");
        let call = match rest.strip_prefix("/v1").unwrap_or(&rest) {
            "/messages" => Some(Format::Messages),
            "/messages/count_tokens" => Some(Format::CountTokens),
            other => openai_format(other),
        };
        let provider = provider.to_owned();
        Ok(match call {
            Some(format) if method == Method::POST => Self::CallTo(format, provider),
            _ => Self::Raw { provider, rest },
        })
    }

    /// The word for it in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Call(format) | Self::CallTo(format, _) => format.as_str(),
            Self::Generate(Flavour::Any) => "generate",
            Self::Generate(Flavour::Claude) => "generate_claude",
            Self::Batch => "generate_batch",
            Self::Purge => "cache_purge",
            Self::Models | Self::Model(_) => "models",
            Self::Raw { .. } => "raw",
        }
    }

    /// The dialect its caller speaks, and so the one its errors are told in.
    /// `None` is nowait's own: `application/problem+json`.
    pub fn dialect(&self, fields: &Fields) -> Option<Dialect> {
        match self {
            Self::Call(format) | Self::CallTo(format, _) => Some(format.dialect()),
            Self::Generate(_) | Self::Batch | Self::Purge => None,
            Self::Models | Self::Model(_) | Self::Raw { .. } => Some(spoken_by(fields)),
        }
    }
}

/// The dialect of a caller, told from its headers where the path says nothing:
/// Anthropic's clients always send `anthropic-version`.
pub fn spoken_by(fields: &Fields) -> Dialect {
    if fields.has(Name::AnthropicVersion) {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// The dialect errors are told in where a path is no endpoint: that of the
/// API the path belongs to, else nowait's own.
pub fn dialect_of_unknown(path: &str, fields: &Fields) -> Option<Dialect> {
    let of_api = path == "/v1" || path.starts_with("/v1/") || openai_format(path).is_some();
    let is_anthropic = path.starts_with("/v1/messages");
    match (is_anthropic, of_api) {
        (true, _) => Some(Dialect::Anthropic),
        (_, true) => Some(spoken_by(fields)),
        _ => None,
    }
}

fn openai_format(path: &str) -> Option<Format> {
    Some(match path {
        "/chat/completions" => Format::Chat,
        "/responses" => Format::Responses,
        "/completions" => Format::Completions,
        "/embeddings" => Format::Embeddings,
        _ => return None,
    })
}

/// First path segments that are nowait's own and never a provider.
fn is_reserved(segment: &str) -> bool {
    crate::provider::RESERVED_NAMES.contains(&segment)
}

fn allow(
    method: &Method,
    wanted: &Method,
    path: &str,
    endpoint: Endpoint,
) -> Result<Endpoint, Error> {
    if method == wanted || (wanted == Method::GET && method == Method::HEAD) {
        return Ok(endpoint);
    }
    Err(Error::new(
        Kind::MethodNotAllowed,
        format!(
            "{} {} is not served: use {wanted}",
            Shown(method.as_str()),
            Shown(path)
        ),
    )
    .allow(if wanted == Method::GET {
        "GET, HEAD"
    } else {
        "POST"
    }))
}

fn not_found(path: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format!(
            "no endpoint at {}: the paths are listed at /docs, and /{{provider}}/… passes anything to a provider",
            Shown(path)
        ),
    )
}

/// A caller's text in a message: cut to a length a log line bears.
struct Shown<'a>(&'a str);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.char_indices().nth(200) {
            Some((cut, _)) => write!(f, "{}…", &self.0[..cut]),
            None => f.write_str(self.0),
        }
    }
}

/// Decodes `%XX`; what is not a valid escape stays as it is.
pub fn percent_decode(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits are at most 255.
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints() {
        let raw = |provider: &str, rest: &str| Endpoint::Raw {
            provider: provider.into(),
            rest: rest.into(),
        };
        for (method, path, expected) in [
            ("POST", "/generate", Endpoint::Generate(Flavour::Any)),
            (
                "POST",
                "/generate_claude",
                Endpoint::Generate(Flavour::Claude),
            ),
            ("POST", "/generate/batch", Endpoint::Batch),
            ("POST", "/cache/purge", Endpoint::Purge),
            ("POST", "/v1/chat/completions", Endpoint::Call(Format::Chat)),
            ("POST", "/chat/completions", Endpoint::Call(Format::Chat)),
            ("POST", "/v1/responses", Endpoint::Call(Format::Responses)),
            ("POST", "/completions", Endpoint::Call(Format::Completions)),
            ("POST", "/v1/embeddings", Endpoint::Call(Format::Embeddings)),
            ("POST", "/v1/messages", Endpoint::Call(Format::Messages)),
            (
                "POST",
                "/v1/messages/count_tokens",
                Endpoint::Call(Format::CountTokens),
            ),
            ("GET", "/v1/models", Endpoint::Models),
            ("HEAD", "/models", Endpoint::Models),
            (
                "GET",
                "/v1/models/openai%2Fgpt-4o",
                Endpoint::Model("openai/gpt-4o".into()),
            ),
            (
                "GET",
                "/models/openai/gpt-4o",
                Endpoint::Model("openai/gpt-4o".into()),
            ),
            ("GET", "/openai/v1/files", raw("openai", "/v1/files")),
            (
                "DELETE",
                "/openai/files/a%20b",
                raw("openai", "/files/a%20b"),
            ),
            ("POST", "/vllm/", raw("vllm", "/")),
            (
                "POST",
                "/openai/v1/chat/completions",
                Endpoint::CallTo(Format::Chat, "openai".into()),
            ),
            (
                "POST",
                "/anthropic/v1/messages",
                Endpoint::CallTo(Format::Messages, "anthropic".into()),
            ),
            (
                "GET",
                "/openai/v1/responses",
                raw("openai", "/v1/responses"),
            ),
            ("GET", "/sim/stats", raw("sim", "/stats")),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(
                Endpoint::of(&method, path).unwrap(),
                expected,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn other_paths_and_methods_are_refused_by_name() {
        for (method, path, kind) in [
            (Method::GET, "/generate", Kind::MethodNotAllowed),
            (Method::GET, "/v1/chat/completions", Kind::MethodNotAllowed),
            (Method::POST, "/v1/models", Kind::MethodNotAllowed),
            (Method::GET, "/", Kind::NotFound),
            (Method::GET, "/nothing", Kind::NotFound),
            (Method::POST, "/v1/audio/speech", Kind::NotFound),
            (Method::POST, "/generate/other", Kind::NotFound),
            (Method::GET, "/dashboard/x", Kind::NotFound),
        ] {
            assert_eq!(
                Endpoint::of(&method, path).unwrap_err().kind(),
                kind,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn percent_escapes_are_decoded_and_broken_ones_kept() {
        for (text, expected) in [
            ("a%2Fb", "a/b"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(percent_decode(text), expected);
        }
    }
}
