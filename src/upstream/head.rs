//! The head of a request as HTTP/2 wants it.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::uri::{self, Uri};

use super::body::Body;
use super::message::Request;
use super::origin::Names;
use crate::http1::{Name, NameSet};

/// Fields that speak about a connection (RFC 9113, 8.2.2), or about what a
/// pseudo-header tells.
const OF_ONE: NameSet = NameSet::of(&[
    Name::Host,
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::TransferEncoding,
    Name::Upgrade,
]);

/// The head for HTTP/2: the authority in its pseudo-header, and none of the
/// fields that speak about a connection (RFC 9113, 8.2.2 and 8.3.1).
pub(super) fn for_two(request: &Request, names: &Names) -> http::Request<()> {
    let mut head = http::Request::new(());
    let headers = head.headers_mut();
    headers.reserve(request.fields.len() + 1);
    for field in request.fields.iter() {
        let is_of_one = OF_ONE.has(field.name)
            || (field.name == Name::Te && !field.value.eq_ignore_ascii_case(b"trailers"));
        let name = HeaderName::from_bytes(field.text);
        if let (false, Ok(name), Ok(value)) =
            (is_of_one, name, HeaderValue::from_bytes(field.value))
        {
            headers.append(name, value);
        }
    }
    let length = http_body::Body::size_hint(&request.body).exact();
    if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
        && (length > 0 || request.method == http::Method::POST)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut uri = uri::Parts::default();
    uri.scheme = Some(names.scheme.clone());
    uri.authority = Some(names.authority.clone());
    uri.path_and_query = Some(request.target.clone());
    *head.method_mut() = request.method.clone();
    // All three parts are there, which is all that `from_parts` asks for.
    *head.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *head.version_mut() = http::Version::HTTP_2;
    head
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
    fn fields_about_a_connection_do_not_travel() {
        let names = Origin::new(true, "api.test", 8443).names().unwrap();
        let fields = [("connection", "close"), ("te", "gzip"), ("X-Mine", "1")];
        let request = Request {
            method: http::Method::POST,
            target: "/v1/x?y=1".parse().unwrap(),
            fields: fields.into_iter().collect(),
            body: Bytes::from_static(b"abc").into(),
        };
        let head = for_two(&request, &names);
        assert_eq!(head.uri(), "https://api.test:8443/v1/x?y=1");
        let left: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-mine", "content-length"]);
    }
}
