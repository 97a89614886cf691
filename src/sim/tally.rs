//! Follows one call from its arrival to its end, and counts how it ended.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::{Duration, sleep};

use super::Sim;
use super::line::Switch;

/// One call being answered. Dropped unfinished, its client has gone away.
#[derive(Debug)]
pub(crate) struct Tally {
    sim: Arc<Sim>,
    end: End,
    /// Tokens that went out.
    said: u64,
    /// The connection to close, and how long after the end.
    closing: Option<(Arc<Switch>, Duration)>,
}

#[derive(Debug)]
enum End {
    Open,
    Finished,
    /// A fault ended it.
    Struck,
}

impl Tally {
    /// A call that has just arrived.
    pub(crate) fn open(sim: Arc<Sim>) -> Self {
        sim.stats.open.fetch_add(1, Relaxed);
        Self {
            sim,
            end: End::Open,
            said: 0,
            closing: None,
        }
    }

    /// The answer went out to its end.
    pub(crate) fn finished(&mut self) {
        self.end = End::Finished;
    }

    /// A fault ended the answer.
    pub(crate) fn struck(&mut self) {
        self.end = End::Struck;
    }

    /// So many tokens went out until now.
    pub(crate) fn said(&mut self, tokens: u64) {
        self.said = tokens;
    }

    /// Closes the connection `wait` after the end.
    pub(crate) fn close_after(&mut self, switch: Arc<Switch>, wait: Duration) {
        self.closing = Some((switch, wait));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let stats = &self.sim.stats;
        stats.open.fetch_sub(1, Relaxed);
        stats.tokens_out.fetch_add(self.said, Relaxed);
        match self.end {
            End::Open => stats.cancelled.fetch_add(1, Relaxed),
            End::Finished => stats.completed.fetch_add(1, Relaxed),
            End::Struck => 0,
        };
        // Its own task: the one that drives the connection is waiting for the next request.
        if let Some((switch, wait)) = self.closing.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                sleep(wait).await;
                switch.drop_now();
            });
        }
    }
}
