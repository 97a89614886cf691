//! Counts of tokens: what callers of Messages ask, as `countTokens`.

use super::call;
use super::embed::full_name;
use crate::dialect::ir::{Class, Failure};
use crate::dialect::json::count;
use crate::dialect::members::{Members, ObjectWriter};
use crate::dialect::translate::{Outgoing, Target, Wire};
use crate::error::Error;

/// Writes what a caller of Messages wants counted for `target`, a Gemini
/// model: the call it would be, whole, so that instructions and tools count.
pub fn request(body: &[u8], target: &Target<'_>) -> Result<Outgoing, Error> {
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| Error::invalid("reading the request body: it is not UTF-8"))?;
    let request = Wire::Messages.codec().decode_request(text)?;
    let mut out = Outgoing::default();
    call::encode(&request, target, &mut out)?;
    let call = std::mem::take(&mut out.body);
    let mut asked = ObjectWriter::begin(&mut out.body);
    let mut inner = asked.object("generateContentRequest");
    inner.text("model", &full_name(target.model));
    for (key, raw) in Members::of(std::str::from_utf8(&call).unwrap_or_default())
        .unwrap_or_default()
        .iter()
    {
        inner.raw(key, raw);
    }
    inner.end();
    asked.end();
    out.path = call::path(target.model, "countTokens");
    Ok(out)
}

/// Writes the provider's count for a caller of Messages. The error is the
/// provider's where it says so, else that this isn't a count.
pub fn answer(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let total = Members::of(text).and_then(|answer| answer.get("totalTokens"));
    let Some(total) = total else {
        return Err(Failure::instead(body).unwrap_or_else(|| {
            Failure::new(
                Class::Server,
                "the provider's answer is not a count of tokens",
            )
        }));
    };
    let mut out = Vec::new();
    let mut answer = ObjectWriter::begin(&mut out);
    answer.count("input_tokens", count(total));
    answer.end();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::translate::Quirks;

    #[test]
    fn all_of_a_call_is_counted() {
        let target = Target {
            model: "gemini-2.5-flash",
            quirks: Quirks::default(),
            marks_cache: false,
        };
        let body = r#"{"model":"m","system":"s","messages":[{"role":"user","content":"hé"}],"tools":[{"name":"t","input_schema":{"type":"object"}}]}"#;
        let out = request(body.as_bytes(), &target).unwrap();
        assert_eq!(out.path, "/v1beta/models/gemini-2.5-flash:countTokens");
        assert_eq!(
            String::from_utf8(out.body).unwrap(),
            r#"{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[{"role":"user","parts":[{"text":"hé"}]}],"systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"t","parametersJsonSchema":{"type":"object"}}]}]}}"#
        );
        let error = request(b"{\"messages\":7}", &target).unwrap_err();
        assert_eq!(error.field(), Some("messages"));
    }

    #[test]
    fn the_count_comes_back() {
        let told =
            r#"{"totalTokens":12,"promptTokensDetails":[{"modality":"TEXT","tokenCount":12}]}"#;
        assert_eq!(answer(told.as_bytes()).unwrap(), br#"{"input_tokens":12}"#);
        assert!(answer(b"{}").unwrap_err().message.contains("not a count"));
        let told = r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}"#;
        assert_eq!(answer(told.as_bytes()).unwrap_err().class, Class::NotFound);
    }
}
