//! What nowait costs, beside nginx doing the same work.
//!
//! Each proxy has one core, the load and the responder the other. Peers take
//! turns within a round and change their order from round to round, so that a
//! machine that slows down slows them all. See `bench/README.md`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time;

use nowait_bench::Result;
use nowait_bench::load::{self, quantile};
use nowait_bench::options::{self, Report, Subject};
use nowait_bench::peers::{Peer, Running, Setup};
use nowait_bench::process::{Cores, Folder};
use nowait_bench::responder::{Responder, Stream};
use nowait_bench::table::{Quantity, Table, Target, rising, row};

/// Measures nowait beside nginx and prints the table.
///
/// Example: bench/overhead --rounds 7 --json overhead.json
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Rounds; the table shows medians and the best
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds per load; a round has four loads per peer
    #[arg(long, default_value_t = 2000)]
    length: u64,
    /// Streams held open for the memory row
    #[arg(long, default_value_t = 1000)]
    held: usize,
    /// One tiny round, to see that everything still works; the numbers mean nothing
    #[arg(long)]
    quick: bool,
    /// Who is measured beside the direct call
    #[arg(long, value_delimiter = ',', default_value = "nginx,nowait")]
    peers: Vec<Peer>,
    /// Run nginx with `access_log off`: less than nowait does
    #[arg(long)]
    nginx_without_log: bool,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    subject: Subject,
}

/// Connections under load: enough to keep the proxy's core busy.
const BUSY: usize = 64;
const PACED: Stream = Stream {
    first: Duration::ZERO,
    events: 64,
    gap: Duration::from_millis(5),
    hold: false,
};
/// For the time to the first event: the pause behind it lets whoever waits for
/// it run, where a burst would keep the load's core to the responder.
const FIRST: Stream = Stream {
    first: Duration::ZERO,
    events: 4,
    gap: Duration::from_millis(1),
    hold: false,
};
const BURST: Stream = Stream {
    first: Duration::ZERO,
    events: 64,
    gap: Duration::ZERO,
    hold: false,
};

const CALL_P50: &str = "call, c=1: added p50 µs";
const CALL_P99: &str = "call, c=1: added p99 µs";
const CALL_RATE: &str = "call, c=64: requests/s";
const CALL_CPU: &str = "call, c=64: CPU µs/request";
const FIRST_P50: &str = "stream, c=1: added TTFT p50 µs";
const FIRST_P99: &str = "stream, c=1: added TTFT p99 µs";
const PACED_CPU: &str = "64 events 5 ms apart, c=64: CPU µs/stream";
const PACED_STALL: &str = "    the longest stall, ms over the gap";
const PACED_STALLS: &str = "    stalls of 30 ms and more";
const BURST_CPU: &str = "64 events back to back, c=16: CPU µs/stream";
const START: &str = "start to first answer, ms";
const IDLE: &str = "RSS idle, MiB";
const FULL: &str = "RSS with the streams open, MiB";
const EACH: &str = "    KiB per open stream";

/// The table's rows in reading order, with what issue 2 promises.
const QUANTITIES: [Quantity; 14] = [
    row(CALL_P50, None),
    row(CALL_P99, None),
    rising(CALL_RATE, None),
    row(CALL_CPU, Some(Target::Ratio(1.25))),
    row(FIRST_P50, Some(Target::Ratio(1.25))),
    row(FIRST_P99, None),
    row(PACED_CPU, Some(Target::Ratio(1.25))),
    row(PACED_STALL, None),
    row(PACED_STALLS, Some(Target::Value(0.0))),
    row(BURST_CPU, None),
    row(START, Some(Target::Value(50.0))),
    row(IDLE, Some(Target::Value(15.0))),
    row(FULL, None),
    row(EACH, Some(Target::Value(40.0))),
];

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.quick {
        (options.rounds, options.length, options.held) = (1, 50, 20);
    }
    options::run("overhead", measure(&options))
}

async fn measure(options: &Options) -> Result<()> {
    // There is one thread yet; those to come follow.
    let cores = Cores::pinned()?;
    let nowait = options.subject.prepare()?;
    let folder = Folder::new()?;
    let responder = Responder::start()?;
    let setup = Setup {
        upstream: responder.address,
        core: cores.map(|cores| cores.proxy),
        folder: folder.path(),
        nowait: &nowait,
        nginx_log: !options.nginx_without_log,
    };
    let mut columns = vec!["direct"];
    columns.extend(options.peers.iter().map(|peer| peer.name()));
    let mut table = Table::new(columns, &QUANTITIES);
    for round in 0..options.rounds {
        let mut order: Vec<_> = (0..options.peers.len()).collect();
        order.rotate_left(round % options.peers.len().max(1));
        eprintln!("round {} of {}", round + 1, options.rounds);
        let direct = Latency::measure(responder.address, options).await?;
        direct.add(&mut table, 0, None)?;
        throughput(responder.address, None, &mut table, 0, options).await?;
        paced(responder.address, None, &mut table, 0, options).await?;
        for peer in order {
            let column = peer + 1;
            let running = options.peers[peer].start(setup).await?;
            memory(running, &mut table, column, options).await?;
            let running = options.peers[peer].start(setup).await?;
            Latency::measure(running.address, options).await?.add(
                &mut table,
                column,
                Some(&direct),
            )?;
            throughput(running.address, Some(&running), &mut table, column, options).await?;
            paced(running.address, Some(&running), &mut table, column, options).await?;
            burst(&running, &mut table, column, options).await?;
        }
    }
    options.report.give(&table)
}

/// One call at a time: what a single caller feels.
struct Latency {
    call: (Duration, Duration),
    first_event: (Duration, Duration),
}

impl Latency {
    async fn measure(to: std::net::SocketAddr, options: &Options) -> Result<Self> {
        let length = Duration::from_millis(options.length);
        load::calls(to, 1, length / 10).await?;
        let calls = load::calls(to, 1, length).await?.latencies;
        let streams = load::streams(to, FIRST, 1, length).await?.first_events;
        let both = |sorted: &[Duration]| (quantile(sorted, 0.5), quantile(sorted, 0.99));
        Ok(Self {
            call: both(&calls),
            first_event: both(&streams),
        })
    }

    /// Adds what it is over `direct`; the plain times where that is `None`.
    fn add(&self, table: &mut Table, column: usize, direct: Option<&Self>) -> Result<()> {
        let zero = Self {
            call: Default::default(),
            first_event: Default::default(),
        };
        let direct = direct.unwrap_or(&zero);
        table.add(
            CALL_P50,
            column,
            micros(self.call.0) - micros(direct.call.0),
        )?;
        table.add(
            CALL_P99,
            column,
            micros(self.call.1) - micros(direct.call.1),
        )?;
        table.add(
            FIRST_P50,
            column,
            micros(self.first_event.0) - micros(direct.first_event.0),
        )?;
        table.add(
            FIRST_P99,
            column,
            micros(self.first_event.1) - micros(direct.first_event.1),
        )
    }
}

/// As many unstreamed calls as one core can carry.
async fn throughput(
    to: std::net::SocketAddr,
    proxy: Option<&Running>,
    table: &mut Table,
    column: usize,
    options: &Options,
) -> Result<()> {
    let length = Duration::from_millis(options.length);
    load::calls(to, BUSY, length / 10).await?;
    let before = cpu(proxy)?;
    let calls = load::calls(to, BUSY, length).await?;
    let used = cpu(proxy)? - before;
    let many = calls.latencies.len() as f64;
    table.add(CALL_RATE, column, many / calls.elapsed.as_secs_f64())?;
    if proxy.is_some() {
        table.add(CALL_CPU, column, micros(used) / many)?;
    }
    Ok(())
}

/// Streams as a provider sends them: 64 events, 5 ms apart.
async fn paced(
    to: std::net::SocketAddr,
    proxy: Option<&Running>,
    table: &mut Table,
    column: usize,
    options: &Options,
) -> Result<()> {
    let before = cpu(proxy)?;
    let streams = load::streams(to, PACED, BUSY, Duration::from_millis(options.length)).await?;
    let used = cpu(proxy)? - before;
    if proxy.is_some() {
        table.add(
            PACED_CPU,
            column,
            micros(used) / streams.first_events.len() as f64,
        )?;
    }
    let over = streams.longest_gap.saturating_sub(PACED.gap);
    table.add(PACED_STALL, column, over.as_secs_f64() * 1e3)?;
    table.add(PACED_STALLS, column, streams.stalls as f64)
}

/// The same events back to back: what a proxy makes of a full socket.
async fn burst(proxy: &Running, table: &mut Table, column: usize, options: &Options) -> Result<()> {
    let before = proxy.process.cpu()?;
    let streams = load::streams(
        proxy.address,
        BURST,
        16,
        Duration::from_millis(options.length),
    )
    .await?;
    let used = proxy.process.cpu()? - before;
    table.add(
        BURST_CPU,
        column,
        micros(used) / streams.first_events.len() as f64,
    )
}

/// A fresh process: how soon it answers, what it holds idle and full.
async fn memory(
    running: Running,
    table: &mut Table,
    column: usize,
    options: &Options,
) -> Result<()> {
    table.add(START, column, running.first_answer.as_secs_f64() * 1e3)?;
    time::sleep(Duration::from_millis(200)).await;
    let idle = running.process.resident()?;
    let held = load::hold(running.address, options.held).await?;
    let full = running.process.resident()?;
    table.add(IDLE, column, idle as f64 / 1024.0)?;
    table.add(FULL, column, full as f64 / 1024.0)?;
    table.add(
        EACH,
        column,
        full.saturating_sub(idle) as f64 / held.len() as f64,
    )
}

fn cpu(proxy: Option<&Running>) -> Result<Duration> {
    proxy.map_or(Ok(Duration::ZERO), |running| running.process.cpu())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
