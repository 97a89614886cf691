//! One call's attempts, carried out: what [`Race`] decides, this does.
//!
//! An attempt waits for its turn at the target's limit, asks, and reads up to
//! the commit point. The first that gets there is the call's answer; whatever
//! else runs is dropped, which cancels it upstream. All of it happens in the
//! task of whoever asks: no attempt has one of its own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::asked::{Asked, Charge};
use super::attempt::failure::{Failure, FailureKind};
use super::attempt::hedge::{Hedging, Reason, Signs};
use super::attempt::policy::Fallbacks;
use super::attempt::race::{Blame, Loser, Race, Readiness, Rules, Step, Why, Withheld, World};
use super::attempt::{Attempt, Bound, Limits, Unanswered};
use super::commit::{Broken, Told, commit};
use super::crossing::Crossing;
use super::draft::{Draft, Words};
use super::ledger::Ledger;
use super::plain;
use super::plan::{Callee, Candidate, Candidates, Plan, Target, Way};
use super::{Caller, Gateway};
use crate::config::Hedge;
use crate::dialect::sharing::Effect;
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name, NameSet};
use crate::metrics::attempts::Hedged;
use crate::provider::quota::{self, Quota};
use crate::upstream::admission::{self, Permit, Priority, Turned};
use crate::upstream::balance::{Ask, Policy, Ranking};
use crate::upstream::health::State;
use crate::upstream::limit::{Class, Outcome, Rule};
use crate::upstream::quota::{Told as Left, Unit};
use crate::upstream::standing::{End, Pending, Span, Turn, View};

/// A call, and all that decides how it is made.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) gateway: Arc<Gateway>,
    /// Who may answer it.
    pub(super) candidates: Arc<Candidates>,
    draft: Draft,
    /// Calls upstream, the first included and a hedge not.
    attempts: u32,
    hedging: Hedging,
    fallback_on: Fallbacks,
    priority: Priority,
    /// What is told to who picks among the candidates.
    ask: Ask,
}

impl Course {
    /// The course of a call that `caller` makes under `plan`.
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        plan: &Plan,
        candidates: Arc<Candidates>,
        caller: &Arc<Caller>,
        words: Words,
        ledger: &Ledger,
    ) -> Self {
        let (config, manner) = (&gateway.config, &caller.manner);
        let draft = Draft {
            caller: Arc::clone(caller),
            request_id: Arc::clone(&ledger.request_id),
            words,
        };
        let hedging = Hedging {
            when: manner.hedge.unwrap_or(plan.hedge),
            min: config.hedge.min,
            max: config.hedge.max,
        };
        let sticks = matches!(candidates.policy, Policy::Sticky);
        let prefix = || draft.prefix(candidates.lead().format);
        Self {
            attempts: match manner.retries {
                Some(retries) => retries + 1,
                None => config.retry.attempts.get(),
            },
            hedging,
            fallback_on: plan.fallback_on,
            priority: manner.priority,
            ask: Ask {
                span: match ledger.streamed {
                    true => Span::FirstContent,
                    false => Span::Whole,
                },
                session: manner.session.filter(|_| sticks),
                prefix: (sticks && manner.session.is_none()).then(prefix).flatten(),
                output: None,
            },
            gateway: Arc::clone(gateway),
            candidates,
            draft,
        }
    }

    /// The same with another body, in place of the caller's own.
    pub(super) fn with_body(&self, body: Bytes) -> Self {
        Self {
            gateway: Arc::clone(&self.gateway),
            candidates: Arc::clone(&self.candidates),
            draft: self.draft.with_body(body),
            ..*self
        }
    }

    /// Makes the call: the answer of the attempt that came to its commit point
    /// first, or what is told of the failures. `books` is filled with how it
    /// went.
    ///
    /// # Errors
    /// What the caller is told where the provider has not said it itself.
    pub(super) async fn run(
        &self,
        limits: &Limits,
        books: &mut Attempt,
    ) -> Result<Box<Asked>, Error> {
        let began = Instant::now();
        let mut rng = fastrand::Rng::new();
        let rules = Rules {
            attempts: self.attempts,
            hedging: self.hedging,
            fallback_on: self.fallback_on,
            deadline: limits.answer_by(),
            patience: limits.patience(),
        };
        let mut field = Field {
            course: self,
            limits,
            deadline: rules.deadline,
            places: self.rank(began, &mut rng),
            tries: [None, None],
            crossings: Vec::new(),
        };
        let mut race = Race::new(rules, field.places.count());
        let mut failed = Vec::new();
        field.target(0).callee.traffic.budgets.deposit(began);
        let mut now = began;
        let asked = loop {
            match race.next(now, &mut field) {
                Step::Start {
                    attempt,
                    place,
                    why,
                } => {
                    books.race.note(why, now - began);
                    field.count(place, why, failed.last());
                    if field.start(attempt, place, why, now) {
                        race.sent(attempt, now);
                    }
                }
                Step::GiveUp(blame) => {
                    books.race.retries_spent = race.has_spent_retries();
                    let is_told = |lost: &&mut Lost| blame == Blame::Attempt(lost.number);
                    let lost = failed.iter_mut().find(is_told);
                    let place = lost.as_ref().map_or(0, |lost| lost.place);
                    let told = lost.and_then(|lost| lost.tell(books));
                    books.race.answered_by = Some(Arc::clone(field.target(place)));
                    break told.unwrap_or_else(|| Err(self.late(limits)));
                }
                Step::Wait(until) => match field.event(until, &mut now).await {
                    Event::Time => {}
                    Event::Sent(attempt) => race.sent(attempt, now),
                    Event::Failed(number, broken, theirs) => {
                        let failure = broken.failure();
                        if let Told::Said(asked) = &broken.told {
                            field.heed(number, &asked.fields, now);
                        }
                        let place = field.failed(number, &failure, now);
                        race.failed(number, &failure, self.effect(), now, &mut rng);
                        failed.push(Lost {
                            number,
                            place,
                            kind: failure.kind,
                            told: Some(broken.told),
                            books: theirs,
                        });
                    }
                    Event::Answered(number, asked, theirs) => {
                        books.take(theirs);
                        field.heed(number, &asked.fields, now);
                        let charge = field.won(number, race.won(number, now), books, now);
                        break Ok(asked.charged(charge, now));
                    }
                },
            }
        };
        books.race.calls = race.calls();
        books.waited += now - began;
        asked
    }

    /// One attempt at `candidate`, begun `now`, up to its commit point.
    async fn ask(
        &self,
        candidate: &Candidate,
        crossing: Option<Arc<Crossing>>,
        limits: &Limits,
        now: Instant,
    ) -> Tried {
        let mut books = Box::<Attempt>::default();
        let gateway = &self.gateway;
        let crossing = crossing.as_deref();
        let request = self.draft.to(candidate, crossing, &gateway.instance);
        if let Some(crossing) = crossing {
            books.dropped = crossing.losses.clone();
        }
        let (callee, id) = (&candidate.target.callee, &self.draft.request_id);
        // Awaited where it is made, or it would be moved first.
        let outcome = match gateway
            .ask(callee, request, *limits, id, now, &mut books)
            .await
        {
            Ok(mut asked) => {
                asked.format = candidate.format;
                let is_last = self.attempts <= 1 && self.hedging.when == Hedge::Off;
                let asked = commit(asked, crossing, is_last, &mut books).await;
                match self.draft.is_read() {
                    true => asked.and_then(plain::readable),
                    false => asked,
                }
            }
            Err(unanswered) => Err(unanswered.into()),
        };
        (outcome, books)
    }

    /// What the provider does for it beside answering. Reading it out of the body
    /// is for those who need it: a call that is late, and one that has failed.
    fn effect(&self) -> Effect {
        self.draft.effect(self.candidates.lead())
    }

    /// The error of a call whose time is over.
    fn late(&self, limits: &Limits) -> Error {
        limits.passed(Bound::Total, &self.candidates.lead().target.callee)
    }

    /// What an admission is asked for.
    fn entry(&self, candidate: &Candidate, deadline: Option<Instant>) -> admission::Ask {
        let is_streamed = self.ask.span == Span::FirstContent;
        let class = || Class::new(candidate.target.id, self.draft.size());
        admission::Ask {
            priority: self.priority,
            class: is_streamed.then(class),
            by: deadline,
            expected: None,
        }
    }

    /// About how many tokens the call takes: four bytes are one, and what it brings
    /// is not known and counted as much again.
    fn tokens(&self) -> u32 {
        u32::try_from(self.draft.size() / 2).unwrap_or(u32::MAX)
    }

    fn rank(&self, now: Instant, rng: &mut fastrand::Rng) -> Places {
        let all = &self.candidates.all;
        if all.len() == 1 {
            return Places::One;
        }
        let views: Vec<View> = all
            .iter()
            .map(|candidate| view(&candidate.target, now))
            .collect();
        Places::Ranked(self.candidates.policy.rank(&self.ask, &views, now, rng))
    }
}

/// How a target stands, with what its key's limit says: where that was found out from
/// refusals, another target is asked before anybody waits for it.
fn view(target: &Target, now: Instant) -> View {
    let traffic = &target.callee.traffic;
    View {
        is_full: traffic.rule() == Rule::Aimd && traffic.admission.is_full(now),
        ..target.standing.view(now)
    }
}

/// What is left of a limit, as a target's standing is told it.
fn left(quota: Quota) -> Left {
    Left {
        limit: quota.limit,
        remaining: quota.left * quota.limit,
        resets_in: quota.resets_in,
        unit: match quota.unit {
            quota::Unit::Requests => Unit::Calls,
            quota::Unit::Tokens => Unit::Tokens,
        },
    }
}

/// The failure of a call that was not let in, which is counted.
pub(super) fn turned_away(callee: &Callee, turned: &Turned) -> Unanswered {
    callee.traffic.counts.turned(turned.why.word());
    let name = &callee.provider.name;
    let (kind, what) = match turned.why {
        admission::Why::Full => (
            FailureKind::Busy,
            "and too many wait already: send it again later",
        ),
        admission::Why::Displaced => (
            FailureKind::Busy,
            "and this one had to leave its place in the queue to a call that goes before it: send it again later",
        ),
        admission::Why::Hopeless => (
            FailureKind::Busy,
            "and this one's turn would come after its deadline: give it more time, or send it again later",
        ),
        admission::Why::Late => (
            FailureKind::Deadline,
            "and this one's turn did not come before its deadline: give it more time, or send it again later",
        ),
    };
    let message = format!("{name} has all the calls it can take at once, {what}");
    let error = Error::new(Kind::Overloaded, message).retry_after(turned.retry_after);
    Unanswered { kind, error }
}

/// Which candidate stands where.
enum Places {
    One,
    Ranked(Ranking),
}

impl Places {
    fn count(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Ranked(ranking) => ranking.targets().len(),
        }
    }

    fn candidate(&self, place: usize) -> usize {
        match self {
            Self::One => 0,
            Self::Ranked(ranking) => ranking.targets()[place],
        }
    }
}

/// The candidates of one call, and its attempts that run.
struct Field<'a> {
    course: &'a Course,
    limits: &'a Limits,
    deadline: Option<Instant>,
    places: Places,
    tries: [Option<Try<'a>>; 2],
    /// What the targets of other dialects are asked, or why they can't be; made
    /// when one is first asked.
    crossings: Vec<(&'a Target, Result<Arc<Crossing>, Error>)>,
}

/// An attempt that runs.
struct Try<'a> {
    number: usize,
    place: usize,
    candidate: &'a Candidate,
    /// What is asked, where that is in another dialect.
    crossing: Option<Arc<Crossing>>,
    why: Why,
    /// How long it has waited for its turn, if it had to.
    queued: Option<Duration>,
    /// From when it was sent.
    pending: Option<Pending>,
    work: Work<'a>,
}

/// What an attempt waits for.
enum Work<'a> {
    /// Its turn, since then.
    Entering(Instant, Boxed<'a, Result<Permit, Turned>>),
    /// Its answer, with the right to ask for it.
    Asking(Permit, Boxed<'a, Tried>),
    /// To be told that its target can't be asked.
    Unsaid(Error),
    /// Nothing: it has ended.
    Over,
}

/// What an attempt has come to, and its books.
type Tried = (Result<Box<Asked>, Broken>, Box<Attempt>);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What happens to the attempts of a call.
enum Event {
    /// The moment that was waited for has come.
    Time,
    /// It was its turn, and it went upstream.
    Sent(usize),
    /// It came to nothing.
    Failed(usize, Broken, Option<Box<Attempt>>),
    /// It came to its commit point.
    Answered(usize, Box<Asked>, Box<Attempt>),
}

impl<'a> Field<'a> {
    fn candidate(&self, place: usize) -> &'a Candidate {
        &self.course.candidates.all[self.places.candidate(place)]
    }

    fn target(&self, place: usize) -> &'a Arc<Target> {
        &self.candidate(place).target
    }

    /// Begins an attempt. Says whether it went upstream at once.
    fn start(&mut self, number: usize, place: usize, why: Why, now: Instant) -> bool {
        let course = self.course;
        let candidate = self.candidate(place);
        let mut attempt = Try {
            number,
            place,
            candidate,
            crossing: None,
            why,
            queued: None,
            pending: None,
            work: Work::Over,
        };
        match self.crossing(candidate) {
            Err(error) => attempt.work = Work::Unsaid(error),
            Ok(crossing) => {
                attempt.crossing = crossing;
                let turn = self.turn(candidate, why, now);
                let entry = course.entry(candidate, self.deadline);
                attempt.enter(course, self.limits, entry, turn, now);
            }
        }
        let is_sent = attempt.pending.is_some();
        let free = self.tries.iter_mut().find(|slot| slot.is_none());
        *free.expect("a race has two attempts at most") = Some(attempt);
        is_sent
    }

    /// What `candidate` is asked, where that is in another dialect. It is
    /// written once for each model of a provider.
    fn crossing(&mut self, candidate: &'a Candidate) -> Result<Option<Arc<Crossing>>, Error> {
        let Way::Through(wire) = candidate.way else {
            return Ok(None);
        };
        let target = &*candidate.target;
        let is_same = |other: &Target| other.full_name == target.full_name;
        let made = self.crossings.iter().find(|(other, _)| is_same(other));
        if let Some((_, made)) = made {
            return made.clone().map(Some);
        }
        let course = self.course;
        let on_loss = course.candidates.on_loss;
        let made = Crossing::write(&course.draft, candidate, wire, on_loss).map(Arc::new);
        self.crossings.push((target, made.clone()));
        made.map(Some)
    }

    /// What an attempt waits for that would be refused now, by what its provider
    /// has told. A hedge need not be made then, and was not.
    fn turn(&self, candidate: &Candidate, why: Why, now: Instant) -> Option<Turn> {
        let (course, standing) = (self.course, &candidate.target.standing);
        let yields = course.priority == Priority::Batch;
        let turn = (why != Why::Hedge).then(|| standing.turn(now, course.tokens(), yields));
        let is_in_time = |turn: &Turn| self.deadline.is_none_or(|deadline| turn.at() < deadline);
        turn.flatten().filter(is_in_time)
    }

    /// The next thing that happens, at the latest `until`; then it is `now`.
    async fn event(&mut self, until: Option<Instant>, now: &mut Instant) -> Event {
        // An attempt that has been sent ends at the deadline by itself: one
        // timer less for nearly every call.
        let is_sent = self.tries.iter().flatten().any(|it| it.pending.is_some());
        let until = until.filter(|at| !is_sent || Some(*at) != self.deadline);
        let mut timer = pin!(async {
            match until {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        let event = poll_fn(|cx| {
            for running in self.tries.iter_mut().flatten() {
                if let Poll::Ready(event) = running.poll(cx, self.course, self.limits) {
                    return Poll::Ready(event);
                }
            }
            timer.as_mut().poll(cx).map(|()| Event::Time)
        });
        let event = event.await;
        *now = Instant::now();
        event
    }

    fn take(&mut self, number: usize) -> Option<Try<'a>> {
        self.tries
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|it| it.number == number))?
            .take()
    }

    /// Heeds what a provider says is left of its limits.
    fn heed(&mut self, number: usize, fields: &Fields, now: Instant) {
        if !fields.may_have(NameSet::of(&[Name::RateLimit])) {
            return;
        }
        let limits = fields.iter().filter(|it| it.name == Name::RateLimit);
        let limits = limits.map(|it| (it.text, it.value));
        let Some(quota) = Quota::read(limits, SystemTime::now()) else {
            return;
        };
        let mut running = self.tries.iter_mut().flatten();
        let attempt = running.find(|attempt| attempt.number == number);
        if let Some(pending) = attempt.and_then(|attempt| attempt.pending.as_ref()) {
            pending.told(now, left(quota));
        }
    }

    /// An attempt has failed. Says where it stood.
    fn failed(&mut self, number: usize, failure: &Failure, now: Instant) -> usize {
        let attempt = self.take(number);
        attempt.map_or(0, |mut attempt| {
            attempt.hedged(Hedged::Failed);
            attempt.blame(failure, now);
            attempt.place
        })
    }

    /// Counts an attempt that is begun because of the failure `last`, or without
    /// one because another says nothing.
    fn count(&self, place: usize, why: Why, last: Option<&Lost>) {
        let counts = &self.target(place).callee.traffic.counts;
        let reason = last.map_or(SILENT, |lost| lost.kind.word());
        match why {
            Why::Retry => counts.retried(reason),
            Why::Fallback => counts.fell_back(reason),
            Why::First | Why::Hedge => {}
        }
    }

    /// An attempt has the answer: the other one is dropped, which cancels it.
    fn won(
        &mut self,
        number: usize,
        loser: Option<Loser>,
        books: &mut Attempt,
        now: Instant,
    ) -> Option<Charge> {
        let charge = self.take(number).and_then(|mut attempt| {
            attempt.hedged(Hedged::Won);
            books.race.answered_by = Some(Arc::clone(&attempt.candidate.target));
            attempt.charge(now, books.first_content)
        });
        let is_overdue = loser.is_some_and(|loser| loser.is_overdue);
        let loser = loser.and_then(|loser| self.take(loser.attempt));
        if let Some(mut loser) = loser {
            loser.hedged(Hedged::Lost);
            books.race.overtaken = Some(Arc::clone(&loser.candidate.target));
            if let Some(pending) = loser.pending.take() {
                let end = match is_overdue {
                    true => End::Failed,
                    false => End::Cut,
                };
                if pending.end(now, end) {
                    loser.candidate.target.callee.traffic.counts.ejections.inc();
                }
            }
        }
        charge
    }
}

/// What a race has to know of the targets.
impl World for Field<'_> {
    fn effect(&mut self) -> Effect {
        self.course.effect()
    }

    fn readiness(&mut self, place: usize, now: Instant) -> Readiness {
        let view = view(self.target(place), now);
        match view.state {
            State::Out(_) | State::Probing => Readiness::Ejected,
            _ if view.is_usable() => Readiness::Ready,
            _ => Readiness::Paused(view.back(now)),
        }
    }

    fn quantile(&mut self, place: usize, share: f64, now: Instant) -> Option<Duration> {
        let span = self.course.ask.span;
        self.target(place).standing.bound(now, span, share)
    }

    fn pay_retry(&mut self, failed: usize, now: Instant) -> bool {
        let traffic = &self.target(failed).callee.traffic;
        traffic.budgets.retry.withdraw(now)
    }

    fn pay_hedge(&mut self, late: usize, other: usize, now: Instant) -> Result<(), Reason> {
        let (late, other) = (self.target(late), self.target(other));
        let view = late.standing.view(now);
        let there = other.standing.view(now);
        let signs = Signs {
            share_late: view.late.unwrap_or_default(),
            share_failed: view.failing.max(there.failing),
            is_near_limit: there.is_scarce() || other.callee.traffic.admission.is_near(),
        };
        if let Some(reason) = signs.objection(self.course.hedging.when) {
            return Err(reason);
        }
        let is_paid = late.callee.traffic.budgets.hedge.withdraw();
        is_paid.then_some(()).ok_or(Reason::NoBudget)
    }

    fn late(&mut self, _: usize, now: Instant) {
        let running = self.tries.iter_mut().flatten();
        for pending in running.filter_map(|attempt| attempt.pending.as_mut()) {
            pending.late(now);
        }
    }

    fn withheld(&mut self, place: usize, what: Withheld) {
        let counts = &self.target(place).callee.traffic.counts;
        match what {
            Withheld::Hedge(_) => counts.unhedged(what.word()),
            Withheld::Budget | Withheld::Pause => counts.withheld(what.word()),
        }
    }
}

/// What leads to an attempt beside one that has not failed, in metrics.
pub(super) const SILENT: &str = "silent";

/// An attempt that failed, and what is told of it should it be the last word.
struct Lost {
    number: usize,
    place: usize,
    kind: FailureKind,
    told: Option<Told>,
    books: Option<Box<Attempt>>,
}

impl Lost {
    fn tell(&mut self, books: &mut Attempt) -> Option<Result<Box<Asked>, Error>> {
        if let Some(theirs) = self.books.take() {
            books.take(theirs);
        }
        Some(match self.told.take()? {
            Told::Said(asked) => Ok(asked),
            Told::Ours(error) => Err(error),
        })
    }
}

impl<'a> Try<'a> {
    /// Goes upstream, if it may at once; else waits for its turn.
    fn enter(
        &mut self,
        course: &'a Course,
        limits: &'a Limits,
        entry: admission::Ask,
        turn: Option<Turn>,
        now: Instant,
    ) {
        let admission = &self.candidate.target.callee.traffic.admission;
        let permit = match turn {
            None => admission.try_enter(now, &entry),
            Some(_) => None,
        };
        if let Some(permit) = permit {
            return self.ask(course, limits, permit, now);
        }
        let entering = async move {
            if let Some(turn) = turn {
                sleep_until(turn.at()).await;
            }
            admission.enter(Instant::now(), &entry).await
        };
        self.work = Work::Entering(now, Box::pin(entering));
    }

    /// It is its turn: it goes upstream.
    fn ask(&mut self, course: &'a Course, limits: &'a Limits, permit: Permit, now: Instant) {
        let (span, tokens) = (course.ask.span, course.tokens());
        let standing = &self.candidate.target.standing;
        let pending = standing.try_begin(now, span, tokens);
        self.pending = Some(pending.unwrap_or_else(|| standing.begin(now, span, tokens)));
        let crossing = self.crossing.clone();
        let asking = Box::pin(course.ask(self.candidate, crossing, limits, now));
        self.work = Work::Asking(permit, asking);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        course: &'a Course,
        limits: &'a Limits,
    ) -> Poll<Event> {
        match &mut self.work {
            Work::Over => Poll::Pending,
            Work::Unsaid(error) => {
                let unsaid = Unanswered {
                    kind: FailureKind::Unsaid,
                    error: error.clone(),
                };
                self.work = Work::Over;
                Poll::Ready(Event::Failed(self.number, unsaid.into(), None))
            }
            Work::Entering(since, entering) => {
                let entered = ready!(entering.as_mut().poll(cx));
                let now = Instant::now();
                let waited = now - *since;
                let counts = &self.candidate.target.callee.traffic.counts;
                counts.wait.observe(waited.as_secs_f64());
                self.queued = Some(waited);
                Poll::Ready(match entered {
                    Ok(permit) => {
                        self.ask(course, limits, permit, now);
                        Event::Sent(self.number)
                    }
                    Err(turned) => {
                        self.work = Work::Over;
                        let turned = turned_away(&self.candidate.target.callee, &turned);
                        let mut books = Box::<Attempt>::default();
                        books.timing.queue = self.queued;
                        Event::Failed(self.number, turned.into(), Some(books))
                    }
                })
            }
            Work::Asking(_, asking) => {
                let (outcome, mut books) = ready!(asking.as_mut().poll(cx));
                if let Some(queued) = self.queued {
                    *books.timing.queue.get_or_insert_default() += queued;
                }
                Poll::Ready(match outcome {
                    Ok(asked) => Event::Answered(self.number, asked, books),
                    Err(broken) => Event::Failed(self.number, broken, Some(books)),
                })
            }
        }
    }

    /// What it holds as long as its answer is on its way. A stream that was not
    /// read up to its `content` has yet to show how quick its target is.
    fn charge(&mut self, now: Instant, content: Option<Instant>) -> Option<Charge> {
        let Work::Asking(permit, _) = std::mem::replace(&mut self.work, Work::Over) else {
            return None;
        };
        let mut charge = Charge {
            pending: Some(self.pending.take()?),
            permit,
        };
        if content.is_some() {
            charge.first_content(now);
        }
        Some(charge)
    }

    /// Tells the target's standing of a failure of its.
    fn blame(&mut self, failure: &Failure, now: Instant) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let end = match failure.kind {
            FailureKind::Status(429) | FailureKind::Exhausted => End::Limited {
                pause: failure.pause,
            },
            FailureKind::Status(408 | 500..)
            | FailureKind::Connect
            | FailureKind::Reset
            | FailureKind::FirstToken
            | FailureKind::Broken
            | FailureKind::Protocol => End::Failed,
            FailureKind::Status(_) | FailureKind::ContextLength | FailureKind::ContentPolicy => {
                End::Refused
            }
            FailureKind::Busy | FailureKind::Deadline | FailureKind::Unsaid => End::Cut,
        };
        if pending.end(now, end) {
            self.candidate.target.callee.traffic.counts.ejections.inc();
        }
        let Work::Asking(permit, _) = &mut self.work else {
            return;
        };
        permit.report(
            now,
            match (failure.kind, failure.pause) {
                (FailureKind::Status(429 | 529), again)
                | (FailureKind::Status(503), again @ Some(_)) => Outcome::Overloaded { again },
                _ => Outcome::Failed,
            },
        );
    }

    /// Counts how a hedge ended, once.
    fn hedged(&mut self, how: Hedged) {
        if self.why == Why::Hedge {
            self.why = Why::First;
            self.candidate.target.callee.traffic.counts.hedged(how);
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        self.hedged(Hedged::Left);
    }
}
