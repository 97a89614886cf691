//! One try of a call at one target, bounded in every wait.
//!
//! Sending again after a connection died unused is the pool's affair. Whether
//! another try is made, where and when, is decided in [`race`], which does
//! nothing itself; what has begun to answer is handed to `relay`.

pub mod budget;
pub mod failure;
pub mod hedge;
pub mod pause;
pub mod policy;
pub mod race;

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::failure::FailureKind;
use self::race::Why;
use super::drain::Drain;
use super::intake::Patience;
use super::plan::{Callee, Target};
use crate::config::Timeouts;
use crate::dialect::loss::Losses;
use crate::dialect::{Finish, Usage};
use crate::error::{Error, Kind};
use crate::upstream::{self, Fault, FaultKind, Request, Response, Timing};

/// One try, as far as it has come: what the books of a call say of it, or those
/// of a flight that makes the call for several callers.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The connection's part of the waterfall.
    pub timing: Timing,
    /// Looking for a kept answer beyond this process.
    pub cache: Duration,
    /// Waiting for anything upstream, until the reply's head.
    pub waited: Duration,
    /// When the first content was seen.
    pub first_content: Option<Instant>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// Why the generation ended.
    pub finish: Option<Finish>,
    /// What did not come through between the caller's format and the
    /// provider's.
    pub dropped: Losses,
    /// The provider's own id of the answer's request.
    pub upstream_request_id: Option<Arc<str>>,
    /// The race it was part of.
    pub race: Raced,
}

impl Raced {
    /// Notes an attempt that begins so long after the first.
    pub(super) fn note(&mut self, why: Why, after: Duration) {
        match why {
            Why::First => {}
            Why::Retry | Why::Fallback => self.retry = Some(after),
            Why::Hedge => self.hedge = Some(after),
        }
    }
}

/// What is said of all the attempts of one call.
#[derive(Clone, Debug, Default)]
pub struct Raced {
    /// Attempts that went upstream, hedges included.
    pub calls: u32,
    /// From the first attempt to the last one after a failure.
    pub retry: Option<Duration>,
    /// From the first attempt to the hedge.
    pub hedge: Option<Duration>,
    /// Trying again is in vain: it was done.
    pub retries_spent: bool,
    /// Whose answer it is, or whose refusal.
    pub answered_by: Option<Arc<Target>>,
    /// Who had the call too and was slower.
    pub overtaken: Option<Arc<Target>>,
}

impl Attempt {
    /// Takes over what `other` tells, a try that was made in this one's stead.
    /// How long this one has waited for it stays.
    pub(super) fn follow(&mut self, other: &Self) {
        *self = Self {
            waited: self.waited,
            ..other.clone()
        };
    }

    /// Takes over what one try of the race tells, which goes on.
    pub(super) fn take(&mut self, mut theirs: Box<Self>) {
        theirs.cache = self.cache;
        theirs.waited = self.waited;
        std::mem::swap(&mut theirs.race, &mut self.race);
        *self = *theirs;
    }

    /// Calls made upstream, those that the pool had to send again included.
    pub(super) fn calls(&self) -> u32 {
        self.race.calls.max(1) - 1 + self.timing.sends.max(self.race.calls.min(1))
    }
}

/// How long one call may take, and what each bound is called.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    started: Instant,
    timeouts: Timeouts,
    patience: Patience,
    /// Where the caller set its own deadline, for its error.
    set_in: &'static str,
    kind: Span,
}

/// What a call's bounds are measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A stream: its first content counts.
    Stream,
    /// An answer in one piece, which may take all the time the call has.
    Whole,
    /// Anything else: a transfer may take as long as it moves, once the head
    /// of its answer has come.
    Raw,
    /// The same with a body that streams up: how long that takes, and so when
    /// an answer may be expected, is the caller's affair.
    Upload,
    /// An answer that another task brings: the bounds of upstream are that
    /// one's affair, this caller's own patience is left.
    Shared,
}

impl Limits {
    /// The bounds of a call that began at `started`.
    pub fn new(started: Instant, timeouts: Timeouts, patience: Patience, kind: Span) -> Self {
        Self {
            started,
            timeouts,
            patience,
            set_in: "the caller's x-nowait-timeout",
            kind,
        }
    }

    /// The same, the caller's deadline having been set by this field.
    pub fn set_in(mut self, field: &'static str) -> Self {
        self.set_in = field;
        self
    }

    /// The bounds of a flight begun for this call: the configured ones, and more
    /// time where this caller gives more. Who has less leaves by itself.
    pub fn of_flight(&self) -> Self {
        let total = self.patience.total;
        Self {
            started: Instant::now(),
            patience: Patience {
                total: total.filter(|total| *total > self.timeouts.total),
                head: None,
            },
            ..*self
        }
    }

    /// The bounds of reading what a flight brings.
    pub fn of_reader(&self) -> Self {
        Self {
            kind: Span::Shared,
            ..*self
        }
    }

    /// When an attempt that has not come to its commit point is of no use any
    /// more: the whole call's time is over, or its caller's wait for a head.
    pub fn answer_by(&self) -> Option<Instant> {
        let head = self.patience.head.map(|head| self.started + head);
        self.deadline().into_iter().chain(head).min()
    }

    /// Whether the call's time is over.
    pub fn is_over(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// When the whole call must be over. A raw transfer has no such time
    /// unless its caller sets one.
    pub fn deadline(&self) -> Option<Instant> {
        let is_transfer = matches!(self.kind, Span::Raw | Span::Upload);
        let bounded = !is_transfer || self.patience.total.is_some();
        bounded.then(|| self.started + self.total())
    }

    fn total(&self) -> Duration {
        self.patience.total.unwrap_or(self.timeouts.total)
    }

    /// When the head of the answer is late, and the error that says so. `sent`
    /// is when the call went upstream.
    pub fn head(&self, sent: Instant) -> Option<(Instant, Bound)> {
        let first = (self.kind == Span::Stream)
            .then_some((sent + self.timeouts.first_token, Bound::FirstToken));
        let head = self
            .patience
            .head
            .map(|head| (self.started + head, Bound::Head));
        let until = match self.kind {
            Span::Raw => Some(self.started + self.total()),
            _ => self.deadline(),
        };
        let total = until.map(|deadline| (deadline, Bound::Total));
        [first, head, total]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// How long an answer in one piece may be silent before another attempt is
    /// made beside it: as long as a first token may take, which is not seen of it.
    pub fn patience(&self) -> Option<Duration> {
        (self.kind == Span::Whole).then_some(self.timeouts.first_token)
    }

    /// Until when a caller who bounds its wait for the head may be kept without
    /// one: a fifth of its patience is left to the way back.
    pub fn head_patience(&self) -> Option<Instant> {
        self.patience
            .head
            .map(|head| self.started + head.mul_f64(0.8))
    }

    /// When the next piece of an answer that has begun is late. `last` is when
    /// something last came, `sent` when the call went upstream, `content`
    /// whether any content has come.
    pub fn next(&self, last: Instant, sent: Instant, content: bool) -> (Instant, Bound) {
        if self.kind == Span::Shared {
            return (self.started + self.total(), Bound::Total);
        }
        let piece = if self.kind == Span::Stream && !content {
            (sent + self.timeouts.first_token, Bound::FirstToken)
        } else {
            (last + self.timeouts.idle, Bound::Idle)
        };
        match self.deadline() {
            Some(deadline) if deadline < piece.0 => (deadline, Bound::Total),
            _ => piece,
        }
    }

    /// The error of a bound that was passed.
    pub fn passed(&self, bound: Bound, callee: &Callee) -> Error {
        let name = &callee.provider.name;
        let (what, after, from) = match bound {
            Bound::FirstToken => (
                format!("no first token came from {name}"),
                self.timeouts.first_token,
                "[timeout] first_token",
            ),
            Bound::Idle => (
                format!("nothing more came from {name}"),
                self.timeouts.idle,
                "[timeout] idle",
            ),
            Bound::Head => (
                format!("the head of the answer did not come from {name}"),
                self.patience.head.unwrap_or_default(),
                "the caller's x-stainless-timeout",
            ),
            Bound::Total => (
                format!("the call to {name} was not over"),
                self.total(),
                match self.patience.total {
                    Some(_) => self.set_in,
                    None => "[timeout] total",
                },
            ),
        };
        Error::new(
            Kind::Timeout,
            format!("{what} within {} ({from})", Shown(after)),
        )
    }
}

/// Which bound it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// From sending to the first content.
    FirstToken,
    /// Between two pieces.
    Idle,
    /// Until the head, as the caller's SDK waits for it.
    Head,
    /// The whole call.
    Total,
}

/// A duration as a person writes it.
struct Shown(Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ if self.0.as_secs() == 0 => write!(f, "{}ms", self.0.as_millis()),
            _ => write!(f, "{}s", self.0.as_secs_f64()),
        }
    }
}

/// A call that no head of an answer came for.
#[derive(Clone, Debug)]
pub struct Unanswered {
    /// What happened.
    pub kind: FailureKind,
    /// What the caller is told, if this is the last word.
    pub error: Error,
}

impl Unanswered {
    fn new(kind: FailureKind, error: Error) -> Self {
        Self { kind, error }
    }
}

/// Sends a call that was `asked` for now, and waits for the head of its answer.
pub async fn send(
    callee: &Callee,
    request: Request,
    limits: &Limits,
    asked: Instant,
    drain: &Drain,
    attempt: &mut Attempt,
) -> Result<Response, Unanswered> {
    let bound = limits.head(asked);
    let waits = upstream::Limits {
        connect: limits.timeouts.connect,
        deadline: bound.map_or_else(|| asked + limits.timeouts.total, |(at, _)| at),
    };
    let outcome = {
        // Pinned where they are made, or they would be moved first.
        let mut sent = pin!(callee.upstream.send(request, &mut attempt.timing, waits));
        let mut passed = pin!(until(bound.map(|(at, _)| at)));
        let mut over = pin!(drain.over());
        tokio::select! {
            biased;
            outcome = &mut sent => outcome.map_err(|fault| refused(&fault, callee, limits, bound)),
            () = &mut passed => Err(late(limits, bound, callee)),
            () = &mut over => Err(Unanswered::new(FailureKind::Deadline, drained())),
        }
    };
    let heard = attempt.timing.head_at.filter(|_| outcome.is_ok());
    attempt.waited += heard.unwrap_or_else(Instant::now) - asked;
    outcome
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn late(limits: &Limits, bound: Option<(Instant, Bound)>, callee: &Callee) -> Unanswered {
    let bound = bound.map_or(Bound::Total, |(_, bound)| bound);
    let kind = match bound {
        Bound::FirstToken => FailureKind::FirstToken,
        Bound::Idle => FailureKind::Broken,
        Bound::Head | Bound::Total => FailureKind::Deadline,
    };
    Unanswered::new(kind, limits.passed(bound, callee))
}

/// The error of a call that was still open when the process had to end.
pub fn drained() -> Error {
    Error::new(
        Kind::Overloaded,
        "the gateway is shutting down and could not wait for the end of this call: send it again",
    )
    .retry_after(Duration::from_secs(1))
}

/// What a caller is told of a call that got no answer.
fn refused(
    fault: &Fault,
    callee: &Callee,
    limits: &Limits,
    bound: Option<(Instant, Bound)>,
) -> Unanswered {
    let (failure, kind) = match fault.kind() {
        FaultKind::Resolve | FaultKind::Connect | FaultKind::Tls | FaultKind::Proxy => {
            (FailureKind::Connect, Kind::UpstreamUnreachable)
        }
        FaultKind::Reset => (FailureKind::Reset, Kind::UpstreamUnreachable),
        FaultKind::Protocol => (FailureKind::Protocol, Kind::UpstreamUnreachable),
        FaultKind::Body => (FailureKind::Protocol, Kind::UpstreamProtocol),
        FaultKind::ConnectTimeout => (FailureKind::Connect, Kind::Timeout),
        FaultKind::Deadline => return late(limits, bound, callee),
        FaultKind::Busy => (FailureKind::Busy, Kind::Overloaded),
        // The caller's own body: no other target would get a better one.
        FaultKind::RequestBody => (FailureKind::Deadline, Kind::InvalidRequest),
    };
    let mut message = String::new();
    // Writing to a String does not fail.
    let _ = write!(message, "{}: {}", callee.provider.name, fault.message());
    let error = Error::new(kind, message).because(fault.to_string());
    let error = match kind {
        Kind::Overloaded => error.retry_after(Duration::from_secs(1)),
        _ => error,
    };
    Unanswered::new(failure, error)
}

/// What a caller is told of an answer that broke off.
pub fn broken(fault: &Fault, callee: &Callee) -> Error {
    Error::new(
        Kind::UpstreamProtocol,
        format!("{}: {}", callee.provider.name, fault.message()),
    )
    .because(fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_bound_holds_and_has_a_name() {
        let secs = Duration::from_secs;
        let timeouts = Timeouts {
            connect: secs(5),
            first_token: secs(10),
            idle: secs(20),
            total: secs(60),
        };
        let zero = Instant::now();
        let limits =
            |total, head, kind| Limits::new(zero, timeouts, Patience { total, head }, kind);
        let at = |limits: Limits| {
            limits
                .head(zero + secs(1))
                .map(|(at, bound)| (at - zero, bound))
        };
        for (limits, expected) in [
            (
                limits(None, None, Span::Stream),
                Some((secs(11), Bound::FirstToken)),
            ),
            (
                limits(None, None, Span::Whole),
                Some((secs(60), Bound::Total)),
            ),
            (limits(None, None, Span::Upload), None),
            (
                limits(None, None, Span::Raw),
                Some((secs(60), Bound::Total)),
            ),
            (
                limits(Some(secs(3)), None, Span::Raw),
                Some((secs(3), Bound::Total)),
            ),
            (
                limits(Some(secs(3)), Some(secs(2)), Span::Stream),
                Some((secs(2), Bound::Head)),
            ),
            (
                limits(None, Some(secs(600)), Span::Whole),
                Some((secs(60), Bound::Total)),
            ),
        ] {
            assert_eq!(at(limits), expected);
        }
        let next = |limits: Limits, last, content| {
            let (at, bound) = limits.next(zero + secs(last), zero, content);
            (at - zero, bound)
        };
        assert_eq!(
            next(limits(None, None, Span::Stream), 4, false),
            (secs(10), Bound::FirstToken)
        );
        assert_eq!(
            next(limits(None, None, Span::Stream), 4, true),
            (secs(24), Bound::Idle)
        );
        assert_eq!(
            next(limits(None, None, Span::Stream), 50, true),
            (secs(60), Bound::Total)
        );
        assert_eq!(
            next(limits(None, None, Span::Raw), 5_000, true),
            (secs(5_020), Bound::Idle)
        );
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (millis, expected) in [(10_000, "10s"), (250, "250ms"), (1_500, "1.5s")] {
            assert_eq!(Shown(Duration::from_millis(millis)).to_string(), expected);
        }
    }
}
