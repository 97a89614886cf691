//! A call whose target is known begins to be answered: by what was kept, by what
//! is on its way, by a call upstream that everybody who asks the same reads, or
//! by one of its own.
//!
//! What comes out is a call that has begun to answer ([`Asked`]), in the form
//! its caller asked for, whatever form it was recorded in. A flight that fails
//! before this caller has anything of it is not the last word, unless it is the
//! provider's: those who followed make one more, together.

mod question;

use std::future::Future;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::asked::{Asked, Source};
use super::attempt::Limits;
use super::directives::Directives;
use super::draft::Draft;
use super::embed::{Inputs, Means, Refused};
use super::flight::Head;
use super::ledger::{Ledger, Shared};
use super::plan::Target;
use super::terms::Terms;
use super::{Gateway, not_cached};
use crate::cache::stored::Form;
use crate::dialect::Format;
use crate::error::Error;
use crate::upstream;
use question::Question;

/// A call whose target is known.
pub(super) struct Call<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) target: &'a Arc<Target>,
    pub(super) format: Format,
    pub(super) directives: Directives,
    pub(super) wants: Wants,
    /// This caller's bounds.
    pub(super) limits: Limits,
}

impl Call<'_> {
    /// Begins to answer it: by `terms` where it may share, with `inputs` where
    /// it may travel with others. `draft` and `body` make the call upstream,
    /// should it be this caller who has to make it.
    pub(super) async fn begin(
        self,
        terms: Option<Terms>,
        inputs: Option<Inputs>,
        draft: Draft,
        body: upstream::Body,
        ledger: &mut Ledger,
    ) -> Result<Asked, Error> {
        // Boxed, so that their room is not set aside for calls that share
        // nothing.
        match (terms, inputs) {
            (Some(terms), None) => {
                let question = Question {
                    call: self,
                    terms,
                    draft,
                };
                Box::pin(question.answer(body, ledger)).await
            }
            (Some(terms), Some(inputs)) => {
                let question = Question {
                    call: self,
                    terms,
                    draft,
                };
                Box::pin(question.embed(inputs, body, ledger)).await
            }
            (None, _) if self.directives.only_if_cached => Err(not_cached()),
            (None, Some(inputs)) => Box::pin(self.embed(inputs, draft, ledger)).await,
            (None, None) => self.alone(&draft, body, ledger).await,
        }
    }

    /// The answer of a call that shares nothing.
    async fn alone(
        &self,
        draft: &Draft,
        body: upstream::Body,
        ledger: &mut Ledger,
    ) -> Result<Asked, Error> {
        ledger.shared = Shared::Bypass;
        let callee = &self.target.callee;
        let request = draft.to(callee, body, &self.gateway.instance);
        let (id, attempt) = (&draft.request_id, &mut ledger.attempt);
        self.gateway
            .ask(callee, request, self.limits, id, attempt)
            .await
    }

    /// The answer of a call that shares nothing but its way.
    async fn embed(
        &self,
        inputs: Inputs,
        draft: Draft,
        ledger: &mut Ledger,
    ) -> Result<Asked, Error> {
        let means = Means {
            gateway: Arc::clone(self.gateway),
            target: Arc::clone(self.target),
            draft,
            limits: self.limits,
        };
        let asked = Instant::now();
        let embedded = self.bounded(inputs.embed(means, None)).await;
        ledger.attempt.waited += asked.elapsed();
        let (head, body) = match embedded? {
            Ok(told) => told,
            Err(Refused::Told(told)) => *told,
            Err(Refused::Failed(failure)) => {
                ledger.attempt.follow(&failure.attempt);
                return Err(failure.error);
            }
        };
        ledger.attempt.follow(&head.attempt);
        Ok(self.asked(&head, Source::Kept(body), head.sent))
    }

    /// Whether the process ends: nothing is asked a second time then.
    fn is_ending(&self) -> bool {
        self.gateway.instance.drain.is_draining()
    }

    fn asked(&self, head: &Head, body: Source, sent: Instant) -> Asked {
        let callee = &self.target.callee;
        Asked::shared(self.gateway, callee, head, body, self.limits, sent)
    }

    /// What `work` comes to within this caller's own bounds.
    async fn bounded<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let Some((at, bound)) = self.limits.of_reader().head(Instant::now()) else {
            return Ok(work.await);
        };
        timeout_at(at, work)
            .await
            .map_err(|_| self.limits.passed(bound, &self.target.callee))
    }
}

/// The form a caller wants an answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) form: Form,
    /// Of a stream: that it tells what the call took.
    pub(super) usage: bool,
}

impl Wants {
    /// Whether an answer of `format` in this form tells what the call took.
    pub(super) fn tells_usage(self, format: Format) -> bool {
        self.usage
            || self.form == Form::Whole
            || !matches!(format, Format::Chat | Format::Completions)
    }
}
