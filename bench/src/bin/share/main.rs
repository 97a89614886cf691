//! What not asking twice saves, and what it costs: identical streams at once,
//! hits beside nginx's `proxy_cache`, embeddings that travel together, prompts
//! that repeat, and whether the memory bound is one.
//!
//! Everybody is measured in the same run against the same responder; the proxy
//! has one core, the load and the responder the other. See `bench/README.md`.

mod embed;
mod hits;
mod memory;
mod repeats;
mod streams;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use nowait_bench::Result;
use nowait_bench::load::post;
use nowait_bench::options::{self, Report, Subject};
use nowait_bench::peers::{self, Running, Setup};
use nowait_bench::process::{self, Cores, Folder};
use nowait_bench::responder::{ANSWER, Responder};
use nowait_bench::table::{Quantity, Table, rising, row};

/// Measures what sharing answers saves, beside direct calls and nginx.
///
/// Example: bench/share --rounds 5 --only hits --json share.json
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Rounds; the table shows medians and the best
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Milliseconds per load of cache hits
    #[arg(long, default_value_t = 1500)]
    length: u64,
    /// Which parts are measured
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "streams,hits,embed,repeats,memory"
    )]
    only: Vec<Part>,
    /// One tiny round, to see that everything still works; the numbers mean nothing
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    subject: Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// 50 identical streams at once, and half way
    Streams,
    /// Cache hits, from memory and from Redis
    Hits,
    /// 2,000 single embeddings at a provider of 50 calls/s
    Embed,
    /// Prompts that repeat (Zipf), with memory for a tenth of them
    Repeats,
    /// 100,000 answers of 4 KiB in memory
    Memory,
}

/// The columns.
const DIRECT: usize = 0;
const NGINX: usize = 1;
const NOWAIT: usize = 2;

/// What the parts are measured with.
struct Bench<'a> {
    options: &'a Options,
    setup: Setup<'a>,
    responder: &'a Responder,
    /// Where the load, the responder and Redis run.
    core: Option<usize>,
    /// Its files are memory.
    shelf: &'a Folder,
    table: Table,
}

impl Bench<'_> {
    /// nowait with more to say than where the provider is.
    async fn nowait(&self, more: &str) -> Result<Running> {
        let address = process::free_address()?;
        let config = format!("{}\n{more}", peers::nowait(address, self.setup.upstream));
        peers::start_nowait(address, &config, &[], self.setup).await
    }

    /// nginx that keeps what it relays, with nothing kept yet.
    async fn nginx(&self) -> Result<Running> {
        let address = process::free_address()?;
        let shelf = self.shelf.path().join(address.port().to_string());
        let log = self.setup.nginx_log;
        let config = peers::nginx(address, self.setup.upstream, log, Some(&shelf));
        peers::start_nginx(address, &config, self.setup).await
    }

    /// The tiny number in a quick run.
    fn many(&self, usual: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { usual }
    }
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.quick {
        (options.rounds, options.length) = (1, 50);
    }
    options::run("share", measure(&options))
}

async fn measure(options: &Options) -> Result<()> {
    // There is one thread yet; those to come follow.
    let cores = Cores::pinned()?;
    let nowait = options.subject.prepare()?;
    let (folder, shelf) = (Folder::new()?, Folder::in_memory()?);
    let responder = Responder::start()?;
    let rows: Vec<Quantity> = options.only.iter().flat_map(|part| part.rows()).collect();
    let mut bench = Bench {
        options,
        setup: Setup {
            upstream: responder.address,
            core: cores.map(|cores| cores.proxy),
            folder: folder.path(),
            nowait: &nowait,
            nginx_log: true,
        },
        responder: &responder,
        core: cores.map(|cores| cores.load),
        shelf: &shelf,
        table: Table::new(vec!["direct", "nginx", "nowait"], &rows),
    };
    for round in 0..options.rounds {
        for part in &options.only {
            eprintln!("round {} of {}: {part:?}", round + 1, options.rounds);
            part.measure(&mut bench, round).await?;
        }
    }
    options.report.give(&bench.table)
}

impl Part {
    /// Its rows in reading order, with what issue 3 promises.
    fn rows(self) -> Vec<Quantity> {
        match self {
            Self::Streams => streams::ROWS.to_vec(),
            Self::Hits => hits::rows(),
            Self::Embed => embed::ROWS.to_vec(),
            Self::Repeats => repeats::ROWS.to_vec(),
            Self::Memory => memory::ROWS.to_vec(),
        }
    }

    async fn measure(self, bench: &mut Bench<'_>, round: usize) -> Result<()> {
        match self {
            Self::Streams => streams::measure(bench, round).await,
            Self::Hits => hits::measure(bench, round).await,
            Self::Embed => embed::measure(bench).await,
            Self::Repeats => repeats::measure(bench).await,
            Self::Memory => memory::measure(bench).await,
        }
    }
}

/// A chat call of about 1 KiB at temperature 0 about `prompt`, with `more`
/// fields.
fn chat(to: SocketAddr, prompt: &str, more: &str) -> Arc<[u8]> {
    let text = "Say in one sentence why a warm connection matters. ".repeat(16);
    let body = format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{prompt}: {text}"}}],"temperature":0,{more}}}"#
    );
    post(to, "/v1/chat/completions", &body)
}

/// The call whose answer is 4 KiB.
fn long(to: SocketAddr, prompt: usize, stream: bool) -> Arc<[u8]> {
    let more = format!(r#""stream":{stream},{ANSWER}""#);
    chat(to, &format!("prompt {prompt}"), &more)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
