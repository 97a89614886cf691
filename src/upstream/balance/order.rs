//! As they are listed. One that is to get only a share of its calls is passed over
//! for the rest of them.

use crate::upstream::standing::View;

/// Leaves the order as it is, but for a target in its slow start or short of its
/// quota: by lot, as often as its share says, it stays; else it goes to the end.
pub(super) fn sort(usable: &mut [usize], targets: &[View], rng: &mut fastrand::Rng) {
    usable.sort_by_cached_key(|target| rng.f64() >= targets[*target].share());
}
