//! The limits against simulated providers, in steps of five milliseconds.
//!
//! Each provider is given as many calls as the limit allows, all the time
//! where nothing else is said. What is asserted is what its operator would
//! look at: the limit some time after a change, and the share of the possible
//! calls that came to their end.

use std::iter;

use super::*;

/// A refusal that says nothing of when to come again.
const TOO_MANY: Outcome = Outcome::Overloaded { again: None };

const STEP: Duration = Duration::from_millis(5);

/// How a provider that is asked too much behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Excess {
    /// Calls wait within it until one ends.
    Waits,
    /// All calls get slower.
    Shares,
    /// It answers 429.
    Refuses,
}

/// One kind of call.
#[derive(Clone, Copy, Debug)]
struct Kind {
    size: u64,
    /// To the first token and from there to the end, in seconds, without load.
    first: f64,
    rest: f64,
}

struct Run<'a> {
    excess: Excess,
    /// How many calls it can run at a time, by the second.
    capacity: &'a dyn Fn(f64) -> usize,
    /// How many calls there are to make at a time.
    demand: &'a dyn Fn(f64) -> usize,
    /// The share of calls that it refuses whatever its load.
    whims: f64,
    /// The next call.
    kind: &'a dyn Fn(&mut fastrand::Rng) -> Kind,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Seen {
    /// The limit at each step, and what was done in it.
    limit: Vec<usize>,
    /// Work done and work that could have been, in seconds of calls.
    done: Vec<f64>,
    possible: Vec<f64>,
    refused: usize,
    answered: usize,
    /// The sum of the times to the first token over those without load.
    slower: f64,
}

struct Flying {
    mark: Mark,
    kind: Kind,
    began: Instant,
    /// In seconds of work; `None` while it waits within the provider.
    done: Option<f64>,
    heard: bool,
    refused: bool,
}

impl Seen {
    fn limit_at(&self, seconds: f64) -> usize {
        self.limit[index(seconds).min(self.limit.len() - 1)]
    }

    /// The share of what was possible between two moments.
    fn goodput(&self, from: f64, to: f64) -> f64 {
        let done: f64 = self.done[index(from)..index(to)].iter().sum();
        let possible: f64 = self.possible[index(from)..index(to)].iter().sum();
        done / possible
    }
}

fn index(seconds: f64) -> usize {
    (seconds / STEP.as_secs_f64()).round() as usize
}

fn simulate(rule: Rule, run: &Run<'_>) -> Seen {
    let start = Instant::now();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut limit = Limit::new(rule, start);
    let mut flying: Vec<Flying> = Vec::new();
    let mut seen = Seen::default();
    let step = STEP.as_secs_f64();
    for number in 0..index(run.seconds) {
        let now = start + STEP * u32::try_from(number).unwrap();
        let seconds = number as f64 * step;
        let capacity = (run.capacity)(seconds);
        let demand = (run.demand)(seconds);
        let load = |flying: &[Flying]| Load {
            in_flight: flying.len(),
            answering: flying.iter().filter(|call| call.heard).count(),
            waiting: demand.saturating_sub(flying.len()),
        };
        limit.tick(now, load(&flying));
        while flying.len() < limit.most(now).min(demand) {
            let kind = (run.kind)(&mut rng);
            let accepted = flying.iter().filter(|call| !call.refused).count();
            let mut with = load(&flying);
            with.in_flight += 1;
            flying.push(Flying {
                mark: limit.begin(now, Some(Class::new(1, kind.size)), with),
                kind,
                began: now,
                done: match run.excess {
                    Excess::Shares => Some(0.0),
                    _ => None,
                },
                heard: false,
                refused: (run.excess == Excess::Refuses && accepted >= capacity)
                    || rng.f64() < run.whims,
            });
        }
        // A step of work.
        let mut runs = flying.iter().filter(|call| call.done.is_some()).count();
        let mut done = 0.0;
        let speed = match run.excess {
            Excess::Shares => (capacity as f64 / runs.max(1) as f64).min(1.0),
            _ => 1.0,
        };
        for call in &mut flying {
            if call.done.is_none() && !call.refused && runs < capacity {
                call.done = Some(0.0);
                runs += 1;
            }
            if let Some(work) = &mut call.done {
                *work += step * speed;
                done += step * speed;
            }
        }
        let after = now + STEP;
        let mut at = 0;
        while at < flying.len() {
            let call = &flying[at];
            let first = call.done.is_some_and(|done| done >= call.kind.first);
            let all = call.kind.first + call.kind.rest;
            let ends = call.done.is_some_and(|done| done >= all);
            let refused = call.refused && after - call.began >= Duration::from_millis(50);
            let outcome = match () {
                () if first && !call.heard => Some(Outcome::Answered),
                () if refused => Some(TOO_MANY),
                () => None,
            };
            if let Some(outcome) = outcome {
                let mark = call.mark;
                let took = (after - call.began).as_secs_f64();
                if outcome == Outcome::Answered {
                    seen.answered += 1;
                    seen.slower += took / call.kind.first;
                }
                flying[at].heard = true;
                limit.learn(after, mark, outcome, load(&flying));
            }
            if ends || refused {
                seen.refused += usize::from(refused);
                flying.remove(at);
            } else {
                at += 1;
            }
        }
        seen.limit.push(limit.most(after));
        seen.done.push(done);
        seen.possible.push(capacity.min(demand) as f64 * step);
    }
    seen
}

fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (a, b) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// Calls that take about 200 ms to the first token and a second in all.
fn plain(rng: &mut fastrand::Rng) -> Kind {
    Kind {
        size: 1000,
        first: 0.2 * (0.1 * normal(rng)).exp(),
        rest: 0.8 * (0.3 * normal(rng)).exp(),
    }
}

/// Its capacity halves for the second of three parts.
fn halved(capacity: usize) -> impl Fn(f64) -> usize {
    move |seconds| match seconds {
        10.0..20.0 => capacity / 2,
        _ => capacity,
    }
}

/// More than any limit lets in.
fn without_end(_: f64) -> usize {
    2000
}

/// The same, but the whole takes five seconds.
fn long(rng: &mut fastrand::Rng) -> Kind {
    let rest = 4.8 * (0.3 * normal(rng)).exp();
    Kind { rest, ..plain(rng) }
}

/// One in ten takes eight times the median to its first token.
fn noisy(rng: &mut fastrand::Rng) -> Kind {
    let first = 0.2 * normal(rng).exp();
    Kind {
        first,
        ..plain(rng)
    }
}

/// Four in a hundred take twenty times as long to their first token.
fn straggling(rng: &mut fastrand::Rng) -> Kind {
    slower(rng, 0.04, 20.0, 1000)
}

/// Every fifth has a prompt that is a hundred times as large.
fn bimodal(rng: &mut fastrand::Rng) -> Kind {
    slower(rng, 0.2, 10.0, 100_000)
}

/// For every other the engine has the prompt in its cache.
fn cached(rng: &mut fastrand::Rng) -> Kind {
    slower(rng, 0.5, 10.0, 1000)
}

fn slower(rng: &mut fastrand::Rng, share: f64, times: f64, size: u64) -> Kind {
    let plain = plain(rng);
    let first = times * plain.first;
    match rng.f64() < share {
        true => Kind {
            size,
            first,
            ..plain
        },
        false => plain,
    }
}

type Kinds = fn(&mut fastrand::Rng) -> Kind;

const KINDS: [(&str, Kinds); 6] = [
    ("plain", plain),
    ("long", long),
    ("noisy", noisy),
    ("straggling", straggling),
    ("bimodal", bimodal),
    ("cached", cached),
];

#[test]
fn a_capacity_that_halves_and_returns_is_followed_within_two_seconds() {
    for (rule, excess) in [
        (Rule::Aimd, Excess::Refuses),
        (Rule::Gradient, Excess::Waits),
    ] {
        for capacity in [40, 100, 200] {
            let run = Run {
                excess,
                capacity: &halved(capacity),
                demand: &without_end,
                whims: 0.0,
                kind: &plain,
                seconds: 30.0,
            };
            let seen = simulate(rule, &run);
            let (low, high) = (seen.limit_at(12.0), seen.limit_at(22.0));
            let named = format!("{rule:?} of {capacity}: {low}, {high}");
            assert!(low * 10 <= capacity / 2 * 14, "{named}");
            assert!(high * 10 >= capacity * 8, "{named}");
            assert!(seen.goodput(0.0, 30.0) > 0.9, "{named}");
            assert!(seen.goodput(10.0, 20.0) > 0.9, "{named}");
        }
    }
}

#[test]
fn an_engine_that_slows_all_calls_down_is_not_given_more_and_more() {
    for capacity in [40, 100, 200] {
        let run = Run {
            excess: Excess::Shares,
            capacity: &halved(capacity),
            demand: &without_end,
            whims: 0.0,
            kind: &plain,
            seconds: 30.0,
        };
        let seen = simulate(Rule::Gradient, &run);
        let slower = seen.slower / seen.answered as f64;
        // The first second of it included. Given all there is, it would be
        // slower without end.
        assert!(slower < 4.5, "{capacity}: {slower}");
        assert!(seen.limit_at(30.0) < 4 * capacity, "{capacity}");
        assert!(seen.goodput(0.0, 30.0) > 0.9, "{capacity}");
    }
}

#[test]
fn noise_is_not_congestion() {
    for (name, kind) in KINDS {
        for demand in [10, 50, 200] {
            let run = Run {
                excess: Excess::Waits,
                capacity: &|_| 10_000,
                demand: &|_| demand,
                whims: 0.0,
                kind: &kind,
                seconds: 60.0,
            };
            let seen = simulate(Rule::Gradient, &run);
            let held_back = 1.0 - seen.goodput(8.0, 60.0);
            assert!(held_back < 0.01, "{name} of {demand}: {held_back}");
            assert!(seen.limit_at(60.0) >= demand, "{name} of {demand}");
        }
    }
}

#[test]
fn a_storm_of_refusals_is_met_with_few_calls_and_forgotten() {
    let run = Run {
        excess: Excess::Refuses,
        capacity: &|seconds| {
            if (10.0..20.0).contains(&seconds) {
                0
            } else {
                10_000
            }
        },
        demand: &|_| 50,
        whims: 0.0,
        kind: &plain,
        seconds: 40.0,
    };
    let seen = simulate(Rule::Aimd, &run);
    // 50 calls that come again as soon as they are refused would be 10,000.
    assert!(seen.refused < 600, "{}", seen.refused);
    assert!(seen.limit_at(15.0) <= 3, "{}", seen.limit_at(15.0));
    assert!(seen.limit_at(26.0) >= 50, "{}", seen.limit_at(26.0));
    assert_eq!(seen.limit_at(39.0), usize::MAX);
    assert!(seen.goodput(26.0, 40.0) > 0.99);
}

/// A provider that refuses a call now and then for reasons of its own gets all the
/// same as many as there are.
#[test]
fn a_few_refusals_are_no_limit() {
    for demand in [1, 5, 20, 100, 500] {
        for (name, kind) in KINDS {
            let run = Run {
                excess: Excess::Refuses,
                capacity: &|_| usize::MAX,
                demand: &|_| demand,
                whims: 0.05,
                kind: &kind,
                seconds: 60.0,
            };
            let seen = simulate(Rule::Aimd, &run);
            let held_back = seen.limit.iter().filter(|limit| **limit < demand).count();
            let share = held_back as f64 / seen.limit.len() as f64;
            assert!(share < 0.01, "{name} of {demand}: {share}");
        }
    }
}

/// A round of `begun` calls, of which the first `refused` are refused and nothing is
/// heard of the others: the limit then, if there is one.
fn round(in_flight: usize, begun: u32, refused: u32) -> Option<usize> {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut limit = Limit::new(Rule::Aimd, start);
    let mut load = Load {
        in_flight,
        ..Load::default()
    };
    assert!(
        !limit.is_watching(start),
        "nothing to be told while all is well"
    );
    limit.learn(at(50), Mark::unseen(start), TOO_MANY, load);
    assert!(limit.is_watching(at(50)));
    let marks: Vec<Mark> = (0..begun)
        .map(|_| limit.begin(at(60), None, Load::default()))
        .collect();
    load.in_flight += begun as usize;
    for mark in &marks[..refused as usize] {
        limit.learn(at(110), *mark, TOO_MANY, load);
        load.in_flight -= 1;
    }
    limit.current(at(110))
}

#[test]
fn a_round_is_judged_by_the_share_that_is_refused() {
    for (in_flight, begun, refused, expected) in [
        // Too few to say anything, however large their share.
        (100, 0, 0, None),
        (100, 4, 4, None),
        // A share that trying again makes good.
        (100, 40, 4, None),
        (100, 400, 40, None),
        // A hundred have not been refused; a tenth less.
        (100, 5, 5, Some(90)),
        (1, 5, 5, Some(1)),
        // It need not be waited for the other 75.
        (1000, 100, 100, Some(950)),
    ] {
        let found = round(in_flight, begun, refused);
        let is_near = match (found, expected) {
            (Some(found), Some(expected)) => found.abs_diff(expected) <= 1,
            (found, expected) => found == expected,
        };
        assert!(
            is_near,
            "{begun} of which {refused}: {found:?}, not {expected:?}"
        );
    }
}

#[test]
fn a_limit_grows_back_and_is_gone() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut limit = Limit::new(Rule::Aimd, start);
    let load = Load {
        in_flight: 105,
        ..Load::default()
    };
    limit.learn(start, Mark::unseen(start), TOO_MANY, load);
    for _ in 0..5 {
        let mark = limit.begin(start, None, load);
        limit.learn(start, mark, TOO_MANY, load);
    }
    // Nothing that began before tells anything new.
    for _ in 0..9 {
        limit.learn(
            at(1),
            Mark::unseen(start - Duration::from_millis(1)),
            TOO_MANY,
            load,
        );
    }
    let found = [1, 500, 1_000, 1_500, 2_000, 3_999].map(|millis| limit.current(at(millis)));
    assert_eq!(found, [93, 104, 114, 187, 384, 3_668].map(Some));
    assert!(limit.is_watching(at(3_999)) && limit.look_again(at(3_999)).is_some());
    assert_eq!(limit.current(at(4_000)), None);
    assert!(!limit.is_watching(at(4_000)));
}

#[test]
fn calls_are_held_back_only_while_all_are_refused() {
    for (answered, expected) in [(0, 2), (1, 0), (4, 0)] {
        let start = Instant::now();
        let mut limit = Limit::new(Rule::Aimd, start);
        let load = Load {
            in_flight: 1,
            ..Load::default()
        };
        let again = Outcome::Overloaded {
            again: Some(Duration::from_secs(2)),
        };
        limit.learn(start, Mark::unseen(start), again, load);
        // One after the other.
        for outcome in iter::repeat_n(Outcome::Answered, answered).chain([again; 5]) {
            let mark = limit.begin(start, None, load);
            limit.learn(start, mark, outcome, load);
        }
        assert_eq!(limit.current(start), Some(1));
        let held = Duration::from_secs(expected);
        assert_eq!(limit.held(start), held, "{answered} were answered");
    }
}

#[test]
fn when_it_opens_is_told_before() {
    let start = Instant::now();
    let mut limit = Limit::new(Rule::Aimd, start);
    assert_eq!(limit.opens(start, 1_000), Some(Duration::ZERO));
    let load = Load {
        in_flight: 105,
        ..Load::default()
    };
    for _ in 0..6 {
        let mark = limit.begin(start, None, load);
        limit.learn(start, mark, TOO_MANY, load);
    }
    assert!(limit.current(start).is_some());
    for now in [0, 250, 1_000, 3_000].map(|millis| start + Duration::from_millis(millis)) {
        for calls in [1, 95, 105, 150, 1_000, 1_000_000] {
            let opens = limit.opens(now, calls).expect("it grows by itself");
            let room = |at: Instant| limit.current(at).is_none_or(|limit| limit >= calls);
            let moment = Duration::from_millis(1);
            assert!(room(now + opens + moment), "{calls} after {opens:?}");
            if opens > moment {
                assert!(!room(now + opens - moment), "{calls} before {opens:?}");
            }
        }
    }
}
