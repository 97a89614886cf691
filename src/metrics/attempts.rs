//! What was done against stragglers and failures: calls tried again, tried
//! elsewhere, tried twice at once, held back, and how the targets are.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{CALL_BUCKETS, Declare, Histograms, Text};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    provider: Text,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    provider: Text,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: Text,
}

/// One key of a provider: limits are a key's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    provider: Text,
    key: usize,
}

/// How a hedge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedged {
    /// It brought content first.
    Won,
    /// The attempt it was to overtake did.
    Lost,
    /// It failed before either did.
    Failed,
    /// Its caller left, or ran out of time.
    Left,
}

/// What all providers' handles come from.
#[derive(Debug)]
pub(super) struct Families {
    retries: Family<ReasonLabels, Counter>,
    fallbacks: Family<ReasonLabels, Counter>,
    withheld: Family<ReasonLabels, Counter>,
    hedges: Family<OutcomeLabels, Counter>,
    unhedged: Family<ReasonLabels, Counter>,
    wasted: Family<ProviderLabels, Counter>,
    ejections: Family<ProviderLabels, Counter>,
    ejected: Family<KeyLabels, Gauge>,
    limit: Family<KeyLabels, Gauge>,
    under_way: Family<KeyLabels, Gauge>,
    waiting: Family<KeyLabels, Gauge>,
    turned: Family<ReasonLabels, Counter>,
    wait: Histograms<ProviderLabels>,
}

impl Families {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        Self {
            retries: declare.one("nowait_retries", "Calls sent again to this provider, by what had failed before, reason: connect, reset, first_token, broken, protocol, status, context_length, content_policy, exhausted, busy, unsaid (the call has no words in its format); silent (beside an unstreamed call that says nothing)"),
            fallbacks: declare.one("nowait_fallbacks", "Calls sent to this provider after another target had failed, by what had failed, reason: as of nowait_retries"),
            withheld: declare.one("nowait_retries_withheld", "Failed calls that were not sent again, by reason: budget (spent), deadline (the pause before it would end after the call's deadline, or be over a minute)"),
            hedges: declare.one("nowait_hedges", "Second attempts begun at this provider while a first was still without content, by outcome: won, lost, failed, left"),
            unhedged: declare.one("nowait_hedges_withheld", "Calls that were to be hedged and were not, by reason: side_effects, no_statistics (nobody knows yet what is late), slow_as_a_whole, unhealthy, near_limit, no_budget"),
            wasted: declare.one("nowait_hedge_wasted_tokens", "Input tokens of cancelled attempts, where known: what hedging may have cost"),
            ejections: declare.one("nowait_target_ejections", "Times a target of this provider was taken out because it failed"),
            ejected: declare.one("nowait_targets_ejected", "Targets of this key of the provider that are out now"),
            limit: declare.one("nowait_limit", "Calls this key of the provider may be given at once, as set or found out; 0 while there is no limit"),
            under_way: declare.one("nowait_limit_in_flight", "Calls this key of the provider has been given and has not finished"),
            waiting: declare.one("nowait_queue_waiting", "Calls that wait for their turn at this key's limit"),
            turned: declare.one("nowait_queue_refused", "Calls refused at a limit, by reason: full, displaced (by one that goes before it), hopeless, late"),
            wait: declare.seconds("nowait_queue", "Waiting for a turn at a limit", CALL_BUCKETS),
        }
    }

    pub(super) fn handles(&self, provider: &str, key: usize) -> Attempts {
        let provider = Text::from(provider);
        let only = ProviderLabels {
            provider: provider.clone(),
        };
        let keyed = KeyLabels {
            provider: provider.clone(),
            key,
        };
        let hedges = ["won", "lost", "failed", "left"].map(|outcome| {
            self.hedges.get_or_create_owned(&OutcomeLabels {
                provider: provider.clone(),
                outcome,
            })
        });
        Attempts {
            hedges,
            wasted: self.wasted.get_or_create_owned(&only),
            ejections: self.ejections.get_or_create_owned(&only),
            ejected: self.ejected.get_or_create_owned(&keyed),
            limit: self.limit.get_or_create_owned(&keyed),
            under_way: self.under_way.get_or_create_owned(&keyed),
            waiting: self.waiting.get_or_create_owned(&keyed),
            wait: self.wait.get_or_create_owned(&only),
            retries: self.retries.clone(),
            fallbacks: self.fallbacks.clone(),
            withheld: self.withheld.clone(),
            unhedged: self.unhedged.clone(),
            turned: self.turned.clone(),
            provider,
        }
    }
}

/// What the attempts at one key of a provider record to.
#[derive(Debug)]
pub struct Attempts {
    provider: Text,
    retries: Family<ReasonLabels, Counter>,
    fallbacks: Family<ReasonLabels, Counter>,
    withheld: Family<ReasonLabels, Counter>,
    unhedged: Family<ReasonLabels, Counter>,
    turned: Family<ReasonLabels, Counter>,
    hedges: [Counter; 4],
    /// Input tokens of attempts that were cancelled.
    pub wasted: Counter,
    /// Times a target was taken out.
    pub ejections: Counter,
    /// Targets that are out.
    pub ejected: Gauge,
    /// Calls allowed at once.
    pub limit: Gauge,
    /// Calls given.
    pub under_way: Gauge,
    /// Calls waiting.
    pub waiting: Gauge,
    /// Seconds waited for a turn.
    pub wait: Histogram,
}

impl Attempts {
    /// A call is sent here again.
    pub fn retried(&self, reason: &'static str) {
        self.count(&self.retries, reason);
    }

    /// A call is sent here that failed elsewhere.
    pub fn fell_back(&self, reason: &'static str) {
        self.count(&self.fallbacks, reason);
    }

    /// A call that failed here is not sent again.
    pub fn withheld(&self, reason: &'static str) {
        self.count(&self.withheld, reason);
    }

    /// A call here is not hedged although it is late.
    pub fn unhedged(&self, reason: &'static str) {
        self.count(&self.unhedged, reason);
    }

    /// A call was refused at the limit.
    pub fn turned(&self, reason: &'static str) {
        self.count(&self.turned, reason);
    }

    /// A hedge sent here has ended.
    pub fn hedged(&self, outcome: Hedged) {
        self.hedges[outcome as usize].inc();
    }

    fn count(&self, family: &Family<ReasonLabels, Counter>, reason: &'static str) {
        family
            .get_or_create(&ReasonLabels {
                provider: self.provider.clone(),
                reason,
            })
            .inc();
    }
}
