//! Values with units: durations, sizes, ratios.
//!
//! A number without its unit is refused: `idle = 90` could be seconds or
//! milliseconds, and only its writer knows. Every refusal shows the valid form.

use std::fmt;
use std::time::Duration;

/// Why a text is not what it should be, with the valid form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(super) String);

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What a duration looks like.
pub(super) const DURATION_FORM: &str =
    "a number with a unit (ms, s, m, h, d) like \"250ms\", \"10s\", \"1m30s\" or \"1h\"";

/// What a size looks like.
pub(super) const SIZE_FORM: &str =
    "a number with a unit (B, KB, MB, GB or KiB, MiB, GiB) like \"32MiB\"";

/// The units of time, in nanoseconds. The longer names come first, so that
/// `ms` is not read as `m`.
const TIMES: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A year. Longer is a slip of the keyboard, and sums of deadlines must not
/// overflow the clock.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads `250ms`, `10s`, `1.5s`, `1m30s`, `1h`.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let refuse = || {
        Invalid::new(format!(
            "{} is not a duration; write {DURATION_FORM}",
            quoted(text)
        ))
    };
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    if rest.is_empty() {
        return Err(refuse());
    }
    if rest == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(refuse)?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (name, next) = after.split_at(letters);
        let (_, unit) = TIMES
            .iter()
            .find(|(unit, _)| *unit == name)
            .ok_or_else(refuse)?;
        // `30s1m` and `1s1s` are slips.
        if *unit >= last_unit {
            return Err(refuse());
        }
        last_unit = *unit;
        let seconds = number * (*unit as f64) / 1e9;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?;
        total = total
            .checked_add(part)
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| Invalid::new(format!("{} is longer than a year", quoted(text))))?;
        rest = next;
    }
    Ok(total)
}

/// The shortest text [`duration`] reads back as the same duration.
pub fn show_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut left = duration.as_nanos();
    let mut text = String::new();
    for (name, unit) in TIMES.iter().rev() {
        let count = left / u128::from(*unit);
        // Days only where nothing else is needed: "36h" reads better than "1d12h".
        if count == 0 || (*name == "d" && left % u128::from(*unit) != 0) {
            continue;
        }
        left %= u128::from(*unit);
        text.push_str(&format!("{count}{name}"));
    }
    text
}

/// The units of size, in bytes: decimal as everywhere, binary with an `i`.
const SIZES: [(&str, u64); 12] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    // What people write when they mean the binary ones.
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
];

/// Reads `32MiB`, `1GB`, `512 KiB`: bytes.
pub fn size(text: &str) -> Result<u64, Invalid> {
    let refuse = || Invalid::new(format!("{} is not a size; write {SIZE_FORM}", quoted(text)));
    let (number, unit) = leading_number(text.trim()).ok_or_else(refuse)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) = SIZES
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(refuse)?;
    let bytes = number * (*factor as f64);
    // Beyond 2^53 a float no longer counts single bytes.
    if bytes > 9_007_199_254_740_992.0 {
        return Err(refuse());
    }
    Ok(bytes as u64)
}

/// A share of something: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// None of it.
    pub const ZERO: Self = Self(0.0);

    /// A share between 0 and 1, both included.
    pub fn new(value: f64) -> Result<Self, Invalid> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Invalid::new(format!(
                "{value} is not a ratio; write a number from 0 to 1 like 0.2, or \"20%\""
            )))
        }
    }

    /// The share, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl std::str::FromStr for Ratio {
    type Err = Invalid;

    /// Reads `0.2` and `20%`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = || {
            Invalid::new(format!(
                "{} is not a ratio; write a number from 0 to 1 like 0.2, or \"20%\"",
                quoted(text)
            ))
        };
        let (digits, scale) = match text.trim().strip_suffix('%') {
            Some(digits) => (digits.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let (number, rest) = leading_number(digits).ok_or_else(refuse)?;
        if !rest.is_empty() {
            return Err(refuse());
        }
        Self::new(number / scale).map_err(|_| refuse())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A plain decimal at the start of `text`, and what follows it. No sign, no
/// exponent, no `inf`.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

/// A value as messages show it: in quotes, its control characters escaped, cut
/// short where it is long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{:?}", start + "…")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        let rows = [
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("1.5s", Some(1_500)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            (" 5s ", Some(5_000)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1e3s", None),
            ("1 s", None),
            ("10sec", None),
            ("30s1m", None),
            ("1s1s", None),
            ("1.s", None),
            (".5s", None),
            ("1..5s", None),
            ("400d", None),
            ("99999999999999999999999999d", None),
            ("infs", None),
            ("10ſ", None),
        ];
        for (text, expected) in rows {
            let read = duration(text);
            assert_eq!(
                read.as_ref().ok(),
                expected.map(Duration::from_millis).as_ref(),
                "{text}: {read:?}"
            );
        }
        let refused = duration("10").expect_err("no unit").to_string();
        assert!(refused.contains("\"10\" is not a duration") && refused.contains("\"10s\""));
    }

    #[test]
    fn sizes() {
        let rows = [
            ("32MiB", Some(32 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("512 KiB", Some(512 << 10)),
            ("1.5kib", Some(1536)),
            ("0B", Some(0)),
            ("64k", Some(64 << 10)),
            ("32", None),
            ("MiB", None),
            ("-1MB", None),
            ("32MX", None),
            ("99999999TB", None),
        ];
        for (text, expected) in rows {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn ratios() {
        let rows = [
            ("0", Some(0.0)),
            ("1", Some(1.0)),
            ("0.05", Some(0.05)),
            ("20%", Some(0.2)),
            ("1.1", None),
            ("120%", None),
            ("-0.1", None),
            ("NaN", None),
            ("", None),
            ("%", None),
        ];
        for (text, expected) in rows {
            let read: Option<Ratio> = text.parse().ok();
            assert_eq!(read.map(Ratio::get), expected, "{text}");
        }
        assert!(Ratio::new(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn shown_durations_read_back(millis in 0_u64..30_000_000_000) {
            let time = Duration::from_millis(millis);
            let text = show_duration(time);
            let back = duration(&text).expect("what is shown is valid");
            prop_assert!(back.abs_diff(time) < Duration::from_micros(1), "{}", text);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (duration(&text), size(&text), text.parse::<Ratio>(), quoted(&text));
        }
    }
}
