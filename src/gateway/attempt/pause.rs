//! How long to wait before the same target is asked again: what the provider
//! said, and a back-off with jitter where it said nothing.

use std::time::{Duration, SystemTime};

use crate::provider::reset::{reset, retry_after};

/// What the headers of a refusal ask for, if anything: `retry-after-ms` (Azure,
/// OpenAI), `Retry-After`, else the reset of the limits that are used up. At
/// most [`LONGEST`](crate::provider::reset::LONGEST).
///
/// A limit that is not used up may still have been too small for this one
/// call; its reset, when all of it is back, says nothing about that.
pub fn asked<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<Duration> {
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`: a rounding of
    // its own, not leave to come back at once.
    let millis = header("retry-after-ms")
        .and_then(|text| reset(text, now))
        .filter(|wait| !wait.is_zero());
    millis
        .or_else(|| retry_after(header("retry-after")?, now))
        .or_else(|| {
            LIMITS
                .iter()
                .filter(|(remaining, _)| header(remaining).map(str::trim) == Some("0"))
                .filter_map(|(_, back)| reset(header(back)?, now))
                .max()
        })
}

/// The headers of what remains of a limit, and of when it is back.
#[rustfmt::skip]
const LIMITS: &[(&str, &str)] = &[
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
];

/// A back-off with full jitter: anything from nothing to a bound that doubles
/// with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The bound after the first failure.
    pub base: Duration,
}

impl BackOff {
    /// After an event of the network: a new connection may be all it takes
    /// (Envoy's base).
    pub const NETWORK: Self = Self {
        base: Duration::from_millis(25),
    };
    /// After a refusal, which takes longer to pass (the base of the official
    /// SDKs).
    pub const REFUSED: Self = Self {
        base: Duration::from_millis(500),
    };
    /// The bound never exceeds this (again as in the SDKs).
    pub const CAP: Duration = Duration::from_secs(8);

    /// How long to wait after this many failures, the last included.
    ///
    /// Where the provider asked for a pause it comes on top: nobody is early,
    /// and those who were told the same do not all return in the same instant.
    pub fn wait(self, failures: u32, pause: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let bound = self.base.saturating_mul(doubled).min(Self::CAP);
        pause.unwrap_or_default() + bound.mul_f64(rng.f64())
    }
}
