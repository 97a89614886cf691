//! The head of a request as each version of HTTP wants it.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri};

use super::body::Body;
use super::origin::Names;

/// Makes `request` one for HTTP/1.1: origin form (RFC 9112, 3.2.1) and `host`.
pub(super) fn prepare(request: &mut Request<Body>, names: &Names) {
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
    let headers = request.headers_mut();
    if !headers.contains_key(HOST) {
        headers.insert(HOST, names.host.clone());
    }
    *request.version_mut() = http::Version::HTTP_11;
}

/// The head for HTTP/2: the authority in its pseudo-header, and none of the
/// fields that speak about a connection (RFC 9113, 8.2.2 and 8.3.1).
pub(super) fn for_two(parts: http::request::Parts, body: &Body, names: &Names) -> Request<()> {
    let mut headers = parts.headers;
    strip(&mut headers);
    let length = http_body::Body::size_hint(body).exact();
    if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
        && (length > 0 || parts.method == http::Method::POST)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(names.scheme.clone());
    uri.authority = Some(names.authority.clone());
    let path = parts.uri.into_parts().path_and_query;
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let mut head = Request::new(());
    *head.method_mut() = parts.method;
    *head.headers_mut() = headers;
    // All three parts are there, which is all that `from_parts` asks for.
    *head.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *head.version_mut() = http::Version::HTTP_2;
    head
}

fn strip(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [
        HOST,
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

/// The pieces of a body held in memory, in order; none of a streamed one.
pub(super) fn pieces(body: Body) -> impl Iterator<Item = Bytes> {
    let pieces = match body {
        Body::Empty | Body::Stream(_) => [Bytes::new(), Bytes::new(), Bytes::new()],
        Body::Bytes(bytes) => [bytes, Bytes::new(), Bytes::new()],
        Body::Spliced(pieces) => *pieces,
    };
    pieces.into_iter().filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Origin;

    #[test]
    fn each_version_gets_its_own_head() {
        let names = Origin::new(true, "api.test", 8443).names().unwrap();
        let mut request = Request::post("https://elsewhere/v1/x?y=1")
            .header("connection", "close")
            .header("te", "gzip")
            .header("x-mine", "1")
            .body(Body::from(Bytes::from_static(b"abc")))
            .unwrap();
        prepare(&mut request, &names);
        assert_eq!(request.uri(), "/v1/x?y=1");
        assert_eq!(request.headers()[HOST], "api.test:8443");

        let (parts, body) = request.into_parts();
        let head = for_two(parts, &body, &names);
        assert_eq!(head.uri(), "https://api.test:8443/v1/x?y=1");
        let left: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-mine", "content-length"]);
    }
}
