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
    /// Where the provider asked for a pause the jitter comes on top, and is no
    /// longer than the pause itself: nobody is early, and those who were told
    /// the same do not all return in the same instant.
    pub fn wait(self, failures: u32, pause: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let bound = self.base.saturating_mul(doubled).min(Self::CAP);
        let (pause, bound) = match pause {
            Some(pause) => (pause, bound.min(pause.max(Self::NETWORK.base))),
            None => (Duration::ZERO, bound),
        };
        pause + bound.mul_f64(rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::provider::reset::LONGEST;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn a_refusal_says_how_long() {
        // 2026-11-22T12:00:00Z.
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        let check = |headers: Headers, expected| {
            let header = |name: &str| {
                let named = headers.iter().find(|(known, _)| *known == name);
                named.map(|(_, value)| *value)
            };
            assert_eq!(asked(header, noon), expected, "{headers:?}");
        };
        #[rustfmt::skip]
        let rows: &[(Headers, Option<Duration>)] = &[
            (&[], None),
            (&[("retry-after", "2")], Some(ms(2_000))),
            (&[("retry-after", "Sun, 22 Nov 2026 12:00:09 GMT")], Some(ms(9_000))),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "9999999")], Some(LONGEST)),
            (&[("retry-after-ms", "350"), ("retry-after", "1")], Some(ms(350))),
            // Azure, recorded.
            (&[("retry-after-ms", "0"), ("retry-after", "1")], Some(ms(1_000))),
            (&[("retry-after-ms", "junk"), ("retry-after", "1")], Some(ms(1_000))),
            // OpenAI, without a Retry-After.
            (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")], Some(ms(360_000))),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "20ms"),
               ("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-reset-requests", "1s")], Some(ms(20))),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "20ms"),
               ("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")], Some(ms(1_000))),
            (&[("x-ratelimit-remaining-tokens", "150"), ("x-ratelimit-reset-tokens", "59.85s")], None),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "-1")], None),
            // Anthropic.
            (&[("anthropic-ratelimit-input-tokens-remaining", "0"),
               ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T12:00:30Z")], Some(ms(30_000))),
            (&[("anthropic-ratelimit-requests-remaining", "0"),
               ("anthropic-ratelimit-requests-reset", "2026-11-22T11:59:00Z")], Some(ms(0))),
            // Retry-After is more precise than a reset, where both are there.
            (&[("retry-after", "3"), ("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")], Some(ms(3_000))),
        ];
        for (headers, expected) in rows {
            check(headers, *expected);
        }
    }

    #[test]
    fn a_back_off_doubles_to_its_cap_and_keeps_a_pause() {
        let rows: &[(BackOff, u32, Option<u64>, RangeInclusive<u64>)] = &[
            (BackOff::NETWORK, 1, None, 0..=25),
            (BackOff::NETWORK, 2, None, 0..=50),
            (BackOff::NETWORK, 4, None, 0..=200),
            (BackOff::REFUSED, 1, None, 0..=500),
            (BackOff::REFUSED, 3, None, 0..=2_000),
            (BackOff::REFUSED, 99, None, 0..=8_000),
            (BackOff::REFUSED, 1, Some(0), 0..=25),
            (BackOff::REFUSED, 1, Some(100), 100..=200),
            (BackOff::REFUSED, 1, Some(10_000), 10_000..=10_500),
            (BackOff::REFUSED, 5, Some(10_000), 10_000..=18_000),
        ];
        let mut rng = fastrand::Rng::with_seed(4);
        for (back_off, failures, pause, range) in rows {
            let mut draw = || back_off.wait(*failures, pause.map(ms), &mut rng);
            let waits: Vec<Duration> = (0..1_000).map(|_| draw()).collect();
            let (least, most) = (ms(*range.start()), ms(*range.end()));
            assert!(
                waits.iter().all(|wait| (least..=most).contains(wait)),
                "{range:?}"
            );
            // Full: the whole range is used, evenly.
            let middle = (least + most) / 2;
            let above = waits.iter().filter(|wait| **wait > middle).count();
            assert!(
                (400..600).contains(&above),
                "{above} of 1000 above {middle:?}"
            );
        }
    }
}
