//! The file, literally: every value with the place it was written at.
//!
//! Values are expanded here and nothing more; whether a key exists and what
//! its value must look like is `reference` and `read`. A file that is broken
//! in one line is still read in the others, so that all is told at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::env::{self, Environment};
use super::problem::{Place, Report};

/// A table: its entries in the order they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<(String, Node)>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Text),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// Already reported: whoever reads it has nothing to add.
    Broken,
}

/// A string before and after expansion. Messages quote what was written: what
/// it expands to may be a secret that was put in the wrong place.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) written: String,
    pub(super) text: String,
}

impl Text {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            written: text.clone(),
            text,
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// Puts a value at the end of a path, making the tables on the way. A
    /// value in the way is replaced: it has no business being there, and the
    /// walk over known keys says so.
    pub(super) fn set(&mut self, path: &[String], node: Node) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let at = match self.entries.iter().position(|(name, _)| name == first) {
            Some(at) => at,
            None => {
                let place = node.place.clone();
                let value = Value::Table(Self::default());
                self.entries.push((first.clone(), Node { place, value }));
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at].1;
        if rest.is_empty() {
            *entry = node;
            return;
        }
        if !matches!(entry.value, Value::Table(_)) {
            entry.value = Value::Table(Self::default());
        }
        if let Value::Table(table) = &mut entry.value {
            table.set(rest, node);
        }
    }
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "broken",
        }
    }
}

/// What parsing leaves.
pub(super) struct Parsed {
    pub(super) root: Table,
    /// Whether all of the file is in it. Where it is not, that something is
    /// missing says nothing.
    pub(super) whole: bool,
}

/// Reads the text of a file named by `file`.
pub(super) fn parse(text: &str, file: &Place, env: &Environment, report: &Report) -> Parsed {
    let reader = Reader {
        starts: line_starts(text),
        file,
        env,
        report,
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut whole = true;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let place = reader.place(span.start);
        // Of the text itself only names are shown: a value may be a secret.
        if error.message().contains("duplicate key") {
            let key = text.get(span).unwrap_or_default().trim();
            report.problem(&place, key, "is set twice; keep one of them");
        } else {
            whole = false;
            let message = format!("is not valid TOML: {}", error.message());
            report.broken(&place, message);
        }
    }
    Parsed {
        root: reader.table(root.get_ref(), ""),
        whole,
    }
}

struct Reader<'a> {
    starts: Vec<usize>,
    file: &'a Place,
    env: &'a Environment,
    report: &'a Report,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        self.file
            .line(self.starts.partition_point(|start| *start <= offset))
    }

    fn table(&self, table: &DeTable<'_>, path: &str) -> Table {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let offset = key.span().start;
                let name = key.get_ref().to_string();
                let node = self.node(value, offset, &join(path, &name));
                (offset, name, node)
            })
            .collect();
        entries.sort_by_key(|(offset, ..)| *offset);
        Table {
            entries: entries
                .into_iter()
                .map(|(_, name, node)| (name, node))
                .collect(),
        }
    }

    /// A value stands where its key does; inside a list, where it begins.
    fn node(&self, value: &Spanned<DeValue<'_>>, offset: usize, path: &str) -> Node {
        let place = self.place(offset);
        let value = match value.get_ref() {
            DeValue::String(text) => self.text(text, &place, path),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(
                    |_| self.broken(&place, path, "is an integer out of range"),
                    Value::Integer,
                ),
            DeValue::Float(number) => number.as_str().parse().map_or_else(
                |_| self.broken(&place, path, "is not a number"),
                Value::Float,
            ),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => self.broken(&place, path, "is a date; no key takes one"),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.node(item, item.span().start, path))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table, path)),
        };
        Node { place, value }
    }

    fn text(&self, written: &str, place: &Place, path: &str) -> Value {
        match env::expand(written, self.env) {
            Ok(text) => Value::Text(Text {
                written: written.to_owned(),
                text,
            }),
            Err(reasons) => {
                for why in reasons {
                    self.report.problem(place, path, why.to_string());
                }
                Value::Broken
            }
        }
    }

    fn broken(&self, place: &Place, path: &str, message: &str) -> Value {
        self.report.problem(place, path, message);
        Value::Broken
    }
}

/// A key below another.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Where each line begins.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(
            text.bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at + 1),
        )
        .collect()
}
