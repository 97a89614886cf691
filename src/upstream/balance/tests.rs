//! What every policy keeps, and what each promises.

mod served;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::upstream::health::State;
use crate::upstream::standing::Standing;

const ANYTHING: Ask = Ask {
    span: Span::FirstContent,
    session: None,
    prefix: None,
    output: None,
};

fn session(session: u64) -> Ask {
    Ask {
        session: Some(session),
        ..ANYTHING
    }
}

fn policies(targets: usize) -> Vec<Policy> {
    let weights = (0..targets).map(|target| target as f64);
    vec![
        Policy::Order,
        Policy::Latency,
        Policy::Weighted(Weighted::new(weights)),
        Policy::LeastPending,
        Policy::Sticky,
    ]
}

fn views(count: u64) -> Vec<View> {
    (0..count).map(View::unknown).collect()
}

/// How often each target was first in `calls` calls.
fn firsts(policy: &Policy, ask: impl Fn(u64) -> Ask, targets: &[View], calls: u64) -> Vec<u64> {
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut firsts = vec![0; targets.len()];
    for call in 0..calls {
        let ranking = policy.rank(&ask(call), targets, now, &mut rng);
        firsts[ranking.targets()[0]] += 1;
    }
    firsts
}

fn shares(firsts: &[u64]) -> Vec<f64> {
    let all: u64 = firsts.iter().sum();
    firsts
        .iter()
        .map(|first| *first as f64 / all as f64)
        .collect()
}

fn view() -> impl Strategy<Value = (View, u64)> {
    let state = prop_oneof![
        4 => Just((State::Well, 0)),
        1 => (0.1..1.0).prop_map(|share| (State::Recovering(share), 0)),
        1 => Just((State::Due, 0)),
        1 => Just((State::Probing, 0)),
        1 => (1_u64..300).prop_map(|out| (State::Well, out)),
    ];
    let time = || prop::option::of((0_u64..100_000).prop_map(Duration::from_micros));
    (
        (
            state,
            prop::option::weighted(0.2, 1_u64..100),
            0_usize..500,
            0.0..1.0,
        ),
        (
            time(),
            time(),
            prop::option::of(1e-3..1e5),
            0_u64..1_000,
            any::<u64>(),
        ),
    )
        .prop_map(
            |((state, pause, in_flight, quota), (first, whole, speed, idle, id))| {
                let now = Instant::now();
                let (state, out) = state;
                let view = View {
                    in_flight,
                    state: if out > 0 {
                        State::Out(now + Duration::from_secs(out))
                    } else {
                        state
                    },
                    paused_until: pause.map(|pause| now + Duration::from_secs(pause)),
                    quota,
                    first_content: first,
                    whole,
                    speed,
                    idle: Duration::from_secs(idle),
                    ..View::unknown(id)
                };
                (view, out.max(pause.unwrap_or(0)))
            },
        )
}

proptest! {
    #[test]
    fn a_ranking_has_each_target_once_and_the_usable_ones_first(
        targets in prop::collection::vec(view(), 1..12),
        seed in any::<u64>(),
        key in prop::option::of(any::<u64>()),
        output in prop::option::of(0_u32..100_000),
        is_stream in any::<bool>(),
    ) {
        let (views, back): (Vec<View>, Vec<u64>) = targets.into_iter().unzip();
        let now = Instant::now();
        let mut rng = fastrand::Rng::with_seed(seed);
        let span = if is_stream { Span::FirstContent } else { Span::Whole };
        let ask = Ask { span, session: None, prefix: key, output };
        for policy in policies(views.len()) {
            let ranking = policy.rank(&ask, &views, now, &mut rng);
            let mut all = ranking.targets().to_vec();
            let (usable, rest) = all.split_at(ranking.usable().len());
            prop_assert!(usable.iter().all(|target| views[*target].is_usable()));
            prop_assert!(rest.iter().all(|target| !views[*target].is_usable()));
            // Where none is usable the policy ranks those that nobody said to wait for.
            let tries = rest.iter().take_while(|target| !views[**target].is_told_to_wait());
            let tries = if usable.is_empty() { tries.count() } else { 0 };
            let waits: Vec<u64> = rest[tries..].iter().map(|target| back[*target]).collect();
            prop_assert!(tries == 0 || rest[tries..].iter().all(|target| views[*target].is_told_to_wait()));
            // Paused and out are told in whole seconds of slightly different nows.
            prop_assert!(waits.is_sorted(), "{waits:?}");
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..views.len()), "{policy:?}");
        }
    }
}

#[test]
fn the_least_bad_is_asked_when_none_is_good() {
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let out = |seconds| State::Out(now + Duration::from_secs(seconds));
    let mut targets = views(4);
    targets[0].state = out(60);
    targets[1].state = out(20);
    targets[1].paused_until = Some(now + Duration::from_secs(90));
    targets[2].paused_until = Some(now + Duration::from_secs(30));
    targets[3].state = out(40);
    for policy in policies(4) {
        let ranking = policy.rank(&session(1), &targets, now, &mut rng);
        // Those that are out might do it, those that are paused would not.
        assert_eq!(ranking.targets()[2..], [2, 1], "{policy:?}");
        assert!(ranking.usable().is_empty());
    }
    targets[1] = View::unknown(1);
    for policy in policies(4) {
        let ranking = policy.rank(&session(1), &targets, now, &mut rng);
        assert_eq!(ranking.targets(), [1, 2, 3, 0], "{policy:?}");
    }
}

#[test]
fn calls_are_spread_by_the_policy_where_all_are_out() {
    let now = Instant::now();
    let mut targets = views(3);
    for (view, seconds) in targets.iter_mut().zip([5, 10, 15]) {
        view.state = State::Out(now + Duration::from_secs(seconds));
    }
    for policy in policies(3) {
        let shares = shares(&firsts(&policy, session, &targets, 3_000));
        // The first has no weight.
        match policy {
            Policy::Order => assert_eq!(shares, [1.0, 0.0, 0.0]),
            _ => assert!(
                shares[1..].iter().all(|share| *share > 0.28),
                "{policy:?} {shares:?}"
            ),
        }
    }
}

#[test]
fn every_policy_slackens_where_a_quota_runs_out_or_a_target_has_just_come_back() {
    for (change, most) in [
        (
            View {
                quota: 0.05,
                ..View::unknown(0)
            },
            0.65,
        ),
        (
            View {
                quota: 0.01,
                ..View::unknown(0)
            },
            0.2,
        ),
        (
            View {
                quota: 0.004,
                ..View::unknown(0)
            },
            0.0,
        ),
        (
            View {
                state: State::Recovering(0.1),
                ..View::unknown(0)
            },
            0.2,
        ),
    ] {
        let mut targets = views(3);
        for target in &mut targets {
            target.in_flight = 4;
        }
        targets[0] = View {
            in_flight: 4,
            ..change
        };
        for policy in [
            Policy::Order,
            Policy::Latency,
            Policy::Weighted(Weighted::new([1.0; 3])),
            Policy::LeastPending,
            Policy::Sticky,
        ] {
            let usual = if matches!(policy, Policy::Order) {
                1.0
            } else {
                1.0 / 3.0
            };
            let found = shares(&firsts(&policy, session, &targets, 5_000))[0];
            assert!(found <= usual * most, "{policy:?}: {found}, {change:?}");
        }
    }
}

#[test]
fn order_keeps_the_order() {
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut targets = views(4);
    targets[0].in_flight = 400;
    targets[0].first_content = Some(Duration::from_secs(100));
    targets[1].state = State::Probing;
    let ranking = Policy::Order.rank(&ANYTHING, &targets, now, &mut rng);
    assert_eq!(ranking.targets(), [0, 2, 3, 1]);
}

#[test]
fn the_fewest_calls_on_their_way_are_asked_and_equals_in_turn() {
    let mut targets = views(4);
    for (target, in_flight) in targets.iter_mut().zip([5, 3, 9, 3]) {
        target.in_flight = in_flight;
    }
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let ranking = Policy::LeastPending.rank(&ANYTHING, &targets, now, &mut rng);
    assert_eq!(ranking.targets()[2..], [0, 2]);
    let firsts = firsts(&Policy::LeastPending, |_| ANYTHING, &targets, 10_000);
    assert_eq!((firsts[0], firsts[2]), (0, 0));
    assert!(firsts[1].abs_diff(firsts[3]) < 500, "{firsts:?}");
}

#[test]
fn shares_are_kept_over_any_few_calls() {
    for weights in [
        [1.0, 1.0, 1.0],
        [5.0, 3.0, 2.0],
        [90.0, 9.0, 1.0],
        [1.0, 0.0, 0.0],
    ] {
        let policy = Policy::Weighted(Weighted::new(weights));
        let whole: f64 = weights.iter().sum();
        let targets = views(3);
        for calls in [10, 10, 100, 1_000, 10_000] {
            let firsts = firsts(&policy, |_| ANYTHING, &targets, calls);
            for (weight, first) in weights.iter().zip(firsts) {
                let expected = weight / whole * calls as f64;
                let error = (first as f64 - expected).abs();
                assert!(error <= 3.0, "{weights:?}: {first} of {calls}");
            }
        }
    }
}

#[test]
fn shares_go_to_the_others_in_proportion_when_a_target_is_out() {
    let mut targets = views(4);
    targets[0].state = State::Probing;
    let policy = Policy::Weighted(Weighted::new([50.0, 30.0, 10.0, 10.0]));
    let found = shares(&firsts(&policy, |_| ANYTHING, &targets, 1_000));
    for (found, expected) in found.iter().zip([0.0, 0.6, 0.2, 0.2]) {
        assert!((found - expected).abs() < 0.01, "{found} for {expected}");
    }
    // The same for the second place, when the first is found to fail.
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(3);
    let targets = views(4);
    let mut seconds = [0.0_f64; 4];
    for _ in 0..20_000 {
        let ranking = policy.rank(&ANYTHING, &targets, now, &mut rng);
        if ranking.targets()[0] == 0 {
            seconds[ranking.targets()[1]] += 1e-4;
        }
    }
    for (found, expected) in seconds.iter().zip([0.0, 0.6, 0.2, 0.2]) {
        assert!((found - expected).abs() < 0.02, "{found} for {expected}");
    }
}

#[test]
fn weights_that_are_no_weights_leave_a_ranking() {
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    for weights in [
        vec![],
        vec![0.0; 3],
        vec![f64::NAN, -1.0, f64::INFINITY],
        vec![0.0, 2.0],
    ] {
        let policy = Policy::Weighted(Weighted::new(weights.clone()));
        let ranking = policy.rank(&ANYTHING, &views(3), now, &mut rng);
        let expected = usize::from(weights.len() == 2);
        assert_eq!(ranking.targets()[0], expected, "{weights:?}");
    }
}

#[test]
fn sessions_are_spread_evenly_and_stay() {
    for count in [2, 3, 7, 16] {
        for ids in [1, 0x1234_5678_9abc_def1_u64] {
            let targets: Vec<View> = (0..count)
                .map(|at| View::unknown(ids.wrapping_mul(at)))
                .collect();
            let found = shares(&firsts(&Policy::Sticky, session, &targets, 20_000));
            for share in found {
                assert!(
                    (share * count as f64 - 1.0).abs() < 0.1,
                    "{share} of {count}"
                );
            }
        }
    }
    // Nothing is kept and nothing is by lot: another process would say the same.
    let targets = views(5);
    let once = firsts(&Policy::Sticky, |_| session(77), &targets, 100);
    assert!(once.contains(&100));
}

#[test]
fn the_session_counts_before_the_beginning_of_the_prompt() {
    let targets = views(5);
    let home = |ask: Ask| firsts(&Policy::Sticky, |_| ask, &targets, 1);
    for key in 0..50 {
        let prefix = Some(key);
        assert_eq!(home(session(key)), home(Ask { prefix, ..ANYTHING }));
        assert_eq!(
            home(session(key)),
            home(Ask {
                prefix: Some(key + 1),
                ..session(key)
            })
        );
    }
    // Neither: where the fewest are.
    let mut targets = views(3);
    targets[1].in_flight = 0;
    targets[0].in_flight = 1;
    targets[2].in_flight = 1;
    assert_eq!(
        firsts(&Policy::Sticky, |_| ANYTHING, &targets, 10),
        [0, 10, 0]
    );
}

#[test]
fn when_a_target_goes_only_its_sessions_move() {
    let now = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut rank = |key: u64, targets: &[View]| {
        let ranking = Policy::Sticky.rank(&session(key), targets, now, &mut rng);
        ranking.targets()[0]
    };
    let all = views(5);
    let mut without = all.clone();
    without[2].state = State::Probing;
    let mut moved = [0; 5];
    for key in 0..10_000 {
        let (before, after) = (rank(key, &all), rank(key, &without));
        if before == 2 {
            moved[after] += 1;
        } else {
            assert_eq!(before, after, "{key} moved and had no need to");
        }
    }
    assert_eq!(moved[2], 0);
    for to in [0, 1, 3, 4] {
        assert!((400..600).contains(&moved[to]), "{moved:?}");
    }
}

/// Sessions are the callers' to name, so nothing is kept of them: where one goes
/// is worked out each time, and is the same.
#[test]
fn a_million_sessions_leave_nothing_behind() {
    let (policy, targets, now) = (Policy::Sticky, views(4), Instant::now());
    let before = format!("{policy:?}");
    let mut rng = fastrand::Rng::with_seed(1);
    let mut place = |key| {
        policy
            .rank(&session(key), &targets, now, &mut rng)
            .targets()[0]
    };
    let mut first = Vec::new();
    let mut counts = [0; 4];
    for key in 0..1_000_000 {
        let at = place(key);
        counts[at] += 1;
        if key % 10_000 == 0 {
            first.push(at);
        }
    }
    let again: Vec<_> = (0..1_000_000).step_by(10_000).map(&mut place).collect();
    assert_eq!(first, again);
    assert!(
        counts
            .iter()
            .all(|count| (245_000..255_000).contains(count)),
        "{counts:?}"
    );
    assert_eq!(
        format!("{policy:?}"),
        before,
        "it has no room to keep any in"
    );
}

#[test]
fn a_hot_session_does_not_fill_its_target() {
    let start = Instant::now();
    let mut rng = fastrand::Rng::with_seed(1);
    let targets: Vec<_> = (0..4).map(|id| Standing::new(id, id)).collect();
    let mut pending = Vec::new();
    for call in 0..400 {
        let views: Vec<View> = targets.iter().map(|target| target.view(start)).collect();
        // Nine of ten calls are of one session.
        let key = if call % 10 == 0 { call } else { 1_000_000 };
        let ranking = Policy::Sticky.rank(&session(key), &views, start, &mut rng);
        pending.push(targets[ranking.targets()[0]].begin(start, Span::FirstContent, 0));
        let most = targets
            .iter()
            .map(|target| target.view(start).in_flight)
            .max();
        let bound = 1.25 * (call + 1) as f64 / 4.0 + 3.0;
        assert!((most.unwrap() as f64) <= bound, "{most:?} after {call}");
    }
}

#[test]
fn long_answers_go_where_tokens_come_fast() {
    let mut targets = views(2);
    targets[0].first_content = Some(Duration::from_millis(200));
    targets[0].speed = Some(30.0);
    targets[1].first_content = Some(Duration::from_millis(900));
    targets[1].speed = Some(120.0);
    for (output, quicker) in [(None, 0), (Some(10), 0), (Some(1_000), 1)] {
        let ask = Ask { output, ..ANYTHING };
        let found = shares(&firsts(&Policy::Latency, |_| ask, &targets, 1_000));
        assert!(found[quicker] > 0.9, "{output:?}: {found:?}");
    }
    // What is timed is what the caller waits for.
    targets[0].whole = Some(Duration::from_secs(9));
    targets[1].whole = Some(Duration::from_secs(3));
    let whole = Ask {
        span: Span::Whole,
        ..ANYTHING
    };
    let found = shares(&firsts(&Policy::Latency, |_| whole, &targets, 1_000));
    assert!(found[1] > 0.9, "{found:?}");
}
