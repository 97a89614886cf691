//! The reference page and the example file, written from the rows.

use std::fmt::Write;

use super::{Part, ROWS, Row, SECTIONS};

/// `docs/configuration.md`.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for part in SECTIONS {
        let title = match part.path {
            "keys" => "[[keys]]".to_owned(),
            path => format!("[{}]", path.replace('*', "NAME")),
        };
        // Writing to a `String` cannot fail.
        let _ = write!(page, "\n## `{title}`\n\n{}\n\n", part.about);
        page.push_str("| key | value | default | environment | |\n|---|---|---|---|---|\n");
        for row in rows_of(part) {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} |",
                row.split().1,
                row.form.describe(),
                row.default
                    .map(|toml| format!("`{toml}`"))
                    .unwrap_or_default(),
                row.variable()
                    .map(|name| format!("`{}`", name.replace('*', "NAME")))
                    .unwrap_or_default(),
                row.about,
            );
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from src/config/reference/rows.rs. To change it, change that and run
     `NOWAIT_BLESS=1 cargo test --lib config::`. -->

nowait looks for a configuration in `--config FILE`, `NOWAIT_CONFIG`, `./nowait.toml` and
`/etc/nowait/nowait.toml`, in this order; a file that is named and missing is an error. With no
file, providers come from the keys in the environment; with no key either, the built-in simulated
provider answers. `nowait check` tells everything that is wrong with a configuration, each problem
with file, line and fix; `nowait init` writes one to start from.

- Values expand `${VAR}` and `${VAR:-default}`; a missing variable is an error that names it.
  `$${` stands for the two characters `${`.
- Every key that is not a list or a table, outside `[[keys]]`, can be set by a variable:
  `NOWAIT__SECTION__KEY`, with `NAME` in upper case and `_` for any other character. Variables go
  before the file.
- Durations carry units: `250ms`, `10s`, `1m30s`, `1h`. So do sizes: `32MiB`, `1GB`. Ratios are
  numbers from 0 to 1, or `\"20%\"`.
- SIGHUP or a changed file (certificates included) is read again without dropping a request. A bad
  new configuration is refused with one log line, and the old one stays.
- Secrets never print.
- Outbound connections honour `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (also in lower
  case; `NO_PROXY` takes host names with their subdomains, addresses, networks like `10.0.0.0/8`,
  each with an optional port, and `*`). Loopback addresses never go through a proxy.
- Providers cannot be called what a path of nowait's is called: `v1`, `generate`, `docs`, `metrics` …
";

/// `nowait.example.toml`: every key, with its default where it has one, else
/// commented out.
pub fn example() -> String {
    let mut file = String::from(
        "# Every key nowait knows. Values shown are the defaults; what is commented out has none.\n\
         # Written from src/config/reference/rows.rs; docs/configuration.md explains each.\n",
    );
    for part in SECTIONS {
        let _ = writeln!(file, "\n# {}", part.about.replace('`', ""));
        let shown = !part.sample.is_empty();
        let header = match (part.path, part.sample) {
            ("keys", _) => "[[keys]]".to_owned(),
            (path, "") => format!("[{path}]"),
            (_, sample) => format!("[{sample}]"),
        };
        let _ = writeln!(file, "{}{header}", if shown { "" } else { "# " });
        for row in rows_of(part) {
            let _ = writeln!(file, "{}", line(row, shown));
        }
    }
    file
}

/// One section with all its keys, commented out: for a file to start from.
pub fn commented(section: &str) -> String {
    let mut text = String::new();
    for part in SECTIONS.iter().filter(|part| part.path == section) {
        let _ = writeln!(text, "# {}\n# [{section}]", part.about.replace('`', ""));
        for row in rows_of(part) {
            let _ = writeln!(text, "{}", line(row, false));
        }
    }
    text
}

/// A key with its value and what it does. What makes a provider or a model
/// work at all is shown set, although it has no default.
fn line(row: &Row, shown: bool) -> String {
    let needed = matches!(row.path, "providers.*.api_key" | "models.*.targets");
    let set = shown && (needed || row.default.is_some());
    let value = row.default.unwrap_or(row.sample);
    let mark = if set { "" } else { "# " };
    let start = format!("{mark}{} = {value}", row.split().1);
    format!("{start:<36} # {}", row.about.replace('`', ""))
}

fn rows_of(part: &Part) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.split().0 == part.path)
}
