//! `nowait serve`: the gateway.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArgs, VERSION, sharing};
use crate::config::{self, AuthMode, Config, Environment, Source};
use crate::metrics::Metrics;
use crate::server::{Origin, Running};
use crate::telemetry::{AccessLog, LogFormat, start_words};

/// What `serve` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(
    after_help = "Example:\n  OPENAI_API_KEY=sk-… nowait serve --listen 127.0.0.1:4000 --log-format json"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where callers connect to [env: NOWAIT_LISTEN] [default: 127.0.0.1:4000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How log lines are written
    #[arg(long, value_enum, default_value = "text", env = "NOWAIT_LOG_FORMAT")]
    log_format: LogFormat,
}

/// Serves until told to stop.
pub(super) fn run(args: Args) -> ExitCode {
    start_words(args.log_format);
    let origin = Origin {
        args: config::Args {
            listen: args.listen.map(|address| address.to_string()),
            ..config::Args::from(&args.config)
        },
        env: Environment::of_process(),
    };
    let config = match Config::load(&origin.args, &origin.env) {
        Ok(config) => config,
        Err(problems) => {
            say(&format!("the configuration can't be used:\n{problems}\n"));
            return ExitCode::FAILURE;
        }
    };
    match serve(config, args.log_format, origin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("nowait can't start: {fault}\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config, format: LogFormat, origin: Origin) -> io::Result<()> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), env!("NOWAIT_COMMIT"));
    let log = AccessLog::start(format, io::stdout(), metrics.lines_dropped.clone())?;
    let running = Running::start(config, metrics, log, Some(origin))?;
    say(&greeting(&running));
    for notice in &running.gateway().config.notices {
        tracing::warn!("{notice}");
    }
    follow_signals(&running)?;
    running.join();
    Ok(())
}

/// SIGTERM and SIGINT begin the end, a second one hastens it, SIGHUP reads the
/// configuration again.
fn follow_signals(running: &Running) -> io::Result<()> {
    let (stop, reload) = (running.stopper(), running.reload());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut term, mut int, mut hup) = {
        let _within = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(128 << 10)
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = term.recv() => stop(),
                        _ = int.recv() => stop(),
                        _ = hup.recv() => reload.notify_one(),
                    }
                }
            });
        })?;
    Ok(())
}

/// The start-up lines: what runs, where, with whom, and a command to try.
fn greeting(running: &Running) -> String {
    let gateway = running.gateway();
    let config = &gateway.config;
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let bound = format!("{scheme}://{}", running.address());
    let url = format!("{scheme}://{}", reachable(running.address()));
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_greeting(&mut text, config, &bound, &url);
    text
}

fn write_greeting(text: &mut String, config: &Config, bound: &str, url: &str) -> std::fmt::Result {
    writeln!(text, "nowait {VERSION}")?;
    writeln!(text, "  listening   {bound}")?;
    match &config.source {
        Source::File(path) => writeln!(text, "  config      {}", path.display())?,
        Source::Environment => writeln!(
            text,
            "  config      none; providers come from the environment"
        )?,
    }
    for provider in &config.providers {
        let key = match (&provider.key, provider.simulated) {
            (_, true) => "simulated",
            (Some(_), _) => "key set",
            (None, _) => "no key: the caller's is passed through",
        };
        let at = if provider.is_in_process() {
            "inside this process".to_owned()
        } else {
            format!("at {}", provider.base)
        };
        writeln!(
            text,
            "  provider    {} {at} ({}; {key})",
            provider.name, provider.found
        )?;
    }
    writeln!(
        text,
        "  sharing     {}; /generate: {}; {}",
        sharing::told(config.cache.share),
        sharing::word(config.generate.share),
        sharing::kept(&config.cache)
    )?;
    let auth = match (config.server.auth, config.keys.len()) {
        (AuthMode::None, _) => {
            "none, as configured: anybody who can reach this address may call".to_owned()
        }
        (AuthMode::Keys, 0) => "none, and so on this machine only".to_owned(),
        (AuthMode::Keys, count) => format!("{count} gateway keys"),
    };
    writeln!(text, "  keys        {auth}")?;
    writeln!(
        text,
        "  pages       {url}/docs  {url}/metrics  {url}/readyz"
    )?;
    if config.providers.iter().all(|provider| provider.simulated) {
        let why = match &config.source {
            Source::File(_) => "The configuration names only the simulated provider",
            Source::Environment => "No provider key was found",
        };
        writeln!(
            text,
            "\n  {why}, so answers are SIMULATED (x-nowait-simulated: true).\n  \
             Set OPENAI_API_KEY or ANTHROPIC_API_KEY without a configuration, or run `nowait init`, for real ones."
        )?;
    }
    let key = match config.server.auth {
        AuthMode::Keys if !config.keys.is_empty() => " -H \"authorization: Bearer $NOWAIT_KEY\"",
        AuthMode::Keys | AuthMode::None => "",
    };
    let body = first_body(config);
    writeln!(
        text,
        "\n  try it:\n    curl -s{key} {url}/generate -H 'content-type: application/json' -d '{body}'\n"
    )
}

/// The body of a first call: with a model, where there is no usual one.
fn first_body(config: &Config) -> String {
    const PROMPT: &str = "\"prompt\": \"Say hello\"";
    if config.generate.model.is_some() {
        return format!("{{{PROMPT}}}");
    }
    let named = config.models.keys().next().cloned();
    let of_first = || {
        let first = config.providers.first();
        first.map(|provider| format!("{}/MODEL", provider.name))
    };
    let model = named.or_else(of_first).unwrap_or_default();
    format!("{{\"model\": \"{model}\", {PROMPT}}}")
}

/// An address a person can type: the wildcard stands for this machine too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    address
}

/// Says something on standard error; a closed one is nobody's fault.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn the_first_call_names_a_model_where_none_is_usual() {
        let local = "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\n";
        for (more, expected) in [
            (
                "",
                "{\"model\": \"local/MODEL\", \"prompt\": \"Say hello\"}",
            ),
            (
                "[models]\nfast = { targets = [\"local/m\"] }\n",
                "{\"model\": \"fast\", \"prompt\": \"Say hello\"}",
            ),
            (
                "[generate]\nmodel = \"local/m\"\n",
                "{\"prompt\": \"Say hello\"}",
            ),
        ] {
            let text = format!("{local}{more}");
            let config = Config::parse(&text, "nowait.toml", &Environment::default());
            assert_eq!(first_body(&config.expect("good")), expected);
        }
    }
}
