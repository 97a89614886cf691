//! What one request orders for itself, in `x-sim-…` headers, over the settings.

use std::str::FromStr;

use http::HeaderMap;

use super::dice::Dice;
use super::fault::Fault;
use super::refusal::Refusal;
use super::settings::Settings;
use super::spread::{Length, Pace};

/// How one call is to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) ttft: Pace,
    pub(crate) gap: Pace,
    pub(crate) tokens: Length,
    pub(crate) burst: usize,
    pub(crate) early_head: bool,
    /// The fault that strikes, ordered or drawn.
    pub(crate) fault: Option<Fault>,
}

impl Orders {
    /// The orders in `headers`, the settings where they are silent. Chance comes
    /// from `dice`, and only where no fault is ordered; `x-sim-fault: none` keeps
    /// it away.
    pub(crate) fn read(
        headers: &HeaderMap,
        settings: &Settings,
        dice: &mut Dice,
    ) -> Result<Self, Refusal> {
        let fault = match headers.get("x-sim-fault") {
            None => drawn(settings, dice),
            Some(value) if value == "none" => None,
            Some(_) => read(headers, "x-sim-fault")?,
        };
        let early = match read::<u8>(headers, "x-sim-early-head")? {
            Some(number) => number != 0,
            None => settings.early_head,
        };
        Ok(Self {
            ttft: read(headers, "x-sim-ttft")?.unwrap_or_else(|| settings.ttft.clone()),
            gap: read(headers, "x-sim-gap")?.unwrap_or_else(|| settings.gap.clone()),
            tokens: read(headers, "x-sim-tokens")?.unwrap_or_else(|| settings.tokens.clone()),
            burst: read(headers, "x-sim-burst")?
                .unwrap_or(settings.burst)
                .max(1),
            early_head: early,
            fault,
        })
    }
}

/// The fault that chance picks for one call. One draw decides, so the
/// probabilities add up.
fn drawn(settings: &Settings, dice: &mut Dice) -> Option<Fault> {
    if settings.faults.is_empty() {
        return None;
    }
    let mut left = dice.unit();
    // Hangups strike connections and were drawn when this one was accepted.
    for chance in settings
        .faults
        .iter()
        .filter(|chance| chance.fault != Fault::Hangup)
    {
        if left < chance.probability {
            return Some(chance.fault);
        }
        left -= chance.probability;
    }
    None
}

/// Whether chance hangs up on a connection before reading from it.
pub(crate) fn hangs_up(settings: &Settings, dice: &mut Dice) -> bool {
    let hangups = settings
        .faults
        .iter()
        .filter(|chance| chance.fault == Fault::Hangup);
    let probability: f64 = hangups.map(|chance| chance.probability).sum();
    probability > 0.0 && dice.unit() < probability
}

fn read<T: FromStr>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, Refusal>
where
    T::Err: std::fmt::Display,
{
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("");
    text.trim().parse().map(Some).map_err(|error| {
        Refusal::of(
            400,
            Some("invalid_value"),
            format!("reading header {name}: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_win_over_settings() {
        let settings = Settings {
            faults: vec!["stall:1".parse().unwrap()],
            ..Settings::default()
        };
        let mut headers = HeaderMap::new();
        let orders = Orders::read(&headers, &settings, &mut Dice::new(1)).unwrap();
        assert_eq!((orders.fault, orders.burst), (Some(Fault::Stall), 1));
        for (name, value) in [
            ("x-sim-ttft", "uniform(1ms,2ms)"),
            ("x-sim-tokens", "7"),
            ("x-sim-burst", "0"),
            ("x-sim-early-head", "1"),
            ("x-sim-fault", "none"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let orders = Orders::read(&headers, &settings, &mut Dice::new(1)).unwrap();
        assert_eq!(orders.ttft.to_string(), "uniform(1ms,2ms)");
        assert_eq!(orders.tokens, Length::fixed(7));
        assert_eq!(
            (orders.burst, orders.early_head, orders.fault),
            (1, true, None)
        );
        headers.insert("x-sim-gap", HeaderValue::from_static("fast"));
        let refusal = Orders::read(&headers, &settings, &mut Dice::new(1)).unwrap_err();
        assert!(refusal.message.contains("x-sim-gap"), "{refusal:?}");
    }

    #[test]
    fn faults_strike_as_often_as_they_are_told_to() {
        let faults = ["429:0.1", "stall@3:20%", "hangup:0.3"].map(|text| text.parse().unwrap());
        let settings = Settings {
            faults: faults.to_vec(),
            ..Settings::default()
        };
        let mut dice = Dice::new(3);
        let (mut limited, mut stalled, mut hung) = (0, 0, 0);
        for _ in 0..10_000 {
            match drawn(&settings, &mut dice) {
                Some(Fault::Status(429, 1)) => limited += 1,
                Some(Fault::StallAt(3)) => stalled += 1,
                Some(other) => panic!("{other}"),
                None => {}
            }
            hung += usize::from(hangs_up(&settings, &mut dice));
        }
        assert!((900..1100).contains(&limited), "{limited}");
        assert!((1880..2120).contains(&stalled), "{stalled}");
        assert!((2850..3150).contains(&hung), "{hung}");
    }
}
