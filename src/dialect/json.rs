//! Small readers and writers of JSON that several formats share.

pub(crate) mod scan;

use std::borrow::Cow;
use std::ops::Range;

use scan::Scan;

/// `text` as a JSON string, quotes included.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_string(&mut out, text);
    out
}

/// Where `part`, a slice of `whole`, lies in it.
pub(crate) fn span_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends what a JSON string of `text` has between its quotes.
pub(crate) fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut left = text.as_bytes();
    loop {
        // Most texts are plain to their end.
        let (plain, rest) = left.split_at(scan::plain_len(left));
        out.extend_from_slice(plain);
        let Some((&byte, rest)) = rest.split_first() else {
            return;
        };
        left = rest;
        let escape = match byte {
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            0..0x20 => {
                let hex = |digit| b"0123456789abcdef"[usize::from(digit)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                continue;
            }
            quote_or_backslash => quote_or_backslash,
        };
        out.extend_from_slice(&[b'\\', escape]);
    }
}

/// Reads `json` as `T`, or as nothing where it is something else.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// The values of `names` in the object `json`, as they are written; see
/// [`Scan::fields`]. Nothing where `json` isn't such an object.
pub(crate) fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut scan = Scan::new(json);
    let found = scan.fields(names).ok()?;
    scan.end().ok()?;
    Some(found)
}

/// The elements of the array `json`, as they are written.
pub(crate) fn elements(json: &str) -> Option<Vec<&str>> {
    let mut scan = Scan::new(json);
    let mut elements = Vec::new();
    let all = scan.array(|scan| {
        elements.push(scan.skip()?);
        Ok(())
    });
    all.and_then(|()| scan.end()).ok()?;
    Some(elements)
}

/// The text of a JSON string, or nothing.
pub(crate) fn text(raw: Option<&str>) -> Option<Cow<'_, str>> {
    Scan::new(raw?).string().ok()
}

/// Whether a raw value says something: not null, `""`, `[]` or `{}`.
pub(crate) fn says_something(raw: &str) -> bool {
    match raw.as_bytes() {
        b"null" | b"\"\"" => false,
        [b'[' | b'{', inner @ .., _] => !inner.iter().all(u8::is_ascii_whitespace),
        _ => true,
    }
}

/// A count of tokens: whatever a provider writes there that isn't a positive
/// number counts as 0, so that one odd field never hides the others.
pub(crate) fn count(raw: &str) -> u64 {
    // `as` saturates, which is what is wanted here.
    raw.parse()
        .unwrap_or_else(|_| raw.parse().map_or(0, |count: f64| count as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) {
        let written = String::from_utf8(string(text)).unwrap();
        assert_eq!(written, serde_json::to_string(text).unwrap());
    }

    #[test]
    fn every_character_that_needs_an_escape_has_its_own() {
        let ascii: String = (0..=0x7f).map(char::from).collect();
        check(&ascii);
        check("é€😀\u{80}\u{2028}");
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in "[\\PC\"\\\\\x00-\x1f]{0,80}") {
            check(&text);
        }
    }
}
