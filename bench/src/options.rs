//! The options that several programs take, and how a program ends.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tokio::runtime::Builder;

use crate::process;
use crate::table::Table;
use crate::{Result, unless_stopped};

/// Which nowait is measured, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Subject {
    /// Run everything at real-time priority (as root): for a machine that is busy
    #[arg(long)]
    realtime: bool,
    /// The nowait binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    nowait: Option<PathBuf>,
}

/// What becomes of a table.
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Exit with 1 when a target is missed
    #[arg(long)]
    check: bool,
    /// Write every number of every round to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Subject {
    /// The binary. From now on this process and all it starts run as is wanted.
    ///
    /// # Errors
    /// Those of [`process::realtime`], and when the system does not say where this
    /// program is.
    pub fn prepare(&self) -> Result<PathBuf> {
        if self.realtime {
            process::realtime()?;
        }
        match &self.nowait {
            Some(binary) => Ok(binary.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("nowait")),
        }
    }
}

impl Report {
    /// Prints `table` and writes it down, where that is wanted.
    ///
    /// # Errors
    /// When the file can't be written; with `--check` every target missed.
    pub fn give(&self, table: &Table) -> Result<()> {
        println!("\n{}", table.text());
        if let Some(file) = &self.json {
            let report = json!({"rows": table.json()});
            std::fs::write(file, format!("{report:#}\n"))
                .map_err(|error| format!("writing {}: {error}", file.display()))?;
        }
        let missed = table.missed();
        match self.check && !missed.is_empty() {
            true => Err(format!("missed: {}", missed.join(", ")).into()),
            false => Ok(()),
        }
    }
}

/// Runs a program's `work` on this thread until it is done or told to stop, and
/// says on standard error what went wrong.
pub fn run(name: &str, work: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    let done = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(unless_stopped(work)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
