//! Fifty callers who want the same stream: all at once, and forty-nine of them
//! when it is half over. The provider thinks for 100 ms, then sends an event
//! every 5 ms.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use nowait_bench::Result;
use nowait_bench::load::quantile;
use nowait_bench::responder::Stream;
use nowait_bench::table::{Quantity, Target};
use nowait_bench::wire::{Cache, Connection, EventCount};

use super::{Bench, DIRECT, NGINX, NOWAIT, chat, millis, row};

const CALLERS: usize = 50;
const ASKED: Stream = Stream {
    first: Duration::from_millis(100),
    events: 64,
    gap: Duration::from_millis(5),
    hold: false,
};
/// Where the stream is half over.
const HALF: u64 = 32;

const ASKED_ONCE: &str = "50 equal streams at once: upstream calls";
const LEADER: &str = "    TTFT of the first, ms";
const JOINERS_P50: &str = "    TTFT p50 of the joiners, ms";
const JOINERS_P99: &str = "    TTFT p99 of the joiners, ms";
const LATE_ASKED: &str = "49 more half way: upstream calls";
const LATE_P50: &str = "    TTFT p50 of the joiners, ms ";
const LATE_P99: &str = "    TTFT p99 of the joiners, ms ";
const LATE_HALF: &str = "    p99 until they have the first half, ms";

pub(super) const ROWS: [Quantity; 8] = [
    row(ASKED_ONCE, Some(Target::Value(1.0))),
    row(LEADER, None),
    row(JOINERS_P50, None),
    row(JOINERS_P99, None),
    row(LATE_ASKED, Some(Target::Value(1.0))),
    row(LATE_P50, None),
    row(LATE_P99, None),
    row(LATE_HALF, None),
];

/// What one caller saw.
struct Seen {
    /// Whether somebody else's call brought it.
    joined: bool,
    first: Duration,
    half: Duration,
}

pub(super) async fn measure(bench: &mut Bench<'_>, round: usize) -> Result<()> {
    let times = bench.many(10, 1);
    run(bench, bench.setup.upstream, DIRECT, round, times).await?;
    let nginx = bench.nginx().await?;
    run(bench, nginx.address, NGINX, round, times).await?;
    drop(nginx);
    let nowait = bench.nowait("").await?;
    run(bench, nowait.address, NOWAIT, round, times).await
}

async fn run(
    bench: &mut Bench<'_>,
    to: SocketAddr,
    column: usize,
    round: usize,
    times: usize,
) -> Result<()> {
    let (mut leaders, mut joiners, mut late) = (Vec::new(), Vec::new(), Vec::new());
    let (mut most, mut most_late) = (0, 0);
    for time in 0..times {
        let before = bench.responder.asked();
        let prompt = format!("round {round}, time {time}, at once");
        let mut seen = at_once(to, &prompt, CALLERS).await?;
        most = most.max(bench.responder.asked() - before);
        // Where nobody joins, the first is whoever was.
        let leader = seen.iter().position(|seen| !seen.joined).unwrap_or(0);
        leaders.push(seen.swap_remove(leader).first);
        joiners.extend(seen.iter().map(|seen| seen.first));

        let before = bench.responder.asked();
        let prompt = format!("round {round}, time {time}, half way");
        late.extend(half_way(to, &prompt, CALLERS - 1).await?);
        most_late = most_late.max(bench.responder.asked() - before);
    }
    let mut halves: Vec<_> = late.iter().map(|seen| seen.half).collect();
    let mut late: Vec<_> = late.iter().map(|seen| seen.first).collect();
    for all in [&mut leaders, &mut joiners, &mut late, &mut halves] {
        all.sort_unstable();
    }
    let table = &mut bench.table;
    table.add(ASKED_ONCE, column, most as f64)?;
    table.add(LEADER, column, millis(quantile(&leaders, 0.5)))?;
    table.add(JOINERS_P50, column, millis(quantile(&joiners, 0.5)))?;
    table.add(JOINERS_P99, column, millis(quantile(&joiners, 0.99)))?;
    table.add(LATE_ASKED, column, most_late as f64)?;
    table.add(LATE_P50, column, millis(quantile(&late, 0.5)))?;
    table.add(LATE_P99, column, millis(quantile(&late, 0.99)))?;
    table.add(LATE_HALF, column, millis(quantile(&halves, 0.99)))
}

fn request(to: SocketAddr, prompt: &str) -> Arc<[u8]> {
    let more = format!(r#""stream":true,"user":"{}""#, ASKED.ask());
    chat(to, prompt, &more)
}

/// `callers` that ask in the same moment over connections that are open.
async fn at_once(to: SocketAddr, prompt: &str, callers: usize) -> Result<Vec<Seen>> {
    let request = request(to, prompt);
    let ready = Arc::new(Barrier::new(callers));
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let mut connection = Connection::open(to).await?;
        let (request, ready) = (request.clone(), ready.clone());
        all.spawn(async move {
            ready.wait().await;
            let sent = Instant::now();
            connection.send(&request).await?;
            read(&mut connection, sent).await
        });
    }
    let mut seen = Vec::new();
    while let Some(one) = all.join_next().await {
        seen.push(one??);
    }
    Ok(seen)
}

/// One caller, and when it has half of its stream `callers` more; what those
/// saw.
async fn half_way(to: SocketAddr, prompt: &str, callers: usize) -> Result<Vec<Seen>> {
    let request = request(to, prompt);
    let mut leader = Connection::open(to).await?;
    leader.send(&request).await?;
    let head = leader.head().await?;
    if head.status != 200 {
        return Err(leader.refusal(head).await);
    }
    let mut count = EventCount::default();
    while count.events < HALF {
        let piece = leader.chunk().await?.ok_or("the stream ended half way")?;
        count.see(piece);
    }
    let rest = async {
        while let Some(piece) = leader.chunk().await? {
            count.see(piece);
        }
        whole(count)
    };
    let (seen, rest) = tokio::join!(at_once(to, prompt, callers), rest);
    rest?;
    seen
}

/// Reads a stream to its end.
async fn read(connection: &mut Connection, sent: Instant) -> Result<Seen> {
    let head = connection.head().await?;
    if head.status != 200 {
        return Err(connection.refusal(head).await);
    }
    let (mut count, mut first, mut half) = (EventCount::default(), None, None);
    while let Some(piece) = connection.chunk().await? {
        count.see(piece);
        if count.events > 0 {
            first.get_or_insert_with(|| sent.elapsed());
        }
        if count.events >= HALF {
            half.get_or_insert_with(|| sent.elapsed());
        }
    }
    whole(count)?;
    Ok(Seen {
        joined: matches!(head.cache, Some(Cache::Joined | Cache::Hit)),
        first: first.unwrap_or_default(),
        half: half.unwrap_or_default(),
    })
}

fn whole(count: EventCount) -> Result<()> {
    if count.events == u64::from(ASKED.events) {
        return Ok(());
    }
    Err(format!("a stream brought {} events", count.events).into())
}
