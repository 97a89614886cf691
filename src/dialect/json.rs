//! Small readers and writers of JSON that several formats share.

pub(crate) mod scan;

use std::borrow::Cow;
use std::ops::Range;

use scan::Scan;

/// `text` as a JSON string, quotes included.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
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
    // Most are keys and words, which serde_json looks at byte by byte.
    if scan::plain_len(text.as_bytes()) == text.len() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    serde_json::to_writer(out, text).expect("a string always serialises into memory");
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
