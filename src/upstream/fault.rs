//! What can go wrong between sending a request and the end of its answer.
//!
//! A fault says what happened and whether anything of the answer had come; it
//! decides nothing. Messages name the host and what was being done, and carry
//! no header, so no secret.

use std::borrow::Cow;
use std::fmt;

use crate::error::Source;

/// Why a call got no answer, or only a part of one. One word wide.
pub struct Fault(Box<Inner>);

struct Inner {
    kind: FaultKind,
    before_answer: bool,
    message: Cow<'static, str>,
    source: Option<Source>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The host's name has no address.
    Resolve,
    /// No TCP connection: refused, unreachable.
    Connect,
    /// The TLS handshake failed: certificate, version, cipher.
    Tls,
    /// The proxy in between did not open a tunnel.
    Proxy,
    /// Name look-up, connect and handshakes together took too long.
    ConnectTimeout,
    /// The call's own deadline passed while it waited for a connection.
    Deadline,
    /// Every connection is in use and too many calls wait already.
    Busy,
    /// The connection or the stream ended before the head of the answer.
    Reset,
    /// What came is not HTTP, or more of it than allowed.
    Protocol,
    /// The answer's body ended early or does not fit its announced length.
    Body,
    /// The body of the request failed while it was being sent.
    RequestBody,
}

impl Fault {
    /// A fault of `kind`; only [`FaultKind::Body`] means that a part of the
    /// answer had come, unless [`Fault::mid_answer`] says so.
    pub fn new(kind: FaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            before_answer: kind != FaultKind::Body,
            message: message.into(),
            source: None,
        }))
    }

    /// Keeps what lies behind it, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Some of the answer's bytes had come.
    #[must_use]
    pub(super) fn mid_answer(mut self) -> Self {
        self.0.before_answer = false;
        self
    }

    /// What happened.
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// Nothing of the answer had come.
    pub fn before_answer(&self) -> bool {
        self.0.before_answer
    }

    /// What was being done, with which host, and what came of it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The same fault for another call that waited for the same thing.
    pub(super) fn share(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            before_answer: self.0.before_answer,
            message: self.0.message.clone(),
            source: self
                .0
                .source
                .as_ref()
                .map(|source| source.to_string().into()),
        }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
