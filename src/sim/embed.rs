//! Embeddings: each text its own unit vector, the same every time.

use std::fmt::Write as _;

use bytes::Bytes;

use super::ask::tokens;
use super::dice::{Dice, digest, mix};
use super::json::{self, Object, mistyped};
use super::refusal::Refusal;
use super::script::Quoted;

/// The most inputs one call may hold, as at OpenAI.
const INPUTS: usize = 2048;

/// One call for embeddings.
#[derive(Debug)]
pub(crate) struct Embed {
    pub(crate) model: String,
    /// Tokens of all inputs.
    pub(crate) input: u64,
    /// A hash of each input.
    essences: Vec<u64>,
    dimensions: Option<usize>,
    is_base64: bool,
}

impl Embed {
    /// Reads and checks `POST /v1/embeddings`.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let object = Object::root(body)?;
        let model = object.need_text("model")?.into_owned();
        let mut embed = Self {
            model,
            input: 0,
            essences: Vec::new(),
            dimensions: object
                .count("dimensions", 1)?
                .map(|n| n.min(1 << 16) as usize),
            is_base64: match object.text("encoding_format")?.as_deref() {
                None | Some("float") => false,
                Some("base64") => true,
                Some(other) => {
                    let message = format!("invalid value: '{other}'; expected float or base64");
                    return Err(Refusal::field("invalid_value", "encoding_format", message));
                }
            },
        };
        embed.inputs(&object)?;
        Ok(embed)
    }

    fn inputs(&mut self, object: &Object<'_>) -> Result<(), Refusal> {
        let raw = object.need("input")?;
        match json::texts("input", raw) {
            Ok(texts) => {
                for text in texts {
                    if text.is_empty() {
                        let message = "invalid 'input': an empty string has no embedding";
                        return Err(Refusal::field("invalid_value", "input", message));
                    }
                    self.input += tokens(&text);
                    self.essences.push(digest(1, text.as_bytes()));
                }
            }
            // Not text: then it is tokens, one list of them or several.
            Err(_) => {
                let lists = match serde_json::from_str::<Vec<u64>>(raw.get()) {
                    Ok(list) => vec![list],
                    Err(_) => serde_json::from_str::<Vec<Vec<u64>>>(raw.get()).map_err(|_| {
                        mistyped(
                            "input",
                            "a string, an array of strings or arrays of tokens",
                            raw,
                        )
                    })?,
                };
                for list in lists {
                    self.input += list.len() as u64;
                    self.essences.push(list.into_iter().fold(2, mix));
                }
            }
        }
        if self.essences.is_empty() || self.essences.len() > INPUTS {
            let message = format!("invalid 'input': expected 1 to {INPUTS} inputs");
            return Err(Refusal::field("invalid_value", "input", message));
        }
        Ok(())
    }

    /// How many vectors are asked for.
    pub(crate) fn len(&self) -> usize {
        self.essences.len()
    }

    /// The answer.
    pub(crate) fn answer(&self, seed: u64, dimensions: usize) -> Bytes {
        let dimensions = self.dimensions.unwrap_or(dimensions);
        let seed = digest(seed, self.model.as_bytes());
        let mut json = String::from(r#"{"object":"list","data":["#);
        for (at, essence) in self.essences.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(
                json,
                r#"{comma}{{"object":"embedding","index":{at},"embedding":"#
            );
            let vector = vector(mix(seed, *essence), dimensions);
            if self.is_base64 {
                json.push('"');
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                base64(&bytes, &mut json);
                json.push('"');
            } else {
                // Seven digits round-trip all that a client compares; `{}` prints as few as are exact.
                for (at, x) in vector.iter().enumerate() {
                    let _ = write!(json, "{}{x}", if at == 0 { '[' } else { ',' });
                }
                json.push(']');
            }
            json.push('}');
        }
        let _ = write!(
            json,
            r#"],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}}"#,
            Quoted(&self.model),
            self.input,
            self.input
        );
        Bytes::from(json)
    }
}

/// A vector of length 1. A shorter one is the start of the longer one, as with
/// the real models whose dimensions can be cut.
fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let mut vector: Vec<f32> = (0..dimensions)
        .map(|_| (dice.unit() - 0.5) as f32)
        .collect();
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    // A norm of zero would take a vector of zeros, which no seed gives.
    vector
        .iter_mut()
        .for_each(|x| *x /= norm.max(f32::MIN_POSITIVE));
    vector
}

/// Appends standard base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0u8; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn answer(body: &str) -> Value {
        let embed = Embed::read(body.as_bytes()).unwrap();
        serde_json::from_slice(&embed.answer(1, 8)).unwrap()
    }

    #[test]
    fn every_text_has_its_own_vector_wherever_it_stands() {
        let alone = answer(r#"{"model":"m","input":"b"}"#);
        let among = answer(r#"{"model":"m","input":["a","b"]}"#);
        assert_eq!(alone["data"][0]["embedding"], among["data"][1]["embedding"]);
        assert_ne!(among["data"][0]["embedding"], among["data"][1]["embedding"]);
        assert_eq!(
            (&among["data"][1]["index"], &among["object"]),
            (&1.into(), &"list".into())
        );
        assert_eq!(among["usage"]["prompt_tokens"], 2);
        let vector: Vec<f64> =
            serde_json::from_value(alone["data"][0]["embedding"].clone()).unwrap();
        assert_eq!(vector.len(), 8);
        assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6);
        assert_ne!(
            answer(r#"{"model":"n","input":"b"}"#)["data"],
            alone["data"]
        );
        assert_eq!(
            answer(r#"{"model":"m","input":[[1,2],[3]]}"#)["usage"]["total_tokens"],
            3
        );
        assert_eq!(
            answer(r#"{"model":"m","input":[1,2]}"#)["data"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn base64_is_the_same_vector() {
        let float = answer(r#"{"model":"m","input":"b","dimensions":3}"#);
        let packed =
            answer(r#"{"model":"m","input":"b","dimensions":3,"encoding_format":"base64"}"#);
        let floats: Vec<f32> =
            serde_json::from_value(float["data"][0]["embedding"].clone()).unwrap();
        let mut expected = String::new();
        let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        base64(&bytes, &mut expected);
        assert_eq!(packed["data"][0]["embedding"], expected);
    }

    #[test]
    fn base64_matches_the_rfc() {
        let rows = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, encoded) in rows {
            let mut out = String::new();
            base64(text.as_bytes(), &mut out);
            assert_eq!(out, encoded);
        }
    }

    #[test]
    fn wrong_requests_are_refused_by_path() {
        let rows = [
            (r#"{"input":"x"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":""}"#, "input"),
            (r#"{"model":"m","input":{"a":1}}"#, "input"),
            (r#"{"model":"m","input":"x","dimensions":0}"#, "dimensions"),
            (
                r#"{"model":"m","input":"x","encoding_format":"hex"}"#,
                "encoding_format",
            ),
        ];
        for (body, param) in rows {
            let refusal = Embed::read(body.as_bytes()).expect_err(body);
            assert_eq!(
                (refusal.status, refusal.param.as_deref()),
                (400, Some(param)),
                "{body}"
            );
        }
    }
}
