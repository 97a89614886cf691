//! The quickest, as far as that can be told: two targets are drawn by lot and the
//! better is asked. Never the best of all: what is known is a little old, and
//! everybody would run to the same one.
//!
//! A target costs what a call there typically takes, times the calls on their way
//! there and this one. One that is slow is hardly asked, so it would never be seen
//! to have recovered: now and then what is known of a target counts for less the
//! older it is.

use std::time::Duration;

use super::{Ask, by_cost};
use crate::upstream::standing::{Span, View};

/// A failure costs as much as so many seconds, so that a target that fails at once
/// does not look quick.
const FAILURE: f64 = 5.0;
/// The share of calls for which what is known gets old. It bounds what looking
/// again costs, however rare calls are.
const CURIOUS: f64 = 0.05;
/// Then, after so many seconds without a sample, a target is taken to be twice as
/// quick as it was.
const HALF_LIFE: f64 = 10.0;

/// Puts the better of two drawn by lot first, and behind it the others by cost.
pub(super) fn sort(usable: &mut [usize], targets: &[View], ask: &Ask, rng: &mut fastrand::Rng) {
    let first = rng.usize(..usable.len());
    // Any but the first.
    let second = (first + rng.usize(1..usable.len())) % usable.len();
    let drawn = [usable[first], usable[second]];
    let is_curious = rng.f64() < CURIOUS;

    let guess = Guess::among(usable, targets, ask.span);
    // Those nothing is known of cost the same.
    rng.shuffle(usable);
    by_cost(usable, |target| {
        let view = &targets[target];
        let mut time = guess.time(view, ask);
        if is_curious {
            time *= (-view.idle.as_secs_f64() / HALF_LIFE).exp2();
        }
        time * (view.in_flight + 1) as f64 / view.share()
    });
    let better = usable.iter().position(|target| drawn.contains(target));
    usable[..=better.unwrap_or(0)].rotate_right(1);
}

/// What a target nothing is known of is taken to be: as good as the best. So it is
/// tried, and calls on their way there keep the others from following at once.
struct Guess {
    /// Seconds to what the caller waits for.
    time: f64,
    /// Seconds from one token to the next.
    gap: f64,
}

impl Guess {
    fn among(usable: &[usize], targets: &[View], span: Span) -> Self {
        let views = || usable.iter().map(|target| &targets[*target]);
        let best = |known: f64, time: f64| known.min(time);
        let time = views().filter_map(|view| typical(view, span)).reduce(best);
        let gap = views().filter_map(gap).reduce(best);
        Self {
            time: time.unwrap_or(1.0),
            gap: gap.unwrap_or(0.0),
        }
    }

    /// Seconds that a call typically takes there.
    fn time(&self, view: &View, ask: &Ask) -> f64 {
        let time = typical(view, ask.span).unwrap_or(self.time) + view.failing * FAILURE;
        match (ask.span, ask.output) {
            (Span::FirstContent, Some(tokens)) => {
                time + f64::from(tokens) * gap(view).unwrap_or(self.gap)
            }
            _ => time,
        }
    }
}

fn typical(view: &View, span: Span) -> Option<f64> {
    let known = match span {
        Span::FirstContent => view.first_content,
        Span::Whole => view.whole,
    };
    known.as_ref().map(Duration::as_secs_f64)
}

fn gap(view: &View) -> Option<f64> {
    view.speed.map(|speed| 1.0 / speed)
}
