//! The rules of this repository that a reader would otherwise have to hold.
//!
//! They read the source as text. That is crude and enough: a rule is here to
//! catch a slip, not an adversary.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may use: `cli → server → gateway → {batch, cache,
/// upstream, provider, dialect} → {sse, http1, error, config, metrics}`. The
/// configuration holds providers, which name their dialect, and the simulated
/// provider's settings, so it is above those; what is kept or gathered is calls
/// and answers in a wire form, so the cache and the batches are above the
/// dialect. A module that is not in the table may not exist.
const MAY_USE: &[(&str, &str)] = &[
    ("error", ""),
    ("http1", ""),
    ("sse", "error"),
    ("metrics", "error"),
    ("dialect", "sse error"),
    ("provider", "dialect error"),
    ("sim", "sse error"),
    ("config", "provider dialect sim error"),
    ("cache", "dialect sse http1 error config metrics"),
    ("batch", "cache dialect sse error config metrics"),
    ("upstream", "http1 error config metrics"),
    ("telemetry", "error config metrics"),
    (
        "gateway",
        "batch cache upstream provider dialect sse http1 error config metrics telemetry sim",
    ),
    (
        "server",
        "gateway cache upstream provider dialect sse http1 error config metrics telemetry sim",
    ),
    (
        "cli",
        "server gateway batch cache upstream provider dialect sse error config metrics telemetry sim",
    ),
    ("fuzzing", "gateway dialect sse error config provider"),
];

/// Words that a module's code must not contain, and why.
const ABSENT: &[(&str, &[&str], &str)] = &[
    (
        "dialect",
        &[
            "tokio", "tracing", "hyper::", "std::fs", "std::net", "std::env", "Instant",
        ],
        "pure functions over bytes: no I/O, no clock, no log",
    ),
    (
        "sse",
        &[
            "tokio",
            "tracing",
            "hyper::",
            "serde_json",
            "std::fs",
            "std::net",
            "Instant",
        ],
        "frames over bytes: no I/O, no JSON, no log",
    ),
    (
        "upstream",
        &["serde_json", "crate::dialect"],
        "an upstream knows neither JSON nor dialects",
    ),
    (
        "http1",
        &["tokio", "tracing", "hyper::", "std::net", "Instant"],
        "messages as bytes: no I/O, no clock, no log",
    ),
    (
        "provider",
        &[
            "tokio",
            "hyper::",
            "std::fs",
            "std::env",
            "TcpStream",
            "ToSocketAddrs",
        ],
        "a provider is data",
    ),
    (
        "error",
        &["serde_json", "tokio"],
        "the wire body is the dialect's",
    ),
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "misc", "mod",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `root` that belongs to the repository and ends in `.ext`,
/// as a path from it, in order.
fn files(ext: &str) -> Vec<PathBuf> {
    let skipped = ["target", "node_modules", "corpus", "artifacts"];
    let mut found = Vec::new();
    let mut open = vec![root().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !skipped.contains(&name.as_str()) {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == ext) {
                found.push(
                    path.strip_prefix(root())
                        .expect("below the root")
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a file that was just listed, in UTF-8")
}

/// A file of the library, without comments and without tests.
struct Source {
    path: PathBuf,
    /// The top module it belongs to.
    module: String,
    /// Its lines with their numbers.
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    files("rs")
        .into_iter()
        .filter(|path| path.starts_with("src"))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let module = path.components().nth(1).expect("a file in src");
            Source {
                module: module
                    .as_os_str()
                    .to_string_lossy()
                    .trim_end_matches(".rs")
                    .to_owned(),
                code: code(&read(&path)),
                path,
            }
        })
        .filter(|source| source.module != "main" && source.module != "lib")
        .collect()
}

fn code(text: &str) -> Vec<(usize, String)> {
    let tests = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

/// The modules named after each `crate::` in `code`, groups included, with
/// their lines.
fn modules_used(code: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    let mut group: Option<(usize, String)> = None;
    for (number, line) in code {
        if let Some((_, text)) = group.as_mut() {
            text.push_str(line);
        } else if let Some(at) = line.find("crate::{") {
            group = Some((*number, line[at + "crate::".len()..].to_owned()));
        }
        if let Some((start, text)) = group.take_if(|(_, text)| text.contains(';')) {
            used.extend(heads(&text).into_iter().map(|name| (start, name)));
        }
        for rest in line.split("crate::").skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() {
                used.push((*number, name));
            }
        }
    }
    used
}

/// The first names of the paths in `{a::b, c::{d, e}}`.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(String::new()),
            ';' => break,
            _ if depth == 1 => heads.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    heads
        .iter()
        .map(|path| path.split("::").next().unwrap_or("").trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_depend_in_one_direction() {
    let mut wrong = String::new();
    for Source { path, module, code } in sources() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            let _ = writeln!(
                wrong,
                "{}: module {module} has no row in MAY_USE",
                path.display()
            );
            continue;
        };
        for (line, name) in modules_used(&code) {
            if name != module
                && name.starts_with(char::is_lowercase)
                && !allowed.split(' ').any(|allowed| allowed == name)
            {
                let _ = writeln!(
                    wrong,
                    "{}:{line}: {module} may not use {name}",
                    path.display()
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_table_of_modules_has_no_cycle() {
    let mut settled = BTreeSet::new();
    while settled.len() < MAY_USE.len() {
        let before = settled.len();
        for (name, uses) in MAY_USE {
            if uses.split_whitespace().all(|used| settled.contains(used)) {
                settled.insert(*name);
            }
        }
        assert!(settled.len() > before, "a cycle outside {settled:?}");
    }
}

#[test]
fn modules_do_not_know_what_they_must_not_know() {
    let mut wrong = String::new();
    for Source { path, module, code } in sources() {
        for (_, words, why) in ABSENT.iter().filter(|(name, ..)| *name == module) {
            for (line, text) in &code {
                for word in words.iter().filter(|word| text.contains(**word)) {
                    let _ = writeln!(
                        wrong,
                        "{}:{line}: {word} in {module}: {why}",
                        path.display()
                    );
                }
            }
        }
        if module != "config" {
            for (line, text) in &code {
                if text.contains("config::raw") || text.contains("raw::File") {
                    let _ = writeln!(
                        wrong,
                        "{}:{line}: config::raw is config's own",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut wrong = String::new();
    for path in files("rs") {
        let text = read(&path);
        if !text.starts_with("//!") {
            let _ = writeln!(wrong, "{}: does not start with //!", path.display());
        }
        let stem = path.file_stem().expect("a name").to_string_lossy();
        if EMPTY_NAMES.contains(&stem.as_ref()) {
            let _ = writeln!(wrong, "{}: the name says nothing", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_test_is_skipped() {
    let skip = [
        concat!("#[", "ignore"),
        concat!("pytest.mark.", "skip"),
        concat!("pytest.mark.", "xfail"),
    ];
    let mut wrong = String::new();
    for path in files("rs").into_iter().chain(files("py")) {
        for (index, line) in read(&path).lines().enumerate() {
            if skip.iter().any(|word| line.contains(word)) {
                let _ = writeln!(wrong, "{}:{}: {}", path.display(), index + 1, line.trim());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn lock_files_name_no_registry_host() {
    for path in files("json")
        .iter()
        .filter(|path| path.ends_with("package-lock.json"))
    {
        assert!(!read(path).contains("\"resolved\""), "{}", path.display());
    }
    let cargo = read(Path::new("Cargo.lock"));
    for line in cargo.lines().filter(|line| line.starts_with("source = ")) {
        assert!(
            line.contains("https://github.com/rust-lang/crates.io-index"),
            "{line}"
        );
    }
}

/// A heading as GitHub turns it into an anchor.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// A document's lines without fenced blocks and without inline code.
fn words_of(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let plain = line.split('`').step_by(2).collect();
            lines.push((index + 1, plain));
        }
    }
    lines
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut wrong = String::new();
    for path in files("md") {
        for (line, text) in words_of(&read(&path)) {
            for part in text.split("](").skip(1) {
                let link = part.split([')', ' ']).next().unwrap_or("");
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                if let Err(why) = follow(&path, link) {
                    let _ = writeln!(wrong, "{}:{line}: {link}: {why}", path.display());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn follow(from: &Path, link: &str) -> Result<(), &'static str> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        root().join(from)
    } else {
        root().join(from).parent().ok_or("no folder")?.join(file)
    };
    if !target.exists() {
        return Err("no such file");
    }
    if heading.is_empty() || target.extension().is_none_or(|ext| ext != "md") {
        return Ok(());
    }
    let text = fs::read_to_string(&target).map_err(|_| "unreadable")?;
    let found = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| anchor(&line.trim_start_matches('#').replace('`', "")) == heading);
    if found {
        Ok(())
    } else {
        Err("no such heading")
    }
}

#[test]
fn the_text_reading_here_reads_what_it_should() {
    let lines = code(
        "//! x\nuse crate::{\n  a::b,\n  c::{d, e},\n};\nlet x = crate::f::g(crate::h);\n#[cfg(test)]\nmod tests {\nuse crate::z;\n",
    );
    let names: Vec<String> = modules_used(&lines)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["a", "c", "f", "h"]);
    assert_eq!(
        anchor("What's `x` — and why?").replace('`', ""),
        "whats-x--and-why"
    );
    assert_eq!(
        words_of("a `](b)` c\n```\n](d)\n```\n"),
        [(1, "a  c".to_owned())]
    );
}
