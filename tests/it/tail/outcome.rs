//! What came of a run, and how it is measured.
//!
//! A measure is written `NAME[:WHO][@WINDOW]`: `p99`, `errors@outage`,
//! `p95:interactive`, `share:b@slow`. Values are whole numbers (microseconds,
//! millionths), so that the page reads the same on every machine.

use std::time::Duration;

use super::scenario::Scenario;

/// All that happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) calls: Vec<Told>,
    pub(crate) attempts: Vec<Tried>,
    /// Limits and slots over time.
    pub(crate) samples: Vec<Sample>,
    /// The most attempts that were at each target at once.
    pub(crate) peaks: Vec<usize>,
}

/// What a caller was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Duration,
    pub(crate) stream: usize,
    /// From its arrival to the first content, if any came.
    pub(crate) content: Option<Duration>,
    pub(crate) has_session: bool,
    /// Whether the conversation's prompt was still known where it went.
    pub(crate) warm: bool,
}

/// An attempt as the targets see it, if it gets there.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub(crate) at: Duration,
    pub(crate) stream: usize,
    pub(crate) target: usize,
    pub(crate) hedge: bool,
    /// Whether it got past the limit, and was not left before.
    pub(crate) sent: bool,
    /// Whether its content went to the caller.
    pub(crate) won: bool,
    /// Whether it was refused with 429.
    pub(crate) refused: bool,
    /// How long it was worked on, if it was.
    pub(crate) held: Option<Duration>,
}

/// A look at what the gateway holds right for a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) target: usize,
    /// How many calls it would give it at once.
    pub(crate) limit: Option<usize>,
    /// How many the target works on at once.
    pub(crate) slots: Option<usize>,
    /// After how long it would hedge a call there.
    pub(crate) delay: Option<Duration>,
}

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Microseconds.
    Time(u64),
    /// Millionths.
    Share(u64),
    /// Millionths, shown as a plain number.
    Ratio(u64),
    /// Thousandths per second.
    Rate(u64),
    /// How many.
    Count(u64),
    /// Nothing was there to be measured.
    Nothing,
}

impl Value {
    /// In seconds, as a fraction, per second.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Time(micros) => micros as f64 / 1e6,
            Self::Share(millionths) | Self::Ratio(millionths) => millionths as f64 / 1e6,
            Self::Rate(thousandths) => thousandths as f64 / 1e3,
            Self::Count(count) => count as f64,
            Self::Nothing => f64::NAN,
        }
    }

    fn share(part: usize, whole: usize) -> Self {
        match whole {
            0 => Self::Nothing,
            _ => Self::Share((part as u64 * 1_000_000 + whole as u64 / 2) / whole as u64),
        }
    }

    fn rate(count: usize, span: Duration) -> Self {
        Self::Rate(count as u64 * 1_000_000_000 / span.as_micros().max(1) as u64)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(micros) if *micros >= 10_000_000 => {
                let tenths = (micros + 50_000) / 100_000;
                write!(f, "{}.{} s", tenths / 10, tenths % 10)
            }
            Self::Time(micros) => write!(f, "{} ms", (micros + 500) / 1_000),
            Self::Share(millionths) => {
                let hundredths = (millionths + 50) / 100;
                write!(f, "{}.{:02} %", hundredths / 100, hundredths % 100)
            }
            Self::Ratio(millionths) => {
                let hundredths = (millionths + 5_000) / 10_000;
                write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
            }
            Self::Rate(thousandths) => {
                let tenths = (thousandths + 50) / 100;
                write!(f, "{}.{}/s", tenths / 10, tenths % 10)
            }
            Self::Count(count) => write!(f, "{count}"),
            Self::Nothing => f.write_str("–"),
        }
    }
}

/// What a measure is asked of.
struct Scope {
    from: Duration,
    to: Duration,
    stream: Option<usize>,
    target: Option<usize>,
}

impl Scope {
    fn new(scenario: &Scenario, who: Option<&str>, window: Option<&str>) -> Self {
        let [from, to] = match window {
            None => [scenario.from.0, scenario.length.0],
            Some(name) => scenario
                .windows
                .get(name)
                .unwrap_or_else(|| panic!("{}: no window {name}", scenario.title))
                .map(|time| time.0),
        };
        let stream = scenario
            .callers
            .iter()
            .position(|of| Some(&*of.name) == who);
        let target = scenario
            .targets
            .iter()
            .position(|of| Some(&*of.name) == who);
        assert!(
            who.is_none() || stream.is_some() || target.is_some(),
            "{}: nobody is called {who:?}",
            scenario.title
        );
        Self {
            from,
            to,
            stream,
            target,
        }
    }

    fn has(&self, at: Duration, stream: usize) -> bool {
        self.from <= at && at < self.to && self.stream.is_none_or(|of| of == stream)
    }
}

impl Outcome {
    /// The value of a measure.
    pub(crate) fn measure(&self, scenario: &Scenario, measure: &str) -> Value {
        let (rest, window) = match measure.split_once('@') {
            Some((rest, window)) => (rest, Some(window)),
            None => (measure, None),
        };
        let (name, who) = match rest.split_once(':') {
            Some((name, who)) => (name, Some(who)),
            None => (rest, None),
        };
        let scope = Scope::new(scenario, who, window);
        let calls = || {
            self.calls
                .iter()
                .filter(|call| scope.has(call.at, call.stream))
        };
        let attempts = || {
            self.attempts
                .iter()
                .filter(|one| one.sent && scope.has(one.at, one.stream))
        };
        let all = calls().count();
        match name {
            "calls" => Value::Count(all as u64),
            "errors" => Value::share(calls().filter(|call| call.content.is_none()).count(), all),
            "good" => Value::share(
                calls().filter(|call| self.is_good(scenario, call)).count(),
                all,
            ),
            "goodput" => Value::rate(
                calls().filter(|call| self.is_good(scenario, call)).count(),
                scope.to - scope.from,
            ),
            "extra" => Value::share(attempts().count().saturating_sub(all), all),
            "load" => Value::rate(attempts().count(), scope.to - scope.from),
            "hedges" => Value::share(attempts().filter(|one| one.hedge).count(), all),
            "wins" => Value::share(
                attempts().filter(|one| one.hedge && one.won).count(),
                attempts().filter(|one| one.hedge).count(),
            ),
            "refused" => Value::share(
                attempts().filter(|one| one.refused).count(),
                attempts().count(),
            ),
            "turned" => {
                let all = self.attempts.iter();
                let all = all.filter(|one| scope.has(one.at, one.stream));
                Value::share(all.clone().filter(|one| !one.sent).count(), all.count())
            }
            "warm" => Value::share(
                calls().filter(|call| call.warm).count(),
                calls().filter(|call| call.has_session).count(),
            ),
            "share" => Value::share(
                attempts()
                    .filter(|one| Some(one.target) == scope.target)
                    .count(),
                attempts().count(),
            ),
            "uneven" => {
                let count = |target| attempts().filter(|one| one.target == target).count();
                let counts: Vec<_> = (0..scenario.targets.len()).map(count).collect();
                let (most, least) = (counts.iter().max(), counts.iter().min());
                match (most, least) {
                    (Some(&most), Some(&least)) if least > 0 => {
                        Value::Ratio((most * 1_000_000 / least) as u64)
                    }
                    _ => Value::Nothing,
                }
            }
            "peak" => Value::Count(match scope.target {
                Some(target) => self.peaks[target],
                None => self.peaks.iter().copied().max().unwrap_or(0),
            } as u64),
            "follows" => self.follows(&scope),
            "delay" => {
                let looks = self.samples.iter();
                let looks = looks.filter(|look| scope.from <= look.at && look.at < scope.to);
                self.quantile("p50", looks.filter_map(|look| look.delay).collect())
            }
            _ => self.quantile(name, calls().filter_map(|call| call.content).collect()),
        }
    }

    fn is_good(&self, scenario: &Scenario, call: &Told) -> bool {
        let within = scenario.good.map_or(Duration::MAX, |time| time.0);
        call.content.is_some_and(|content| content <= within)
    }

    /// `p50` … `p99.9`, `worst`: of the time until the first content, over
    /// answered calls.
    fn quantile(&self, name: &str, mut waits: Vec<Duration>) -> Value {
        let percent = match name {
            "worst" => 100.0,
            _ => name
                .strip_prefix('p')
                .and_then(|digits| digits.parse::<f64>().ok())
                .unwrap_or_else(|| panic!("no measure is called {name}")),
        };
        if waits.is_empty() {
            return Value::Nothing;
        }
        waits.sort_unstable();
        let rank = (waits.len() as f64 * percent / 100.0).ceil() as usize;
        Value::Time(waits[rank.clamp(1, waits.len()) - 1].as_micros() as u64)
    }

    /// How long from the window's start until the limit is, for a second, within
    /// three quarters and one and a half of the slots that there are.
    fn follows(&self, scope: &Scope) -> Value {
        let mut since = None;
        for sample in &self.samples {
            if sample.at < scope.from || scope.target.is_some_and(|of| of != sample.target) {
                continue;
            }
            let (Some(limit), Some(slots)) = (sample.limit, sample.slots) else {
                continue;
            };
            let ratio = limit as f64 / slots as f64;
            if !(0.75..=1.5).contains(&ratio) {
                since = None;
                continue;
            }
            let since = *since.get_or_insert(sample.at);
            if sample.at - since >= Duration::from_secs(1) {
                return Value::Time((since - scope.from).as_micros() as u64);
            }
        }
        Value::Nothing
    }
}

/// A bound, as `with.p99 <= 0.30 * without.p99` or `with.extra <= 6%`.
pub(crate) struct Bound<'a> {
    text: &'a str,
    left: &'a str,
    is_upper: bool,
    factor: f64,
    right: &'a str,
}

impl<'a> Bound<'a> {
    /// Reads one.
    pub(crate) fn read(text: &'a str) -> Self {
        let (left, op, factor, right) = match text.split_whitespace().collect::<Vec<_>>()[..] {
            [left, op, right] => (left, op, 1.0, right),
            [left, op, factor, "*", right] => (left, op, factor.parse().unwrap(), right),
            _ => panic!("{text:?} is not a bound; write with.p99 <= 0.30 * without.p99"),
        };
        assert!(matches!(op, "<=" | ">="), "{text:?}: <= or >= is missing");
        Self {
            text,
            left,
            is_upper: op == "<=",
            factor,
            right,
        }
    }

    /// What is wrong, if it does not hold; `value` knows the measures of the runs.
    pub(crate) fn broken(&self, value: impl Fn(&str) -> Value) -> Option<String> {
        let left = value(self.left);
        let right = literal(self.right).unwrap_or_else(|| value(self.right).number());
        let right = right * self.factor;
        // A bound on what was not measured is broken.
        let holds = match self.is_upper {
            true => left.number() <= right,
            false => left.number() >= right,
        };
        (!holds).then(|| format!("{} does not hold: {left} against {right:.4}", self.text))
    }
}

/// `6%`, `2s`, `800ms`, `0.5`: as a fraction, in seconds, as it is.
fn literal(text: &str) -> Option<f64> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    let time = || nowait::config::units::duration(text).ok();
    text.parse()
        .ok()
        .or_else(|| time().map(|time| time.as_secs_f64()))
}
