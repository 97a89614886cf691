//! `NOWAIT__SECTION__KEY`: any scalar key, set by a variable.
//!
//! Laid over the file before anything is checked, so that a variable's value
//! goes through the same readers and a message names the variable.

use super::env::Environment;
use super::nearest::nearest;
use super::problem::{Place, Report};
use super::raw::{Node, Table, Text, Value};
use super::reference::{Form, ROWS, Row};

const START: &str = "NOWAIT__";

/// Lays the variables over what the file says.
pub(super) fn apply(root: &mut Table, env: &Environment, report: &Report) {
    for (variable, text) in env.starting(START) {
        let place = Place::whole(variable);
        let parts: Vec<_> = variable[START.len()..]
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect();
        let Some(row) = ROWS.iter().find(|row| names(row, &parts)) else {
            report.problem(&place, "", unknown(variable, &parts));
            continue;
        };
        let path = resolve(root, row, &parts);
        let value = value(row.form, text);
        root.set(&path, Node { place, value });
    }
}

/// Whether these parts name this key.
fn names(row: &Row, parts: &[String]) -> bool {
    row.variable().is_some()
        && row.path.split('.').count() == parts.len()
        && row
            .path
            .split('.')
            .zip(parts)
            .all(|(key, part)| !part.is_empty() && (key == "*" || key == part))
}

/// The path meant: a name of the user's is looked for among those the file
/// has, where it may be written with capitals and other characters.
fn resolve(root: &Table, row: &Row, parts: &[String]) -> Vec<String> {
    let mut path = Vec::with_capacity(parts.len());
    let mut table = Some(root);
    for (key, part) in row.path.split('.').zip(parts) {
        let name = match (key, table) {
            ("*", Some(table)) => table
                .entries
                .iter()
                .map(|(name, _)| name)
                .find(|name| fold(name) == *part)
                .unwrap_or(part),
            _ => part,
        };
        table = table.and_then(|table| match &table.get(name)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        });
        path.push(name.clone());
    }
    path
}

/// A name as a variable can spell it.
pub(super) fn fold(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// A variable is text; what is a number or a flag in the file is one here.
fn value(form: Form, text: &str) -> Value {
    let text = text.trim();
    let typed = match form {
        Form::Count => text.parse().ok().map(Value::Integer),
        Form::Flag => text.parse().ok().map(Value::Flag),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::Text(Text::plain(text)))
}

fn unknown(variable: &str, parts: &[String]) -> String {
    let known: Vec<_> = ROWS
        .iter()
        .filter_map(|row| {
            // A `*` is taken for what was written in its place.
            let keys = row.variable()?;
            let mut filled = Vec::new();
            for (at, key) in keys[START.len()..].split("__").enumerate() {
                filled.push(match (key, parts.get(at)) {
                    ("*", Some(part)) => part.to_uppercase(),
                    _ => key.to_owned(),
                });
            }
            Some(format!("{START}{}", filled.join("__")))
        })
        .collect();
    match nearest(variable, known.iter().map(String::as_str)) {
        Some(near) => format!("names no key; did you mean {near}?"),
        None => "names no key; the form is NOWAIT__SECTION__KEY, for keys that are neither lists nor tables".to_owned(),
    }
}
