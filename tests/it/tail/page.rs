//! The part of `docs/tail.md` that is written from the runs.

use std::fmt::Write as _;
use std::path::Path;

use super::Played;

const PAGE: &str = "docs/tail.md";
const BEGIN: &str = "<!-- written by NOWAIT_BLESS=1 cargo test --test it tail:: -->\n";
const END: &str = "<!-- until here -->\n";

/// Compares what comes out with the page, or writes it there when blessed.
pub(crate) fn bless(all: &[&Played]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark of the beginning");
    let (_, after) = rest.split_once(END).expect("the mark of the end");
    let written: Vec<String> = all.iter().map(|played| of(played)).collect();
    let made = format!("{before}{BEGIN}{}{END}{after}", written.concat());
    if std::env::var_os("NOWAIT_BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap();
    assert_eq!(found, made, "{PAGE} is stale: NOWAIT_BLESS=1 cargo test");
}

/// A scenario: what it is about, what was measured, and what must hold.
pub(crate) fn of(played: &Played) -> String {
    let scenario = &played.scenario;
    let mut page = format!("\n### {}\n\n", heading(&scenario.title));
    if !scenario.about.is_empty() {
        let _ = writeln!(page, "{}\n", scenario.about);
    }
    let names: Vec<&str> = played
        .runs
        .iter()
        .map(|(policy, _)| &*policy.name)
        .collect();
    let common = scenario.common();
    if !common.is_empty() {
        let _ = writeln!(page, "In all runs: {common}.\n");
    }
    let changes = scenario.changes_of_runs().join(" | ");
    let _ = writeln!(page, "| | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|{}", "---|".repeat(names.len()));
    let _ = writeln!(page, "| *policy* | {changes} |");
    for measure in &scenario.show {
        let _ = write!(page, "| `{measure}` |");
        for name in &names {
            let _ = write!(page, " {} |", played.value(&format!("{name}.{measure}")));
        }
        page.push('\n');
    }
    if !scenario.expect.is_empty() {
        let bounds: Vec<String> = scenario
            .expect
            .iter()
            .map(|text| format!("`{text}`"))
            .collect();
        let _ = writeln!(page, "\nHolds: {}.", bounds.join(", "));
    }
    page
}

/// A title as a heading is written.
fn heading(title: &str) -> String {
    let mut letters = title.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
