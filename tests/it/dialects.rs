//! What every client's format can say to every provider's, and hear from it.
//!
//! Each cell of `docs/dialects.md` is made here: a small call or answer is
//! translated, and what comes of it is read back by the other side's own
//! reader. It means the same, or what is missing is told, or the call is
//! refused; a difference that nobody tells fails the test. `NOWAIT_BLESS=1`
//! writes the page anew.

mod answers;
mod calls;
mod page;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use bytes::Bytes;
use nowait::dialect::ir::{
    Answer, Citation, Content, Effort, Finish, Form, Given, Media, Part, Reasoned, Reasoning,
    Request, Role, Source, Text, ToolCall, ToolChoice,
};
use nowait::dialect::loss::{Losses, What};
use nowait::dialect::translate::{
    Exchange, Quirks, Stream, Target, Wire, answer, failure, request,
};
use nowait::dialect::{Ending, Format, unfold};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::recordings::frames_of;
use crate::translating::gather;
use answers::{ANSWERS, FAILURES, Failed, Said};
use calls::{CALLS, Call};

/// The formats that callers have.
const CLIENTS: [Wire; 3] = [Wire::Chat, Wire::Responses, Wire::Messages];

/// The formats that providers have: completions are a caller's alone.
const PROVIDERS: [Wire; 4] = [Wire::Chat, Wire::Messages, Wire::Responses, Wire::Gemini];

/// Every pair that is translated: a client's format, and a provider's.
fn pairs() -> Vec<(Wire, Wire)> {
    let of = |client| {
        PROVIDERS
            .into_iter()
            .map(move |provider| (client, provider))
    };
    let all = CLIENTS.into_iter().flat_map(of);
    all.filter(|(client, provider)| client != provider)
        .collect()
}

/// What comes of one thing on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// One side has no way to say it.
    Unsaid,
    /// It arrives.
    Carried,
    /// It arrives, said in another way.
    Otherwise(&'static str),
    /// It arrives without these, or with these as something else.
    Lost(Vec<String>),
    /// The call is refused, naming this field.
    Refused(String),
    /// An error's status and name.
    Error(u16, String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsaid => f.write_str("–"),
            Self::Carried => f.write_str("yes"),
            Self::Otherwise(how) => write!(f, "yes, {how}"),
            Self::Lost(what) => write!(f, "with loss: {}", what.join(", ")),
            Self::Refused(field) => write!(f, "no: `{field}`"),
            Self::Error(status, name) => write!(f, "{status} `{name}`"),
        }
    }
}

impl Outcome {
    fn of(losses: &Losses) -> Self {
        let told = losses.iter().map(|loss| match &loss.what {
            What::Dropped => format!("`{}`", loss.path),
            What::Changed(how) => format!("`{}` {how}", loss.path),
        });
        let told: Vec<_> = told.collect();
        match told.is_empty() {
            true => Self::Carried,
            false => Self::Lost(told),
        }
    }
}

/// What a provider is told in another way than it was asked.
const OTHERWISE: &[(&str, Wire, &str)] = &[
    ("an earlier refusal", Wire::Messages, "as text"),
    ("an earlier refusal", Wire::Gemini, "as text"),
    (
        "function without parameters",
        Wire::Messages,
        "with an empty schema",
    ),
    (
        "a name that not everyone takes",
        Wire::Messages,
        "by another name, and back",
    ),
    (
        "a name that not everyone takes",
        Wire::Gemini,
        "by another name, and back",
    ),
    (
        "a name that not everyone takes",
        Wire::Chat,
        "by another name, and back",
    ),
    (
        "a call's id that not everyone takes",
        Wire::Messages,
        "as another id",
    ),
    (
        "a tool of free text",
        Wire::Messages,
        "as a function of one text",
    ),
    (
        "a tool of free text",
        Wire::Gemini,
        "as a function of one text",
    ),
    ("some JSON object", Wire::Messages, "by a tool it must call"),
    (
        "think hard",
        Wire::Messages,
        "as a budget for models that want one",
    ),
    ("no limit of tokens", Wire::Messages, "as the model's own"),
    (
        "a name that not everyone takes",
        Wire::Responses,
        "by another name, and back",
    ),
    (
        "a call's id that not everyone takes",
        Wire::Responses,
        "as another id",
    ),
    (
        "a call's id that not everyone takes",
        Wire::Chat,
        "as another id",
    ),
    (
        "a summary of the thoughts",
        Wire::Messages,
        "as a budget for models that want one",
    ),
    (
        "keep the answer (`store`)",
        Wire::Responses,
        "as its own field",
    ),
    (
        "a result with an image",
        Wire::Chat,
        "in a turn of the user's",
    ),
];

#[test]
fn every_call_of_every_pair_arrives_or_tells_what_is_missing() {
    let mut wrong = String::new();
    for (client, provider) in pairs() {
        for call in CALLS.iter().flat_map(|(_, calls)| *calls) {
            if let Err(how) = asked(call, client, provider) {
                let _ = writeln!(wrong, "{client:?} to {provider:?}, {}: {how}", call.what);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_answer_of_every_pair_arrives_or_tells_what_is_missing() {
    let mut wrong = String::new();
    for (client, provider) in pairs() {
        for said in ANSWERS {
            for streamed in [false, true] {
                if let Err(how) = told(said, client, provider, streamed) {
                    let what = said.what;
                    let _ = writeln!(
                        wrong,
                        "{provider:?} to {client:?}, {what}, streamed {streamed}: {how}"
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_error_of_every_pair_has_its_status() {
    for (client, provider) in pairs() {
        for failure in FAILURES {
            let Outcome::Error(status, name) = failed(failure, client, provider) else {
                continue;
            };
            let what = failure.what;
            assert!(
                status >= 400 && !name.is_empty(),
                "{provider:?} to {client:?}, {what}"
            );
            let is_ours = |status| (400..500).contains(&status);
            let sent = failure.sent(provider).0;
            assert_eq!(
                is_ours(status),
                is_ours(sent),
                "{provider:?} to {client:?}, {what}"
            );
        }
    }
}

#[test]
fn thoughts_find_back_to_their_maker() {
    for (client, provider) in pairs() {
        for said in ANSWERS
            .iter()
            .filter(|said| said.what.contains("thoughts") || said.what.contains("signed"))
        {
            if let Some(body) = said.body(provider) {
                returned(said.what, &body, client, provider);
            }
        }
    }
}

#[test]
fn the_page_shows_what_comes_of_everything() {
    page::compare();
}

/// What comes of a call, or how it changed without a word.
fn asked(call: &Call, client: Wire, provider: Wire) -> Result<Outcome, String> {
    let Some(body) = call.body(client) else {
        return Ok(Outcome::Unsaid);
    };
    let (out, _) = match request(
        client,
        provider,
        body.as_bytes(),
        &target(provider),
        "id",
        1,
    ) {
        Ok(translated) => translated,
        Err(error) => {
            let field = error
                .field()
                .ok_or_else(|| format!("refused without a field: {error}"))?;
            return Ok(Outcome::Refused(field.to_owned()));
        }
    };
    let outcome = Outcome::of(&out.losses);
    if outcome == Outcome::Carried {
        let sent = String::from_utf8(out.body.clone()).expect("JSON is UTF-8");
        let meant = client
            .codec()
            .decode_request(&body)
            .map_err(|error| error.to_string())?;
        let read = provider.codec().decode_request(&sent).map(plainly);
        let meant = plainly(meant);
        let is_same = read.as_ref().is_ok_and(|read| *read == meant);
        let otherwise = OTHERWISE
            .iter()
            .find(|(what, to, _)| (*what, *to) == (call.what, provider));
        return match (otherwise, read) {
            (Some((.., how)), _) if !is_same => Ok(Outcome::Otherwise(how)),
            (Some(_), _) => Err("is no longer said in another way".to_owned()),
            (None, _) if is_same => Ok(outcome),
            (None, Ok(read)) => Err(difference(&meant, &read, &sent)),
            (None, Err(error)) => Err(format!("{error}: {sent}")),
        };
    }
    Ok(outcome)
}

/// What a call asks for, apart from how formats spell it.
fn plainly(mut request: Request<'_>) -> Request<'_> {
    // Neither is in a Gemini body.
    request.model = Text::plain("");
    request.stream = false;
    request.include_usage = false;
    for turn in &mut request.turns {
        if turn.role == Role::Developer {
            turn.role = Role::System;
        }
        for part in &mut turn.parts {
            // Where a cache is told nothing it decides for itself.
            part.cache = None;
            spell(&mut part.content);
        }
    }
    let settings = &mut request.settings;
    let is_usual = |choice: &Given<ToolChoice<'_>>| choice.value == ToolChoice::Auto;
    settings.tool_choice = settings
        .tool_choice
        .take()
        .filter(|choice| !is_usual(choice));
    // Not to think, and to think as much as is needed, is what no word says.
    settings.reasoning = settings.reasoning.take().and_then(|given| {
        let effort = given.value.thinking().and_then(Effort::of)?;
        let effort = Some(effort).filter(|effort| *effort != Effort::None);
        let reasoning = Reasoning {
            effort,
            ..Reasoning::default()
        };
        effort.is_some().then_some(Given {
            value: reasoning,
            ..given
        })
    });
    if let Some(Form::Schema { name, strict, .. }) =
        settings.form.as_mut().map(|form| &mut form.value)
    {
        (*name, *strict) = (None, None);
    }
    request
}

/// Says in one way what some formats say in another.
fn spell(content: &mut Content<'_>) {
    match content {
        Content::Media(Media {
            source: Source::Text(text),
            ..
        }) => {
            *content = Content::text(text.clone());
        }
        Content::Media(Media {
            source: Source::Url { media_type, .. },
            ..
        }) => *media_type = None,
        Content::Text { citations, .. } => {
            for citation in citations {
                *citation = Citation {
                    url: citation.url.take(),
                    title: citation.title.take(),
                    ..Citation::default()
                };
            }
        }
        Content::Reasoning(reasoned) => reasoned.is_summary = false,
        _ => {}
    }
}

/// What comes of an answer, or how it changed without a word.
fn told(said: &Said, client: Wire, provider: Wire, streamed: bool) -> Result<Outcome, String> {
    let Some(body) = said.body(provider) else {
        return Ok(Outcome::Unsaid);
    };
    let exchange = Exchange {
        include_usage: true,
        stream: streamed,
        ..Exchange::default()
    };
    let meant = provider
        .codec()
        .decode_answer(&body, &exchange)
        .ok_or("not an answer")?;
    let outcome = match streamed {
        false => {
            let out = answer(provider, client, body.as_bytes(), &exchange)
                .map_err(|failure| failure.message)?;
            let text = String::from_utf8(out.body).expect("JSON is UTF-8");
            let read = client
                .codec()
                .decode_answer(&text, &exchange)
                .ok_or("not an answer")?;
            if out.losses.is_empty() && heard(&read) != heard(&meant) {
                return Err(difference(&heard(&meant), &heard(&read), &text));
            }
            Outcome::of(&out.losses)
        }
        true => {
            let mut translation = Stream::new(provider, client, &exchange);
            let mut out = Vec::new();
            translation.push(Bytes::from(streamed_form(provider, &body)), &mut out);
            if translation.end(&mut out) != Ending::Terminal {
                return Err(format!(
                    "the stream did not end well: {}",
                    String::from_utf8_lossy(&out)
                ));
            }
            let text = String::from_utf8(out).expect("JSON is UTF-8");
            let read = gather(client, &frames_of(&text, &mut || usize::MAX))
                .map_err(|failure| failure.message)?;
            if translation.losses().is_empty() && heard(&read) != heard(&meant) {
                return Err(difference(&heard(&meant), &heard(&read), &text));
            }
            Outcome::of(translation.losses())
        }
    };
    Ok(outcome)
}

/// An answer, apart from how formats spell it.
fn heard<'a>(answer: &Answer<'a>) -> Answer<'a> {
    let mut answer = answer.clone();
    answer.created = None;
    for choice in &mut answer.choices {
        // Only Anthropic says which; that it was one is the usual end.
        choice.stopped_by = None;
        for part in &mut choice.parts {
            spell(&mut part.content);
            // Anthropic's refusals are texts, and the reason for the end.
            if let Content::Refusal(text) = &part.content {
                part.content = Content::text(text.clone());
                choice.finish = Some(Finish::ContentFilter);
            }
        }
    }
    answer
}

/// Where two values differ, and the text that says the second.
fn difference(meant: &impl fmt::Debug, read: &impl fmt::Debug, text: &str) -> String {
    let (meant, read) = (format!("{meant:?}"), format!("{read:?}"));
    let pairs = meant.char_indices().zip(read.chars());
    let alike = pairs.take_while(|((_, a), b)| a == b).last();
    let start = alike.map_or(0, |((at, _), _)| at.saturating_sub(40));
    let from = |it: &str| {
        it.get(start..)
            .unwrap_or(it)
            .chars()
            .take(300)
            .collect::<String>()
    };
    format!(
        "\n  meant …{}…\n  came  …{}…\n  as {text}\n",
        from(&meant),
        from(&read)
    )
}

/// The stream that says what a whole answer says.
fn streamed_form(provider: Wire, body: &str) -> Vec<u8> {
    let format = match provider {
        Wire::Chat => Format::Chat,
        Wire::Messages => Format::Messages,
        Wire::Responses => Format::Responses,
        Wire::Completions => Format::Completions,
        // A chunk of Gemini's looks like an answer.
        Wire::Gemini => {
            let one_line: Value = serde_json::from_str(body).expect("JSON");
            return format!("data: {one_line}\r\n\r\n").into_bytes();
        }
    };
    unfold(format, body.as_bytes(), true)
        .expect("an answer")
        .to_vec()
}

/// Hands an answer's thoughts to the client and back in its next turn.
fn returned(what: &str, body: &str, client: Wire, provider: Wire) {
    let exchange = Exchange::default();
    let heard = answer(provider, client, body.as_bytes(), &exchange).expect("an answer");
    let heard: Value = serde_json::from_slice(&heard.body).expect("JSON");
    let user = || serde_json::json!({"role": "user", "content": "Go on."});
    let (field, base, said) = match client {
        Wire::Chat => (
            "messages",
            calls::CHAT,
            vec![heard["choices"][0]["message"].clone()],
        ),
        Wire::Messages => {
            let content = &heard["content"];
            (
                "messages",
                calls::MESSAGES,
                vec![serde_json::json!({"role": "assistant", "content": content})],
            )
        }
        _ => (
            "input",
            calls::RESPONSES,
            heard["output"].as_array().expect("a list").clone(),
        ),
    };
    let mut call: Value = serde_json::from_str(base).expect("JSON");
    let turns = [user()].into_iter().chain(said).chain([user()]);
    call[field] = Value::Array(turns.collect());
    let call = call.to_string();
    let (out, _) = request(
        client,
        provider,
        call.as_bytes(),
        &target(provider),
        "id",
        1,
    )
    .expect("a call");
    let sent = String::from_utf8(out.body).expect("JSON is UTF-8");
    let meant = provider
        .codec()
        .decode_answer(body, &exchange)
        .expect("an answer");
    let read = provider.codec().decode_request(&sent).expect("a call");
    let all = read.turns.iter().flat_map(|turn| &turn.parts);
    assert_eq!(
        seals(all),
        seals(&meant.choices[0].parts),
        "{what} of {provider:?} by way of {client:?}: {sent}"
    );
}

/// What a provider wants back as it gave it.
fn seals<'a>(parts: impl IntoIterator<Item = &'a Part<'a>>) -> Vec<String> {
    let sealed = |part: &Part<'_>| match &part.content {
        Content::Reasoning(Reasoned {
            text,
            seal: Some(seal),
            ..
        }) => Some(format!("{text:?} {:?}", seal.data)),
        Content::Call(ToolCall {
            name,
            seal: Some(seal),
            ..
        }) => Some(format!("{name:?} {:?}", seal.data)),
        _ => None,
    };
    parts.into_iter().filter_map(sealed).collect()
}

/// What a client is told of a provider's error.
fn failed(failed: &Failed, client: Wire, provider: Wire) -> Outcome {
    let (status, body) = failed.sent(provider);
    if body.is_empty() {
        return Outcome::Unsaid;
    }
    let sent = failure(client, status, body.as_bytes(), &Exchange::default());
    let told: Value = serde_json::from_slice(&sent.body).expect("an error is JSON");
    let error = &told["error"];
    let name = match client {
        Wire::Messages => &error["type"],
        _ if error["code"].is_null() => &error["type"],
        _ => &error["code"],
    };
    Outcome::Error(sent.status, name.as_str().unwrap_or_default().to_owned())
}

fn target(provider: Wire) -> Target<'static> {
    Target {
        model: match provider {
            Wire::Messages => "claude-sonnet-4-5",
            Wire::Gemini => "gemini-3-flash",
            _ => "gpt-5.2",
        },
        quirks: Quirks::default(),
        marks_cache: false,
    }
}

impl Failed {
    /// The status and the body that a provider sends.
    fn sent(&self, provider: Wire) -> (u16, &'static str) {
        match provider {
            Wire::Messages => self.anthropic,
            Wire::Gemini => self.gemini,
            Wire::Chat | Wire::Responses | Wire::Completions => self.openai,
        }
    }
}

impl Call {
    /// The whole body, if `client` has a way to ask it.
    fn body(&self, client: Wire) -> Option<String> {
        match client {
            Wire::Chat => merged(calls::CHAT, self.chat),
            Wire::Responses => merged(calls::RESPONSES, self.responses),
            Wire::Messages => merged(calls::MESSAGES, self.messages),
            Wire::Gemini | Wire::Completions => None,
        }
    }
}

impl Said {
    /// The whole body, if `provider` has a way to say it.
    fn body(&self, provider: Wire) -> Option<String> {
        match provider {
            Wire::Chat => merged(answers::CHAT, self.chat),
            Wire::Responses => merged(answers::RESPONSES, self.responses),
            Wire::Messages => merged(answers::MESSAGES, self.messages),
            Wire::Gemini => merged(answers::GEMINI, self.gemini),
            Wire::Completions => None,
        }
    }
}

/// `base` with the members of `more`, as they are written; a null in `more`
/// takes one out. Nothing for nothing.
fn merged(base: &str, more: &str) -> Option<String> {
    if more.is_empty() {
        return None;
    }
    type Members = BTreeMap<String, Box<RawValue>>;
    let read = |json| {
        serde_json::from_str::<Members>(json).unwrap_or_else(|error| panic!("{error}: {json}"))
    };
    let (mut body, more) = (read(base), read(more));
    body.retain(|key, _| more.get(key).is_none_or(|value| value.get() != "null"));
    body.extend(more.into_iter().filter(|(_, value)| value.get() != "null"));
    Some(serde_json::to_string(&body).expect("it was JSON"))
}
