//! Folds every recorded stream and unfolds every recorded answer: a whole
//! object tells what the stream told, and there and back nothing is lost.
//!
//! The recordings are read where they are; see [`crate::recordings`].

use std::fs;

use nowait::dialect::{Ending, Format, Watch, answer, fold, unfold};
use serde_json::Value;

use crate::recordings::{format_of, frames_of, json_files, recordings, text_at};

#[test]
fn recorded_answers_fold_and_unfold() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing checked");
        return;
    };
    let (mut streams, mut answers) = (0, 0);
    for path in json_files(&root) {
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Some(format) = format_of(&record).filter(|format| format.streams()) else {
            continue;
        };
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let response = &record["response"];
        if let Some(stream) = response["sse"].as_str() {
            streams += usize::from(check_stream(&name, format, stream));
        } else if response["status"]
            .as_u64()
            .is_none_or(|status| status < 400)
            && let Some(body) = text_at(response)
        {
            answers += usize::from(check_answer(&name, format, &body));
        }
    }
    println!("{streams} streams folded, {answers} answers unfolded");
    assert!(streams > 100 && answers > 50);
}

fn check_stream(name: &str, format: Format, stream: &str) -> bool {
    let mut watch = Watch::new(format);
    for frame in frames_of(stream, &mut || usize::MAX) {
        watch.see(&frame);
    }
    let folded = fold(format, stream.as_bytes());
    // Fixtures of several messages pasted together, and one cut inside a
    // tool's input.
    let is_odd = stream.matches("event: message_start").count() > 1
        || name.contains("incomplete-partial-json");
    if watch.ending() != Ending::Terminal || is_odd {
        assert_eq!(folded, None, "{name}");
        return false;
    }
    let whole = folded.unwrap_or_else(|| panic!("{name} isn't folded"));
    let told = answer::read(format, &whole);
    assert_eq!(told.finish, watch.finish(), "{name}");
    let reported = watch.usage().filter(|usage| !usage.estimated);
    assert_eq!(told.usage, reported, "{name}");
    assert!(check_answer(
        name,
        format,
        std::str::from_utf8(&whole).unwrap()
    ));
    true
}

fn check_answer(name: &str, format: Format, body: &str) -> bool {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return false;
    };
    let Some(stream) = unfold(format, body.as_bytes(), true) else {
        let is_done = matches!(value["status"].as_str(), Some("completed" | "incomplete"));
        assert!(format == Format::Responses && !is_done, "{name}");
        return false;
    };
    let back = fold(format, &stream).unwrap_or_else(|| panic!("{name}"));
    let back: Value = serde_json::from_slice(&back).unwrap();
    assert_eq!(back, common(format, &mut value.clone()), "{name}");
    if matches!(format, Format::Chat | Format::Completions) {
        let stream = unfold(format, body.as_bytes(), false).unwrap();
        let back = fold(format, &stream).unwrap();
        let back: Value = serde_json::from_slice(&back).unwrap();
        value.as_object_mut().unwrap().remove("usage");
        assert_eq!(back, common(format, &mut value), "{name}, without usage");
    }
    true
}

/// What of an answer is the same there and back: not the number of a tool
/// call, Perplexity's second, empty delta, a usage of null, and other words
/// for what kind of object it is.
fn common(format: Format, value: &mut Value) -> Value {
    if matches!(format, Format::Chat | Format::Completions) {
        value["object"] = match format {
            Format::Chat => "chat.completion".into(),
            _ => "text_completion".into(),
        };
        let object = value.as_object_mut().unwrap();
        if object.get("usage").is_some_and(Value::is_null) {
            object.remove("usage");
        }
        for choice in value["choices"].as_array_mut().unwrap() {
            choice.as_object_mut().unwrap().remove("delta");
            let calls = choice.pointer_mut("/message/tool_calls");
            for call in calls.and_then(Value::as_array_mut).into_iter().flatten() {
                call.as_object_mut().unwrap().remove("index");
            }
        }
    }
    value.take()
}
