//! When a second attempt is made beside one that is late, and why it is not.
//!
//! A hedge helps against a straggler: one slow answer of a target that is fast
//! as a rule. Against a target that is slow as a whole it only adds load, so
//! everything that speaks for that is a [`Reason`] against it.

use std::time::Duration;

use crate::config::Hedge;

/// How one call may be hedged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedging {
    /// As the model is configured, or as the caller says in `x-nowait-hedge`.
    pub when: Hedge,
    /// Never sooner than this.
    pub min: Duration,
    /// A measured delay is never longer than this. One that was written out is
    /// what it says.
    pub max: Duration,
}

impl Hedging {
    /// No hedging.
    pub const OFF: Self = Self {
        when: Hedge::Off,
        min: Duration::ZERO,
        max: Duration::ZERO,
    };

    /// How long an attempt may be without content before it is hedged, counted
    /// from when it was sent. `quantile` is asked for a quantile (0 to 1) of
    /// the recent times to first token of its target.
    ///
    /// # Errors
    /// Why it is not hedged at all.
    pub fn delay(
        &self,
        quantile: impl FnOnce(f64) -> Option<Duration>,
    ) -> Result<Duration, Reason> {
        match self.when {
            Hedge::Off => Err(Reason::Off),
            Hedge::After(delay) => Ok(delay.max(self.min)),
            Hedge::Quantile(share) => {
                let measured = quantile(share).ok_or(Reason::NoStatistics)?;
                // Not `clamp`, which wants min <= max of its caller.
                Ok(measured.min(self.max).max(self.min))
            }
        }
    }
}

/// What is known of the traffic at the moment a call is late.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// Of the recent first tokens of the late attempt's target, the share (0
    /// to 1) that took longer than the delay.
    pub share_late: f64,
    /// Of the recent calls of either target, the share (0 to 1) that failed or
    /// was refused.
    pub share_failed: f64,
    /// The target that would be asked has no room for more, by its own limit
    /// or by what its provider's headers say is left.
    pub is_near_limit: bool,
}

impl Signs {
    /// More calls than this beyond the delay are no stragglers: a p95 has 5 %
    /// of them by its nature, twice that means that it moves.
    const LATE: f64 = 0.10;
    /// More failures than this, and a provider needs fewer calls.
    const FAILED: f64 = 0.10;

    /// What speaks against a hedge. The budget is asked last, by who calls
    /// this: what it gives is spent.
    pub fn objection(&self, when: Hedge) -> Option<Reason> {
        // Half of all calls being later than a p50 is what was asked for.
        let late = match when {
            Hedge::Quantile(share) => (2.0 * (1.0 - share)).clamp(Self::LATE, 1.0),
            Hedge::After(_) | Hedge::Off => Self::LATE,
        };
        if self.share_late > late {
            Some(Reason::SlowAsAWhole)
        } else if self.share_failed > Self::FAILED {
            Some(Reason::Unhealthy)
        } else if self.is_near_limit {
            Some(Reason::NearLimit)
        } else {
            None
        }
    }
}

/// Why a call is not hedged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Neither the model nor the caller wants it.
    Off,
    /// The call has effects at the provider beside its answer.
    SideEffects,
    /// Too few answers were seen to say what is late.
    NoStatistics,
    /// Not one call is late but many.
    SlowAsAWhole,
    /// Too many calls fail, or no target is left that is well.
    Unhealthy,
    /// There is no room for another call.
    NearLimit,
    /// Others were hedged enough.
    NoBudget,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Off,
        Self::SideEffects,
        Self::NoStatistics,
        Self::SlowAsAWhole,
        Self::Unhealthy,
        Self::NearLimit,
        Self::NoBudget,
    ];

    /// The word for it in logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::SideEffects => "side_effects",
            Self::NoStatistics => "no_statistics",
            Self::SlowAsAWhole => "slow_as_a_whole",
            Self::Unhealthy => "unhealthy",
            Self::NearLimit => "near_limit",
            Self::NoBudget => "no_budget",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_delay_is_measured_or_written_out() {
        let (p95, after) = (Hedge::Quantile(0.95), |millis| Hedge::After(ms(millis)));
        for (when, quantile, expected) in [
            (Hedge::Off, Some(100), Err(Reason::Off)),
            (p95, None, Err(Reason::NoStatistics)),
            (p95, Some(100), Ok(ms(100))),
            (p95, Some(1), Ok(ms(20))),
            (p95, Some(60_000), Ok(ms(10_000))),
            (after(800), None, Ok(ms(800))),
            (after(1), None, Ok(ms(20))),
            (after(60_000), None, Ok(ms(60_000))),
        ] {
            let hedging = Hedging {
                when,
                min: ms(20),
                max: ms(10_000),
            };
            let delay = hedging.delay(|share| {
                assert_eq!(share, 0.95);
                quantile.map(ms)
            });
            assert_eq!(delay, expected, "{when:?} {quantile:?}");
        }
    }

    #[test]
    fn a_minimum_above_the_maximum_holds() {
        let hedging = Hedging {
            when: Hedge::Quantile(0.9),
            min: ms(500),
            max: ms(100),
        };
        assert_eq!(hedging.delay(|_| Some(ms(50))), Ok(ms(500)));
    }

    #[test]
    fn signs_of_trouble_speak_against_a_hedge() {
        let (p50, p95) = (Hedge::Quantile(0.5), Hedge::Quantile(0.95));
        let after = Hedge::After(ms(800));
        for (when, share_late, share_failed, is_near_limit, expected) in [
            (p95, 0.05, 0.0, false, None),
            (p95, 0.09, 0.09, false, None),
            (p95, 0.11, 0.0, false, Some(Reason::SlowAsAWhole)),
            (after, 0.11, 0.0, false, Some(Reason::SlowAsAWhole)),
            (p50, 0.5, 0.0, false, None),
            (Hedge::Quantile(0.8), 0.35, 0.0, false, None),
            (
                Hedge::Quantile(0.8),
                0.45,
                0.0,
                false,
                Some(Reason::SlowAsAWhole),
            ),
            (p95, 0.05, 0.2, false, Some(Reason::Unhealthy)),
            (p95, 0.05, 0.0, true, Some(Reason::NearLimit)),
        ] {
            let signs = Signs {
                share_late,
                share_failed,
                is_near_limit,
            };
            assert_eq!(signs.objection(when), expected, "{when:?} {signs:?}");
        }
    }
}
