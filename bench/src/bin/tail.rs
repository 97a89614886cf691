//! What is left of a provider's stragglers: direct calls, calls through nowait as
//! it comes, and through nowait with `hedge = "p95"`.
//!
//! Each has a simulated provider of its own, a process beside us, with the same
//! latencies by the same seed; all three are called at the same moments, so a
//! machine that slows down slows them all. See `bench/README.md`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tokio::time::{self, Instant};

use nowait_bench::Result;
use nowait_bench::load::{self, Arrivals, quantile};
use nowait_bench::options::{self, Report, Subject};
use nowait_bench::peers::{self, Running, Setup};
use nowait_bench::process::{self, Folder, Process};
use nowait_bench::table::{Quantity, Table, Target, row};
use nowait_bench::wire;

/// Measures times to first token where 4 % of a provider's calls take 20 times as long.
///
/// Example: bench/tail --calls 20000 --rate 200
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Streamed calls of each of the three
    #[arg(long, default_value_t = 12_000)]
    calls: usize,
    /// How many of them come in a second, in the mean
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Rounds; the table shows medians and the best
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// Other latencies, at other moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When the hedged calls are hedged: a percentile or a duration
    #[arg(long, default_value = "p95")]
    hedge: String,
    /// The provider's time to first token [default: 60 to 220 ms, 100 in the median, and 4 % stragglers]
    #[arg(long, value_name = "TIME")]
    ttft: Option<String>,
    /// A hundred calls, to see that everything still works; the numbers mean nothing
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    subject: Subject,
}

/// Who makes the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Plain,
    Hedged,
}

const WAYS: [Way; 3] = [Way::Direct, Way::Plain, Way::Hedged];

const FIRST_P50: &str = "TTFT p50, ms";
const FIRST_P95: &str = "TTFT p95, ms";
const FIRST_P99: &str = "TTFT p99, ms";
const FIRST_P999: &str = "TTFT p99.9, ms";
const UPSTREAM: &str = "calls upstream";
const EXTRA: &str = "    more than were made, %";
const ERRORS: &str = "errors";

/// The table's rows in reading order, with what issue 4 promises.
const ROWS: [Quantity; 7] = [
    row(FIRST_P50, None),
    row(FIRST_P95, None),
    row(FIRST_P99, Some(Target::Ratio(0.30))),
    row(FIRST_P999, None),
    row(UPSTREAM, None),
    row(EXTRA, Some(Target::Value(6.0))),
    row(ERRORS, Some(Target::Value(0.0))),
];

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.quick {
        (options.calls, options.rounds) = (100, 1);
    }
    options::run("tail", measure(&options))
}

async fn measure(options: &Options) -> Result<()> {
    let nowait = options.subject.prepare()?;
    let names = WAYS.map(Way::name).to_vec();
    let mut table = Table::new(names, &ROWS).judging("hedged", "direct");
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let folder = Folder::new()?;
        let seed = options.seed + round;
        let [direct, plain, hedged] =
            WAYS.map(|way| way.measure(options, seed, &nowait, folder.path()));
        let (direct, plain, hedged) = tokio::try_join!(direct, plain, hedged)?;
        for (column, measured) in [direct, plain, hedged].iter().enumerate() {
            measured.add(&mut table, column, options.calls)?;
        }
    }
    options.report.give(&table)
}

/// The times to first token of a provider of which the share `late` takes
/// `times` as long, as `nowait sim --ttft` reads them.
fn stragglers(late: f64, times: f64) -> String {
    const USUAL: [(f64, f64); 5] = [
        (0.0, 60.0),
        (0.5, 100.0),
        (0.9, 150.0),
        (0.99, 200.0),
        (1.0, 220.0),
    ];
    let usual = USUAL.map(|(share, ms)| (share * (1.0 - late), ms));
    // A hair later: two values can't have the same share.
    let slow = USUAL.map(|(share, ms)| (1.0 - late + 1e-7 + share * (late - 1e-7), ms * times));
    let points = usual.into_iter().chain(slow);
    let points: Vec<_> = points
        .map(|(share, ms)| format!("p{:.6}={ms}ms", share * 100.0))
        .collect();
    format!("quantiles({})", points.join(","))
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Plain => "plain",
            Self::Hedged => "hedged",
        }
    }

    /// Makes all calls this way, to a provider that serves nobody else.
    async fn measure(
        self,
        options: &Options,
        seed: u64,
        nowait: &Path,
        folder: &Path,
    ) -> Result<Measured> {
        let folder = folder.join(self.name());
        std::fs::create_dir_all(&folder)?;
        let provider = Provider::start(options, seed, nowait, &folder).await?;
        let setup = Setup {
            upstream: provider.address,
            core: None,
            folder: &folder,
            nowait,
            nginx_log: false,
        };
        let gateway = self.gateway(options, setup).await?;
        let before = provider.calls().await?;
        let to = gateway.as_ref().map_or(provider.address, |it| it.address);
        let arrivals = load::arrivals(to, options.calls, options.rate, seed).await?;
        let upstream = provider.calls().await? - before;
        if let Some(gateway) = &gateway {
            tell(self, &wire::get(gateway.address, "/metrics").await?);
        }
        for failure in arrivals.failures.iter().take(3) {
            eprintln!("{}: {failure}", self.name());
        }
        Ok(Measured { arrivals, upstream })
    }

    /// The gateway on this way, where there is one.
    async fn gateway(self, options: &Options, setup: Setup<'_>) -> Result<Option<Running>> {
        let address = process::free_address()?;
        let plain = peers::nowait(address, setup.upstream);
        let config = match self {
            Self::Direct => return Ok(None),
            Self::Plain => plain,
            Self::Hedged => format!(
                "{plain}\n[models.gpt-4o]\ntargets = [\"openai/gpt-4o\"]\nhedge = \"{}\"\n",
                options.hedge
            ),
        };
        Ok(Some(
            peers::start_nowait(address, &config, &[], setup).await?,
        ))
    }
}

/// Says what `/metrics` tells of hedges.
fn tell(way: Way, metrics: &str) {
    let hedges = metrics
        .lines()
        .filter(|line| line.starts_with("nowait_hedges") && !line.ends_with(" 0"));
    for line in hedges {
        eprintln!("{}: {line}", way.name());
    }
}

/// `nowait sim` in a process of its own.
struct Provider {
    address: SocketAddr,
    _process: Process,
}

impl Provider {
    /// Starts it and waits until it answers.
    async fn start(options: &Options, seed: u64, nowait: &Path, folder: &Path) -> Result<Self> {
        let address = process::free_address()?;
        let ttft = options.ttft.clone();
        let ttft = ttft.unwrap_or_else(|| stragglers(0.04, 20.0));
        let (binary, listen, seed) = (
            nowait.to_string_lossy(),
            address.to_string(),
            seed.to_string(),
        );
        #[rustfmt::skip]
        let command = [
            &*binary, "sim", "--listen", &listen, "--seed", &seed,
            "--ttft", &ttft, "--tokens", "16", "--gap", "5ms", "--early-head",
        ];
        let mut process = Process::start("sim", &command, None, folder)?;
        let end = Instant::now() + Duration::from_secs(20);
        while let Err(error) = wire::get(address, "/sim/stats").await {
            process.must_run()?;
            if Instant::now() > end {
                return Err(format!("the simulated provider does not answer: {error}").into());
            }
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self {
            address,
            _process: process,
        })
    }

    /// How many chat calls it has had.
    async fn calls(&self) -> Result<u64> {
        let stats: Value = serde_json::from_str(&wire::get(self.address, "/sim/stats").await?)?;
        let calls = stats["endpoints"]["chat"].as_u64();
        Ok(calls.ok_or_else(|| format!("no count of chat calls in {stats}"))?)
    }
}

/// What one way showed.
struct Measured {
    arrivals: Arrivals,
    upstream: u64,
}

impl Measured {
    fn add(&self, table: &mut Table, column: usize, calls: usize) -> Result<()> {
        let first = |share| quantile(&self.arrivals.first_events, share).as_secs_f64() * 1e3;
        table.add(FIRST_P50, column, first(0.5))?;
        table.add(FIRST_P95, column, first(0.95))?;
        table.add(FIRST_P99, column, first(0.99))?;
        table.add(FIRST_P999, column, first(0.999))?;
        table.add(UPSTREAM, column, self.upstream as f64)?;
        let extra = self.upstream as f64 / calls as f64 - 1.0;
        table.add(EXTRA, column, extra * 100.0)?;
        table.add(ERRORS, column, self.arrivals.failures.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_share_is_what_was_asked_for() {
        let text = stragglers(0.04, 20.0);
        for point in [
            "p0.000000=60ms",
            "p48.000000=100ms",
            "p96.000000=220ms",
            "p96.000010=1200ms",
            "p98.000005=2000ms",
            "p100.000000=4400ms",
        ] {
            assert!(text.contains(point), "{point} in {text}");
        }
    }
}
