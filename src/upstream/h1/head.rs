//! The head of an answer from bytes (RFC 9112, 4 to 6): what it says, how its
//! body is framed and whether its connection may be used again.
//!
//! Where two readings are possible there is none: what two peers could take
//! for different lengths is refused.

use http::StatusCode;

use crate::http1::line::{self, StatusLine, Stop};
use crate::http1::{self, Fields, Framing, Malformed, Name, told};

/// Fields that a head may have; providers send up to 40.
const MAX_FIELDS: usize = 100;

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Not all of a head.
    Partial,
    /// An interim answer of so many bytes, to be skipped (RFC 9110, 15.2).
    Interim(usize),
    /// The head of so many bytes.
    Final(usize, Head),
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    /// How its body is told from what follows.
    pub(super) framing: Framing,
    /// The connection may carry another request after the body.
    pub(super) keeps: bool,
}

/// Reads the head that `bytes` begin with. `to_head` says that the request's
/// method was HEAD, so that no body follows whatever the head announces.
pub(super) fn parse(bytes: &[u8], to_head: bool) -> Result<Parsed, Malformed> {
    let (line, parsed) = match lines(bytes) {
        Ok(read) => read,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(Stop::Wrong(why)) => return Err(why),
    };
    let length = line.length + parsed.length;
    let status = StatusCode::from_u16(line.status).map_err(|_| Malformed::FirstLine)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Parsed::Interim(length));
    }
    let is_old = line.is_old;
    let mut fields = parsed.fields;
    let mut keeps = told::keeps(&fields, is_old);
    let bodiless = to_head
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status == StatusCode::SWITCHING_PROTOCOLS;
    let framing = match bodiless {
        true => Framing::Length(0),
        false => framing(&mut fields, is_old, &mut keeps)?,
    };
    let head = Head {
        status,
        fields,
        framing,
        keeps,
    };
    Ok(Parsed::Final(length, head))
}

fn lines(bytes: &[u8]) -> Result<(StatusLine, http1::Parsed), Stop> {
    let line = line::answer(bytes)?;
    let fields = Fields::parse(&bytes[line.length..], MAX_FIELDS, OURS)?;
    Ok((line, fields))
}

/// Room for what the gateway adds to an answer: lines, and their bytes.
const OURS: (usize, usize) = (8, 512);

/// How the body is framed (RFC 9112, 6.3).
fn framing(fields: &mut Fields, is_old: bool, keeps: &mut bool) -> Result<Framing, Malformed> {
    if let Some(last) = fields.list(Name::TransferEncoding).last() {
        if is_old {
            return Err(Malformed::Coded);
        }
        let is_chunked = told::is_token(last, b"chunked");
        // RFC 9112, 6.1 and 6.3: the coding prevails over a length, which must
        // not travel further; and who sends both is not trusted with more.
        if fields.has(Name::ContentLength) {
            fields.remove(Name::ContentLength);
            *keeps = false;
        }
        if is_chunked {
            return Ok(Framing::Chunked);
        }
    } else if let Some(length) = told::length(fields)? {
        return Ok(Framing::Length(length));
    }
    *keeps = false;
    Ok(Framing::UntilClose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Framing::{Chunked, Length, UntilClose};

    fn head(fields: &str) -> Result<(Framing, bool), Malformed> {
        let (version, fields) = match fields.strip_prefix("1.0 ") {
            Some(fields) => ("1.0", fields),
            None => ("1.1", fields),
        };
        let text = format!("HTTP/{version} 200 OK\r\n{fields}\r\nrest");
        match parse(text.as_bytes(), false)? {
            Parsed::Final(length, head) => {
                assert_eq!(&text[length..], "rest");
                Ok((head.framing, head.keeps))
            }
            other => panic!("{fields}: {other:?}"),
        }
    }

    #[test]
    fn framing_and_reuse_follow_the_head() {
        for (fields, expected) in [
            ("content-length: 5\r\n", (Length(5), true)),
            (
                "content-length: 5\r\nContent-Length: 5\r\n",
                (Length(5), true),
            ),
            ("content-length: 5, 5\r\n", (Length(5), true)),
            (
                "content-length: 0\r\nconnection: close\r\n",
                (Length(0), false),
            ),
            (
                "content-length: 0\r\nconnection: x, Close\r\nconnection: keep-alive\r\n",
                (Length(0), false),
            ),
            ("transfer-encoding: chunked\r\n", (Chunked, true)),
            ("transfer-encoding: gzip, Chunked\r\n", (Chunked, true)),
            (
                "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
                (Chunked, true),
            ),
            (
                "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                (Chunked, false),
            ),
            ("transfer-encoding: chunked, gzip\r\n", (UntilClose, false)),
            ("transfer-encoding: xchunked\r\n", (UntilClose, false)),
            ("", (UntilClose, false)),
            ("1.0 content-length: 5\r\n", (Length(5), false)),
            (
                "1.0 content-length: 5\r\nconnection: Keep-Alive\r\n",
                (Length(5), true),
            ),
            ("1.0 connection: keep-alive\r\n", (UntilClose, false)),
        ] {
            assert_eq!(head(fields).unwrap(), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: -5\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length: 5 5\r\n",
            "content-length:\r\n",
            "content-length: 5,\r\n",
            "content-length: 18446744073709551616\r\n",
            "1.0 transfer-encoding: chunked\r\n",
            "content-length : 5\r\n",
            "content-length: 5\r\n folded: 1\r\n",
            "no colon\r\n",
            "x: a\0b\r\n",
        ] {
            assert!(head(fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let fields = "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
        for (status, to_head) in [("204 x", false), ("304 x", false), ("200 OK", true)] {
            let text = format!("HTTP/1.1 {status}\r\n{fields}");
            match parse(text.as_bytes(), to_head).unwrap() {
                Parsed::Final(_, head) => assert_eq!(head.framing, Length(0), "{status}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn interim_answers_and_parts_are_told_apart() {
        let is = |text: &[u8]| parse(text, false);
        assert!(matches!(
            is(b"HTTP/1.1 100 Continue\r\n\r\nHTTP"),
            Ok(Parsed::Interim(25))
        ));
        assert!(matches!(
            is(b"HTTP/1.1 200 OK\r\na: b\r\n"),
            Ok(Parsed::Partial)
        ));
        assert!(matches!(is(b""), Ok(Parsed::Partial)));
        assert!(matches!(
            is(b"HTTP/1.1 101 x\r\n\r\n"),
            Ok(Parsed::Final(..))
        ));
        for wrong in [
            &b"SSH-2.0"[..],
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 99 x\r\n\r\n",
        ] {
            assert!(is(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn repeated_fields_and_bytes_beyond_ascii_are_kept() {
        let text = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie:  b \r\nx-y: \xe9\r\n\r\n";
        let Ok(Parsed::Final(_, head)) = parse(text, false) else {
            panic!("a whole head");
        };
        let values: Vec<_> = head.fields.iter().map(|field| field.value).collect();
        assert_eq!(values, [&b"a"[..], b"b", b"\xe9"]);
    }
}
