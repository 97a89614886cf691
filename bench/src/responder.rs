//! The upstream that every proxy is measured against: fixed answers, made once,
//! at the least cost that still is HTTP/1.1.
//!
//! A call says in its `user` field what it wants ([`Stream`], or [`ANSWER`]),
//! because the body is the one thing every proxy passes on untouched; in calls
//! of Messages that field is `metadata.user_id`. It runs
//! on a thread of its own, so that a direct call, too, crosses two threads. It
//! counts what it was asked.

mod answer;
mod embeddings;
mod messages;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

use crate::Result;

pub use answer::{ANSWER, ANSWER_EVENTS, ANSWER_LENGTH};
pub use embeddings::{PER_CALL, PER_SECOND};

/// A responder that serves until it is dropped.
#[derive(Debug)]
pub struct Responder {
    /// Where it listens: loopback, a port of the system's choice.
    pub address: SocketAddr,
    asked: Arc<AtomicU64>,
    _stop: oneshot::Sender<()>,
}

/// The event stream a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Time before the first event.
    pub first: Duration,
    /// How many events, the closing `[DONE]` included.
    pub events: u32,
    /// Time between two of them; zero sends them back to back.
    pub gap: Duration,
    /// Whether to leave the stream open after the last but one event until
    /// the caller goes away.
    pub hold: bool,
}

/// Events of an OpenAI chat stream with short tokens are about this long.
const DELTA: &[u8] = br#"data: {"id":"chatcmpl-B0nch0000000000000000000000001","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_b0nch00001","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}

"#;
const FINISH: &[u8] = br#"data: {"id":"chatcmpl-B0nch0000000000000000000000001","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_b0nch00001","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

"#;
const DONE: &[u8] = b"data: [DONE]\n\n";
/// Callers that may wait to be accepted. One that finds no place is not
/// refused: its first packet is dropped, and it knocks again after 1 s and 3 s,
/// which would be measured as the proxy's.
const BACKLOG: u32 = 4096;

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    openai-processing-ms: 12\r\nx-request-id: req_b0nch000000000000000000000000001\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

impl Stream {
    /// The value of the `user` field that asks for this stream.
    pub fn ask(self) -> String {
        let hold = if self.hold { "hold" } else { "end" };
        let (first, gap) = (self.first.as_micros(), self.gap.as_micros());
        format!("bench {first} {} {gap} {hold}", self.events)
    }

    /// Reads it back from a body.
    fn asked(body: &[u8]) -> Option<Self> {
        let from = memmem::find(body, b":\"bench ")? + 8;
        let to = from + memchr::memchr(b'"', &body[from..])?;
        let mut words = std::str::from_utf8(&body[from..to]).ok()?.split(' ');
        Some(Self {
            first: Duration::from_micros(words.next()?.parse().ok()?),
            events: words.next()?.parse().ok()?,
            gap: Duration::from_micros(words.next()?.parse().ok()?),
            hold: words.next()? == "hold",
        })
    }
}

impl Responder {
    /// Starts one on a thread of its own.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn start() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = {
            let _within = runtime.enter();
            socket.listen(BACKLOG)?
        };
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Answers::new(Arc::clone(&asked)));
        std::thread::Builder::new()
            .name("responder".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = accept(listener, answers) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            asked,
            _stop: stop,
        })
    }

    /// How many calls have come to it, refused ones included.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, answers: Arc<Answers>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = answers.clone();
        // A caller that goes away is how held streams end: nothing to report.
        tokio::spawn(async move { serve(stream, &answers).await });
    }
}

/// Answers the calls of one connection in turn.
async fn serve(mut stream: TcpStream, answers: &Answers) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        match request(&bytes[..filled])? {
            Some((head, end)) if end <= filled => {
                answers
                    .give(&mut stream, &bytes[..head], &bytes[head..end])
                    .await?;
                bytes.copy_within(end..filled, 0);
                filled -= end;
                continue;
            }
            Some((_, end)) if end > bytes.len() => bytes.resize(end, 0),
            None if filled == bytes.len() => return Err("request head over 16 KiB".into()),
            _ => {}
        }
        match stream.read(&mut bytes[filled..]).await? {
            0 => return Ok(()),
            more => filled += more,
        }
    }
}

/// Where the head and the whole of the first request end, if its head is here.
fn request(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes)? else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = match length {
        Some(header) => std::str::from_utf8(header.value)?.parse()?,
        None => 0,
    };
    Ok(Some((head, head + length)))
}

/// The bytes of every answer, chunk framing included.
struct Answers {
    asked: Arc<AtomicU64>,
    embeddings: embeddings::Limit,
    long: answer::Answer,
    messages: messages::Messages,
    chat: Vec<u8>,
    delta: Vec<u8>,
    finish: Vec<u8>,
    done: Vec<u8>,
}

impl Answers {
    fn new(asked: Arc<AtomicU64>) -> Self {
        let text = "Warm connections answer sooner. ".repeat(20);
        let body = format!(
            r#"{{"id":"chatcmpl-B0nch0000000000000000000000001","object":"chat.completion","created":1760000000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":180,"completion_tokens":140,"total_tokens":320,"prompt_tokens_details":{{"cached_tokens":0}}}},"system_fingerprint":"fp_b0nch00001"}}"#
        );
        let chat = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nopenai-processing-ms: 12\r\n\
             x-request-id: req_b0nch000000000000000000000000001\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            asked,
            embeddings: embeddings::Limit::default(),
            long: answer::Answer::new(),
            messages: messages::Messages::new(),
            chat: chat.into_bytes(),
            delta: chunk(DELTA),
            finish: chunk(FINISH),
            done: chunk(DONE),
        }
    }

    /// Answers one call.
    async fn give(&self, to: &mut TcpStream, head: &[u8], body: &[u8]) -> Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if memmem::find(head, b"/embeddings ").is_some() {
            return Ok(to.write_all(&self.embeddings.answer(body).await?).await?);
        }
        let is_messages = memmem::find(head, b"/messages ").is_some();
        if let Some(asked) = Stream::asked(body) {
            return match is_messages {
                true => self.messages.stream(to, asked).await,
                false => self.stream(to, asked).await,
            };
        }
        if is_messages {
            return Ok(to.write_all(&self.messages.whole).await?);
        }
        if memmem::find(body, ANSWER.as_bytes()).is_some() {
            return self.long.give(to, body).await;
        }
        Ok(to.write_all(&self.chat).await?)
    }

    /// Writes the head and every event by itself, as providers do: a proxy
    /// that forgets `TCP_NODELAY` shows it here.
    async fn stream(&self, to: &mut TcpStream, asked: Stream) -> Result<()> {
        to.write_all(STREAM_HEAD).await?;
        let start = Instant::now() + asked.first;
        if !asked.first.is_zero() {
            time::sleep_until(start).await;
        }
        for event in 0..asked.events {
            if event > 0 && !asked.gap.is_zero() {
                time::sleep_until(start + asked.gap * event).await;
            }
            match asked.events - event {
                1 if asked.hold => {
                    to.readable().await?;
                    return Err("a held stream ends with its caller".into());
                }
                1 => to.write_all(&self.done).await?,
                2 => to.write_all(&self.finish).await?,
                _ => to.write_all(&self.delta).await?,
            }
        }
        Ok(to.write_all(b"0\r\n\r\n").await?)
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;
    use crate::wire::{Connection, EventCount};

    #[tokio::test]
    async fn answers_what_is_asked() {
        let responder = Responder::start().expect("loopback has a free port");
        for request in [
            load::message(responder.address),
            load::long(responder.address, "m"),
        ] {
            let mut connection = Connection::open(responder.address)
                .await
                .expect("it listens");
            let length = connection.call(&request).await.expect("a 200");
            assert!((700..1200).contains(&length), "{length}");
        }
        let mut connection = Connection::open(responder.address)
            .await
            .expect("it listens");
        let length = connection
            .call(&load::chat(responder.address))
            .await
            .expect("a 200");
        assert!(
            (900..1200).contains(&length),
            "the answer is about 1 KiB, not {length}"
        );

        let asked = Stream {
            first: Duration::ZERO,
            events: 64,
            gap: Duration::ZERO,
            hold: false,
        };
        for request in [
            load::stream(responder.address, asked),
            load::message_stream(responder.address, asked),
        ] {
            connection.send(&request).await.expect("still open");
            assert_eq!(connection.head().await.expect("a head").status, 200);
            let mut count = EventCount::default();
            while let Some(piece) = connection.chunk().await.expect("a whole body") {
                count.see(piece);
            }
            assert_eq!(count.events, 64);
            assert!(connection.is_reusable());
        }
        assert_eq!(responder.asked(), 5);
    }

    #[test]
    fn what_is_asked_is_what_is_read() {
        let asked = Stream {
            first: Duration::from_millis(7),
            events: 9,
            gap: Duration::from_millis(5),
            hold: true,
        };
        let body = format!(r#"{{"model":"gpt-4o","user":"{}"}}"#, asked.ask());
        assert_eq!(Stream::asked(body.as_bytes()), Some(asked));
        assert_eq!(Stream::asked(br#"{"user":"someone"}"#), None);
    }
}
