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

/// The headers of one limit.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

/// A limit that does not say when it is whole again is one by the minute, and
/// fills evenly.
const MINUTE: Duration = Duration::from_secs(60);

macro_rules! anthropic {
    ($what:literal) => {
        Names {
            limit: concat!("anthropic-ratelimit-", $what, "-limit"),
            remaining: concat!("anthropic-ratelimit-", $what, "-remaining"),
            reset: concat!("anthropic-ratelimit-", $what, "-reset"),
        }
    };
}

macro_rules! openai {
    ($what:literal) => {
        Names {
            limit: concat!("x-ratelimit-limit-", $what),
            remaining: concat!("x-ratelimit-remaining-", $what),
            reset: concat!("x-ratelimit-reset-", $what),
        }
    };
}

const LIMITS: &[Names] = &[
    openai!("requests"),
    openai!("tokens"),
    // Mistral's.
    openai!("req-minute"),
    openai!("tokens-minute"),
    anthropic!("requests"),
    anthropic!("tokens"),
    anthropic!("input-tokens"),
    anthropic!("output-tokens"),
];

impl Quota {
    /// Reads the headers of an answer, each looked up by its name in lower case.
    /// `now` is for resets that are told as a point in time. Nothing if they say
    /// nothing that can be understood.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<Self> {
        let quotas = LIMITS.iter().filter_map(|names| {
            let limit = number(header(names.limit)?).filter(|limit| *limit > 0.0)?;
            let left = (number(header(names.remaining)?)? / limit).min(1.0);
            let resets_in = header(names.reset).and_then(|text| time(text, now));
            Some(Self {
                left,
                limit,
                unit: match names.limit.contains("req") {
                    true => Unit::Requests,
                    false => Unit::Tokens,
                },
                resets_in: resets_in.unwrap_or_else(|| MINUTE.mul_f64(1.0 - left)),
            })
        });
        quotas.min_by(|a, b| {
            let longer_first = b.resets_in.cmp(&a.resets_in);
            a.left.total_cmp(&b.left).then(longer_first)
        })
    }
}

/// A count. Azure says -1 where it does not know.
fn number(text: &str) -> Option<f64> {
    let number: u64 = text.trim().parse().ok()?;
    Some(number as f64)
}

/// A reset, if it says its unit. Azure's bare numbers have been seen in
/// milliseconds and in seconds.
fn time(text: &str, now: SystemTime) -> Option<Duration> {
    let is_bare = text.trim().bytes().all(|byte| byte.is_ascii_digit());
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
        let lines: Vec<(&str, &str)> = lines.collect();
        let header = |name: &str| {
            let found = lines.iter().find(|(found, _)| *found == name);
            found.map(|(_, value)| *value)
        };
        let quota = Quota::read(header, now)?;
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
