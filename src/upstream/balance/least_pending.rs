//! The fewest calls on their way. For targets that are alike and whose calls
//! are: engines of one's own behind one model.

use super::by_cost;
use crate::upstream::standing::View;

/// Orders by calls on their way, the one to come included; by lot where those are
/// as many.
pub(super) fn sort(usable: &mut [usize], targets: &[View], rng: &mut fastrand::Rng) {
    rng.shuffle(usable);
    by_cost(usable, |target| {
        let view = &targets[target];
        (view.in_flight + 1) as f64 / view.share()
    });
}
