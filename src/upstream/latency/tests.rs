//! The sketch beside exact quantiles, the estimate of what was cut beside the
//! textbook's, and the intervals at each of their edges.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

/// Half a bucket, as a share of what is in it; a hair more for rounding.
const ERROR: f64 = 1.0 / 32.0 + 1e-3;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count)
}

fn normal(rng: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos()
}

/// Seconds, drawn from what LLM calls look like and worse.
fn draw(kind: &str, rng: &mut fastrand::Rng) -> f64 {
    match kind {
        "log-normal" => 0.4 * (0.6 * normal(rng)).exp(),
        "heavy tail" => (0.1 * (1.0 - rng.f64()).powf(-1.0 / 1.2)).min(900.0),
        "stragglers" => {
            let slow = if rng.f64() < 0.04 { 20.0 } else { 1.0 };
            slow * 0.3 * (0.25 * normal(rng)).exp()
        }
        "two modes" => {
            let mode = if rng.bool() { 0.02 } else { 3.0 };
            mode * (0.1 * normal(rng)).exp()
        }
        _ => 0.25,
    }
}

#[test]
fn of_calls_as_even_as_a_clock_hardly_one_is_over_the_bound() {
    let now = Instant::now();
    for took in [1, 2, 7, 100, 103, 110, 506, 2_020, 59_999].map(millis) {
        let mut sketch = Sketch::default();
        for _ in 0..96 {
            sketch.record(now, took);
        }
        for _ in 0..4 {
            sketch.record(now, took * 10);
        }
        let bound = sketch.bound(now, 0.95).expect("a hundred are enough");
        assert!(took < bound, "{took:?} {bound:?}");
        assert!(
            bound < took.mul_f64(1.0 + 2.0 * ERROR) + millis(1),
            "{took:?} {bound:?}"
        );
    }
}

#[test]
fn quantiles_are_within_half_a_bucket_of_the_exact_ones() {
    let now = Instant::now();
    for kind in [
        "log-normal",
        "heavy tail",
        "stragglers",
        "two modes",
        "always the same",
    ] {
        for (seed, size) in [(1, 20), (2, 100), (3, 1_000), (4, 50_000)] {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut sketch = Sketch::default();
            let mut exact: Vec<f64> = (0..size).map(|_| draw(kind, &mut rng)).collect();
            for took in &exact {
                sketch.record(now, seconds(*took));
            }
            exact.sort_by(f64::total_cmp);
            for q in [0.01, 0.1, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999] {
                let Some(found) = sketch.quantile(now, q) else {
                    assert!(
                        (size as f64) * (1.0 - q) < 1.0,
                        "{kind} {size} {q}: unknown"
                    );
                    continue;
                };
                let rank = ((size as f64 * q).ceil() as usize).max(1);
                let error = found.as_secs_f64() / exact[rank - 1] - 1.0;
                // 1 - 0.9 is a hair less than 0.1: the next sample is as right.
                let next = found.as_secs_f64() / exact[rank.min(size - 1)] - 1.0;
                assert!(
                    error.abs().min(next.abs()) < ERROR,
                    "{kind} {size} {q}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_time_is_in_the_bucket_whose_middle_is_near() {
    let mut last = 0;
    let mut micros = 1_024_u64;
    while micros < 1 << 30 {
        let time = Duration::from_micros(micros);
        let at = bucket(time);
        assert!(at == last || at == last + 1, "{micros}");
        last = at;
        let error = middle(at).as_secs_f64() / time.as_secs_f64() - 1.0;
        assert!(error.abs() < 1.0 / 32.0 + 1e-9, "{micros}: {error}");
        micros += 1 + micros / 900;
    }
    assert_eq!(last, BUCKETS - 1);
    for (time, expected) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 0),
        (Duration::from_micros(1_024), 0),
        (Duration::from_micros(1_088), 1),
        (Duration::from_secs(1 << 11), BUCKETS - 1),
        (Duration::MAX, BUCKETS - 1),
    ] {
        assert_eq!(bucket(time), expected, "{time:?}");
    }
}

#[test]
fn few_samples_have_no_far_quantiles() {
    let now = Instant::now();
    for (samples, q, is_known) in [
        (0, 0.5, false),
        (19, 0.5, false),
        (20, 0.5, true),
        (20, 0.95, true),
        (20, 0.96, false),
        (25, 0.96, true),
        (99, 0.99, false),
        (100, 0.99, true),
        (999, 0.999, false),
        (1_000, 0.999, true),
        (10_000, 1.0, false),
    ] {
        let mut sketch = Sketch::default();
        for _ in 0..samples {
            sketch.record(now, millis(100));
            // What was cut does not make known what did not end.
            sketch.record_at_least(now, millis(50));
        }
        assert_eq!(sketch.quantile(now, q).is_some(), is_known, "{samples} {q}");
        assert_eq!(sketch.samples(now), samples);
    }
    let mut nothing = Sketch::default();
    nothing.record_at_least(now, millis(10));
    assert_eq!(nothing.quantile(now, 0.5), None);
}

/// The estimate as a textbook writes it, over samples one by one: each time at
/// which any ended, and the share that has ended by then.
fn textbook(samples: &[(usize, bool)]) -> Vec<(usize, f64)> {
    let mut ends: Vec<usize> = samples
        .iter()
        .filter(|(_, ended)| *ended)
        .map(|(at, _)| *at)
        .collect();
    ends.sort_unstable();
    ends.dedup();
    let mut over = 1.0;
    let curve = ends.into_iter().map(|end| {
        let awaited = samples.iter().filter(|(at, _)| *at >= end).count() as f64;
        let ended = samples
            .iter()
            .filter(|sample| **sample == (end, true))
            .count() as f64;
        over *= 1.0 - ended / awaited;
        (end, 1.0 - over)
    });
    curve.collect()
}

proptest! {
    /// On times that are middles of buckets the sketch loses nothing, so it must
    /// agree with the textbook to the last digit.
    #[test]
    fn what_was_cut_is_estimated_as_kaplan_and_meier_do(
        samples in prop::collection::vec((0..BUCKETS, any::<bool>()), 1..150),
        quantiles in prop::collection::vec(0.01..0.94_f64, 10),
    ) {
        let now = Instant::now();
        let mut sketch = Sketch::default();
        for (bucket, is_ended) in &samples {
            if *is_ended {
                sketch.record(now, middle(*bucket));
            } else {
                sketch.record_at_least(now, middle(*bucket));
            }
        }
        let exact = textbook(&samples);
        let ended = samples.iter().filter(|(_, ended)| *ended).count();
        let longest = samples.iter().map(|(at, _)| *at).max().unwrap();
        for q in quantiles {
            let found = sketch.quantile(now, q).map(bucket);
            prop_assert_eq!(found.is_some(), ended >= 20);
            let by = |q: f64| exact.iter().find(|(_, by)| *by >= q).map_or(longest, |(at, _)| *at);
            let expected = by(q);
            // Where rounding decides, either side is right.
            let is_right = |found| found == by(q - 1e-9) || found == by(q + 1e-9);
            prop_assert!(found.is_none_or(is_right), "{q}: {found:?} for {expected}");
        }
    }
}

/// What hedging does to what is seen: whoever takes longer than `delay` is given up
/// a little later in half of the cases.
#[test]
fn cut_losers_do_not_pull_the_quantile_down() {
    let now = Instant::now();
    for (kind, delay, q) in [
        ("log-normal", 0.6, 0.99),
        ("heavy tail", 0.5, 0.95),
        ("stragglers", 0.45, 0.99),
    ] {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut all, mut kept, mut left_out, mut as_ended) = Default::default();
        let sketches: [&mut Sketch; 4] = [&mut all, &mut kept, &mut left_out, &mut as_ended];
        let [all, kept, left_out, as_ended] = sketches;
        for _ in 0..40_000 {
            let took = draw(kind, &mut rng);
            let other = delay + draw(kind, &mut rng);
            all.record(now, seconds(took));
            if took <= other {
                for sketch in [&mut *kept, &mut *left_out, &mut *as_ended] {
                    sketch.record(now, seconds(took));
                }
            } else {
                kept.record_at_least(now, seconds(other));
                as_ended.record(now, seconds(other));
            }
        }
        let found = |sketch: &mut Sketch| sketch.quantile(now, q).unwrap().as_secs_f64();
        let (truth, kept) = (found(all), found(kept));
        assert!(
            (kept / truth - 1.0).abs() < 0.15,
            "{kind}: {kept} for {truth}"
        );
        for worse in [left_out, as_ended] {
            assert!(
                found(worse) < truth * 0.85,
                "{kind}: the test shows nothing"
            );
        }
    }
}

#[test]
fn a_quantile_beyond_all_that_was_awaited_is_the_longest_of_it() {
    let now = Instant::now();
    let mut sketch = Sketch::default();
    for _ in 0..50 {
        sketch.record(now, millis(100));
        sketch.record_at_least(now, millis(400));
    }
    for (q, expected) in [(0.3, 0.1), (0.49, 0.1), (0.6, 0.4), (0.95, 0.4)] {
        let found = sketch.quantile(now, q).unwrap().as_secs_f64();
        assert!((found / expected - 1.0).abs() < ERROR, "{q}: {found}");
    }
}

/// Calls in an interval, and how many are still remembered so long after.
#[test]
fn intervals_begin_and_end_when_they_should() {
    let start = Instant::now();
    // Groups of (second, calls); how many are remembered at which second.
    type Groups = &'static [(u64, u32)];
    let cases: &[(Groups, u64, u32)] = &[
        // The sixth interval still has the first beside it, the seventh has not.
        (
            &[(0, 20), (10, 20), (20, 20), (30, 20), (40, 20), (50, 20)],
            59,
            120,
        ),
        (
            &[
                (0, 20),
                (10, 20),
                (20, 20),
                (30, 20),
                (40, 20),
                (50, 20),
                (60, 1),
            ],
            60,
            101,
        ),
        // A second too early, and it is the same interval.
        (
            &[
                (0, 20),
                (9, 20),
                (10, 20),
                (20, 20),
                (30, 20),
                (40, 20),
                (50, 20),
            ],
            50,
            140,
        ),
        // With too few calls an interval lasts longer …
        (&[(0, 19), (10, 1), (20, 19), (30, 1), (40, 20)], 40, 60),
        (
            &[
                (0, 19),
                (10, 20),
                (20, 20),
                (30, 20),
                (40, 20),
                (50, 20),
                (60, 20),
                (70, 20),
            ],
            70,
            119,
        ),
        // … but not longer than 100 s.
        (
            &[
                (0, 1),
                (99, 1),
                (100, 1),
                (200, 1),
                (300, 1),
                (400, 1),
                (500, 1),
            ],
            500,
            7,
        ),
        (
            &[
                (0, 1),
                (99, 1),
                (100, 1),
                (200, 1),
                (300, 1),
                (400, 1),
                (500, 1),
            ],
            599,
            7,
        ),
        // Ten minutes after it began, an interval is over.
        (
            &[
                (0, 1),
                (99, 1),
                (100, 1),
                (200, 1),
                (300, 1),
                (400, 1),
                (500, 1),
            ],
            600,
            5,
        ),
        (&[(0, 50)], 599, 50),
        (&[(0, 50)], 600, 0),
        (&[(0, 50), (700, 3)], 700, 3),
        (&[(0, 50)], 1_000_000, 0),
        // A clock that does not move, and one that goes back.
        (&[(0, 100_000)], 0, 100_000),
        (&[(50, 20), (49, 20), (0, 20), (50, 20)], 50, 80),
    ];
    for (groups, asked, expected) in cases {
        let mut sketch = Sketch::default();
        for (second, calls) in *groups {
            for _ in 0..*calls {
                sketch.record(start + Duration::from_secs(*second), millis(100));
            }
        }
        let asked = start + Duration::from_secs(*asked);
        assert_eq!(sketch.samples(asked), *expected, "{groups:?}");
        let total = sketch.total.as_deref().unwrap();
        let sum: u32 = total.ended.iter().sum();
        assert_eq!(sum, *expected, "{groups:?}: the total is not the sum");
    }
}

#[test]
fn what_ends_late_is_counted_when_it_began() {
    let start = Instant::now();
    let mut sketch = Sketch::default();
    // All calls take half a minute, at first and for two minutes: they are known
    // from the first on.
    for second in 0..120_u32 {
        let now = start + seconds(f64::from(second) + 30.0);
        sketch.record(now, seconds(30.0));
        let known = sketch.samples(now);
        assert!(known > second.min(29), "{known} after {second} s");
    }
    // Then they take 100 ms, while those from before still end.
    for tenth in 0..600_u32 {
        let now = start + seconds(120.0 + f64::from(tenth) / 10.0);
        sketch.record(now, millis(100));
        if tenth < 300 && tenth % 10 == 0 {
            sketch.record(now, seconds(30.0));
        }
    }
    let now = start + seconds(180.0);
    assert!(sketch.quantile(now, 0.99) < Some(millis(110)));
}

#[test]
fn a_full_bucket_ends_its_interval_and_keeps_the_proportions() {
    let now = Instant::now();
    let mut sketch = Sketch::default();
    for call in 0..1_000_000 {
        sketch.record(now, millis(if call % 10 == 0 { 1_000 } else { 100 }));
    }
    assert!(sketch.intervals.len() <= INTERVALS);
    assert!(sketch.samples(now) >= 5 * 65_535);
    let is_slow = |q| sketch.clone().quantile(now, q).unwrap() > millis(500);
    assert_eq!([0.5, 0.899, 0.901].map(is_slow), [false, false, true]);
}

#[test]
fn the_past_is_forgotten_and_the_memory_is_fixed() {
    let start = Instant::now();
    let mut sketch = Sketch::default();
    let second = |at: u64| start + Duration::from_secs(at);
    for at in 0..300 {
        for _ in 0..10 {
            sketch.record(second(at), millis(if at < 150 { 100 } else { 800 }));
        }
        assert!(sketch.intervals.len() <= INTERVALS);
    }
    let fastest = sketch.quantile(second(300), 0.01).unwrap();
    assert!(fastest > millis(700), "{fastest:?}");
    assert_eq!(
        size_of::<Counts<u16>>() * INTERVALS + size_of::<Counts<u32>>(),
        10_240
    );
    assert_eq!(size_of::<Sketch>(), 40);
}
