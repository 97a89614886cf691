//! Where the configuration is: found, opened, and the files it names looked
//! for. The only part that touches the file system.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::env::Environment;
use super::problem::{Place, Problem, Problems, Report};
use super::raw::{self, Parsed};
use super::resolve::{Context, NamedFile, resolve};
use super::{Config, Source};

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `--config FILE`; without it `NOWAIT_CONFIG`, then the usual places.
    pub config: Option<PathBuf>,
    /// `--listen ADDR`; without it `NOWAIT_LISTEN`, then `server.listen`.
    pub listen: Option<String>,
}

/// Where a configuration is looked for when nobody names one.
const PLACES: [&str; 2] = ["nowait.toml", "/etc/nowait/nowait.toml"];

/// More than any configuration: a wrong path may lead to a file of gigabytes.
const LARGEST: u64 = 1 << 20;

impl Config {
    /// Finds, reads and checks the configuration. Blocks on files.
    ///
    /// # Errors
    /// Everything that is wrong with it; that a named file is not there, too.
    pub fn load(args: &Args, env: &Environment) -> Result<Self, Problems> {
        let found = find(args, env, &PLACES.map(Path::new))?;
        let (config, files) = match &found {
            Some(found) => {
                let text = text_of(found)?;
                read(&text, found, args, env)?
            }
            None => none(args, env)?,
        };
        missing(&files).map_or(Ok(config), Err)
    }

    /// Reads and checks the text of a configuration file called `name`. Looks
    /// at no file: certificates may be missing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, name: &str, env: &Environment) -> Result<Self, Problems> {
        let found = Found {
            path: PathBuf::from(name),
            named_by: None,
        };
        read(text, &found, &Args::default(), env).map(|(config, _)| config)
    }

    /// The files it depends on: a change to one of them is a change to it.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Source::File(path) = &self.source {
            files.push(path.clone());
        }
        if let Some(tls) = &self.server.tls {
            files.extend([tls.cert.clone(), tls.key.clone()]);
        }
        files.extend(self.tls.ca_file.clone());
        files
    }
}

/// A configuration file, and what named it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    path: PathBuf,
    named_by: Option<&'static str>,
}

/// The first of those that are named or there.
fn find(args: &Args, env: &Environment, places: &[&Path]) -> Result<Option<Found>, Problems> {
    let named = match (&args.config, env.filled("NOWAIT_CONFIG")) {
        (Some(path), _) => Some((path.clone(), "--config")),
        (None, Some(path)) => Some((PathBuf::from(path), "NOWAIT_CONFIG")),
        (None, None) => None,
    };
    if let Some((path, by)) = named {
        return Ok(Some(Found {
            path,
            named_by: Some(by),
        }));
    }
    for place in places {
        match place.try_exists() {
            Ok(false) => {}
            // That it may not be looked at is told when it is opened.
            Ok(true) | Err(_) => {
                return Ok(Some(Found {
                    path: place.to_path_buf(),
                    named_by: None,
                }));
            }
        }
    }
    Ok(None)
}

fn text_of(found: &Found) -> Result<String, Problems> {
    let refuse = |message: String| {
        Problems::from(Problem {
            place: Place::whole(found.path.display().to_string()),
            key: String::new(),
            message,
        })
    };
    let opened = fs::File::open(&found.path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = opened.map_err(|error| {
        let by = found
            .named_by
            .map(|by| format!(" (named by {by})"))
            .unwrap_or_default();
        refuse(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no such file{by}; nowait init writes one"),
            _ => format!("cannot be read{by}: {error}"),
        })
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse(
            "is larger than 1 MiB, and no configuration".to_owned(),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        refuse(format!(
            "is not UTF-8 in line {}; save it as UTF-8",
            line + 1
        ))
    })
}

/// The configuration, and the files it names.
type Whole = Result<(Config, Vec<NamedFile>), Problems>;

fn read(text: &str, found: &Found, args: &Args, env: &Environment) -> Whole {
    let report = Report::default();
    let file = Place::whole(found.path.display().to_string());
    let parsed = raw::parse(text, &file, env, &report);
    let folder = found.path.parent().unwrap_or(Path::new(""));
    let source = Source::File(found.path.clone());
    finish(parsed, report, source, file, folder, args, env)
}

/// No file: the environment is all there is.
fn none(args: &Args, env: &Environment) -> Whole {
    let parsed = Parsed {
        root: raw::Table::default(),
        whole: true,
    };
    let file = Place::whole("environment");
    let report = Report::default();
    finish(
        parsed,
        report,
        Source::Environment,
        file,
        Path::new(""),
        args,
        env,
    )
}

fn finish(
    parsed: Parsed,
    report: Report,
    source: Source,
    file: Place,
    folder: &Path,
    args: &Args,
    env: &Environment,
) -> Whole {
    let flag = args
        .listen
        .as_deref()
        .map(|text| (Place::whole("--listen"), text));
    let variable = env
        .filled("NOWAIT_LISTEN")
        .map(|text| (Place::whole("NOWAIT_LISTEN"), text));
    let context = Context {
        source,
        file,
        folder,
        env,
        listen: flag.or(variable),
    };
    resolve(parsed, report, &context)
}

/// The files named that cannot be opened.
fn missing(files: &[NamedFile]) -> Option<Problems> {
    let report = Report::default();
    for file in files {
        let opened = fs::File::open(&file.path).and_then(|opened| opened.metadata());
        let why = match opened {
            Ok(data) if data.is_dir() => "is a folder".to_owned(),
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        let message = format!("cannot read {}: {why}", file.path.display());
        report.problem(&file.place, &file.key, message);
    }
    report.close().err()
}
