//! Starting, pinning, measuring and surely stopping other programs, through
//! `/proc` and the tools of util-linux (which spare us `unsafe`).
//!
//! CPU time comes from `schedstat`, in nanoseconds, summed over every thread of
//! every process of the tree: `utime` and `stime` count ticks of 10 ms and
//! would need a hundred times the load for the same precision.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::Result;

/// A running program and everything it started; stopped when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Which cores are for whom. With a single one nothing is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The proxy's, alone.
    pub proxy: usize,
    /// For the load and the responder.
    pub load: usize,
}

/// A folder for one run, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Cores {
    /// The first and the last core this process may use; `None` when that is
    /// one and the same.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn find() -> Result<Option<Self>> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = field(&status, "Cpus_allowed_list:")
            .ok_or("no Cpus_allowed_list in /proc/self/status")?;
        let mut cores = list
            .split([',', '-'])
            .filter_map(|core| core.trim().parse().ok());
        let first = cores.next().ok_or("Cpus_allowed_list is empty")?;
        Ok(cores
            .next_back()
            .filter(|&last| last != first)
            .map(|last| Self {
                proxy: first,
                load: last,
            }))
    }

    /// Those of [`Cores::find`], with this process pinned to the load's. Says so
    /// on standard error where there is only one.
    ///
    /// # Errors
    /// Those of [`Cores::find`] and [`Cores::pin_self`].
    pub fn pinned() -> Result<Option<Self>> {
        let cores = Self::find()?;
        match cores {
            Some(cores) => cores.pin_self()?,
            None => eprintln!("only one core: nothing is pinned and the numbers are of little use"),
        }
        Ok(cores)
    }

    /// Pins this process to the load's core. Threads started later follow.
    ///
    /// # Errors
    /// When `taskset` is missing or refuses.
    fn pin_self(self) -> Result<()> {
        let (core, own) = (self.load.to_string(), std::process::id().to_string());
        run_tool("taskset", &["-p", "-c", &core, &own])
    }
}

/// Gives this process and all it starts from now on real-time priority, so
/// that other users of the machine don't come between.
///
/// # Errors
/// When `chrt` is missing or refuses.
pub fn realtime() -> Result<()> {
    let own = std::process::id().to_string();
    run_tool("chrt", &["-r", "-p", "1", &own])
}

/// Runs one of util-linux's tools to its end.
fn run_tool(name: &str, arguments: &[&str]) -> Result<()> {
    let done = Command::new(name)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("can't run {name} (package util-linux): {error}"))?;
    if done.success() {
        Ok(())
    } else {
        Err(format!("{name} {} failed", arguments.join(" ")).into())
    }
}

impl Process {
    /// Starts `command` with nothing of our environment but `PATH`, on `core`
    /// where one is given, its output in `folder/name.log`.
    ///
    /// Should this process be killed outright, the kernel ends the other too.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &str, command: &[&str], core: Option<usize>, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut pinned = match core {
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", &core.to_string(), "setpriv"]);
                taskset
            }
            None => Command::new("setpriv"),
        };
        let child = pinned
            .args(["--pdeathsig", "TERM"])
            .args(command)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("can't start {name} ({}): {error}", command[0]))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of its log, if it has ended.
    ///
    /// # Errors
    /// As said.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("{} ended ({status}):\n{}", self.name, self.last_lines()).into())
            }
        }
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it is still there after `limit`, or failed.
    pub async fn ended(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                let failed = || format!("{} failed ({status}):\n{}", self.name, self.last_lines());
                return if status.success() {
                    Ok(())
                } else {
                    Err(failed().into())
                };
            }
            time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("{} is still running after {limit:?}", self.name).into())
    }

    /// Asks it to end (SIGTERM), without waiting.
    pub fn terminate(&self) {
        signal("TERM", self.id());
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines it wrote.
    pub fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// CPU time used so far by all threads of it and of its children.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for id in self.tree() {
            for task in fs::read_dir(format!("/proc/{id}/task"))? {
                let times = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
                nanoseconds += times
                    .split(' ')
                    .next()
                    .and_then(|time| time.parse::<u64>().ok())
                    .unwrap_or(0);
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in KiB of the largest process of the tree: nginx's
    /// worker, without the pages its master holds as well.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn resident(&self) -> Result<u64> {
        let sizes = self.tree().into_iter().filter_map(|id| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            field(&status, "VmRSS:")?
                .trim_end_matches("kB")
                .trim()
                .parse()
                .ok()
        });
        sizes
            .max()
            .ok_or_else(|| format!("can't read the memory of {}", self.name).into())
    }

    /// It and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.id()];
        let mut next = 0;
        while let Some(&id) = tree.get(next) {
            next += 1;
            let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                tree.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let tree = self.tree();
        self.terminate();
        // nginx and nowait end at once when nothing is in flight; a stream
        // that is held open must not hold us.
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        tree.into_iter().for_each(|id| signal("KILL", id));
        let _ = self.child.wait();
    }
}

impl Folder {
    /// Makes a new one under the system's folder for temporary files.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("nowait-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Makes a new one whose files are memory (`/dev/shm`), where there is such
    /// a place.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn in_memory() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::new();
        }
        let path = memory.join(format!("nowait-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loopback address nobody listens on right now.
///
/// # Errors
/// When the system has no port left.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn signal(name: &str, id: u32) {
    let _ = Command::new("kill")
        .args(["-s", name, &id.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// The rest of the line of `text` that starts with `name`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_and_stopped() {
        let folder = Folder::new().expect("there is a folder for temporary files");
        let script = [
            "sh",
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 60 & wait",
        ];
        let process =
            Process::start("busy", &script, None, folder.path()).expect("sh is everywhere");
        while process.tree().len() < 2
            || process.cpu().expect("readable") < Duration::from_millis(1)
        {
            std::thread::yield_now();
        }
        assert!(process.resident().expect("readable") > 100);
        let tree = process.tree();
        drop(process);
        assert!(!Path::new(&format!("/proc/{}", tree[0])).exists());
    }

    #[test]
    fn a_field_is_the_rest_of_its_line() {
        let status = "Name:\tx\nVmRSS:\t  1234 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some("1234 kB"));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
