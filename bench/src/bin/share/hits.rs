//! Answers of 4 KiB that were kept: whole and as 64 events, from memory and
//! from Redis, and in the form they were not recorded in. nginx serves the same
//! bytes from `proxy_cache` on files in memory.

use std::sync::Arc;
use std::time::Duration;

use nowait_bench::Result;
use nowait_bench::load::{self, quantile};
use nowait_bench::peers::Running;
use nowait_bench::redis::Redis;
use nowait_bench::responder::{ANSWER_EVENTS, ANSWER_LENGTH};
use nowait_bench::table::{Quantity, Target};
use nowait_bench::wire::{self, Connection, EventCount};
use tokio::time::{self, Instant};

use super::{Bench, NGINX, NOWAIT, long, micros, rising, row};

/// Connections under load: enough to keep the proxy's core busy.
const BUSY: usize = 64;
/// Different prompts, asked in turn: all of them fit where answers are kept,
/// hardly any in the little memory that leaves the rest to Redis.
const PROMPTS: usize = 1000;
const LITTLE: &str = "64KiB";
/// For Redis to be found.
const PATIENCE: Duration = Duration::from_secs(20);

/// One kind of hit.
struct Case {
    p50: &'static str,
    p99: &'static str,
    rate: &'static str,
    cpu: &'static str,
    /// The form it was recorded in, and the form it is asked for in.
    recorded: bool,
    asked: bool,
    target: Option<Target>,
}

macro_rules! case {
    ($name:literal, $recorded:expr => $asked:expr, $target:expr) => {
        Case {
            p50: concat!($name, ", c=1: p50 µs"),
            p99: concat!($name, ", c=1: p99 µs"),
            rate: concat!($name, ", c=64: hits/s/core"),
            cpu: concat!($name, ", c=64: CPU µs/hit"),
            recorded: $recorded,
            asked: $asked,
            target: $target,
        }
    };
}

/// How a form is written here: whether it streams.
const WHOLE: bool = false;
const STREAM: bool = true;

const PROMISED: Option<Target> = Some(Target::Ratio(1.5));
const MEMORY: [Case; 2] = [
    case!("4 KiB from memory", WHOLE => WHOLE, PROMISED),
    case!("64 events from memory", STREAM => STREAM, PROMISED),
];
const CROSSED: [Case; 2] = [
    case!("4 KiB kept as 64 events", STREAM => WHOLE, None),
    case!("64 events kept as 4 KiB", WHOLE => STREAM, None),
];
const REDIS: [Case; 2] = [
    case!("4 KiB from Redis", WHOLE => WHOLE, PROMISED),
    case!("64 events from Redis", STREAM => STREAM, PROMISED),
];
const FOUND: &str = "from Redis: share of calls Redis answered, %";
const REDIS_CPU: &str = "    Redis's own CPU µs/call";

pub(super) fn rows() -> Vec<Quantity> {
    let mut rows = Vec::new();
    for case in [&MEMORY, &CROSSED, &REDIS].into_iter().flatten() {
        rows.extend([
            row(case.p50, None),
            row(case.p99, None),
            rising(case.rate, None),
            row(case.cpu, case.target),
        ]);
    }
    rows.extend([rising(FOUND, None), row(REDIS_CPU, None)]);
    rows
}

pub(super) async fn measure(bench: &mut Bench<'_>, round: usize) -> Result<()> {
    // Who is first changes from round to round, so that a machine that slows
    // down slows both.
    if round.is_multiple_of(2) {
        nginx(bench).await?;
        nowait(bench).await?;
    } else {
        nowait(bench).await?;
        nginx(bench).await?;
    }
    from_redis(bench).await
}

async fn nginx(bench: &mut Bench<'_>) -> Result<()> {
    // The files that a hit from Redis is compared with are the same ones.
    for (case, redis) in MEMORY.iter().zip(&REDIS) {
        let running = bench.nginx().await?;
        let hits = all_hits(bench, &running, case).await?;
        hits.add(bench, case, NGINX)?;
        hits.add(bench, redis, NGINX)?;
    }
    Ok(())
}

async fn nowait(bench: &mut Bench<'_>) -> Result<()> {
    for case in [&MEMORY, &CROSSED].into_iter().flatten() {
        let running = bench.nowait("").await?;
        let hits = all_hits(bench, &running, case).await?;
        hits.add(bench, case, NOWAIT)?;
    }
    Ok(())
}

async fn from_redis(bench: &mut Bench<'_>) -> Result<()> {
    let (mut found, mut calls, mut cpu) = (0, 0, Duration::ZERO);
    for case in &REDIS {
        let redis = Redis::start(bench.core, bench.setup.folder).await?;
        let cache = format!(
            "[cache]\nmemory = \"{LITTLE}\"\nredis = \"redis://{}\"\n",
            redis.address
        );
        let running = bench.nowait(&cache).await?;
        connected(&running).await?;
        let prompts = fill(bench, &running, case).await?;
        redis.holds(prompts as u64).await?;
        let (hits_before, cpu_before) = (redis.hits().await?, redis.process.cpu()?);
        let hits = Hits::measure(bench, &running, case).await?;
        found += redis.hits().await? - hits_before;
        cpu += redis.process.cpu()? - cpu_before;
        calls += hits.calls;
        hits.add(bench, case, NOWAIT)?;
    }
    let table = &mut bench.table;
    table.add(FOUND, NOWAIT, 100.0 * found as f64 / calls as f64)?;
    table.add(REDIS_CPU, NOWAIT, micros(cpu) / calls as f64)
}

/// Waits until nowait has found its Redis: what it keeps before that is only in
/// its memory.
async fn connected(running: &Running) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let metrics = wire::get(running.address, "/metrics").await?;
        if metrics.contains("\nnowait_cache_redis_connected 1") {
            return Ok(());
        }
        time::sleep(Duration::from_millis(5)).await;
    }
    Err("nowait doesn't find its Redis".into())
}

/// Fills what keeps answers in this process, and measures; every call must
/// have been a hit.
async fn all_hits(bench: &Bench<'_>, running: &Running, case: &Case) -> Result<Hits> {
    fill(bench, running, case).await?;
    let before = bench.responder.asked();
    let hits = Hits::measure(bench, running, case).await?;
    match bench.responder.asked() - before {
        0 => Ok(hits),
        asked => Err(format!(
            "{asked} of {} calls were no hits ({})",
            hits.calls, case.cpu
        )
        .into()),
    }
}

fn requests(bench: &Bench<'_>, running: &Running, stream: bool) -> Vec<Arc<[u8]>> {
    let prompts = 0..bench.many(PROMPTS, 20);
    prompts
        .map(|prompt| long(running.address, prompt, stream))
        .collect()
}

/// Asks every prompt once in the form to be recorded, then looks whether the
/// form asked for comes whole. Says how many there are.
async fn fill(bench: &Bench<'_>, running: &Running, case: &Case) -> Result<usize> {
    let mut connection = Connection::open(running.address).await?;
    for form in [case.recorded, case.asked] {
        for request in requests(bench, running, form) {
            connection.send(&request).await?;
            let head = connection.head().await?;
            if head.status != 200 {
                return Err(connection.refusal(head).await);
            }
            let (mut length, mut count) = (0, EventCount::default());
            while let Some(piece) = connection.chunk().await? {
                length += piece.len();
                count.see(piece);
            }
            let whole = match form {
                STREAM if form == case.recorded => count.events == ANSWER_EVENTS,
                STREAM => count.events > 2,
                WHOLE if form == case.recorded => length == ANSWER_LENGTH,
                WHOLE => length * 10 > ANSWER_LENGTH * 9,
            };
            if !whole {
                return Err(format!("{length} bytes and {} events came", count.events).into());
            }
        }
    }
    Ok(requests(bench, running, case.asked).len())
}

/// What a load of hits came to.
struct Hits {
    p50: f64,
    p99: f64,
    /// Microseconds of the proxy's own, each.
    cpu: f64,
    calls: u64,
}

impl Hits {
    async fn measure(bench: &Bench<'_>, running: &Running, case: &Case) -> Result<Self> {
        let length = Duration::from_millis(bench.options.length);
        let (to, requests) = (running.address, requests(bench, running, case.asked));
        let alone = load::calls_of(to, &requests, 1, length).await?.latencies;
        let warm = load::calls_of(to, &requests, BUSY, length / 10).await?;
        let before = running.process.cpu()?;
        let busy = load::calls_of(to, &requests, BUSY, length).await?;
        let used = running.process.cpu()? - before;
        let many = busy.latencies.len();
        Ok(Self {
            p50: micros(quantile(&alone, 0.5)),
            p99: micros(quantile(&alone, 0.99)),
            cpu: micros(used) / many as f64,
            calls: (alone.len() + warm.latencies.len() + many) as u64,
        })
    }

    fn add(&self, bench: &mut Bench<'_>, case: &Case, column: usize) -> Result<()> {
        let table = &mut bench.table;
        table.add(case.p50, column, self.p50)?;
        table.add(case.p99, column, self.p99)?;
        table.add(case.rate, column, 1e6 / self.cpu)?;
        table.add(case.cpu, column, self.cpu)
    }
}
