//! The head of a request as bytes (RFC 9112, 3), and how its body is framed.
//!
//! The framing is decided here and nowhere else: what the request's own head
//! says about length or coding is believed only of a body that streams.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request};
use http_body::Body as _;

use crate::upstream::body::Body;

/// How the body of a request is told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks (RFC 9112, 7.1).
    Chunked,
}

/// The head of `request`, and how its body has to follow.
pub(super) fn head(request: &Request<Body>) -> (Vec<u8>, Framing) {
    let headers = request.headers();
    let framing = framing(request.body(), headers);
    // Names and values of 64 bytes together are usual; a key is longer.
    let mut out = Vec::with_capacity(160 + headers.len() * 64);
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    if !target.starts_with(['/', '*']) {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    match framing {
        Framing::Chunked => field(&mut out, "transfer-encoding", b"chunked"),
        // RFC 9110, 8.6: no length where no body is expected, unless there was
        // one to begin with.
        Framing::Length(0) if !expects_body(request) => {}
        Framing::Length(length) => {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(length);
            field(&mut out, "content-length", digits.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    (out, framing)
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn framing(body: &Body, headers: &HeaderMap) -> Framing {
    if body.is_end_stream() {
        return Framing::Length(0);
    }
    if let Some(length) = body.size_hint().exact() {
        return Framing::Length(length);
    }
    let announced = headers.get(CONTENT_LENGTH);
    match announced.and_then(|value| value.to_str().ok()?.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

fn expects_body(request: &Request<Body>) -> bool {
    let usual = [Method::POST, Method::PUT, Method::PATCH];
    usual.contains(request.method()) || request.headers().contains_key(CONTENT_LENGTH)
}

/// What stands before a chunk of `size` bytes.
pub(super) fn chunk_size(size: usize) -> Bytes {
    format!("{size:x}\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body of unknown length that has yet to begin.
    struct Unknown;

    impl http_body::Body for Unknown {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    fn streamed() -> Body {
        Body::stream(Unknown)
    }

    #[test]
    fn heads_are_written_and_framed() {
        let bytes = |text: &'static str| Body::from(Bytes::from_static(text.as_bytes()));
        let spliced = || Body::Spliced(Box::new(["a".into(), Bytes::new(), "bc".into()]));
        type Row = (
            &'static str,
            &'static str,
            &'static [(&'static str, &'static str)],
            Body,
            &'static str,
        );
        let rows: [Row; 10] = [
            (
                "GET",
                "/x?y=1",
                &[],
                Body::Empty,
                "GET /x?y=1 HTTP/1.1\r\n\r\n",
            ),
            (
                "GET",
                "http://a?y",
                &[],
                Body::Empty,
                "GET /?y HTTP/1.1\r\n\r\n",
            ),
            (
                "POST",
                "/",
                &[],
                Body::Empty,
                "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "DELETE",
                "/",
                &[("content-length", "0")],
                Body::Empty,
                "DELETE / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "POST",
                "/",
                &[("a", "1"), ("b", "2"), ("a", "3")],
                spliced(),
                "POST / HTTP/1.1\r\na: 1\r\na: 3\r\nb: 2\r\ncontent-length: 3\r\n\r\n",
            ),
            // A body in memory knows its length better than its head.
            (
                "POST",
                "/",
                &[("content-length", "9"), ("transfer-encoding", "chunked")],
                bytes("abc"),
                "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[],
                streamed(),
                "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[("content-length", "9")],
                streamed(),
                "PUT / HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[("content-length", "x")],
                streamed(),
                "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[],
                Body::stream(http_body_util::Empty::<Bytes>::new()),
                "PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            ),
        ];
        for (method, uri, fields, body, expected) in rows {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let (out, _) = head(&request.body(body).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        assert_eq!(chunk_size(5), "5\r\n");
        assert_eq!(chunk_size(0x1_00a0), "100a0\r\n");
    }
}
