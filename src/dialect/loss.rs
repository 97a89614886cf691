//! What a translation could not carry over, as values.
//!
//! Nothing is lost in silence: what the target format has no place for is
//! named by its path in the caller's own body, for `x-nowait-dropped` and the
//! log, or the call is refused with that path (`on_loss = "reject"`).

use std::borrow::Cow;
use std::fmt::{self, Display};

use crate::error::Error;

/// One thing that did not come through as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood in the caller's body (`messages[3].content[1]`), or, with
    /// `response.` before it, in the provider's answer.
    pub path: String,
    /// What became of it.
    pub what: What,
}

/// What became of something that can't be carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was left out.
    Dropped,
    /// It was sent as something else, which says what and why.
    Changed(Cow<'static, str>),
}

/// The losses of one call, in the order they were met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    list: Vec<Loss>,
    /// So many more, which are only counted.
    more: usize,
}

/// A caller can't do anything with more; and a long conversation can lose the
/// same in every turn.
const MOST: usize = 32;

impl Losses {
    /// `path` was left out.
    pub fn dropped(&mut self, path: impl Display) {
        self.note(path, What::Dropped);
    }

    /// `path` was sent as something else.
    pub fn changed(&mut self, path: impl Display, how: impl Into<Cow<'static, str>>) {
        self.note(path, What::Changed(how.into()));
    }

    fn note(&mut self, path: impl Display, what: What) {
        let path = path.to_string();
        if self.list.iter().any(|loss| loss.path == path) {
            return;
        }
        match self.list.len() {
            MOST => self.more += 1,
            _ => self.list.push(Loss { path, what }),
        }
    }

    /// And these.
    pub fn extend(&mut self, others: &Self) {
        for loss in &others.list {
            self.note(&loss.path, loss.what.clone());
        }
        self.more += others.more;
    }

    /// Those that a [`Self::header`] names.
    pub fn of_header(text: &str) -> Self {
        let mut losses = Self::default();
        for path in text.split(',').filter(|path| !path.is_empty()) {
            match path.strip_prefix('+').and_then(|more| more.parse().ok()) {
                Some(more) => losses.more = more,
                None => losses.dropped(path),
            }
        }
        losses
    }

    /// Whether everything came through.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each of them, up to 32; those past that are only counted.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.list.iter()
    }

    /// The value of `x-nowait-dropped`; nothing where nothing was lost. What a
    /// header can't hold is replaced by `?`; `+968` at the end is so many more.
    pub fn header(&self) -> Option<String> {
        let mut paths: Vec<String> = self.list.iter().map(|loss| printable(&loss.path)).collect();
        if self.more > 0 {
            paths.push(format!("+{}", self.more));
        }
        (!paths.is_empty()).then(|| paths.join(","))
    }

    /// The error that refuses the call for the first of them.
    pub fn refused(&self) -> Option<Error> {
        let loss = self.list.first()?;
        Some(
            Error::invalid(format!(
                "translating the request: {loss}; remove it, or let nowait go on without it (on_loss = \"report\")"
            ))
            .param(loss.path.clone()),
        )
    }
}

fn printable(path: &str) -> String {
    path.chars()
        .take(100)
        .map(|c| {
            if c.is_ascii_graphic() && c != ',' {
                c
            } else {
                '?'
            }
        })
        .collect()
}

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Dropped if self.path.starts_with("response.") => {
                write!(f, "the caller's format has no place for {}", self.path)
            }
            What::Dropped => write!(f, "the provider has no place for {}", self.path),
            What::Changed(how) => write!(f, "{} {how}", self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_each_in_a_header_and_an_error() {
        let mut losses = Losses::default();
        assert_eq!((losses.header(), losses.refused().is_none()), (None, true));
        losses.changed("temperature", "was clamped to 1");
        losses.dropped("seed");
        losses.dropped("seed");
        losses.dropped("a b,\u{e9}\n");
        let header = losses.header();
        assert_eq!(header.as_deref(), Some("temperature,seed,a?b???"));
        let mut again = Losses::of_header("temperature,seed");
        again.extend(&losses);
        assert_eq!(again.iter().count(), 3);
        again = Losses::of_header(again.header().as_deref().unwrap_or_default());
        assert_eq!(again.header().as_deref(), Some("temperature,seed,a?b???"));
        let error = losses.refused().unwrap();
        assert_eq!(error.field(), Some("temperature"));
        assert!(error.message().contains("temperature was clamped to 1"));
    }

    #[test]
    fn losses_are_bounded() {
        let mut losses = Losses::default();
        (0..1000).for_each(|at| losses.dropped(at));
        // The same once more is none more.
        losses.dropped(0);
        assert_eq!(losses.iter().count(), MOST);
        let header = losses.header().unwrap();
        assert!(header.ends_with(",31,+968"), "{header}");
        let again = Losses::of_header(&header);
        assert_eq!(again, losses);
    }
}
