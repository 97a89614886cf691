//! What the fields of a head say of the message itself: its length, and whether
//! its connection goes on. And the fields that follow the last chunk.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::fields::Fields;
use super::malformed::Malformed;
use super::name::Name;

/// Fields that trailers may have.
const MAX_TRAILERS: usize = 100;

/// What `content-length` says: digits, and the same wherever it is repeated.
pub(crate) fn length(fields: &Fields) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for digits in fields.list(Name::ContentLength) {
        let number = number(digits).ok_or(Malformed::Length)?;
        if length.is_some_and(|other: u64| other != number) {
            return Err(Malformed::Length);
        }
        length = Some(number);
    }
    Ok(length)
}

/// A length: digits, and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    // An empty one is no number, and a sign is no digit.
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// Whether the connection outlives the message (RFC 9112, 9.3).
pub(crate) fn keeps(fields: &Fields, is_old: bool) -> bool {
    let says = |what: &[u8]| {
        let mut options = fields.list(Name::Connection);
        options.any(|option| is_token(option, what))
    };
    !says(b"close") && (!is_old || says(b"keep-alive"))
}

/// Whether `text` is that word, in any case.
pub(crate) fn is_token(text: &[u8], token: &[u8]) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(token)
}

/// The fields after the last chunk, the empty line included in `bytes`.
pub(crate) fn trailers(bytes: &[u8]) -> Result<HeaderMap, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let parsed = match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((length, parsed))) if length == bytes.len() => parsed,
        _ => return Err(Malformed::Trailers),
    };
    let mut trailers = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        match (name, value) {
            (Ok(name), Ok(value)) => trailers.append(name, value),
            _ => return Err(Malformed::Trailers),
        };
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_fields_and_nothing_else() {
        assert_eq!(trailers(b"a: 1\r\nb: 2\r\n\r\n").unwrap()["b"], "2");
        assert!(trailers(b"\r\n").unwrap().is_empty());
        for wrong in [&b"a: 1\r\n"[..], b"a\r\n\r\n", b"a: 1\r\n\r\nb: 2\r\n\r\n"] {
            assert!(trailers(wrong).is_err(), "{wrong:?}");
        }
    }
}
