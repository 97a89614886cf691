//! A call for embeddings: what is known of its inputs is not asked again, and
//! the rest travels with others of its kind.
//!
//! Vectors are kept one by one, so a list of a hundred of which ninety-seven
//! are known asks for three. Equal calls under way are one flight; different
//! ones that may travel together are one call upstream ([`crate::batch`]).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use super::Gateway;
use super::attempt::{Attempt, Limits};
use super::count;
use super::course::Course;
use super::flight::{self, Head, Kept};
use super::relay::Form;
use crate::batch::embeddings::{self as batch, Batches, Failure, Got};
use crate::cache::stored::{self, Hit, Label, Stored, Wanted};
use crate::cache::{EmbeddingKeys, Key};
use crate::dialect::Format;
use crate::dialect::embeddings::{Answer, Ask, Fault, Piece, assemble};
use crate::error::{Error, Kind};
use crate::http1::Name;

/// The embedding calls under way in the process.
pub(super) type Gathering = Batches<Key, Arc<Head>, Refused>;

/// Why a call upstream gave no vectors.
#[derive(Clone)]
pub(super) enum Refused {
    /// The provider's own words.
    Told(Box<(Head, Bytes)>),
    /// There were none.
    Failed(flight::Failure),
}

/// The longest list that is taken apart. The answer to a longer one is tens of
/// megabytes, and goes to whoever asks for it alone, as it comes.
const INPUTS_MAX: usize = 256;

/// The largest answer that is held: that many vectors of 4,096 numbers.
const ANSWER_MAX: usize = 64 << 20;

/// The inputs of one call.
pub(super) struct Inputs {
    ask: Ask,
    /// One for each input, where vectors may be kept.
    keys: Option<Vec<Key>>,
    /// What is known already, by the place of the input.
    known: Vec<Option<Hit>>,
    /// Of those calls it may travel with.
    group: Key,
    label: Arc<Label>,
}

impl Inputs {
    /// Those of `body`. `names` are what its vectors are kept under; `payer`
    /// is the credential that travels with the call. `None` where the body is
    /// the provider's to understand.
    pub(super) fn read(
        body: Bytes,
        names: &EmbeddingKeys,
        payer: &[u8],
        label: &Arc<Label>,
        keeps: bool,
    ) -> Option<Self> {
        let ask = Ask::read(body).filter(|ask| ask.len() <= INPUTS_MAX)?;
        let keys = match keeps {
            true => Some(
                ask.inputs()
                    .map(|input| names.input(simdutf8::basic::from_utf8(input).ok()?))
                    .collect::<Option<Vec<_>>>()?,
            ),
            false => None,
        };
        Some(Self {
            known: vec![None; ask.len()],
            keys,
            group: names.group(payer),
            label: Arc::clone(label),
            ask,
        })
    }

    /// What its vector is kept under; none for several.
    pub(super) fn key(&self) -> Option<Key> {
        match self.keys.as_deref() {
            Some([key]) => Some(*key),
            _ => None,
        }
    }

    /// Looks for vectors in memory. The answer, if all are there.
    pub(super) fn look_up(&mut self, gateway: &Gateway, wanted: &Wanted) -> Option<(Head, Bytes)> {
        for (key, known) in self.keys.iter().flatten().zip(&mut self.known) {
            *known = gateway.cache.get(key, wanted);
        }
        self.answer()
    }

    /// Looks for the rest beyond this process, for all of them at once.
    pub(super) async fn look_further(
        &mut self,
        gateway: &Gateway,
        wanted: &Wanted,
    ) -> Option<(Head, Bytes)> {
        for (key, known) in self.keys.iter().flatten().zip(&mut self.known) {
            // Another call may have brought it since it was missed.
            *known = known
                .take()
                .or_else(|| gateway.cache.look_again(key, wanted));
        }
        let label = &self.label;
        let mut looking: Vec<_> = (self.keys.iter().flatten().zip(&mut self.known))
            .filter(|(_, known)| known.is_none())
            .map(|(key, known)| {
                let found = gateway.cache.get_remote(key, None, label, wanted);
                Some((known, Box::pin(found)))
            })
            .collect();
        poll_fn(|cx| {
            for slot in &mut looking {
                if let Some((known, found)) = slot
                    && let Poll::Ready(hit) = found.as_mut().poll(cx)
                {
                    **known = hit;
                    *slot = None;
                }
            }
            match looking.iter().all(Option::is_none) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        self.answer()
    }

    /// The answer out of what is known, if that is all.
    fn answer(&self) -> Option<(Head, Bytes)> {
        let hits: Vec<&Hit> = self
            .known
            .iter()
            .map(Option::as_ref)
            .collect::<Option<_>>()?;
        let pieces: Vec<_> = hits
            .iter()
            .map(|hit| Piece::read(hit.stored.body().clone()).ok())
            .collect::<Option<_>>()?;
        let oldest = hits.iter().max_by_key(|hit| hit.age)?;
        let nearest = hits.iter().map(|hit| hit.seconds_left()).min()?;
        let mut head = Head::kept(oldest);
        if hits.iter().any(|hit| hit.stored.tells_an_estimate()) {
            count::mark(&mut head.fields);
        }
        head.kept = head.kept.map(|kept| Kept {
            seconds_left: nearest,
            usage: None,
            took: hits
                .iter()
                .map(|hit| hit.stored.took)
                .max()
                .unwrap_or_default(),
            ..kept
        });
        Some((head, assemble(&pieces)))
    }

    /// Forgets what is stale, so that it is asked for.
    pub(super) fn forget_stale(&mut self) {
        for known in &mut self.known {
            known.take_if(|hit| !hit.is_fresh());
        }
    }

    /// Looks for what is not known, and asks for what can't be found.
    pub(super) async fn embed(
        mut self,
        means: Means,
        wanted: Option<Wanted>,
    ) -> Result<(Head, Bytes), Refused> {
        if let Some(wanted) = &wanted
            && let Some(answer) = self.look_further(&means.course.gateway, wanted).await
        {
            return Ok(answer);
        }
        self.fetch(means).await
    }

    /// Asks for what is not known, together with others, and puts the whole
    /// together.
    async fn fetch(self, errand: Means) -> Result<(Head, Bytes), Refused> {
        let missing = self.ask.only(|at| self.known[at].is_none());
        let Some(missing) = missing else {
            return self.answer().ok_or_else(|| lost("it was dropped"));
        };
        let limits = &errand
            .course
            .candidates
            .lead()
            .target
            .callee
            .provider
            .embeddings;
        let limits = batch::Limits::within(limits.inputs, limits.tokens);
        let gathering = errand.course.gateway.instance.gathering.clone();
        let gateway = Arc::clone(&errand.course.gateway);
        let weights: Vec<u64> = missing.weights().collect();
        let is_all = missing.len() == self.ask.len() && missing.is_whole();
        let began = Instant::now();
        let way = Arc::new(errand);
        let send = move |body| Arc::clone(&way).send(body);
        let answered = gathering
            .ask(self.group, limits, missing, send)
            .await
            .map_err(|error| match error {
                batch::Error::Upstream(refused) => refused,
                batch::Error::Unreadable(fault) => self.unreadable(&fault),
                batch::Error::Lost => lost("its batch was lost"),
            })?;
        let mut head = Head::clone(&answered.head);
        head.keeps = self.keys.is_some();
        if !answered.carried {
            head = head.for_others();
            let theirs = std::mem::take(&mut head.attempt);
            head.attempt.dropped = theirs.dropped;
            head.attempt.race.answered_by = theirs.race.answered_by;
            head.is_joined = true;
        }
        let took = began.elapsed();
        let pieces = match answered.got {
            Got::Whole(body) if is_all => {
                if self.keys.is_some()
                    && let Ok(answer) = Answer::read(body.clone(), weights.len())
                {
                    self.keep(&gateway, &answer.pieces(&weights), &head, took);
                }
                return Ok((head, body));
            }
            Got::Whole(body) => Answer::read(body, weights.len())
                .map_err(|fault| self.unreadable(&fault))?
                .pieces(&weights),
            Got::Pieces(pieces) => pieces,
        };
        self.keep(&gateway, &pieces, &head, took);
        head.fields.remove(Name::ContentLength);
        let mut fresh = pieces.into_iter();
        let all: Option<Vec<_>> = self
            .known
            .iter()
            .map(|known| match known {
                Some(hit) => Piece::read(hit.stored.body().clone()).ok(),
                None => fresh.next(),
            })
            .collect();
        let all = all.ok_or_else(|| lost("a vector that was kept can't be read"))?;
        Ok((head, assemble(&all)))
    }

    fn unreadable(&self, fault: &Fault) -> Refused {
        let message = format!("{}: {fault}", self.label.provider);
        failed(
            Error::new(Kind::UpstreamProtocol, message),
            Attempt::default(),
        )
    }

    /// Keeps the vectors of the inputs that were asked for.
    fn keep(&self, gateway: &Gateway, pieces: &[Piece], head: &Head, took: Duration) {
        let Some(keys) = &self.keys else { return };
        let content_type = head.fields.get(Name::ContentType);
        let content_type = content_type
            .and_then(|value| HeaderValue::from_bytes(value).ok())
            .unwrap_or_else(|| HeaderValue::from_static("application/json"));
        let is_estimated = count::is_estimated(&head.fields);
        let by = head.attempt.race.answered_by.as_ref();
        let label = by.map(|target| target.label(&self.label.tenant));
        let label = label.unwrap_or_else(|| Arc::clone(&self.label));
        let dropped: Option<Box<str>> = head.attempt.dropped.header().map(Into::into);
        let asked = keys
            .iter()
            .zip(&self.known)
            .filter(|(_, known)| known.is_none());
        for ((key, _), piece) in asked.zip(pieces) {
            let alone = piece.alone();
            let mut stored = Stored::new(
                Arc::clone(&label),
                Format::Embeddings,
                stored::Form::Whole,
                content_type.clone(),
                &alone,
            );
            stored.took = took;
            stored.dropped.clone_from(&dropped);
            (stored.usage, _) = count::outcome(Format::Embeddings, &alone, is_estimated);
            gateway.cache.keep(*key, stored);
        }
    }
}

fn lost(why: &str) -> Refused {
    let error = Error::new(Kind::Internal, "the embeddings were lost on their way").because(why);
    failed(error, Attempt::default())
}

fn failed(error: Error, attempt: Attempt) -> Refused {
    Refused::Failed(flight::Failure {
        error,
        attempt: Box::new(attempt),
    })
}

/// What calls for embeddings are made with.
pub(super) struct Means {
    /// The call, but for its body.
    pub(super) course: Arc<Course>,
    pub(super) limits: Limits,
}

type Sent = Pin<Box<dyn Future<Output = batch::Outcome<Arc<Head>, Refused>> + Send>>;

impl Means {
    /// Sends `body` the way this caller's own would go.
    fn send(self: Arc<Self>, body: Bytes) -> Sent {
        Box::pin(async move {
            let mut attempt = Attempt::default();
            let course = self.course.with_body(body);
            let asked = match course.run(&self.limits, &mut attempt).await {
                Ok(asked) => asked,
                Err(error) => return Err(Failure::Failed(failed(error, attempt))),
            };
            let callee = Arc::clone(&asked.callee);
            let (status, fields, sent) = (asked.status, asked.fields.clone(), asked.sent);
            let mut relay = asked.relay(Form::Raw, false);
            let body = match relay.collect(ANSWER_MAX, &mut attempt).await {
                Ok(Some(body)) => body,
                Ok(None) => {
                    let message = format!(
                        "{}: the embeddings are larger than {} MiB",
                        callee.provider.name,
                        ANSWER_MAX >> 20
                    );
                    let error = Error::new(Kind::UpstreamProtocol, message);
                    return Err(Failure::Failed(failed(error, attempt)));
                }
                Err(error) => return Err(Failure::Failed(failed(error, attempt))),
            };
            let head = Arc::new(Head::whole(status, fields, attempt, sent));
            match status {
                StatusCode::OK => Ok((head, body)),
                StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY => Err(Failure::Refused(Refused::Told(
                    Box::new((Head::clone(&head), body)),
                ))),
                _ => Err(Failure::Failed(Refused::Told(Box::new((
                    Head::clone(&head),
                    body,
                ))))),
            }
        })
    }
}
