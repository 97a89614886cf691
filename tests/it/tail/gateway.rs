//! The gateway's side of a run: nothing but its own types, and for each thing
//! that a naive gateway would leave out the one line that leaves it out.

use std::sync::Arc;
use std::time::Duration;

use nowait::config::Hedge;
use nowait::dialect::sharing::Effect;
use nowait::gateway::attempt::budget::{Budgets, HedgeBudget, RetryBudget};
use nowait::gateway::attempt::hedge::{Hedging, Reason, Signs};
use nowait::gateway::attempt::policy::Fallbacks;
use nowait::gateway::attempt::race::{Readiness, Rules, Withheld, World};
use nowait::upstream::balance::{self, Ask, Weighted};
use nowait::upstream::health::State;
use nowait::upstream::standing::{Pending, Span, Standing, Turn, View};
use tokio::time::Instant;

use super::arrivals::Asked;
use super::door::Door;
use super::scenario::{Policy, Scenario};

/// What the gateway knows of its targets and decides with.
pub(crate) struct Gateway<'a> {
    pub(crate) policy: &'a Policy,
    balance: balance::Policy,
    hedging: Hedging,
    pub(crate) targets: Vec<Target>,
    pub(crate) rng: fastrand::Rng,
}

/// One target as the gateway knows it.
pub(crate) struct Target {
    pub(crate) standing: Arc<Standing>,
    pub(crate) door: Option<Door>,
    budgets: Budgets,
}

impl<'a> Gateway<'a> {
    pub(crate) fn new(scenario: &Scenario, policy: &'a Policy, now: Instant) -> Self {
        let weights: Vec<f64> = scenario
            .targets
            .iter()
            .map(|target| target.weight)
            .collect();
        let target = |index: usize| Target {
            standing: Standing::new(index as u64 + 1, scenario.seed ^ index as u64),
            door: Door::new(&policy.limit, policy.queue, now),
            budgets: Budgets {
                retry: RetryBudget::new(policy.retry_budget, policy.retry_floor),
                hedge: HedgeBudget::new(policy.hedge_budget),
            },
        };
        Self {
            policy,
            balance: balance_of(&policy.balance, &weights),
            hedging: Hedging {
                when: hedge_of(&policy.hedge),
                min: policy.hedge_min.0,
                max: policy.hedge_max.0,
            },
            targets: (0..weights.len()).map(target).collect(),
            rng: fastrand::Rng::with_seed(scenario.seed),
        }
    }

    /// Targets, the best first.
    pub(crate) fn rank(&mut self, asked: &Asked, now: Instant) -> Vec<usize> {
        let views: Vec<View> = (0..self.targets.len())
            .map(|at| self.view(at, now))
            .collect();
        let ask = Ask {
            span: Span::FirstContent,
            session: asked.session,
            prefix: None,
            output: None,
        };
        let ranking = self.balance.rank(&ask, &views, now, &mut self.rng);
        let ranking = ranking.targets().to_vec();
        self.targets[ranking[0]].budgets.deposit(now);
        ranking
    }

    /// The rules of a call.
    pub(crate) fn rules(&self, deadline: Instant) -> Rules {
        Rules {
            attempts: self.policy.attempts,
            hedging: self.hedging,
            fallback_on: Fallbacks::default(),
            deadline: Some(deadline),
            patience: None,
        }
    }

    /// What a call that would be refused now by what `target` has told waits for.
    pub(crate) fn turn(
        &self,
        target: usize,
        asked: &Asked,
        yields: bool,
        now: Instant,
    ) -> Option<Turn> {
        let standing = &self.targets[target].standing;
        let turn = standing.turn(now, tokens(asked), yields);
        turn.filter(|_| self.policy.paces)
    }

    /// A call begins at a target.
    pub(crate) fn begin(&self, target: usize, asked: &Asked, now: Instant) -> Pending {
        let (standing, tokens) = (&self.targets[target].standing, tokens(asked));
        let pending = standing.try_begin(now, Span::FirstContent, tokens);
        pending.unwrap_or_else(|| standing.begin(now, Span::FirstContent, tokens))
    }

    fn view(&self, target: usize, now: Instant) -> View {
        let Target { standing, door, .. } = &self.targets[target];
        let mut view = standing.view(now);
        view.is_full = door.as_ref().is_some_and(|door| door.is_full(now));
        if !self.policy.ejects {
            view.state = State::Well;
        }
        view
    }

    /// After how long a call at `target` would be hedged now.
    pub(crate) fn delay(&self, target: usize, now: Instant) -> Option<Duration> {
        let standing = &self.targets[target].standing;
        let quantile = |share| standing.quantile(now, Span::FirstContent, share);
        self.hedging.delay(quantile).ok()
    }
}

/// What a call takes as far as is known before: its answer counts as much as its
/// prompt.
fn tokens(asked: &Asked) -> u32 {
    (2 * asked.input) as u32
}

/// What a call's race sees of the gateway.
pub(crate) struct Sight<'a, 'b> {
    pub(crate) gateway: &'b mut Gateway<'a>,
    pub(crate) ranking: &'b [usize],
    /// The call's attempt that runs alone, if one does.
    pub(crate) alone: Option<&'b mut Pending>,
}

impl World for Sight<'_, '_> {
    fn effect(&mut self) -> Effect {
        Effect::Nothing
    }

    fn readiness(&mut self, place: usize, now: Instant) -> Readiness {
        let view = self.gateway.view(self.ranking[place], now);
        match view.state {
            State::Out(_) | State::Probing => Readiness::Ejected,
            _ if view.is_usable() => Readiness::Ready,
            _ => Readiness::Paused(view.back(now)),
        }
    }

    fn quantile(&mut self, place: usize, share: f64, now: Instant) -> Option<Duration> {
        let standing = &self.gateway.targets[self.ranking[place]].standing;
        standing.quantile(now, Span::FirstContent, share)
    }

    fn pay_retry(&mut self, failed: usize, now: Instant) -> bool {
        let target = &self.gateway.targets[self.ranking[failed]];
        target.budgets.retry.withdraw(now)
    }

    fn pay_hedge(&mut self, late: usize, other: usize, now: Instant) -> Result<(), Reason> {
        let [late, other] = [late, other].map(|place| self.ranking[place]);
        let [view, there] = [late, other].map(|target| self.gateway.view(target, now));
        let door = self.gateway.targets[other].door.as_ref();
        let signs = Signs {
            share_late: view.late.unwrap_or(0.0),
            share_failed: view.failing.max(there.failing),
            is_near_limit: there.is_scarce() || door.is_some_and(|door| door.is_near(now)),
        };
        let objection = signs.objection(self.gateway.hedging.when);
        if let Some(reason) = objection.filter(|_| self.gateway.policy.sees_brownouts) {
            return Err(reason);
        }
        let paid = self.gateway.targets[late].budgets.hedge.withdraw();
        paid.then_some(()).ok_or(Reason::NoBudget)
    }

    fn late(&mut self, _: usize, now: Instant) {
        if let Some(alone) = &mut self.alone {
            alone.late(now);
        }
    }

    fn withheld(&mut self, _: usize, _: Withheld) {}
}

fn balance_of(word: &str, weights: &[f64]) -> balance::Policy {
    match word {
        "order" => balance::Policy::Order,
        "latency" => balance::Policy::Latency,
        "weighted" => balance::Policy::Weighted(Weighted::new(weights.iter().copied())),
        "least_pending" => balance::Policy::LeastPending,
        "sticky" => balance::Policy::Sticky,
        _ => panic!("no balance is called {word}"),
    }
}

fn hedge_of(word: &str) -> Hedge {
    match word.strip_prefix('p') {
        _ if word == "off" => Hedge::Off,
        Some(percent) => Hedge::Quantile(percent.parse::<f64>().unwrap() / 100.0),
        None => Hedge::After(nowait::config::units::duration(word).unwrap()),
    }
}
