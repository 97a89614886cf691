//! Redis's protocol, as much of it as a look-up needs: commands as bytes, and
//! the replies to them out of bytes (RESP2,
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! A reply is lent from the bytes it came in, so that a value is copied
//! nowhere on its way to where it is unpacked. What no look-up is answered
//! with is [`Junk`]: after it nobody can tell where the next reply begins.

/// Longer lines (numbers, errors) are not Redis's.
const LONGEST_LINE: usize = 4096;

/// One reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// A string. Of a name that isn't there it is empty, or none at all.
    Text(&'a [u8]),
    Number(i64),
    /// `OK`, `PONG`.
    Done,
    /// An error, in Redis's words.
    Refused(&'a [u8]),
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A reply, and how many bytes it takes.
    Reply(Reply<'a>, usize),
    /// The beginning of one, which takes at least so many.
    Needs(usize),
}

/// The bytes are none of Redis's, or no reply to a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Junk;

/// The reply that `bytes` begin with. A string may take `longest` bytes.
pub(super) fn next(bytes: &[u8], longest: usize) -> Result<Next<'_>, Junk> {
    // What can't begin a reply needs no more bytes to be junk.
    if !matches!(bytes.first(), None | Some(b'$' | b':' | b'+' | b'-')) {
        return Err(Junk);
    }
    let within = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = memchr::memchr(b'\r', within) else {
        return match within.len() < LONGEST_LINE {
            true => Ok(Next::Needs(bytes.len() + 1)),
            false => Err(Junk),
        };
    };
    match bytes.get(end + 1) {
        Some(b'\n') => {}
        Some(_) => return Err(Junk),
        None => return Ok(Next::Needs(end + 2)),
    }
    let after = end + 2;
    let (kind, line) = bytes[..end].split_first().ok_or(Junk)?;
    let reply = match kind {
        b'$' => return text(bytes, after, line, longest),
        b':' => Reply::Number(number(line)?),
        b'+' => Reply::Done,
        _ => Reply::Refused(line),
    };
    Ok(Next::Reply(reply, after))
}

/// The string of which the length stands in `line` and the bytes from `from`.
fn text<'a>(bytes: &'a [u8], from: usize, line: &[u8], longest: usize) -> Result<Next<'a>, Junk> {
    if line == b"-1" {
        return Ok(Next::Reply(Reply::Text(b""), from));
    }
    let length = usize::try_from(number(line)?).map_err(|_| Junk)?;
    if length > longest {
        return Err(Junk);
    }
    let end = from + length;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => Ok(Next::Reply(Reply::Text(&bytes[from..end]), end + 2)),
        Some(_) => Err(Junk),
        None => Ok(Next::Needs(end + 2)),
    }
}

fn number(line: &[u8]) -> Result<i64, Junk> {
    std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok())
        .ok_or(Junk)
}

/// Adds a command to those to be sent.
pub(super) fn command<const N: usize>(out: &mut Vec<u8>, parts: [&[u8]; N]) {
    let mut digits = itoa::Buffer::new();
    let mut count = |out: &mut Vec<u8>, kind: u8, count: usize| {
        out.push(kind);
        out.extend_from_slice(digits.format(count).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    count(out, b'*', N);
    for part in parts {
        count(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads `input` (a length, and replies) in full and cut off at that length:
/// the same must come out of both, and no reply may take more than there is.
/// For the fuzzer.
///
/// # Panics
/// When it does not hold.
pub fn fuzz_replies(input: &[u8]) {
    const LONGEST: usize = 64;
    let (cut, data) = input.split_first().unwrap_or((&0, input));
    let mut rest = data;
    while !rest.is_empty() {
        let whole = next(rest, LONGEST);
        // Whoever sees less of it sees the same, or waits for more.
        let part = &rest[..rest.len().min(usize::from(*cut))];
        match next(part, LONGEST) {
            Ok(Next::Needs(needs)) => assert!(needs > part.len(), "it is all there"),
            seen => assert_eq!(seen, whole, "more of it makes another of it"),
        }
        match whole {
            Ok(Next::Reply(reply, taken)) => {
                assert!((1..=rest.len()).contains(&taken), "{reply:?} {taken}");
                rest = &rest[taken..];
            }
            Ok(Next::Needs(needs)) => {
                assert!(needs > rest.len() && needs <= rest.len() + LONGEST + 3);
                return;
            }
            Err(Junk) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_where_they_lie() {
        let check = |bytes: &str, expected: Result<Next<'_>, Junk>| {
            assert_eq!(next(bytes.as_bytes(), 8), expected, "{bytes:?}");
        };
        let reply = |reply, taken| Ok(Next::Reply(reply, taken));
        check("$3\r\nabc\r\n:1", reply(Reply::Text(b"abc"), 9));
        check("$0\r\n\r\n", reply(Reply::Text(b""), 6));
        check("$-1\r\n", reply(Reply::Text(b""), 5));
        check("$5\r\na\r\nb\0\r\n", reply(Reply::Text(b"a\r\nb\0"), 11));
        check(":-2\r\n:", reply(Reply::Number(-2), 5));
        check("+OK\r\n", reply(Reply::Done, 5));
        let refused = Reply::Refused(b"WRONGTYPE Operation");
        check("-WRONGTYPE Operation\r\n", reply(refused, 22));
        for (beginning, needs) in [
            ("", 1),
            ("$", 2),
            ("$3", 3),
            ("$3\r", 4),
            ("$3\r\n", 9),
            ("$3\r\nabc\r", 9),
            (":12", 4),
        ] {
            check(beginning, Ok(Next::Needs(needs)));
        }
        for junk in [
            "<html>",
            "\r\n",
            "$3\r\nabcd\r\n",
            "$9\r\n",
            "$-2\r\n",
            "$x\r\n",
            ":\r\n",
            ":1\rx",
            "*2\r\n:1\r\n:2\r\n",
            "%1\r\n",
            &format!("-{}", "x".repeat(LONGEST_LINE)),
        ] {
            check(junk, Err(Junk));
        }
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut out = Vec::new();
        command(&mut out, [b"PTTL", b"a\r\n"]);
        command(&mut out, [b"PING"]);
        assert_eq!(
            out,
            b"*2\r\n$4\r\nPTTL\r\n$3\r\na\r\n\r\n*1\r\n$4\r\nPING\r\n"
        );
    }
}
