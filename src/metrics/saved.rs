//! What sharing answers has saved: calls nobody made, and what they would have
//! taken.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Declare;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HowLabels {
    how: &'static str,
}

/// How a call was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Its answer was kept.
    Hit,
    /// Its answer was kept, and was stale.
    Stale,
    /// Its answer was on its way to somebody else.
    Collapsed,
}

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// By [`How`] in declaration order.
    calls: [Counter; 3],
    tokens: Counter,
    seconds: Counter<f64, AtomicU64>,
}

impl Saved {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        let calls: Family<HowLabels, Counter> = declare.one(
            "nowait_cache_saved_calls",
            "Calls answered without asking upstream, by how: hit, stale, collapsed (joined a call under way)",
        );
        let held = |how| calls.get_or_create_owned(&HowLabels { how });
        Self {
            calls: [held("hit"), held("stale"), held("collapsed")],
            tokens: declare.one(
                "nowait_cache_saved_tokens",
                "Tokens those answers had taken, input and output",
            ),
            seconds: declare.one(
                "nowait_cache_saved_seconds",
                "Seconds the kept answers had taken upstream",
            ),
        }
    }

    /// Counts one call that was not made.
    pub fn add(&self, how: How, tokens: u64, time: Duration) {
        self.calls[how as usize].inc();
        self.tokens.inc_by(tokens);
        self.seconds.inc_by(time.as_secs_f64());
    }
}
