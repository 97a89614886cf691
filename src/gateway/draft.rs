//! A call as its caller made it, not yet addressed to anybody.
//!
//! From one draft the call upstream is written for any target, as often as need
//! be: what a try takes along is a copy, and what several tries have in common
//! is shared. Writing it is pure.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::Caller;
use super::Instance;
use super::crossing::Crossing;
use super::generate;
use super::headers::{self, Passage};
use super::manner;
use super::plan::{Candidate, Way};
use crate::dialect::Format;
use crate::dialect::peek::{self, Peek};
use crate::dialect::prefix::prefix;
use crate::dialect::respell::respell;
use crate::dialect::sharing::{Effect, nature};
use crate::provider::StreamUsage;
use crate::upstream::{Body, Request};

/// A call without its address.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Who asks, and what it sent along.
    pub(super) caller: Arc<Caller>,
    pub(super) request_id: Arc<str>,
    pub(super) words: Words,
}

/// What it says.
#[derive(Clone, Debug)]
pub(super) enum Words {
    /// What the caller has said.
    Given(Given),
    /// A prompt, to be put into the words of whoever is asked.
    Prompt {
        ask: Arc<generate::Ask>,
        stream: bool,
    },
}

/// A body of the caller's own, or one put together from several callers'.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) body: Bytes,
    pub(super) peek: Peek,
    /// Its model goes by the name that whoever is asked has for it.
    pub(super) renames: bool,
    /// It is a stream whose caller has not asked what it takes.
    pub(super) tells_no_usage: bool,
}

impl Given {
    /// The body for that target: the caller's own, but for the model's name and
    /// what the target must have respelled.
    pub(super) fn to(&self, candidate: &Candidate) -> Body {
        match self.respelled(candidate) {
            Some(respelled) => respelled.renamed_to(candidate),
            None => self.renamed_to(candidate),
        }
    }

    /// The same with other words for those that the target refuses, where it has
    /// any of them.
    fn respelled(&self, candidate: &Candidate) -> Option<Self> {
        let refused = candidate.target.callee.provider.quirks.refuses;
        if candidate.format != Format::Chat {
            return None;
        }
        let body = Bytes::from(respell(&self.body, refused)?);
        let peek = peek::peek(&body).ok()?;
        Some(Self {
            body,
            peek,
            ..self.clone()
        })
    }

    fn renamed_to(&self, candidate: &Candidate) -> Body {
        let target = &candidate.target;
        let renamed = self
            .peek
            .model
            .as_ref()
            .filter(|field| self.renames && field.value != target.model);
        if self.asks_usage(candidate) {
            let name = renamed.map(|_| target.model.as_str());
            return peek::ask_usage(&self.body, &self.peek, name).into();
        }
        match renamed {
            Some(field) => {
                let pieces = peek::splice(&self.body, field.span.clone(), &target.model);
                Body::Spliced(Box::new(pieces))
            }
            None => self.body.clone().into(),
        }
    }

    /// Whether that target is asked for the usage its caller has not asked for.
    pub(super) fn asks_usage(&self, candidate: &Candidate) -> bool {
        self.tells_no_usage
            && candidate.format == Format::Chat
            && candidate.way == Way::AsItIs
            && candidate.target.callee.provider.stream_usage == StreamUsage::Ask
    }

    /// Whether that target's answer tells what it took, though its caller has
    /// not asked.
    pub(super) fn is_told_usage(&self, candidate: &Candidate) -> bool {
        self.asks_usage(candidate) || candidate.way != Way::AsItIs
    }
}

impl Draft {
    /// The call to that target; `crossing` is what it says where that is in
    /// another dialect.
    pub(super) fn to(
        &self,
        candidate: &Candidate,
        crossing: Option<&Crossing>,
        instance: &Instance,
    ) -> Request {
        let (caller, id) = (&self.caller, &self.request_id);
        if let Some(crossing) = crossing {
            let callee = &candidate.target.callee;
            let passage = Passage::Own(crossing.dialect());
            let mut fields = headers::outgoing(caller, callee, passage, instance, id);
            for (name, value) in &crossing.headers {
                fields.push_text(name.as_bytes(), value.as_bytes());
            }
            return Request {
                method: Method::POST,
                target: crossing.path.clone(),
                fields,
                body: crossing.body.clone().into(),
            };
        }
        let (target, format) = (&candidate.target, candidate.format);
        let (query, passage, body) = match &self.words {
            Words::Given(given) => {
                let query = caller.query.as_deref();
                (query, Passage::Watched, given.to(candidate))
            }
            Words::Prompt { ask, stream } => {
                let (body, _) = generate::body_of(ask, target, format, *stream);
                (None, Passage::Own(format.dialect()), body.into())
            }
        };
        Request {
            method: Method::POST,
            target: target.callee.path(format, &target.model, query),
            fields: headers::outgoing(caller, &target.callee, passage, instance, id),
            body,
        }
    }

    /// What it says to that target, in its own format.
    pub(super) fn body(&self, candidate: &Candidate) -> Bytes {
        match &self.words {
            Words::Given(given) => given.body.clone(),
            Words::Prompt { ask, stream } => {
                generate::body_of(ask, &candidate.target, candidate.format, *stream).0
            }
        }
    }

    /// The same with another body, which is written for whoever is asked.
    pub(super) fn with_body(&self, body: Bytes) -> Self {
        Self {
            caller: Arc::clone(&self.caller),
            request_id: Arc::clone(&self.request_id),
            words: Words::Given(Given {
                body,
                peek: Peek::default(),
                renames: false,
                tells_no_usage: false,
            }),
        }
    }

    /// Whether its answer is read here, and not passed on in its own words.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.words, Words::Prompt { .. })
    }

    /// What the provider does for it beside answering.
    pub(super) fn effect(&self, candidate: &Candidate) -> Effect {
        match &self.words {
            Words::Given(given) => match simdutf8::basic::from_utf8(&given.body) {
                Ok(body) => nature(candidate.format, &candidate.target.model, body).effect,
                Err(_) => Effect::Act,
            },
            Words::Prompt { .. } => Effect::Nothing,
        }
    }

    /// A hash of the beginning that later calls of the same conversation have
    /// too.
    pub(super) fn prefix(&self, format: Format) -> Option<u64> {
        match &self.words {
            Words::Given(given) => {
                let body = simdutf8::basic::from_utf8(&given.body).ok()?;
                let parts = prefix(format, body);
                (!parts.is_empty()).then(|| manner::hash(&parts.concat()))
            }
            Words::Prompt { .. } => None,
        }
    }

    /// Bytes of what is said.
    pub(super) fn size(&self) -> u64 {
        match &self.words {
            Words::Given(given) => given.body.len() as u64,
            Words::Prompt { ask, .. } => ask.size(),
        }
    }
}
