//! The same in Anthropic's words.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use super::{STREAM_HEAD, Stream, chunk};
use crate::Result;

/// The bytes of its answers, chunk framing included.
pub(super) struct Messages {
    pub(super) whole: Vec<u8>,
    start: [Vec<u8>; 2],
    delta: Vec<u8>,
    stop: [Vec<u8>; 3],
}

const START: [&str; 2] = [
    r#"{"type":"message_start","message":{"id":"msg_01B0nch000000000000000001","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":180,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
];
const DELTA: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}}"#;
const STOP: [&str; 3] = [
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":64}}"#,
    r#"{"type":"message_stop"}"#,
];

impl Messages {
    pub(super) fn new() -> Self {
        let text = "Warm connections answer sooner. ".repeat(20);
        let body = format!(
            r#"{{"id":"msg_01B0nch000000000000000001","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":180,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":140}}}}"#
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_b0nch";
        Self {
            whole: format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
            start: START.map(event),
            delta: event(DELTA),
            stop: STOP.map(event),
        }
    }

    /// Writes the head and every event by itself: five that begin and end the
    /// message, the rest of them text.
    pub(super) async fn stream(&self, to: &mut TcpStream, asked: Stream) -> Result<()> {
        to.write_all(STREAM_HEAD).await?;
        let start = Instant::now() + asked.first;
        if !asked.first.is_zero() {
            time::sleep_until(start).await;
        }
        let texts = (asked.events as usize).saturating_sub(self.start.len() + self.stop.len());
        let texts = std::iter::repeat_n(&self.delta, texts);
        let events = self.start.iter().chain(texts).chain(&self.stop);
        for (at, event) in (0u32..).zip(events) {
            if at > 0 && !asked.gap.is_zero() {
                time::sleep_until(start + asked.gap * at).await;
            }
            to.write_all(event).await?;
        }
        Ok(to.write_all(b"0\r\n\r\n").await?)
    }
}

fn event(data: &str) -> Vec<u8> {
    let name = data.split('"').nth(3).unwrap_or_default();
    chunk(format!("event: {name}\ndata: {data}\n\n").as_bytes())
}
