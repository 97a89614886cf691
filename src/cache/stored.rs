//! What is kept of an answer: the provider's own bytes and what must be known
//! to serve, count and purge them.
//!
//! An answer is fresh for its ttl and then stale for as long again, for callers
//! who take stale ones (`stale-while-revalidate`). Ages are measured on the
//! monotonic clock, so nothing moves when somebody sets the time.

mod codec;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::Instant;

#[cfg(test)]
pub(super) use codec::VERSION;
pub(super) use codec::{decode, encode};

use crate::dialect::{Finish, Format, Usage};

/// The largest body that is kept, in bytes, wherever it is kept. What is larger
/// pushes thousands of ordinary answers out.
pub const LARGEST_BODY: usize = 8 << 20;

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Whose it is and who gave it.
    pub label: Arc<Label>,
    /// The wire form it was recorded in.
    pub format: Format,
    /// One object, or a stream of events.
    pub form: Form,
    /// The provider's `content-type`.
    pub content_type: HeaderValue,
    /// What it sent, as it sent it; alone in its allocation, so that a small
    /// answer doesn't hold the large buffer it was read into.
    body: Bytes,
    /// What the answer took, where the provider said so.
    pub usage: Option<Usage>,
    /// Why the generation ended.
    pub finish: Option<Finish>,
    /// How long the upstream call took: the time a hit saves.
    pub took: Duration,
    /// What did not come through on its way from another format, as
    /// `x-nowait-dropped` says it.
    pub dropped: Option<Box<str>>,
}

impl Stored {
    /// Copies `body` into an allocation of its own.
    pub fn new(
        label: Arc<Label>,
        format: Format,
        form: Form,
        content_type: HeaderValue,
        body: &[u8],
    ) -> Self {
        Self::owning(
            label,
            format,
            form,
            content_type,
            Bytes::copy_from_slice(body),
        )
    }

    /// Takes a body that nothing else shares an allocation with.
    fn owning(
        label: Arc<Label>,
        format: Format,
        form: Form,
        content_type: HeaderValue,
        body: Bytes,
    ) -> Self {
        Self {
            label,
            format,
            form,
            content_type,
            body,
            usage: None,
            finish: None,
            took: Duration::ZERO,
            dropped: None,
        }
    }

    /// What the provider sent, as it sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether what the body says that it took is an estimate. A stream says
    /// nothing where nothing was told.
    pub fn tells_an_estimate(&self) -> bool {
        self.form == Form::Whole && self.usage.is_some_and(|usage| usage.estimated)
    }
}

/// One object, or a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The whole answer as one JSON object.
    Whole,
    /// The frames of an event stream, from the first to the last.
    Stream,
}

/// Whose an answer is and who gave it: what a purge goes by. Shared by all
/// answers that have it in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The tenant; empty where answers are everybody's.
    pub tenant: Arc<str>,
    /// The provider's name.
    pub provider: Arc<str>,
    /// The model, as that provider calls it.
    pub model: Arc<str>,
}

/// An answer that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The answer.
    pub stored: Arc<Stored>,
    /// How long ago the provider gave it.
    pub age: Duration,
    /// How long it is fresh, from the time the provider gave it.
    pub ttl: Duration,
}

impl Hit {
    /// Whether its ttl is not over.
    pub fn is_fresh(&self) -> bool {
        self.age < self.ttl
    }

    /// Whole seconds it stays fresh, negative once it is stale: the `ttl` of
    /// `Cache-Status` (RFC 9211, section 2.5).
    pub fn seconds_left(&self) -> i64 {
        let number = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        if self.is_fresh() {
            return number((self.ttl - self.age).as_secs());
        }
        let over = self.age - self.ttl;
        let begun = u64::from(over.subsec_nanos() > 0);
        -number((over.as_secs() + begun).max(1))
    }
}

/// Which answers a caller takes: fresh ones, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Not older than this: `max-age`.
    pub max_age: Option<Duration>,
    /// This long past their ttl: `stale-while-revalidate`. Nothing is held for
    /// longer than twice its ttl.
    pub stale: Duration,
}

impl Wanted {
    /// Whether an answer of this age and ttl will do.
    pub fn takes(&self, age: Duration, ttl: Duration) -> bool {
        age < ttl.saturating_add(self.stale).min(ttl.saturating_mul(2))
            && self.max_age.is_none_or(|most| age <= most)
    }
}

/// How old an answer is and how long it is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// When its age was known. A time at which it was made could lie before
    /// the clock began, on a machine that has just started.
    pub(super) seen: Instant,
    /// How old it was then.
    pub(super) age: Duration,
    /// How long it is fresh, from the time the provider gave it.
    pub(super) ttl: Duration,
}

impl Life {
    /// A life that begins now.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            seen: Instant::now(),
            age: Duration::ZERO,
            ttl,
        }
    }

    /// One that is held for `left` more, as nothing is for longer than twice
    /// its ttl: the other end of [`Self::left`].
    pub(super) fn ending(ttl: Duration, left: Duration) -> Self {
        Self {
            seen: Instant::now(),
            age: ttl.saturating_mul(2).saturating_sub(left),
            ttl,
        }
    }

    /// How long ago the provider gave it.
    pub(super) fn age(self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.seen)
    }

    /// How long somebody can still want it.
    pub(super) fn left(self, now: Instant) -> Duration {
        self.ttl.saturating_mul(2).saturating_sub(self.age(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_takes_is_a_matter_of_age() {
        let s = Duration::from_secs;
        let check = |max_age: Option<u64>, stale, age, expected| {
            let wanted = Wanted {
                max_age: max_age.map(s),
                stale: s(stale),
            };
            assert_eq!(
                wanted.takes(s(age), s(60)),
                expected,
                "{wanted:?} at {age} s"
            );
        };
        check(None, 0, 0, true);
        check(None, 0, 59, true);
        check(None, 0, 60, false);
        check(None, 10, 69, true);
        check(None, 10, 70, false);
        // Whatever is asked for, nothing is served past twice its ttl.
        check(None, u64::MAX, 119, true);
        check(None, u64::MAX, 120, false);
        check(Some(0), 0, 0, true);
        check(Some(5), 0, 5, true);
        check(Some(5), 0, 6, false);
        check(Some(90), 0, 80, false);
        check(Some(90), 60, 80, true);
        check(Some(70), 60, 80, false);
    }

    #[test]
    fn what_is_left_turns_negative() {
        let stored = Arc::new(samples::stored("{}"));
        for (age_ms, left) in [
            (0, 60),
            (1, 59),
            (60_000, -1),
            (60_001, -1),
            (61_000, -1),
            (61_001, -2),
            (90_000, -30),
        ] {
            let hit = Hit {
                stored: stored.clone(),
                age: Duration::from_millis(age_ms),
                ttl: Duration::from_secs(60),
            };
            assert_eq!(hit.seconds_left(), left, "{age_ms}");
            assert_eq!(hit.is_fresh(), age_ms < 60_000, "{age_ms}");
        }
    }
}

/// Answers for the tests of this and the modules around it.
#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(in super::super) fn label(tenant: &str, model: &str) -> Arc<Label> {
        Arc::new(Label {
            tenant: tenant.into(),
            provider: "openai".into(),
            model: model.into(),
        })
    }

    pub(in super::super) fn stored(body: impl AsRef<[u8]>) -> Stored {
        let content_type = HeaderValue::from_static("application/json");
        let label = label("web", "gpt-4o");
        Stored::new(
            label,
            Format::Chat,
            Form::Whole,
            content_type,
            body.as_ref(),
        )
    }
}
