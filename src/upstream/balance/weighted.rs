//! By shares: of any number of calls in a row, each target gets its share, give or
//! take one or two.
//!
//! Independent draws would need a thousand calls for what this has after ten, and
//! a round of turns would need a lock and fall into step with callers whose calls
//! come in turns as well. The multiples of the golden ratio, each without its
//! whole part, are spread more evenly than chance, and have no period.

use std::sync::atomic::{AtomicU64, Ordering};

use super::by_cost;
use crate::upstream::standing::View;

/// The golden ratio without its whole part, in 2^-64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The shares of a model's targets, and how far its sequence of calls has come.
#[derive(Debug)]
pub struct Weighted {
    weights: Vec<f64>,
    calls: AtomicU64,
}

impl Weighted {
    /// Shares in the order of the targets. Only their proportions count; what is
    /// not a positive number is none.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let weights = weights.into_iter();
        Self {
            weights: weights
                .map(|weight| {
                    if weight.is_finite() {
                        weight.max(0.0)
                    } else {
                        0.0
                    }
                })
                .collect(),
            calls: AtomicU64::new(0),
        }
    }

    /// Puts the target whose turn it is first. The others are drawn by lot after
    /// their weights, so that a failed one's calls are spread like all calls.
    pub(super) fn sort(&self, usable: &mut [usize], targets: &[View], rng: &mut fastrand::Rng) {
        let weight = |target: usize| {
            let weight = self.weights.get(target).copied().unwrap_or(0.0);
            weight * targets[target].share()
        };
        let turn = self.turn();
        let mut left = turn * usable.iter().map(|target| weight(*target)).sum::<f64>();
        let first = usable.iter().position(|target| {
            left -= weight(*target);
            left < 0.0
        });
        // The exponential variates of a lottery without replacement. One without
        // weight comes last.
        if let Some(first) = first {
            usable[..=first].rotate_right(1);
            by_cost(&mut usable[1..], |target| {
                -(1.0 - rng.f64()).ln() / weight(target)
            });
        }
    }

    /// The next call's place between 0 and 1.
    fn turn(&self) -> f64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        // 53 bits are what a float holds below 1.
        (call.wrapping_mul(GOLDEN) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
