//! Hundreds of thousands of mixed calls, then two questions: did memory grow,
//! and do the metrics account for every call?
//!
//! The first tenth warms nowait up (pools, label sets, the allocator); memory
//! is read when it is quiet again, and once more after the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use nowait_bench::Result;
use nowait_bench::mix::{self, Call, Caller};
use nowait_bench::options::{self, Subject};
use nowait_bench::peers::{self, Setup};
use nowait_bench::process::{self, Folder};
use nowait_bench::responder::Responder;
use nowait_bench::wire::{self, Connection};

/// Sends a mix of calls, with faults and callers that leave, and checks memory and metrics.
///
/// Example: bench/soak --calls 300000
#[derive(Clone, Debug, Parser)]
struct Options {
    /// How many calls
    #[arg(long, default_value_t = 300_000)]
    calls: u64,
    /// How many at once
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// Another mix
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// 2,000 calls, to see that everything still works
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    subject: Subject,
}

/// A run shorter than this hasn't warmed up after its first tenth, and its
/// memory is shown but not judged.
const JUDGED: u64 = 100_000;
/// Memory at the end over memory after the first tenth.
const GROWTH: f64 = 1.10;
/// No call may take longer, whatever was wrong with it: above every timeout of
/// the configuration.
const HUNG: Duration = Duration::from_secs(30);
/// For what is left to end after the last answer: calls whose caller left are
/// still being put away.
const QUIET: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.quick {
        (options.calls, options.connections) = (2_000, 32);
    }
    options::run("soak", soak(&options))
}

async fn soak(options: &Options) -> Result<()> {
    let nowait = options.subject.prepare()?;
    let folder = Folder::new()?;
    let responder = Responder::start()?;
    let address = process::free_address()?;
    let setup = Setup {
        upstream: responder.address,
        core: None,
        folder: folder.path(),
        nowait: &nowait,
        nginx_log: true,
    };
    let mut running =
        peers::start_nowait(address, &config(address, responder.address), &[], setup).await?;

    let start = Instant::now();
    let tally = Arc::new(Tally::default());
    let before = Books::opened(address).await?;
    send(0..options.calls / 10, address, options, &tally).await?;
    let first = Books::settled(&before, options.calls / 10, options, address).await?;
    let first_memory = running.process.resident()?;
    println!(
        "after {:>7} calls: RSS {:.1} MiB",
        options.calls / 10,
        mebibytes(first_memory)
    );
    send(options.calls / 10..options.calls, address, options, &tally).await?;
    let last = Books::settled(&before, options.calls, options, address).await?;
    let last_memory = running.process.resident()?;
    println!(
        "after {:>7} calls: RSS {:.1} MiB",
        options.calls,
        mebibytes(last_memory)
    );
    println!("{} in {:.0} s", tally.text(), start.elapsed().as_secs_f64());

    let judged = options.calls >= JUDGED;
    let growth = last_memory as f64 / first_memory as f64;
    println!(
        "memory: × {growth:.3} (at most × {GROWTH}{})",
        if judged {
            ""
        } else {
            "; a short run is not judged"
        }
    );
    let counted: u64 = last.counted(&before).values().sum();
    println!(
        "books: {} calls sent, {counted} requests counted (a batch is several)",
        options.calls
    );

    let mut violations = tally.failures();
    if judged && growth > GROWTH {
        violations.push(format!("memory grew × {growth:.3} after the first tenth"));
    }
    for (books, calls) in [(&first, options.calls / 10), (&last, options.calls)] {
        violations.extend(books.wrong(&before, calls, options));
    }
    if last.lines_dropped > 0 {
        violations.push(format!("{} access lines were dropped", last.lines_dropped));
    }
    // SIGTERM with nothing in flight must end it at once, and well.
    running.process.terminate();
    if let Err(error) = running.process.ended(Duration::from_secs(5)).await {
        violations.push(error.to_string());
    }
    violations.extend(missing_lines(running.process.log(), options)?);
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations.join("\nsoak: ").into())
    }
}

/// Short timeouts, so that stalls end while we watch, and a cache that is full
/// before the first tenth is over.
fn config(listen: SocketAddr, fixed: SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"{listen}\"\n\n\
         [providers.sim]\n\n\
         [providers.fixed]\ndialect = \"openai\"\nbase_url = \"http://{fixed}/v1\"\n\n\
         [models]\ngpt-4o = {{ targets = [\"sim/gpt-4o\"] }}\n\
         claude-3-5-haiku-20241022 = {{ targets = [\"sim/claude-3-5-haiku-20241022\"] }}\n\
         text-embedding-3-small = {{ targets = [\"sim/text-embedding-3-small\"] }}\n\n\
         [timeout]\nconnect = \"1s\"\nfirst_token = \"3s\"\nidle = \"3s\"\ntotal = \"5s\"\n\n\
         [cache]\nmemory = \"8MiB\"\n"
    )
}

/// Sends the calls with these numbers, `connections` at a time.
async fn send(
    numbers: std::ops::Range<u64>,
    to: SocketAddr,
    options: &Options,
    tally: &Arc<Tally>,
) -> Result<()> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..options.connections {
        let (next, tally, seed, end) = (next.clone(), tally.clone(), options.seed, numbers.end);
        workers.spawn(async move {
            let mut kept = None;
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= end {
                    return;
                }
                let call = mix::call(number, seed);
                let outcome = time::timeout(HUNG, one(number, &call, to, &mut kept)).await;
                tally.add(
                    number,
                    &call,
                    outcome.unwrap_or_else(|_| Err(format!("no end within {HUNG:?}").into())),
                );
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    Ok(())
}

/// Makes one call as its caller would; the status, where there was one.
async fn one(
    number: u64,
    call: &Call,
    to: SocketAddr,
    kept: &mut Option<Connection>,
) -> Result<Option<u16>> {
    let head = format!(
        "{} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n\
         x-request-id: soak-{number}\r\ncontent-length: {}\r\n{}\r\n",
        call.line,
        call.body.len(),
        call.headers,
    );
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(to).await?,
    };
    match call.caller {
        Caller::LeavesEarly(after) => {
            connection.send(head.as_bytes()).await?;
            connection.interim().await?;
            connection.send(call.body.as_bytes()).await?;
            time::sleep(after).await;
            return Ok(None);
        }
        Caller::Slow => {
            let request = head + &call.body;
            for piece in request.as_bytes().chunks(request.len().div_ceil(3)) {
                connection.send(piece).await?;
                time::sleep(Duration::from_millis(3)).await;
            }
        }
        Caller::Plain | Caller::Leaves => {
            connection.send((head + &call.body).as_bytes()).await?;
        }
    }
    let head = connection.head().await?;
    if call.fault.is_none() && head.status != 200 {
        return Err(connection.refusal(head).await);
    }
    while connection.chunk().await?.is_some() {
        match call.caller {
            Caller::Leaves => return Ok(Some(head.status)),
            Caller::Slow => time::sleep(Duration::from_millis(5)).await,
            _ => {}
        }
    }
    if connection.is_reusable() {
        *kept = Some(connection);
    }
    Ok(Some(head.status))
}

/// What became of the calls.
#[derive(Debug, Default)]
struct Tally {
    whole: AtomicU64,
    left: AtomicU64,
    /// Calls whose provider was told to fail, however they ended.
    faulty: AtomicU64,
    failed: AtomicU64,
    /// The first few failures; locked only to add one.
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn add(&self, number: u64, call: &Call, outcome: Result<Option<u16>>) {
        let left = matches!(call.caller, Caller::Leaves | Caller::LeavesEarly(_));
        match outcome {
            Ok(_) if call.fault.is_some() => self.faulty.fetch_add(1, Relaxed),
            Ok(_) if left => self.left.fetch_add(1, Relaxed),
            Ok(_) => self.whole.fetch_add(1, Relaxed),
            // A failed provider may well cost its caller the answer, but never
            // the end of it: hanging is a failure.
            Err(error) if call.fault.is_some() && !error.to_string().starts_with("no end") => {
                self.faulty.fetch_add(1, Relaxed)
            }
            Err(error) => {
                if let Ok(mut failures) = self.failures.lock()
                    && failures.len() < 10
                {
                    let caller = call.caller;
                    let fault = call.fault.unwrap_or("none");
                    failures.push(format!(
                        "call {number} ({}, {caller:?}, fault {fault}): {error}",
                        call.line
                    ));
                }
                self.failed.fetch_add(1, Relaxed)
            }
        };
    }

    fn text(&self) -> String {
        let of = |count: &AtomicU64| count.load(Relaxed);
        let (whole, left, faulty, failed) = (
            of(&self.whole),
            of(&self.left),
            of(&self.faulty),
            of(&self.failed),
        );
        format!(
            "{whole} answered whole, {left} left by their caller, {faulty} with a fault, {failed} failed,"
        )
    }

    fn failures(&self) -> Vec<String> {
        let failed = self.failed.load(Relaxed);
        let mut failures = self
            .failures
            .lock()
            .map(|failures| failures.clone())
            .unwrap_or_default();
        if failed > failures.len() as u64 {
            failures.push(format!("{failed} calls failed that should not have"));
        }
        failures
    }
}

/// The calls that don't have exactly one access line, by name.
fn missing_lines(log: &Path, options: &Options) -> Result<Vec<String>> {
    let mut lines = vec![0_u8; usize::try_from(options.calls)?];
    for line in BufReader::new(File::open(log)?).lines() {
        let line = line?;
        let Some((_, rest)) = line.split_once("request_id=soak-") else {
            continue;
        };
        // An item of a batch has the batch's id and its own index behind it.
        let number = rest
            .split(' ')
            .next()
            .and_then(|id| id.parse::<usize>().ok());
        if let Some(seen) = number.and_then(|number| lines.get_mut(number)) {
            *seen = seen.saturating_add(1);
        }
    }
    let wrong = lines.iter().enumerate().filter(|(_, seen)| **seen != 1);
    let told = wrong.clone().take(10).map(|(number, seen)| {
        let call = mix::call(number as u64, options.seed);
        let (line, caller, fault) = (call.line, call.caller, call.fault.unwrap_or("none"));
        format!("call {number} ({line}, {caller:?}, fault {fault}) has {seen} access lines")
    });
    let mut told: Vec<_> = told.collect();
    if wrong.clone().count() > told.len() {
        told.push(format!(
            "{} calls don't have one access line",
            wrong.count()
        ));
    }
    Ok(told)
}

/// What `/metrics` says.
#[derive(Clone, Debug, Default)]
struct Books {
    /// `nowait_requests_total` without the requests for `/metrics` itself.
    by_endpoint: BTreeMap<String, u64>,
    in_flight: i64,
    lines_dropped: u64,
}

impl Books {
    async fn read(from: SocketAddr) -> Result<Self> {
        let text = wire::get(from, "/metrics").await?;
        let mut books = Self::default();
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            match series.split('{').next().unwrap_or(series) {
                "nowait_requests_total" => {
                    let label = series
                        .split("endpoint=\"")
                        .nth(1)
                        .and_then(|rest| rest.split('"').next());
                    let endpoint = label.ok_or_else(|| format!("no endpoint in {series}"))?;
                    if endpoint != "metrics" {
                        *books.by_endpoint.entry(endpoint.to_owned()).or_default() +=
                            value.parse::<u64>()?;
                    }
                }
                "nowait_requests_in_flight" => books.in_flight = value.parse()?,
                "nowait_access_lines_dropped_total" => books.lines_dropped = value.parse()?,
                _ => {}
            }
        }
        Ok(books)
    }

    /// Those of the beginning: the call that showed that nowait answers may have
    /// been answered before it was booked.
    async fn opened(from: SocketAddr) -> Result<Self> {
        let end = Instant::now() + QUIET;
        loop {
            let books = Self::read(from).await?;
            // The look itself is under way.
            if books.in_flight <= 1 || Instant::now() > end {
                return Ok(books);
            }
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was counted since `before`.
    fn counted(&self, before: &Self) -> BTreeMap<&str, u64> {
        let since = |(endpoint, count): (_, &u64)| {
            (
                endpoint,
                count - before.by_endpoint.get(endpoint).unwrap_or(&0),
            )
        };
        let counted = self
            .by_endpoint
            .iter()
            .map(|(endpoint, count)| since((endpoint, count)));
        counted
            .map(|(endpoint, count)| (endpoint.as_str(), count))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Everything in them that isn't as `calls` since `before` must leave it.
    fn wrong(&self, before: &Self, calls: u64, options: &Options) -> Vec<String> {
        let mut expected = BTreeMap::new();
        for (endpoint, count) in
            (0..calls).flat_map(|number| mix::call(number, options.seed).booked())
        {
            *expected.entry(endpoint).or_insert(0) += count;
        }
        let counted = self.counted(before);
        let mut wrong = Vec::new();
        for endpoint in expected
            .keys()
            .chain(counted.keys())
            .collect::<BTreeSet<_>>()
        {
            let (sent, counted) = (
                expected.get(endpoint).unwrap_or(&0),
                counted.get(endpoint).unwrap_or(&0),
            );
            if sent != counted {
                wrong.push(format!("after {calls} calls nowait_requests_total counts {counted} of {sent} at {endpoint}"));
            }
        }
        if self.in_flight != before.in_flight {
            let many = self.in_flight - before.in_flight;
            wrong.push(format!("{many} requests are in flight when all have ended"));
        }
        wrong
    }

    /// Waits until they are as `calls` since `before` must leave them; what is
    /// there at the latest after [`QUIET`].
    async fn settled(
        before: &Self,
        calls: u64,
        options: &Options,
        from: SocketAddr,
    ) -> Result<Self> {
        let end = Instant::now() + QUIET;
        loop {
            let books = Self::read(from).await?;
            if books.wrong(before, calls, options).is_empty() || Instant::now() > end {
                return Ok(books);
            }
            time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
