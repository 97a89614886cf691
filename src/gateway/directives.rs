//! What a caller says of kept and shared answers: `Cache-Control` and
//! `x-nowait-cache`.
//!
//! Directives not listed here are passed over, as RFC 9111 §5.2 wants. A number
//! of seconds that can't be read is taken for none at all, which is the careful
//! side: the answer is asked for again.

use std::time::Duration;

use crate::config::Share;
use crate::error::Error;
use crate::http1::{Fields, Name};

/// What a caller wants of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// Neither read nor keep, nor join a flight. Stricter than RFC 9111, where
    /// it only forbids keeping: a caller who says so wants an answer of its own.
    pub(super) no_store: bool,
    /// Ask upstream; the answer may be kept.
    pub(super) no_cache: bool,
    /// A kept answer or none (504).
    pub(super) only_if_cached: bool,
    /// The oldest answer accepted.
    pub(super) max_age: Option<Duration>,
    /// How long past its time an answer is accepted, while a fresh one is
    /// asked for behind it.
    pub(super) stale: Option<Duration>,
    /// The sharing rule, where the caller sets one.
    pub(super) share: Option<Share>,
}

impl Directives {
    /// Reads them.
    ///
    /// # Errors
    /// An `x-nowait-cache` that is none of its words: it is only written on
    /// purpose, so what was meant must not be guessed.
    pub(super) fn of(fields: &Fields) -> Result<Self, Error> {
        let mut found = Self::default();
        for value in fields.all(Name::CacheControl) {
            // Half a word that can't be read doesn't take the others along.
            for directive in String::from_utf8_lossy(value).split(',') {
                found.take(directive.trim());
            }
        }
        for value in fields.all(Name::XNowaitCache) {
            let share = match value.trim_ascii() {
                b"all" => Share::All,
                b"deterministic" => Share::Deterministic,
                b"off" => Share::Off,
                _ => {
                    return Err(Error::invalid(
                        "the header x-nowait-cache must be all, deterministic or off",
                    )
                    .param("x-nowait-cache"));
                }
            };
            found.share = Some(found.share.map_or(share, |other| stricter(share, other)));
        }
        Ok(found)
    }

    fn take(&mut self, directive: &str) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        let is = |word: &str| name.trim().eq_ignore_ascii_case(word);
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            let age = seconds(argument);
            self.max_age = Some(self.max_age.map_or(age, |other| other.min(age)));
        } else if is("stale-while-revalidate") {
            let stale = seconds(argument);
            self.stale = Some(self.stale.map_or(stale, |other| other.min(stale)));
        }
    }
}

/// Of two rules the one that shares less.
fn stricter(one: Share, other: Share) -> Share {
    match (one, other) {
        (Share::Off, _) | (_, Share::Off) => Share::Off,
        (Share::Deterministic, _) | (_, Share::Deterministic) => Share::Deterministic,
        (Share::All, Share::All) => Share::All,
    }
}

/// A number of seconds, in quotes or not (RFC 9111 §5.2: both are to be
/// understood); more than fits is as many as do.
fn seconds(text: &str) -> Duration {
    let digits = text.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(seconds) if is_number => Duration::from_secs(seconds),
        Err(_) if is_number => Duration::from_secs(u64::from(u32::MAX)),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Directives {
        let fields = values.iter().map(|value| ("cache-control", value));
        Directives::of(&fields.collect()).unwrap()
    }

    #[test]
    fn every_directive_is_found_however_it_is_written() {
        let nothing = Directives::default();
        let secs = Duration::from_secs;
        let aged = |seconds| Directives {
            max_age: Some(secs(seconds)),
            ..nothing
        };
        for (values, expected) in [
            (&[][..], nothing),
            (&["must-understand, foo=1"], nothing),
            (
                &["No-Store"],
                Directives {
                    no_store: true,
                    ..nothing
                },
            ),
            (
                &["no-cache", "only-if-cached"],
                Directives {
                    no_cache: true,
                    only_if_cached: true,
                    ..nothing
                },
            ),
            (
                &["max-age=5 ,stale-while-revalidate = \"60\""],
                Directives {
                    stale: Some(secs(60)),
                    ..aged(5)
                },
            ),
            (&["max-age=5", "max-age=3, max-age=9"], aged(3)),
            (&["max-age=soon"], aged(0)),
            (&["max-age=-1"], aged(0)),
            (&["max-age"], aged(0)),
            (
                &["max-age=99999999999999999999999"],
                aged(u64::from(u32::MAX)),
            ),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_rule_that_is_no_rule_is_refused() {
        for (value, expected) in [
            ("all", Some(Share::All)),
            (" off ", Some(Share::Off)),
            ("deterministic", Some(Share::Deterministic)),
            ("On", None),
            ("", None),
        ] {
            let fields = [("x-nowait-cache", value)];
            let read = Directives::of(&fields.into_iter().collect());
            assert_eq!(read.as_ref().ok().and_then(|found| found.share), expected);
            assert_eq!(read.is_err(), expected.is_none(), "{value:?}");
        }
    }
}
