//! Notices that the configuration changed, and reads it again.
//!
//! Looks once a second at what each file is, and compares contents only where
//! that changed. Looking beats being told: it also sees a ConfigMap's symbolic
//! link pointing elsewhere, an editor's rename, and a network file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::{self, MissedTickBehavior};

use super::{Args, Config, Environment, Problems};

/// How soon a change is seen.
const PERIOD: Duration = Duration::from_secs(1);

/// Yields a configuration, or what is wrong with it, whenever it changes.
#[derive(Debug)]
pub struct Watch {
    args: Args,
    env: Environment,
    seen: Vec<Seen>,
}

impl Watch {
    /// Starts from the configuration in use.
    pub fn new(args: Args, env: Environment, current: &Config) -> Self {
        let seen = current.files().into_iter().map(Seen::of).collect();
        Self { args, env, seen }
    }

    /// Waits until a file changes or `asked` is notified (SIGHUP), then reads
    /// all of it again. A bad state is told once, until it changes again.
    ///
    /// Cancel-safe: a change not told yet is told by the next call.
    ///
    /// # Errors
    /// Everything that is wrong with the new configuration; the old one stays
    /// in use.
    pub async fn changed(&mut self, asked: &Notify) -> Result<Config, Problems> {
        let mut ticks = time::interval_at(time::Instant::now() + PERIOD, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = asked.notified() => return self.read(),
                _ = ticks.tick() => {
                    if self.seen.iter_mut().any(Seen::is_stale) {
                        return self.read();
                    }
                }
            }
        }
    }

    /// Files are looked at on the task itself: a `stat` a second costs less
    /// than handing it to another thread, and a reload is rare.
    fn read(&mut self) -> Result<Config, Problems> {
        // Taken before reading, so that a change in between is seen next time.
        let mut seen: Vec<_> = self
            .seen
            .iter()
            .map(|seen| Seen::of(seen.path.clone()))
            .collect();
        let config = Config::load(&self.args, &self.env);
        if let Ok(config) = &config {
            let files = config.files();
            seen.retain(|seen| files.contains(&seen.path));
            for path in files {
                if !seen.iter().any(|seen| seen.path == path) {
                    seen.push(Seen::of(path));
                }
            }
        }
        self.seen = seen;
        config
    }
}

/// What a file was when it was last read.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    mark: Option<Mark>,
    content: Option<[u8; 32]>,
}

/// What changes when a file is written to or another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Seen {
    fn of(path: PathBuf) -> Self {
        Self {
            mark: mark(&path),
            content: content(&path),
            path,
        }
    }

    /// Whether its content is another now.
    fn is_stale(&mut self) -> bool {
        let mark = mark(&self.path);
        // A clock of coarse steps gives two writes in a row one time: a file
        // that is very new is read whatever its mark says.
        let is_young = mark
            .and_then(|mark| mark.modified?.elapsed().ok())
            .is_none_or(|age| age < PERIOD * 3);
        if mark == self.mark && !is_young {
            return false;
        }
        self.mark = mark;
        content(&self.path) != self.content
    }
}

/// Follows symbolic links, as opening does.
fn mark(path: &Path) -> Option<Mark> {
    let data = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&data);
    #[cfg(not(unix))]
    let file = 0;
    Some(Mark {
        modified: data.modified().ok(),
        length: data.len(),
        file,
    })
}

fn content(path: &Path) -> Option<[u8; 32]> {
    Some(Sha256::digest(fs::read(path).ok()?).into())
}
