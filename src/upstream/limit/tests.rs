//! The limits against simulated providers, in steps of five milliseconds.
//!
//! Each provider is given as many calls as the limit allows, all the time
//! where nothing else is said. What is asserted is what its operator would
//! look at: the limit some time after a change, and the share of the possible
//! calls that came to their end.

use super::*;

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
    /// The next call.
    kind: &'a dyn Fn(&mut fastrand::Rng) -> Kind,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Seen {
    /// The limit, and what was done up to then, at each step.
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
        while flying.len() < limit.allows(now, load(&flying)).min(demand) {
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
                refused: run.excess == Excess::Refuses && accepted >= capacity,
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
                () if refused => Some(Outcome::Overloaded),
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
        seen.limit.push(limit.current(after));
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

fn without_end(_: f64) -> usize {
    usize::MAX / 2
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
        kind: &plain,
        seconds: 40.0,
    };
    let seen = simulate(Rule::Aimd, &run);
    // 50 calls that come again as soon as they are refused would be 10,000.
    assert!(seen.refused < 600, "{}", seen.refused);
    assert!(seen.limit_at(15.0) <= 3, "{}", seen.limit_at(15.0));
    assert!(seen.limit_at(26.0) >= 50, "{}", seen.limit_at(26.0));
    assert_eq!(seen.limit_at(39.0), CEILING);
    assert!(seen.goodput(26.0, 40.0) > 0.99);
}

#[test]
fn one_refusal_costs_a_fifth_for_a_second() {
    let now = Instant::now();
    let load = Load {
        in_flight: 100,
        ..Load::default()
    };
    let mut limit = Limit::new(Rule::Aimd, now);
    assert!(
        !limit.is_watching(now),
        "nothing to be told while it is open"
    );
    let mark = Mark::unseen(now);
    let later = |millis| now + Duration::from_millis(millis);
    limit.learn(later(50), mark, Outcome::Overloaded, load);
    assert_eq!(limit.current(later(50)), 80);
    // The others of the same round trip.
    for _ in 0..10 {
        limit.learn(later(60), mark, Outcome::Overloaded, load);
    }
    assert!(limit.current(later(60)) >= 80);
    assert_eq!(limit.current(later(750)), 100);
    assert!(limit.is_watching(later(750)) && limit.look_again(later(750)).is_some());
    assert_eq!(limit.current(later(6000)), CEILING);
    assert!(!limit.is_watching(later(6000)));
}

/// A bucket of 100 calls that fills with 20 a second. Everybody comes at once,
/// and again and again.
#[test]
fn a_quota_that_is_told_spares_most_refusals() {
    let refused = |told: bool| {
        let start = Instant::now();
        let mut limit = Limit::new(Rule::Aimd, start);
        let mut bucket: f64 = 100.0;
        // When each call was begun, and whether it will be refused.
        let mut flying: Vec<(Mark, bool)> = Vec::new();
        let (mut refused, mut answered) = (0, 0);
        for number in 0..6000u32 {
            let now = start + STEP * number;
            bucket = (bucket + 20.0 * STEP.as_secs_f64()).min(100.0);
            let load = |flying: &[(Mark, bool)]| Load {
                in_flight: flying.len(),
                ..Load::default()
            };
            while flying.len() < limit.allows(now, load(&flying)).min(150) {
                let refuse = bucket < 1.0;
                bucket -= if refuse { 0.0 } else { 1.0 };
                flying.push((limit.begin(now, None, load(&flying)), refuse));
            }
            let over = |mark: &Mark| now - mark.since >= Duration::from_millis(500);
            while let Some(at) = flying.iter().position(|(mark, _)| over(mark)) {
                let (mark, refuse) = flying.remove(at);
                refused += usize::from(refuse);
                answered += usize::from(!refuse);
                let outcome = match refuse {
                    true => Outcome::Overloaded,
                    false => Outcome::Answered,
                };
                limit.learn(now, mark, outcome, load(&flying));
                if told {
                    let quota = Quota {
                        limit: 100.0,
                        remaining: bucket.floor(),
                        resets_in: Duration::from_secs_f64((100.0 - bucket) / 20.0),
                    };
                    limit.quota(now, quota, load(&flying));
                }
            }
        }
        (refused, answered)
    };
    let (without, most) = refused(false);
    let (with, answered) = refused(true);
    assert!(with * 4 < without, "{with} of {without}");
    assert!(answered * 10 > most * 9, "{answered} of {most}");
}
