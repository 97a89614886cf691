//! What went wrong with one attempt, as far as a decision needs it.
//!
//! A failure is what is left of an error, a status or a timeout once it is
//! settled what happened; whoever saw it made it, and keeps what the caller
//! would be told. What is right after it is in [`policy`](super::policy).

use std::time::Duration;

/// One attempt that brought no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// How long the provider said to wait ([`pause::asked`](super::pause::asked),
    /// or its body).
    pub pause: Option<Duration>,
    /// The provider said that asking it again is of no use
    /// (`x-should-retry: false`).
    pub is_hopeless: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection: nothing of the request was sent.
    Connect,
    /// The connection ended after sending, before the head of an answer.
    Reset,
    /// No content came in the time a first token may take.
    FirstToken,
    /// The answer broke off after its head, before any content.
    Broken,
    /// What came is not the provider's protocol.
    Protocol,
    /// The provider's answer is an error of this status.
    Status(u16),
    /// It is an error that says: the prompt is too long for this model.
    ContextLength,
    /// It is an error that says: the prompt breaks a rule about content.
    ContentPolicy,
    /// It is an error that says: the account has run dry.
    Exhausted,
    /// The target's own limit on this side is reached and its queue is full or
    /// hopeless: nothing was sent.
    Busy,
    /// The call's own time was over.
    Deadline,
    /// The target can't be asked this, for its format has no words for it:
    /// nothing was sent.
    Unsaid,
}

impl Failure {
    /// A failure of `kind`, and nothing else known.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            pause: None,
            is_hopeless: false,
        }
    }

    /// The same with what the provider said to wait.
    #[must_use]
    pub fn pause(mut self, pause: Option<Duration>) -> Self {
        self.pause = pause;
        self
    }
}

impl FailureKind {
    /// How much it tells a caller; where several attempts failed, the latest of
    /// the highest is told. The provider's own word goes before an event of
    /// the network. But a word about our own account with it (no such key,
    /// nothing paid, no such model there) is of no use to who was sent there by
    /// us, so it comes between.
    pub fn weight(self) -> Weight {
        match self {
            Self::Status(401..=404) | Self::Exhausted => Weight::Account,
            // The call's own time being over is what ended it, whatever came
            // before: then a race gives up for the same reason.
            Self::Status(_) | Self::ContextLength | Self::ContentPolicy | Self::Deadline => {
                Weight::Word
            }
            Self::Connect
            | Self::Reset
            | Self::FirstToken
            | Self::Broken
            | Self::Protocol
            | Self::Busy => Weight::Transport,
            Self::Unsaid => Weight::Nothing,
        }
    }

    /// Whether the request surely had no effect at the provider: it never got
    /// there, or was refused for what it is or for the load of the moment. Then
    /// even a call that acts there may be repeated. A 408, a 409 and any other
    /// error of the server's may come after something was done.
    pub fn is_untouched(self) -> bool {
        match self {
            Self::Connect | Self::Busy | Self::Exhausted | Self::ContextLength | Self::Unsaid => {
                true
            }
            Self::Status(408 | 409) => false,
            Self::Status(status) => matches!(status, 400..=499 | 501 | 503 | 505 | 529),
            Self::Reset
            | Self::FirstToken
            | Self::Broken
            | Self::Protocol
            | Self::ContentPolicy
            | Self::Deadline => false,
        }
    }

    /// Every one; of statuses, one stands for all.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Reset,
        Self::FirstToken,
        Self::Broken,
        Self::Protocol,
        Self::Status(500),
        Self::ContextLength,
        Self::ContentPolicy,
        Self::Exhausted,
        Self::Busy,
        Self::Deadline,
        Self::Unsaid,
    ];

    /// The word for it in logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::FirstToken => "first_token",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
            Self::Status(_) => "status",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::Exhausted => "exhausted",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Unsaid => "unsaid",
        }
    }
}

/// How much a failure tells a caller, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A target that could not even be asked.
    Nothing,
    /// Something on the way there, or on this side.
    Transport,
    /// The provider's word about the account it was asked with.
    Account,
    /// The last word about the call: the provider's, or the deadline.
    Word,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_more_weighs_more() {
        use FailureKind::{Connect, ContextLength, Deadline, Exhausted, Status};
        for (more, less) in [
            (Status(503), Connect),
            (Status(400), FailureKind::Busy),
            (Deadline, Connect),
            (Status(429), Status(401)),
            (ContextLength, Status(404)),
            (Status(403), Connect),
            (Status(500), Exhausted),
        ] {
            assert!(more.weight() > less.weight(), "{more:?} {less:?}");
        }
        assert_eq!(Status(400).weight(), Status(503).weight());
        assert_eq!(Deadline.weight(), Status(503).weight());
    }
}
