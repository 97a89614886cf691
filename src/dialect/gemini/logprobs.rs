//! Probabilities of tokens, between Gemini's form and chat's, which is the
//! IR's.

use crate::dialect::ir::{Json, Text};
use crate::dialect::json::elements;
use crate::dialect::members::{ListWriter, Members, ObjectWriter};

/// The chosen tokens of a `logprobsResult`, each with the others that were
/// likely, as chat has them.
pub(super) fn read(result: &str) -> Option<Json<'static>> {
    let result = Members::of(result)?;
    let others = result.list("topCandidates");
    let mut out = Vec::new();
    let mut list = ListWriter::begin(&mut out);
    for (index, token) in result.list("chosenCandidates").into_iter().enumerate() {
        let mut object = list.object();
        read_token(&mut object, token);
        let mut top = object.list("top_logprobs");
        let others = others.get(index).copied().and_then(Members::of);
        for other in others.unwrap_or_default().list("candidates") {
            let mut object = top.object();
            read_token(&mut object, other);
            object.end();
        }
        top.end();
        object.end();
    }
    list.end();
    let json = std::str::from_utf8(&out).ok()?;
    Json::checked(json)
        .filter(|_| json != "[]")
        .map(Json::into_owned)
}

fn read_token(object: &mut ObjectWriter<'_>, token: &str) {
    let token = Members::of(token).unwrap_or_default();
    let text = token
        .get("token")
        .and_then(Text::of_json)
        .unwrap_or_default();
    // Protobuf leaves out what is 0.
    let logprob = token.get("logProbability").unwrap_or("0");
    object.said("token", &text).raw("logprob", logprob);
    let mut bytes = object.list("bytes");
    for byte in text.resolved().bytes() {
        let mut digits = itoa::Buffer::new();
        bytes
            .next()
            .extend_from_slice(digits.format(byte).as_bytes());
    }
    bytes.end();
}

/// Writes chat's probabilities as a `logprobsResult`.
pub(super) fn write(candidate: &mut ObjectWriter<'_>, content: &Json<'_>) {
    let tokens: Vec<Members<'_>> = elements(content.as_str())
        .unwrap_or_default()
        .into_iter()
        .filter_map(Members::of)
        .collect();
    let mut result = candidate.object("logprobsResult");
    let mut chosen = result.list("chosenCandidates");
    tokens
        .iter()
        .for_each(|token| write_token(&mut chosen, token));
    chosen.end();
    let mut top = result.list("topCandidates");
    for token in &tokens {
        let mut others = top.object();
        let mut list = others.list("candidates");
        for other in token
            .list("top_logprobs")
            .into_iter()
            .filter_map(Members::of)
        {
            write_token(&mut list, &other);
        }
        list.end();
        others.end();
    }
    top.end();
    result.end();
}

fn write_token(list: &mut ListWriter<'_>, token: &Members<'_>) {
    let mut object = list.object();
    object
        .raw("token", token.get("token").unwrap_or("\"\""))
        .raw("logProbability", token.get("logprob").unwrap_or("0"));
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_told_in_either_form() {
        let google = r#"{"chosenCandidates":[{"token":"é","logProbability":-0.25},{"token":"b"}],"topCandidates":[{"candidates":[{"token":"é","logProbability":-0.25},{"token":"e","logProbability":-2}]},{"candidates":[]}]}"#;
        let chat = r#"[{"token":"é","logprob":-0.25,"bytes":[195,169],"top_logprobs":[{"token":"é","logprob":-0.25,"bytes":[195,169]},{"token":"e","logprob":-2,"bytes":[101]}]},{"token":"b","logprob":0,"bytes":[98],"top_logprobs":[]}]"#;
        let told = read(google).unwrap();
        assert_eq!(told.as_str(), chat);
        let mut out = Vec::new();
        let mut candidate = ObjectWriter::begin(&mut out);
        write(&mut candidate, &told);
        candidate.end();
        let again = String::from_utf8(out).unwrap();
        assert_eq!(
            read(Members::of(&again).unwrap().get("logprobsResult").unwrap()),
            Some(told)
        );
        assert_eq!(read("{}"), None);
    }
}
