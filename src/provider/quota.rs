//! What a provider says is left of a rate limit, from the headers of its answers.
//!
//! OpenAI and those like it: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`,
//! Anthropic: `anthropic-ratelimit-{requests,tokens,…}-{limit,remaining,reset}`,
//! Mistral: limits by the minute, without a reset. A provider has several at once;
//! the scarcest is the one that will say no.

use std::time::{Duration, SystemTime};

use super::reset::reset;

/// What is left of the scarcest limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// The share of the limit that is left, 0 … 1.
    pub left: f64,
    /// After how long it is whole again.
    pub resets_in: Duration,
    /// The limit itself, in its unit.
    pub limit: f64,
    /// What it counts.
    pub unit: Unit,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Calls.
    Requests,
    /// Tokens, of whatever kind.
    Tokens,
}

/// A limit that does not say when it is whole again is one by the minute, and
/// fills evenly.
const MINUTE: Duration = Duration::from_secs(60);

/// What limits count, as headers call it. Those by the minute are Mistral's.
const COUNTED: [(&str, Unit); 6] = [
    ("requests", Unit::Requests),
    ("tokens", Unit::Tokens),
    ("req-minute", Unit::Requests),
    ("tokens-minute", Unit::Tokens),
    ("input-tokens", Unit::Tokens),
    ("output-tokens", Unit::Tokens),
];

/// What is said of a limit, each in a header of its own.
const PARTS: [&str; 3] = ["limit", "remaining", "reset"];

impl Quota {
    /// Reads those of an answer's `headers`, names and values, that tell of
    /// limits; of several alike the first. `now` is for resets that are told as a
    /// point in time. Nothing if they say nothing that can be understood.
    pub fn read<'a>(
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        now: SystemTime,
    ) -> Option<Self> {
        let mut said = [[None; PARTS.len()]; COUNTED.len()];
        for (name, value) in headers {
            if let Some((counted, part)) = place(name) {
                said[counted][part].get_or_insert(value);
            }
        }
        let limits = COUNTED.iter().zip(said).filter_map(|(&(_, unit), said)| {
            let [limit, remaining, reset] = said;
            let limit = number(limit?).filter(|limit| *limit > 0.0)?;
            let left = (number(remaining?)? / limit).min(1.0);
            Some(Limit {
                left,
                limit,
                unit,
                reset,
            })
        });
        let scarcest = limits.min_by(|a, b| {
            let longer_first = || b.resets_in(now).cmp(&a.resets_in(now));
            a.left.total_cmp(&b.left).then_with(longer_first)
        })?;
        Some(Self {
            left: scarcest.left,
            resets_in: scarcest.resets_in(now),
            limit: scarcest.limit,
            unit: scarcest.unit,
        })
    }
}

/// One of several limits. When it is whole again is read only of those it
/// matters of.
struct Limit<'a> {
    left: f64,
    limit: f64,
    unit: Unit,
    reset: Option<&'a [u8]>,
}

impl Limit<'_> {
    fn resets_in(&self, now: SystemTime) -> Duration {
        let told = self.reset.and_then(|text| time(text, now));
        told.unwrap_or_else(|| MINUTE.mul_f64(1.0 - self.left))
    }
}

/// Of which limit a header tells, and which part: places in [`COUNTED`] and
/// [`PARTS`].
fn place(name: &[u8]) -> Option<(usize, usize)> {
    let is_dash = |byte: &u8| *byte == b'-';
    let (counted, part) = if let Some(rest) = behind(name, "x-ratelimit-") {
        let dash = rest.iter().position(is_dash)?;
        (&rest[dash + 1..], &rest[..dash])
    } else {
        let rest = behind(name, "anthropic-ratelimit-")?;
        let dash = rest.iter().rposition(is_dash)?;
        (&rest[..dash], &rest[dash + 1..])
    };
    let is = |known: &str, text: &[u8]| text.eq_ignore_ascii_case(known.as_bytes());
    Some((
        COUNTED.iter().position(|(known, _)| is(known, counted))?,
        PARTS.iter().position(|known| is(known, part))?,
    ))
}

/// What stands in `name` behind `start`.
fn behind<'a>(name: &'a [u8], start: &str) -> Option<&'a [u8]> {
    let (begin, rest) = name.split_at_checked(start.len())?;
    let is_start = begin.eq_ignore_ascii_case(start.as_bytes());
    is_start.then_some(rest)
}

/// A count. Azure says -1 where it does not know.
fn number(text: &[u8]) -> Option<f64> {
    let digits = text.trim_ascii();
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let add = |number: u64, digit: &u8| number * 10 + u64::from(digit - b'0');
    is_number.then(|| digits.iter().fold(0, add) as f64)
}

/// A reset, if it says its unit. Azure's bare numbers have been seen in
/// milliseconds and in seconds.
fn time(text: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    (!is_bare).then(|| reset(text, now)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left and resets in how many milliseconds, of headers as they come
    /// in one text, at 2026-11-22T12:00:00Z.
    fn read(headers: &str) -> Option<(f64, u128)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        let lines = headers
            .lines()
            .filter_map(|line| line.trim().split_once(": "));
        let lines = lines.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let quota = Quota::read(lines, now)?;
        Some((quota.left, quota.resets_in.as_millis()))
    }

    #[test]
    fn every_provider_s_headers_are_read() {
        for (headers, expected) in [
            // OpenAI.
            (
                "x-ratelimit-limit-requests: 10000
                x-ratelimit-limit-tokens: 2000000
                x-ratelimit-remaining-requests: 9999
                x-ratelimit-remaining-tokens: 500000
                x-ratelimit-reset-requests: 6ms
                x-ratelimit-reset-tokens: 1m0.5s",
                Some((0.25, 60_500)),
            ),
            // Groq: requests by the day.
            (
                "x-ratelimit-limit-requests: 14400
                x-ratelimit-limit-tokens: 18000
                x-ratelimit-remaining-requests: 1440
                x-ratelimit-remaining-tokens: 17997
                x-ratelimit-reset-requests: 2m59.56s
                x-ratelimit-reset-tokens: 7.66s",
                Some((0.1, 179_560)),
            ),
            // Anthropic.
            (
                "anthropic-ratelimit-requests-limit: 50
                anthropic-ratelimit-requests-remaining: 49
                anthropic-ratelimit-requests-reset: 2026-11-22T12:00:01Z
                anthropic-ratelimit-input-tokens-limit: 200000
                anthropic-ratelimit-input-tokens-remaining: 126000
                anthropic-ratelimit-input-tokens-reset: 2026-11-22T12:00:22Z
                anthropic-ratelimit-output-tokens-limit: 80000
                anthropic-ratelimit-output-tokens-remaining: 79000
                anthropic-ratelimit-output-tokens-reset: 2026-11-22T12:00:00Z",
                Some((0.63, 22_000)),
            ),
            // Azure: a bare number is not believed, in whichever unit it is.
            (
                "x-ratelimit-limit-requests: 120
                x-ratelimit-remaining-requests: 60
                x-ratelimit-reset-requests: 500",
                Some((0.5, 30_000)),
            ),
            // Azure where it does not know.
            (
                "x-ratelimit-limit-tokens: -1
                x-ratelimit-remaining-tokens: -1
                x-ratelimit-reset-tokens: 0",
                None,
            ),
            // Mistral.
            (
                "x-ratelimit-limit-req-minute: 300
                x-ratelimit-remaining-req-minute: 150
                x-ratelimit-limit-tokens-minute: 500000
                x-ratelimit-remaining-tokens-minute: 0",
                Some((0.0, 60_000)),
            ),
            // Names in any case, and the first of two.
            (
                "X-RateLimit-Limit-Tokens: 100
                X-RateLimit-Remaining-Tokens: 40
                x-ratelimit-remaining-tokens: 90
                Anthropic-Ratelimit-Output-Tokens-Limit: 10
                anthropic-ratelimit-output-tokens-Remaining: 5",
                Some((0.4, 36_000)),
            ),
            // xAI: no reset.
            (
                "x-ratelimit-limit-requests: 480
                x-ratelimit-remaining-requests: 480",
                Some((1.0, 0)),
            ),
        ] {
            assert_eq!(read(headers), expected, "{headers}");
        }
    }

    #[test]
    fn what_says_nothing_is_no_quota() {
        for (headers, expected) in [
            ("", None),
            ("retry-after: 3", None),
            ("x-ratelimit-limit-tokens: 100", None),
            ("x-ratelimit-remaining-tokens: 0", None),
            (
                "x-ratelimit-limit-tokens: 0\nx-ratelimit-remaining-tokens: 0",
                None,
            ),
            (
                "x-ratelimit-limit-tokens: many\nx-ratelimit-remaining-tokens: few",
                None,
            ),
            // More left than there is, and a reset that is junk.
            (
                "x-ratelimit-limit-tokens: 10\nx-ratelimit-remaining-tokens: 99",
                Some((1.0, 0)),
            ),
            (
                "x-ratelimit-limit-tokens: 10\nx-ratelimit-remaining-tokens: 5\nx-ratelimit-reset-tokens: soon",
                Some((0.5, 30_000)),
            ),
        ] {
            assert_eq!(read(headers), expected, "{headers}");
        }
    }

    #[test]
    fn of_two_that_are_used_up_the_longer_counts() {
        let both = "x-ratelimit-limit-requests: 10
            x-ratelimit-remaining-requests: 0
            x-ratelimit-reset-requests: 1s
            x-ratelimit-limit-tokens: 10
            x-ratelimit-remaining-tokens: 0
            x-ratelimit-reset-tokens: 9s";
        assert_eq!(read(both), Some((0.0, 9_000)));
    }
}
