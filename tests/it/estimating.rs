//! Estimates of tokens held against what providers counted: those of recorded
//! calls whose answers came in one piece.

use std::fs;

use nowait::dialect::estimate::input_tokens;
use nowait::dialect::translate::Wire;
use serde_json::Value;

use crate::recordings::{format_of, json_files, recordings, text_at};

#[test]
fn estimates_are_near_what_providers_count() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing estimated");
        return;
    };
    let mut ratios: Vec<f64> = Vec::new();
    for path in json_files(&root) {
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Some(wire) = format_of(&record).and_then(Wire::of) else {
            continue;
        };
        let (Some(asked), Some(counted)) = (text_at(&record["request"]), counted(&record)) else {
            continue;
        };
        // What images and files are worth depends on what is in them.
        let is_words = !["image", "\"file", "document", "web_search"]
            .iter()
            .any(|word| asked.contains(word));
        if let (true, Ok(request)) = (is_words, wire.codec().decode_request(&asked)) {
            ratios.push(input_tokens(&request) as f64 / counted);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[(share * (ratios.len() - 1) as f64) as usize];
    println!(
        "{} calls: {:.2} at 10 %, {:.2} at 50 %, {:.2} at 90 %",
        ratios.len(),
        at(0.1),
        at(0.5),
        at(0.9)
    );
    assert!(ratios.len() > 20 && (0.6..1.4).contains(&at(0.5)));
}

/// The tokens that the provider read, as its answer says.
fn counted(record: &Value) -> Option<f64> {
    let usage = &record["response"]["body"]["usage"];
    let count = |name: &str| usage[name].as_f64();
    let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    let cached: f64 = cached.into_iter().filter_map(count).sum();
    let read = count("prompt_tokens").or_else(|| Some(count("input_tokens")? + cached))?;
    (read > 0.0).then_some(read)
}
