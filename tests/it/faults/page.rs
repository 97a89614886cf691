//! The page that shows the table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::outcome::{Ending, Outcome};
use super::{Cell, Endpoint, FAULTS, HARMLESS};

const ABOUT: &str = "\
<!-- Generated: NOWAIT_BLESS=1 cargo test --test it faults -->
# What comes of every fault

Each row is something a provider does wrong, each column an endpoint; every cell is a call that a test
makes, with at most two calls upstream (`[retry] attempts = 2`) and no sharing. `@0` is before any
content, `@6` after some.

- `ok`: the whole answer. `×2`: two calls were made upstream for it.
- `429`: the provider's own error, passed on (`/generate` wraps it in a problem).
- `502 `code``: nowait's error, in the caller's dialect (Anthropic's has a type in place of a code).
- `event `code``: content has gone out, so the stream ends in nowait's error event. `its event`: in the
  provider's. Neither is followed by a made-up end.
- `as it came`: compressed by the provider, which nobody asked for, and passed on with the header that says so.

What fails after two calls carries `x-should-retry: false`. An item of `/generate/batch` says nothing of
the calls it took. None of these calls does anything at its provider but answer; `docs/attempts.md` says
which others are made again, and after what.
";

/// Compares the page with what it should be, or writes it.
pub(super) fn compare(outcomes: &[(Cell, Outcome)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let page = page(outcomes);
    if std::env::var_os("NOWAIT_BLESS").is_some() {
        fs::write(&path, &page).expect("docs can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differing = |a: &str, b: &str| {
        let pairs = a.lines().zip(b.lines()).filter(|(a, b)| a != b);
        pairs
            .map(|(a, b)| format!("- {a}\n+ {b}\n"))
            .collect::<String>()
    };
    assert!(
        found == page,
        "docs/faults.md is not what comes of the faults (NOWAIT_BLESS=1 writes it):\n{}",
        differing(&found, &page)
    );
}

fn page(outcomes: &[(Cell, Outcome)]) -> String {
    let mut text = ABOUT.to_owned();
    for (title, streamed, two) in [
        ("One target, in one piece", false, false),
        ("One target, streamed", true, false),
        ("Two targets, in one piece", false, true),
        ("Two targets, streamed", true, true),
    ] {
        let of = |fault, endpoint| {
            let wanted = Cell {
                fault,
                endpoint,
                streamed,
                two,
            };
            let found = outcomes.iter().find(|(cell, _)| *cell == wanted);
            &found.expect("every cell was run").1
        };
        let endpoints: &[Endpoint] = match streamed {
            true => &Endpoint::STREAMING,
            false => &Endpoint::ALL,
        };
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name()).collect();
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n## {title}\n\n| fault | {} |\n|---|{}\n",
            names.join(" | "),
            "---|".repeat(names.len())
        );
        for (fault, about) in FAULTS {
            let cells: Vec<_> = endpoints
                .iter()
                .map(|it| of(fault, *it).to_string())
                .collect();
            let _ = writeln!(text, "| `{fault}` {about} | {} |", cells.join(" | "));
        }
        for (fault, endpoint) in HARMLESS
            .iter()
            .flat_map(|it| endpoints.iter().map(move |e| (*it, *e)))
        {
            let outcome = of(fault, endpoint);
            let is_harmless = outcome.ending == Ending::Whole && outcome.calls.unwrap_or(1) == 1;
            assert!(
                is_harmless,
                "{fault} at {endpoint:?}, streamed {streamed}: {outcome}"
            );
        }
    }
    let harmless: Vec<_> = HARMLESS.iter().map(|fault| format!("`{fault}`")).collect();
    let _ = write!(
        text,
        "\nHarmless everywhere, one call each: {}.\n",
        harmless.join(", ")
    );
    text
}
