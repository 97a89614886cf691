//! The same target for the same session, so that the provider's cache of its
//! prompt is warm.
//!
//! No table of sessions: each target's score for a session is a hash of both, and
//! the highest is its home (rendezvous hashing, Thaler and Ravishankar 1996). When a
//! target goes, only its own sessions move, and they spread over all others. A
//! target with more than its share of calls on their way passes new ones on to
//! the next score (consistent hashing with bounded loads, Mirrokni et al. 2016).

use std::cmp::Reverse;

use super::{Ask, least_pending};
use crate::upstream::standing::View;

/// A target takes this many times the mean of calls on their way …
const OVER_MEAN: f64 = 1.25;
/// … and this many more, without which two calls at once were too many.
const SLACK: f64 = 2.0;

/// Orders by score, those that are full behind those that are not. A call with
/// neither session nor prefix goes where the fewest are.
pub(super) fn sort(usable: &mut [usize], targets: &[View], ask: &Ask, rng: &mut fastrand::Rng) {
    let Some(key) = ask.session.or(ask.prefix) else {
        return least_pending::sort(usable, targets, rng);
    };
    let pending: usize = usable.iter().map(|target| targets[*target].in_flight).sum();
    let mean = (pending + 1) as f64 / usable.len() as f64;
    let bound = OVER_MEAN * mean + SLACK;
    usable.sort_by_cached_key(|target| {
        let view = &targets[*target];
        let is_full = view.in_flight as f64 >= bound * view.share();
        (is_full, Reverse(score(key, view.id)))
    });
}

/// How much a session wants to be at a target. The same in every process and
/// version: sessions are to find their caches again after an update.
fn score(session: u64, target: u64) -> u64 {
    fold(mix(session), mix(target))
}

/// Spreads numbers that are near each other.
fn mix(number: u64) -> u64 {
    fold(fold(number, 0x9e6c_63d0_876a_3f6b), 0xd6e8_feb8_6659_fd93)
}

/// Two numbers to one: the halves of their product, over each other.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0xa076_1d64_78bd_642f) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
    (product >> 64) as u64 ^ product as u64
}
