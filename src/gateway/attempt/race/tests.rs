//! Every path of a race as a script: what happens, and what is to be done then.

mod properties;

use super::super::failure::FailureKind;
use super::*;
use crate::config;

use FailureKind::{Busy, Connect, ContextLength, FirstToken, Status};
use Happens::{Asked, Fails, Is, Pauses, Sent, Wins};
use Readiness::{Ejected, Paused, Ready};
use Want::{Begin, Drops, Rest, TimeUp, Told, Until, Within};
use Why::{Fallback, First, Retry};

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// Nothing, but the race is asked.
    Asked,
    Sent(usize),
    Fails(usize, FailureKind),
    /// A refusal that says how many milliseconds to wait.
    Pauses(usize, u16, u64),
    /// From now on the target at this place is like this.
    Is(usize, Readiness),
    Wins(usize),
}

/// What the race says then. Times are milliseconds from the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    Begin(usize, usize, Why),
    /// Wait for an event, at most until the deadline.
    Rest,
    Until(u64),
    /// Wait until a time in this range, jitter being in it.
    Within(u64, u64),
    /// Give up, with the failure of that attempt.
    Told(usize),
    /// Give up, the deadline having passed.
    TimeUp,
    /// It is won, and this attempt at this place is dropped, having waited.
    Drops(usize, usize, u64),
    /// It is won and nobody else was running.
    Over,
}

/// A world that does what a row of a table says.
#[derive(Clone, Debug)]
struct Scripted {
    targets: Vec<Readiness>,
    p95: Option<Duration>,
    p99: Option<Duration>,
    effect: Effect,
    /// Of the places for which it is known.
    medians: Vec<Duration>,
    /// Retries left in every budget.
    retries: u32,
    objection: Option<Reason>,
    /// Places that paid for a retry.
    paid: Vec<usize>,
    /// Pairs that paid for a hedge.
    hedged: Vec<(usize, usize)>,
    /// Places where an attempt was late.
    late: Vec<usize>,
    /// Extra calls that were not made.
    withheld: Vec<(usize, Withheld)>,
}

impl World for Scripted {
    fn effect(&mut self) -> Effect {
        self.effect
    }

    fn readiness(&mut self, place: usize, _: Instant) -> Readiness {
        self.targets[place]
    }

    fn quantile(&mut self, place: usize, share: f64, _: Instant) -> Option<Duration> {
        let median = self.medians.get(place).copied();
        match share {
            0.5 => median,
            0.99 => self.p99,
            _ => self.p95,
        }
    }

    fn pay_retry(&mut self, failed: usize, _: Instant) -> bool {
        self.paid.push(failed);
        self.paid.len() <= self.retries as usize
    }

    fn pay_hedge(&mut self, late: usize, other: usize, _: Instant) -> Result<(), Reason> {
        self.hedged.push((late, other));
        self.objection.map_or(Ok(()), Err)
    }

    fn late(&mut self, place: usize, _: Instant) {
        self.late.push(place);
    }

    fn withheld(&mut self, place: usize, what: Withheld) {
        self.withheld.push((place, what));
    }
}

const DEADLINE: u64 = 60_000;

fn rules(zero: Instant) -> Rules {
    Rules {
        attempts: 3,
        hedging: Hedging {
            when: config::Hedge::Quantile(0.95),
            min: ms(20),
            max: ms(10_000),
        },
        fallback_on: Fallbacks::default(),
        deadline: Some(zero + ms(DEADLINE)),
        patience: None,
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One path: how it differs from the usual, and what happens when.
struct Path {
    zero: Instant,
    rules: Rules,
    world: Scripted,
}

impl Path {
    /// Three attempts, 60 s, a hedge after 100 ms, enough of every budget.
    fn over(targets: usize) -> Self {
        let zero = Instant::now();
        Self {
            zero,
            rules: rules(zero),
            world: Scripted {
                targets: vec![Ready; targets],
                p95: Some(ms(100)),
                p99: None,
                effect: Effect::Nothing,
                medians: Vec::new(),
                retries: 9,
                objection: None,
                paid: Vec::new(),
                hedged: Vec::new(),
                late: Vec::new(),
                withheld: Vec::new(),
            },
        }
    }

    fn unhedged(targets: usize) -> Self {
        let mut path = Self::over(targets);
        path.rules.hedging = Hedging::OFF;
        path
    }

    fn with(mut self, change: impl FnOnce(&mut Rules, &mut Scripted)) -> Self {
        change(&mut self.rules, &mut self.world);
        self
    }

    fn rules(self, change: impl FnOnce(&mut Rules)) -> Self {
        self.with(|rules, _| change(rules))
    }

    fn world(self, change: impl FnOnce(&mut Scripted)) -> Self {
        self.with(|_, world| change(world))
    }

    /// Plays it. Each row: when, what happens, what is to be done.
    fn plays(mut self, script: &[(u64, Happens, Want)]) -> (Race, Scripted) {
        let mut race = Race::new(self.rules, self.world.targets.len());
        let mut rng = fastrand::Rng::with_seed(7);
        for (row, (at, happens, want)) in script.iter().enumerate() {
            let now = self.zero + ms(*at);
            let mut lost = None;
            match *happens {
                Asked => {}
                Sent(attempt) => race.sent(attempt, now),
                Fails(attempt, kind) => {
                    let failure = Failure::new(kind);
                    race.failed(attempt, &failure, self.world.effect, now, &mut rng);
                }
                Pauses(attempt, status, wait) => {
                    let failure = Failure::new(Status(status)).pause(Some(ms(wait)));
                    race.failed(attempt, &failure, self.world.effect, now, &mut rng);
                }
                Is(place, readiness) => self.world.targets[place] = readiness,
                Wins(attempt) => lost = Some(race.won(attempt, now)),
            }
            let said = race.next(now, &mut self.world);
            let read = match (lost, said) {
                (Some(None), Step::Wait(None)) => Want::Over,
                (Some(Some(loser)), Step::Wait(None)) => {
                    let waited = loser.waited.map_or(0, |waited| waited.as_millis() as u64);
                    Drops(loser.attempt, loser.place, waited)
                }
                (_, step) => self.read(step, *want),
            };
            assert_eq!(read, *want, "row {row}: {happens:?} at {at} ms");
        }
        (race, self.world)
    }

    fn read(&self, step: Step, want: Want) -> Want {
        let until = |at: Instant| (at - self.zero).as_millis() as u64;
        match step {
            Step::Start {
                attempt,
                place,
                why,
            } => Begin(attempt, place, why),
            Step::Wait(at) if at == self.rules.deadline => Rest,
            Step::Wait(Some(at)) => match want {
                Within(least, most) if (least..=most).contains(&until(at)) => want,
                _ => Until(until(at)),
            },
            Step::Wait(None) => Rest,
            Step::GiveUp(Blame::Attempt(attempt)) => Told(attempt),
            Step::GiveUp(Blame::Deadline) => TimeUp,
        }
    }
}

/// The first attempt is begun and sent at once.
const BEGUN: [(u64, Happens, Want); 2] = [(0, Asked, Begin(0, 0, First)), (0, Sent(0), Rest)];

/// As [`BEGUN`], and its hedge begins at a second place after 100 ms.
const HEDGED: [(u64, Happens, Want); 4] = [
    (0, Asked, Begin(0, 0, First)),
    (0, Sent(0), Until(100)),
    (100, Asked, Begin(1, 1, Why::Hedge)),
    (100, Sent(1), Rest),
];

fn after(
    begin: &[(u64, Happens, Want)],
    rest: &[(u64, Happens, Want)],
) -> Vec<(u64, Happens, Want)> {
    [begin, rest].concat()
}

#[test]
fn a_call_that_succeeds_is_one_call_and_allocates_nothing() {
    let script = after(&BEGUN, &[(250, Wins(0), Want::Over), (300, Asked, Rest)]);
    let (race, world) = Path::unhedged(3).plays(&script);
    assert_eq!((race.calls(), race.has_spent_retries()), (1, false));
    assert_eq!(race.not_hedged(), Some(Reason::Off));
    assert_eq!((world.paid.len(), world.hedged.len()), (0, 0));
    assert_eq!(race.places.allocated(), 0);
    assert!(size_of::<Race>() <= 336, "{} bytes", size_of::<Race>());
}

#[test]
fn the_hedge_counts_from_when_the_first_was_sent() {
    let (race, _) = Path::over(2).plays(&[
        (0, Asked, Begin(0, 0, First)),
        // In the queue.
        (500, Asked, Rest),
        (600, Sent(0), Until(700)),
        // Told twice, the first time counts.
        (650, Sent(0), Until(700)),
        (700, Asked, Begin(1, 1, Why::Hedge)),
        // The hedge waits in a queue too, and nothing more is begun.
        (900, Asked, Rest),
        (950, Wins(0), Drops(1, 1, 0)),
    ]);
    assert_eq!(race.calls(), 1, "the hedge never went upstream");
}

#[test]
fn whoever_wins_the_other_is_dropped_with_how_long_it_waited() {
    let first = after(&HEDGED, &[(150, Wins(0), Drops(1, 1, 50))]);
    let hedge = after(&HEDGED, &[(150, Wins(1), Drops(0, 0, 150))]);
    for script in [first, hedge] {
        let (race, world) = Path::over(2).plays(&script);
        assert_eq!((race.calls(), race.has_spent_retries()), (2, false));
        assert_eq!((world.hedged, world.paid.len()), (vec![(0, 1)], 0));
        assert_eq!(race.not_hedged(), None);
    }
}

#[test]
fn a_hedge_goes_to_another_target_else_to_another_connection() {
    let place = |targets: Vec<Readiness>| {
        let path = Path::over(targets.len()).world(|world| world.targets = targets);
        let mut world = path.world.clone();
        let mut race = Race::new(path.rules, world.targets.len());
        race.next(path.zero, &mut world);
        race.sent(0, path.zero);
        match race.next(path.zero + ms(100), &mut world) {
            Step::Start { place, .. } => Ok(place),
            _ => Err(race.not_hedged()),
        }
    };
    let later = Instant::now() + ms(5_000);
    for (targets, expected) in [
        (vec![Ready], Ok(0)),
        (vec![Ready, Ready, Ready], Ok(1)),
        (vec![Ready, Ejected, Ready], Ok(2)),
        (vec![Ready, Paused(later), Ejected], Ok(0)),
        (vec![Ejected, Ready], Ok(1)),
        (vec![Paused(later)], Err(Some(Reason::Unhealthy))),
        (vec![Ejected, Ejected], Err(Some(Reason::Unhealthy))),
    ] {
        assert_eq!(place(targets.clone()), expected, "{targets:?}");
    }
}

#[test]
fn a_hedge_does_not_go_where_it_would_come_too_late() {
    for (medians, place) in [
        (vec![60, 100], 1),
        (vec![60, 101], 2),
        (vec![60, 101, 101], 0),
        // Its own is no reason: where else, and it is late already.
        (vec![101, 101, 101], 0),
    ] {
        let medians: Vec<Duration> = medians.into_iter().map(ms).collect();
        let path = Path::over(3).world(|world| world.medians = medians);
        path.plays(&[
            (0, Asked, Begin(0, 0, First)),
            (0, Sent(0), Until(100)),
            (100, Asked, Begin(1, place, Why::Hedge)),
        ]);
    }
}

#[test]
fn what_speaks_against_a_hedge_is_said() {
    use config::Hedge;
    let off = |path: Path| path.rules(|rules| rules.hedging.when = Hedge::Off);
    let cold = |path: Path| path.world(|world| world.p95 = None);
    for (path, reason) in [
        (off(Path::over(2)), Reason::Off),
        (cold(Path::over(2)), Reason::NoStatistics),
    ] {
        let script = after(&BEGUN, &[(5_000, Asked, Rest)]);
        let (race, world) = path.plays(&script);
        assert_eq!(race.not_hedged(), Some(reason));
        let said = (reason != Reason::Off).then_some((0, Withheld::Hedge(reason)));
        assert_eq!(world.withheld, said.into_iter().collect::<Vec<_>>());
    }
    for effect in [Effect::Trace, Effect::Act] {
        let path = Path::over(2).world(|world| world.effect = effect);
        let (race, world) = path.plays(&[
            (0, Asked, Begin(0, 0, First)),
            (0, Sent(0), Until(100)),
            (100, Asked, Rest),
        ]);
        assert_eq!(race.not_hedged(), Some(Reason::SideEffects));
        let said = Withheld::Hedge(Reason::SideEffects);
        assert_eq!(world.withheld, [(0, said)]);
        assert_eq!(world.late, [0], "late it is all the same");
    }
    for reason in [Reason::NoBudget, Reason::SlowAsAWhole, Reason::NearLimit] {
        let path = Path::over(2).world(|world| world.objection = Some(reason));
        let (race, world) = path.plays(&[
            (0, Asked, Begin(0, 0, First)),
            (0, Sent(0), Until(100)),
            (100, Asked, Rest),
            (200, Asked, Rest),
        ]);
        assert_eq!(race.not_hedged(), Some(reason));
        assert_eq!(world.hedged.len(), 1, "it asks once, not until it gets one");
        assert_eq!(world.withheld, [(0, Withheld::Hedge(reason))]);
    }
}

#[test]
fn one_of_two_fails_and_the_other_goes_on_alone() {
    // The hedge fails: its elder goes on, and nobody stands in for the hedge.
    let (race, world) = Path::over(3).plays(&after(
        &HEDGED,
        &[
            (150, Fails(1, Connect), Rest),
            (9_000, Asked, Rest),
            (9_000, Wins(0), Want::Over),
        ],
    ));
    assert_eq!((race.calls(), world.paid.len()), (2, 0));
    // The elder fails: the hedge is the retry already.
    let (race, world) = Path::over(3).plays(&after(
        &HEDGED,
        &[
            (150, Fails(0, Status(503)), Rest),
            (9_000, Asked, Rest),
            (9_000, Wins(1), Want::Over),
        ],
    ));
    assert_eq!((race.calls(), world.paid.len()), (2, 0));
    assert!(!race.has_spent_retries());
}

#[test]
fn when_both_have_failed_attempts_that_are_left_are_made() {
    // Three after failures, and the hedge on top: four in all, no second hedge.
    let (race, world) = Path::over(3).plays(&after(
        &HEDGED,
        &[
            (150, Fails(1, Connect), Rest),
            (200, Fails(0, Status(503)), Begin(2, 2, Fallback)),
            (200, Sent(2), Rest),
            (5_000, Asked, Rest),
            // All were tried and have rested, but for the last.
            (5_000, Fails(2, Connect), Begin(3, 0, Retry)),
            (5_000, Sent(3), Rest),
            (5_100, Fails(3, Connect), Told(0)),
            (5_200, Asked, Told(0)),
        ],
    ));
    assert_eq!(race.calls(), 4);
    assert_eq!(world.paid, [0, 2], "paid by the last to fail");
    assert!(race.has_spent_retries());
    // None are left.
    let path = Path::over(3).rules(|rules| rules.attempts = 1);
    let (race, world) = path.plays(&after(
        &HEDGED,
        &[
            (150, Fails(0, Status(503)), Rest),
            (200, Fails(1, Connect), Told(0)),
        ],
    ));
    assert_eq!((race.calls(), world.paid.len()), (2, 0));
    assert!(!race.has_spent_retries(), "the caller's own may help");
}

#[test]
fn a_retry_is_hedged_if_nothing_was_yet() {
    Path::over(3).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (0, Sent(0), Until(100)),
        (50, Fails(0, Status(500)), Begin(1, 1, Fallback)),
        (60, Sent(1), Until(160)),
        (160, Asked, Begin(2, 2, Why::Hedge)),
        (170, Fails(2, Connect), Rest),
        (200, Fails(1, Status(500)), Begin(3, 2, Retry)),
    ]);
}

#[test]
fn a_refusal_goes_elsewhere_at_once_or_is_waited_for() {
    // Two targets: the other at once, whatever the pause.
    Path::unhedged(2).plays(&after(
        &BEGUN,
        &[
            (10, Pauses(0, 429, 5_000), Begin(1, 1, Fallback)),
            // Both were tried: the one that is back first.
            (20, Pauses(1, 429, 2_000), Within(2_020, 2_520)),
            (2_521, Asked, Begin(2, 1, Retry)),
            (2_600, Pauses(2, 429, 9_000), Told(2)),
        ],
    ));
    // One target: after the pause it asked for.
    Path::unhedged(1).plays(&after(
        &BEGUN,
        &[
            (10, Pauses(0, 429, 5_000), Within(5_010, 5_510)),
            (3_000, Asked, Within(5_010, 5_510)),
            (5_511, Asked, Begin(1, 0, Retry)),
        ],
    ));
    // One target that says nothing: after a back-off that doubles.
    Path::unhedged(1).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Status(503)), Within(11, 510)),
            (511, Asked, Begin(1, 0, Retry)),
            (600, Fails(1, Status(503)), Within(601, 1_600)),
        ],
    ));
    // The network: at once elsewhere, and at the same nearly so.
    Path::unhedged(2).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, FirstToken), Begin(1, 1, Fallback)),
            (100, Fails(1, Connect), Begin(2, 0, Retry)),
        ],
    ));
    Path::unhedged(1).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Connect), Within(10, 35)),
            (36, Asked, Begin(1, 0, Retry)),
        ],
    ));
}

#[test]
fn a_pause_is_not_waited_for_beyond_the_deadline() {
    let short = |targets| {
        let path = Path::unhedged(targets);
        let deadline = path.zero + ms(3_000);
        path.rules(|rules| rules.deadline = Some(deadline))
    };
    let (race, world) = short(1).plays(&after(&BEGUN, &[(10, Pauses(0, 429, 2_990), Told(0))]));
    assert!(
        !race.has_spent_retries(),
        "the caller has more time, perhaps"
    );
    assert_eq!(world.paid.len(), 0);
    assert_eq!(world.withheld, [(0, Withheld::Pause)]);
    short(2).plays(&after(
        &BEGUN,
        &[
            (10, Pauses(0, 429, 5_000), Begin(1, 1, Fallback)),
            (20, Pauses(1, 529, 5_000), Told(1)),
        ],
    ));
    // Nor for more than a minute, whatever time the call has.
    for deadline in [None, Some(600_000)] {
        let patient = || {
            let path = Path::unhedged(1);
            let deadline = deadline.map(|at| path.zero + ms(at));
            path.rules(|rules| rules.deadline = deadline)
        };
        let (race, _) = patient().plays(&after(&BEGUN, &[(10, Pauses(0, 429, 60_000), Told(0))]));
        assert!(!race.has_spent_retries());
        patient().plays(&after(
            &BEGUN,
            &[(10, Pauses(0, 429, 30_000), Within(30_010, 30_510))],
        ));
    }
}

#[test]
fn a_pause_that_others_lengthen_is_waited_for_as_it_was() {
    let unbounded = || Path::unhedged(1).rules(|rules| rules.deadline = None);
    // One's own, of which others are told again and again, and longer ones.
    let path = unbounded();
    let (later, last) = (path.zero + ms(34_000), path.zero + ms(80_000));
    path.world(|world| world.targets[0] = Paused(later))
        .plays(&after(
            &BEGUN,
            &[
                (10, Pauses(0, 429, 30_000), Within(30_010, 30_510)),
                (29_000, Is(0, Paused(last)), Within(30_010, 30_510)),
                (30_511, Asked, Begin(1, 0, Retry)),
            ],
        ));
    // That of others, where one was told nothing.
    let path = unbounded();
    let (two, three) = (path.zero + ms(2_000), path.zero + ms(3_000));
    path.world(|world| world.targets[0] = Paused(two))
        .plays(&after(
            &BEGUN,
            &[
                (10, Fails(0, Status(500)), Until(2_000)),
                (1_999, Is(0, Paused(three)), Until(2_000)),
                (2_000, Asked, Begin(1, 0, Retry)),
            ],
        ));
}

#[test]
fn a_back_off_grows_with_the_failures_of_its_target() {
    let longest = |failures: usize| {
        let waits = (0..100).map(|seed| {
            let path = Path::unhedged(1).rules(|rules| rules.attempts = 9);
            let (mut race, mut world) = (Race::new(path.rules, 1), path.world);
            let (mut rng, mut now) = (fastrand::Rng::with_seed(seed), path.zero);
            let mut failed = path.zero;
            for attempt in 0..failures {
                while let Step::Wait(until) = race.next(now, &mut world) {
                    now = until.expect("a time, as nothing runs");
                }
                failed = now;
                race.failed(
                    attempt,
                    &Failure::new(Status(503)),
                    Effect::Nothing,
                    now,
                    &mut rng,
                );
            }
            match race.next(now, &mut world) {
                Step::Wait(Some(until)) => until - failed,
                _ => Duration::ZERO,
            }
        });
        waits.max().unwrap_or_default().as_millis()
    };
    for (failures, range) in [(1, 450..=500), (2, 900..=1_000), (4, 3_600..=4_000)] {
        let longest = longest(failures);
        assert!(range.contains(&longest), "{longest} after {failures}");
    }
}

#[test]
fn a_pause_of_a_target_is_everybodys() {
    let path = Path::unhedged(2);
    let (two, three) = (path.zero + ms(2_000), path.zero + ms(3_000));
    // One not tried that is back sooner goes before one that failed here.
    path.world(|world| world.targets[1] = Paused(two))
        .plays(&after(
            &BEGUN,
            &[
                (10, Pauses(0, 429, 5_000), Until(2_000)),
                // Others are told to wait longer meanwhile, then it is let go.
                (1_000, Is(1, Paused(three)), Until(2_000)),
                (1_500, Is(1, Ready), Begin(1, 1, Fallback)),
            ],
        ));
    // One that is ready does not wait for anybody's pause.
    let path = Path::unhedged(3);
    let two = path.zero + ms(2_000);
    path.world(|world| world.targets[1] = Paused(two))
        .plays(&after(
            &BEGUN,
            &[
                (10, Fails(0, Connect), Begin(1, 2, Fallback)),
                (100, Fails(1, Connect), Begin(2, 0, Retry)),
            ],
        ));
    // What the call itself was told holds beside it.
    let path = Path::unhedged(1);
    let two = path.zero + ms(2_000);
    path.world(|world| world.targets[0] = Paused(two))
        .plays(&after(
            &BEGUN,
            &[(10, Pauses(0, 429, 5_000), Within(5_010, 5_510))],
        ));
    // One that ends with the call is of no use.
    let path = Path::unhedged(2);
    let end = path.zero + ms(DEADLINE);
    path.world(|world| world.targets[1] = Paused(end))
        .plays(&after(&BEGUN, &[(10, Pauses(0, 429, 70_000), Told(0))]));
}

#[test]
fn an_ejected_target_is_the_last_resort() {
    let ejected = |places: &[usize]| {
        let places = places.to_vec();
        Path::unhedged(3).world(move |world| {
            places
                .iter()
                .for_each(|place| world.targets[*place] = Ejected);
        })
    };
    // Ready ones first, then a rest is waited for.
    ejected(&[1]).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Status(503)), Begin(1, 2, Fallback)),
            (20, Pauses(1, 503, 1_000), Within(20, 510)),
        ],
    ));
    // Rather than giving up, it is asked.
    ejected(&[1, 2]).plays(&after(
        &BEGUN,
        &[
            (10, Pauses(0, 429, 70_000), Begin(1, 1, Fallback)),
            (20, Fails(1, Connect), Begin(2, 2, Fallback)),
        ],
    ));
    // All are: the ranking's order, and each once.
    ejected(&[0, 1, 2]).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Connect), Begin(1, 1, Fallback)),
            (20, Fails(1, Connect), Begin(2, 2, Fallback)),
            (30, Fails(2, Connect), Told(2)),
        ],
    ));
}

#[test]
fn a_retry_is_paid_for_before_the_pause() {
    let poor = |retries| Path::unhedged(1).world(move |world| world.retries = retries);
    let (race, world) = poor(0).plays(&after(
        &BEGUN,
        &[(10, Pauses(0, 503, 5_000), Told(0)), (20, Asked, Told(0))],
    ));
    assert_eq!((race.calls(), world.paid.len()), (1, 1));
    assert!(race.has_spent_retries(), "the traffic has");
    assert_eq!(world.withheld, [(0, Withheld::Budget)]);
    let (_, world) = poor(1).plays(&after(
        &BEGUN,
        &[
            (10, Pauses(0, 503, 5_000), Within(5_010, 5_510)),
            (1_000, Asked, Within(5_010, 5_510)),
            (5_511, Asked, Begin(1, 0, Retry)),
            (5_600, Fails(1, Connect), Told(0)),
        ],
    ));
    assert_eq!(world.paid.len(), 2);
}

#[test]
fn leaving_a_target_that_is_out_costs_no_budget() {
    let poor = || Path::unhedged(2).world(|world| world.retries = 0);
    let out = (10, Is(0, Ejected), Rest);
    let (_, world) = poor().plays(&after(
        &BEGUN,
        &[
            out,
            (20, Fails(0, FirstToken), Begin(1, 1, Fallback)),
            // Coming back to it does.
            (30, Fails(1, Connect), Told(1)),
        ],
    ));
    assert_eq!(world.paid, [1]);
    // Nor is it a move if the other is out as well.
    poor().plays(&after(
        &BEGUN,
        &[
            out,
            (20, Is(1, Ejected), Rest),
            (30, Fails(0, Connect), Told(0)),
        ],
    ));
}

#[test]
fn what_asking_again_would_not_change_is_final() {
    let (race, _) =
        Path::unhedged(2).plays(&after(&BEGUN, &[(10, Fails(0, Status(400)), Told(0))]));
    assert!(!race.has_spent_retries());
    Path::unhedged(2).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Status(500)), Begin(1, 1, Fallback)),
            (20, Fails(1, Status(400)), Told(1)),
        ],
    ));
    // Of the elder: its hedge may still bring it, but nothing is begun.
    Path::over(3).plays(&after(
        &HEDGED,
        &[
            (150, Fails(0, Status(401)), Rest),
            (160, Fails(1, Status(503)), Told(1)),
        ],
    ));
    // Of the hedge: its target is out, its elder's failure decides.
    Path::over(2).plays(&after(
        &HEDGED,
        &[
            (150, Fails(1, Status(401)), Rest),
            (160, Fails(0, Status(503)), Within(160, 660)),
            (661, Asked, Begin(2, 0, Retry)),
        ],
    ));
    // Of a hedge over another connection: the one target is out.
    Path::over(1).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (0, Sent(0), Until(100)),
        (100, Asked, Begin(1, 0, Why::Hedge)),
        (150, Fails(1, Status(400)), Rest),
        (160, Fails(0, Connect), Told(1)),
    ]);
}

#[test]
fn a_rule_sends_it_to_another_target_and_costs_no_budget() {
    let ruled = |targets| {
        Path::unhedged(targets).with(|rules, world| {
            rules.fallback_on = rules.fallback_on.on(ContextLength);
            world.retries = 0;
        })
    };
    let (race, world) = ruled(2).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, ContextLength), Begin(1, 1, Fallback)),
            (20, Fails(1, ContextLength), Told(1)),
        ],
    ));
    assert_eq!(
        (race.calls(), world.paid.len()),
        (1, 0),
        "attempt 1 was never sent"
    );
    ruled(1).plays(&after(&BEGUN, &[(10, Fails(0, ContextLength), Told(0))]));
    // The queue in front of a target did its waiting already.
    Path::unhedged(1).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (10, Fails(0, Busy), Told(0)),
    ]);
    Path::unhedged(2).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (10, Fails(0, Busy), Begin(1, 1, Fallback)),
        (20, Fails(1, Status(503)), Within(20, 520)),
        (521, Asked, Begin(2, 1, Retry)),
    ]);
}

#[test]
fn a_call_with_side_effects_is_repeated_only_if_it_had_none() {
    for (kind, is_repeated) in [
        (Connect, true),
        (Busy, true),
        (Status(429), true),
        (Status(503), true),
        (Status(529), true),
        (Status(500), false),
        (Status(408), false),
        (Status(504), false),
        (FailureKind::Reset, false),
        (FirstToken, false),
        (FailureKind::Broken, false),
        (FailureKind::ContentPolicy, false),
        (ContextLength, true),
        (Status(400), false),
    ] {
        let want = if is_repeated {
            Begin(1, 1, Fallback)
        } else {
            Told(0)
        };
        let path = Path::unhedged(2).with(|rules, world| {
            world.effect = Effect::Act;
            rules.fallback_on = rules.fallback_on.on(ContextLength);
        });
        path.plays(&after(&BEGUN, &[(2_000, Fails(0, kind), want)]));
    }
}

/// A call of 60 s answered in one piece, where a first token may take 10 s.
fn in_one_piece(targets: usize) -> Path {
    Path::unhedged(targets).rules(|rules| rules.patience = Some(ms(10_000)))
}

#[test]
fn an_answer_in_one_piece_that_says_nothing_gets_another_beside_it() {
    // After three times what nearly all take, and no sooner than a first token
    // may be late; where that is not known, after half of the time.
    for (p99, due) in [
        (Some(1_000), 10_000),
        (Some(5_000), 15_000),
        (None, 30_000),
        (Some(20_000), 60_000),
    ] {
        let path = in_one_piece(2).world(|world| world.p99 = p99.map(ms));
        let begun = [(0, Asked, Begin(0, 0, First)), (0, Sent(0), Until(10_000))];
        let more = match due {
            10_000 => vec![(10_000, Asked, Begin(1, 1, Fallback))],
            DEADLINE => vec![(10_000, Asked, Rest)],
            _ => vec![
                (10_000, Asked, Until(due)),
                (due, Asked, Begin(1, 1, Fallback)),
            ],
        };
        path.plays(&after(&begun, &more));
    }
    // A call of less time has half of it.
    let path = in_one_piece(2);
    let deadline = path.zero + ms(4_000);
    path.rules(|rules| rules.deadline = Some(deadline)).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (0, Sent(0), Until(2_000)),
        (2_000, Asked, Begin(1, 1, Fallback)),
        (4_000, Asked, TimeUp),
    ]);
}

/// From when its only attempt was sent to when another is made beside it.
const DOUBTED: [(u64, Happens, Want); 5] = [
    (0, Asked, Begin(0, 0, First)),
    (0, Sent(0), Until(10_000)),
    (10_000, Asked, Until(30_000)),
    (30_000, Asked, Begin(1, 1, Fallback)),
    (30_000, Sent(1), Rest),
];

#[test]
fn the_one_that_said_nothing_goes_on_and_may_win() {
    let (race, world) =
        in_one_piece(2).plays(&after(&DOUBTED, &[(31_000, Wins(0), Drops(1, 1, 1_000))]));
    assert_eq!((race.calls(), world.paid), (2, vec![0]));
    let path = in_one_piece(2);
    let mut race = Race::new(path.rules, 2);
    let mut world = path.world;
    race.next(path.zero, &mut world);
    race.sent(0, path.zero);
    race.next(path.zero + ms(30_000), &mut world);
    let loser = race.won(1, path.zero + ms(31_000));
    assert!(loser.is_some_and(|loser| loser.is_overdue), "{loser:?}");
    // The other fails: this one goes on, and gets no third.
    in_one_piece(3).plays(&after(
        &DOUBTED,
        &[
            (31_000, Fails(1, Connect), Rest),
            (50_000, Asked, Rest),
            (50_000, Fails(0, Connect), Begin(2, 2, Fallback)),
        ],
    ));
}

#[test]
fn nothing_is_made_beside_what_must_not_be_made_twice_or_has_no_more_tries() {
    let effects = |effect| in_one_piece(2).world(|world| world.effect = effect);
    let poor = in_one_piece(2).world(|world| world.retries = 0);
    let alone = in_one_piece(1).world(|world| world.targets = vec![Ejected]);
    for path in [effects(Effect::Act), effects(Effect::Trace), poor, alone] {
        path.plays(&after(
            &DOUBTED[..3],
            &[(30_000, Asked, Rest), (59_000, Asked, Rest)],
        ));
    }
    let once = in_one_piece(2).rules(|rules| rules.attempts = 1);
    once.plays(&BEGUN);
}

#[test]
fn attempts_bound_what_follows_failures() {
    for (attempts, expected) in [(0, 1), (1, 1), (2, 2), (3, 3), (7, 7)] {
        let path = Path::unhedged(2).rules(|rules| rules.attempts = attempts);
        let mut world = path.world;
        let mut race = Race::new(path.rules, 2);
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut now, mut begun) = (path.zero, 0);
        loop {
            match race.next(now, &mut world) {
                Step::Start { attempt, .. } => {
                    begun += 1;
                    race.failed(
                        attempt,
                        &Failure::new(Connect),
                        Effect::Nothing,
                        now,
                        &mut rng,
                    );
                }
                Step::Wait(until) => now = until.expect("a time, as nothing runs"),
                Step::GiveUp(_) => break,
            }
        }
        assert_eq!(begun, expected, "of {attempts}");
    }
}

#[test]
fn at_the_deadline_it_is_over() {
    Path::over(2).plays(&after(
        &HEDGED,
        &[
            (DEADLINE, Asked, TimeUp),
            (DEADLINE + 1, Wins(0), TimeUp),
            (DEADLINE + 1, Fails(1, Connect), TimeUp),
        ],
    ));
    // A word that came before is not what ended it.
    Path::unhedged(2).plays(&after(
        &BEGUN,
        &[
            (10, Fails(0, Status(503)), Begin(1, 1, Fallback)),
            (DEADLINE, Asked, TimeUp),
        ],
    ));
    Path::unhedged(1).plays(&[(DEADLINE, Asked, TimeUp)]);
    // A hedge that would come later is not waited for.
    let slow = Path::over(2).world(|world| world.p95 = Some(ms(9_000)));
    let deadline = slow.zero + ms(5_000);
    slow.rules(|rules| rules.deadline = Some(deadline)).plays(&[
        (0, Asked, Begin(0, 0, First)),
        (0, Sent(0), Rest),
        (5_000, Asked, TimeUp),
    ]);
}

#[test]
fn the_caller_is_told_what_says_most_and_came_last() {
    let two = Path::unhedged(3).rules(|rules| rules.attempts = 2);
    let told = |first, second, want| {
        let path = Path {
            zero: two.zero,
            rules: two.rules,
            world: two.world.clone(),
        };
        path.plays(&after(
            &BEGUN,
            &[
                (10, Fails(0, first), Begin(1, 1, Fallback)),
                (20, Fails(1, second), Told(want)),
            ],
        ));
    };
    told(Status(503), Connect, 0);
    told(Connect, Status(503), 1);
    told(Status(503), Status(500), 1);
    told(Connect, FirstToken, 1);
    told(Status(429), Status(401), 0);
    told(Connect, Status(401), 1);
    told(Status(503), FailureKind::Deadline, 1);
}

#[test]
fn what_is_not_running_changes_nothing() {
    Path::unhedged(2).plays(&after(
        &BEGUN,
        &[
            (10, Fails(7, Status(400)), Rest),
            (10, Sent(7), Rest),
            (20, Fails(0, Connect), Begin(1, 1, Fallback)),
            (30, Fails(0, Status(400)), Rest),
        ],
    ));
}
