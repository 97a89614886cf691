//! Prompts that repeat by Zipf's law, and memory for a tenth of their answers:
//! how many calls are hits, beside a cache that knows the future.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use nowait_bench::Result;
use nowait_bench::responder::ANSWER_LENGTH;
use nowait_bench::table::Quantity;
use nowait_bench::wire::Connection;
use nowait_bench::zipf;

use super::{Bench, NOWAIT, long, rising};

const RATIO: &str = "50,000 prompts by Zipf, memory for 10 %: hits, %";
const BEST: &str = "    best possible with that memory, %";
const SHARE: &str = "    share of the best, %";

pub(super) const ROWS: [Quantity; 3] =
    [rising(RATIO, None), rising(BEST, None), rising(SHARE, None)];

/// Few enough that hardly two ask for the same at once: what is measured is
/// what was kept, not what was joined.
const CALLERS: usize = 8;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let (prompts, draws) = (bench.many(50_000, 2_000), bench.many(200_000, 1_000));
    let draws = Arc::new(zipf::draw(5, u32::try_from(prompts)?, draws));
    let entries = prompts / 10;
    // What a cache would need that holds answers and nothing else.
    let memory = entries * ANSWER_LENGTH / 1024;
    let nowait = bench
        .nowait(&format!("[cache]\nmemory = \"{memory}KiB\"\n"))
        .await?;
    let before = bench.responder.asked();
    let (next, mut all) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CALLERS {
        let (to, next, draws) = (nowait.address, next.clone(), draws.clone());
        all.spawn(async move {
            let mut connection = Connection::open(to).await?;
            while let Some(&prompt) = draws.get(next.fetch_add(1, Ordering::Relaxed)) {
                connection.call(&long(to, prompt as usize, false)).await?;
            }
            Ok::<_, nowait_bench::Error>(())
        });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    let many = draws.len() as f64;
    let ratio = 1.0 - (bench.responder.asked() - before) as f64 / many;
    let best = zipf::best(&draws, entries) as f64 / many;
    let table = &mut bench.table;
    table.add(RATIO, NOWAIT, 100.0 * ratio)?;
    table.add(BEST, NOWAIT, 100.0 * best)?;
    table.add(SHARE, NOWAIT, 100.0 * ratio / best)
}
