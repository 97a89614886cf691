//! The load: closed loops of keep-alive connections for a fixed time, and an
//! open one.
//!
//! In a closed loop each connection has one call in flight and starts the next
//! when it is answered whole. Any answer but a whole 200 fails the run: a proxy
//! that refuses fast must not look fast. In an open loop calls come when they
//! come, however long others take ([`arrivals`]), and failures are counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::Result;
use crate::responder::Stream;
use crate::wire::{Connection, EventCount};

/// What a closed loop of unstreamed calls saw.
#[derive(Debug, Default)]
pub struct Calls {
    /// Time from sending a request to the end of its answer, sorted.
    pub latencies: Vec<Duration>,
    /// Time the loop ran, the last answers included.
    pub elapsed: Duration,
}

/// What a closed loop of streamed calls saw.
#[derive(Debug, Default)]
pub struct Streams {
    /// Time from sending a request to its first event, sorted.
    pub first_events: Vec<Duration>,
    /// The longest wait between two events of one stream.
    pub longest_gap: Duration,
    /// How many waits were at least [`STALL`] over the stream's own gap.
    pub stalls: u64,
}

/// Nagle's algorithm against a delayed acknowledgement costs 40 ms; what is
/// well under that may be the scheduler.
pub const STALL: Duration = Duration::from_millis(30);

/// An unstreamed 1 KiB chat call as the official SDK sends it.
pub fn chat(to: SocketAddr) -> Arc<[u8]> {
    post(
        to,
        "/v1/chat/completions",
        &body(&format!(r#""user":"{}""#, "bench-of-unstreamed")),
    )
}

/// The same call, streamed.
pub fn stream(to: SocketAddr, asked: Stream) -> Arc<[u8]> {
    post(
        to,
        "/v1/chat/completions",
        &body(&format!(r#""stream":true,"user":"{}""#, asked.ask())),
    )
}

/// The same call in Anthropic's words.
pub fn message(to: SocketAddr) -> Arc<[u8]> {
    post(to, "/v1/messages", &message_body(r#""max_tokens":99"#))
}

/// The same, streamed.
pub fn message_stream(to: SocketAddr, asked: Stream) -> Arc<[u8]> {
    let more = format!(
        r#""max_tokens":99,"stream":true,"metadata":{{"user_id":"{}"}}"#,
        asked.ask()
    );
    post(to, "/v1/messages", &message_body(&more))
}

/// The streamed chat call, of a model of Anthropic's.
pub fn crossing_stream(to: SocketAddr, asked: Stream) -> Arc<[u8]> {
    let body = body(&format!(r#""stream":true,"user":"{}""#, asked.ask()));
    let body = body.replace("gpt-4o", "anthropic/claude-sonnet-4-5");
    post(to, "/v1/chat/completions", &body)
}

/// An unstreamed chat call of 100 KiB in 990 messages to that model.
pub fn long(to: SocketAddr, model: &str) -> Arc<[u8]> {
    let text = "Say why a warm connection matters, and to whom. ";
    let turn = |role| format!(r#"{{"role":"{role}","content":"{text}"}}"#);
    let turns = [turn("user"), turn("assistant")].join(",");
    let turns = [&*turns; 495].join(",");
    let body = format!(
        r#"{{"model":"{model}","messages":[{turns},{}]}}"#,
        turn("user")
    );
    post(to, "/v1/chat/completions", &body)
}

/// A whole `POST` request with the headers of the official SDK.
pub fn post(to: SocketAddr, path: &str, body: &str) -> Arc<[u8]> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer sk-bench\r\n\
         accept: application/json\r\naccept-encoding: identity\r\ncontent-type: application/json\r\n\
         user-agent: OpenAI/Python 2.8.1\r\nx-stainless-lang: python\r\nx-stainless-package-version: 2.8.1\r\n\
         x-stainless-runtime: CPython\r\nx-stainless-retry-count: 0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    request.into_bytes().into()
}

/// A chat body of about 1 KiB with `more` fields behind the messages.
fn body(more: &str) -> String {
    let text = "Say in one sentence why a warm connection matters. ".repeat(16);
    format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{text}"}}],"temperature":0.7,{more}}}"#
    )
}

fn message_body(more: &str) -> String {
    let text = "Say in one sentence why a warm connection matters. ".repeat(16);
    format!(
        r#"{{"model":"anthropic/claude-sonnet-4-5","system":"You are a helpful assistant.","messages":[{{"role":"user","content":"{text}"}}],"temperature":0.7,{more}}}"#
    )
}

/// Calls over `connections` for `length`.
///
/// # Errors
/// The first call that isn't answered by a whole 200.
pub async fn calls(to: SocketAddr, connections: usize, length: Duration) -> Result<Calls> {
    calls_of(to, &[chat(to)], connections, length).await
}

/// The same with `requests` in turn; every connection begins elsewhere.
///
/// # Errors
/// As [`calls`].
pub async fn calls_of(
    to: SocketAddr,
    requests: &[Arc<[u8]>],
    connections: usize,
    length: Duration,
) -> Result<Calls> {
    let start = Instant::now();
    let end = start + length;
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let mut requests = requests.to_vec();
        let from = requests.len() * worker / connections;
        requests.rotate_left(from);
        workers.spawn(async move {
            let mut connection = Connection::open(to).await?;
            let mut latencies = Vec::with_capacity(1 << 14);
            for request in requests.iter().cycle() {
                let sent = Instant::now();
                if sent >= end {
                    return Ok::<_, crate::Error>(latencies);
                }
                connection.call(request).await?;
                latencies.push(sent.elapsed());
                if !connection.is_reusable() {
                    connection = Connection::open(to).await?;
                }
            }
            Err("nothing to send".into())
        });
    }
    let mut all = Calls::default();
    while let Some(worker) = workers.join_next().await {
        all.latencies.extend(worker??);
    }
    all.elapsed = start.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}

/// Streams over `connections` for `length`; each stream runs to its end.
///
/// # Errors
/// The first stream that isn't a whole 200 with every event asked for.
pub async fn streams(
    to: SocketAddr,
    asked: Stream,
    connections: usize,
    length: Duration,
) -> Result<Streams> {
    let request = stream(to, asked);
    let end = Instant::now() + length;
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let request = request.clone();
        // Spread over one gap, so that the events of all don't come at once.
        let offset = asked.gap * u32::try_from(worker)? / u32::try_from(connections)?;
        workers.spawn(async move {
            time::sleep(offset).await;
            let mut connection = Connection::open(to).await?;
            let mut seen = Streams::default();
            while Instant::now() < end {
                one(&mut connection, &request, asked, &mut seen).await?;
                if !connection.is_reusable() {
                    connection = Connection::open(to).await?;
                }
            }
            Ok::<_, crate::Error>(seen)
        });
    }
    let mut all = Streams::default();
    while let Some(worker) = workers.join_next().await {
        let seen = worker??;
        all.first_events.extend(seen.first_events);
        all.longest_gap = all.longest_gap.max(seen.longest_gap);
        all.stalls += seen.stalls;
    }
    all.first_events.sort_unstable();
    Ok(all)
}

async fn one(
    connection: &mut Connection,
    request: &[u8],
    asked: Stream,
    seen: &mut Streams,
) -> Result<()> {
    let sent = Instant::now();
    connection.send(request).await?;
    let head = connection.head().await?;
    if head.status != 200 {
        return Err(connection.refusal(head).await);
    }
    let mut count = EventCount::default();
    let mut last = sent;
    while let Some(piece) = connection.chunk().await? {
        let first = count.events == 0;
        if count.see(piece) == 0 {
            continue;
        }
        let now = Instant::now();
        let gap = now - last;
        last = now;
        if first {
            seen.first_events.push(gap);
        } else {
            seen.longest_gap = seen.longest_gap.max(gap);
        }
        seen.stalls += u64::from(gap >= asked.gap + STALL);
    }
    if count.events != u64::from(asked.events) {
        return Err(format!(
            "stream brought {} events instead of {}",
            count.events, asked.events
        )
        .into());
    }
    Ok(())
}

/// What callers who come by chance saw.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Time from when a call was to be made to its first event, sorted.
    pub first_events: Vec<Duration>,
    /// What went wrong with the others.
    pub failures: Vec<String>,
}

/// `many` streamed calls, `rate` a second in the mean, each at its own time:
/// arrivals are a Poisson process. A call that finds all connections busy opens
/// one.
///
/// # Errors
/// None of a call's: those are counted.
pub async fn arrivals(to: SocketAddr, many: usize, rate: f64, seed: u64) -> Result<Arrivals> {
    let request = post(to, "/v1/chat/completions", &body(r#""stream":true"#));
    let idle = Arc::new(Mutex::new(Vec::new()));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut due = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..many {
        due += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate);
        time::sleep_until(due).await;
        let (request, idle) = (request.clone(), Arc::clone(&idle));
        callers.spawn(arrival(to, request, due, idle));
    }
    let mut all = Arrivals::default();
    while let Some(caller) = callers.join_next().await {
        match caller? {
            Ok(first_event) => all.first_events.push(first_event),
            Err(error) => all.failures.push(error.to_string()),
        }
    }
    all.first_events.sort_unstable();
    Ok(all)
}

/// One stream, read to its end.
async fn arrival(
    to: SocketAddr,
    request: Arc<[u8]>,
    due: Instant,
    idle: Arc<Mutex<Vec<Connection>>>,
) -> Result<Duration> {
    const END: &[u8] = b"data: [DONE]\n\n";
    let kept = idle.lock().ok().and_then(|mut idle| idle.pop());
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::open(to).await?,
    };
    connection.send(&request).await?;
    let head = connection.head().await?;
    if head.status != 200 {
        return Err(connection.refusal(head).await);
    }
    let mut count = EventCount::default();
    let (mut first, mut last) = (None, Vec::with_capacity(2 * END.len()));
    while let Some(piece) = connection.chunk().await? {
        if count.see(piece) > 0 {
            first.get_or_insert_with(|| due.elapsed());
        }
        last.extend_from_slice(&piece[piece.len().saturating_sub(END.len())..]);
        last.drain(..last.len().saturating_sub(END.len()));
    }
    if connection.is_reusable()
        && let Ok(mut idle) = idle.lock()
    {
        idle.push(connection);
    }
    match first {
        Some(first) if last == END => Ok(first),
        _ => Err("the stream ended without its last event".into()),
    }
}

/// Opens `many` streams that stay open, each past its first events; they end
/// when what is returned is dropped.
///
/// # Errors
/// The first stream that isn't answered by a 200 and an event.
pub async fn hold(to: SocketAddr, many: usize) -> Result<Vec<Connection>> {
    // A few events, so that what a proxy allocates for the first ones is there.
    let asked = Stream {
        first: Duration::ZERO,
        events: 8,
        gap: Duration::from_millis(2),
        hold: true,
    };
    let request = stream(to, asked);
    let mut held = Vec::with_capacity(many);
    for _ in 0..many {
        let mut connection = Connection::open(to).await?;
        connection.send(&request).await?;
        held.push(connection);
    }
    for connection in &mut held {
        let head = connection.head().await?;
        if head.status != 200 {
            return Err(connection.refusal(head).await);
        }
        let mut count = EventCount::default();
        while count.events + 1 < u64::from(asked.events) {
            let piece = connection
                .chunk()
                .await?
                .ok_or("a held stream ended by itself")?;
            count.see(piece);
        }
    }
    Ok(held)
}

/// The value below which a `share` (0 to 1) of `sorted` lies; zero of nothing.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responder::Responder;

    #[tokio::test]
    async fn the_loops_see_every_answer_whole() {
        let responder = Responder::start().expect("loopback has a free port");
        let calls = calls(responder.address, 4, Duration::from_millis(200))
            .await
            .expect("all 200");
        assert!(calls.latencies.len() > 4);
        let asked = Stream {
            first: Duration::ZERO,
            events: 16,
            gap: Duration::ZERO,
            hold: false,
        };
        let seen = streams(responder.address, asked, 4, Duration::from_millis(200))
            .await
            .expect("all whole");
        assert!(seen.first_events.len() >= 4);
        assert_eq!(
            hold(responder.address, 10).await.expect("they open").len(),
            10
        );
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        for (share, micros) in [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)] {
            assert_eq!(
                quantile(&sorted, share),
                Duration::from_micros(micros),
                "{share}"
            );
        }
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
