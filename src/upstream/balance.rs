//! Which target a call asks, and where it goes next if that fails.
//!
//! A [`Policy`] gives a full [`Ranking`] of a model's targets: those that may be
//! asked now in the policy's order, then those that are out, paused or used up,
//! the soonest back first. So the ranking is never empty, and the last target is
//! asked whatever its health is. Where all are out, the policy ranks them as if
//! they were well: one alone could not bear the calls of all, and whichever is
//! well again is found at once.
//!
//! A policy is one function that orders the targets that may be asked, and knows
//! nothing of the others. All are pure but for [`Weighted`]'s place in its
//! sequence: time and chance are the caller's.

mod latency;
mod least_pending;
mod order;
mod sticky;
mod weighted;

use tokio::time::Instant;

use super::standing::{Span, View};
pub use weighted::Weighted;

#[cfg(test)]
mod tests;

/// How the targets of a model are ordered.
#[derive(Debug)]
pub enum Policy {
    /// As they are listed.
    Order,
    /// The better of two drawn by lot, by typical latency and calls on their way.
    Latency,
    /// By shares.
    Weighted(Weighted),
    /// The fewest calls on their way.
    LeastPending,
    /// Each session, or each prompt with the same beginning, at one target.
    Sticky,
}

/// What a policy is told of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What its caller waits for.
    pub span: Span,
    /// A hash of the session's id, where it has one.
    pub session: Option<u64>,
    /// A hash of the stable beginning of its prompt, where there is one.
    pub prefix: Option<u64>,
    /// Tokens that a stream will bring, where that can be told.
    pub output: Option<u32>,
}

/// Targets by their place in the model's list, the best first. Each is in it
/// exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    targets: Vec<usize>,
    usable: usize,
}

impl Ranking {
    /// All of them, the best first.
    pub fn targets(&self) -> &[usize] {
        &self.targets
    }

    /// Those that may be asked now. Empty if none may; then the first of
    /// [`Ranking::targets`] is the least bad.
    pub fn usable(&self) -> &[usize] {
        &self.targets[..self.usable]
    }
}

impl Policy {
    /// Ranks `targets`, which are those that the policy was made for, in the same
    /// order.
    pub fn rank(
        &self,
        ask: &Ask,
        targets: &[View],
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Ranking {
        let usable = targets.iter().filter(|view| view.is_usable()).count();
        let is_good = |view: &View| match usable {
            0 => !view.is_told_to_wait(),
            _ => view.is_usable(),
        };
        let mut all: Vec<usize> = (0..targets.len()).collect();
        // False before true: the good ones come first. Stable: as they are listed.
        all.sort_by_key(|target| !is_good(&targets[*target]));
        let good = targets.iter().filter(|view| is_good(view)).count();
        let (good, bad) = all.split_at_mut(good);
        bad.sort_by_key(|target| targets[*target].back(now));
        match self {
            _ if good.len() < 2 => {}
            Self::Order => order::sort(good, targets, rng),
            Self::Latency => latency::sort(good, targets, ask, rng),
            Self::Weighted(weights) => weights.sort(good, targets, rng),
            Self::LeastPending => least_pending::sort(good, targets, rng),
            Self::Sticky => sticky::sort(good, targets, ask, rng),
        }
        Ranking {
            targets: all,
            usable,
        }
    }
}

/// Orders targets by what each costs, the least first.
fn by_cost(targets: &mut [usize], mut cost: impl FnMut(usize) -> f64) {
    let mut costs: Vec<(f64, usize)> = targets.iter().map(|at| (cost(*at), *at)).collect();
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (target, (_, at)) in targets.iter_mut().zip(costs) {
        *target = at;
    }
}
