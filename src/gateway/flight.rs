//! One call upstream whose answer several callers read.
//!
//! It is made by a task of its own, on the runtime of the caller that was
//! first, so that none of its readers can take it along by leaving; when the
//! last of them has left, it is cancelled. It ends at the configured deadlines;
//! what a caller of less patience waits for, that caller watches itself.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::Gateway;
use super::account::{Account, Ended};
use super::asked::Asked;
use super::attempt::{Attempt, Limits};
use super::count;
use super::course::Course;
use super::embed::{Inputs, Means, Refused};
use super::encoding::Coding;
use super::events::Events;
use super::ledger;
use super::relay::{Form, Relay, Step};
use super::share::Wants;
use crate::cache::recording::{self, Broken};
use crate::cache::stored::{self, Hit, Label, Stored, Wanted};
use crate::cache::{Key, Store, flights};
use crate::dialect::loss::Losses;
use crate::dialect::{Ending, Finish, Format, Usage, fold, unfold};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name, NameSet};

/// The calls under way that others may join.
pub(super) type Flights = flights::Flights<Key, Head, Failure>;
/// One of them, as whoever makes it sees it.
pub(super) type Flight = flights::Flight<Key, Head, Failure>;
/// The same as one of its readers sees it.
pub(super) type Replay = recording::Replay<Head, Failure>;

/// What readers are told before the first byte.
#[derive(Clone)]
pub struct Head {
    pub(super) status: StatusCode,
    /// The provider's, as the caller gets them.
    pub(super) fields: Fields,
    /// The wire form of the body.
    pub(super) format: Format,
    /// Whether the body is events or one object.
    pub(super) form: stored::Form,
    /// How the call went until now.
    pub(super) attempt: Attempt,
    /// When it went upstream.
    pub(super) sent: Instant,
    /// It was kept by another replica; nobody was asked.
    pub(super) kept: Option<Kept>,
    /// Whose answer it was.
    pub(super) kept_of: Option<Arc<Label>>,
    /// Whether it is going to be kept, if it ends well.
    pub(super) keeps: bool,
    /// It travelled in another caller's call upstream.
    pub(super) is_joined: bool,
}

/// Why a call brought no answer, or only the beginning of one.
#[derive(Clone)]
pub struct Failure {
    pub(super) error: Error,
    /// How the call went, for the caller who began it.
    pub(super) attempt: Box<Attempt>,
}

/// What is said of an answer that was kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How long ago the provider gave it.
    pub age: Duration,
    /// Whole seconds it stays fresh; negative once it is stale.
    pub seconds_left: i64,
    /// What it took, as the provider said or as it was estimated.
    pub usage: Option<Usage>,
    /// How it ended.
    pub finish: Option<Finish>,
    /// How long it took upstream.
    pub took: Duration,
}

impl Kept {
    pub(super) fn of(hit: &Hit) -> Self {
        Self {
            age: hit.age,
            seconds_left: hit.seconds_left(),
            usage: hit.stored.usage,
            finish: hit.stored.finish,
            took: hit.stored.took,
        }
    }

    /// Whether a stream recorded in the caller's format passes as it is: it was
    /// looked at when it was recorded, and nothing in it is to be hidden.
    pub(super) fn passes(&self, hides_usage: bool) -> bool {
        self.usage
            .is_some_and(|usage| usage.estimated || !hides_usage)
    }
}

impl Head {
    /// That of an answer which was kept.
    pub(super) fn kept(hit: &Hit) -> Self {
        let mut fields = Fields::with_capacity(12, 512);
        fields.push(Name::ContentType, &hit.stored.content_type);
        if hit.stored.tells_an_estimate() {
            count::mark(&mut fields);
        }
        Self {
            status: StatusCode::OK,
            fields,
            format: hit.stored.format,
            form: hit.stored.form,
            attempt: Attempt {
                dropped: Losses::of_header(hit.stored.dropped.as_deref().unwrap_or_default()),
                ..Attempt::default()
            },
            sent: Instant::now(),
            kept: Some(Kept::of(hit)),
            kept_of: Some(Arc::clone(&hit.stored.label)),
            keeps: false,
            is_joined: false,
        }
    }

    /// That of vectors which have just come.
    pub(super) fn whole(
        status: StatusCode,
        fields: Fields,
        attempt: Attempt,
        sent: Instant,
    ) -> Self {
        Self {
            status,
            fields,
            format: Format::Embeddings,
            form: stored::Form::Whole,
            attempt,
            sent,
            kept: None,
            kept_of: None,
            keeps: false,
            is_joined: false,
        }
    }

    /// The same for a caller who did not ask for it: what a provider's headers
    /// say of an account, a limit or a cookie is for the one who did.
    pub(super) fn for_others(&self) -> Self {
        const TOLD: NameSet = NameSet::of(&[
            Name::ContentType,
            Name::ContentEncoding,
            Name::RetryAfter,
            Name::XShouldRetry,
        ]);
        let mut fields = Fields::with_capacity(12, 512);
        fields.extend(&self.fields, |field| TOLD.has(field.name));
        if count::is_estimated(&self.fields) {
            count::mark(&mut fields);
        }
        Self {
            fields,
            ..self.clone()
        }
    }

    /// Whether this is the provider's last word on the call, so that asking
    /// again would only bring it again.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.status.as_u16(), 408 | 409 | 429 | 500..)
    }
}

/// What a reader's caller is told of a recording without an end.
pub(super) fn told(broken: Broken<Failure>) -> Error {
    match broken {
        Broken::Failed(failure) => failure.error,
        Broken::Abandoned => Error::new(
            Kind::Internal,
            "the call whose answer this one shares was given up: send it again",
        ),
        Broken::Lagging => Error::new(
            Kind::Overloaded,
            "the answer is shared and this caller reads it too slowly: read faster, or say `Cache-Control: no-store`",
        ),
    }
}

/// What an answer is kept and joined under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// One that tells what it took.
    pub(super) counted: Key,
    /// One such as this caller asks for: the same, unless it asks for a stream
    /// without counts.
    pub(super) own: Key,
}

impl Keys {
    /// The answer of either kind that is kept in memory, looked for once more.
    fn look_again(&self, store: &Store, wanted: &Wanted) -> Option<Hit> {
        let found = store.look_again(&self.counted, wanted);
        found.or_else(|| store.look_again(&self.own, wanted))
    }

    /// The answer of either kind that is kept beyond this process.
    pub(super) async fn get_remote(
        &self,
        store: &Store,
        label: &Arc<Label>,
        wanted: &Wanted,
    ) -> Option<Hit> {
        let or = (self.own != self.counted).then_some(&self.own);
        store.get_remote(&self.counted, or, label, wanted).await
    }
}

/// What is to be asked.
pub(super) enum Cargo {
    /// The call itself.
    Call,
    /// Inputs to embed.
    Inputs(Box<Inputs>),
}

/// One call to be made for several.
pub(super) struct Errand {
    pub(super) course: Arc<Course>,
    pub(super) cargo: Cargo,
    pub(super) limits: Limits,
    pub(super) keys: Keys,
    pub(super) label: Arc<Label>,
    /// The form its first caller wants.
    pub(super) wants: Wants,
    /// Which kept answers of other replicas will do; none for a call that has
    /// to go upstream.
    pub(super) wanted: Option<Wanted>,
    /// Whose books it is in.
    pub(super) account: Arc<Account>,
}

impl Errand {
    /// Runs it to its end, or until nobody reads any more.
    pub(super) async fn run(self, mut flight: Flight) {
        let account = Arc::clone(&self.account);
        let lead = Arc::clone(&self.course.candidates.lead().target);
        if let Some(ended) = self.fly(&mut flight).await {
            account.end(ended, &lead);
        }
    }

    /// The same. Says how the call went, if one was made.
    async fn fly(self, flight: &mut Flight) -> Option<Ended> {
        if let Cargo::Inputs(inputs) = self.cargo {
            let means = Means {
                course: self.course,
                limits: self.limits,
            };
            let embedding = inputs.embed(means, self.wanted);
            let (head, body) = match unless_deserted(flight, embedding).await {
                None => return Some(Ended::deserted(Attempt::default())),
                Some(Ok(told)) => told,
                Some(Err(Refused::Told(told))) => *told,
                Some(Err(Refused::Failed(failure))) => return Some(fail(flight, failure)),
            };
            let mut attempt = head.attempt.clone();
            let told = Ok(head.status);
            let is_own = head.kept.is_none() && !head.is_joined;
            if is_own {
                let is_estimated = count::is_estimated(&head.fields);
                (attempt.usage, attempt.finish) = count::outcome(head.format, &body, is_estimated);
            }
            flight.head(head);
            flight.push(body);
            flight.complete();
            return is_own.then_some(Ended { attempt, told });
        }
        let store = Arc::clone(&self.course.gateway.cache);
        if let Some(wanted) = &self.wanted {
            // The flight before this one may have ended since it was missed.
            let found = self.keys.look_again(&store, wanted);
            // A stream that is kept can be had whole; the other way round is not sure.
            let fits = |hit: &Hit| {
                let stored = &hit.stored;
                self.wants.form == stored.form
                    || stored.form == stored::Form::Stream
                    || unfold(stored.format, stored.body(), self.wants.usage).is_some()
            };
            if let Some(hit) = found.filter(fits) {
                flight.head(Head::kept(&hit));
                flight.push(hit.stored.body().clone());
                flight.complete();
                return None;
            }
        }
        let mut attempt = Attempt::default();
        let asking = self.course.run(&self.limits, &mut attempt);
        let asked = match unless_deserted(flight, asking).await {
            None => return Some(Ended::deserted(attempt)),
            Some(Err(error)) => {
                let attempt = Box::new(attempt);
                return Some(fail(flight, Failure { error, attempt }));
            }
            Some(Ok(asked)) => asked,
        };
        let answered_by = attempt.race.answered_by.as_ref();
        let is_estimated = count::is_estimated(&asked.fields);
        let label = answered_by.map(|target| target.label(&self.label.tenant));
        let answering = Answering {
            began: asked.sent,
            keys: self.keys,
            label: label.unwrap_or(self.label),
            format: asked.format,
            is_estimated,
            gateway: Arc::clone(&self.course.gateway),
            attempt,
        };
        Some(answering.record(asked, flight).await)
    }
}

/// An errand that is being answered.
struct Answering {
    gateway: Arc<Gateway>,
    keys: Keys,
    label: Arc<Label>,
    format: Format,
    attempt: Attempt,
    /// What a whole answer says that it took is.
    is_estimated: bool,
    began: Instant,
}

impl Answering {
    /// Records it. Says how it went.
    async fn record(mut self, mut asked: Box<Asked>, flight: &mut Flight) -> Ended {
        let is_stream = asked.is_event_stream();
        let fields = std::mem::take(&mut asked.fields);
        let status = asked.status;
        let is_plain = matches!(Coding::of(&fields), Ok(Coding::Identity));
        let is_read = status == StatusCode::OK && is_plain;
        let form = match is_stream {
            true => stored::Form::Stream,
            false => stored::Form::Whole,
        };
        let content_type = fields.get(Name::ContentType);
        let content_type = content_type.and_then(|value| HeaderValue::from_bytes(value).ok());
        flight.head(Head {
            status,
            fields,
            format: self.format,
            form,
            attempt: self.attempt.clone(),
            sent: asked.sent,
            kept: None,
            kept_of: None,
            keeps: is_read,
            is_joined: false,
        });
        let mut relay = match form {
            stored::Form::Stream if is_read => {
                asked.relay(Form::Events(Events::new(self.format, false)), false)
            }
            _ => asked.relay(Form::Raw, false),
        };
        let passed = self.pass_on(&mut relay, flight).await;
        relay.settle(&mut self.attempt);
        match passed {
            Passed::Whole => {}
            Passed::Deserted => return Ended::deserted(self.attempt),
            Passed::Broken(error) => {
                let attempt = Box::new(self.attempt);
                return fail(flight, Failure { error, attempt });
            }
        }
        let ending = relay.ending();
        if let Some(body) = flight.complete().filter(|_| is_read) {
            self.look_at(form, ending, content_type, &body);
        }
        Ended {
            attempt: self.attempt,
            told: Ok(status),
        }
    }

    /// Reads what a whole answer took, and keeps it if it may be.
    fn look_at(
        &mut self,
        form: stored::Form,
        ending: Option<Ending>,
        content_type: Option<HeaderValue>,
        body: &Bytes,
    ) {
        let is_whole = match form {
            // What can't be put together has something in it that can't be read.
            stored::Form::Stream => {
                ending == Some(Ending::Terminal) && fold(self.format, body).is_some()
            }
            stored::Form::Whole => {
                (self.attempt.usage, self.attempt.finish) =
                    count::outcome(self.format, body, self.is_estimated);
                serde_json::from_slice::<IgnoredAny>(body).is_ok()
            }
        };
        if is_whole && self.is_success() {
            self.keep(form, content_type, body);
        }
    }

    /// Records until the end, and says which.
    async fn pass_on(&mut self, relay: &mut Relay, flight: &mut Flight) -> Passed {
        loop {
            let stepping = poll_fn(|cx| relay.poll_step(cx, &mut self.attempt));
            match unless_deserted(flight, stepping).await {
                None => return Passed::Deserted,
                Some(Step::End(_)) => return Passed::Whole,
                Some(Step::Broken(error)) => return Passed::Broken(error),
                Some(Step::Data(bytes)) => flight.push(bytes),
            }
            if !flight.is_whole() && !room(flight).await {
                return Passed::Deserted;
            }
        }
    }

    /// Whether the answer is one: not an error in a 200, not cut off by a
    /// filter. One that ran into its own limit of tokens is what was asked for.
    fn is_success(&self) -> bool {
        match self.format {
            Format::Embeddings | Format::CountTokens => self.attempt.usage.is_some(),
            _ => matches!(
                self.attempt.finish,
                Some(Finish::Stop | Finish::Length | Finish::ToolCalls)
            ),
        }
    }

    fn keep(&self, form: stored::Form, content_type: Option<HeaderValue>, body: &Bytes) {
        let usage = self.attempt.usage;
        let key = match usage {
            Some(usage) if !usage.estimated => self.keys.counted,
            _ => self.keys.own,
        };
        let content_type = content_type.unwrap_or_else(|| match form {
            stored::Form::Stream => HeaderValue::from_static("text/event-stream"),
            stored::Form::Whole => HeaderValue::from_static("application/json"),
        });
        let label = Arc::clone(&self.label);
        let mut stored = Stored::new(label, self.format, form, content_type, body);
        stored.usage = usage;
        stored.finish = self.attempt.finish;
        stored.took = self.began.elapsed();
        stored.dropped = self.attempt.dropped.header().map(Into::into);
        self.gateway.cache.keep(key, stored);
    }
}

/// What becomes of an answer that is recorded.
enum Passed {
    /// It is here.
    Whole,
    /// Nobody reads it any more.
    Deserted,
    /// It broke off.
    Broken(Error),
}

impl Ended {
    /// A call that was given up because nobody read it any more.
    fn deserted(attempt: Attempt) -> Self {
        Self {
            attempt,
            told: Ok(ledger::closed()),
        }
    }
}

/// Tells readers of a failure.
fn fail(flight: &mut Flight, failure: Failure) -> Ended {
    let ended = Ended {
        attempt: Attempt::clone(&failure.attempt),
        told: Err(failure.error.clone()),
    };
    flight.fail(failure);
    ended
}

/// What `work` comes to; `None` once nobody reads any more.
async fn unless_deserted<T>(flight: &Flight, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match flight.poll_deserted(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Waits until more may be recorded. Says whether anybody still reads.
async fn room(flight: &mut Flight) -> bool {
    poll_fn(|cx| match flight.poll_deserted(cx) {
        Poll::Ready(()) => Poll::Ready(false),
        Poll::Pending => flight.poll_room(cx).map(|()| true),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().copied().collect();
        let status = StatusCode::from_u16(status).unwrap();
        Head::whole(status, fields, Attempt::default(), Instant::now())
    }

    #[test]
    fn others_are_told_of_the_answer_and_nothing_of_the_account() {
        let told = head(
            429,
            &[
                ("content-type", "application/json"),
                ("retry-after", "2"),
                ("set-cookie", "session=alice"),
                ("openai-organization", "alice"),
                ("x-ratelimit-remaining-tokens", "7"),
            ],
        );
        let expected = [("content-type", "application/json"), ("retry-after", "2")];
        assert_eq!(told.for_others().fields, expected.into_iter().collect());
    }

    #[test]
    fn what_asking_again_may_change_is_not_the_last_word() {
        for (status, expected) in [
            (200, true),
            (400, true),
            (404, true),
            (408, false),
            (409, false),
            (422, true),
            (429, false),
            (500, false),
            (529, false),
        ] {
            assert_eq!(head(status, &[]).is_final(), expected, "{status}");
        }
    }
}
