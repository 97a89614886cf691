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
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
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

    /// Takes a string, its escapes resolved.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        self.take(b'"')?;
        let left = self.text.get(self.at..).unwrap_or_default();
        let len = plain_len(left.as_bytes());
        match left.split_at_checked(len) {
            Some((text, rest)) if rest.starts_with('"') => {
                self.at += len + 1;
                Ok(Cow::Borrowed(text))
            }
            _ => self.escaped_string(),
        }
    }

    /// The same for a string with escapes, its opening quote taken.
    #[inline(never)]
    fn escaped_string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        let start = self.at;
        self.end_string()?;
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
        let first = self.peek();
        let start = self.at;
        match first {
            b'{' | b'[' => self.nested()?,
            _ => self.scalar(first)?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Passes an object or array with all that is in it.
    fn nested(&mut self) -> Result<(), Invalid> {
        let mut nest = Nest::default();
        let mut next = self.peek();
        loop {
            // A value begins.
            match next {
                b'{' | b'[' => {
                    self.at += 1;
                    let in_object = next == b'{';
                    nest.open(in_object);
                    next = self.peek();
                    if next != closing(in_object) {
                        next = self.enter(in_object)?;
                        continue;
                    }
                }
                _ => {
                    self.scalar(next)?;
                    next = self.peek();
                }
            }
            // A value or an opening is passed; another may follow it.
            let mut in_object = nest.innermost();
            while next == closing(in_object) {
                self.at += 1;
                nest.close();
                if nest.is_empty() {
                    return Ok(());
                }
                in_object = nest.innermost();
                next = self.peek();
            }
            if next != b',' {
                return Err(Invalid);
            }
            self.at += 1;
            next = self.enter(in_object)?;
        }
    }

    /// Passes a value that holds no others and begins with `first`.
    #[inline]
    fn scalar(&mut self, first: u8) -> Result<(), Invalid> {
        match first {
            b'"' => {
                self.at += 1;
                self.end_string()
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Invalid),
        }
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

    /// The first byte of an element, or of the value behind a key.
    #[inline]
    fn enter(&mut self, in_object: bool) -> Result<u8, Invalid> {
        if in_object {
            self.take(b'"')?;
            self.end_string()?;
            self.take(b':')?;
        }
        Ok(self.peek())
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

    /// Passes what is left of a string, its closing quote included.
    #[inline]
    fn end_string(&mut self) -> Result<(), Invalid> {
        loop {
            let left = self.left();
            let len = plain_len(left);
            self.at += len + 1;
            match left.get(len) {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.end_escape()?,
                _ => return Err(Invalid),
            }
        }
    }

    #[inline(never)]
    fn end_escape(&mut self) -> Result<(), Invalid> {
        let len = match self.left() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', digits @ ..] => match digits.first_chunk::<4>() {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => 5,
                _ => return Err(Invalid),
            },
            _ => return Err(Invalid),
        };
        self.at += len;
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<(), Invalid> {
        self.at += usize::from(self.next_byte() == b'-');
        // A digit behind a leading 0 ends the number and fits nothing.
        match self.next_byte() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.next_byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.next_byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.next_byte(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Invalid> {
        let left = self.left();
        let len = left.iter().position(|byte| !byte.is_ascii_digit());
        match len.unwrap_or(left.len()) {
            0 => Err(Invalid),
            len => {
                self.at += len;
                Ok(())
            }
        }
    }

    /// The byte at the cursor, space or not; 0 at the end of the text.
    #[inline]
    fn next_byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Invalid> {
        if !self.left().starts_with(word) {
            return Err(Invalid);
        }
        self.at += word.len();
        Ok(())
    }
}

/// What ends an object, or else an array.
#[inline]
fn closing(in_object: bool) -> u8 {
    if in_object { b'}' } else { b']' }
}

/// The number of leading bytes that a string holds as they are: none of them
/// a quote, a backslash or a control character.
///
/// Most strings are keys and words, or long: eight bytes at a time find the
/// end of the first, 64 at a time (which the compiler makes vectors of) pass
/// through the second.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some((word, _)) = bytes[at..].split_first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == 32 {
            at += plain_blocks(&bytes[32..]);
        }
    }
    at + plain_bytes(&bytes[at..])
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

/// The same byte by byte, for the last few of a text.
#[inline(never)]
fn plain_bytes(bytes: &[u8]) -> usize {
    let stop = bytes
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    stop.unwrap_or(bytes.len())
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
