//! `nowait check`: everything that is wrong with a configuration, and what was
//! understood where nothing is.

use std::io::{self, Write};
use std::process::ExitCode;

use super::ConfigArgs;
use crate::config::{self, AuthMode, Config, Environment, Source};
use crate::provider::Provider;

/// What `check` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "\
Looks for NOWAIT_CONFIG, ./nowait.toml and /etc/nowait/nowait.toml where no file is named.
Exits 0 where the configuration can be used (warnings or not) and 1 where it cannot.

Example:
  nowait check --config nowait.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Writes one line per problem and warning, or what was understood.
///
/// # Errors
/// Those of writing.
pub(super) fn run(args: &Args, env: &Environment, out: &mut dyn Write) -> io::Result<ExitCode> {
    match Config::load(&config::Args::from(&args.config), env) {
        Ok(config) => {
            for notice in &config.notices {
                writeln!(out, "warning: {notice}")?;
            }
            summary(&config, out)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in problems.iter() {
                writeln!(out, "error: {problem}")?;
            }
            let count = problems.count();
            let noun = if count == 1 { "problem" } else { "problems" };
            writeln!(out, "{count} {noun}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn summary(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    match &config.source {
        Source::File(path) => writeln!(out, "ok: {}", path.display())?,
        Source::Environment => writeln!(out, "ok: no file; the environment is the configuration")?,
    }
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    writeln!(out, "  listen     {scheme}://{}", config.server.listen)?;
    let callers = match (config.server.auth, config.keys.as_slice()) {
        (AuthMode::None, _) => "anybody, for auth is \"none\"".to_owned(),
        (AuthMode::Keys, []) => "anybody on this machine, for there are no [[keys]]".to_owned(),
        (AuthMode::Keys, keys) => {
            let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
            names.join(", ")
        }
    };
    writeln!(out, "  callers    {callers}")?;
    for provider in &config.providers {
        writeln!(out, "  provider   {}", line(provider))?;
    }
    for model in config.models.values() {
        let targets: Vec<_> = model
            .targets
            .iter()
            .map(|target| format!("{}/{}", target.provider.name, target.model))
            .collect();
        writeln!(out, "  model      {} → {}", model.name, targets.join(", "))?;
    }
    Ok(())
}

/// A provider in one line: name, place, key, and how it was found.
fn line(provider: &Provider) -> String {
    let key = match (&provider.key, provider.simulated) {
        (_, true) => "simulated",
        (Some(_), false) => "has a key",
        (None, false) => "passes the caller's key through",
    };
    let Provider {
        name, base, found, ..
    } = provider;
    if provider.is_in_process() {
        format!("{name} (inside this process, {key}; {found})")
    } else {
        format!("{name} ({base}, {key}; {found})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (bool, String) {
        let path = std::env::temp_dir().join(format!("nowait-check-{}.toml", fastrand::u64(..)));
        std::fs::write(&path, text).expect("a writable folder");
        let config = Some(path.clone());
        let args = Args {
            config: ConfigArgs { config },
        };
        let env = Environment::from_iter([("OPENAI_API_KEY", "ses4me")]);
        let mut out = Vec::new();
        let code = run(&args, &env, &mut out).expect("a vector takes everything");
        let _ = std::fs::remove_file(&path);
        let out = String::from_utf8(out).expect("text");
        assert!(!out.contains("ses4me"), "{out}");
        let out = out.replace(&path.display().to_string(), "nowait.toml");
        (code == ExitCode::SUCCESS, out)
    }

    #[test]
    fn what_was_understood_is_shown() {
        let (ok, out) = told("[providers.openai]\n[models.fast]\ntargets = ['openai/o1-mini']");
        assert!(ok);
        assert_eq!(
            out,
            "warning: nowait.toml:3: models.fast.targets: o1-mini was retired by openai on 2025-10-27; o4-mini is named as its replacement\n\
             ok: nowait.toml\n  \
               listen     http://127.0.0.1:4000\n  \
               callers    anybody on this machine, for there are no [[keys]]\n  \
               provider   openai (https://api.openai.com/v1, has a key; nowait.toml:1)\n  \
               model      fast → openai/o1-mini\n"
        );
    }

    #[test]
    fn every_problem_is_shown() {
        let (ok, out) = told("[server]\nlisen = 1\ntls = { cert = 'nope.pem', key = 'nope.pem' }");
        assert!(!ok);
        assert_eq!(
            out,
            "error: nowait.toml:2: server.lisen: unknown key; did you mean \"listen\"?\n1 problem\n"
        );
        let (ok, out) = told("[server.tls]\ncert = 'nope.pem'\nkey = 'nope.pem'");
        assert!(!ok && out.ends_with("2 problems\n"), "{out}");
        assert!(
            out.contains("nowait.toml:2: server.tls.cert: cannot read "),
            "{out}"
        );
    }
}
