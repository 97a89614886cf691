//! How a caller wants its call made: how often it may be tried, whether it is
//! hedged, who waits where there is a queue, and whom it belongs to.

use crate::config::Hedge;
use crate::error::Error;
use crate::http1::{Fields, Name, NameSet};
use crate::upstream::admission::Priority;

/// What a caller says of the way its call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Manner {
    /// Calls upstream beyond the first (`x-nowait-retries`).
    pub(super) retries: Option<u32>,
    /// `x-nowait-hedge`.
    pub(super) hedge: Option<Hedge>,
    /// `x-nowait-priority`.
    pub(super) priority: Priority,
    /// A hash of the session the call is part of (`x-session-id`): calls of one
    /// go to the same target under `balance = "sticky"`.
    pub(super) session: Option<u64>,
}

/// More retries than that nobody waits for.
const RETRIES_MAX: u32 = 99;

impl Manner {
    /// The headers it is read from.
    pub(super) const NAMES: NameSet = NameSet::of(&[
        Name::XNowaitRetries,
        Name::XNowaitHedge,
        Name::XNowaitPriority,
        Name::XSessionId,
    ]);

    /// Reads it.
    ///
    /// # Errors
    /// A header of nowait's own with a value that is none of its: it is only
    /// written on purpose, so what was meant must not be guessed.
    pub(super) fn of(fields: &Fields) -> Result<Self, Error> {
        let retries = read(
            fields,
            Name::XNowaitRetries,
            "a whole number from 0 to 99",
            |text| text.parse().ok().filter(|retries| *retries <= RETRIES_MAX),
        )?;
        let hedge = read(
            fields,
            Name::XNowaitHedge,
            "off, a percentile from p50 like p95, or a duration like 800ms",
            Hedge::read,
        )?;
        let priority = read(
            fields,
            Name::XNowaitPriority,
            "interactive or batch",
            |text| match text {
                "interactive" => Some(Priority::Interactive),
                "batch" => Some(Priority::Batch),
                _ => None,
            },
        )?;
        Ok(Self {
            retries,
            hedge,
            priority: priority.unwrap_or_default(),
            session: fields.text(Name::XSessionId).map(hash),
        })
    }
}

fn read<T>(
    fields: &Fields,
    name: Name,
    form: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value).unwrap_or_default();
    parse(text.trim()).map(Some).ok_or_else(|| {
        let name = name.text().unwrap_or_default();
        Error::invalid(format!("the header {name} must be {form}")).param(name)
    })
}

/// The same number for the same text in every replica.
pub(super) fn hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes()[..8]
        .iter()
        .fold(0, |id, byte| id << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_written_is_read_or_refused_by_name() {
        let of = |name: &str, value: &str| Manner::of(&[(name, value)].into_iter().collect());
        assert_eq!(of("x-other", "?").unwrap(), Manner::default());
        assert_eq!(of("x-nowait-retries", "0").unwrap().retries, Some(0));
        let hedge = |text| of("x-nowait-hedge", text).unwrap().hedge;
        assert_eq!(hedge("off"), Some(Hedge::Off));
        assert_eq!(hedge("p95"), Some(Hedge::Quantile(0.95)));
        assert_eq!(
            hedge("800ms"),
            Some(Hedge::After(Duration::from_millis(800)))
        );
        let batch = of("x-nowait-priority", "batch").unwrap();
        assert_eq!(batch.priority, Priority::Batch);
        for (name, value) in [
            ("x-nowait-retries", "-1"),
            ("x-nowait-retries", "100"),
            ("x-nowait-retries", "many"),
            ("x-nowait-hedge", "p20"),
            ("x-nowait-hedge", "0s"),
            ("x-nowait-hedge", ""),
            ("x-nowait-priority", "high"),
        ] {
            let error = of(name, value).unwrap_err();
            assert_eq!(error.field(), Some(name), "{value}");
        }
        let session = |id| of("x-session-id", id).unwrap().session;
        assert_eq!(session("a"), session("a"));
        assert_ne!(session("a"), session("b"));
    }
}
