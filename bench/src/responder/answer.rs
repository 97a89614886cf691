//! The answer that is kept: 4 KiB, the same for every call, whole or as a
//! stream of 64 events with the same text.
//!
//! Its words are drawn from a fixed vocabulary, because a sentence that repeats
//! would be free to compress.

use fastrand::Rng;
use memchr::memmem;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{DONE, FINISH, STREAM_HEAD, chunk};
use crate::Result;

/// What a body carries that asks for this answer; `"stream":true` beside it
/// asks for the stream.
pub const ANSWER: &str = r#""user":"answer"#;

/// Events of the stream: role, text, finish reason, `[DONE]`.
pub const ANSWER_EVENTS: u64 = 64;

/// Bytes of the whole answer's body.
pub const ANSWER_LENGTH: usize = 4096;

/// Events that carry text.
const PIECES: usize = ANSWER_EVENTS as usize - 3;

/// Both forms, with heads and framing.
pub(super) struct Answer {
    whole: Vec<u8>,
    stream: Vec<u8>,
}

impl Answer {
    pub(super) fn new() -> Self {
        let around = body("").len();
        let text = words(ANSWER_LENGTH - around);
        let body = body(&text);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nopenai-processing-ms: 12\r\n\
             x-request-id: req_b0nch000000000000000000000000001\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self {
            whole: [head.as_bytes(), body.as_bytes()].concat(),
            stream: stream(&text),
        }
    }

    /// Writes the form that `body` asks for, in one piece: what is measured is
    /// what comes after it was kept.
    pub(super) async fn give(&self, to: &mut TcpStream, body: &[u8]) -> Result<()> {
        let streamed = memmem::find(body, b"\"stream\":true").is_some();
        let bytes = if streamed { &self.stream } else { &self.whole };
        Ok(to.write_all(bytes).await?)
    }
}

fn body(text: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-B0nch0000000000000000000000001","object":"chat.completion","created":1760000000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":180,"completion_tokens":800,"total_tokens":980,"prompt_tokens_details":{{"cached_tokens":0}}}},"system_fingerprint":"fp_b0nch00001"}}"#
    )
}

fn stream(text: &str) -> Vec<u8> {
    let mut stream = STREAM_HEAD.to_vec();
    stream.extend(chunk(
        event(r#""role":"assistant","content":"""#).as_bytes(),
    ));
    let piece = text.len().div_ceil(PIECES);
    for at in 0..PIECES {
        let (from, to) = (at * piece, ((at + 1) * piece).min(text.len()));
        let said = format!(r#""content":"{}""#, &text[from.min(to)..to]);
        stream.extend(chunk(event(&said).as_bytes()));
    }
    stream.extend(chunk(FINISH));
    stream.extend(chunk(DONE));
    stream.extend_from_slice(b"0\r\n\r\n");
    stream
}

fn event(delta: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-B0nch0000000000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_b0nch00001\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

/// So many bytes of words, none of them in an order that repeats.
fn words(length: usize) -> String {
    let mut random = Rng::with_seed(3);
    let vocabulary: Vec<String> = (0..600)
        .map(|_| {
            let letters = random.usize(2..10);
            (0..letters).map(|_| random.lowercase()).collect()
        })
        .collect();
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        // The lower half of the vocabulary is said three times as often.
        let at = random.usize(0..600).min(random.usize(0..1200));
        text.push_str(&vocabulary[at]);
        text.push(' ');
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_what_they_are_called() {
        let answer = Answer::new();
        let head = memmem::find(&answer.whole, b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(answer.whole.len() - head, ANSWER_LENGTH);
        let body: serde_json::Value =
            serde_json::from_slice(&answer.whole[head..]).expect("it is JSON");
        let text = body["choices"][0]["message"]["content"].as_str();

        let events: Vec<_> = String::from_utf8_lossy(&answer.stream)
            .lines()
            .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
            .collect();
        assert_eq!(events.len() as u64, ANSWER_EVENTS);
        let said: String = events
            .iter()
            .filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok())
            .filter_map(|event| {
                let content = &event["choices"][0]["delta"]["content"];
                content.as_str().map(str::to_owned)
            })
            .collect();
        assert_eq!(text, Some(&*said));
    }
}
