//! What the fields of a head say of the message itself: its length, and whether
//! its connection goes on. And the fields that follow the last chunk.

use http::HeaderMap;

use super::fields::Fields;
use super::malformed::Malformed;
use super::name::{Name, NameSet};

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
    let mut number = None;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        let tens = number.unwrap_or(0_u64).checked_mul(10)?;
        number = Some(tens.checked_add(digit)?);
    }
    number
}

/// Whether the connection outlives the message (RFC 9112, 9.3).
pub(crate) fn keeps(fields: &Fields, is_old: bool) -> bool {
    if !fields.may_have(NameSet::of(&[Name::Connection])) {
        return !is_old;
    }
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
    match Fields::parse(bytes, MAX_TRAILERS, (0, 0)) {
        Ok(parsed) if parsed.length == bytes.len() && !parsed.is_bare => Ok(parsed.fields.to_map()),
        _ => Err(Malformed::Trailers),
    }
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
