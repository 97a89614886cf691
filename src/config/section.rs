//! A cursor over one section: reads its keys, falls back on the reference's
//! defaults, and reports what cannot be read.

use super::env::Environment;
use super::problem::{Place, Report};
use super::raw::{self, Node, Table, Value, join};
use super::read::Read;
use super::reference;

/// One section of the file, there or not.
#[derive(Clone)]
pub(super) struct Section<'a> {
    /// As the user sees it: `providers.vllm.pool`.
    pub(super) path: String,
    /// As the reference knows it: `providers.*.pool`.
    pattern: String,
    table: Option<&'a Table>,
    /// Where it begins; the file as a whole where it is not there.
    pub(super) place: Place,
    pub(super) report: &'a Report,
}

impl<'a> Section<'a> {
    /// The file as a whole.
    pub(super) fn root(table: &'a Table, file: &Place, report: &'a Report) -> Self {
        Self {
            path: String::new(),
            pattern: String::new(),
            table: Some(table),
            place: file.clone(),
            report,
        }
    }

    /// The section below, there or not.
    pub(super) fn section(&self, key: &str) -> Self {
        self.below(key, key, self.node(key))
    }

    /// The section below that carries a name of the user's, there or not.
    pub(super) fn member(&self, name: &str) -> Self {
        self.below(name, "*", self.node(name))
    }

    /// All sections below that carry names of the user's, in the order of the
    /// file.
    pub(super) fn named(&self) -> Vec<(&'a str, Self)> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        table
            .entries
            .iter()
            .map(|(name, node)| (name.as_str(), self.below(name, "*", Some(node))))
            .collect()
    }

    /// The entries of a `[[list]]` of sections.
    pub(super) fn listed(&self, key: &str) -> Vec<Self> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            let message = format!("is {}; write [[{key}]] above each entry", node.value.kind());
            self.report
                .problem(&node.place, join(&self.path, key), message);
            return Vec::new();
        };
        let entry = |(at, item)| self.below(&format!("{key}[{at}]"), key, Some(item));
        items.iter().enumerate().map(entry).collect()
    }

    fn below(&self, name: &str, pattern: &str, node: Option<&'a Node>) -> Self {
        let path = join(&self.path, name);
        let table = match node.map(|node| &node.value) {
            Some(Value::Table(table)) => Some(table),
            Some(Value::Broken) | None => None,
            Some(other) => {
                let place = node.map_or(&self.place, |node| &node.place);
                let message = format!("is {}; it is a section: write [{path}]", other.kind());
                self.report.problem(place, &path, message);
                None
            }
        };
        Self {
            path,
            pattern: join(&self.pattern, pattern),
            table,
            place: node.map_or(&self.place, |node| &node.place).clone(),
            report: self.report,
        }
    }

    /// Whether it was written at all.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The value as it stands.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.table?.get(key)
    }

    /// Where a key was written; where it would be, else.
    pub(super) fn place_of(&self, key: &str) -> &Place {
        self.node(key).map_or(&self.place, |node| &node.place)
    }

    /// A key that was written and can be read.
    pub(super) fn get<T>(&self, key: &str, read: impl Fn(&Node) -> Read<T>) -> Option<T> {
        let node = self.node(key)?;
        match read(node) {
            Ok(value) => value,
            Err(why) => {
                self.problem(key, why.to_string());
                None
            }
        }
    }

    /// A key's value, or its default where it was not written. `None` only
    /// with a problem reported.
    pub(super) fn value<T>(&self, key: &str, read: impl Fn(&Node) -> Read<T>) -> Option<T> {
        if self.node(key).is_some() {
            return self.get(key, read);
        }
        let default = default(&join(&self.pattern, key));
        match default.as_ref().map(read) {
            Some(Ok(Some(value))) => Some(value),
            _ => {
                self.problem(
                    key,
                    "has no usable default, which is a bug in nowait; set it",
                );
                None
            }
        }
    }

    /// Reports something wrong with a key.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let path = join(&self.path, key);
        self.report.problem(self.place_of(key), path, message);
    }

    /// Reports something odd about a key.
    pub(super) fn notice(&self, key: &str, message: impl Into<String>) {
        let path = join(&self.path, key);
        self.report.notice(self.place_of(key), path, message);
    }
}

/// The default of a key, read from the reference like a file.
fn default(pattern: &str) -> Option<Node> {
    let toml = reference::row(pattern)?.default?;
    let place = Place::whole("default");
    let report = Report::default();
    let text = format!("default = {toml}");
    let parsed = raw::parse(&text, &place, &Environment::default(), &report);
    parsed.root.entries.into_iter().next().map(|(_, node)| node)
}
