//! The command line: one file per command.

mod check;
mod explain;
mod init;
mod serve;
mod sharing;
mod sim;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Environment};

/// Takes the waiting out of LLM calls.
#[derive(Debug, Parser)]
#[command(
    name = "nowait",
    version = VERSION,
    about = "Stands between an application and the LLM APIs it calls, and takes the waiting out",
    after_help = "Example:\n  nowait                     serve on 127.0.0.1:4000 with the keys in the environment\n  nowait --config nowait.toml --listen 127.0.0.1:8080",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default)
    Serve(serve::Args),
    /// Check a configuration: every problem with its place and fix
    Check(check::Args),
    /// Run the simulated provider alone: OpenAI and Anthropic dialects, latency and faults to order
    Sim(sim::Args),
    /// Print the plan for a model: who is asked, in what time, and why
    Explain(explain::Args),
    /// Write a commented nowait.toml from the keys found in the environment
    Init(init::Args),
}

/// Version, commit and target, as `--version` prints them.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("NOWAIT_COMMIT"),
    ", ",
    env!("NOWAIT_TARGET"),
    ")"
);

/// Where the configuration is; the same for every command that reads one.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConfigArgs {
    /// The configuration file [env: NOWAIT_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl From<&ConfigArgs> for config::Args {
    fn from(args: &ConfigArgs) -> Self {
        Self {
            config: args.config.clone(),
            listen: None,
        }
    }
}

/// Runs the command the process was started with. Exit codes: 0 done, 1 the
/// thing checked is bad or the work failed, 2 wrong usage.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Check(args)) => {
            printing(|out| check::run(&args, &Environment::of_process(), out))
        }
        Some(Command::Sim(args)) => sim::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Init(args)) => {
            printing(|out| init::run(&args, &Environment::of_process(), out))
        }
    }
}

/// Runs a command whose work is what it prints: that it cannot is a failure.
fn printing(command: impl FnOnce(&mut dyn io::Write) -> io::Result<ExitCode>) -> ExitCode {
    let mut out = io::stdout().lock();
    let done = command(&mut out).and_then(|code| out.flush().map(|()| code));
    done.unwrap_or(ExitCode::FAILURE)
}

/// The whole command line, for tests and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_holds_together_and_every_help_has_an_example() {
        let mut command = super::command();
        command.clone().debug_assert();
        command.build();
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let after = sub
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                after.contains("Example"),
                "{} has no example",
                sub.get_name()
            );
        }
    }
}
