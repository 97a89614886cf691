//! Embeddings: OpenAI's calls as `batchEmbedContents`, and the answers back.
//!
//! Numbers go on as they are written. Older models tell no usage: it is
//! guessed from the texts then, and says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::call::{kind_and_name, path};
use crate::dialect::Usage;
use crate::dialect::embeddings::{Ask, Kind};
use crate::dialect::ir::{Class, Failure};
use crate::dialect::json::scan::{Invalid, Scan};
use crate::dialect::members::{ObjectWriter, is_array};
use crate::dialect::reading::Reading;
use crate::dialect::translate::{Outgoing, Target};
use crate::dialect::usage;
use crate::error::Error;

/// What the way back must know of a call for embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectors {
    model: String,
    /// How many were asked for.
    count: usize,
    /// The tokens of the texts, as a guess.
    tokens: u64,
    is_base64: bool,
}

/// An answer with vectors, in OpenAI's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// JSON.
    pub body: Vec<u8>,
    /// What it took, as the body says it too; `estimated` where Gemini told
    /// nothing.
    pub usage: Usage,
}

/// Writes an OpenAI call for embeddings for `target`, a Gemini model. It takes
/// up to 100 texts; more are the provider's to refuse.
pub fn request(body: &Bytes, target: &Target<'_>) -> Result<(Outgoing, Vectors), Error> {
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| Error::invalid("reading the request body: it is not UTF-8"))?;
    let mut fields = Reading::body(text)?;
    let Some(ask) = Ask::read(body.clone()) else {
        return Err(fields.wrong("input", "a text or a list of texts"));
    };
    if ask.kind() == Kind::Tokens {
        let say = "translating the request: input is numbers of tokens, which mean nothing to this provider's models; send texts";
        return Err(Error::invalid(say).param("input"));
    }
    let is_base64 = match fields.word("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(fields.wrong("encoding_format", "\"float\" or \"base64\"")),
    };
    let dimensions = fields.count("dimensions")?;
    // Google's own word, which clients pass on as it is.
    let task = fields.text("task_type")?;
    fields.ignore(&["input", "model"]);
    let mut unknown = Vec::new();
    fields.leave(&mut unknown);

    let mut out = Outgoing {
        path: path(target.model, "batchEmbedContents"),
        ..Outgoing::default()
    };
    unknown
        .iter()
        .for_each(|(path, _)| out.losses.dropped(path));
    let name = full_name(target.model);
    out.body.reserve(body.len() + ask.len() * 128);
    let mut batch = ObjectWriter::begin(&mut out.body);
    let mut requests = batch.list("requests");
    for input in ask.inputs() {
        let mut request = requests.object();
        request.text("model", &name);
        let mut content = request.object("content");
        let mut parts = content.list("parts");
        let mut part = parts.object();
        part.key("text").extend_from_slice(input);
        part.end();
        parts.end();
        content.end();
        request.said_if("taskType", task.as_ref());
        if let Some(dimensions) = dimensions {
            request.count("outputDimensionality", dimensions);
        }
        request.end();
    }
    requests.end();
    batch.end();
    let vectors = Vectors {
        model: target.model.to_owned(),
        count: ask.len(),
        tokens: ask.tokens(),
        is_base64,
    };
    Ok((out, vectors))
}

/// A model's name with what kind of model it is, as bodies have it.
pub(super) fn full_name(model: &str) -> String {
    let (kind, name) = kind_and_name(model);
    format!("{kind}/{name}")
}

impl Vectors {
    /// Writes the provider's answer for the caller. The error is the
    /// provider's where it says so, else that this isn't an answer.
    pub fn answer(&self, body: &[u8]) -> Result<Embedded, Failure> {
        let read = std::str::from_utf8(body).ok().and_then(Answer::read);
        let read = read.filter(|read| read.values.len() == self.count);
        let Some(Answer { values, usage }) = read else {
            return Err(self.unreadable(body));
        };
        let usage = usage.unwrap_or(Usage {
            input: self.tokens,
            estimated: true,
            ..Usage::default()
        });
        let mut out = Vec::with_capacity(body.len() + 128);
        let mut answer = ObjectWriter::begin(&mut out);
        answer.text("object", "list");
        let mut data = answer.list("data");
        for (index, values) in values.into_iter().enumerate() {
            let mut item = data.object();
            item.text("object", "embedding").number("index", index);
            match self.is_base64 {
                false => drop(item.raw("embedding", values)),
                true => drop(item.text("embedding", &base64(values))),
            }
            item.end();
        }
        data.end();
        answer.text("model", &self.model);
        let mut counts = answer.object("usage");
        counts
            .count("prompt_tokens", usage.input)
            .count("total_tokens", usage.input);
        counts.end();
        answer.end();
        Ok(Embedded { body: out, usage })
    }

    fn unreadable(&self, body: &[u8]) -> Failure {
        Failure::instead(body).unwrap_or_else(|| {
            let count = self.count;
            let say = format!("the provider's answer is not a list of {count} embeddings");
            Failure::new(Class::Server, say)
        })
    }
}

/// Numbers as OpenAI packs them: 32 bits each, least byte first.
fn base64(values: &str) -> String {
    let numbers = values.trim_matches(['[', ']']).split(',');
    let bytes: Vec<u8> = numbers
        .filter_map(|number| number.trim().parse::<f32>().ok())
        .flat_map(f32::to_le_bytes)
        .collect();
    STANDARD.encode(bytes)
}

/// What an answer says, read in one pass: there are many numbers.
struct Answer<'a> {
    values: Vec<&'a str>,
    usage: Option<Usage>,
}

impl<'a> Answer<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let mut read = Self {
            values: Vec::new(),
            usage: None,
        };
        let mut scan = Scan::new(body);
        let all = scan.object(|scan, key| match &*key {
            "embeddings" => scan.array(|scan| read.vector(scan)),
            // What `embedContent` answers.
            "embedding" => read.vector(scan),
            "usageMetadata" => {
                read.usage = usage::gemini(&mut Scan::new(scan.skip()?));
                Ok(())
            }
            _ => scan.skip().map(drop),
        });
        all.and_then(|()| scan.end()).ok()?;
        Some(read)
    }

    fn vector(&mut self, scan: &mut Scan<'a>) -> Result<(), Invalid> {
        scan.object(|scan, key| {
            let value = scan.skip()?;
            if key == "values" && is_array(value) {
                self.values.push(value);
            }
            Ok(())
        })
    }
}

/// Fuzz body: a call for embeddings, or one whose tokens are counted, a byte 0,
/// and what is answered to it. Panics where what is written isn't JSON, or the
/// vectors not as many as were asked for.
#[doc(hidden)]
pub fn fuzz_others(input: &[u8]) {
    let is_json = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let mut half = || Bytes::copy_from_slice(halves.next().unwrap_or_default());
    let (call, answer) = (half(), half());
    let target = Target {
        model: "gemini-embedding-001",
        quirks: crate::dialect::quirks::Quirks::default(),
        marks_cache: false,
    };
    if let Ok(out) = super::count::request(&call, &target) {
        assert!(is_json(&out.body), "a count that isn't JSON");
    }
    if let Ok(counted) = super::count::answer(&answer) {
        assert!(is_json(&counted), "a number that isn't JSON");
    }
    let Ok((out, vectors)) = request(&call, &target) else {
        return;
    };
    assert!(is_json(&out.body), "a call that isn't JSON");
    if let Ok(told) = vectors.answer(&answer) {
        let read = crate::dialect::embeddings::Answer::read(told.body.into(), vectors.count);
        read.expect("an answer of as many vectors");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::translate::Quirks;

    fn ask(body: &str) -> Result<(Outgoing, Vectors), Error> {
        let target = Target {
            model: "gemini-embedding-001",
            quirks: Quirks::default(),
            marks_cache: false,
        };
        request(&Bytes::copy_from_slice(body.as_bytes()), &target)
    }

    #[test]
    fn texts_are_asked_for_in_a_batch() {
        let (out, _) = ask(
            r#"{"model":"gemini/x","input":["a\n\"","é"],"dimensions":768,"user":"u","task_type":"RETRIEVAL_QUERY"}"#,
        )
        .unwrap();
        assert_eq!(
            out.path,
            "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        );
        assert_eq!(
            String::from_utf8(out.body).unwrap(),
            r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a\n\""}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":768},{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"é"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":768}]}"#
        );
        assert_eq!(out.losses.header().as_deref(), Some("user"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_path() {
        let rows = [
            (r#"{"input":[1,2]}"#, "input"),
            (r#"{"input":{}}"#, "input"),
            (r#"{}"#, "input"),
            (
                r#"{"input":"a","encoding_format":"int8"}"#,
                "encoding_format",
            ),
            (r#"{"input":"a","dimensions":-1}"#, "dimensions"),
        ];
        for (body, field) in rows {
            assert_eq!(ask(body).unwrap_err().field(), Some(field), "{body}");
        }
    }

    #[test]
    fn vectors_come_back_in_openais_form() {
        let one = r#"{"input":"12345678"}"#;
        let packed = r#"{"input":"a","encoding_format":"base64"}"#;
        let rows = [
            (
                one,
                r#"{"embeddings":[{"values":[0.10, -2e-3]}]}"#,
                r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10, -2e-3]}],"model":"gemini-embedding-001","usage":{"prompt_tokens":2,"total_tokens":2}}"#,
                true,
            ),
            (
                one,
                r#"{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#,
                r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]}],"model":"gemini-embedding-001","usage":{"prompt_tokens":4,"total_tokens":4}}"#,
                false,
            ),
            (
                packed,
                r#"{"embeddings":[{"values":[1, -0.5]}],"usageMetadata":{"promptTokenCount":1}}"#,
                r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAL8="}],"model":"gemini-embedding-001","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
                false,
            ),
        ];
        for (asked, answer, expected, is_estimated) in rows {
            let (_, vectors) = ask(asked).unwrap();
            let embedded = vectors.answer(answer.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(embedded.body).unwrap(), expected);
            assert_eq!(embedded.usage.estimated, is_estimated, "{answer}");
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let (_, vectors) = ask(r#"{"input":["a","b"]}"#).unwrap();
        for body in [
            "",
            "{}",
            r#"{"embeddings":[{"values":[1]}]}"#,
            r#"{"embeddings":[{},{}]}"#,
        ] {
            let failure = vectors.answer(body.as_bytes()).unwrap_err();
            assert!(failure.message.contains("2 embeddings"), "{failure:?}");
        }
        let told = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#;
        let failure = vectors.answer(told.as_bytes()).unwrap_err();
        assert_eq!(failure.class, Class::RateLimited);
    }
}
