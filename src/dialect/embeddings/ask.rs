//! A request's inputs, and requests made of several requests' inputs.

use std::ops::Range;

use bytes::Bytes;

use crate::dialect::json::scan::{Invalid, Scan};
use crate::dialect::json::span_in;

/// A request for embeddings, and where its inputs lie.
#[derive(Clone, Debug)]
pub struct Ask {
    body: Bytes,
    /// Where the value of `input` lies in the body.
    list: Range<usize>,
    kind: Kind,
    /// Never empty.
    inputs: Vec<Input>,
    /// Whether `inputs` are all that the body asks for.
    is_whole: bool,
}

#[derive(Clone, Debug)]
struct Input {
    /// Where it lies in the body.
    span: Range<usize>,
    tokens: u64,
}

/// What inputs are made of. One request holds one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Strings.
    Text,
    /// Lists of token numbers.
    Tokens,
}

impl Ask {
    /// Reads a request's body. Nothing where it isn't JSON, or `input` isn't
    /// one text, one list of tokens, or a list of one of these: such a call
    /// is the provider's to refuse or to understand, and is not taken apart.
    pub fn read(body: Bytes) -> Option<Self> {
        let text = simdutf8::basic::from_utf8(&body).ok()?;
        let list = list(text).ok()?;
        let (kind, parts) = parts(list).ok()?;
        let inputs: Vec<_> = parts
            .into_iter()
            .map(|part| Input {
                span: span_in(text, part),
                tokens: kind.tokens(part),
            })
            .collect();
        Some(Self {
            list: span_in(text, list),
            kind,
            is_whole: !inputs.is_empty(),
            inputs,
            body,
        })
        .filter(|ask| ask.is_whole)
    }

    /// What the inputs are made of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many inputs there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// The inputs in the order asked, each as it is written: JSON.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.inputs
            .iter()
            .map(|input| &self.body[input.span.clone()])
    }

    /// The tokens of each input: counted where it is tokens, guessed where it
    /// is text.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = u64> {
        self.inputs.iter().map(|input| input.tokens)
    }

    /// The tokens of all inputs.
    pub fn tokens(&self) -> u64 {
        self.weights().fold(0, u64::saturating_add)
    }

    /// Whether these are all of the body's inputs, so that the body says it
    /// best as it stands.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The same call for those of its inputs that `wanted` takes, by their
    /// place; nothing where it takes none.
    pub fn only(&self, mut wanted: impl FnMut(usize) -> bool) -> Option<Self> {
        let inputs: Vec<_> = (0..)
            .zip(&self.inputs)
            .filter(|(at, _)| wanted(*at))
            .map(|(_, input)| input.clone())
            .collect();
        (!inputs.is_empty()).then(|| Self {
            is_whole: self.is_whole && inputs.len() == self.inputs.len(),
            inputs,
            body: self.body.clone(),
            list: self.list.clone(),
            kind: self.kind,
        })
    }
}

/// One body that asks for the inputs of all `asks` in turn: the first's own,
/// byte for byte, where it is alone and whole, else the first's with another
/// list in it. All must be of one [`Kind`], and their bodies must mean the
/// same but for the inputs.
pub fn compose<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Bytes {
    let asks: Vec<_> = asks.into_iter().collect();
    let Some(first) = asks.first() else {
        return Bytes::new();
    };
    if asks.len() == 1 && first.is_whole {
        return first.body.clone();
    }
    let inputs = || asks.iter().flat_map(|ask| ask.inputs());
    let size: usize = inputs().map(|input| input.len() + 1).sum();
    let mut out = Vec::with_capacity(first.body.len() - first.list.len() + size + 2);
    out.extend_from_slice(&first.body[..first.list.start]);
    for (at, input) in inputs().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        out.extend_from_slice(input);
    }
    out.push(b']');
    out.extend_from_slice(&first.body[first.list.end..]);
    out.into()
}

/// The value of `input` in a body. Twice is invalid: providers differ in which
/// they believe.
fn list(body: &str) -> Result<&str, Invalid> {
    let mut scan = Scan::new(body);
    let mut found = None;
    scan.object(|scan, key| {
        let value = scan.skip()?;
        match key == "input" && found.replace(value).is_some() {
            true => Err(Invalid),
            false => Ok(()),
        }
    })?;
    scan.end()?;
    found.ok_or(Invalid)
}

/// The inputs of a list, or the one that stands without a list.
fn parts(list: &str) -> Result<(Kind, Vec<&str>), Invalid> {
    if list.starts_with('"') {
        return Ok((Kind::Text, vec![list]));
    }
    let mut parts = Vec::new();
    Scan::new(list).array(|scan| {
        parts.push(scan.skip()?);
        Ok(())
    })?;
    let all = |start: fn(u8) -> bool| parts.iter().all(|part| start(part.as_bytes()[0]));
    if all(|byte| byte == b'"') {
        Ok((Kind::Text, parts))
    } else if all(|byte| byte == b'[') {
        Ok((Kind::Tokens, parts))
    } else if all(|byte| byte.is_ascii_digit()) {
        Ok((Kind::Tokens, vec![list]))
    } else {
        Err(Invalid)
    }
}

impl Kind {
    /// The tokens of one input. A token of text is about four letters of
    /// English, or about one of a script that takes several bytes a letter; too
    /// many is the better guess, for batches are bounded by it.
    fn tokens(self, input: &str) -> u64 {
        let bytes = input.as_bytes();
        match self {
            Self::Text => {
                let plain = bytes.iter().filter(|byte| byte.is_ascii()).count();
                // Not counting the quotes.
                let plain = plain.saturating_sub(2);
                (plain.div_ceil(4) + (bytes.len() - plain - 2).div_ceil(2)).max(1) as u64
            }
            Self::Tokens => {
                let is_empty = bytes[1..].trim_ascii_start().starts_with(b"]");
                let commas = memchr::memchr_iter(b',', bytes).count();
                commas as u64 + u64::from(!is_empty)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> Option<Ask> {
        Ask::read(Bytes::copy_from_slice(body.as_bytes()))
    }

    fn inputs(ask: &Ask) -> Vec<&str> {
        ask.inputs()
            .map(|input| std::str::from_utf8(input).unwrap())
            .collect()
    }

    #[test]
    fn inputs_are_found_and_weighed() {
        type Row = (&'static str, Kind, &'static [&'static str], &'static [u64]);
        let rows: [Row; 9] = [
            (r#""""#, Kind::Text, &[r#""""#], &[1]),
            (r#""12345""#, Kind::Text, &[r#""12345""#], &[2]),
            (
                r#" [ "a" , "b\"]" ] "#,
                Kind::Text,
                &[r#""a""#, r#""b\"]""#],
                &[1, 1],
            ),
            (r#"["日本語の文"]"#, Kind::Text, &[r#""日本語の文""#], &[8]),
            ("[7]", Kind::Tokens, &["[7]"], &[1]),
            ("[1, 2,3 ]", Kind::Tokens, &["[1, 2,3 ]"], &[3]),
            ("[[1,2],[3]]", Kind::Tokens, &["[1,2]", "[3]"], &[2, 1]),
            ("[[ ],[3]]", Kind::Tokens, &["[ ]", "[3]"], &[0, 1]),
            (r#"["a","a"]"#, Kind::Text, &[r#""a""#, r#""a""#], &[1, 1]),
        ];
        for (input, kind, parts, weights) in rows {
            let ask = ask(&format!(r#"{{"model":"m","input":{input},"x":1}}"#)).expect(input);
            assert_eq!(
                (ask.kind(), inputs(&ask)),
                (kind, parts.to_vec()),
                "{input}"
            );
            assert_eq!(ask.weights().collect::<Vec<_>>(), weights, "{input}");
            assert_eq!(ask.tokens(), weights.iter().sum::<u64>());
            assert!(ask.is_whole());
        }
    }

    #[test]
    fn what_is_not_understood_is_not_taken_apart() {
        let rows = [
            "",
            "{}",
            "[]",
            r#"{"input":[]}"#,
            r#"{"input":null}"#,
            r#"{"input":{"text":"a"}}"#,
            r#"{"input":[{"image":"a"}]}"#,
            r#"{"input":["a",[1]]}"#,
            r#"{"input":["a",1]}"#,
            r#"{"input":[1,[1]]}"#,
            r#"{"input":[-1]}"#,
            r#"{"input":"a","input":"b"}"#,
            r#"{"input":"a"} x"#,
            r#"{"input":"a"#,
            "{\"input\":\"a\nb\"}",
        ];
        for body in rows {
            assert!(ask(body).is_none(), "{body}");
        }
        assert!(Ask::read(Bytes::from_static(b"{\"input\":\"\xff\"}")).is_none());
    }

    #[test]
    fn a_body_is_sent_as_it_is_or_with_another_list() {
        let one = ask(r#"{ "input" : "a\u0020", "model":"m" }"#).unwrap();
        let two = ask(r#"{"model":"m","input":["b","c"]}"#).unwrap();
        let rows: [(&[&Ask], &str); 4] = [
            (&[&one], r#"{ "input" : "a\u0020", "model":"m" }"#),
            (&[&two], r#"{"model":"m","input":["b","c"]}"#),
            (
                &[&one, &two],
                r#"{ "input" : ["a\u0020","b","c"], "model":"m" }"#,
            ),
            (
                &[&two, &one],
                r#"{"model":"m","input":["b","c","a\u0020"]}"#,
            ),
        ];
        for (asks, body) in rows {
            assert_eq!(compose(asks.iter().copied()), body);
        }
        let tokens = ask(r#"{"input":[1,2]}"#).unwrap();
        assert_eq!(compose([&tokens, &tokens]), r#"{"input":[[1,2],[1,2]]}"#);
    }

    #[test]
    fn a_part_of_a_call_is_the_call_for_those_inputs() {
        let ask = ask(r#"{"input":["a","b","c"],"user":"u"}"#).unwrap();
        let part = ask.only(|at| at != 1).unwrap();
        assert_eq!(
            (inputs(&part), part.is_whole()),
            (vec![r#""a""#, r#""c""#], false)
        );
        assert_eq!(compose([&part]), r#"{"input":["a","c"],"user":"u"}"#);
        let all = ask.only(|_| true).unwrap();
        assert!(all.is_whole());
        assert!(!part.only(|_| true).unwrap().is_whole());
        assert!(ask.only(|_| false).is_none());
    }
}
