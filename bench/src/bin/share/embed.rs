//! 2,000 single embeddings, 200 at a time, from a provider that takes 30 ms
//! per call and refuses what is more than 50 calls a second. The caller
//! repeats a refused call as the official SDKs do, but as often as it takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use nowait_bench::Result;
use nowait_bench::load::{post, quantile};
use nowait_bench::table::{Quantity, Target};
use nowait_bench::wire::Connection;

use super::{Bench, DIRECT, NOWAIT, millis, row};

const ANSWERED: &str = "2,000 embeddings, c=200: upstream calls answered";
const REFUSED: &str = "    upstream calls refused (429)";
const TOTAL: &str = "    seconds for all";
const P50: &str = "    p50 ms";
const ALONE_P50: &str = "embeddings, c=1: p50 ms";
const ADDED: &str = "    added p50 ms";

pub(super) const ROWS: [Quantity; 6] = [
    row(ANSWERED, Some(Target::Fewer(20.0))),
    row(REFUSED, None),
    row(TOTAL, Some(Target::Fewer(5.0))),
    row(P50, None),
    row(ALONE_P50, None),
    // What a relay adds, and nothing that waits for company.
    row(ADDED, Some(Target::Value(1.0))),
];

/// What the callers saw.
struct Seen {
    latencies: Vec<Duration>,
    total: Duration,
    refused: u64,
}

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let direct = bench.setup.upstream;
    let base = run(bench, direct, DIRECT).await?;
    let nowait = bench.nowait("").await?;
    let alone = run(bench, nowait.address, NOWAIT).await?;
    bench.table.add(ADDED, NOWAIT, alone - base)
}

/// Returns the median at concurrency 1 in milliseconds.
async fn run(bench: &mut Bench<'_>, to: SocketAddr, column: usize) -> Result<f64> {
    // No call of what came before counts against the provider's second.
    time::sleep(Duration::from_secs(1)).await;
    let before = bench.responder.asked();
    let (calls, callers) = (bench.many(2000, 60), bench.many(200, 20));
    let seen = load(to, "together", calls, callers).await?;
    let asked = bench.responder.asked() - before;
    time::sleep(Duration::from_secs(1)).await;
    let alone = load(to, "alone", bench.many(100, 5), 1).await?;
    let p50 = millis(quantile(&alone.latencies, 0.5));
    let table = &mut bench.table;
    table.add(ANSWERED, column, (asked - seen.refused) as f64)?;
    table.add(REFUSED, column, seen.refused as f64)?;
    table.add(TOTAL, column, seen.total.as_secs_f64())?;
    table.add(P50, column, millis(quantile(&seen.latencies, 0.5)))?;
    table.add(ALONE_P50, column, p50)?;
    Ok(p50)
}

/// `calls` different inputs by `callers` at a time.
async fn load(to: SocketAddr, name: &'static str, calls: usize, callers: usize) -> Result<Seen> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut all = JoinSet::new();
    for caller in 0..callers {
        let next = next.clone();
        all.spawn(async move {
            let mut random = Rng::with_seed(caller as u64);
            let mut connection = Connection::open(to).await?;
            let (mut latencies, mut refused) = (Vec::new(), 0);
            loop {
                let call = next.fetch_add(1, Ordering::Relaxed);
                if call >= calls {
                    return Ok::<_, nowait_bench::Error>((latencies, refused));
                }
                let body = format!(
                    r#"{{"model":"text-embedding-3-small","input":"sentence {call}, {name}"}}"#
                );
                let request = post(to, "/v1/embeddings", &body);
                let asked = Instant::now();
                refused += insist(&mut connection, &request, &mut random).await?;
                latencies.push(asked.elapsed());
            }
        });
    }
    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some(one) = all.join_next().await {
        let (theirs, more) = one??;
        latencies.extend(theirs);
        refused += more;
    }
    latencies.sort_unstable();
    Ok(Seen {
        latencies,
        total: start.elapsed(),
        refused,
    })
}

/// Asks until it is answered; says how often it was refused. Half a second,
/// doubled each time up to 8 s, less up to a quarter: the SDKs' own pauses.
async fn insist(connection: &mut Connection, request: &[u8], random: &mut Rng) -> Result<u64> {
    let mut refused = 0;
    loop {
        connection.send(request).await?;
        let head = connection.head().await?;
        if !matches!(head.status, 200 | 429) {
            return Err(connection.refusal(head).await);
        }
        while connection.chunk().await?.is_some() {}
        if head.status == 200 {
            return Ok(refused);
        }
        let pause = (0.5 * f64::from(1_u32 << refused.min(4))).min(8.0);
        let pause = pause * (1.0 - 0.25 * random.f64());
        time::sleep(Duration::from_secs_f64(pause)).await;
        refused += 1;
    }
}
