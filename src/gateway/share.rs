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
use super::course::Course;
use super::directives::Directives;
use super::embed::{Inputs, Means, Refused};
use super::flight::Head;
use super::ledger::{Ledger, Shared};
use super::plan::Candidate;
use super::terms::Terms;
use super::{Gateway, not_cached};
use crate::cache::stored::Form;
use crate::dialect::Format;
use crate::error::Error;
use question::Question;

/// A call of which it is known who may answer.
pub(super) struct Call {
    /// How it is made.
    pub(super) course: Arc<Course>,
    pub(super) directives: Directives,
    pub(super) wants: Wants,
    /// This caller's bounds.
    pub(super) limits: Limits,
}

impl Call {
    /// Begins to answer it: by `terms` where it may share, with `inputs` where
    /// it may travel with others.
    pub(super) async fn begin(
        self,
        terms: Option<Terms>,
        inputs: Option<Inputs>,
        ledger: &mut Ledger,
    ) -> Result<Box<Asked>, Error> {
        // Boxed, so that their room is not set aside for calls that share
        // nothing.
        match (terms, inputs) {
            (Some(terms), inputs) => {
                let question = Question { call: self, terms };
                match inputs {
                    None => Box::pin(question.answer(ledger)).await,
                    Some(inputs) => Box::pin(question.embed(inputs, ledger)).await,
                }
            }
            (None, _) if self.directives.only_if_cached => Err(not_cached()),
            (None, Some(inputs)) => Box::pin(self.embed(inputs, ledger)).await,
            (None, None) => self.alone(ledger).await,
        }
    }

    /// The answer of a call that shares nothing.
    async fn alone(&self, ledger: &mut Ledger) -> Result<Box<Asked>, Error> {
        ledger.shared = Shared::Bypass;
        self.course.run(&self.limits, &mut ledger.attempt).await
    }

    /// The answer of a call that shares nothing but its way.
    async fn embed(&self, inputs: Inputs, ledger: &mut Ledger) -> Result<Box<Asked>, Error> {
        let means = Means {
            course: Arc::clone(&self.course),
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

    /// Notes who has given an answer that was kept.
    fn aim_at(&self, head: &Head, ledger: &mut Ledger) {
        let Some(label) = &head.kept_of else { return };
        let mut all = self.course.candidates.all.iter();
        let by = all.find(|it| {
            let target = &it.target;
            target.callee.provider.name == *label.provider && target.model == *label.model
        });
        ledger.attempt.race.answered_by = by.map(|it| Arc::clone(&it.target));
    }

    fn gateway(&self) -> &Arc<Gateway> {
        &self.course.gateway
    }

    /// Who stands for all who may answer, until one of them has.
    fn lead(&self) -> &Candidate {
        self.course.candidates.lead()
    }

    /// Whether the process ends: nothing is asked a second time then.
    fn is_ending(&self) -> bool {
        self.gateway().instance.drain.is_draining()
    }

    fn asked(&self, head: &Head, body: Source, sent: Instant) -> Box<Asked> {
        let answered_by = head.attempt.race.answered_by.as_ref();
        let callee = &answered_by.unwrap_or(&self.lead().target).callee;
        Asked::shared(self.gateway(), callee, head, body, self.limits, sent)
    }

    /// What `work` comes to within this caller's own bounds.
    async fn bounded<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let Some((at, bound)) = self.limits.of_reader().head(Instant::now()) else {
            return Ok(work.await);
        };
        timeout_at(at, work)
            .await
            .map_err(|_| self.limits.passed(bound, &self.lead().target.callee))
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
