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
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        self.take(b'"')?;
        let start = self.at;
        let has_escapes = self.end_string()?;
        if has_escapes {
            let quoted = &self.text[start - 1..self.at];
            return serde_json::from_str(quoted)
                .map(Cow::Owned)
                .map_err(|_| Invalid);
        }
        Ok(Cow::Borrowed(&self.text[start..self.at - 1]))
    }

    /// Takes a value of any kind and gives it as it is written.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Invalid> {
        let mut nest = Nest::default();
        let first = self.peek();
        let start = self.at;
        let mut opening = first;
        loop {
            self.at += 1;
            match opening {
                b'"' => drop(self.end_string()?),
                b'{' if !self.took(b'}') => {
                    nest.open(true);
                    opening = self.enter(true)?;
                    continue;
                }
                b'[' if !self.took(b']') => {
                    nest.open(false);
                    opening = self.enter(false)?;
                    continue;
                }
                b'{' | b'[' => {}
                b'-' | b'0'..=b'9' => self.end_number(opening)?,
                b't' => self.end_word(b"rue")?,
                b'f' => self.end_word(b"alse")?,
                b'n' => self.end_word(b"ull")?,
                _ => return Err(Invalid),
            }
            loop {
                let Some(in_object) = nest.innermost() else {
                    return Ok(&self.text[start..self.at]);
                };
                let next = self.peek();
                self.at += 1;
                if next == b',' {
                    opening = self.enter(in_object)?;
                    break;
                }
                if next != if in_object { b'}' } else { b']' } {
                    return Err(Invalid);
                }
                nest.close();
            }
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

    /// Passes what is left of a string, its closing quote included. Says
    /// whether there are escapes in it.
    #[inline]
    fn end_string(&mut self) -> Result<bool, Invalid> {
        let mut has_escapes = false;
        loop {
            self.at += plain_len(self.left());
            let byte = self.text.as_bytes().get(self.at);
            self.at += 1;
            match byte {
                Some(b'"') => return Ok(has_escapes),
                Some(b'\\') => self.end_escape()?,
                _ => return Err(Invalid),
            }
            has_escapes = true;
        }
    }

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

    fn end_number(&mut self, first: u8) -> Result<(), Invalid> {
        let first = if first == b'-' {
            let digit = self.next_byte();
            self.at += 1;
            digit
        } else {
            first
        };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Invalid),
        }
        // A digit behind a leading 0 ends the number and fits nothing.
        if self.next_byte() == b'.' {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.next_byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.next_byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.digits();
        if self.at > start {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    #[inline]
    fn digits(&mut self) {
        while self.next_byte().is_ascii_digit() {
            self.at += 1;
        }
    }

    /// The byte at the cursor, space or not; 0 at the end of the text.
    #[inline]
    fn next_byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn end_word(&mut self, rest: &[u8]) -> Result<(), Invalid> {
        if !self.left().starts_with(rest) {
            return Err(Invalid);
        }
        self.at += rest.len();
        Ok(())
    }
}

/// The number of leading bytes that a string holds as they are: none of them
/// a quote, a backslash or a control character.
///
/// Most strings are keys and words, or long: eight bytes at a time find the
/// end of the first, 32 at a time (which the compiler makes vectors of) pass
/// through the second.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == 16 {
            at += plain_blocks(&bytes[16..]);
        }
    }
    let stop = bytes[at..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    stop.map_or(bytes.len(), |stop| at + stop)
}

/// The high bit of each byte that ends a plain run; right for the first one,
/// which is all that counts (a borrow runs upwards only).
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_bytes(word ^ (ONES * b'"' as u64));
    let escape = zero_bytes(word ^ (ONES * b'\\' as u64));
    (control | quote | escape) & HIGH
}

/// The length of the leading blocks of 32 bytes without a stop.
#[inline(never)]
fn plain_blocks(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let stop = blocks.iter().position(|block| {
        block.iter().fold(false, |stops, &byte| {
            stops | (byte == b'"') | (byte == b'\\') | (byte < 0x20)
        })
    });
    stop.unwrap_or(blocks.len()) * 32
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

    /// Whether the innermost level is an object; nothing outside of all.
    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.top & 1 == 1)
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
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_serde_json_accepts_is_accepted_and_nothing_else() {
        let texts = [
            "null",
            "nul",
            "nullx",
            "true",
            "false",
            "fals",
            "tru e",
            "",
            " ",
            "\0",
            "\u{feff}1",
            "0",
            "-0",
            "00",
            "01",
            "-",
            "-01",
            "1.",
            ".5",
            "1.5",
            "1e",
            "1e+",
            "1E-9",
            "1.e1",
            "-1.5e+03",
            "1e999",
            "+1",
            "1 ",
            "1x",
            "0x1",
            "--1",
            "123456789012345678901234567890",
            r#""""#,
            r#"""#,
            r#""a"#,
            r#""\"#,
            r#""\""#,
            r#""\\""#,
            r#""\"""#,
            r#""\x""#,
            r#""\/\b\f\n\r\t""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\u00e9""#,
            r#""\ud800""#,
            r#""\ud83d\ude00""#,
            r#""\udc00\ud800""#,
            "\"\n\"",
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "\"\u{80}é€😀\"",
            "'a'",
            "[]",
            "[ ]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "[",
            "]",
            "[[]",
            "[]]",
            "[\u{a0}]",
            "{}",
            "{ }",
            r#"{"a":1}"#,
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a" : 1 , "b":[{}]}"#,
            r#"{a:1}"#,
            r#"{1:1}"#,
            r#"{"a":1]"#,
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a"::1}"#,
            r#"{"\ud800":1}"#,
            r#"{"a":1,"a":2}"#,
            "{}{}",
            "[1,[2,{\"a\":[3,\r\n\t4]}],5]",
        ];
        for text in texts {
            fuzz_scan(text.as_bytes());
        }
    }

    #[test]
    fn a_string_may_end_at_any_place_in_a_block() {
        for len in 0..200 {
            for stop in ["\"", "\\n\"", "\u{1f}\"", "\u{80}\"", "\\", ""] {
                fuzz_scan(format!("\"{}{stop}", "x".repeat(len)).as_bytes());
            }
        }
    }

    #[test]
    fn depth_is_remembered_exactly() {
        for depth in (0..300).chain([64 * 64, 100_001]) {
            let kinds: Vec<bool> = (0..depth).map(|level| level % 3 == level % 7 % 2).collect();
            let open = kinds
                .iter()
                .map(|&object| if object { "{\"\":" } else { "[" });
            let close = kinds
                .iter()
                .rev()
                .map(|&object| if object { "}" } else { "]" });
            let whole: String = open.chain(["1"]).chain(close).collect();
            assert_eq!(Scan::new(&whole).skip(), Ok(whole.as_str()), "{depth}");
            fuzz_scan(&whole.as_bytes()[..whole.len() - 1]);
            fuzz_scan(whole.replacen('}', "]", 1).as_bytes());
        }
    }

    #[test]
    fn a_cursor_stands_behind_what_it_took() {
        let mut scan = Scan::new(r#" {"a":[1,"x"],"b":{}} , 2"#);
        let mut seen = Vec::new();
        let done = scan.object(|scan, key| {
            seen.push((key, scan.skip()?));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(seen, [("a".into(), r#"[1,"x"]"#), ("b".into(), "{}")]);
        assert_eq!(scan.rest(), " , 2");
        assert_eq!(scan.end(), Err(Invalid));
    }

    #[test]
    fn an_error_leaves_a_cursor_that_still_answers() {
        for text in ["", "é", "-", "\"", "\"\\", "{\"a\":é", "[1,", "{\"a\""] {
            let mut scan = Scan::new(text);
            assert_eq!(scan.skip(), Err(Invalid));
            for _ in 0..3 {
                let _ = scan.string();
                let _ = scan.skip();
                let _ = scan.object(|scan, _| scan.skip().map(drop));
                let _ = scan.array(|scan| scan.skip().map(drop));
                assert!(scan.rest().len() <= text.len());
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".{0,12}", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_read_as_it_is(value in any_value(), pretty: bool) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            fuzz_scan(text.as_bytes());
        }

        #[test]
        fn any_edit_is_judged_alike(value in any_value(), at: prop::sample::Index, with in ".{0,2}", cut in 0..3_usize) {
            let mut text = value.to_string().into_bytes();
            let at = at.index(text.len());
            let to = (at + cut).min(text.len());
            text.splice(at..to, with.bytes());
            fuzz_scan(&text);
        }

        #[test]
        fn any_text_is_judged_alike(text in r#"[\[\]{}:,"\\ \n01eE.+\-a-fntrul]{0,24}"#) {
            fuzz_scan(text.as_bytes());
        }
    }
}
