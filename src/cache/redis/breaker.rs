//! Stops asking a Redis that doesn't answer, and finds out when it does again.
//!
//! A pure state machine over times that are handed in. It opens after a run of
//! failures, lets one look-up through when its pause is over, and pauses twice
//! as long each time that one fails.
//!
//! One hiccup, of Redis or of a core that has too much to do, makes all look-ups
//! late that are under way. So they count as one: only what was asked after the
//! last failure was known tells anything new.

use std::time::Duration;

use tokio::time::Instant;

/// A hiccup makes one or two look-ups late; five in a row are not a hiccup.
const FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Lets look-ups through, or doesn't.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything goes through; so many failed since the last success, each asked
    /// after the one before was known, the last of them at `known`.
    Closed {
        failures: u32,
        known: Option<Instant>,
    },
    /// Nothing does.
    Open { until: Instant, pause: Duration },
    /// One look-up is on its way. It may never report (its caller can leave),
    /// so the next one goes when its pause is over.
    Probing { until: Instant, pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed {
            failures: 0,
            known: None,
        }
    }
}

/// What a report changed: a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No look-up goes through for this long.
    Opened(Duration),
    /// They do again.
    Closed,
}

impl Breaker {
    /// Whether a look-up may go out now. Whoever gets a yes reports.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until, pause } | State::Probing { until, pause } if now >= until => {
                self.state = State::Probing {
                    until: now + pause,
                    pause,
                };
                true
            }
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// A look-up that went out at `asked` was answered in time, or wasn't. Says
    /// what that changed for the first time.
    pub(super) fn report(
        &mut self,
        now: Instant,
        asked: Instant,
        answered: bool,
    ) -> Option<Change> {
        match (self.state, answered) {
            (State::Closed { .. }, true) => {
                self.state = State::default();
                None
            }
            (State::Closed { known, .. }, false) if known.is_some_and(|known| asked < known) => {
                None
            }
            (State::Closed { failures, .. }, false) if failures + 1 < FAILURES => {
                self.state = State::Closed {
                    failures: failures + 1,
                    known: Some(now),
                };
                None
            }
            (State::Closed { .. }, false) => {
                self.open(now, FIRST_PAUSE);
                Some(Change::Opened(FIRST_PAUSE))
            }
            (State::Probing { .. }, true) => {
                self.state = State::default();
                Some(Change::Closed)
            }
            (State::Probing { pause, .. }, false) => {
                self.open(now, (pause * 2).min(LONGEST_PAUSE));
                None
            }
            // Of look-ups that went out before it opened.
            (State::Open { .. }, _) => None,
        }
    }

    fn open(&mut self, now: Instant, pause: Duration) {
        self.state = State::Open {
            until: now + pause,
            pause,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        /// At this second, a look-up is let through, or isn't.
        Ask(u64, bool),
        /// At this second, one reports.
        Report(u64, bool, Option<Change>),
    }
    use Step::{Ask, Report};

    const OPENED: Option<Change> = Some(Change::Opened(FIRST_PAUSE));

    fn check(name: &str, steps: impl IntoIterator<Item = Step>) {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Ask(second, expected) => {
                    let admitted = breaker.admits(start + Duration::from_secs(second));
                    assert_eq!(admitted, expected, "{name}: step {at}: {breaker:?}");
                }
                Report(second, answered, expected) => {
                    let changed = breaker.report(
                        start + Duration::from_secs(second),
                        start + Duration::from_secs(second),
                        answered,
                    );
                    assert_eq!(changed, expected, "{name}: step {at}: {breaker:?}");
                }
            }
        }
    }

    fn opened() -> Vec<Step> {
        let mut steps: Vec<_> = (0..4).map(|_| Report(0, false, None)).collect();
        steps.push(Report(0, false, OPENED));
        steps
    }

    #[test]
    fn it_opens_probes_and_closes() {
        let then = |more: Vec<Step>| opened().into_iter().chain(more);
        let four = || (0..4).map(|_| Report(0, false, None));
        check(
            "a success in between starts the count again",
            four()
                .chain([Report(0, true, None)])
                .chain(four())
                .chain([Ask(0, true)]),
        );
        check("open is open", then(vec![Ask(0, false), Ask(1, true)]));
        check(
            "one probe at a time",
            then(vec![Ask(1, true), Ask(1, false), Ask(1, false)]),
        );
        check(
            "a good probe closes it",
            then(vec![
                Ask(1, true),
                Report(1, true, Some(Change::Closed)),
                Ask(1, true),
                Ask(1, true),
            ]),
        );
        check(
            "a bad one doubles the pause, in silence",
            then(vec![
                Ask(1, true),
                Report(1, false, None),
                Ask(2, false),
                Ask(3, true),
            ]),
        );
        check(
            "a probe that never reports is followed by another",
            then(vec![
                Ask(1, true),
                Ask(1, false),
                Ask(2, true),
                Ask(2, false),
            ]),
        );
        check(
            "what was under way when it opened changes nothing",
            then(vec![
                Report(0, true, None),
                Report(0, false, None),
                Ask(0, false),
            ]),
        );
    }

    #[test]
    fn what_is_late_together_counts_once() {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        let late = Duration::from_millis(5);
        for hiccup in 0..FAILURES {
            let asked = start + late * hiccup;
            let changes: Vec<_> = (0..64)
                .map(|_| breaker.report(asked + late, asked, false))
                .collect();
            let opens = hiccup + 1 == FAILURES;
            assert_eq!(changes.contains(&OPENED), opens, "hiccup {hiccup}");
        }
    }

    #[test]
    fn its_pause_has_an_end() {
        let mut breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..FAILURES {
            breaker.report(now, now, false);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let from = now;
            while !breaker.admits(now) {
                now += Duration::from_secs(1);
            }
            pauses.push((now - from).as_secs());
            breaker.report(now, now, false);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
