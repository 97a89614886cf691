//! `nowait explain MODEL`: the plan for a request, in words.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::{ConfigArgs, sharing};
use crate::config::{self, Config, Environment};
use crate::dialect::Format;
use crate::error::Error;
use crate::gateway::plan::{Plan, Routes};
use crate::server::assemble;

/// What `explain` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  nowait explain gpt-4o --config nowait.toml")]
pub(super) struct Args {
    /// The model, as a caller names it
    model: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints the plan. Nothing is connected to.
pub(super) fn run(args: &Args) -> ExitCode {
    let config = match Config::load(
        &config::Args::from(&args.config),
        &Environment::of_process(),
    ) {
        Ok(config) => config,
        Err(problems) => {
            let _ = writeln!(io::stderr(), "the configuration can't be used:\n{problems}");
            return ExitCode::FAILURE;
        }
    };
    let routes = Routes::new(&config, assemble::unconnected(&config));
    match routes.plan(&args.model) {
        Ok(plan) => {
            let _ = io::stdout().write_all(told(&plan, &config).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", unknown(&error));
            ExitCode::FAILURE
        }
    }
}

fn unknown(error: &Error) -> String {
    format!(
        "a caller would get {} {}: {}",
        error.kind().status().as_u16(),
        error.kind().code(),
        error.message()
    )
}

/// The plan in words.
fn told(plan: &Plan, config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, plan, config);
    text
}

fn write(text: &mut String, plan: &Plan, config: &Config) -> std::fmt::Result {
    writeln!(text, "{}: {}", plan.name, plan.why)?;
    for (index, target) in plan.targets.iter().enumerate() {
        let provider = &target.callee.provider;
        let endpoints: Vec<_> = Format::ALL
            .into_iter()
            .filter(|format| provider.dialect.speaks(*format))
            .filter(|format| {
                plan.target(*format)
                    .is_ok_and(|first| std::sync::Arc::ptr_eq(first, target))
            })
            .map(Format::as_str)
            .collect();
        writeln!(
            text,
            "  {}. {} as `{}`",
            index + 1,
            provider.name,
            target.model
        )?;
        writeln!(
            text,
            "     at        {} ({} dialect; {})",
            provider.base,
            provider.dialect.as_str(),
            provider.found
        )?;
        writeln!(
            text,
            "     key       {}",
            if provider.key.is_some() {
                "the provider's own"
            } else {
                "the caller's, passed through"
            }
        )?;
        writeln!(
            text,
            "     shares    among {}",
            sharing::among(config.cache.scope, provider.key.is_some())
        )?;
        writeln!(
            text,
            "     answers   {}",
            if endpoints.is_empty() {
                "nothing: a target before it does".to_owned()
            } else {
                endpoints.join(", ")
            }
        )?;
        let pool = &provider.pool;
        writeln!(
            text,
            "     pool      {} warm, at most {} connections, {} streams on an HTTP/2 one, idle for {:?}",
            pool.warm, pool.max_connections, pool.max_streams_per_connection, pool.idle_timeout
        )?;
    }
    match plan.plain_target() {
        Ok((target, format)) => writeln!(
            text,
            "  /generate    asks {} in {}",
            target.callee.provider.name,
            format.as_str()
        )?,
        Err(error) => writeln!(text, "  /generate    {}", error.message())?,
    }
    let t = plan.timeouts;
    writeln!(
        text,
        "  timeouts     connect {:?}, first token {:?} (streams), idle {:?}, total {:?}",
        t.connect, t.first_token, t.idle, t.total
    )?;
    match plan.share {
        Some(share) => writeln!(
            text,
            "  sharing      {}, as the model says, /generate too",
            sharing::told(share)
        )?,
        None => writeln!(
            text,
            "  sharing      {}, as [cache] says; /generate: {}",
            sharing::told(config.cache.share),
            sharing::word(config.generate.share)
        )?,
    }
    writeln!(text, "  answers      {}", sharing::kept(&config.cache))?;
    writeln!(
        text,
        "  embeddings   {}",
        match config.batch.embeddings {
            true => "calls under way at once travel as one, and vectors are kept one by one",
            false => "each call by itself",
        }
    )?;
    writeln!(
        text,
        "  attempts     1, and once more on a fresh connection where one died before anything of the answer came"
    )?;
    if config
        .models
        .get(&plan.name)
        .is_some_and(|model| model.targets.len() > 1)
    {
        writeln!(
            text,
            "  fallback     none in this version: the first target that speaks the caller's dialect answers"
        )?;
    }
    writeln!(text, "  hedging      off")
}
