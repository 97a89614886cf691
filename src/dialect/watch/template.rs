//! Recognises a delta by the one before it.
//!
//! The deltas of a stream differ in their text and in little else: OpenAI's
//! random `obfuscation`, a `sequence_number`, Anthropic's padding before the
//! last brace. So the last delta is kept as the pieces it is made of, and a
//! frame of the same pieces around another text is the same kind of frame.
//! That takes a few comparisons, where searching it for keys takes four
//! searches.

use std::ops::Range;

use super::scan::{Key, key, string_len};

/// Values that differ between deltas: their keys.
static VARYING: [Key; 2] = [key!("obfuscation"), key!("sequence_number")];

/// The pieces before the text and after it, and after each varying value. A
/// delta has at most the two above and padding.
const PIECES: usize = 5;

/// A stream whose deltas keep differing elsewhere isn't worth learning again
/// and again.
const TRIES: u8 = 16;

/// What the last delta looked like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where each piece ends in `bytes`; those not used are empty.
    ends: [usize; PIECES],
    /// How often a delta was learned in vain since one was recognised.
    tries: u8,
}

impl Template {
    /// Where the text in `frame` lies, between its quotes, if but for its text
    /// (which is not empty) it is the delta that was learned.
    pub(crate) fn text(&mut self, frame: &[u8]) -> Option<Range<usize>> {
        let opening = self.bytes.get(..self.ends[0]).filter(|it| !it.is_empty())?;
        let rest = frame.strip_prefix(opening)?;
        let length = string_len(rest);
        let mut rest = rest[length..].strip_prefix(&self.bytes[self.ends[0]..self.ends[1]])?;
        for piece in self.ends[1..].windows(2) {
            let varying = rest.iter().position(|byte| !varies(*byte));
            rest = rest[varying.unwrap_or(rest.len())..]
                .strip_prefix(&self.bytes[piece[0]..piece[1]])?;
        }
        self.tries = 0;
        let start = self.ends[0];
        (rest.is_empty() && length > 0).then_some(start..start + length)
    }

    /// Learns `frame`, a delta with its text at `text`.
    pub(crate) fn learn(&mut self, frame: &[u8], text: Range<usize>) {
        if self.tries >= TRIES || frame.len() > 4096 {
            self.bytes = Vec::new();
            self.ends = [0; PIECES];
            return;
        }
        self.tries += 1;
        self.bytes.clear();
        self.bytes.extend_from_slice(&frame[..text.start]);
        self.ends = [text.start; PIECES];
        let mut from = text.end;
        let mut piece = 1;
        for gap in gaps(frame, text.end) {
            if gap.start < from || piece == PIECES - 1 {
                continue;
            }
            self.bytes.extend_from_slice(&frame[from..gap.start]);
            self.ends[piece] = self.bytes.len();
            piece += 1;
            from = gap.end;
        }
        self.bytes.extend_from_slice(&frame[from..]);
        self.ends[piece..].fill(self.bytes.len());
    }
}

/// Where `frame` varies behind `from`, in order.
fn gaps(frame: &[u8], from: usize) -> [Range<usize>; 3] {
    let run_at = |start: usize| {
        let run = frame[start..].iter().position(|byte| !varies(*byte));
        start..start + run.unwrap_or(frame.len() - start)
    };
    let value_of = |key: &Key| match key.value(&frame[from..]) {
        None => 0..0,
        Some(value) => {
            let quote = usize::from(value.first() == Some(&b'"'));
            run_at(frame.len() - value.len() + quote)
        }
    };
    let brace = memchr::memrchr(b'}', &frame[from..]).map_or(frame.len(), |at| from + at);
    let padding = frame[from..brace]
        .iter()
        .rev()
        .take_while(|byte| **byte == b' ');
    let mut gaps = [
        value_of(&VARYING[0]),
        value_of(&VARYING[1]),
        brace - padding.count()..brace,
    ];
    gaps.sort_unstable_by_key(|gap| gap.start);
    gaps
}

/// The bytes a varying value may have: none that ends a JSON string or value.
fn varies(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEXT: Key = key!("text");

    fn len(template: &mut Template, frame: &str) -> Option<u64> {
        let text = template.text(frame.as_bytes())?;
        Some(text.len() as u64)
    }

    #[test]
    fn deltas_are_recognised_by_their_last() {
        let rows: [(&str, &str, Option<u64>); 12] = [
            (r#"{"text":"a"}"#, r#"{"text":"abc"}"#, Some(3)),
            (r#"{"text":"a"}"#, r#"{"text":"a\"}"}"#, Some(4)),
            (r#"{"text":"a"}"#, r#"{"text":""}"#, None),
            (r#"{"text":"a"}"#, r#"{"text":"a","finish":1}"#, None),
            (r#"{"text":"a"}"#, r#"{"text":"a"}}"#, None),
            (r#"{"text":"a"}"#, r#"{"text":"a"#, None),
            (r#"{"text":"a"}"#, r#"{"text":"a"      }"#, Some(1)),
            (r#"{"text":"a"  }"#, r#"{"text":"a"}"#, Some(1)),
            (
                r#"{"text":"a","obfuscation":"x1y","sequence_number":7}"#,
                r#"{"text":"ab","obfuscation":"","sequence_number":12}"#,
                Some(2),
            ),
            (
                r#"{"text":"a","sequence_number":7,"obfuscation":"x","z":0  }"#,
                r#"{"text":"ab","sequence_number":12,"obfuscation":"yy","z":0}"#,
                Some(2),
            ),
            (
                r#"{"text":"a","obfuscation":"x"}"#,
                r#"{"text":"a","obfuscation":"x","usage":{}}"#,
                None,
            ),
            (
                r#"{"obfuscation":"x","text":"a"}"#,
                r#"{"obfuscation":"y","text":"a"}"#,
                None,
            ),
        ];
        for (first, second, length) in rows {
            let mut template = Template::default();
            assert_eq!(len(&mut template, first), None);
            let text = TEXT.text_span(first.as_bytes()).unwrap();
            template.learn(first.as_bytes(), text);
            assert_eq!(len(&mut template, first), Some(1), "{first}");
            assert_eq!(len(&mut template, second), length, "{second}");
        }
    }

    #[test]
    fn what_never_recurs_is_learned_a_few_times_only() {
        let mut template = Template::default();
        for id in 0..100 {
            let frame = format!("{{\"id\":{id},\"text\":\"a\"}}");
            assert_eq!(len(&mut template, &frame), None);
            template.learn(frame.as_bytes(), TEXT.text_span(frame.as_bytes()).unwrap());
        }
        assert!(template.bytes.is_empty());
    }
}
