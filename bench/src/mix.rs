//! What the soak sends: every kind of call, in a mix that depends on nothing
//! but the number of the call, so that a run can be repeated.

use std::time::Duration;

use fastrand::Rng;

/// One call of the soak.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method and path.
    pub line: &'static str,
    /// The body; empty for `GET`.
    pub body: String,
    /// Headers for the simulated provider, each with its CRLF.
    pub headers: String,
    /// What its caller does.
    pub caller: Caller,
    /// Whether the simulated provider was asked to fail.
    pub fault: Option<&'static str>,
}

impl Call {
    /// What it is in the books: endpoint and how many. A batch is one request,
    /// and so is each of its items.
    pub fn booked(&self) -> Vec<(&'static str, u64)> {
        let path = self.line.trim_start_matches("POST ");
        match path.split('?').next().unwrap_or(path) {
            "/v1/chat/completions" => vec![("chat", 1)],
            "/v1/messages" => vec![("messages", 1)],
            "/v1/messages/count_tokens" => vec![("count_tokens", 1)],
            "/v1/responses" => vec![("responses", 1)],
            "/v1/completions" => vec![("completions", 1)],
            "/v1/embeddings" => vec![("embeddings", 1)],
            "/generate" => vec![("generate", 1)],
            "/generate_claude" => vec![("generate_claude", 1)],
            "/generate/batch" => vec![("generate_batch", 1), ("batch_item", BATCH_ITEMS)],
            _ => vec![("raw", 1)],
        }
    }
}

/// How a caller behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Sends, reads everything, keeps the connection.
    Plain,
    /// Sends in pieces and reads with pauses.
    Slow,
    /// Goes away in the middle of the answer.
    Leaves,
    /// Goes away before the head of the answer, so long after the body was
    /// asked for (`Expect: 100-continue`): one who leaves before anybody has
    /// read the request may have made none.
    LeavesEarly(Duration),
}

struct Kind {
    line: &'static str,
    body: &'static str,
    streamed: bool,
    /// Whether it reaches the simulated provider, which can be told to fail.
    simulated: bool,
    weight: usize,
}

const fn kind(line: &'static str, body: &'static str, streamed: bool, weight: usize) -> Kind {
    Kind {
        line,
        body,
        streamed,
        simulated: true,
        weight,
    }
}

const fn raw(line: &'static str, body: &'static str, streamed: bool) -> Kind {
    Kind {
        line,
        body,
        streamed,
        simulated: false,
        weight: 5,
    }
}

/// Prompts in the batch below.
const BATCH_ITEMS: u64 = 3;

/// Every endpoint with a body, streamed and not. `fixed` is the responder of
/// this program, reached over real sockets; the others are answered in process.
const KINDS: [Kind; 17] = [
    kind(
        "POST /v1/chat/completions",
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"PROMPT"}]}"#,
        false,
        20,
    ),
    kind(
        "POST /v1/chat/completions",
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"PROMPT"}],"stream":true}"#,
        true,
        20,
    ),
    kind(
        "POST /v1/messages",
        r#"{"model":"claude-3-5-haiku-20241022","max_tokens":64,"messages":[{"role":"user","content":"PROMPT"}]}"#,
        false,
        10,
    ),
    kind(
        "POST /v1/messages",
        r#"{"model":"claude-3-5-haiku-20241022","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"PROMPT"}]}"#,
        true,
        10,
    ),
    kind(
        "POST /v1/messages/count_tokens",
        r#"{"model":"claude-3-5-haiku-20241022","messages":[{"role":"user","content":"PROMPT"}]}"#,
        false,
        3,
    ),
    kind(
        "POST /v1/responses",
        r#"{"model":"gpt-4o","input":"PROMPT"}"#,
        false,
        4,
    ),
    kind(
        "POST /v1/responses",
        r#"{"model":"gpt-4o","input":"PROMPT","stream":true}"#,
        true,
        4,
    ),
    kind(
        "POST /v1/completions",
        r#"{"model":"gpt-4o","prompt":"PROMPT"}"#,
        false,
        2,
    ),
    kind(
        "POST /v1/embeddings",
        r#"{"model":"text-embedding-3-small","input":["PROMPT","another"]}"#,
        false,
        10,
    ),
    kind("POST /generate", r#"{"prompt":"PROMPT"}"#, false, 6),
    kind(
        "POST /generate",
        r#"{"prompt":"PROMPT","stream":true}"#,
        true,
        6,
    ),
    kind("POST /generate?prompt=hello", "", false, 3),
    kind("POST /generate_claude", r#"{"prompt":"PROMPT"}"#, false, 3),
    kind(
        "POST /generate/batch",
        r#"{"prompts":["PROMPT",{"prompt":"two","model":"claude-3-5-haiku-20241022"},"three"]}"#,
        false,
        2,
    ),
    raw(
        "POST /v1/chat/completions",
        r#"{"model":"fixed/gpt-4o","messages":[],"user":"bench 16 1000 end","stream":true}"#,
        true,
    ),
    raw(
        "POST /fixed/v1/audio/transcriptions",
        r#"{"file":"PROMPT"}"#,
        false,
    ),
    raw(
        "POST /fixed/v1/whatever",
        r#"{"user":"bench 16 500 end"}"#,
        true,
    ),
];

/// Every word of `nowait sim --help`, the count saying where in the stream, but
/// `close-idle`: it may strike the next call on its connection half way through
/// the answer, and that call is one that must not fail.
const FAULTS: [&str; 23] = [
    "503",
    "429@1",
    "529",
    "500",
    "refuse",
    "hangup",
    "reset",
    "reset-head",
    "reset@3",
    "stall",
    "stall@3",
    "malformed@2",
    "oversized@2",
    "error@2",
    "truncate@3",
    "drip@200",
    "wrong-length",
    "gzip",
    "goaway",
    "junk",
    "early-hints",
    "trailers",
    "reset@0",
];

/// The call with this number.
pub fn call(number: u64, seed: u64) -> Call {
    let mut dice = Rng::with_seed(
        seed.wrapping_add(number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15),
    );
    let kind = pick(&mut dice);
    let prompt = "warm ".repeat(dice.usize(1..200));
    let mut call = Call {
        line: kind.line,
        body: kind.body.replace("PROMPT", &prompt),
        headers: pace(dice.u32(1..32), dice.u32(0..10), dice.u32(0..2)),
        caller: Caller::Plain,
        fault: None,
    };
    match dice.u32(0..100) {
        0..8 if kind.simulated => {
            let fault = FAULTS[dice.usize(0..FAULTS.len())];
            call.headers.push_str(&format!("x-sim-fault: {fault}\r\n"));
            call.fault = Some(fault);
        }
        8..13 if kind.streamed => {
            // Long enough that it is left and not finished.
            call.headers = pace(200, 0, 5);
            call.caller = Caller::Leaves;
        }
        13..16 if kind.simulated && !kind.body.is_empty() => {
            call.headers = pace(8, 2_000, 0) + "expect: 100-continue\r\n";
            call.caller = Caller::LeavesEarly(Duration::from_millis(dice.u64(50..150)));
        }
        16..21 => call.caller = Caller::Slow,
        _ => {}
    }
    if kind.line.starts_with("POST /v1/messages") {
        call.headers.push_str("anthropic-version: 2023-06-01\r\n");
    }
    call
}

/// What tells the simulated provider how much to say, and how fast.
fn pace(tokens: u32, first_ms: u32, gap_ms: u32) -> String {
    format!("x-sim-tokens: {tokens}\r\nx-sim-ttft: {first_ms}ms\r\nx-sim-gap: {gap_ms}ms\r\n")
}

fn pick(dice: &mut Rng) -> &'static Kind {
    let mut at = dice.usize(0..KINDS.iter().map(|kind| kind.weight).sum());
    for kind in &KINDS {
        match at.checked_sub(kind.weight) {
            Some(rest) => at = rest,
            None => return kind,
        }
    }
    &KINDS[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_everything_and_repeats() {
        let calls: Vec<_> = (0..20_000).map(|number| call(number, 1)).collect();
        for fault in FAULTS {
            assert!(
                calls.iter().any(|call| call.fault == Some(fault)),
                "{fault}"
            );
        }
        for kind in &KINDS {
            assert!(
                calls.iter().any(|call| call.line == kind.line),
                "{}",
                kind.line
            );
        }
        let of =
            |wanted: fn(&Caller) -> bool| calls.iter().filter(|call| wanted(&call.caller)).count();
        assert!(of(|caller| *caller == Caller::Plain) > 15_000);
        assert!(of(|caller| *caller == Caller::Leaves) > 100);
        assert!(of(|caller| matches!(caller, Caller::LeavesEarly(_))) > 100);
        assert!(of(|caller| *caller == Caller::Slow) > 100);
        assert_eq!(call(77, 1).body, calls[77].body);
        for call in calls.iter().filter(|call| !call.body.is_empty()).take(200) {
            serde_json::from_str::<serde_json::Value>(&call.body).expect("bodies are JSON");
        }
    }
}
