//! The numbers of a `usage` object, divided and added up.
//!
//! Nothing here knows what a number is called: `prompt_tokens`,
//! `total_tokens`, details inside them, a price. All are shared out by the same
//! weights, so numbers that were equal stay equal.

use std::ops::{AddAssign, Range};

use crate::dialect::json::scan::{Invalid, Scan};
use crate::dialect::json::span_in;

/// One number of a usage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Count {
    /// Its keys below `usage`, joined by dots.
    pub(super) path: String,
    /// Where it lies in the text.
    pub(super) span: Range<usize>,
    /// What it is.
    pub(super) number: Number,
}

/// What a provider counts in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Tokens and the like: parts add up exactly.
    Whole(u64),
    /// A price: parts add up but for rounding.
    Decimal(f64),
}

/// The numbers in `object`, which lies at `at` of the text. Numbers inside
/// lists are left as they are: nobody counts there.
pub(super) fn counts(object: &str, at: usize) -> Result<Vec<Count>, Invalid> {
    let mut found = Vec::new();
    gather(object, at, "", DEPTH, &mut found)?;
    Ok(found)
}

/// How deep counts are looked for; `prompt_tokens_details` is the second level.
const DEPTH: u8 = 4;

fn gather(
    object: &str,
    at: usize,
    above: &str,
    depth: u8,
    found: &mut Vec<Count>,
) -> Result<(), Invalid> {
    Scan::new(object).object(|scan, key| {
        let value = scan.skip()?;
        let start = at + span_in(object, value).start;
        let path = || match above {
            "" => key.as_ref().to_owned(),
            above => format!("{above}.{key}"),
        };
        match value.as_bytes()[0] {
            b'{' if depth > 1 => gather(value, start, &path(), depth - 1, found),
            b'0'..=b'9' => {
                found.push(Count {
                    path: path(),
                    span: start..start + value.len(),
                    number: Number::read(value).ok_or(Invalid)?,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    })
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(whole) => Some(Self::Whole(whole)),
            Err(_) => text
                .parse()
                .ok()
                .filter(|decimal: &f64| decimal.is_finite())
                .map(Self::Decimal),
        }
    }

    /// None of it, in the same form.
    pub(super) fn zero(self) -> Self {
        match self {
            Self::Whole(_) => Self::Whole(0),
            Self::Decimal(_) => Self::Decimal(0.0),
        }
    }

    /// The parts by weight.
    pub(super) fn shares(self, weights: &[u64]) -> Vec<Self> {
        match self {
            Self::Whole(whole) => apportion(whole, weights)
                .into_iter()
                .map(Self::Whole)
                .collect(),
            Self::Decimal(decimal) => {
                let all = weights.iter().map(|weight| *weight as f64).sum::<f64>();
                let even = 1.0 / weights.len().max(1) as f64;
                let share = |weight: u64| {
                    if all > 0.0 { weight as f64 / all } else { even }
                };
                weights
                    .iter()
                    .map(|weight| Self::Decimal(decimal * share(*weight)))
                    .collect()
            }
        }
    }

    /// Appends it as JSON.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Whole(whole) => serde_json::to_writer(out, &whole),
            Self::Decimal(decimal) => serde_json::to_writer(out, &decimal),
        };
        written.expect("a finite number always serialises into memory");
    }
}

impl AddAssign for Number {
    fn add_assign(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (a, b) => Self::Decimal((a.as_f64() + b.as_f64()).min(f64::MAX)),
        }
    }
}

impl Number {
    fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Decimal(decimal) => decimal,
        }
    }
}

/// Divides `total` by `weights` so that the parts add up to it: by largest
/// remainder, the earlier first among equals. Every part gets one before
/// weights count, where that many are there: nothing that was embedded took
/// no token. Where the weights add up to the total, each part is its weight.
pub(super) fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let each = u64::from(total >= weights.len() as u64);
    let left = u128::from(total) - u128::from(each) * weights.len() as u128;
    let weights: Vec<_> = weights
        .iter()
        .map(|weight| u128::from(weight.saturating_sub(each)))
        .collect();
    let all: u128 = weights.iter().sum();
    let weight = |at: usize| if all == 0 { 1 } else { weights[at] };
    let all = if all == 0 { weights.len() as u128 } else { all };
    let mut parts: Vec<u64> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
    for at in 0..weights.len() {
        // Neither factor is over 64 bits, and the quotient isn't over `left`.
        let share = left * weight(at);
        parts.push(each + (share / all) as u64);
        remainders.push((share % all, at));
    }
    let given: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    remainders.sort_unstable_by_key(|(remainder, at)| (std::cmp::Reverse(*remainder), *at));
    let short = usize::try_from(u128::from(total) - given).unwrap_or(0);
    for (_, at) in remainders.iter().take(short) {
        parts[*at] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_total_is_divided_by_weight() {
        let rows: [(u64, &[u64], &[u64]); 10] = [
            (8, &[1], &[8]),
            (6, &[1, 2, 3], &[1, 2, 3]),
            (10, &[1, 1, 1], &[4, 3, 3]),
            (100, &[1, 99], &[1, 99]),
            (12, &[2, 4], &[4, 8]),
            (2, &[1, 1, 1], &[1, 1, 0]),
            (0, &[5, 1], &[0, 0]),
            (5, &[0, 0], &[3, 2]),
            (u64::MAX, &[u64::MAX, 1], &[u64::MAX - 1, 1]),
            (7, &[], &[]),
        ];
        for (total, weights, parts) in rows {
            assert_eq!(apportion(total, weights), parts, "{total} by {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_and_follow_the_weights(
            total in prop_oneof![0u64..5_000, any::<u64>()],
            weights in prop::collection::vec(prop_oneof![0u64..50, any::<u64>()], 1..40),
        ) {
            let parts = apportion(total, &weights);
            let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            prop_assert_eq!(sum, u128::from(total));
            for (at, part) in parts.iter().enumerate() {
                for (other, other_part) in parts.iter().enumerate() {
                    // One token each comes first: 0 and 1 are alike.
                    if weights[at] > weights[other].max(1) {
                        prop_assert!(part >= other_part);
                    }
                }
            }
            let ones: Vec<u64> = weights.iter().map(|weight| weight % 1_000 + 1).collect();
            prop_assert_eq!(apportion(ones.iter().sum(), &ones), ones);
        }
    }

    #[test]
    fn counts_are_found_wherever_they_lie() {
        let usage = r#"{ "prompt_tokens" : 8,"cost":1.5e-3,"d":{"x":0,"y":{"z":2}},"t":[1],"n":null,"m":-1,"s":"3"}"#;
        let found: Vec<_> = counts(usage, 100)
            .unwrap()
            .into_iter()
            .map(|count| {
                let text = &usage[count.span.start - 100..count.span.end - 100];
                (count.path, text, count.number)
            })
            .collect();
        let expected = [
            ("prompt_tokens", "8", Number::Whole(8)),
            ("cost", "1.5e-3", Number::Decimal(0.0015)),
            ("d.x", "0", Number::Whole(0)),
            ("d.y.z", "2", Number::Whole(2)),
        ]
        .map(|(path, text, number)| (path.to_owned(), text, number));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_price_is_divided_too() {
        let parts = Number::Decimal(0.004).shares(&[1, 3]);
        assert_eq!(parts, [Number::Decimal(0.001), Number::Decimal(0.003)]);
        let mut sum = parts[0];
        sum += parts[1];
        assert_eq!(sum, Number::Decimal(0.004));
    }
}
