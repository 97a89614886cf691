//! The policies of the tail, played against scenarios on virtual time.
//!
//! `tests/tail/*.toml` say who calls, how the targets fare and what must come
//! out. Here the gateway's own types decide (`Race`, `Standing`, the balance
//! policies, budgets, limits and the line before them) in a discrete-event
//! simulation: no runtime, no sleeping, every draw fixed by a seed. Each
//! scenario is played without and with the technique it is about, so that the
//! gain is a number; `docs/tail.md` shows them.

mod agenda;
mod arrivals;
mod door;
mod gateway;
mod outcome;
mod page;
mod run;
mod scenario;
mod server;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use outcome::{Bound, Outcome, Value};
use scenario::{Policy, Scenario};

/// A scenario and what came of its runs.
struct Played {
    scenario: Scenario,
    runs: Vec<(Policy, Outcome)>,
}

impl Played {
    fn new(scenario: Scenario) -> Self {
        let play = |policy: Policy| {
            let outcome = run::play(&scenario, &policy);
            (policy, outcome)
        };
        let runs = scenario.runs().into_iter().map(play).collect();
        Self { scenario, runs }
    }

    /// The value of `run.measure`.
    fn value(&self, text: &str) -> Value {
        let (name, measure) = text.split_once('.').expect("run.measure");
        let (_, outcome) = self
            .runs
            .iter()
            .find(|(policy, _)| policy.name == name)
            .unwrap_or_else(|| panic!("{}: no run is called {name}", self.scenario.title));
        outcome.measure(&self.scenario, measure)
    }

    #[track_caller]
    fn assert_bounds(&self) {
        let wrong: Vec<String> = self
            .scenario
            .expect
            .iter()
            .filter_map(|text| Bound::read(text).broken(|measure| self.value(measure)))
            .collect();
        let table = page::of(self);
        assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tail")
}

/// A test for each file, which all play theirs once.
macro_rules! scenarios {
    ($($name:ident)*) => {
        /// What came of a scenario.
        fn played(name: &str) -> &'static Played {
            $(
                #[expect(non_upper_case_globals, reason = "named as its file is")]
                static $name: OnceLock<Played> = OnceLock::new();
            )*
            let cell = match name {
                $(stringify!($name) => &$name,)*
                _ => panic!("{name} is not in the list of scenarios"),
            };
            cell.get_or_init(|| {
                let file = folder().join(name).with_extension("toml");
                Played::new(Scenario::read(&file))
            })
        }

        /// In the order of the page.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                played(stringify!($name)).assert_bounds();
            }
        )*
    };
}

scenarios! {
    heavy_tail
    slow_second
    censored
    brown_out
    cold_start
    slow_target
    flapping
    third
    silent
    silent_seldom
    outage
    storm
    storm_hosted
    whims
    whims_told
    unsaid
    tokens
    used_up
    sticky
    halves
    halves_hosted
    calm
    priorities
}

#[test]
fn every_file_is_played() {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut names = NAMES.to_vec();
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn the_page_shows_what_comes_out() {
    page::bless(&NAMES.iter().map(|name| played(name)).collect::<Vec<_>>());
}

/// Plays one scenario that is written here; what its only run measures.
fn measures(text: &str, measures: &[&str]) -> Vec<String> {
    let played = Played::new(toml::from_str(text).unwrap());
    let value = |measure: &&str| played.value(&format!("only.{measure}")).to_string();
    measures.iter().map(value).collect()
}

#[test]
fn targets_do_what_the_weather_says() {
    let check = |name, callers, weather, policy, expected: &[(&str, &str)]| {
        let text = format!(
            "title = {name:?}\nseed = 1\nlength = '10s'\nshow = []\nexpect = []\ngood = '250ms'\n\
             windows = {{ late = ['5s', '10s'] }}\ntargets = [{{ name = 'a' }}, {{ name = 'b' }}]\n\
             callers = [{{ name = 'app', {callers} }}]\nweather = [{weather}]\n\
             runs = [{{ name = 'only', {policy} }}]"
        );
        let names: Vec<_> = expected.iter().map(|(measure, _)| *measure).collect();
        let values: Vec<_> = expected.iter().map(|(_, value)| *value).collect();
        assert_eq!(measures(&text, &names), values, "{name}");
    };
    let three = "arrivals = { burst = { calls = 3, every = '5s' } }";
    check(
        "one slot, and a line before it",
        three,
        "{ ttft = '100ms', slots = 1 }",
        "attempts = 1",
        &[
            ("calls", "6"),
            ("p50", "200 ms"),
            ("worst", "300 ms"),
            ("good", "66.67 %"),
        ],
    );
    check(
        "one slot, and no line",
        three,
        "{ ttft = '100ms', slots = 1, refuses = true }",
        "attempts = 1",
        &[
            ("worst", "100 ms"),
            ("errors", "66.67 %"),
            ("refused", "66.67 %"),
        ],
    );
    check(
        "a slot is held until the last token",
        three,
        "{ ttft = '100ms', speed = 1000, slots = 1 }",
        "attempts = 1",
        &[("p50", "300 ms"), ("worst", "500 ms")],
    );
    check(
        "a quota per second",
        "arrivals = { burst = { calls = 3, every = '1s' } }",
        "{ ttft = '100ms', quota = [2, '1s'] }",
        "attempts = 1",
        &[("calls", "30"), ("refused", "33.33 %")],
    );
    check(
        "slow from some time on, and faults after that",
        three,
        "{ ttft = '100ms' }, { from = '5s', slow = 5 }, { from = '8s', faults = [{ kind = 'reset' }] }",
        "attempts = 1",
        &[
            ("p50", "100 ms"),
            ("p50@late", "500 ms"),
            ("errors", "0.00 %"),
        ],
    );
    check(
        "a fault at one target, and another attempt at the next",
        three,
        "{ ttft = '100ms' }, { targets = ['a'], faults = [{ kind = 'connect' }], round_trip = '7ms' }",
        "attempts = 2",
        &[
            ("worst", "107 ms"),
            ("extra", "100.00 %"),
            ("share:b", "50.00 %"),
        ],
    );
    check(
        "a caller that leaves, and frees its place",
        "arrivals = { burst = { calls = 2, every = '5s' } }, patience = '50ms'",
        "{ ttft = '100ms', slots = 1 }, { from = '5s', ttft = '40ms' }",
        "attempts = 1",
        &[("errors", "75.00 %"), ("worst", "40 ms")],
    );
    check(
        "each caller one call at a time",
        "arrivals = { closed = { callers = 2, think = '400ms' } }",
        "{ ttft = '100ms' }",
        "attempts = 1",
        &[("calls", "40"), ("peak", "2")],
    );
    check(
        "a conversation that comes back in time",
        "arrivals = { burst = { calls = 1, every = '1s' } }, sessions = 1",
        "{ ttft = '100ms', warm = [0.5, '2s'] }",
        "attempts = 1",
        &[("warm", "90.00 %"), ("p50", "50 ms"), ("worst", "100 ms")],
    );
    check(
        "an answer that is late, and its hedge",
        "arrivals = { burst = { calls = 1, every = '10s' } }",
        "{ ttft = '100ms' }, { targets = ['a'], faults = [{ kind = 'silence' }] }",
        "hedge = '200ms', hedge_budget = 1.0",
        &[
            ("worst", "300 ms"),
            ("hedges", "100.00 %"),
            ("wins", "100.00 %"),
        ],
    );
}

#[test]
fn a_seed_fixes_everything() {
    let file = folder().join("cold_start.toml");
    let again = Played::new(Scenario::read(&file));
    for (first, second) in played("cold_start").runs.iter().zip(&again.runs) {
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
}
