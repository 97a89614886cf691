//! What a scenario file says: who calls, which targets there are, how they fare
//! over time, which policies are tried against each other, and what must come
//! out.
//!
//! Nothing is hidden in code: a target is fast, slow, full or broken because a
//! `[[weather]]` entry says so. An entry holds for the targets and the time it
//! names, else for all and always, and of several that hold the last one that
//! says something is heard. `[policy]` is common to all runs; each of `[[runs]]`
//! has a name and changes what it names.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use nowait::config::units;
use nowait::sim::{Length, Pace};
use serde::{Deserialize, Deserializer, de};

/// One file below `tests/tail`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What happens, as the page has it.
    pub(crate) title: String,
    /// What it is about: the comment that the file begins with.
    #[serde(skip)]
    pub(crate) about: String,
    /// Fixes every draw.
    pub(crate) seed: u64,
    /// How long calls arrive.
    pub(crate) length: Time,
    /// Calls that arrive before are played, but not counted.
    #[serde(default)]
    pub(crate) from: Time,
    /// An answer counts as good when its first content came within this time of
    /// the call's arrival; without it every answer is good.
    pub(crate) good: Option<Time>,
    /// Spans of time that measures may be asked of.
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, [Time; 2]>,
    /// Who calls.
    pub(crate) callers: Vec<Callers>,
    /// Who may be asked, in the order of the plan.
    pub(crate) targets: Vec<Target>,
    /// How the targets fare.
    pub(crate) weather: Vec<Weather>,
    /// What all runs have in common.
    #[serde(default)]
    policy: toml::Table,
    /// What is compared: the first one is without the technique.
    runs: Vec<toml::Table>,
    /// The measures that the page shows.
    pub(crate) show: Vec<String>,
    /// Bounds, as `with.p99 <= 0.30 * without.p99`.
    pub(crate) expect: Vec<String>,
}

/// A stream of calls that resemble each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callers {
    pub(crate) name: String,
    pub(crate) arrivals: Arrivals,
    /// When the first may come, and from when none does any more.
    #[serde(default)]
    pub(crate) from: Time,
    pub(crate) to: Option<Time>,
    /// Tokens of the prompt, and of the answer.
    #[serde(default = "few")]
    pub(crate) input: Text<Length>,
    #[serde(default = "few")]
    pub(crate) output: Text<Length>,
    /// How many conversations the calls belong to; none by default.
    #[serde(default)]
    pub(crate) sessions: usize,
    /// How long a caller waits for the first content before it leaves.
    #[serde(default = "minute")]
    pub(crate) patience: Time,
    /// How often a caller asks again that got an error, unless told not to.
    #[serde(default)]
    pub(crate) retries: u32,
    /// Whether this is work that can wait.
    #[serde(default)]
    pub(crate) batch: bool,
}

/// When calls come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Arrivals {
    /// By chance, so many per second.
    Poisson(f64),
    /// By chance, from so many per second at the start to so many at the end.
    Ramp(f64, f64),
    /// So many at once, every so often.
    Burst { calls: usize, every: Time },
    /// So many callers, each of which asks again when it has its answer and has
    /// thought about it.
    Closed { callers: usize, think: Text<Pace> },
}

/// Who may be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// Its share under `weighted`.
    #[serde(default = "one")]
    pub(crate) weight: f64,
}

/// How targets fare for a while.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weather {
    targets: Option<Vec<String>>,
    #[serde(default)]
    from: Time,
    to: Option<Time>,
    /// After how long both come again.
    every: Option<Time>,
    /// Until the first content of an answer.
    pub(crate) ttft: Option<Text<Pace>>,
    /// What 1,000 tokens of the prompt add to it.
    pub(crate) prefill: Option<Time>,
    /// The chance of a call to be a straggler, and how much slower it is then.
    pub(crate) stragglers: Option<(f64, f64)>,
    /// How much slower everything is.
    pub(crate) slow: Option<f64>,
    /// Tokens per second.
    pub(crate) speed: Option<f64>,
    /// What goes wrong.
    pub(crate) faults: Option<Vec<Fault>>,
    /// How many calls are worked on at once.
    pub(crate) slots: Option<usize>,
    /// Whether more calls wait at the target (an engine) or are refused with
    /// 429 (a hosted API).
    pub(crate) refuses: Option<bool>,
    /// How many calls per span of time are let in.
    pub(crate) quota: Option<(u32, Time)>,
    /// Whether that counts tokens instead, of prompts and answers.
    pub(crate) of_tokens: Option<bool>,
    /// Whether answers tell what is left of the quota.
    pub(crate) tells: Option<bool>,
    /// What a refusal says of when to come again.
    pub(crate) retry_after: Option<Time>,
    /// How long a refusal or an error takes.
    pub(crate) round_trip: Option<Time>,
    /// What a conversation's next call takes of `ttft`, if it comes to the same
    /// target within the time.
    pub(crate) warm: Option<(f64, Time)>,
}

/// Something that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    #[serde(default = "always")]
    pub(crate) share: f64,
    pub(crate) retry_after: Option<Time>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    Connect,
    Reset,
    Broken,
    /// Nothing ever comes.
    Silence,
    Status(u16),
}

/// One run: the policies as they are configured, and what a naive gateway would
/// leave out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) balance: String,
    pub(crate) attempts: u32,
    pub(crate) hedge: String,
    pub(crate) hedge_budget: f64,
    pub(crate) hedge_min: Time,
    pub(crate) hedge_max: Time,
    pub(crate) retry_budget: f64,
    pub(crate) retry_floor: u32,
    pub(crate) first_token: Time,
    /// `off`, `aimd`, `gradient`, a number, or `known`: what the target really
    /// has slots for, at every moment.
    pub(crate) limit: String,
    /// How many calls may wait for the limit.
    pub(crate) queue: usize,
    /// Whether who can wait waits behind who can't.
    pub(crate) priorities: bool,
    /// Whether a target is left alone as long as it asked for.
    pub(crate) heeds_pauses: bool,
    /// Whether calls wait for what answers tell to come in.
    pub(crate) paces: bool,
    /// Whether targets that fail are left alone for a while.
    pub(crate) ejects: bool,
    /// Whether a loser counts as "took at least this long".
    pub(crate) censors: bool,
    /// Whether a target that is slow as a whole is not hedged.
    pub(crate) sees_brownouts: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            name: String::new(),
            balance: "order".to_owned(),
            attempts: 3,
            hedge: "off".to_owned(),
            hedge_budget: 0.05,
            hedge_min: Time(Duration::from_millis(20)),
            hedge_max: Time(Duration::from_secs(10)),
            retry_budget: 0.2,
            retry_floor: 10,
            first_token: Time(Duration::from_secs(120)),
            limit: "off".to_owned(),
            queue: 1_000,
            priorities: true,
            heeds_pauses: true,
            paces: true,
            ejects: true,
            censors: true,
            sees_brownouts: true,
        }
    }
}

impl Scenario {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let read: Result<Self, _> = toml::from_str(&text);
        let mut scenario = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let comment = text.lines().map_while(|line| line.strip_prefix("# "));
        scenario.about = comment.collect::<Vec<_>>().join("\n");
        scenario
    }

    /// What is compared.
    pub(crate) fn runs(&self) -> Vec<Policy> {
        self.runs
            .iter()
            .map(|own| {
                let mut table = self.policy.clone();
                table.extend(own.clone());
                table
                    .try_into()
                    .unwrap_or_else(|error| panic!("{}: {error}", self.title))
            })
            .collect()
    }

    /// The policy that all runs have in common, in the words of the file.
    pub(crate) fn common(&self) -> String {
        words(&self.policy)
    }

    /// What each run changes.
    pub(crate) fn changes_of_runs(&self) -> Vec<String> {
        self.runs.iter().map(words).collect()
    }

    /// What the weather entries that hold for `target` at `at` say of something.
    pub(crate) fn sky<'a, T>(
        &'a self,
        target: usize,
        at: Duration,
        what: impl Fn(&'a Weather) -> Option<T>,
    ) -> Option<T> {
        let name = &self.targets[target].name;
        self.weather
            .iter()
            .rev()
            .filter(|entry| entry.holds(at) && entry.is_of(name))
            .find_map(what)
    }

    /// When the weather changes.
    pub(crate) fn changes(&self) -> Vec<Duration> {
        let length = self.length.0;
        let of = |entry: &Weather| {
            let every = entry.every.map_or(length, |every| every.0);
            let rounds = (0..).map(move |round| every * round);
            let ends = [Some(entry.from), entry.to].into_iter().flatten();
            let rounds = rounds.take_while(move |round| *round < length);
            let ends: Vec<_> = ends.map(|time| time.0).collect();
            rounds.flat_map(move |round| ends.clone().into_iter().map(move |end| round + end))
        };
        self.weather.iter().flat_map(of).collect()
    }
}

impl Weather {
    fn holds(&self, at: Duration) -> bool {
        let at = match self.every {
            Some(every) => Duration::from_nanos((at.as_nanos() % every.0.as_nanos()) as u64),
            None => at,
        };
        self.from.0 <= at && self.to.is_none_or(|to| at < to.0)
    }

    fn is_of(&self, target: &str) -> bool {
        let targets = self.targets.as_ref();
        targets.is_none_or(|targets| targets.iter().any(|of| of == target))
    }
}

fn words(table: &toml::Table) -> String {
    let changes = table.iter().filter(|(key, _)| *key != "name");
    let changes = changes.map(|(key, value)| format!("`{key} = {value}`"));
    changes.collect::<Vec<_>>().join(" ")
}

fn few<T: FromStr>() -> Text<T>
where
    T::Err: std::fmt::Debug,
{
    Text("100".parse().unwrap())
}

fn minute() -> Time {
    Time(Duration::from_secs(60))
}

fn one() -> f64 {
    1.0
}

fn always() -> f64 {
    1.0
}

/// A span of time, as `250ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        units::duration(&text).map(Self).map_err(de::Error::custom)
    }
}

/// What is written as one string.
#[derive(Clone, Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: FromStr> Deserialize<'de> for Text<T>
where
    T::Err: std::fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}
