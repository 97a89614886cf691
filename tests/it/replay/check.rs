//! What must have arrived, at the provider, at the caller and in the books.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Version, header};
use nowait::dialect::{Dialect, Format};
use serde_json::Value;

use super::{Broken, CALLERS_KEY, Replay};
use crate::recordings::{expected_usage, usage_in};
use crate::stage::Answer;
use crate::stage::scripted::Seen;

impl Replay {
    /// What arrived is what was sent, but for the model's name and what the
    /// contract names.
    pub(super) fn check_request(&self, seen: &Seen) {
        let recording = &self.recording;
        assert_eq!(seen.body, recording.request, "{self}");
        assert_eq!(seen.method, recording.method, "{self}");
        assert_eq!(seen.version, self.provider, "{self}");
        let path = seen.uri.path_and_query().unwrap().as_str();
        let (prefix, rest, query) = (&recording.prefix, &recording.path, &recording.query);
        assert_eq!(path, format!("{prefix}{rest}{query}"), "{self}");

        let mut headers = seen.headers.clone();
        for name in ["x-case", "host", "content-length"] {
            headers.remove(name);
        }
        assert_eq!(take(&mut headers, "x-request-id"), self.id, "{self}");
        assert!(
            take(&mut headers, "via").starts_with("1.1 nowait-"),
            "{self}"
        );
        let keys = [
            take(&mut headers, "authorization"),
            take(&mut headers, "x-api-key"),
            take(&mut headers, "api-key"),
        ]
        .concat();
        assert!(
            keys.contains("sk-") && !keys.contains(CALLERS_KEY),
            "{self}: {keys}"
        );
        let mut sent = recording.request_headers.clone();
        if recording.format.is_some() {
            assert_eq!(take(&mut headers, "accept-encoding"), "identity", "{self}");
            sent.remove("accept-encoding");
            if !sent.contains_key("content-type") {
                assert_eq!(
                    take(&mut headers, "content-type"),
                    "application/json",
                    "{self}"
                );
            }
        }
        sent.remove("host");
        assert_eq!(sorted(&headers), sorted(&sent), "{self}");
    }

    pub(super) fn check_answer(&self, answer: &Answer) {
        if let Some(broken) = self.broken {
            return self.check_broken(broken, answer);
        }
        let recording = &self.recording;
        assert_eq!(answer.status, recording.status, "{self}: {:?}", answer.body);
        assert_eq!(answer.broken, None, "{self}");
        assert!(answer.body == recording.body, "{self}: {:?}", answer.body);
        if recording.streamed && self.caller == Version::HTTP_2 {
            let trailers = answer.trailers.as_ref().expect("trailers");
            let totals = trailers["server-timing"].to_str().unwrap();
            assert!(totals.contains("total;dur="), "{self}: {totals}");
        }
        self.check_headers(answer);
    }

    fn check_headers(&self, answer: &Answer) {
        let recording = &self.recording;
        let mut headers = answer.headers.clone();
        let mut expected = recording.headers.clone();
        assert_eq!(take(&mut headers, "x-request-id"), self.id, "{self}");
        let theirs = match expected.remove("x-request-id") {
            Some(theirs) => Some(theirs),
            None => expected.get("request-id").cloned(),
        };
        assert_eq!(
            headers.remove("x-nowait-upstream-request-id"),
            theirs,
            "{self}"
        );
        // Theirs, then ours.
        for (name, ours) in [("via", "1.1 nowait-"), ("server-timing", "upstream;dur=")] {
            let told = all(&headers, name);
            let (last, before) = told.split_last().unwrap();
            assert!(last.contains(ours), "{self}: {name}: {last}");
            assert_eq!(before, all(&expected, name), "{self}: {name}");
            headers.remove(name);
            expected.remove(name);
        }
        for name in ["x-nowait-provider", "x-nowait-attempts", "cache-status"] {
            assert_ne!(take(&mut headers, name), "", "{self}: {name}");
        }
        headers.remove("x-nowait-model");
        headers.remove("x-nowait-cache-key");
        if let Some(length) = headers.remove(header::CONTENT_LENGTH) {
            assert_eq!(length, recording.body.len().to_string(), "{self}");
        }
        for name in ["trailer", "transfer-encoding", "x-accel-buffering"] {
            headers.remove(name);
        }
        expected.remove("x-accel-buffering");
        if recording.streamed && recording.format.is_some() {
            assert_eq!(take(&mut headers, "cache-control"), "no-cache", "{self}");
            expected.remove("cache-control");
        }
        if !expected.contains_key("date") {
            headers.remove("date");
        }
        assert_eq!(sorted(&headers), sorted(&expected), "{self}");
    }

    /// What came whole is passed on, and an event in the caller's format says
    /// that the rest is missing.
    fn check_broken(&self, broken: Broken, answer: &Answer) {
        let format = self.recording.format.unwrap();
        let whole = whole_frames(&self.recording.body[..broken.at]);
        let frames = frames(whole);
        let error = if frames.is_empty() {
            assert_eq!(answer.status, 502, "{self}: {}", answer.text());
            answer.json()
        } else {
            assert_eq!(answer.status, 200, "{self}");
            let Some(event) = answer.body.strip_prefix(whole) else {
                panic!("{self}: {:?} does not begin with {whole:?}", answer.body);
            };
            let event = std::str::from_utf8(event).unwrap();
            let data = match format.dialect() == Dialect::Anthropic || format == Format::Responses {
                true => event.strip_prefix("event: error\ndata: "),
                false => event.strip_prefix("data: "),
            };
            let data = data.and_then(|data| data.strip_suffix("\n\n"));
            let data = data.unwrap_or_else(|| panic!("{self}: {event:?}"));
            serde_json::from_str(data).unwrap_or_else(|fault| panic!("{self}: {fault}: {data}"))
        };
        assert_eq!(answer.broken, None, "{self}");
        let numbered = frames
            .iter()
            .filter(|frame| frame.contains("data:"))
            .count();
        let expected = match format {
            Format::Messages => ("/error/type", "api_error"),
            Format::Responses if !frames.is_empty() => {
                assert_eq!(error["sequence_number"], numbered, "{self}: {error}");
                ("/code", "upstream_protocol")
            }
            _ => ("/error/code", "upstream_protocol"),
        };
        assert_eq!(
            error.pointer(expected.0).unwrap(),
            expected.1,
            "{self}: {error}"
        );
        if format == Format::Messages {
            assert_eq!(error["request_id"], self.id, "{self}");
        }
    }

    /// What the books must say this call took; `None` where nobody told.
    fn usage(&self) -> Option<[u64; 3]> {
        let recording = &self.recording;
        let format = recording.format.filter(|_| recording.status == 200)?;
        if recording.streamed {
            let events: Vec<Value> = frames(&recording.body)
                .iter()
                .filter_map(|frame| serde_json::from_str(&data_of(frame)).ok())
                .collect();
            return expected_usage(format, &events);
        }
        let body: Value = serde_json::from_slice(&recording.body).ok()?;
        match format {
            Format::CountTokens => body["input_tokens"].as_u64().map(|count| [count, 0, 0]),
            _ => usage_in(format, &body["usage"]),
        }
    }
}

/// Every replay has one line, which says what the recording says; the metrics
/// say the same in sum.
pub(super) fn books(replays: &[Replay], lines: &[Value], metrics: &str) {
    let by_id: BTreeMap<&str, &Value> = lines
        .iter()
        .map(|line| (line["request_id"].as_str().unwrap(), line))
        .collect();
    let mut sums = [0; 2];
    for replay in replays {
        let line = by_id
            .get(replay.id.as_str())
            .unwrap_or_else(|| panic!("{replay}: no line"));
        assert_eq!(line["cancelled"], Value::Null, "{replay}: {line}");
        let told =
            ["input_tokens", "output_tokens", "cached_tokens"].map(|name| line[name].as_u64());
        let reported = line["tokens_estimated"] == false;
        if reported {
            sums[0] += told[0].unwrap();
            sums[1] += told[1].unwrap();
        }
        if replay.broken.is_some() {
            assert_eq!(line["error"], "upstream_protocol", "{replay}: {line}");
            continue;
        }
        assert_eq!(line["status"], replay.recording.status.as_u16(), "{replay}");
        assert_eq!(line["error"], Value::Null, "{replay}: {line}");
        assert_eq!(
            line["bytes_out"],
            replay.recording.body.len(),
            "{replay}: {line}"
        );
        match replay.usage() {
            Some(usage) => {
                assert!(reported, "{replay}: {line}");
                assert_eq!(told, usage.map(Some), "{replay}: {line}");
            }
            None => assert!(!reported, "{replay}: {line}"),
        }
    }
    for (kind, sum) in ["input", "output"].into_iter().zip(sums) {
        assert_eq!(counted(metrics, kind), sum, "{kind} tokens");
    }
}

/// All tokens of that kind in the metrics.
fn counted(metrics: &str, kind: &str) -> u64 {
    let kind = format!("gen_ai_token_type=\"{kind}\"");
    metrics
        .lines()
        .filter(|line| line.starts_with("gen_ai_client_token_usage") && line.contains("_sum{"))
        .filter(|line| line.contains(&kind))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
        .sum()
}

fn take(headers: &mut HeaderMap, name: &'static str) -> String {
    let value = headers.remove(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

fn sorted(headers: &HeaderMap) -> Vec<(&HeaderName, &str)> {
    let mut sorted: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name, value.to_str().unwrap()))
        .collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    sorted
}

/// The bytes up to the end of the last whole frame.
fn whole_frames(stream: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(stream).unwrap_or_else(|fault| {
        std::str::from_utf8(&stream[..fault.valid_up_to()]).expect("valid up to there")
    });
    let end = frames(text.as_bytes()).concat().len();
    &stream[..end]
}

/// The whole frames of a stream, each with its blank line.
fn frames(stream: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(stream).unwrap();
    let (mut frames, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.ends_with('\n') && line.trim_end_matches(['\r', '\n']).is_empty() {
            frames.push(&text[start..at]);
            start = at;
        }
    }
    frames
}

fn data_of(frame: &str) -> String {
    let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.map(str::trim_start).collect()
}
