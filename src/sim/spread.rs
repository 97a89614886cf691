//! Distributions a human can write: `200ms`, `uniform(50ms,200ms)`,
//! `lognormal(p50=200ms,p99=2s)`, `quantiles(p50=200ms,p90=1s,p99=4s)`.
//!
//! [`Pace`] is a distribution of waits, [`Length`] one of token counts; both
//! are the same shapes over another unit. Drawing needs only a [`Dice`], so a
//! seed fixes every number.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::dice::Dice;

/// A distribution of waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace(Shape);

/// A distribution of token counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Length(Shape);

/// In seconds for a [`Pace`], in tokens for a [`Length`]; never negative.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Fixed(f64),
    Uniform(f64, f64),
    /// Given by its median and its 99th percentile, which people know, and not
    /// by the logarithm's mean and deviation, which nobody does.
    LogNormal {
        p50: f64,
        p99: f64,
    },
    /// `(share, value)`, both ascending; straight lines between them, flat
    /// outside.
    Quantiles(Vec<(f64, f64)>),
}

/// A distribution that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a distribution: {why}; write {example}")]
pub struct BadSpread {
    text: String,
    why: &'static str,
    example: &'static str,
}

impl Pace {
    /// No wait at all.
    pub const ZERO: Self = Self(Shape::Fixed(0.0));

    /// The same wait every time.
    pub fn fixed(wait: Duration) -> Self {
        Self(Shape::Fixed(wait.as_secs_f64()))
    }

    /// Whether every draw is zero, so that no timer is needed.
    pub fn is_zero(&self) -> bool {
        self.0 == Shape::Fixed(0.0)
    }

    /// One wait.
    pub fn draw(&self, dice: &mut Dice) -> Duration {
        // Past a day a wait is "for ever", and a `Duration` must not overflow.
        Duration::from_secs_f64(self.0.draw(dice).min(86_400.0))
    }

    /// The sum of `count` waits.
    pub(crate) fn sum(&self, count: u64, dice: &mut Dice) -> Duration {
        let total = match self.0 {
            Shape::Fixed(each) => each * count as f64,
            _ => (0..count).map(|_| self.0.draw(dice)).sum(),
        };
        Duration::from_secs_f64(total.min(86_400.0))
    }
}

impl Length {
    /// The same count every time.
    pub fn fixed(tokens: u64) -> Self {
        Self(Shape::Fixed(tokens as f64))
    }

    /// One count.
    pub fn draw(&self, dice: &mut Dice) -> u64 {
        self.0.draw(dice).round() as u64
    }
}

impl Shape {
    fn draw(&self, dice: &mut Dice) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Uniform(low, high) => low + (high - low) * dice.unit(),
            Self::LogNormal { p50, p99 } => {
                // 2.3263 standard deviations above the mean lies the 99th percentile.
                p50 * ((p99 / p50).ln() / 2.326_347_874 * dice.normal()).exp()
            }
            Self::Quantiles(points) => interpolate(points, dice.unit()),
        }
    }

    fn parse(text: &str, unit: fn(&str) -> Option<f64>) -> Result<Self, &'static str> {
        let text = text.trim();
        let number = |text: &str| unit(text.trim()).ok_or("a value is not a number with its unit");
        let Some((name, rest)) = text.split_once('(') else {
            return Ok(Self::Fixed(number(text)?));
        };
        let inside = rest
            .strip_suffix(')')
            .ok_or("the closing bracket is missing")?;
        match name.trim() {
            "fixed" => Ok(Self::Fixed(number(inside)?)),
            "uniform" => {
                let (low, high) = inside.split_once(',').ok_or("uniform takes two values")?;
                let (low, high) = (number(low)?, number(high)?);
                if low > high {
                    return Err("the first value is above the second");
                }
                Ok(Self::Uniform(low, high))
            }
            "lognormal" => match quantiles(inside, number)?[..] {
                [(a, p50), (b, p99)] if a == 0.5 && b == 0.99 && p50 > 0.0 => {
                    Ok(Self::LogNormal { p50, p99 })
                }
                _ => Err("lognormal takes p50 and p99, both above zero"),
            },
            "quantiles" => Ok(Self::Quantiles(quantiles(inside, number)?)),
            _ => Err("its name is none of fixed, uniform, lognormal, quantiles"),
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, unit: fn(f64) -> String) -> fmt::Result {
        match self {
            Self::Fixed(value) => f.write_str(&unit(*value)),
            Self::Uniform(low, high) => write!(f, "uniform({},{})", unit(*low), unit(*high)),
            Self::LogNormal { p50, p99 } => {
                write!(f, "lognormal(p50={},p99={})", unit(*p50), unit(*p99))
            }
            Self::Quantiles(points) => {
                let points: Vec<_> = points
                    .iter()
                    .map(|(share, value)| format!("p{}={}", share * 100.0, unit(*value)))
                    .collect();
                write!(f, "quantiles({})", points.join(","))
            }
        }
    }
}

/// Reads `p50=A,p99=B`: ascending in both.
fn quantiles(
    text: &str,
    number: impl Fn(&str) -> Result<f64, &'static str>,
) -> Result<Vec<(f64, f64)>, &'static str> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for pair in text.split(',') {
        let (name, value) = pair
            .split_once('=')
            .ok_or("a pair like p50=200ms is missing its =")?;
        let percent: f64 = name
            .trim()
            .strip_prefix('p')
            .and_then(|digits| digits.parse().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or("a percentile is p0 to p100")?;
        let point = (percent / 100.0, number(value)?);
        if points
            .last()
            .is_some_and(|last| last.0 >= point.0 || last.1 > point.1)
        {
            return Err("percentiles and their values must ascend");
        }
        points.push(point);
    }
    Ok(points)
}

fn interpolate(points: &[(f64, f64)], share: f64) -> f64 {
    let above = points.partition_point(|point| point.0 <= share);
    match (above.checked_sub(1).map(|at| points[at]), points.get(above)) {
        (Some((p, low)), Some(&(q, high))) => low + (high - low) * (share - p) / (q - p),
        (Some((_, last)), None) => last,
        (None, Some(&(_, first))) => first,
        (None, None) => 0.0,
    }
}

/// Seconds out of `200ms`, `1.5s`, `80us`, `2m`; a bare `0` needs no unit.
fn seconds(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let scale = match &text[digits.len()..] {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let value: f64 = digits.trim_end().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value * scale)
}

fn tokens(text: &str) -> Option<f64> {
    text.parse::<u32>().ok().map(f64::from)
}

fn show_seconds(value: f64) -> String {
    // Micro-seconds are finer than any timer here; rounding hides binary noise.
    let micros = (value * 1e6).round() as u64;
    match micros {
        0 => "0".to_owned(),
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros.is_multiple_of(1_000) => format!("{}ms", micros / 1_000),
        _ => format!("{micros}us"),
    }
}

impl FromStr for Pace {
    type Err = BadSpread;

    fn from_str(text: &str) -> Result<Self, BadSpread> {
        Shape::parse(text, seconds).map(Self).map_err(|why| BadSpread {
            text: text.to_owned(),
            why,
            example: "200ms, uniform(50ms,200ms), lognormal(p50=200ms,p99=2s) or quantiles(p50=200ms,p90=1s)",
        })
    }
}

impl FromStr for Length {
    type Err = BadSpread;

    fn from_str(text: &str) -> Result<Self, BadSpread> {
        Shape::parse(text, tokens).map(Self).map_err(|why| BadSpread {
            text: text.to_owned(),
            why,
            example: "64, uniform(20,200), lognormal(p50=80,p99=900) or quantiles(p50=80,p90=300)",
        })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, show_seconds)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, |value| value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "0",
            "200ms",
            "1500us",
            "2s",
            "uniform(50ms,200ms)",
            "lognormal(p50=200ms,p99=2s)",
            "quantiles(p10=5ms,p50=200ms,p99=4s)",
        ] {
            assert_eq!(text.parse::<Pace>().unwrap().to_string(), text);
        }
        assert_eq!("fixed(1.5s)".parse::<Pace>().unwrap().to_string(), "1500ms");
        for text in ["64", "uniform(20,200)", "lognormal(p50=80,p99=900)"] {
            assert_eq!(text.parse::<Length>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_an_example() {
        for text in [
            "",
            "200",
            "-1s",
            "fast",
            "uniform(2s,1s)",
            "uniform(2s)",
            "uniform(1s,2s",
            "lognormal(p50=0,p99=1s)",
            "lognormal(p50=1s)",
            "quantiles(p99=1s,p50=2s)",
            "quantiles(p50=2s,p99=1s)",
            "quantiles(p101=1s)",
            "gauss(1s,2s)",
        ] {
            let error = text.parse::<Pace>().expect_err(text).to_string();
            assert!(error.contains("lognormal(p50=200ms"), "{error}");
        }
        assert!("1.5".parse::<Length>().is_err());
    }

    #[test]
    fn draws_follow_their_quantiles() {
        // Expected (share, milliseconds) within 5 %, over 40,000 draws of one seed.
        let rows: [(&str, &[(f64, f64)]); 4] = [
            ("200ms", &[(0.01, 200.0), (0.99, 200.0)]),
            (
                "uniform(100ms,300ms)",
                &[(0.1, 120.0), (0.5, 200.0), (0.9, 280.0)],
            ),
            (
                "lognormal(p50=200ms,p99=2s)",
                &[(0.01, 20.0), (0.5, 200.0), (0.99, 2000.0)],
            ),
            (
                "quantiles(p50=200ms,p90=1s,p99=4s)",
                &[
                    (0.2, 200.0),
                    (0.5, 200.0),
                    (0.7, 600.0),
                    (0.9, 1000.0),
                    (0.995, 4000.0),
                ],
            ),
        ];
        for (text, expected) in rows {
            let pace: Pace = text.parse().unwrap();
            let mut dice = Dice::new(42);
            let mut draws: Vec<_> = (0..40_000).map(|_| pace.draw(&mut dice)).collect();
            draws.sort();
            for (share, millis) in expected {
                let at = draws[(draws.len() as f64 * share) as usize].as_secs_f64() * 1e3;
                assert!((at / millis - 1.0).abs() < 0.05, "{text} p{share}: {at} ms");
            }
        }
    }

    #[test]
    fn a_sum_is_what_its_draws_add_up_to() {
        let mut dice = Dice::new(1);
        let fixed = Pace::fixed(Duration::from_millis(5));
        assert_eq!(fixed.sum(9, &mut dice), Duration::from_millis(45));
        let uniform: Pace = "uniform(1ms,3ms)".parse().unwrap();
        let sum = uniform.sum(1000, &mut dice).as_secs_f64();
        assert!((1.9..2.1).contains(&sum), "{sum}");
    }
}
