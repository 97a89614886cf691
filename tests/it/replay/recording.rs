//! One recorded interaction, as bytes: what was sent, and what came back.
//!
//! Bodies keep the bytes they have in the recording; where it holds JSON, its
//! own spelling of it, white space included.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use nowait::dialect::{Dialect, Format};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What was recorded.
pub(super) struct Recording {
    /// Its file, or its name in a list.
    pub(super) name: String,
    /// Who answered.
    pub(super) provider: String,
    /// The call's form, where it is one that nowait knows.
    pub(super) format: Option<Format>,
    pub(super) method: Method,
    /// The path before that of the form.
    pub(super) prefix: String,
    /// The path after it, with its leading slash.
    pub(super) path: String,
    /// With its question mark; empty where there is none.
    pub(super) query: String,
    pub(super) request_headers: HeaderMap,
    pub(super) request: Bytes,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The answer is a stream of events.
    pub(super) streamed: bool,
    /// It ends before its terminal event.
    pub(super) cut: bool,
}

#[derive(Deserialize)]
struct File {
    provider: String,
    #[serde(default)]
    request: Side,
    response: Side,
    /// The two fields of a shape put together from reports.
    id: Option<String>,
    status: Option<u16>,
}

#[derive(Default, Deserialize)]
struct Side {
    method: Option<String>,
    url: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, Texts>,
    body: Option<Box<RawValue>>,
    body_text: Option<String>,
    body_b64: Option<String>,
    sse: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Recording {
    /// Reads one file.
    pub(super) fn read(name: &Path, text: &str) -> Self {
        let name = name.display().to_string();
        let file = serde_json::from_str(text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        Self::of(name, file)
    }

    /// Reads the shapes of a list, one JSON object a line.
    pub(super) fn reported(text: &str) -> Vec<Self> {
        let files = text
            .lines()
            .map(|line| serde_json::from_str::<File>(line).unwrap());
        files
            .map(|file| Self::of(file.id.clone().unwrap(), file))
            .collect()
    }

    /// Reads a golden file of the project's own: a stream, an answer or a
    /// refusal. `None` for other kinds.
    pub(super) fn golden(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let streamed = name.ends_with(".sse");
        let seen = [".seen", ".request.json", ".folded", ".unfolded"];
        if name.contains(".as-") || seen.iter().any(|kind| name.ends_with(kind)) {
            return None;
        }
        let word = name.split('-').next()?;
        let format = Format::ALL
            .into_iter()
            .find(|format| format.as_str() == word)?;
        let dialect = format.dialect().as_str();
        let kind = if streamed {
            "text/event-stream"
        } else {
            "application/json"
        };
        Some(Self {
            name: name.to_owned(),
            provider: dialect.to_owned(),
            format: Some(format),
            method: Method::POST,
            prefix: if dialect == "openai" { "/v1" } else { "" }.to_owned(),
            path: format.path().to_owned(),
            query: String::new(),
            request_headers: HeaderMap::new(),
            request: usual_request(streamed).into(),
            status: if name.ends_with(".error.json") {
                StatusCode::TOO_MANY_REQUESTS
            } else {
                StatusCode::OK
            },
            headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind.parse().unwrap())]),
            body: std::fs::read(path).unwrap().into(),
            streamed,
            cut: name.contains("-cut."),
        })
    }

    fn of(name: String, file: File) -> Self {
        let streamed = file.response.sse.is_some();
        let url = file.request.url.clone();
        let url = url.unwrap_or_else(|| usual_url(&file.provider, file.response.sse.as_deref()));
        let (format, prefix, path, query) = locate(&url);
        let status = file.response.status.or(file.status).unwrap();
        let mut headers = header_map(&file.response.headers);
        if streamed && !headers.contains_key("content-type") {
            // Only a recording can lack it: no client reads a stream without.
            headers.insert("content-type", "text/event-stream".parse().unwrap());
        }
        // Told by the body; where that was not kept, wrong.
        headers.remove("content-length");
        let request = file.request.bytes().filter(|body| !body.is_empty());
        let has_request = request.is_some();
        Self {
            method: match file.request.method {
                None => Method::POST,
                Some(method) => method.parse().unwrap(),
            },
            request: match (request, format) {
                (Some(request), _) => request,
                (None, Some(_)) => usual_request(streamed).into(),
                (None, None) => Bytes::new(),
            },
            request_headers: if has_request {
                header_map(&file.request.headers)
            } else {
                HeaderMap::new()
            },
            body: file.response.bytes().unwrap_or_else(|| "{}".into()),
            status: StatusCode::from_u16(status).unwrap(),
            provider: file.provider,
            name,
            format,
            prefix,
            path,
            query,
            headers,
            streamed,
            cut: false,
        }
    }

    /// The dialect a provider needs for this to be a call of its own.
    pub(super) fn dialect(&self) -> Dialect {
        self.format.map_or(Dialect::OpenAi, Format::dialect)
    }

    /// The model it asks for, and where its JSON string lies in the request.
    pub(super) fn model(&self) -> Option<(String, Range<usize>)> {
        let fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(&self.request).ok()?;
        let raw = fields.get("model")?.get();
        let start = raw.as_ptr() as usize - self.request.as_ptr() as usize;
        let model = serde_json::from_str(raw).ok()?;
        Some((model, start..start + raw.len()))
    }
}

impl Side {
    fn bytes(&self) -> Option<Bytes> {
        let plain = base64::engine::general_purpose::STANDARD;
        if let Some(text) = &self.sse {
            return Some(text.clone().into());
        }
        if let Some(text) = &self.body_b64 {
            return Some(plain.decode(text).unwrap().into());
        }
        if let Some(text) = &self.body_text {
            // One recorder kept a JSON body in base64 and did not say so.
            return Some(match plain.decode(text) {
                Ok(decoded) if decoded.starts_with(b"{") => decoded.into(),
                _ => text.clone().into(),
            });
        }
        let body = self.body.as_ref()?.get();
        Some(match serde_json::from_str::<String>(body) {
            Ok(text) => text.into(),
            Err(_) => body.to_owned().into(),
        })
    }
}

fn header_map(recorded: &BTreeMap<String, Texts>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, texts) in recorded {
        let name: HeaderName = name.parse().unwrap();
        let texts = match texts {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        };
        for text in texts {
            headers.append(name.clone(), text.parse().unwrap());
        }
    }
    headers
}

/// A URL's form, and its path before and after where that begins.
fn locate(url: &str) -> (Option<Format>, String, String, String) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let (path, query) = match path.find('?') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    // Recorders hide places behind <NAMES>, which no path can hold.
    let path = path
        .replace("//", "/")
        .replace('<', "%3C")
        .replace('>', "%3E");
    for format in Format::ALL {
        if let Some(prefix) = path.strip_suffix(format.path())
            && !(format == Format::Completions && path.ends_with("/chat/completions"))
            && prefix != "/api"
        {
            let at = prefix.len();
            let (prefix, rest) = path.split_at(at);
            return (Some(format), prefix.into(), rest.into(), query.into());
        }
    }
    (None, String::new(), path, query.into())
}

/// The call an answer without its request belongs to.
fn usual_url(provider: &str, stream: Option<&str>) -> String {
    let stream = stream.unwrap_or_default();
    match provider {
        "anthropic" => "https://api.anthropic.com/v1/messages".to_owned(),
        _ if stream.contains("\"response.") => "https://api.openai.com/v1/responses".to_owned(),
        "gemini" | "vertex" | "bedrock" => "https://example.com/anything".to_owned(),
        _ => "https://api.openai.com/v1/chat/completions".to_owned(),
    }
}

fn usual_request(streamed: bool) -> String {
    format!(
        r#"{{ "model" : "gpt-4o-é", "stream": {streamed}, "messages": [],
  "of_tomorrow": {{ "n": 1.00000000000000000001, "s": "\u00e9\/é", "model": "no" }} }}
"#
    )
}
