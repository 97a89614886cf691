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

use super::{Args, Config, Environment, Problems, Source};

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
    ///
    /// A file once in use stays the one that is read: should it disappear, that
    /// is an error and not a configuration without keys.
    pub fn new(mut args: Args, env: Environment, current: &Config) -> Self {
        if let Source::File(path) = &current.source {
            args.config.get_or_insert_with(|| path.clone());
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A folder of its own, gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("nowait-reload-{}", fastrand::u64(..)));
            fs::create_dir(&path).expect("a writable folder");
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("a writable file");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn watch(path: &Path) -> Watch {
        let args = Args {
            config: Some(path.to_owned()),
            listen: None,
        };
        let env = Environment::default();
        let config = Config::load(&args, &env).expect("a good start");
        Watch::new(args, env, &config)
    }

    fn port(text: &str) -> String {
        format!("[server]\nlisten = '127.0.0.1:{text}'")
    }

    /// What the next change gives: the port, or the problem. Virtual time runs
    /// only while nothing else does, so "nothing for a minute" takes no time.
    async fn next(watch: &mut Watch) -> Option<Result<u16, String>> {
        let quiet = Notify::new();
        match time::timeout(Duration::from_secs(60), watch.changed(&quiet)).await {
            Ok(Ok(config)) => Some(Ok(config.server.listen.port())),
            Ok(Err(problems)) => Some(Err(problems.to_string())),
            Err(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_good_or_bad() {
        let folder = Folder::new();
        let path = folder.file("nowait.toml", &port("1"));
        let mut watch = watch(&path);
        assert_eq!(next(&mut watch).await, None);
        folder.file("nowait.toml", &port("2"));
        assert_eq!(next(&mut watch).await, Some(Ok(2)));
        assert_eq!(next(&mut watch).await, None);
        folder.file("nowait.toml", &port("x"));
        let told = next(&mut watch)
            .await
            .expect("a change")
            .expect_err("a bad one");
        assert!(told.contains("nowait.toml:2: server.listen"), "{told}");
        assert_eq!(next(&mut watch).await, None);
        fs::remove_file(&path).expect("there");
        let told = next(&mut watch)
            .await
            .expect("a change")
            .expect_err("a bad one");
        assert!(
            told.contains("there is no such file (named by --config)"),
            "{told}"
        );
        folder.file("nowait.toml", &port("2"));
        assert_eq!(next(&mut watch).await, Some(Ok(2)));
        // Written again with the same content: nothing changed.
        folder.file("nowait.toml", &port("2"));
        assert_eq!(next(&mut watch).await, None);
    }

    /// How Kubernetes updates a mounted ConfigMap: `nowait.toml` points to
    /// `..data/nowait.toml`, and `..data` is made to point elsewhere.
    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn a_link_that_points_elsewhere_is_a_change() {
        use std::os::unix::fs::symlink;

        let folder = Folder::new();
        for (version, text) in [("v1", "1"), ("v2", "2")] {
            fs::create_dir(folder.0.join(version)).expect("a new folder");
            folder.file(&format!("{version}/nowait.toml"), &port(text));
        }
        symlink("v1", folder.0.join("..data")).expect("links");
        symlink("..data/nowait.toml", folder.0.join("nowait.toml")).expect("links");
        let mut watch = watch(&folder.0.join("nowait.toml"));
        assert_eq!(next(&mut watch).await, None);
        symlink("v2", folder.0.join("..new")).expect("links");
        fs::rename(folder.0.join("..new"), folder.0.join("..data")).expect("a swap");
        assert_eq!(next(&mut watch).await, Some(Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_a_change() {
        let folder = Folder::new();
        folder.file("cert.pem", "old");
        folder.file("key.pem", "old");
        let text = format!(
            "{}\ntls = {{ cert = 'cert.pem', key = 'key.pem' }}",
            port("1")
        );
        let path = folder.file("nowait.toml", &text);
        let mut watch = watch(&path);
        assert_eq!(next(&mut watch).await, None);
        folder.file("cert.pem", "new");
        assert_eq!(next(&mut watch).await, Some(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_reads_again_changed_or_not() {
        let folder = Folder::new();
        let path = folder.file("nowait.toml", &port("1"));
        let mut watch = watch(&path);
        let asked = Arc::new(Notify::new());
        asked.notify_one();
        let config = watch.changed(&asked).await.expect("still good");
        assert_eq!(config.server.listen.port(), 1);
    }
}
