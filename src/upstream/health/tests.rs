//! Every change of a target's health, as tables; and what no order of events
//! breaks.

use proptest::prelude::*;

use super::*;

/// What happens to a target.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many calls, one after the other, each of which shows this.
    Calls(u32, Option<Sign>),
    /// A call that had nowhere else to go shows this.
    Forced(Option<Sign>),
    /// So many milliseconds pass.
    Pass(u64),
    /// The longest time it can be out for the nth time passes.
    PassOut(u32),
}

use Event::{Calls, Forced, Pass, PassOut};
use Sign::{Broken, Ill, Well};

const WELL: Option<Sign> = Some(Well);
const ILL: Option<Sign> = Some(Ill);
const BROKEN: Option<Sign> = Some(Broken);
const NOTHING: Option<Sign> = None;

/// A target, the time, and how it is told.
struct Case {
    health: Health,
    now: Instant,
}

impl Case {
    fn new(seed: u64) -> Self {
        Self {
            health: Health::new(seed),
            now: Instant::now(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Calls(count, sign) => {
                for _ in 0..count {
                    if let Some(entry) = self.health.enter(self.now) {
                        self.show(entry, sign);
                    }
                }
            }
            Forced(sign) => {
                let entry = self.health.force(self.now);
                self.show(entry, sign);
            }
            Pass(millis) => self.now += Duration::from_millis(millis),
            PassOut(times) => self.now += OUT * times,
        }
    }

    fn show(&mut self, entry: Entry, sign: Option<Sign>) {
        match sign {
            Some(sign) => _ = self.health.tell(self.now, entry, sign),
            None => self.health.leave(entry),
        }
    }

    fn word(&self) -> &'static str {
        self.health.state(self.now).word()
    }
}

/// Brings a new target through `events` and looks at it.
fn after(events: &[Event]) -> Case {
    let mut case = Case::new(7);
    for event in events {
        case.happen(*event);
    }
    case
}

#[test]
fn every_change_happens_when_it_should_and_not_before() {
    let out = Calls(5, ILL);
    let cases: &[(&[Event], &str)] = &[
        (&[], "well"),
        // A streak.
        (&[Calls(4, ILL)], "well"),
        (&[out], "out"),
        (&[Calls(4, ILL), Calls(1, WELL), Calls(4, ILL)], "well"),
        (&[Calls(4, ILL), Calls(9, NOTHING), Calls(1, ILL)], "out"),
        (&[Calls(4, ILL), Pass(3_600_000), Calls(1, ILL)], "out"),
        // A share: more than a quarter of at least twenty, in ten seconds.
        (&[Calls(3, ILL), Calls(15, WELL), Calls(2, ILL)], "well"),
        (&[Calls(3, ILL), Calls(15, WELL), Calls(3, ILL)], "out"),
        (&[Calls(4, ILL), Calls(11, WELL), Calls(4, ILL)], "well"),
        (
            &[
                Calls(4, ILL),
                Calls(15, WELL),
                Pass(10_000),
                Calls(4, ILL),
                Calls(1, WELL),
                Calls(3, ILL),
            ],
            "well",
        ),
        // What is no sign of health counts for nothing, however often.
        (&[Calls(1_000, NOTHING)], "well"),
        // Answers that break off: each counts as a call that failed, once.
        (&[Calls(2, BROKEN)], "well"),
        // Out, for ten seconds or a little less.
        (&[out, Pass(7_999)], "out"),
        (&[out, PassOut(1)], "due"),
        (&[out, Calls(1, WELL)], "out"),
        // A probe.
        (&[out, PassOut(1), Calls(1, WELL)], "recovering"),
        (&[out, PassOut(1), Calls(1, ILL)], "out"),
        (&[out, PassOut(1), Calls(1, NOTHING)], "due"),
        (
            &[out, PassOut(1), Calls(1, NOTHING), Calls(1, WELL)],
            "recovering",
        ),
        // The second time it is out for longer.
        (&[out, PassOut(1), Calls(1, ILL), PassOut(1)], "out"),
        (&[out, PassOut(1), Calls(1, ILL), PassOut(2)], "due"),
        // Calls that had nowhere else to go.
        (&[out, Forced(ILL)], "out"),
        (&[out, Forced(NOTHING)], "out"),
        (&[out, Forced(WELL)], "recovering"),
        (&[out, PassOut(1), Forced(WELL)], "recovering"),
        (&[out, PassOut(1), Forced(ILL)], "out"),
        // The slow start.
        (&[out, Forced(WELL), Pass(9_999)], "recovering"),
        (&[out, Forced(WELL), Pass(10_000)], "well"),
        (&[out, Forced(WELL), Calls(4, ILL)], "recovering"),
        (&[out, Forced(WELL), Calls(5, ILL)], "out"),
        // Having been out is forgotten after a minute for each time.
        (&[out, Forced(WELL), Pass(59_999), out, PassOut(1)], "out"),
        (&[out, Forced(WELL), Pass(60_000), out, PassOut(1)], "due"),
    ];
    for (events, expected) in cases {
        assert_eq!(after(events).word(), *expected, "{events:?}");
    }
}

#[test]
fn answers_that_break_off_put_a_target_out() {
    let mut case = Case::new(1);
    for call in 1..=20 {
        assert_eq!(case.word(), "well", "{call}");
        let entry = case.health.enter(case.now).unwrap();
        case.health.tell(case.now, entry, Well);
        case.health.tell(case.now, entry, Broken);
    }
    assert_eq!(case.word(), "out");
}

#[test]
fn being_out_gets_longer_up_to_five_minutes() {
    for seed in 0..20 {
        let mut case = Case::new(seed);
        case.happen(Calls(5, ILL));
        for times in 1..=40 {
            let State::Out(until) = case.health.state(case.now) else {
                panic!("not out the {times}th time");
            };
            let longest = OUT * times.min(30);
            let out = until - case.now;
            assert!(
                out <= longest && out >= longest.mul_f64(0.8),
                "{times}: {out:?}"
            );
            assert!(out <= Duration::from_secs(300));
            case.now = until;
            case.happen(Calls(1, ILL));
        }
    }
}

#[test]
fn targets_that_went_out_together_come_back_one_by_one() {
    let now = Instant::now();
    let mut ends: Vec<Instant> = (0..100)
        .map(|seed| {
            let mut case = Case::new(seed);
            case.now = now;
            case.happen(Calls(5, ILL));
            match case.health.state(now) {
                State::Out(until) => until,
                state => panic!("{state:?}"),
            }
        })
        .collect();
    ends.sort();
    assert!(ends[99] - ends[0] > Duration::from_millis(1_500));
    ends.dedup();
    assert_eq!(ends.len(), 100);
}

#[test]
fn the_share_grows_from_a_tenth_to_all() {
    let mut case = after(&[Calls(5, ILL), Forced(WELL)]);
    for (millis, expected) in [
        (0, 0.1),
        (2_500, 0.325),
        (2_500, 0.55),
        (4_999, 0.999_91),
        (1, 1.0),
    ] {
        case.happen(Pass(millis));
        let share = case.health.state(case.now).share();
        assert!((share - expected).abs() < 1e-9, "{share} {expected}");
    }
}

#[test]
fn of_those_that_come_when_it_is_due_one_gets_in() {
    let mut case = after(&[Calls(5, ILL), PassOut(1)]);
    let probe = case.health.enter(case.now).unwrap();
    assert_eq!(case.word(), "probing");
    assert!(case.health.enter(case.now).is_none());
    let forced = case.health.force(case.now);
    // A call that was forced in and leaves does not free the probe's place.
    case.health.leave(forced);
    assert!(case.health.enter(case.now).is_none());
    case.health.leave(probe);
    assert_eq!(case.word(), "due");
    let next = case.health.enter(case.now).unwrap();
    // Nor does one that has left already.
    case.health.leave(next);
    case.health.leave(next);
    assert!(case.health.enter(case.now).is_some());
}

#[test]
fn what_began_under_another_judgement_has_no_say() {
    let mut case = Case::new(3);
    let early: Vec<Entry> = (0..3)
        .map(|_| case.health.enter(case.now).unwrap())
        .collect();
    case.happen(Calls(5, ILL));
    case.health.tell(case.now, early[0], Well);
    assert_eq!(
        case.word(),
        "out",
        "an answer from before does not bring it back"
    );
    case.happen(PassOut(1));
    let probe = case.health.enter(case.now).unwrap();
    case.health.leave(early[1]);
    assert_eq!(
        case.word(),
        "probing",
        "a call from before does not free the place"
    );
    case.health.tell(case.now, probe, Well);
    let late = case.health.enter(case.now).unwrap();
    case.happen(Calls(4, ILL));
    case.health.tell(case.now, early[2], Ill);
    assert_eq!(
        case.word(),
        "recovering",
        "a failure from before is no fifth"
    );
    case.health.tell(case.now, late, Ill);
    assert_eq!(case.word(), "out");
}

/// What may happen next in the property below.
fn steps() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0_u8..8, 0_u64..20_000), 0..300)
}

proptest! {
    /// Whatever happens in whatever order: there are never two probes, and a target
    /// that is out lets a call in once its time is over and no probe is on its way.
    #[test]
    fn never_two_probes_and_never_none(steps in steps()) {
        let mut case = Case::new(11);
        let mut open: Vec<Entry> = Vec::new();
        for (what, number) in steps {
            let pick = number as usize % open.len().max(1);
            match what {
                0 | 1 => case.happen(Pass(number)),
                2 => open.extend(case.health.enter(case.now)),
                3 => open.push(case.health.force(case.now)),
                _ if open.is_empty() => {}
                4 => case.health.leave(open.swap_remove(pick)),
                // Told twice, as when a stream answers and breaks off.
                5 => {
                    case.health.tell(case.now, open[pick], Well);
                }
                _ => {
                    let entry = open.swap_remove(pick);
                    let sign = if what == 6 { ILL } else { NOTHING };
                    case.show(entry, sign);
                }
            }
            let is_probe = |entry: &&Entry| entry.is_probe && entry.epoch == case.health.epoch;
            let probes = open.iter().filter(is_probe).count();
            prop_assert!(probes <= 1);
            match case.health.state(case.now) {
                State::Probing => prop_assert_eq!(probes, 1),
                State::Due => {
                    prop_assert_eq!(probes, 0);
                    // It lets one in, who leaves at once.
                    let entry = case.health.enter(case.now);
                    prop_assert!(entry.is_some_and(|entry| entry.is_probe));
                    case.health.leave(entry.unwrap());
                }
                State::Out(until) => {
                    prop_assert!(until - case.now <= Duration::from_secs(300));
                    prop_assert!(case.health.enter(case.now).is_none());
                }
                state => prop_assert!(state.share() >= FIRST_SHARE && state.is_usable()),
            }
        }
    }
}
