//! The API page and the description it draws: bytes of the binary.
//!
//! `/docs` loads its style sheet, its script and `/openapi.json` from beside
//! itself and nothing from anywhere else, which its content security policy
//! states and the browser enforces. All addresses in it are relative, so it
//! also works under a prefix. Nothing here does I/O: [`find`] looks a path up,
//! [`Page::reply`] makes the answer.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

/// No inline script or style, nothing from elsewhere, nobody may frame it. A
/// form that a script does not catch must not send its key anywhere either.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

static PAGES: LazyLock<[Page; 4]> = LazyLock::new(|| {
    [
        Page::new(
            "/openapi.json",
            "application/json",
            include_str!("pages/openapi.json"),
        ),
        Page::new(
            "/docs",
            "text/html; charset=utf-8",
            include_str!("pages/docs.html"),
        ),
        Page::new(
            "/docs/docs.css",
            "text/css; charset=utf-8",
            include_str!("pages/docs.css"),
        ),
        Page::new(
            "/docs/docs.js",
            "text/javascript; charset=utf-8",
            include_str!("pages/docs.js"),
        ),
    ]
});

/// The page at `path`, if there is one.
pub fn find(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

/// One file that is part of the binary.
#[derive(Debug)]
pub struct Page {
    path: &'static str,
    content_type: HeaderValue,
    body: Bytes,
    /// Changes exactly when the body does; a strong validator (RFC 9110 §8.8.3).
    etag: HeaderValue,
}

impl Page {
    fn new(path: &'static str, content_type: &'static str, body: &'static str) -> Self {
        let digest: String = Sha256::digest(body)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            path,
            content_type: HeaderValue::from_static(content_type),
            body: Bytes::from_static(body.as_bytes()),
            etag: HeaderValue::try_from(format!("\"{digest}\""))
                .expect("hexadecimal digits in quotes are a header value"),
        }
    }

    /// The answer to a GET: the page, or 304 where `if_none_match` names it.
    pub fn reply(&self, if_none_match: Option<&str>) -> Response<Bytes> {
        let known = if_none_match.is_some_and(|sent| self.is_named_by(sent));
        let mut reply = Response::new(if known {
            Bytes::new()
        } else {
            self.body.clone()
        });
        if known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = reply.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        // Kept, but asked about each time: an upgrade shows at once.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        reply
    }

    /// Whether an `If-None-Match` has this page's tag. The comparison is the
    /// weak one (RFC 9110 §13.1.2): proxies that compress make tags weak.
    fn is_named_by(&self, sent: &str) -> bool {
        sent.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests;
