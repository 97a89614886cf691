//! The table: one row per quantity, one column per who was measured, every
//! number a median of rounds with the best of them behind it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::Result;

/// One quantity.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// What is measured, with its unit.
    pub name: &'static str,
    /// Whether more is better.
    pub rising: bool,
    /// What nowait has to reach, where something is promised.
    pub target: Option<Target>,
}

/// One quantity, measured in several rounds.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub quantity: Quantity,
    /// The values per column, in round order; empty where it makes no sense.
    pub columns: Vec<Vec<f64>>,
}

/// What a row has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At most this many times what it is judged by: nginx's, where nothing else
    /// is said.
    Ratio(f64),
    /// At most this, in the row's own unit.
    Value(f64),
    /// At least this, in the row's own unit.
    Least(f64),
    /// At most the direct call's value divided by this.
    Fewer(f64),
}

/// Rows under the names of their columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, in reading order.
    pub rows: Vec<Row>,
    /// The column that is judged.
    ours: &'static str,
    /// The column it is judged by.
    base: &'static str,
}

/// A quantity of which less is better.
pub const fn row(name: &'static str, target: Option<Target>) -> Quantity {
    Quantity {
        name,
        rising: false,
        target,
    }
}

/// A quantity of which more is better.
pub const fn rising(name: &'static str, target: Option<Target>) -> Quantity {
    Quantity {
        rising: true,
        ..row(name, target)
    }
}

impl Row {
    /// The middle of the rounds; `None` where nothing was measured.
    pub fn median(&self, column: usize) -> Option<f64> {
        middle(self.columns.get(column)?.clone())
    }

    /// The middle of the ratios of one column to another, each taken within
    /// its round: a machine that slows down for a while slows both.
    pub fn paired(&self, column: usize, base: usize) -> Option<f64> {
        let rounds = self
            .columns
            .get(column)?
            .iter()
            .zip(self.columns.get(base)?);
        middle(
            rounds
                .filter_map(|(&ours, &base)| ratio(Some(ours), Some(base)))
                .collect(),
        )
    }

    /// The best of the rounds.
    pub fn best(&self, column: usize) -> Option<f64> {
        let values = self.columns.get(column)?.iter().copied();
        if self.quantity.rising {
            values.max_by(f64::total_cmp)
        } else {
            values.min_by(f64::total_cmp)
        }
    }

    /// Whether the best round reached the target: on a shared machine noise
    /// only ever adds. `None` where nothing was measured or promised.
    fn reached(&self, ours: usize, nginx: usize, direct: Option<usize>) -> Option<bool> {
        let best = self.best(ours)?;
        Some(match self.quantity.target? {
            Target::Ratio(most) => ratio(Some(best), self.best(nginx))? <= most,
            Target::Value(most) => best <= most,
            Target::Least(least) => best >= least,
            Target::Fewer(times) => best * times <= self.best(direct?)?,
        })
    }

    fn verdict(&self, ours: usize, nginx: usize, direct: Option<usize>) -> String {
        let (Some(target), Some(reached)) =
            (self.quantity.target, self.reached(ours, nginx, direct))
        else {
            return String::new();
        };
        let mark = if reached { "reached" } else { "MISSED" };
        match target {
            Target::Ratio(most) => format!("≤ {most:.2} × {mark}"),
            Target::Value(most) => format!("≤ {most} {mark}"),
            Target::Least(least) => format!("≥ {least} {mark}"),
            Target::Fewer(times) => format!("≤ direct / {times} {mark}"),
        }
    }
}

impl Table {
    /// An empty table, to judge nowait by nginx.
    pub fn new(columns: Vec<&'static str>, quantities: &[Quantity]) -> Self {
        let row = |&quantity| Row {
            quantity,
            columns: vec![Vec::new(); columns.len()],
        };
        let rows = quantities.iter().map(row).collect();
        Self {
            columns,
            rows,
            ours: "nowait",
            base: "nginx",
        }
    }

    /// The same, to judge one column by another.
    #[must_use]
    pub fn judging(self, ours: &'static str, base: &'static str) -> Self {
        Self { ours, base, ..self }
    }

    /// Adds a value to the row of the quantity called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn add(&mut self, name: &str, column: usize, value: f64) -> Result<()> {
        let row = self.rows.iter_mut().find(|row| row.quantity.name == name);
        row.ok_or_else(|| format!("no row is called {name:?}"))?
            .columns[column]
            .push(value);
        Ok(())
    }

    /// The table as aligned text, readable as Markdown.
    pub fn text(&self) -> String {
        let [direct, base, ours] = ["direct", self.base, self.ours].map(|name| self.column(name));
        let mut lines = vec![self.header(base.is_some() && ours.is_some())];
        for row in &self.rows {
            let mut cells = vec![row.quantity.name.to_owned()];
            for column in 0..self.columns.len() {
                cells.push(match (row.median(column), row.best(column)) {
                    (Some(only), Some(_)) if row.columns[column].len() == 1 => short(only),
                    (Some(median), Some(best)) => format!("{} ({})", short(median), short(best)),
                    _ => "–".to_owned(),
                });
            }
            if let (Some(base), Some(ours)) = (base, ours) {
                let best = ratio(row.best(ours), row.best(base));
                cells.push(match (row.paired(ours, base), best) {
                    (Some(only), Some(_)) if row.columns[ours].len() == 1 => format!("{only:.2}"),
                    (Some(paired), Some(best)) => format!("{paired:.2} ({best:.2})"),
                    _ => "–".to_owned(),
                });
                cells.push(row.verdict(ours, base, direct));
            }
            lines.push(cells);
        }
        aligned(&lines)
    }

    /// Every row that has a target and missed it.
    pub fn missed(&self) -> Vec<&'static str> {
        let [direct, base, ours] = ["direct", self.base, self.ours].map(|name| self.column(name));
        let (Some(base), Some(ours)) = (base, ours) else {
            return Vec::new();
        };
        let missed = self
            .rows
            .iter()
            .filter(|row| row.reached(ours, base, direct) == Some(false));
        missed.map(|row| row.quantity.name).collect()
    }

    /// Every number of every round.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let columns = self.columns.iter().enumerate().map(|(at, name)| {
                let column = json!({"median": row.median(at), "best": row.best(at), "rounds": row.columns[at]});
                ((*name).to_owned(), column)
            });
            json!({"name": row.quantity.name, "columns": columns.collect::<serde_json::Map<_, _>>()})
        });
        rows.collect()
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }

    fn header(&self, ratios: bool) -> Vec<String> {
        let mut header = vec!["median (best) of rounds".to_owned()];
        header.extend(self.columns.iter().map(|&name| name.to_owned()));
        if ratios {
            header.extend([
                format!("{} / {}", self.ours, self.base),
                "target".to_owned(),
            ]);
        }
        header
    }
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let at = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[at]),
        _ => Some((values[at - 1] + values[at]) / 2.0),
    }
}

fn ratio(ours: Option<f64>, base: Option<f64>) -> Option<f64> {
    Some(ours? / base.filter(|&base| base > 0.0)?)
}

/// Three significant digits, or all of a large whole number.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<_> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a string can't fail.
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let _ = write!(
                    text,
                    "|-{}{}",
                    "-".repeat(width),
                    if column == 0 { "-" } else { ":" }
                );
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Quantity = Quantity {
        name: "CPU",
        rising: false,
        target: Some(Target::Ratio(1.25)),
    };
    const RSS: Quantity = Quantity {
        name: "RSS",
        rising: false,
        target: Some(Target::Value(15.0)),
    };

    #[test]
    fn medians_bests_ratios_and_targets() {
        let mut table = Table::new(vec!["nginx", "nowait"], &[CPU, RSS]);
        for (nginx, nowait) in [(20.0, 22.0), (18.0, 30.0), (40.0, 20.0)] {
            table.add("CPU", 0, nginx).expect("declared");
            table.add("CPU", 1, nowait).expect("declared");
        }
        table.add("RSS", 1, 16.0).expect("declared");
        assert!(table.add("other", 1, 16.0).is_err());
        let row = &table.rows[0];
        assert_eq!(
            (row.median(0), row.best(0), row.median(1)),
            (Some(20.0), Some(18.0), Some(22.0))
        );
        assert_eq!(table.missed(), ["RSS"]);
        let text = table.text();
        assert!(
            text.contains("20.0 (18.0)") && text.contains("1.10 (1.11)"),
            "{text}"
        );
        assert!(text.contains("≤ 15 MISSED"), "{text}");
        assert_eq!(table.json()[0]["columns"]["nowait"]["rounds"][1], 30.0);
    }

    #[test]
    fn targets_beside_the_direct_call_and_from_below() {
        let row = |name, rising, target| Quantity {
            name,
            rising,
            target: Some(target),
        };
        let rows = [
            row("calls", false, Target::Fewer(20.0)),
            row("time", false, Target::Fewer(5.0)),
            row("share", true, Target::Least(0.9)),
        ];
        let mut table = Table::new(vec!["direct", "nginx", "nowait"], &rows);
        for (name, column, value) in [
            ("calls", 0, 2000.0),
            ("calls", 2, 101.0),
            ("time", 0, 40.0),
            ("time", 2, 8.0),
            ("share", 2, 0.8),
            ("share", 2, 0.95),
        ] {
            table.add(name, column, value).expect("declared");
        }
        assert_eq!(table.missed(), ["calls"]);
        let judged = table.clone().judging("direct", "nowait");
        assert_eq!(judged.missed(), ["calls", "time"]);
        assert!(judged.text().contains("direct / nowait"));
        let text = table.text();
        assert!(text.contains("≤ direct / 20 MISSED"), "{text}");
        assert!(text.contains("≥ 0.9 reached"), "{text}");
    }

    #[test]
    fn the_middle_of_an_even_number_is_between() {
        let quantity = Quantity {
            name: "x",
            rising: true,
            target: None,
        };
        let row = Row {
            quantity,
            columns: vec![vec![4.0, 1.0], vec![]],
        };
        assert_eq!(
            (row.median(0), row.best(0), row.median(1), row.best(1)),
            (Some(2.5), Some(4.0), None, None)
        );
    }
}
