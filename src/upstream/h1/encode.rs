//! The head of a request as bytes (RFC 9112, 3), and how its body is framed.
//!
//! The framing is decided here and nowhere else: what the request's own head
//! says about length or coding is believed only of a body that streams.

use bytes::Bytes;
use http::Method;
use http_body::Body as _;

use crate::http1::{Fields, Name, NameSet};
use crate::upstream::body::Body;
use crate::upstream::message::Request;
use crate::upstream::origin::Names;

/// How the body of a request is told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks (RFC 9112, 7.1).
    Chunked,
}

/// What says how a body is framed, and is written here.
const OF_FRAMING: NameSet = NameSet::of(&[Name::ContentLength, Name::TransferEncoding]);

/// The head of `request`, and how its body has to follow.
pub(super) fn head(request: &Request, names: &Names) -> (Vec<u8>, Framing) {
    let fields = &request.fields;
    let framing = framing(&request.body, fields);
    let target = request.target.as_str();
    let host = names.host.as_bytes();
    let mut out = Vec::with_capacity(96 + target.len() + host.len() + fields.size());
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    if !target.starts_with(['/', '*']) {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !fields.has(Name::Host) {
        field(&mut out, "host", host);
    }
    if fields.may_have(OF_FRAMING) {
        for other in fields.iter().filter(|it| !OF_FRAMING.has(it.name)) {
            out.extend_from_slice(other.text);
            out.extend_from_slice(b": ");
            out.extend_from_slice(other.value);
            out.extend_from_slice(b"\r\n");
        }
    } else {
        fields.write_to(&mut out);
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

fn framing(body: &Body, fields: &Fields) -> Framing {
    if body.is_end_stream() {
        return Framing::Length(0);
    }
    if let Some(length) = body.size_hint().exact() {
        return Framing::Length(length);
    }
    let announced = fields.text(Name::ContentLength);
    match announced.and_then(|length| length.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

fn expects_body(request: &Request) -> bool {
    let usual = [Method::POST, Method::PUT, Method::PATCH];
    usual.contains(&request.method) || request.fields.has(Name::ContentLength)
}

/// What stands before a chunk of `size` bytes.
pub(super) fn chunk_size(size: usize) -> Bytes {
    format!("{size:x}\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Origin;
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
        let rows: [Row; 9] = [
            (
                "GET",
                "/x?y=1",
                &[],
                Body::Empty,
                "GET /x?y=1 HTTP/1.1\r\nhost: a.test\r\n\r\n",
            ),
            (
                "POST",
                "/",
                &[],
                Body::Empty,
                "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "DELETE",
                "/",
                &[("content-length", "0")],
                Body::Empty,
                "DELETE / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "POST",
                "/",
                &[("a", "1"), ("b", "2"), ("a", "3")],
                spliced(),
                "POST / HTTP/1.1\r\nhost: a.test\r\na: 1\r\nb: 2\r\na: 3\r\ncontent-length: 3\r\n\r\n",
            ),
            // A body in memory knows its length better than its head.
            (
                "POST",
                "/",
                &[("content-length", "9"), ("transfer-encoding", "chunked")],
                bytes("abc"),
                "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[],
                streamed(),
                "PUT / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[("content-length", "9")],
                streamed(),
                "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[("content-length", "x")],
                streamed(),
                "PUT / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "PUT",
                "/",
                &[],
                Body::stream(http_body_util::Empty::<Bytes>::new()),
                "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n",
            ),
        ];
        for (method, uri, fields, body, expected) in rows {
            let request = Request {
                method: method.parse().unwrap(),
                target: uri.parse().unwrap(),
                fields: fields.iter().copied().collect(),
                body,
            };
            let names = Origin::new(false, "a.test", 80).names().unwrap();
            let (out, _) = head(&request, &names);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        assert_eq!(chunk_size(5), "5\r\n");
        assert_eq!(chunk_size(0x1_00a0), "100a0\r\n");
    }
}
