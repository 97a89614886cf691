//! The page that shows the tables.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nowait::dialect::translate::Wire;

use super::{ANSWERS, CALLS, FAILURES, Outcome, asked, failed, pairs, told};

const ABOUT: &str = "\
<!-- Generated: NOWAIT_BLESS=1 cargo test --test it dialects -->
# What goes through, from every format to every other

Columns are pairs: the client's format → the provider's. Where both are the same, bytes are passed on
untouched. Every cell is a case of a test (`tests/it/dialects.rs`): a small call or answer is translated
and read back by the other side's own reader.

- `yes`: it means the same there, or, where it says so, the same in other words.
- `with loss`: the rest arrives, and what doesn't is listed, by its path, in `x-nowait-dropped` and in the
  log; with `on_loss = \"reject\"` the call is refused for it (what an answer loses is only listed).
- `no`: the call is refused with a 400 that names the field and says what to change.
- `–`: the client's format, or the provider's, has no way to say it.

The providers' models here are gpt-5.2, claude-sonnet-4-5 and gemini-3-flash; older and newer ones differ
in how they are told to think and whether they know forms. What clients of each format really get is
tried with their SDKs in `tests/sdk/test_dialects.py`.
";

const OTHERS: &str = "
## Calls that are no conversations

`crossing::vectors::vectors_are_asked_for_in_googles_words_and_come_in_openais`,
`crossing::gemini::google_counts_the_tokens_of_its_models`,
`providers::tokens_are_counted_by_those_who_can_and_estimated_for_others`,
`crossing::failures::what_no_provider_can_be_asked_is_refused_before_anything_is_sent`

| asked | of OpenAI's dialect | of Anthropic's | of Gemini's |
|---|---|---|---|
| embeddings | as it is | no: `model` | yes |
| embeddings of tokens | as it is | no: `model` | no: `input` |
| count of tokens | estimated | as it is | yes |
";

/// Compares the page with what it should be, or writes it.
pub(super) fn compare() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let page = page();
    if std::env::var_os("NOWAIT_BLESS").is_some() {
        fs::write(&path, &page).expect("docs can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let pairs = found.lines().zip(page.lines()).filter(|(a, b)| a != b);
    let differing: String = pairs.map(|(a, b)| format!("- {a}\n+ {b}\n")).collect();
    assert!(
        found == page,
        "docs/dialects.md is not what comes through (NOWAIT_BLESS=1 writes it):\n{differing}"
    );
}

fn page() -> String {
    let mut text = ABOUT.to_owned();
    for (title, calls) in CALLS {
        let test = "every_call_of_every_pair_arrives_or_tells_what_is_missing";
        let rows = calls.iter().map(|call| {
            let cell = |client, provider| asked(call, client, provider).expect("a test of its own");
            (call.what, cells(cell))
        });
        table(&mut text, &format!("Calls: {title}"), test, "asked", rows);
    }
    let test = "every_answer_of_every_pair_arrives_or_tells_what_is_missing";
    let rows = ANSWERS.iter().map(|said| {
        (
            said.what,
            cells_of(|client, provider| {
                let come =
                    |streamed| told(said, client, provider, streamed).expect("a test of its own");
                match (come(false), come(true)) {
                    (whole, stream) if whole == stream => whole.to_string(),
                    (whole, stream) => format!("{whole}; streamed: {stream}"),
                }
            }),
        )
    });
    table(
        &mut text,
        "Answers, whole and streamed",
        test,
        "answered",
        rows,
    );
    let test = "every_error_of_every_pair_has_its_status";
    let rows = FAILURES.iter().map(|it| {
        (
            it.what,
            cells(|client, provider| failed(it, client, provider)),
        )
    });
    table(&mut text, "Errors", test, "the provider says", rows);
    text + OTHERS
}

fn cells(cell: impl Fn(Wire, Wire) -> Outcome) -> Vec<String> {
    cells_of(|client, provider| cell(client, provider).to_string())
}

fn cells_of(cell: impl Fn(Wire, Wire) -> String) -> Vec<String> {
    pairs()
        .into_iter()
        .map(|(client, provider)| cell(client, provider))
        .collect()
}

fn table<'a>(
    text: &mut String,
    title: &str,
    test: &str,
    first: &str,
    rows: impl Iterator<Item = (&'a str, Vec<String>)>,
) {
    let pairs = pairs();
    let names = pairs
        .iter()
        .map(|(client, provider)| format!("{} → {}", client.as_str(), provider.as_str()));
    let names: Vec<_> = names.collect();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "\n## {title}\n\n`dialects::{test}`\n\n| {first} | {} |\n|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (what, cells) in rows {
        let _ = writeln!(text, "| {what} | {} |", cells.join(" | "));
    }
}
