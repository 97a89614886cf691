//! The first line of a head (RFC 9112, 3 and 4), and what its lines are made of.

use super::malformed::Malformed;
use super::word;

/// Why a line can't be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its end has not come.
    Partial,
    Wrong(Malformed),
}

/// The first line of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    /// It is of HTTP/1.0.
    pub(crate) is_old: bool,
    /// Where the next line begins.
    pub(crate) length: usize,
    /// It ends in a bare line feed.
    pub(crate) is_bare: bool,
}

/// The first line of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) status: u16,
    /// It is of HTTP/1.0.
    pub(crate) is_old: bool,
    /// Where the next line begins.
    pub(crate) length: usize,
}

/// Reads a request's first line, and the empty lines that may stand before it.
pub(crate) fn request(bytes: &[u8]) -> Result<RequestLine<'_>, Stop> {
    let (start, mut is_bare) = skip_empty(bytes)?;
    let method = start + token_end(&bytes[start..]);
    expect(bytes, method, b' ', method > start)?;
    let target = method + 1;
    let is_target = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    let size = bytes[target..].iter().position(|byte| !is_target(byte));
    let end = target + size.ok_or(Stop::Partial)?;
    expect(bytes, end, b' ', end > target)?;
    let is_old = version(&bytes[end + 1..])?;
    let last = end + 1 + VERSION.len() + 1;
    let size = line_end(bytes, last, Malformed::FirstLine)?;
    is_bare |= size == 1;
    Ok(RequestLine {
        method: &bytes[start..method],
        target: &bytes[target..end],
        is_old,
        length: last + size,
        is_bare,
    })
}

/// Reads an answer's first line, and the empty lines that may stand before it.
pub(crate) fn answer(bytes: &[u8]) -> Result<StatusLine, Stop> {
    let (start, _) = skip_empty(bytes)?;
    let is_old = version(&bytes[start..])?;
    let at = start + VERSION.len() + 1;
    expect(bytes, at, b' ', true)?;
    let mut status = 0;
    for place in at + 1..at + 4 {
        match bytes.get(place) {
            Some(digit @ b'0'..=b'9') => status = status * 10 + u16::from(digit - b'0'),
            Some(_) => return Err(Stop::Wrong(Malformed::FirstLine)),
            None => return Err(Stop::Partial),
        }
    }
    let reason = at + 4;
    match bytes.get(reason) {
        Some(b' ' | b'\r' | b'\n') => {}
        Some(_) => return Err(Stop::Wrong(Malformed::FirstLine)),
        None => return Err(Stop::Partial),
    }
    let end = reason + text_end(&bytes[reason..]);
    let size = line_end(bytes, end, Malformed::FirstLine)?;
    Ok(StatusLine {
        status,
        is_old,
        length: end + size,
    })
}

/// Where the first line begins, and whether one before it ended in a bare line
/// feed.
fn skip_empty(bytes: &[u8]) -> Result<(usize, bool), Stop> {
    let (mut at, mut is_bare) = (0, false);
    while let Some(b'\r' | b'\n') = bytes.get(at) {
        let size = line_end(bytes, at, Malformed::FirstLine)?;
        is_bare |= size == 1;
        at += size;
    }
    Ok((at, is_bare))
}

/// Whether `byte` stands at `at`, behind something.
fn expect(bytes: &[u8], at: usize, byte: u8, is_behind: bool) -> Result<(), Stop> {
    match bytes.get(at) {
        Some(found) if *found == byte && is_behind => Ok(()),
        Some(_) => Err(Stop::Wrong(Malformed::FirstLine)),
        None => Err(Stop::Partial),
    }
}

/// What stands before the last digit of a version.
const VERSION: &[u8] = b"HTTP/1.";

/// Whether the version `bytes` begin with is 1.0; else it is 1.1.
fn version(bytes: &[u8]) -> Result<bool, Stop> {
    match bytes.get(..=VERSION.len()) {
        Some(b"HTTP/1.1") => Ok(false),
        Some(b"HTTP/1.0") => Ok(true),
        Some(other) => Err(Stop::Wrong(match other.starts_with(b"HTTP/") {
            true => Malformed::Version,
            false => Malformed::FirstLine,
        })),
        None if VERSION.starts_with(&bytes[..bytes.len().min(VERSION.len())]) => Err(Stop::Partial),
        None if bytes.starts_with(b"HTTP/") => Err(Stop::Wrong(Malformed::Version)),
        None => Err(Stop::Wrong(Malformed::FirstLine)),
    }
}

/// How long the end of the line at `at` is: two bytes, or one where it is bare.
pub(super) fn line_end(bytes: &[u8], at: usize, wrong: Malformed) -> Result<usize, Stop> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(2),
        (Some(b'\n'), _) => Ok(1),
        (None, _) | (Some(b'\r'), None) => Err(Stop::Partial),
        _ => Err(Stop::Wrong(wrong)),
    }
}

/// How many of the first bytes make a token (RFC 9110, 5.6.2).
pub(super) fn token_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = word::at(bytes, at) {
        let stop = word::unnamed(word);
        if stop == 0 {
            at += word::SIZE;
            continue;
        }
        at += word::first(stop);
        if !TOKEN[usize::from(bytes[at])] {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest.iter().position(|byte| !TOKEN[usize::from(*byte)]);
    end.map_or(bytes.len(), |end| at + end)
}

const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x7f {
        token[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    token
};

/// How many of the first bytes may stand in a value (RFC 9110, 5.5).
pub(super) fn text_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = word::at(bytes, at) {
        let stop = word::below(word, b' ') | word::equal(word, 0x7f);
        if stop == 0 {
            at += word::SIZE;
            continue;
        }
        at += word::first(stop);
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest.iter().position(|byte| is_control(*byte));
    end.map_or(bytes.len(), |end| at + end)
}

/// Whether there may be a control byte in there: a quick no.
pub(super) fn may_have_control(bytes: &[u8]) -> bool {
    let stops = |bytes: &[u8; word::SIZE]| {
        let word = u64::from_le_bytes(*bytes);
        word::below(word, b' ') | word::equal(word, 0x7f)
    };
    let (words, rest) = bytes.as_chunks();
    words.iter().any(|word| stops(word) != 0)
        || match bytes.last_chunk() {
            // It overlaps the one before it.
            Some(last) => stops(last) != 0,
            None => rest.iter().any(|byte| is_control(*byte)),
        }
}

pub(super) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: Stop = Stop::Wrong(Malformed::FirstLine);

    /// Every part of `line` is only a part.
    fn assert_partial<T: std::fmt::Debug + PartialEq>(
        line: &str,
        read: impl Fn(&[u8]) -> Result<T, Stop>,
    ) {
        for size in 0..line.len() {
            let part = read(&line.as_bytes()[..size]);
            assert_eq!(part, Err(Stop::Partial), "{line:?} up to {size}");
        }
    }

    #[test]
    fn requests_begin_with_method_target_and_version() {
        for (line, method, target, is_old, is_bare) in [
            ("GET /a?b HTTP/1.1\r\n", "GET", "/a?b", false, false),
            (
                "\r\n\r\nM-SEARCH * HTTP/1.0\r\n",
                "M-SEARCH",
                "*",
                true,
                false,
            ),
            (
                "GET http://a/\u{e9} HTTP/1.1\n",
                "GET",
                "http://a/\u{e9}",
                false,
                true,
            ),
            ("\nGET / HTTP/1.1\r\n", "GET", "/", false, true),
        ] {
            let read = request(line.as_bytes()).unwrap();
            let expected = RequestLine {
                method: method.as_bytes(),
                target: target.as_bytes(),
                is_old,
                length: line.len(),
                is_bare,
            };
            assert_eq!(read, expected);
            assert_partial(line, |part| request(part).map(|line| line.length));
        }
        for (line, why) in [
            ("G(T / HTTP/1.1\r\n", WRONG),
            (" GET / HTTP/1.1\r\n", WRONG),
            ("GET  / HTTP/1.1\r\n", WRONG),
            ("GET /  HTTP/1.1\r\n", WRONG),
            ("GET\t/ HTTP/1.1\r\n", WRONG),
            ("GET /\x7f HTTP/1.1\r\n", WRONG),
            ("GET / HTTP/1.1 \r\n", WRONG),
            ("GET / HTTP/1.1\rx", WRONG),
            ("GET /\r\n", WRONG),
            ("GET / http/1.1\r\n", WRONG),
            ("GET / X", WRONG),
            ("\rGET", WRONG),
            ("GET / HTTP/2", Stop::Wrong(Malformed::Version)),
            ("GET / HTTP/1.2\r\n", Stop::Wrong(Malformed::Version)),
        ] {
            assert_eq!(request(line.as_bytes()), Err(why), "{line:?}");
        }
    }

    #[test]
    fn answers_begin_with_version_and_status() {
        for (line, status, is_old) in [
            ("HTTP/1.1 200 OK\r\n", 200, false),
            ("HTTP/1.0 404\r\n", 404, true),
            ("HTTP/1.1 500 \r\n", 500, false),
            ("\r\nHTTP/1.1 099 \u{e9} x\n", 99, false),
        ] {
            let length = line.len();
            let expected = StatusLine {
                status,
                is_old,
                length,
            };
            assert_eq!(answer(line.as_bytes()), Ok(expected));
            assert_partial(line, answer);
        }
        for line in [
            "SSH-2.0",
            "HTTP/1.1\t",
            "HTTP/1.1 20x",
            "HTTP/1.1 2000",
            "HTTP/1.1 200 \0",
        ] {
            assert_eq!(answer(line.as_bytes()), Err(WRONG), "{line:?}");
        }
        let other = answer(b"HTTP/2 200 OK\r\n");
        assert_eq!(other, Err(Stop::Wrong(Malformed::Version)));
    }

    #[test]
    fn tokens_end_where_they_may_not_go_on_wherever_that_is() {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        for size in 0..20 {
            let text = "aZ-9~_.b".repeat(3).into_bytes();
            for byte in 0..=u8::MAX {
                let mut text = text[..size].to_vec();
                text.push(byte);
                let end = size + usize::from(is_token(byte));
                assert_eq!(token_end(&text), end);
                text.extend_from_slice(b": 12345678");
                assert_eq!(token_end(&text), end);
            }
        }
    }

    #[test]
    fn text_ends_at_the_first_control_byte_wherever_it_stands() {
        for size in 0..70 {
            let text = "x\t\u{e9}~ ".repeat(20).into_bytes();
            for control in [b'\r', 0, 0x1f, 0x7f] {
                let mut text = text[..size].to_vec();
                assert_eq!(text_end(&text), size);
                text.push(control);
                text.extend_from_slice(b"more");
                assert_eq!(text_end(&text), size);
            }
        }
    }
}
