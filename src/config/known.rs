//! Which of the keys that were written exist.
//!
//! One walk over the file beside the reference: an unknown key gets the
//! nearest valid name.

use super::nearest::nearest;
use super::problem::Report;
use super::raw::{Node, Table, Value, join};
use super::reference::{self, ROWS};

/// Reports every unknown key.
pub(super) fn check(root: &Table, report: &Report) {
    walk(root, "", "", report);
}

fn walk(table: &Table, path: &str, pattern: &str, report: &Report) {
    let names = reference::names_in(pattern);
    for (name, node) in &table.entries {
        let path = join(path, name);
        let known = names.contains(&name.as_str());
        let below = match (known, names.as_slice()) {
            (true, _) => join(pattern, name),
            (false, ["*"]) => join(pattern, "*"),
            (false, _) => {
                let message = unknown(name, pattern, &names, &node.value);
                report.problem(&node.place, path, message);
                continue;
            }
        };
        if reference::is_section(&below) {
            section(node, &path, &below, report);
        }
    }
}

fn section(node: &Node, path: &str, pattern: &str, report: &Report) {
    match &node.value {
        Value::Table(table) => walk(table, path, pattern, report),
        Value::List(items) if pattern == "keys" => {
            for (at, item) in items.iter().enumerate() {
                if let Value::Table(table) = &item.value {
                    walk(table, &format!("{path}[{at}]"), pattern, report);
                }
            }
        }
        // What is no table at all is for the section's own reader to refuse.
        _ => {}
    }
}

fn unknown(name: &str, pattern: &str, names: &[&str], value: &Value) -> String {
    let what = if matches!(value, Value::Table(_)) {
        "section"
    } else {
        "key"
    };
    if let Some(near) = nearest(name, names.iter().copied()) {
        return format!("unknown {what}; did you mean {near:?}?");
    }
    // The right key in the wrong place.
    let mut homes = ROWS.iter().filter(|row| row.split().1 == name);
    if let (Some(row), None) = (homes.next(), homes.next()) {
        let home = row.split().0.replace('*', "NAME");
        return format!("unknown {what} here; {name} belongs in [{home}]");
    }
    let place = if pattern.is_empty() {
        "a section is one of"
    } else {
        "known here:"
    };
    format!("unknown {what}; {place} {}", names.join(", "))
}
