//! What is known of Redis: the connection, the breaker, and what was last said
//! about either in the log, which has one line per change and no line per call.
//!
//! What Redis says is not logged: old versions repeat the password in their
//! complaint about the command that carried it. Error codes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ::redis::{ErrorKind, RedisError, ServerErrorKind};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::breaker::{Breaker, Change};
use super::link::Link;
use crate::metrics::cache::{Cache as Counters, Miss};

#[derive(Debug)]
pub(super) struct State {
    /// The URL without its secrets.
    shown: String,
    link: ArcSwapOption<Link>,
    /// The number of the last connection that turned out to be broken.
    broken: watch::Sender<u64>,
    numbers: AtomicU64,
    /// Tells our own purges from those of other replicas.
    instance: u64,
    /// Held for a few instructions per look-up.
    breaker: Mutex<Breaker>,
    said: Mutex<Said>,
    counters: Counters,
}

/// What the log says at the moment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Why there is no connection; nothing while there is one.
    away: Option<&'static str>,
    /// Why answers are not written.
    refused: Option<&'static str>,
}

impl State {
    pub(super) fn new(shown: String, counters: Counters) -> Self {
        Self {
            shown,
            link: ArcSwapOption::empty(),
            broken: watch::Sender::new(0),
            numbers: AtomicU64::new(0),
            instance: fastrand::u64(..),
            breaker: Mutex::default(),
            said: Mutex::default(),
            counters,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn instance(&self) -> u64 {
        self.instance
    }

    /// A number for the next connection.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    /// The connection, if there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full()
    }

    /// The connection, if there is one and the breaker lets a look-up through;
    /// whoever gets it reports with [`Self::looked_up`].
    pub(super) fn link_for_look_up(&self, now: Instant) -> Option<Arc<Link>> {
        let link = self.link()?;
        self.breaker.lock().admits(now).then_some(link)
    }

    /// A look-up of `asked` has come to its end.
    pub(super) fn looked_up(&self, now: Instant, asked: Instant, answered: bool) {
        let change = self.breaker.lock().report(now, asked, answered);
        let redis = &*self.shown;
        match change {
            Some(Change::Opened(pause)) => {
                tracing::warn!(
                    redis,
                    ?pause,
                    "redis is not asked for a while: it is too slow or fails; calls go on without it"
                );
            }
            Some(Change::Closed) => tracing::info!(redis, "redis answers again"),
            None => {}
        }
    }

    /// Connected.
    pub(super) fn is_up(&self, link: Link) {
        *self.breaker.lock() = Breaker::default();
        self.link.store(Some(Arc::new(link)));
        self.counters.connected.set(1);
        let was_away = self.said.lock().away.take();
        tracing::info!(
            redis = &*self.shown,
            again = was_away.is_some(),
            "redis is connected"
        );
    }

    /// Not connected, for a reason without a secret in it.
    pub(super) fn is_away(&self, why: &'static str) {
        self.link.store(None);
        self.counters.connected.set(0);
        // Another reason for the same state is not a change.
        if self.said.lock().away.replace(why).is_none() {
            tracing::warn!(
                redis = &*self.shown,
                why,
                "redis is away; calls go on without it"
            );
        }
    }

    /// A write was taken, or refused for a reason.
    pub(super) fn wrote(&self, refused: Option<&'static str>) {
        let mut said = self.said.lock();
        if said.refused.is_some() == refused.is_some() {
            return;
        }
        said.refused = refused;
        drop(said);
        match refused {
            Some(why) => tracing::warn!(redis = &*self.shown, why, "redis refuses to keep answers"),
            None => tracing::info!(redis = &*self.shown, "redis keeps answers again"),
        }
    }

    /// What an error means for the look-up it ended. One that says that the
    /// connection is of no use has it replaced.
    pub(super) fn failed(&self, link: &Link, error: &RedisError) -> Miss {
        if link.is_broken_by(error) {
            self.broken(link.number());
        }
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Miss::Junk,
            _ if code(error) == Some("WRONGTYPE") => Miss::Junk,
            _ if error.is_timeout() => Miss::Timeout,
            _ => Miss::Error,
        }
    }

    /// The connection of this number has to be replaced.
    pub(super) fn broken(&self, number: u64) {
        self.broken.send_if_modified(|last| {
            let is_news = number > *last;
            *last = number.max(*last);
            is_news
        });
    }

    /// Waits until the connection of this number is broken.
    pub(super) async fn until_broken(&self, number: u64) {
        // It ends with the sender, which is ours.
        let _ = self
            .broken
            .subscribe()
            .wait_for(|last| *last >= number)
            .await;
    }
}

/// The code Redis put first in its complaint, where it is one of those worth
/// telling apart: it is logged, so it is a constant of ours.
pub(super) fn code(error: &RedisError) -> Option<&'static str> {
    const KNOWN: &[&str] = &[
        "WRONGTYPE",
        "OOM",
        "READONLY",
        "WRONGPASS",
        "NOAUTH",
        "NOPERM",
        "LOADING",
        "MISCONF",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOREPLICAS",
        "BUSY",
        "DENIED",
        "NOPROTO",
    ];
    let known = |found: &str| KNOWN.iter().find(|known| **known == found).copied();
    if let Some(found) = error.code().and_then(known) {
        return Some(found);
    }
    let errors = error.clone().into_server_errors()?;
    errors.iter().find_map(|(_, error)| known(error.code()))
}

/// Why something failed, in words of ours.
pub(super) fn reason(error: &RedisError) -> &'static str {
    if let Some(code) = code(error) {
        return code;
    }
    match error.kind() {
        _ if error.is_connection_refusal() => "the connection was refused",
        _ if error.is_timeout() => "it took too long",
        ErrorKind::Io => "the connection failed or was closed",
        ErrorKind::AuthenticationFailed => "user or password is wrong",
        ErrorKind::RESP3NotSupported => "it is older than Redis 6",
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => "it doesn't speak Redis's protocol",
        ErrorKind::MasterNameNotFoundBySentinel => "the sentinels don't know the master",
        ErrorKind::ClusterConnectionNotFound => "no node of the cluster can be reached",
        ErrorKind::InvalidClientConfig => "the configuration doesn't fit it",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "READONLY",
        _ => "it answered with an error",
    }
}
