//! A cursor over JSON text that checks what it passes.
//!
//! It accepts exactly what serde_json accepts where a value is ignored, and
//! builds nothing: who reads an object gets its keys, and takes each value as
//! it is written, descends into it, or skips it. Skipping recurses nowhere, so
//! depth costs no stack, and a bit of memory beyond the 64th level. Errors say
//! nothing: who must explain one asks serde_json for its words.

use std::borrow::Cow;

/// The text isn't JSON, or not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Reads JSON text from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    /// Where the next byte to read is; always between two characters.
    at: usize,
}

impl<'a> Scan<'a> {
    /// A cursor before the first value of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what comes next, which tells a value's kind; 0 at the
    /// end of the text.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        let (byte, at) = next(self.text.as_bytes(), self.at);
        self.at = at;
        byte
    }

    /// Passes an object. `each` gets every key, its escapes resolved, and must
    /// take the key's value from the cursor: by [`Self::skip`] or any other of
    /// these. A key that can't be resolved (half a surrogate pair) is invalid.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        self.take(b'{')?;
        if self.took(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            each(self, key)?;
            if !self.took(b',') {
                return self.take(b'}');
            }
        }
    }

    /// Passes an object and gives the values of `names` in it, as they are
    /// written; a null counts as absent. One that is there twice is invalid.
    pub(crate) fn fields<const N: usize>(
        &mut self,
        names: [&str; N],
    ) -> Result<[Option<&'a str>; N], Invalid> {
        let mut found = [None; N];
        self.object(|scan, key| {
            let raw = scan.skip()?;
            let key = &*key;
            match names.iter().position(|name| *name == key) {
                Some(at) if raw != "null" => match found[at].replace(raw) {
                    Some(_) => Err(Invalid),
                    None => Ok(()),
                },
                _ => Ok(()),
            }
        })?;
        Ok(found)
    }

    /// Passes an array. `each` must take one value from the cursor.
    #[inline]
    pub(crate) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        self.take(b'[')?;
        if self.took(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if !self.took(b',') {
                return self.take(b']');
            }
        }
    }

    /// Whether the array that the cursor stands before, or behind an element
    /// of, has another; the cursor then stands before that.
    #[inline]
    pub(crate) fn another(&mut self) -> bool {
        match self.peek() {
            b'[' => {
                self.at += 1;
                self.peek() != b']'
            }
            b',' => {
                self.at += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes a string, its escapes resolved.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        self.take(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let end = plain_end(bytes, start);
        if bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        self.escaped_string()
    }

    /// The same for a string with escapes, its opening quote taken.
    #[inline(never)]
    fn escaped_string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        let start = self.at;
        self.at = string_end(self.text.as_bytes(), start)?;
        let quoted = &self.text[start - 1..self.at];
        let text = serde_json::from_str(quoted).map_err(|_| Invalid)?;
        Ok(Cow::Owned(text))
    }

    /// Takes a whole number of up to 18 digits, sign, fraction and exponent
    /// excluded; takes nothing where something else comes or the text ends
    /// right behind it.
    #[inline]
    pub(crate) fn whole_number(&mut self) -> Option<u64> {
        let first = self.peek();
        let mut number = 0;
        for (len, byte) in self.left().iter().enumerate() {
            match byte {
                b'0'..=b'9' if len < 18 => number = number * 10 + u64::from(byte - b'0'),
                b'0'..=b'9' | b'.' | b'e' | b'E' => return None,
                _ if len == 0 || (len > 1 && first == b'0') => return None,
                _ => {
                    self.at += len;
                    return Some(number);
                }
            }
        }
        None
    }

    /// Takes a value of any kind and gives it as it is written.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<&'a str, Invalid> {
        let bytes = self.text.as_bytes();
        let (first, start) = next(bytes, self.at);
        self.at = match first {
            b'{' | b'[' => nested_end(bytes, start)?,
            _ => scalar_end(bytes, first, start)?,
        };
        Ok(&self.text[start..self.at])
    }

    /// What is left of the text.
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Checks that nothing but space is left.
    pub(crate) fn end(mut self) -> Result<(), Invalid> {
        self.peek();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// What is left, as bytes. An error may leave the cursor anywhere.
    #[inline]
    fn left(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn took(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.took(byte) {
            Ok(())
        } else {
            Err(Invalid)
        }
    }
}

// What follows passes a value by its place in the text, for a cursor is in
// memory and a place in a register.

/// The first byte from `at` on that isn't white space, 0 where none is left,
/// and its place.
#[inline(always)]
fn next(bytes: &[u8], mut at: usize) -> (u8, usize) {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\n' | b'\t' | b'\r') => at += 1,
            Some(&byte) => return (byte, at),
            None => return (0, at),
        }
    }
}

/// Behind the object or array that begins at `at`, with all that is in it.
fn nested_end(bytes: &[u8], mut at: usize) -> Result<usize, Invalid> {
    let mut nest = Nest::default();
    let (mut byte, _) = next(bytes, at);
    loop {
        // A value begins.
        match byte {
            b'{' | b'[' => {
                let in_object = byte == b'{';
                nest.open(in_object);
                (byte, at) = next(bytes, at + 1);
                if byte != closing(in_object) {
                    (byte, at) = enter(bytes, byte, at, in_object)?;
                    continue;
                }
            }
            _ => (byte, at) = next(bytes, scalar_end(bytes, byte, at)?),
        }
        // A value or an opening is passed; another may follow it.
        let mut in_object = nest.innermost();
        while byte == closing(in_object) {
            nest.close();
            if nest.is_empty() {
                return Ok(at + 1);
            }
            in_object = nest.innermost();
            (byte, at) = next(bytes, at + 1);
        }
        if byte != b',' {
            return Err(Invalid);
        }
        (byte, at) = next(bytes, at + 1);
        (byte, at) = enter(bytes, byte, at, in_object)?;
    }
}

/// The beginning of an element, or of the value behind the key at `at`.
#[inline(always)]
fn enter(bytes: &[u8], byte: u8, at: usize, in_object: bool) -> Result<(u8, usize), Invalid> {
    if !in_object {
        return Ok((byte, at));
    }
    if byte != b'"' {
        return Err(Invalid);
    }
    match next(bytes, string_end(bytes, at + 1)?) {
        (b':', at) => Ok(next(bytes, at + 1)),
        _ => Err(Invalid),
    }
}

/// Behind the value at `at` that holds no others and begins with `first`.
#[inline(always)]
fn scalar_end(bytes: &[u8], first: u8, at: usize) -> Result<usize, Invalid> {
    match first {
        b'"' => string_end(bytes, at + 1),
        b'-' | b'0'..=b'9' => number_end(bytes, at),
        b't' => word_end(bytes, at, b"true"),
        b'f' => word_end(bytes, at, b"false"),
        b'n' => word_end(bytes, at, b"null"),
        _ => Err(Invalid),
    }
}

/// Behind the closing quote of the string that goes on at `at`.
#[inline(always)]
fn string_end(bytes: &[u8], at: usize) -> Result<usize, Invalid> {
    let end = plain_end(bytes, at);
    match bytes.get(end) {
        Some(b'"') => Ok(end + 1),
        _ => escaped_end(bytes, end),
    }
}

/// The same for one that goes on with an escape.
#[inline(never)]
fn escaped_end(bytes: &[u8], mut at: usize) -> Result<usize, Invalid> {
    while bytes.get(at) != Some(&b'"') {
        at = plain_end(bytes, escape_end(bytes, at)?);
    }
    Ok(at + 1)
}

/// Behind the escapes that follow each other at `at`, one at least.
#[inline]
fn escape_end(bytes: &[u8], mut at: usize) -> Result<usize, Invalid> {
    loop {
        match bytes.get(at..at + 2) {
            Some(
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ],
            ) => at += 2,
            Some([b'\\', b'u']) => match bytes.get(at + 2..at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return Err(Invalid),
            },
            _ => return Err(Invalid),
        }
        // Quotes within quotes are escapes behind escapes.
        if bytes.get(at) != Some(&b'\\') {
            return Ok(at);
        }
    }
}

fn number_end(bytes: &[u8], mut at: usize) -> Result<usize, Invalid> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    at += usize::from(byte(at) == b'-');
    // A digit behind a leading 0 ends the number and fits nothing.
    match byte(at) {
        b'0' => at += 1,
        _ => at = digits_end(bytes, at)?,
    }
    if byte(at) == b'.' {
        at = digits_end(bytes, at + 1)?;
    }
    if matches!(byte(at), b'e' | b'E') {
        at += 1;
        at += usize::from(matches!(byte(at), b'+' | b'-'));
        at = digits_end(bytes, at)?;
    }
    Ok(at)
}

/// Behind one digit or more.
#[inline]
fn digits_end(bytes: &[u8], at: usize) -> Result<usize, Invalid> {
    let left = bytes.get(at..).unwrap_or_default();
    let len = left.iter().position(|byte| !byte.is_ascii_digit());
    match len.unwrap_or(left.len()) {
        0 => Err(Invalid),
        len => Ok(at + len),
    }
}

fn word_end(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Invalid> {
    match bytes.get(at..) {
        Some(left) if left.starts_with(word) => Ok(at + word.len()),
        _ => Err(Invalid),
    }
}

/// What ends an object, or else an array.
#[inline]
fn closing(in_object: bool) -> u8 {
    if in_object { b'}' } else { b']' }
}

/// The number of leading bytes that a string holds as they are: none of them
/// a quote, a backslash or a control character.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    plain_end(bytes, 0)
}

/// Where the bytes from `at` on end that a string holds as they are.
///
/// Most strings are keys and words, or long: eight bytes at a time find the
/// end of the first, 64 at a time (which the compiler makes vectors of) pass
/// through the second.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    let far = at + 32;
    while let Some(word) = bytes.get(at..).and_then(|left| left.first_chunk::<8>()) {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == far {
            at += plain_blocks(&bytes[at..]);
        }
    }
    // What is missing of the last word is 0, which is a stop.
    let word = match bytes.last_chunk::<8>() {
        Some(last) if at < bytes.len() => u64::from_le_bytes(*last) >> (8 * (at + 8 - bytes.len())),
        Some(_) => 0,
        None => {
            let left = bytes.get(at..).unwrap_or_default().iter().rev();
            left.fold(0, |word, &byte| word << 8 | u64::from(byte))
        }
    };
    at + stops(word).trailing_zeros() as usize / 8
}

/// The high bit of each byte that ends a plain run; right for the first one,
/// which is all that counts (a borrow runs upwards only).
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // With this bit turned, the quote (0x22) is next above the control
    // characters, and they stay below 0x20.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let escape = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quote_or_control | escape) & !word & (ONES << 7)
}

/// The length of the leading blocks of 64 bytes without a stop.
#[inline(never)]
fn plain_blocks(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let stop = blocks.iter().position(|block| {
        // Sums of bytes, not of bools, become a handful of vector operations.
        let stops = block.iter().fold(0, |stops, &byte| {
            stops | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
        });
        stops != 0
    });
    stop.unwrap_or(blocks.len()) * 64
}

/// What the value at the cursor is nested in: a bit each, 1 for an object.
#[derive(Default)]
struct Nest {
    depth: usize,
    /// The innermost 64 levels at most, the innermost lowest.
    top: u64,
    /// The levels outside of those, in words of 64.
    outer: Vec<u64>,
}

impl Nest {
    #[inline]
    fn open(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.top);
        }
        self.top = self.top << 1 | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether the innermost level is an object.
    #[inline]
    fn innermost(&self) -> bool {
        self.top & 1 == 1
    }

    #[inline]
    fn close(&mut self) {
        self.top >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.top = self.outer.pop().unwrap_or_default();
        }
    }
}

/// Fuzz body: a text, which the cursor must accept, reject and slice as
/// serde_json does.
#[doc(hidden)]
pub fn fuzz_scan(input: &[u8]) {
    use serde::de::IgnoredAny;
    use serde_json::value::RawValue;

    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let theirs = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let mut scan = Scan::new(text);
    let ours = scan.skip().is_ok_and(|_| scan.end().is_ok());
    assert_eq!(ours, theirs);
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut scan = Scan::new(text);
    if let Some(Ok(first)) = values.next() {
        assert_eq!(scan.skip(), Ok(first.get()));
    }
    let mut numbers = Scan::new(text);
    if let Some(number) = numbers.whole_number() {
        let mut skipped = Scan::new(text);
        let raw = skipped.skip().expect("a whole number is a value");
        assert_eq!(serde_json::from_str(raw).ok(), Some(number));
        assert_eq!(skipped.rest(), numbers.rest());
    }
    let mut strings = Scan::new(text);
    if strings.peek() == b'"' {
        let theirs = serde_json::Deserializer::from_str(text)
            .into_iter::<String>()
            .next();
        assert_eq!(
            strings.string().ok().as_deref(),
            theirs.and_then(Result::ok).as_deref()
        );
    }
    let value = serde_json::from_str::<serde_json::Value>(text);
    if let Ok(value) = value {
        assert_eq!(tree(&mut Scan::new(text)), Ok(value));
    }
}

/// The value at the cursor, of a text that has been understood.
fn tree(scan: &mut Scan<'_>) -> Result<serde_json::Value, Invalid> {
    use serde_json::Value;

    match scan.peek() {
        b'{' => {
            let mut fields = serde_json::Map::new();
            scan.object(|scan, key| {
                fields.insert(key.into_owned(), tree(scan)?);
                Ok(())
            })?;
            Ok(Value::Object(fields))
        }
        b'[' => {
            let mut items = Vec::new();
            scan.array(|scan| {
                items.push(tree(scan)?);
                Ok(())
            })?;
            Ok(Value::Array(items))
        }
        b'"' => scan.string().map(|text| Value::String(text.into_owned())),
        _ => serde_json::from_str(scan.skip()?).map_err(|_| Invalid),
    }
}

#[cfg(test)]
mod tests;
