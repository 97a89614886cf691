//! `nowait sim`: the simulated provider alone, on a port of its own.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{ConfigArgs, VERSION};
use crate::config::{self, Config, Environment};
use crate::server::listen;
use crate::sim::{self, Chance, FAULTS, Length, Pace, Settings, Sim};

/// What `sim` takes. What a flag leaves out is what `[sim]` of the
/// configuration says, where one is named.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = after_help())]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where callers connect to
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4001")]
    listen: SocketAddr,
    /// Fixes texts, vectors, latencies and faults
    #[arg(long)]
    seed: Option<u64>,
    /// Tokens in an answer: 64, uniform(20,200), lognormal(p50=80,p99=900)
    #[arg(long, value_name = "COUNT")]
    tokens: Option<Length>,
    /// Time to the first token: 200ms, uniform(50ms,200ms), lognormal(p50=200ms,p99=2s)
    #[arg(long, value_name = "TIME")]
    ttft: Option<Pace>,
    /// Time between two tokens, as --ttft
    #[arg(long, value_name = "TIME")]
    gap: Option<Pace>,
    /// Events to one write, where several are due
    #[arg(long, value_name = "EVENTS")]
    burst: Option<NonZeroUsize>,
    /// Send a stream's head at once, ahead of its first event
    #[arg(long)]
    early_head: bool,
    /// A fault at random, like stall@3:0.01 or 429:5%; may be repeated
    #[arg(long, value_name = "FAULT:SHARE")]
    fault: Vec<Chance>,
    /// A key that may call; may be repeated; without one everybody may
    #[arg(long, value_name = "KEY")]
    api_key: Vec<String>,
    /// Streams at once on one HTTP/2 connection
    #[arg(long, value_name = "STREAMS")]
    max_streams: Option<u32>,
    /// Threads to serve on
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
}

fn after_help() -> String {
    let mut text = String::from(
        "For one request, by header: x-sim-ttft, x-sim-gap, x-sim-tokens, x-sim-burst, \
         x-sim-early-head: 1,\nx-sim-fault: FAULT (none keeps --fault away). \
         Models named echo repeat the prompt.\n\nFaults (N counts events of a stream):\n",
    );
    for (word, meaning) in FAULTS {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {word:<26} {meaning}");
    }
    text.push_str(
        "\nAlso: GET /sim/stats, POST /sim/reset, ANY /v1/echo, POST /v1/upload, \
         GET /v1/download/BYTES.\n\nExample:\n  \
         nowait sim --ttft 'lognormal(p50=200ms,p99=2s)' --gap 20ms --fault 503:1%",
    );
    text
}

/// Serves until told to stop.
pub(super) fn run(args: &Args) -> ExitCode {
    match settings(args).and_then(|settings| serve(args, settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(io::stderr(), "the simulated provider can't start: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// The settings of the file that was named, with the flags over them.
fn settings(args: &Args) -> io::Result<Settings> {
    let env = Environment::of_process();
    // Only a file that was named: a gateway's own, found by chance, may not even be complete here.
    let is_named = args.config.config.is_some() || env.filled("NOWAIT_CONFIG").is_some();
    let mut settings = if is_named {
        Config::load(&config::Args::from(&args.config), &env)
            .map_err(|problems| io::Error::other(format!("its configuration:\n{problems}")))?
            .sim
    } else {
        Settings::default()
    };
    over(&mut settings.seed, args.seed);
    over(&mut settings.tokens, args.tokens.clone());
    over(&mut settings.ttft, args.ttft.clone());
    over(&mut settings.gap, args.gap.clone());
    over(&mut settings.burst, args.burst.map(NonZeroUsize::get));
    over(&mut settings.max_streams, args.max_streams);
    settings.early_head |= args.early_head;
    settings.faults.extend(&args.fault);
    settings.api_keys.extend(args.api_key.iter().cloned());
    let sum: f64 = settings.faults.iter().map(|fault| fault.probability).sum();
    // A sum of decimals may miss 1 by a rounding.
    if sum > 1.0 + 1e-9 {
        return Err(io::Error::other(
            "the probabilities of --fault add up to more than 1; lower them",
        ));
    }
    Ok(settings)
}

fn over<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

fn serve(args: &Args, settings: Settings) -> io::Result<()> {
    let mut listeners = listen::bind(args.listen, args.threads.get())?;
    let told = told(listeners[0].local_addr()?, &settings);
    let sim = Sim::new(settings);
    let (stop, stopped) = watch::channel(false);
    // This thread serves too: with one thread there is no other.
    let Some(own) = listeners.pop() else {
        return Ok(());
    };
    let mut threads = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let (sim, stopped, runtime) = (sim.clone(), stopped.clone(), runtime()?);
        let thread = std::thread::Builder::new().name("sim".to_owned());
        threads.push(thread.spawn(move || runtime.block_on(answer(listener, sim, stopped)))?);
    }
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let _ = io::stderr().write_all(told.as_bytes());
        let ending = async {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            stop.send_replace(true);
        };
        tokio::join!(answer(own, sim, stopped), ending).0
    });
    // A thread that failed to listen said so in its result; one that panicked said so itself.
    threads
        .into_iter()
        .filter_map(|thread| thread.join().ok())
        .fold(served, Result::and)
}

/// A runtime for one thread: connections stay where they were accepted.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn answer(
    listener: TcpListener,
    sim: Arc<Sim>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // A sender that is gone has stopped too.
    let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    sim::listen(listener, sim, stop).await;
    Ok(())
}

/// The start-up lines: what runs, where, how it behaves, a command to try.
fn told(address: SocketAddr, settings: &Settings) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, address, settings);
    text
}

fn write(text: &mut String, address: SocketAddr, settings: &Settings) -> std::fmt::Result {
    let url = format!("http://{address}");
    writeln!(text, "nowait sim {VERSION}")?;
    writeln!(
        text,
        "  listening   {url} (OpenAI and Anthropic dialects; HTTP/1.1 and HTTP/2)"
    )?;
    writeln!(
        text,
        "  answers     {} tokens, the first after {}, then {} apart; seed {}",
        settings.tokens, settings.ttft, settings.gap, settings.seed
    )?;
    let faults: Vec<_> = settings
        .faults
        .iter()
        .map(|chance| format!("{} {}", chance.fault, chance.probability))
        .collect();
    if !faults.is_empty() {
        writeln!(text, "  faults      {}", faults.join(", "))?;
    }
    writeln!(text, "  statistics  {url}/sim/stats")?;
    let key = match settings.api_keys.is_empty() {
        true => "",
        false => " -H \"authorization: Bearer $KEY\"",
    };
    writeln!(
        text,
        "\n  try it:\n    curl -sN{key} {url}/v1/chat/completions -H 'content-type: application/json' \
         -d '{{\"model\": \"sim\", \"stream\": true, \"messages\": [{{\"role\": \"user\", \"content\": \"hi\"}}]}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Line::try_parse_from(line.split_whitespace()).unwrap().args
    }

    #[test]
    fn flags_become_settings() {
        let line = "sim --seed 9 --tokens 64 --ttft 200ms --gap uniform(1ms,2ms) --burst 4 \
            --early-head --fault stall@3:0.01 --fault 429:5% --api-key a --max-streams 5";
        let settings = settings(&parse(line)).unwrap();
        assert_eq!(
            (settings.seed, settings.burst, settings.max_streams),
            (9, 4, 5)
        );
        assert_eq!(settings.tokens.to_string(), "64");
        assert_eq!(settings.ttft.to_string(), "200ms");
        assert_eq!(settings.gap.to_string(), "uniform(1ms,2ms)");
        assert_eq!((settings.early_head, settings.faults.len()), (true, 2));
        assert_eq!(settings.api_keys, ["a"]);
    }

    #[test]
    fn wrong_flags_are_refused() {
        for line in [
            "sim --ttft fast",
            "sim --fault boom:0.1",
            "sim --fault stall",
            "sim --tokens -1",
            "sim --burst 0",
        ] {
            assert!(
                Line::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
        assert!(settings(&parse("sim --fault stall:0.6 --fault reset:0.6")).is_err());
    }

    #[test]
    fn the_help_lists_every_fault() {
        let help = after_help();
        assert!(FAULTS.iter().all(|(word, _)| help.contains(word)));
    }
}
