//! What is known of the traffic to one key of one provider, and what bounds it.
//!
//! It outlives a reload that leads to the same place with the same bounds:
//! health, latencies and budgets are facts of the provider, not of a file.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::attempt::budget::{Budgets, HedgeBudget, RetryBudget};
use super::manner;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::metrics::attempts::Attempts;
use crate::provider::{CallLimit, Provider};
use crate::upstream::admission::Admission;
use crate::upstream::limit::Rule;
use crate::upstream::standing::Standing;

/// The traffic to one key of one provider.
#[derive(Debug)]
pub struct Traffic {
    /// Who may proceed.
    pub admission: Arc<Admission>,
    /// How many calls may be made twice.
    pub budgets: Budgets,
    /// What is counted.
    pub counts: Attempts,
    bounds: Bounds,
    /// By model.
    standings: RwLock<HashMap<Box<str>, Arc<Standing>>>,
}

/// What an operator decides of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    rule: Rule,
    queue: usize,
    retry: (f64, u32),
    hedge: f64,
}

impl Bounds {
    fn of(config: &Config, provider: &Provider) -> Self {
        Self {
            rule: rule(provider),
            queue: provider.queue,
            retry: (config.retry.budget, config.retry.floor),
            hedge: config.hedge.budget,
        }
    }
}

/// Models whose standing is known one by one. Names come from callers: those
/// past the bound share one.
const KNOWN: usize = 1024;

impl Traffic {
    /// That of a provider's key, counted from 1, of which nothing is known.
    pub fn new(config: &Config, provider: &Provider, key: usize, metrics: &Metrics) -> Arc<Self> {
        let bounds = Bounds::of(config, provider);
        let (ratio, floor) = bounds.retry;
        Arc::new(Self {
            admission: Admission::new(bounds.rule, bounds.queue, Instant::now()),
            budgets: Budgets {
                retry: RetryBudget::new(ratio, floor),
                hedge: HedgeBudget::new(bounds.hedge),
            },
            counts: metrics.attempts(&provider.name, key),
            bounds,
            standings: RwLock::default(),
        })
    }

    /// Whether `config` wants the same of it.
    pub fn suits(&self, config: &Config, provider: &Provider) -> bool {
        self.bounds == Bounds::of(config, provider)
    }

    /// Sets the gauges.
    pub(super) fn count(&self, now: Instant) {
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let limit = self.admission.gauges(now);
        self.counts.limit.set(limit.limit.map_or(0, gauge));
        self.counts.under_way.set(gauge(limit.in_flight));
        self.counts
            .waiting
            .set(gauge(limit.interactive + limit.batch));
        let standings = self.standings.read();
        let out = standings
            .values()
            .filter(|standing| !standing.view(now).state.is_usable())
            .count();
        self.counts.ejected.set(gauge(out));
    }

    /// How its limit is found.
    pub(super) fn rule(&self) -> Rule {
        self.bounds.rule
    }

    /// The standing of one of its models, `name` being the whole name of the
    /// target.
    pub(super) fn standing(&self, name: &str) -> Arc<Standing> {
        if let Some(standing) = self.standings.read().get(name) {
            return Arc::clone(standing);
        }
        let mut standings = self.standings.write();
        let name = match standings.len() {
            ..KNOWN => name,
            _ => "",
        };
        // The same number in every process, so that all replicas send a session
        // to the same target.
        let new = || Standing::new(manner::hash(name), fastrand::u64(..));
        Arc::clone(standings.entry(name.into()).or_insert_with(new))
    }

    /// Every model's standing, by name.
    pub(super) fn standings(&self) -> Vec<(Box<str>, Arc<Standing>)> {
        let standings = self.standings.read();
        let mut all: Vec<_> = standings
            .iter()
            .map(|(name, standing)| (name.clone(), Arc::clone(standing)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// How the limit of a provider is found. An engine of one's own is in a private
/// network, and tells that it is busy by being slow; anybody else says so. What
/// listens on loopback may be an engine, a tunnel or another proxy: nothing is
/// assumed of it.
pub fn rule(provider: &Provider) -> Rule {
    match provider.limit {
        CallLimit::Fixed(calls) => Rule::Fixed(calls.get()),
        CallLimit::Aimd => Rule::Aimd,
        CallLimit::Gradient => Rule::Gradient,
        CallLimit::Auto if is_private(&provider.base.host) => Rule::Gradient,
        CallLimit::Auto => Rule::Aimd,
    }
}

/// Whether a host is an address of a private network (RFC 1918, RFC 4193, link
/// local), or a name that only such networks have.
fn is_private(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => {
            let is_local = host == "localhost" || host.ends_with(".localhost");
            let is_bare =
                !host.contains('.') || host.ends_with(".local") || host.ends_with(".internal");
            is_bare && !is_local
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::Background;
    use super::super::attempt::failure::FailureKind;
    use super::super::attempt::hedge::Reason;
    use super::super::attempt::race::Withheld;
    use super::super::course;
    use super::*;
    use crate::config::Environment;
    use crate::upstream::admission;

    /// The words for the label of a metric that its help lists.
    fn listed(page: &str, metric: &str) -> Vec<String> {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{metric}`")));
        let row = row.unwrap_or_else(|| panic!("{metric} is not on the page"));
        let (_, words) = row.rsplit_once(": ").expect("a list");
        let mut words = words.trim_end_matches([' ', '|']).to_owned();
        while let (Some(open), Some(close)) = (words.find('('), words.find(')')) {
            words.replace_range(open..=close, "");
        }
        let words = words.split([',', ';']);
        words.map(|word| word.trim().to_owned()).collect()
    }

    /// That each occurs is shown end to end, in `attempts/counting.rs`.
    #[test]
    fn the_page_of_metrics_lists_the_words_there_are() {
        let page = crate::metrics::reference();
        let check = |metric, words: Vec<&str>| assert_eq!(listed(&page, metric), words, "{metric}");
        let causes = FailureKind::ALL.iter();
        let causes = causes.filter(|kind| **kind != FailureKind::Deadline);
        let causes = causes.map(|kind| kind.word()).chain([course::SILENT]);
        check("nowait_retries", causes.collect());
        let kept = [Withheld::Budget, Withheld::Pause].map(Withheld::word);
        check("nowait_retries_withheld", kept.to_vec());
        let reasons = Reason::ALL.iter().filter(|reason| **reason != Reason::Off);
        check(
            "nowait_hedges_withheld",
            reasons.map(|reason| reason.word()).collect(),
        );
        let alone = [Background::Refresh, Background::Left].map(Background::word);
        check("nowait_background_calls", alone.to_vec());
        check(
            "nowait_queue_refused",
            admission::Why::ALL.map(admission::Why::word).to_vec(),
        );
    }

    /// The names of models are the callers' to choose.
    #[test]
    fn a_hundred_thousand_models_have_the_room_of_a_thousand() {
        let text = "[providers.up]\ndialect = \"openai\"\nbase_url = \"http://10.0.0.5\"\n";
        let config = Config::parse(text, "nowait.toml", &Environment::default()).expect("good");
        let provider = &config.providers[0];
        let traffic = Traffic::new(&config, provider, 1, &Metrics::new("", ""));
        for number in 0..100_000 {
            traffic.standing(&format!("up/{number}"));
        }
        assert_eq!(traffic.standings().len(), KNOWN + 1, "the rest share one");
    }

    #[test]
    fn an_engine_of_ones_own_is_told_by_its_address() {
        for (host, expected) in [
            ("10.0.0.5", true),
            ("192.168.1.2", true),
            ("172.16.0.1", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("[fd00::1]", true),
            ("fe80::1", true),
            ("localhost", false),
            ("vllm", true),
            ("vllm.svc.internal", true),
            ("api.openai.com", false),
            ("172.32.0.1", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(host), expected, "{host}");
        }
    }
}
