//! Translates every recorded call, answer and stream of the formats that can
//! be translated into each of the others, and reads it back.
//!
//! The recordings are other people's traffic and not part of the project; they
//! are read where they are (`NOWAIT_RECORDINGS`, else `../shared/recordings`).

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use nowait::dialect::ir::{
    Answer, Choice, Content, Event, Failure, Finish, Gather, Request, Role, Text, Turn,
};
use nowait::dialect::translate::{
    Exchange, Outgoing, Quirks, Stream, Target, Wire, answer, count, embed, failure, request,
};
use nowait::dialect::{Ending, Format, fold, ids};
use nowait::error::Error;
use nowait::sse::Fields;
use serde_json::Value;

use crate::recordings::{format_of, frames_of, json_files, recordings, text_at};

#[test]
fn recorded_traffic_is_translated_and_read_back() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing translated");
        return;
    };
    let mut random = fastrand::Rng::with_seed(5);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = 0;
    for path in json_files(&root) {
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let format = format_of(&record);
        let Some(wire) = wire_of(&record, format) else {
            if let Some(what) = check_gemini(&name, &record) {
                *counts.entry(what).or_default() += 1;
            }
            continue;
        };
        let response = &record["response"];
        let status = response["status"].as_u64().unwrap_or(200) as u16;
        let mut count = |what| *counts.entry(what).or_default() += 1;
        // Every recording is heard, so that one fault doesn't hide the next.
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if let Some(body) = text_at(&record["request"])
                && status < 400
            {
                check_request(&name, wire, &body);
                count("requests");
            }
            if let Some(stream) = response["sse"].as_str() {
                check_stream(&name, format, wire, stream, &mut random);
                count("streams");
            } else if let Some(body) = text_at(response) {
                if status >= 400 {
                    check_error(&name, wire, status, &body);
                    count("errors");
                } else {
                    check_answer(&name, wire, &body);
                    count("answers");
                }
            }
        }));
        wrong += usize::from(checked.is_err());
    }
    assert_eq!(
        wrong, 0,
        "recordings were not translated as they should be, see above"
    );
    println!("translated: {counts:?}");
    for what in [
        "requests", "streams", "answers", "errors", "vectors", "counts",
    ] {
        assert!(counts.contains_key(what), "no {what}");
    }
}

pub(crate) fn wire_of(record: &Value, format: Option<Format>) -> Option<Wire> {
    match record["endpoint"].as_str()? {
        "generateContent" => Some(Wire::Gemini),
        // Without `alt=sse` it isn't a stream of events.
        "streamGenerateContent" => record["response"]["sse"].as_str().map(|_| Wire::Gemini),
        _ => Wire::of(format?),
    }
}

/// Holds Gemini's embeddings and counts against what was recorded of them;
/// says what there was.
fn check_gemini(name: &str, record: &Value) -> Option<&'static str> {
    let (asked, answered) = (&record["request"]["body"], &record["response"]["body"]);
    let is_error = record["response"]["status"].as_u64() >= Some(400);
    let body = answered.to_string();
    match record["endpoint"].as_str()? {
        "embedContent" => {
            let one = std::slice::from_ref(asked);
            let requests = asked["requests"].as_array().map_or(one, Vec::as_slice);
            let content = |request: &Value| request["content"]["parts"][0]["text"].clone();
            let inputs: Vec<Value> = requests.iter().map(content).collect();
            let ask = serde_json::json!({"input": inputs, "dimensions": requests[0]["outputDimensionality"]});
            let ask = Bytes::from(ask.to_string());
            let (out, vectors) = embed::request(&ask, &target(Wire::Gemini)).unwrap();
            let sent: Value = serde_json::from_slice(&out.body).unwrap();
            let again: Vec<Value> = sent["requests"].as_array()?.iter().map(content).collect();
            assert_eq!(again, inputs, "{name}");
            let embedded = vectors.answer(body.as_bytes());
            assert_eq!(embedded.is_err(), is_error, "{name}");
            let Ok(embedded) = embedded else { return None };
            let told: Value = serde_json::from_slice(&embedded.body).unwrap();
            let first = [&answered["embeddings"][0], &answered["embedding"]]
                .into_iter()
                .find(|it| it.is_object())?;
            assert_eq!(told["data"][0]["embedding"], first["values"], "{name}");
            let counted = answered["usageMetadata"]["promptTokenCount"].as_u64();
            assert_eq!(embedded.usage.estimated, counted.is_none(), "{name}");
            assert_eq!(
                told["usage"]["prompt_tokens"], embedded.usage.input,
                "{name}"
            );
            Some("vectors")
        }
        "countTokens" => {
            let counted = count::answer(body.as_bytes());
            assert_eq!(counted.is_err(), is_error, "{name}");
            let told: Value = serde_json::from_slice(&counted.ok()?).unwrap();
            assert_eq!(told["input_tokens"], answered["totalTokens"], "{name}");
            Some("counts")
        }
        _ => None,
    }
}

fn target(wire: Wire) -> Target<'static> {
    let model = match wire {
        Wire::Messages => "claude-sonnet-4-5",
        Wire::Gemini => "gemini-3-flash",
        _ => "gpt-5.2",
    };
    Target {
        model,
        quirks: Quirks::default(),
        marks_cache: false,
    }
}

/// The formats other than `wire`.
fn others(wire: Wire) -> impl Iterator<Item = Wire> {
    Wire::ALL.into_iter().filter(move |other| *other != wire)
}

fn check_request(name: &str, wire: Wire, body: &str) {
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let asked = match wire.codec().decode_request(body) {
        Ok(asked) => asked,
        Err(error) if is_held(&error) => return,
        // What only models that go on writing can do.
        Err(error) if wire == Wire::Completions && error.field() == Some("suffix") => return,
        Err(error) => panic!("{name}: {error}"),
    };
    if asked.turns.is_empty() {
        return;
    }
    // Its own format says all of it.
    let mut same = Outgoing::default();
    let model = value["model"].as_str().unwrap_or_default();
    let quirks = Quirks {
        takes_cache_control: true,
        ..Quirks::default()
    };
    let own = Target {
        model: match wire {
            Wire::Gemini => "gemini-3-flash",
            _ => model,
        },
        quirks,
        marks_cache: false,
    };
    if !is_respelled(&asked)
        && wire.codec().encode_request(&asked, &own, &mut same).is_ok()
        && same.losses.is_empty()
    {
        let text = String::from_utf8(same.body).unwrap();
        let again = wire.codec().decode_request(&text).unwrap();
        assert_eq!(again.turns, asked.turns, "{name}: to itself");
        assert_eq!(again.tools, asked.tools, "{name}: to itself");
    }
    for other in others(wire) {
        let (out, _) = match request(wire, other, body.as_bytes(), &target(other), "id", 1) {
            Ok(translated) => translated,
            // What one provider does several times another can't.
            Err(error) if error.field() == Some("n") => continue,
            Err(error) => panic!("{name} to {other:?}: {error}"),
        };
        let text = String::from_utf8(out.body).unwrap();
        let again = other.codec().decode_request(&text).unwrap_or_else(|error| {
            panic!("{name} to {other:?}: {error}: {text}");
        });
        assert_eq!(again.unknown, [], "{name} to {other:?}");
        if out.losses.is_empty() {
            assert_eq!(words(&again), words(&asked), "{name} to {other:?}");
        }
    }
}

/// Whether a call rests on what OpenAI keeps or runs.
fn is_held(error: &Error) -> bool {
    let field = error.field().unwrap_or_default();
    let kept = ["previous_response_id", "conversation", "prompt", "store"];
    kept.contains(&field) || (field.starts_with("tools[") && field.ends_with(".type"))
}

/// Whether a call's id is spelled anew, or what a result shows moves into a
/// turn of its own.
fn is_respelled(request: &Request<'_>) -> bool {
    let mut parts = request.turns.iter().flat_map(|turn| &turn.parts);
    parts.any(|part| match &part.content {
        Content::Call(call) => ids::fit(&call.id, 40) != call.id,
        Content::Result(result) => result
            .parts
            .iter()
            .any(|part| !matches!(part.content, Content::Text { .. })),
        _ => false,
    })
}

/// What is said, by whom, as far as every format tells it.
fn words(request: &Request<'_>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for Turn { role, parts, .. } in &request.turns {
        for part in parts {
            let who = match role {
                Role::Developer => "System".to_owned(),
                role => format!("{role:?}"),
            };
            match &part.content {
                Content::Text { text, .. } if text.is_blank() => {}
                Content::Text { text, .. } => {
                    words.push(format!("{who}: {}", text.resolved().trim_end()))
                }
                Content::Call(call) => words.push(format!(
                    "{who} calls {:?} {:?}",
                    spelled(&call.id),
                    call.name
                )),
                Content::Result(result) => {
                    words.push(format!("{who} gives {:?}", spelled(&result.call)))
                }
                other => words.push(format!("{who}: {:?}", std::mem::discriminant(other))),
            }
        }
    }
    words
}

/// A call's id as every format has it; those that some cut are all the same.
fn spelled<'a>(id: &'a Text<'_>) -> Text<'a> {
    let fitted = ids::fit(id, 40);
    match fitted.as_escaped().len() {
        40.. => Text::plain("long"),
        _ => fitted,
    }
}

fn check_answer(name: &str, wire: Wire, body: &str) {
    let exchange = Exchange::default();
    let Some(said) = wire.codec().decode_answer(body, &exchange) else {
        // Not everything that was recorded with a good status is an answer.
        assert!(
            answer(wire, wire, body.as_bytes(), &exchange).is_err(),
            "{name}"
        );
        return;
    };
    assert!(!said.choices.is_empty(), "{name}: nothing said");
    for client in Wire::ALL {
        let translated = answer(wire, client, body.as_bytes(), &exchange);
        let translated = translated.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        let text = String::from_utf8(translated.body).unwrap();
        let again = client.codec().decode_answer(&text, &exchange);
        let again = again.unwrap_or_else(|| panic!("{name} to {client:?}: {text}"));
        compare(&format!("{name} to {client:?}"), &said, &again, client);
    }
}

/// Holds what was read back against what was said.
fn compare(name: &str, said: &Answer<'_>, again: &Answer<'_>, client: Wire) {
    let most = match client {
        Wire::Chat | Wire::Gemini | Wire::Completions => usize::MAX,
        Wire::Messages | Wire::Responses => 1,
    };
    assert_eq!(
        told(&again.choices, usize::MAX),
        told(&said.choices, most),
        "{name}"
    );
    let usage = said.usage.unwrap_or_default();
    // Some count more tokens as cached than they count at all. Gemini counts
    // thoughts beside the answer, and nothing written to a cache.
    let is_told =
        client != Wire::Gemini || (usage.cache_write == 0 && usage.reasoning <= usage.output);
    if is_told && usage.cached + usage.cache_write <= usage.input {
        assert_eq!(again.usage.unwrap_or_default(), usage, "{name}");
    }
    assert_eq!(again.model, said.model, "{name}");
    if !said.id.is_empty() {
        assert_eq!(again.id, said.id, "{name}");
    }
}

/// Everything an answer says that every format can, by kind.
fn told(choices: &[Choice<'_>], most: usize) -> Vec<BTreeMap<&'static str, String>> {
    choices.iter().take(most).map(told_once).collect()
}

fn without_seals(
    mut told: Vec<BTreeMap<&'static str, String>>,
) -> Vec<BTreeMap<&'static str, String>> {
    for choice in &mut told {
        choice.remove("seal");
    }
    told
}

fn told_once(choice: &Choice<'_>) -> BTreeMap<&'static str, String> {
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    let mut add = |kind, text: &Text<'_>| {
        if !text.is_empty() {
            told.entry(kind).or_default().push_str(&text.resolved());
        }
    };
    let mut refuses = false;
    for part in &choice.parts {
        match &part.content {
            Content::Text { text, .. } => add("text", text),
            // Messages have no refusals beside the reason for the end.
            Content::Refusal(text) => {
                refuses = true;
                add("text", text);
            }
            Content::Reasoning(reasoned) => {
                add("thought", &reasoned.text);
                if let Some(seal) = &reasoned.seal {
                    add("seal", &seal.data);
                }
            }
            Content::Call(call) => {
                add("call", &call.id);
                add("call", &call.name);
                // A free text goes through other formats as one of a function's,
                // as do arguments that were cut off.
                let text = call.arguments.resolved();
                let arguments = match serde_json::from_str::<Value>(&text) {
                    Ok(arguments) if !call.is_custom => arguments,
                    _ => serde_json::json!({"input": text}),
                };
                add("call", &Text::plain(&arguments.to_string()));
            }
            _ => {}
        }
    }
    let finish = match choice.finish {
        _ if refuses => Finish::ContentFilter,
        // The words for these two are the same as for the usual end.
        None | Some(Finish::Other | Finish::Error) => Finish::Stop,
        Some(finish) => finish,
    };
    told.insert("finish", finish.as_str().to_owned());
    told
}

fn check_stream(
    name: &str,
    format: Option<Format>,
    wire: Wire,
    stream: &str,
    random: &mut fastrand::Rng,
) {
    let said = gather(wire, &frames_of(stream, &mut || usize::MAX));
    for most in [1, 7, 300, 5000] {
        let frames = frames_of(stream, &mut || random.usize(1..=most));
        assert_eq!(gather(wire, &frames), said, "{name} in chunks of {most}");
    }
    let folded = format.and_then(|format| fold(format, stream.as_bytes()));
    if let (Ok(said), Some(whole)) = (&said, folded) {
        let whole = String::from_utf8(whole.to_vec()).unwrap();
        let whole = wire.codec().decode_answer(&whole, &Exchange::default());
        let whole = whole.unwrap_or_else(|| panic!("{name}: folded to no answer"));
        // A terminal event may seal anew what it repeats; one was cut short
        // by whoever recorded it.
        if wire != Wire::Responses {
            compare(&format!("{name} folded"), said, &whole, wire);
        } else if !name.contains("openai-phase-1") {
            let [said, whole] = [said, &whole].map(|it| told(&it.choices, usize::MAX));
            let [said, whole] = [said, whole].map(without_seals);
            assert_eq!(whole, said, "{name} folded");
        }
    }
    for client in Wire::ALL {
        let (ending, out) = translated(wire, client, stream, &mut || usize::MAX);
        for most in [1, 40, 2000] {
            let again = translated(wire, client, stream, &mut || random.usize(1..=most));
            assert_eq!(again.0, ending, "{name}");
            assert_eq!(again.1, out, "{name} to {client:?} in chunks of {most}");
        }
        let text = String::from_utf8(out).unwrap();
        let again = gather(client, &frames_of(&text, &mut || usize::MAX));
        match (&said, again) {
            (Ok(said), Ok(again)) => {
                assert_eq!(ending, Ending::Terminal, "{name}");
                compare(&format!("{name} to {client:?}"), said, &again, client);
            }
            (Err(said), Err(again)) => {
                assert_eq!(ending, Ending::Failed, "{name}");
                assert_eq!(again.message, said.message, "{name} to {client:?}");
                assert_eq!(again.class, said.class, "{name} to {client:?}");
            }
            (said, again) => panic!("{name} to {client:?}: {said:?} became {again:?}"),
        }
    }
}

/// The answer that a stream's events add up to.
pub(crate) fn gather(wire: Wire, frames: &[Vec<u8>]) -> Result<Answer<'static>, Failure> {
    let mut gather = Gather::default();
    let mut decoder = wire.codec().decoder(&Exchange::default());
    let mut is_over = false;
    for frame in frames {
        let fields = Fields::of(frame);
        let Some(data) = fields.data else { continue };
        let data = std::str::from_utf8(&data).unwrap();
        decoder.take(fields.event, data, &mut |event| {
            if !is_over {
                is_over = matches!(event, Event::End | Event::Failed(_));
                gather.take(event);
            }
        });
    }
    if !is_over && decoder.may_end() {
        gather.take(Event::End);
    }
    gather.finish()
}

fn translated(
    provider: Wire,
    client: Wire,
    stream: &str,
    size: &mut dyn FnMut() -> usize,
) -> (Ending, Vec<u8>) {
    let exchange = Exchange {
        include_usage: true,
        ..Exchange::default()
    };
    let mut translation = Stream::new(provider, client, &exchange);
    let mut out = Vec::new();
    let mut left = stream.as_bytes();
    while !left.is_empty() {
        let (chunk, rest) = left.split_at(size().min(left.len()));
        left = rest;
        translation.push(Bytes::copy_from_slice(chunk), &mut out);
    }
    (translation.end(&mut out), out)
}

fn check_error(name: &str, wire: Wire, status: u16, body: &str) {
    let told = Failure::read(Some(status), body.as_bytes());
    for client in Wire::ALL {
        let sent = failure(client, status, body.as_bytes(), &Exchange::default());
        assert_eq!(sent.retry_after, told.retry_after, "{name}");
        let again = Failure::read(Some(sent.status), &sent.body);
        assert_eq!(
            again.message, told.message,
            "{name} from {wire:?} to {client:?}"
        );
        let kept = again.class == told.class
            // Anthropic and Google have one word for both.
            || matches!(client, Wire::Messages | Wire::Gemini);
        assert!(kept, "{name} to {client:?}: {told:?} became {again:?}");
    }
}
