//! Reads every recorded OpenAI- and Anthropic-dialect interaction: frames come
//! back byte for byte in any chunking, and what the watch and the readers say
//! is what an independent reading of the JSON says.
//!
//! The recordings are other people's traffic and not part of the project; they
//! are read where they are (`NOWAIT_RECORDINGS`, else `../shared/recordings`).

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nowait::dialect::generate::{Event, StreamDecoder, decode, refusal};
use nowait::dialect::peek::{peek, splice};
use nowait::dialect::{Ending, Format, Usage, Watch, answer, usage_of};
use nowait::sse::{Framer, data};
use serde_json::Value;

#[test]
fn recorded_traffic_is_understood() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing checked");
        return;
    };
    let mut random = fastrand::Rng::with_seed(11);
    let (mut requests, mut streams, mut answers, mut errors) = (0, 0, 0, 0);
    for path in json_files(&root) {
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Some(format) = format_of(&record) else {
            continue;
        };
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        if let Some(body) = text_at(&record["request"]) {
            check_request(&name, &body);
            requests += 1;
        }
        let response = &record["response"];
        let failed = response["status"]
            .as_u64()
            .is_some_and(|status| status >= 400);
        if let Some(stream) = response["sse"].as_str() {
            check_stream(&name, format, stream, &mut random);
            streams += 1;
        } else if let Some(body) = text_at(response) {
            if failed {
                check_error(&name, &body);
                errors += 1;
            } else {
                check_answer(&name, format, &body);
                answers += 1;
            }
        }
    }
    println!("{requests} requests, {streams} streams, {answers} answers, {errors} errors");
    assert!(requests > 0 && streams > 0 && answers > 0 && errors > 0);
}

pub(crate) fn recordings() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let root = std::env::var_os("NOWAIT_RECORDINGS").map_or(beside, PathBuf::from);
    root.is_dir().then_some(root)
}

pub(crate) fn json_files(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    files
}

pub(crate) fn format_of(record: &Value) -> Option<Format> {
    Some(match record["endpoint"].as_str()? {
        "chat.completions" => Format::Chat,
        "responses" => Format::Responses,
        "completions" => Format::Completions,
        "embeddings" => Format::Embeddings,
        "messages" | "streamRawPredict" => Format::Messages,
        "messages.count_tokens" => Format::CountTokens,
        _ => return None,
    })
}

pub(crate) fn text_at(side: &Value) -> Option<String> {
    match (&side["body"], side["body_text"].as_str()) {
        (Value::Null, text) => text.map(str::to_owned),
        (Value::String(text), _) => Some(text.clone()),
        (body, _) => Some(body.to_string()),
    }
}

fn check_request(name: &str, body: &str) {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        assert!(peek(body.as_bytes()).is_err(), "{name}");
        return;
    };
    let peeked = peek(body.as_bytes()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let model = peeked.model.as_ref().map(|field| field.value.as_str());
    assert_eq!(model, value["model"].as_str(), "{name}");
    assert_eq!(peeked.stream, value["stream"] == true, "{name}");
    let asks = value["stream_options"]["include_usage"] == true;
    assert_eq!(peeked.include_usage, asks, "{name}");
    let Some(field) = peeked.model else { return };
    let spliced = splice(&Bytes::from(body.to_owned()), field.span, "n/\"m").concat();
    value["model"] = "n/\"m".into();
    assert_eq!(
        serde_json::from_slice::<Value>(&spliced).unwrap(),
        value,
        "{name}"
    );
}

fn check_stream(name: &str, format: Format, stream: &str, random: &mut fastrand::Rng) {
    let whole = frames_of(stream, &mut || usize::MAX);
    assert_eq!(whole.concat(), stream.as_bytes(), "{name}");
    for most in [1, 7, 300, 5000] {
        let cut = frames_of(stream, &mut || random.usize(1..=most));
        assert_eq!(cut, whole, "{name} in chunks of up to {most}");
    }
    let mut watch = Watch::new(format);
    let mut decoder = StreamDecoder::new(format);
    let mut said = String::new();
    for frame in &whole {
        watch.see(frame);
        if let Some(Event::Delta(text)) = decoder.push(frame) {
            said.push_str(&text);
        }
    }
    let ended = matches!(watch.ending(), Ending::Terminal | Ending::Failed);
    assert!(ended, "{name}: {:?}", watch.ending());
    let events: Vec<Value> = whole
        .iter()
        .filter_map(|frame| serde_json::from_slice(&data(frame)?).ok())
        .collect();
    let reported = watch.usage().filter(|usage| !usage.estimated);
    assert_eq!(
        reported.map(counts),
        expected_usage(format, &events),
        "{name}"
    );
    if matches!(format, Format::Chat | Format::Messages) && watch.ending() == Ending::Terminal {
        assert_eq!(said, expected_text(format, &events), "{name}");
        // Snowflake's streams give no reason.
        let gives_reason = events.iter().any(|event| {
            event["choices"][0]["finish_reason"].is_string()
                || event["delta"]["stop_reason"].is_string()
        });
        assert_eq!(watch.finish().is_some(), gives_reason, "{name}");
    }
    if !said.is_empty() {
        assert!(watch.content_events() > 0, "{name}: no content");
    }
}

/// The stream's frames when it arrives in chunks of these sizes.
pub(crate) fn frames_of(stream: &str, size: &mut dyn FnMut() -> usize) -> Vec<Vec<u8>> {
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    let mut left = stream.as_bytes();
    while !left.is_empty() {
        let (chunk, rest) = left.split_at(size().min(left.len()));
        left = rest;
        framer.push(Bytes::copy_from_slice(chunk));
        while let Some(run) = framer.next_run() {
            frames.extend(run.frames().map(<[u8]>::to_vec));
        }
    }
    let rest = framer.rest();
    frames.extend((!rest.is_empty()).then(|| rest.to_vec()));
    frames
}

fn counts(usage: Usage) -> [u64; 3] {
    [usage.input, usage.output, usage.cached]
}

/// Input, output and cached tokens as the events' JSON has them.
pub(crate) fn expected_usage(format: Format, events: &[Value]) -> Option<[u64; 3]> {
    let all = events.iter().flat_map(|event| {
        [
            &event["usage"],
            &event["response"]["usage"],
            &event["message"]["usage"],
            &event["x_groq"]["usage"],
        ]
    });
    match format {
        Format::Messages => {
            // The input is told first and may be told again; counts only grow.
            events
                .iter()
                .find(|event| event["type"] == "message_delta")?;
            all.filter_map(|usage| usage_in(format, usage))
                .reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2])])
        }
        Format::Responses => usage_in(
            format,
            &events
                .iter()
                .rfind(|e| e["response"]["usage"].is_object())?["response"]["usage"],
        ),
        _ => all
            .filter_map(|usage| usage_in(format, usage))
            .reduce(|_, last| last),
    }
}

pub(crate) fn usage_in(format: Format, usage: &Value) -> Option<[u64; 3]> {
    let of = |name: &str| usage[name].as_u64().unwrap_or(0);
    usage.as_object()?;
    Some(match format {
        Format::Messages => {
            let cached = of("cache_read_input_tokens");
            let written = of("cache_creation_input_tokens");
            [
                of("input_tokens") + cached + written,
                of("output_tokens"),
                cached,
            ]
        }
        Format::Responses => [
            of("input_tokens"),
            of("output_tokens"),
            usage["input_tokens_details"]["cached_tokens"]
                .as_u64()
                .unwrap_or(0),
        ],
        _ => [
            of("prompt_tokens"),
            of("completion_tokens"),
            usage["prompt_tokens_details"]["cached_tokens"]
                .as_u64()
                .unwrap_or(0),
        ],
    })
}

fn expected_text(format: Format, events: &[Value]) -> String {
    let mut text = String::new();
    for event in events {
        if format == Format::Messages {
            let is_text = event["delta"]["type"] == "text_delta";
            text.extend(is_text.then(|| event["delta"]["text"].as_str().unwrap()));
            continue;
        }
        let choice = &event["choices"][0];
        if choice["index"].as_u64().is_some_and(|index| index > 0) {
            continue;
        }
        let delta = &choice["delta"];
        text.push_str(delta["content"].as_str().unwrap_or_default());
        text.push_str(delta["refusal"].as_str().unwrap_or_default());
        for part in delta["content"].as_array().into_iter().flatten() {
            text.push_str(part["text"].as_str().unwrap_or_default());
        }
    }
    text
}

fn check_answer(name: &str, format: Format, body: &str) {
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let expected = match format {
        Format::CountTokens => value["input_tokens"].as_u64().map(|count| [count, 0, 0]),
        _ => usage_in(format, &value["usage"]),
    };
    assert_eq!(
        usage_of(format, body.as_bytes()).map(counts),
        expected,
        "{name}"
    );
    let told = answer::read(format, body.as_bytes());
    assert_eq!(told.usage.map(counts), expected, "{name}");
    if matches!(format, Format::Chat | Format::Messages) {
        let answer =
            decode(format, body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(answer.finish.is_some(), "{name}");
        let plain = &value["choices"][0]["message"]["content"];
        if let Some(text) = plain.as_str() {
            assert!(answer.text.starts_with(text), "{name}");
        }
    }
}

fn check_error(name: &str, body: &str) {
    let refusal = refusal(body.as_bytes());
    assert_ne!(
        refusal.message, "the provider gave no reason",
        "{name}: {body}"
    );
}
