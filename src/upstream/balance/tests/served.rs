//! The policies at work in a small world: calls arrive by chance, targets answer
//! as they do, and all that is known of them comes from that.

use std::f64::consts::TAU;
use std::ops::Range;

use super::*;
use crate::upstream::standing::{End, Pending};

/// What a target does with a call that comes at this second: how many seconds
/// until its first content, or a failure after so many.
type Behaviour<'a> = dyn Fn(f64, &mut fastrand::Rng) -> Result<f64, f64> + 'a;

/// Something that is to happen to a call on its way.
struct Coming {
    at: Instant,
    pending: Pending,
    is_failure: bool,
}

/// Lets `rate` calls a second come, and gives the share of each target in those that
/// came in the seconds that are `counted`.
fn serve(
    policy: &Policy,
    behaviours: &[&Behaviour<'_>],
    rate: f64,
    counted: Range<f64>,
) -> Vec<f64> {
    let start = Instant::now();
    let mut rng = fastrand::Rng::with_seed(42);
    let targets: Vec<_> = (0..behaviours.len() as u64)
        .map(|id| Standing::new(id, id))
        .collect();
    let mut coming: Vec<Coming> = Vec::new();
    let mut firsts = vec![0; targets.len()];
    let mut second = 0.0;
    while second < counted.end {
        second += -(1.0 - rng.f64()).ln() / rate;
        let now = start + Duration::from_secs_f64(second);
        let mut due: Vec<Coming> = coming.extract_if(.., |call| call.at <= now).collect();
        due.sort_by_key(|call| call.at);
        for mut call in due {
            if call.is_failure {
                call.pending.end(call.at, End::Failed);
            } else {
                call.pending.first_content(call.at);
                call.pending.end(call.at, End::Answered { tokens: None });
            }
        }
        let views: Vec<View> = targets.iter().map(|target| target.view(now)).collect();
        let ranking = policy.rank(&session(rng.u64(..)), &views, now, &mut rng);
        let target = ranking.targets()[0];
        if counted.contains(&second) {
            firsts[target] += 1;
        }
        let took = behaviours[target](second, &mut rng);
        coming.push(Coming {
            at: now + Duration::from_secs_f64(took.unwrap_or_else(|after| after)),
            pending: targets[target].begin(now, Span::FirstContent, 0),
            is_failure: took.is_err(),
        });
    }
    shares(&firsts)
}

/// Log-normal around `median` seconds; one in twenty-five takes twenty times as long.
fn with_stragglers(median: f64) -> impl Fn(f64, &mut fastrand::Rng) -> Result<f64, f64> {
    move |_, rng| {
        let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos();
        let slow = if rng.f64() < 0.04 { 20.0 } else { 1.0 };
        Ok(median * slow * (0.3 * normal).exp())
    }
}

#[test]
fn a_slow_target_gets_little() {
    let quick = with_stragglers(0.3);
    let slow = with_stragglers(1.5);
    for (rate, seconds) in [
        (0.2, 20_000.0),
        (1.0, 4_000.0),
        (10.0, 400.0),
        (100.0, 60.0),
    ] {
        let found = serve(
            &Policy::Latency,
            &[&quick, &slow, &quick],
            rate,
            30.0..seconds,
        );
        assert!(found[1] < 0.1, "{rate}: {found:?}");
        assert!((found[0] - found[2]).abs() < 0.1, "{rate}: {found:?}");
    }
}

#[test]
fn a_target_that_gets_quick_again_is_found() {
    for rate in [1.0, 10.0, 40.0] {
        let quick = with_stragglers(0.3);
        let slow = with_stragglers(6.0);
        let changing = |second: f64, rng: &mut fastrand::Rng| {
            if second < 60.0 {
                slow(second, rng)
            } else {
                quick(second, rng)
            }
        };
        let then = serve(
            &Policy::Latency,
            &[&quick, &changing, &quick],
            rate,
            30.0..60.0,
        );
        let found = serve(
            &Policy::Latency,
            &[&quick, &changing, &quick],
            rate,
            180.0..360.0,
        );
        assert!(found[1] > 0.15, "{rate}: {then:?} {found:?}");
    }
}

#[test]
fn a_target_that_fails_at_once_is_not_the_quickest() {
    let quick = with_stragglers(0.3);
    // Two calls in five fail after a millisecond: too few to put it out.
    let failing = |_: f64, rng: &mut fastrand::Rng| {
        if rng.f64() < 0.4 {
            Err(0.001)
        } else {
            Ok(0.25)
        }
    };
    let found = serve(
        &Policy::Latency,
        &[&quick, &failing, &quick],
        20.0,
        30.0..300.0,
    );
    assert!(found[1] < 0.1, "{found:?}");
}

#[test]
fn new_targets_are_tried_at_once_but_not_by_all() {
    let quick = with_stragglers(0.3);
    let found = serve(&Policy::Latency, &[&quick, &quick, &quick], 200.0, 0.0..0.1);
    for share in found {
        assert!(share > 0.15, "{share}");
    }
}
