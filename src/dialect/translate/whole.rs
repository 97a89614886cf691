//! Requests, whole answers and errors from one format to the other.

use std::time::Duration;

use super::{Codec, Exchange, Outgoing, Target, Wire, retell};
use crate::dialect::ir::{Class, Failure};
use crate::dialect::loss::Losses;
use crate::dialect::misfit::misfit;
use crate::error::Error;

/// What a caller is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// JSON.
    pub body: Vec<u8>,
    /// What of the answer the caller's format has no place for.
    pub losses: Losses,
}

/// Writes a caller's `body`, in the format `client`, as a call of `provider`
/// for `target`. `id` is the request's and `now` its time in seconds since
/// 1970: answers that have none take theirs from here.
///
/// Whether losses refuse the call is the caller's to decide
/// ([`Losses::refused`]).
pub fn request(
    client: Wire,
    provider: Wire,
    body: &[u8],
    target: &Target<'_>,
    id: &str,
    now: u64,
) -> Result<(Outgoing, Exchange), Error> {
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| Error::invalid("reading the request body: it is not UTF-8"))?;
    let codec: &dyn Codec = client.codec();
    let (request, asked) = codec.decode_asked(text)?;
    let mut out = Outgoing {
        body: Vec::with_capacity(body.len() + 256),
        ..Outgoing::default()
    };
    provider
        .codec()
        .encode_request(&request, target, &mut out)?;
    let exchange = Exchange {
        model: request.model.resolved().into_owned(),
        id: id.to_owned(),
        created: now,
        stream: request.stream,
        include_usage: request.include_usage,
        form_tool: out.form_tool,
        free_text_tools: out.free_text_tools.clone(),
        renamed_tools: out.renamed_tools.clone(),
        asked,
    };
    Ok((out, exchange))
}

/// Writes a provider's whole answer for the caller.
///
/// The error is the provider's where it says so in a body that came with a
/// good status, else that this isn't an answer.
pub fn answer(
    provider: Wire,
    client: Wire,
    body: &[u8],
    exchange: &Exchange,
) -> Result<Translated, Failure> {
    let text = simdutf8::basic::from_utf8(body).ok();
    let read = text.and_then(|text| provider.codec().decode_answer(text, exchange));
    let Some(mut answer) = read else {
        return Err(unreadable(provider, body));
    };
    retell::answer(&mut answer, exchange);
    let mut losses = Losses::default();
    let body = client.codec().encode_answer(&answer, exchange, &mut losses);
    Ok(Translated { body, losses })
}

fn unreadable(provider: Wire, body: &[u8]) -> Failure {
    Failure::instead(body).unwrap_or_else(|| {
        let name = provider.as_str();
        let (list, member) = match provider {
            Wire::Chat => ("choices", Some("message")),
            Wire::Completions => ("choices", None),
            Wire::Messages => ("content", None),
            Wire::Gemini => ("candidates", None),
            Wire::Responses => ("output", None),
        };
        let why = misfit(body, list, member);
        Failure::new(
            Class::Server,
            format!("the provider's answer is not of its format ({name}): {why}"),
        )
    })
}

/// A provider's error as its caller gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status in the caller's dialect.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// When to try again, where the provider's body says it: it is the
    /// caller's `Retry-After` where the provider sent no such header.
    pub retry_after: Option<Duration>,
}

/// Writes a provider's error response for the caller.
pub fn failure(client: Wire, status: u16, body: &[u8], exchange: &Exchange) -> Refused {
    let failure = Failure::read(Some(status), body);
    let (status, body) = client.codec().encode_failure(&failure, exchange);
    Refused {
        status,
        body,
        retry_after: failure.retry_after,
    }
}

/// The pair of formats that a fuzz input's first byte chooses.
pub(super) fn pair(choice: u8) -> (Wire, Wire) {
    let count = Wire::ALL.len();
    let choice = usize::from(choice);
    let client = Wire::ALL.get(choice % (count + 1));
    (
        client.copied().unwrap_or(Wire::Completions),
        Wire::ALL[choice / count % count],
    )
}

/// Fuzz body: the first byte chooses the formats; the rest is a request.
/// Panics where translating does, or where what it writes isn't JSON that its
/// own format can read.
#[doc(hidden)]
pub fn fuzz_requests(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else {
        return;
    };
    let (client, provider) = pair(choice);
    let target = Target {
        model: match (provider, choice >= 128) {
            (Wire::Gemini, true) => "gemini-3-pro",
            (Wire::Gemini, false) => "gemini-2.5-flash",
            (_, true) => "claude-sonnet-4-5",
            (_, false) => "o3",
        },
        quirks: super::Quirks::default(),
        marks_cache: choice % 64 >= 32,
    };
    let Ok((out, _)) = request(client, provider, body, &target, "id", 1) else {
        return;
    };
    let written = std::str::from_utf8(&out.body).expect("what is written is UTF-8");
    serde_json::from_str::<serde::de::IgnoredAny>(written).expect("what is written is JSON");
    match provider.codec().decode_request(written) {
        Ok(_) => {}
        // What may be asked of OpenAI may be asked of nobody in its place.
        Err(error) if error.field() == Some("store") => {}
        Err(error) => unreadable_request(&error, written),
    }
}

#[expect(clippy::panic, reason = "a fuzz body tells what it found")]
fn unreadable_request(error: &Error, written: &str) -> ! {
    panic!("{error}: {written}")
}

/// Fuzz body: the first byte chooses the formats; the rest is a whole answer.
/// Panics where translating does, or where what it writes isn't an answer of
/// its format.
#[doc(hidden)]
pub fn fuzz_answers(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else {
        return;
    };
    let (client, provider) = pair(choice);
    let exchange = Exchange {
        form_tool: choice >= 128,
        free_text_tools: vec!["t".to_owned()],
        renamed_tools: vec![("f".to_owned(), "a long name".to_owned())],
        ..Exchange::default()
    };
    let told = failure(client, 400 + u16::from(choice), body, &exchange);
    assert!((400..600).contains(&told.status));
    serde_json::from_slice::<serde::de::IgnoredAny>(&told.body).expect("an error is JSON");
    let Ok(translated) = answer(provider, client, body, &exchange) else {
        return;
    };
    let written = std::str::from_utf8(&translated.body).expect("what is written is UTF-8");
    serde_json::from_str::<serde::de::IgnoredAny>(written).expect("what is written is JSON");
    let again = client.codec().decode_answer(written, &exchange);
    assert!(again.is_some(), "not an answer: {written}");
}
