//! Embeddings from a provider that takes its time and counts: 30 ms per call,
//! however many inputs it has, and 50 calls within any second. Those beyond
//! are refused with 429, as a provider refuses them.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{self, Instant};

use crate::Result;

/// What a call takes.
pub const PER_CALL: Duration = Duration::from_millis(30);

/// Calls that may begin within a second.
pub const PER_SECOND: usize = 50;

/// The provider's inputs per call.
const INPUTS_MAX: usize = 2048;

/// When the last calls began, the oldest first: at most [`PER_SECOND`].
#[derive(Default)]
pub(super) struct Limit(Mutex<VecDeque<Instant>>);

impl Limit {
    /// The whole answer to a call with this body.
    pub(super) async fn answer(&self, body: &[u8]) -> Result<Vec<u8>> {
        if !self.admits(Instant::now()) {
            let error = r#"{"error":{"message":"Rate limit reached for requests","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
            return Ok(answer("429 Too Many Requests", error));
        }
        let body: Value = serde_json::from_slice(body)?;
        let inputs = match &body["input"] {
            Value::Array(inputs) => inputs.len(),
            _ => 1,
        };
        if inputs > INPUTS_MAX {
            return Ok(answer(
                "400 Bad Request",
                r#"{"error":{"message":"too many inputs"}}"#,
            ));
        }
        time::sleep(PER_CALL).await;
        Ok(answer("200 OK", &vectors(inputs)))
    }

    /// Whether a call may begin now; it then has.
    fn admits(&self, now: Instant) -> bool {
        let mut begun = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        while begun
            .front()
            .is_some_and(|&first| now.duration_since(first) >= Duration::from_secs(1))
        {
            begun.pop_front();
        }
        let room = begun.len() < PER_SECOND;
        if room {
            begun.push_back(now);
        }
        room
    }
}

/// A vector of 64 numbers per input.
fn vectors(inputs: usize) -> String {
    let mut body = String::from(r#"{"object":"list","data":["#);
    for index in 0..inputs {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string can't fail.
        let _ = write!(
            body,
            r#"{comma}{{"object":"embedding","index":{index},"embedding":[{}0.5]}}"#,
            "0.012345678,-0.0098765,".repeat(31)
        );
    }
    let _ = write!(
        body,
        r#"],"model":"text-embedding-3-small","usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}}"#,
        inputs * 8
    );
    body
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fifty_calls_within_any_second() {
        let limit = Limit::default();
        let start = Instant::now();
        let at = |ms| limit.admits(start + Duration::from_millis(ms));
        let taken = (0..1000).filter(|&ms| at(ms)).count();
        assert_eq!(taken, PER_SECOND);
        assert!(at(1000), "the first of them is a second old");
        assert!(!at(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn every_input_gets_a_vector() {
        let limit = Limit::default();
        for (body, inputs) in [(r#"{"input":"a"}"#, 1), (r#"{"input":["a","b"]}"#, 2)] {
            let start = Instant::now();
            let answer = limit.answer(body.as_bytes()).await.expect("it is JSON");
            assert!(start.elapsed() >= PER_CALL);
            let text = String::from_utf8(answer).expect("text");
            let (_, body) = text.split_once("\r\n\r\n").expect("a head");
            let body: Value = serde_json::from_str(body).expect("it is JSON");
            assert_eq!(body["data"].as_array().map(Vec::len), Some(inputs));
        }
    }
}
