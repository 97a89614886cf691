//! After this failure, what is right? The rules as one table.
//!
//! Nothing here counts or waits: how many attempts there are, where the next
//! one goes and when is the [`Race`](super::race::Race)'s affair.

use super::failure::{Failure, FailureKind};
use crate::dialect::sharing::Effect;

/// What is right after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: asking again would bring the same, or do it twice.
    Final,
    /// Another target, at once; this one is not asked again. No retry of the
    /// traffic's budget is due, because nothing is amplified: the target did
    /// not fail under load, it is the wrong one.
    Other,
    /// At once: another target, else another connection to the same.
    Elsewhere,
    /// Another target at once, else the same after the pause it asked for, or
    /// after a back-off.
    Patient,
}

/// The table. A call that acts at its provider is made again only where the
/// failed attempt surely did nothing. One that leaves a trace there is made
/// again like any other: nobody was told the name of the answer that failed, and
/// a caller's SDK would send it again too.
pub fn verdict(failure: &Failure, fallback_on: Fallbacks, effect: Effect) -> Verdict {
    use FailureKind as Kind;
    if effect == Effect::Act && !failure.kind.is_untouched() {
        return Verdict::Final;
    }
    let verdict = match failure.kind {
        // Waiting for room here is what the queue did already, an account that
        // has run dry stays so, and what a format can't say it never will.
        Kind::Busy | Kind::Exhausted | Kind::Unsaid => Verdict::Other,
        Kind::Connect | Kind::Reset | Kind::FirstToken | Kind::Broken | Kind::Protocol => {
            Verdict::Elsewhere
        }
        // What a server does not support now (RFC 9110 §15.6.2, §15.6.6), it
        // will not in a second.
        Kind::Status(501 | 505) => Verdict::Other,
        Kind::Status(408 | 409 | 429 | 500..) => Verdict::Patient,
        Kind::Status(_) | Kind::ContextLength | Kind::ContentPolicy | Kind::Deadline => {
            Verdict::Final
        }
    };
    match verdict {
        Verdict::Final if fallback_on.names(failure.kind) => Verdict::Other,
        Verdict::Elsewhere | Verdict::Patient if failure.is_hopeless => Verdict::Other,
        verdict => verdict,
    }
}

/// The refusals after which another target is asked although the call itself
/// is at fault. None unless configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// Statuses from 400 to 499, as bits.
    statuses: [u64; 2],
    context_length: bool,
    content_policy: bool,
}

impl Fallbacks {
    /// These, and this one. What is no refusal of a call cannot be added.
    #[must_use]
    pub fn on(mut self, kind: FailureKind) -> Self {
        match kind {
            FailureKind::ContextLength => self.context_length = true,
            FailureKind::ContentPolicy => self.content_policy = true,
            FailureKind::Status(status @ 400..=499) => {
                let bit = status - 400;
                self.statuses[usize::from(bit / 64)] |= 1 << (bit % 64);
            }
            _ => {}
        }
        self
    }

    /// Whether one of them names this failure. Who names 400 means a prompt
    /// that is too long or against the rules too: that is the status of both.
    pub fn names(self, kind: FailureKind) -> bool {
        match kind {
            FailureKind::ContextLength => self.context_length || self.has(400),
            FailureKind::ContentPolicy => self.content_policy || self.has(400),
            FailureKind::Status(status @ 400..=499) => self.has(status),
            _ => false,
        }
    }

    fn has(self, status: u16) -> bool {
        let bit = status - 400;
        self.statuses[usize::from(bit / 64)] >> (bit % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureKind::{
        Broken, Busy, Connect, ContentPolicy, ContextLength, Deadline, Exhausted, FirstToken,
        Protocol, Reset, Status, Unsaid,
    };
    use Verdict::{Elsewhere, Final, Other, Patient};

    fn of(kind: FailureKind, fallback_on: Fallbacks, effect: Effect) -> Verdict {
        verdict(&Failure::new(kind), fallback_on, effect)
    }

    #[test]
    fn each_kind_has_its_verdict() {
        // The verdict; where a rule names it; where the call acts, and both; and
        // where the provider says that it is hopeless.
        #[rustfmt::skip]
        let rows = [
            (Connect,       Elsewhere, Elsewhere, Elsewhere, Elsewhere, Other),
            (Reset,         Elsewhere, Elsewhere, Final,     Final,     Other),
            (FirstToken,    Elsewhere, Elsewhere, Final,     Final,     Other),
            (Broken,        Elsewhere, Elsewhere, Final,     Final,     Other),
            (Protocol,      Elsewhere, Elsewhere, Final,     Final,     Other),
            (Busy,          Other,     Other,     Other,     Other,     Other),
            (Exhausted,     Other,     Other,     Other,     Other,     Other),
            (Unsaid,        Other,     Other,     Other,     Other,     Other),
            (ContextLength, Final,     Other,     Final,     Other,     Final),
            (ContentPolicy, Final,     Other,     Final,     Final,     Final),
            (Deadline,      Final,     Final,     Final,     Final,     Final),
            (Status(400),   Final,     Other,     Final,     Other,     Final),
            (Status(404),   Final,     Other,     Final,     Other,     Final),
            (Status(408),   Patient,   Patient,   Final,     Final,     Other),
            (Status(409),   Patient,   Patient,   Final,     Final,     Other),
            (Status(429),   Patient,   Patient,   Patient,   Patient,   Other),
            (Status(500),   Patient,   Patient,   Final,     Final,     Other),
            (Status(501),   Other,     Other,     Other,     Other,     Other),
            (Status(502),   Patient,   Patient,   Final,     Final,     Other),
            (Status(503),   Patient,   Patient,   Patient,   Patient,   Other),
            (Status(504),   Patient,   Patient,   Final,     Final,     Other),
            (Status(529),   Patient,   Patient,   Patient,   Patient,   Other),
        ];
        for (kind, plain, named, acts, acts_named, hopeless) in rows {
            let failure = Failure {
                is_hopeless: true,
                ..Failure::new(kind)
            };
            let (none, rule) = (Fallbacks::default(), Fallbacks::default().on(kind));
            for effect in [Effect::Nothing, Effect::Trace] {
                let found = (
                    of(kind, none, effect),
                    of(kind, rule, effect),
                    verdict(&failure, none, effect),
                );
                assert_eq!(found, (plain, named, hopeless), "{kind:?} {effect:?}");
            }
            let found = (of(kind, none, Effect::Act), of(kind, rule, Effect::Act));
            assert_eq!(found, (acts, acts_named), "{kind:?}");
        }
    }

    #[test]
    fn each_status_has_its_verdict() {
        let all = (400..500).fold(Fallbacks::default(), |all, status| all.on(Status(status)));
        for status in 100..=999 {
            let expected = match status {
                408 | 409 | 429 => Patient,
                501 | 505 => Other,
                500.. => Patient,
                _ => Final,
            };
            let is_named = (400..500).contains(&status);
            let named = if is_named && expected == Final {
                Other
            } else {
                expected
            };
            let kind = Status(status);
            let none = Fallbacks::default();
            assert_eq!(of(kind, none, Effect::Nothing), expected, "{status}");
            let found = of(kind, all, Effect::Nothing);
            assert_eq!(found, named, "{status} under a rule");
        }
    }

    #[test]
    fn a_rule_names_what_it_says() {
        let rule = |kind| Fallbacks::default().on(kind);
        for (rules, kind, expected) in [
            (Fallbacks::default(), Status(404), false),
            (rule(Status(404)), Status(404), true),
            (rule(Status(404)), Status(403), false),
            (rule(Status(499)), Status(499), true),
            (rule(Status(404)).on(Status(463)), Status(404), true),
            (rule(Status(404)).on(Status(463)), Status(463), true),
            (rule(Status(404)).on(Status(463)), Status(464), false),
            (rule(Status(500)), Status(500), false),
            (rule(Connect), Connect, false),
            (rule(ContextLength), ContextLength, true),
            (rule(ContextLength), ContentPolicy, false),
            (rule(ContextLength), Status(400), false),
            (rule(ContentPolicy), ContentPolicy, true),
            (rule(Status(400)), ContextLength, true),
            (rule(Status(400)), ContentPolicy, true),
        ] {
            assert_eq!(rules.names(kind), expected, "{rules:?} {kind:?}");
        }
    }
}
