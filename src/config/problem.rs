//! What is wrong with a configuration, and what is merely odd.
//!
//! Everything wrong is collected and told at once: one line each, with the
//! place, the key and the fix. Values of secrets never get here.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Where a value was written: a line of a file, or a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    origin: Arc<str>,
    /// 1-based; 0 for a place without lines.
    line: usize,
}

impl Place {
    /// A variable, a flag, or a file as a whole.
    pub(super) fn whole(origin: impl Into<Arc<str>>) -> Self {
        Self {
            origin: origin.into(),
            line: 0,
        }
    }

    /// A line of this file, counted from 1.
    pub(super) fn line(&self, line: usize) -> Self {
        Self {
            origin: self.origin.clone(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        Ok(())
    }
}

/// Something that keeps a configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File and line, or the variable.
    pub place: Place,
    /// The key, as a path; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.place, &self.key, &self.message)
    }
}

/// Something odd that is not wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// File and line, or the variable.
    pub place: Place,
    /// The key, as a path.
    pub key: String,
    /// What is odd, and what to do.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.place, &self.key, &self.message)
    }
}

fn show(f: &mut fmt::Formatter<'_>, place: &Place, key: &str, message: &str) -> fmt::Result {
    if key.is_empty() {
        write!(f, "{place}: {message}")
    } else {
        write!(f, "{place}: {key}: {message}")
    }
}

/// Everything wrong with a configuration, in the order of the file; never
/// empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Each problem, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl std::error::Error for Problems {}

/// One problem per line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// What is found while a configuration is read.
///
/// Shared by every section being read; a `RefCell` because reading is one
/// thread's straight line.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    /// Lines that are no TOML: what else seems wrong there is an echo of that.
    broken: RefCell<Vec<Place>>,
    notices: RefCell<Vec<Notice>>,
}

impl Report {
    /// A line that is no TOML. Told once per line.
    pub(super) fn broken(&self, place: &Place, message: impl Into<String>) {
        self.problem(place, "", message);
        self.broken.borrow_mut().push(place.clone());
    }

    pub(super) fn problem(
        &self,
        place: &Place,
        key: impl Into<String>,
        message: impl Into<String>,
    ) {
        if self.broken.borrow().contains(place) {
            return;
        }
        self.problems.borrow_mut().push(Problem {
            place: place.clone(),
            key: key.into(),
            message: message.into(),
        });
    }

    pub(super) fn notice(&self, place: &Place, key: impl Into<String>, message: impl Into<String>) {
        self.notices.borrow_mut().push(Notice {
            place: place.clone(),
            key: key.into(),
            message: message.into(),
        });
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// What was odd, or what was wrong where anything was.
    pub(super) fn close(self) -> Result<Vec<Notice>, Problems> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            let mut notices = self.notices.into_inner();
            notices.sort();
            notices.dedup();
            return Ok(notices);
        }
        problems.sort();
        problems.dedup();
        Err(Problems(problems))
    }
}
