//! The times in rate-limit headers: how long until there is room again.
//!
//! Providers write them in four forms; all are read here, so that a pause and
//! a quota are read alike.

use std::time::{Duration, SystemTime};

/// No time further off is told apart: for a call, and for a target, it is
/// "not today".
pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Reads the time until a limit is reset, at most [`LONGEST`]; what has passed
/// is zero. The forms, with who writes them:
///
/// - `6m0s`, `1s`, `20ms`, `17.399999999s`: OpenAI, Groq, and Gemini's
///   `retryDelay` (a duration as Go prints it);
/// - `500`: Azure OpenAI, in milliseconds;
/// - `2026-01-02T03:04:05Z`: Anthropic (RFC 3339), which needs to know what
///   time it is `now`.
pub fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if text.as_bytes().get(4) == Some(&b'-') {
        until(rfc3339(text)?, now)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_millis(text.parse().ok()?)
    } else {
        go_duration(text)?
    };
    Some(wait.min(LONGEST))
}

/// Reads what `Retry-After` may hold (RFC 9110 §10.2.3): seconds, also with a
/// fraction as OpenAI's SDKs take them, or an HTTP date. At most [`LONGEST`].
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match seconds(text) {
        Some(wait) => wait,
        None => until(httpdate::parse_http_date(text).ok()?, now),
    };
    Some(wait.min(LONGEST))
}

fn until(at: SystemTime, now: SystemTime) -> Duration {
    at.duration_since(now).unwrap_or_default()
}

/// `1.5` and the like, without sign or exponent. More than can be held is
/// [`LONGEST`].
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = is_number.then(|| text.parse().ok())??;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST))
}

/// A sum of numbers with units, as Go's `time.Duration` is printed.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(seconds(number)?.as_secs_f64() * scale);
        sum = sum.saturating_add(part.unwrap_or(LONGEST));
        rest = tail;
    }
    Some(sum)
}

/// `2026-01-02T03:04:05.678Z`, or with an offset like `+02:00`.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = u64::try_from(local - offset(zone)?).ok()?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds) + Duration::from_secs_f64(fraction))
}

/// Seconds that a zone (`Z`, `+02:00`) is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = zone.split_at_checked(1)?;
    if rest.is_empty() {
        return sign.eq_ignore_ascii_case("z").then_some(0);
    }
    let [hours, minutes] = numbers(rest, ':')?;
    let seconds = (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// Exactly `N` numbers of at most four digits.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for number in &mut found {
        let part = parts.next().filter(|part| part.len() <= 4)?;
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, from 1970 on.
/// Years are counted from March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T12:00:00Z.
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
    }

    const fn ms(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn every_documented_reset_is_read() {
        for (text, expected) in [
            // OpenAI, "Rate limits in headers".
            ("1s", ms(1_000)),
            ("6m0s", ms(360_000)),
            ("20ms", ms(20)),
            ("12ms", ms(12)),
            ("1h2m3.5s", ms(3_723_500)),
            ("0s", ms(0)),
            // Groq.
            ("7.66s", ms(7_660)),
            ("17.399999999s", Some(Duration::from_nanos(17_399_999_999))),
            ("2m59.56s", ms(179_560)),
            // Gemini, `google.rpc.RetryInfo`.
            ("48s", ms(48_000)),
            // Go prints what is below a millisecond like this.
            ("500µs", Some(Duration::from_micros(500))),
            // Azure OpenAI.
            ("500", ms(500)),
            ("7", ms(7)),
            ("0", ms(0)),
            // Anthropic.
            ("2026-11-22T12:00:30Z", ms(30_000)),
            ("2026-11-22T12:00:00.250Z", ms(250)),
            ("2026-11-22T14:00:30+02:00", ms(30_000)),
            ("2026-11-22T06:30:30-05:30", ms(30_000)),
            ("2026-11-22T11:59:59Z", ms(0)),
            // Bounded.
            ("900h", Some(LONGEST)),
            ("99999999999999999", Some(LONGEST)),
            ("2099-01-01T00:00:00Z", Some(LONGEST)),
        ] {
            assert_eq!(reset(text, noon()), expected, "{text}");
        }
    }

    #[test]
    fn every_retry_after_is_read() {
        for (text, expected) in [
            ("0", ms(0)),
            ("1", ms(1_000)),
            (" 30 ", ms(30_000)),
            ("1.5", ms(1_500)),
            ("Sun, 22 Nov 2026 12:00:07 GMT", ms(7_000)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", ms(0)),
            // The two obsolete forms RFC 9110 §5.6.7 wants read.
            ("Sunday, 22-Nov-26 12:00:07 GMT", ms(7_000)),
            ("Sun Nov 22 12:00:07 2026", ms(7_000)),
            ("99999999999999999999999", Some(LONGEST)),
        ] {
            assert_eq!(retry_after(text, noon()), expected, "{text}");
        }
    }

    #[test]
    fn junk_is_no_time() {
        let junk = [
            "",
            " ",
            "soon",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "inf",
            "1s2",
            "s",
            "1x",
            ".",
            "1..2s",
            "1 s",
            "-5s",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "2026-11-22T12:00:00",
            "2026-11-22T12:00:00X",
            "2026-11-22T12:00:00+99:00",
            "2026-11-2éT12:00:00Z",
            "2026-11-22T12:00:00.+1Z",
            "1234-é",
        ];
        for text in junk {
            assert_eq!(
                reset(text, noon()).filter(|_| !text.trim().is_empty()),
                None,
                "{text}"
            );
            let wait = retry_after(text, noon());
            assert_eq!(wait, None, "{text}");
        }
        assert_eq!(reset("", noon()), None);
    }

    #[test]
    fn days_are_counted_over_leap_days() {
        for (date, second) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-28T23:59:59Z", 951_782_399),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2025-01-01T00:00:00Z", 1_735_689_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            assert_eq!(rfc3339(date), Some(expected), "{date}");
        }
    }
}
