//! Whether `[cache] memory` is what the process takes: filled beyond the bound
//! with answers of 4 KiB, by how much resident memory grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time;

use nowait_bench::Result;
use nowait_bench::load;
use nowait_bench::responder::ANSWER_LENGTH;
use nowait_bench::table::{Quantity, Target};
use nowait_bench::wire::Connection;

use super::{Bench, NOWAIT, long, row};

const BOUND: &str = "100,000 answers of 4 KiB: bound, MiB";
const GROWTH: &str = "    RSS growth, MiB";
const OFF: &str = "    off the bound, %";

pub(super) const ROWS: [Quantity; 3] = [
    row(BOUND, None),
    row(GROWTH, None),
    row(OFF, Some(Target::Value(15.0))),
];

const CALLERS: usize = 16;
/// What an answer may take beside its body, so that about as many fit.
const AROUND: usize = 384;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let entries = bench.many(100_000, 2_000);
    let bound = entries * (ANSWER_LENGTH + AROUND) / 1024;
    let nowait = bench
        .nowait(&format!("[cache]\nmemory = \"{bound}KiB\"\n"))
        .await?;
    // Connections, plans and buffers are there before anything is kept.
    load::calls(nowait.address, CALLERS, Duration::from_millis(200)).await?;
    let before = nowait.process.resident()?;
    let (next, mut all) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CALLERS {
        let (to, next) = (nowait.address, next.clone());
        all.spawn(async move {
            let mut connection = Connection::open(to).await?;
            loop {
                let prompt = next.fetch_add(1, Ordering::Relaxed);
                // A fifth more than fit: the bound is reached.
                if prompt > entries + entries / 5 {
                    return Ok::<_, nowait_bench::Error>(());
                }
                connection.call(&long(to, prompt, false)).await?;
            }
        });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    time::sleep(Duration::from_millis(100)).await;
    let growth = nowait.process.resident()?.saturating_sub(before) as f64;
    let table = &mut bench.table;
    table.add(BOUND, NOWAIT, bound as f64 / 1024.0)?;
    table.add(GROWTH, NOWAIT, growth / 1024.0)?;
    table.add(OFF, NOWAIT, 100.0 * (growth / bound as f64 - 1.0).abs())
}
