//! `nowait init`: a `nowait.toml` to start from, made of the keys found in the
//! environment.
//!
//! Keys themselves are never written, only the variables they are in.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Environment, reference};
use crate::provider::presets::{PRESETS, Preset};

/// What `init` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "\
Example:
  OPENAI_API_KEY=sk-… nowait init
  nowait init --stdout")]
pub(super) struct Args {
    /// The file to write [default: nowait.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Print it instead
    #[arg(long, conflicts_with_all = ["force", "config"])]
    stdout: bool,
}

/// Writes the file, or prints it, and says what to do next.
///
/// # Errors
/// Those of printing; that the file cannot be written is told and exits 1.
pub(super) fn run(args: &Args, env: &Environment, out: &mut dyn Write) -> io::Result<ExitCode> {
    let text = configuration(env);
    if args.stdout {
        out.write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = args
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from("nowait.toml"));
    let opened = if args.force {
        File::create(&path)
    } else {
        // Not "look, then write": what appears in between would be lost.
        File::create_new(&path)
    };
    let shown = path.display();
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            writeln!(out, "wrote {shown}; next: nowait check --config {shown}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            writeln!(
                out,
                "{shown} is there already; --force writes over it, --stdout prints instead"
            )?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            writeln!(out, "writing {shown} failed: {error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The text of a configuration for this environment.
fn configuration(env: &Environment) -> String {
    let with_keys = PRESETS
        .iter()
        .filter(|preset| !preset.key_variable.is_empty());
    let (found, absent): (Vec<&Preset>, Vec<&Preset>) =
        with_keys.partition(|preset| is_found(preset, env));
    let mut text = String::from(
        "# What nowait needs to know. `nowait check` tells what is wrong with it, and\n\
         # docs/configuration.md explains every key. What is commented out is the default\n\
         # or an example.\n\n",
    );
    text.push_str(&reference::commented("server"));
    for preset in &found {
        text.push_str(&format!(
            "\n[providers.{}]\napi_key = \"${{{}}}\"\n",
            preset.name, preset.key_variable
        ));
        if env.filled(preset.base_variable).is_some() {
            text.push_str(&format!("# base_url comes from {}\n", preset.base_variable));
        }
    }
    if found.is_empty() {
        text.push_str(
            "\n# No provider's key was in the environment, so the built-in simulation answers.\n\
             [providers.sim]\n",
        );
    }
    let names: Vec<_> = absent.iter().map(|preset| preset.key_variable).collect();
    if !names.is_empty() {
        text.push_str("\n# Also known, by these variables:\n");
        for names in names.chunks(4) {
            text.push_str(&format!("#   {}\n", names.join(", ")));
        }
    }
    text.push_str(EXAMPLES);
    for section in ["timeout", "generate"] {
        text.push('\n');
        text.push_str(&reference::commented(section));
    }
    text
}

/// What most people add next.
const EXAMPLES: &str = r#"
# Any compatible server of your own:
# [providers.my-server]
# base_url = "http://10.0.0.5:8000/v1"

# A name of your own for a model:
# [models.fast]
# targets = ["my-server/some-model"]

# Who may call. Needed to listen on anything but loopback addresses:
# [[keys]]
# name = "web"
# hash = "sha256:…"                  # printf %s "$KEY" | sha256sum
"#;

/// Whether the environment has all that a provider needs.
fn is_found(preset: &Preset, env: &Environment) -> bool {
    env.filled(preset.key_variable).is_some()
        && (!preset.base_url.is_empty() || env.filled(preset.base_variable).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_written_can_be_used_and_holds_no_key() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let rows: [Row<'_>; 4] = [
            (&[], &["sim"]),
            (
                &[
                    ("ANTHROPIC_API_KEY", "ses4me"),
                    ("OPENAI_API_KEY", "ses4me"),
                ],
                &["openai", "anthropic"],
            ),
            (
                &[
                    ("AZURE_OPENAI_API_KEY", "ses4me"),
                    ("AZURE_OPENAI_ENDPOINT", "https://a.example/"),
                ],
                &["azure"],
            ),
            (&[("AZURE_OPENAI_API_KEY", "ses4me")], &["sim"]),
        ];
        for (variables, expected) in rows {
            let env = Environment::from_iter(variables.iter().copied());
            let text = configuration(&env);
            assert!(!text.contains("ses4me"));
            let config = Config::parse(&text, "nowait.toml", &env).expect(&text);
            let names: Vec<_> = config
                .providers
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let path = std::env::temp_dir().join(format!("nowait-init-{}.toml", fastrand::u64(..)));
        let init = |force| {
            let args = Args {
                config: Some(path.clone()),
                force,
                stdout: false,
            };
            let mut out = Vec::new();
            let code =
                run(&args, &Environment::default(), &mut out).expect("a vector takes everything");
            (
                code == ExitCode::SUCCESS,
                String::from_utf8(out).expect("text"),
            )
        };
        assert!(init(false).0);
        std::fs::write(&path, "mine").expect("writable");
        let (ok, told) = init(false);
        assert!(!ok && told.contains("--force"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine");
        assert!(init(true).0);
        assert!(
            std::fs::read_to_string(&path)
                .expect("there")
                .contains("[providers.sim]")
        );
        let _ = std::fs::remove_file(&path);
    }
}
