//! One question and its answer: what was kept, what is on its way, or a flight
//! begun for it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::super::account::Account;
use super::super::asked::{Asked, Source};
use super::super::embed::Inputs;
use super::super::flight::{Cargo, Errand, Failure, Head, Keys, Replay, told};
use super::super::ledger::{Ledger, Shared};
use super::super::not_cached;
use super::super::terms::Terms;
use crate::cache::flights::Joined;
use crate::cache::recording::Broken;
use crate::cache::stored::{Form, Hit, Wanted};
use crate::dialect::{fold, unfold};
use crate::error::{Error, Kind};
use crate::http1::Name;

use super::Call;

/// A call that may share an answer.
pub(super) struct Question {
    pub(super) call: Call,
    pub(super) terms: Terms,
}

/// The largest recording that is held for a caller who wants it whole, or in
/// another form than it came in.
const WHOLE_MAX: usize = 8 << 20;

/// What reading a recording has come to before the caller was told anything.
enum Began {
    /// The answer.
    Answer(Box<Asked>),
    /// A refusal that another try may not bring.
    Refused(Box<Asked>),
    /// It can't be had in the form wanted.
    Unfit,
}

impl Question {
    /// Begins to answer it.
    pub(super) async fn answer(&self, ledger: &mut Ledger) -> Result<Box<Asked>, Error> {
        ledger.key = Some(self.terms.keys.own);
        let wanted = self.wanted();
        let mut hit = self.look_up(wanted);
        if hit.is_none() {
            hit = self.look_further(wanted, ledger).await;
        }
        ledger.looked_up();
        if let Some(hit) = hit
            && let Some(asked) = self.kept(&hit, ledger)
        {
            if !hit.is_fresh() && !self.call.directives.only_if_cached {
                self.refresh(Cargo::Call, ledger);
            }
            return Ok(asked);
        }
        if self.call.directives.only_if_cached {
            return Err(not_cached());
        }
        self.fly(Cargo::Call, wanted, ledger).await
    }

    /// Begins to answer a call for embeddings of these inputs.
    pub(super) async fn embed(
        &self,
        mut inputs: Inputs,
        ledger: &mut Ledger,
    ) -> Result<Box<Asked>, Error> {
        ledger.key = inputs.key();
        let wanted = self.wanted();
        if let Some(wanted) = &wanted
            && let Some((head, found)) = inputs.look_up(self.call.gateway(), wanted)
        {
            ledger.looked_up();
            let asked = self.found(head, found, ledger);
            if ledger.shared.is_stale() && !self.call.directives.only_if_cached {
                inputs.forget_stale();
                self.refresh(Cargo::Inputs(Box::new(inputs)), ledger);
            }
            return Ok(asked);
        }
        if self.call.directives.only_if_cached {
            let asked = Instant::now();
            let found = match &wanted {
                Some(wanted) => inputs.look_further(self.call.gateway(), wanted).await,
                None => None,
            };
            ledger.attempt.waited += asked.elapsed();
            ledger.looked_up();
            let (head, body) = found.ok_or_else(not_cached)?;
            return Ok(self.found(head, body, ledger));
        }
        ledger.looked_up();
        self.fly(Cargo::Inputs(Box::new(inputs)), wanted, ledger)
            .await
    }

    /// A kept answer.
    fn found(&self, head: Head, body: Bytes, ledger: &mut Ledger) -> Box<Asked> {
        if let Some(kept) = head.kept {
            ledger.shared = Shared::Kept(kept);
            self.call.aim_at(&head, ledger);
        }
        ledger.attempt.dropped.extend(&head.attempt.dropped);
        self.call.asked(&head, Source::Kept(body), Instant::now())
    }

    /// Which kept answers will do; none where upstream must be asked.
    fn wanted(&self) -> Option<Wanted> {
        (!self.call.directives.no_cache).then(|| Wanted {
            max_age: self.call.directives.max_age,
            stale: self.call.directives.stale.unwrap_or_default(),
        })
    }

    fn look_up(&self, wanted: Option<Wanted>) -> Option<Hit> {
        let wanted = wanted?;
        let cache = &self.call.gateway().cache;
        cache.get(&self.terms.keys.counted, &wanted).or_else(|| {
            let other = self.terms.keys.own != self.terms.keys.counted;
            other.then(|| cache.get(&self.terms.keys.own, &wanted))?
        })
    }

    /// Looks beyond this process, unless what would be found there is being
    /// asked for already.
    async fn look_further(&self, wanted: Option<Wanted>, ledger: &mut Ledger) -> Option<Hit> {
        let (wanted, cache) = (wanted?, &self.call.gateway().cache);
        if !cache.has_remote() || (self.is_flying() && !self.call.directives.only_if_cached) {
            return None;
        }
        let asked = Instant::now();
        let Terms { keys, label } = &self.terms;
        let hit = keys.get_remote(cache, label, &wanted).await;
        ledger.attempt.waited += asked.elapsed();
        hit
    }

    /// Whether somebody has asked the same and is being answered.
    fn is_flying(&self) -> bool {
        let flights = &self.call.gateway().instance.flights;
        let Keys { counted, own } = &self.terms.keys;
        flights.has(counted) || flights.has(own)
    }

    /// Reads one flight and, where that failed short of the provider's last
    /// word, one more.
    async fn fly(
        &self,
        cargo: Cargo,
        wanted: Option<Wanted>,
        ledger: &mut Ledger,
    ) -> Result<Box<Asked>, Error> {
        let (replay, cargo) = match self.join(cargo, wanted, ledger) {
            (replay, None) => return self.lead(replay, ledger).await,
            (replay, Some(cargo)) => (replay, cargo),
        };
        match self.read(replay, ledger).await {
            Ok(Began::Answer(asked)) => return Ok(asked),
            Ok(Began::Unfit) => return self.call.alone(ledger).await,
            Err(error) if self.call.limits.is_over() || self.call.is_ending() => return Err(error),
            Ok(Began::Refused(_)) | Err(_) => {}
        }
        let replay = match self.join(cargo, wanted, ledger) {
            (replay, None) => return self.lead(replay, ledger).await,
            (replay, Some(_)) => replay,
        };
        match self.read(replay, ledger).await? {
            Began::Answer(asked) | Began::Refused(asked) => Ok(asked),
            Began::Unfit => self.call.alone(ledger).await,
        }
    }

    /// Joins the flight of this call, or starts it. What was to be
    /// asked comes back where somebody else has asked it.
    fn join(
        &self,
        cargo: Cargo,
        wanted: Option<Wanted>,
        ledger: &mut Ledger,
    ) -> (Replay, Option<Cargo>) {
        let flights = &self.call.gateway().instance.flights;
        let joined = match wanted {
            // Its answer must not be older than the question.
            None => flights.lead(self.terms.keys.own),
            Some(_) => match flights.follow(&self.terms.keys.counted) {
                Some(replay) => Joined::Follow(replay),
                None => flights.join(self.terms.keys.own),
            },
        };
        match joined {
            Joined::Follow(replay) => {
                ledger.shared = Shared::Joined;
                (replay, Some(cargo))
            }
            Joined::Lead(flight, replay) => {
                let account = Account::of(ledger, flight.audience());
                ledger.account = Some(Arc::clone(&account));
                tokio::spawn(self.errand(cargo, wanted, account).run(flight));
                (replay, None)
            }
        }
    }

    fn errand(&self, cargo: Cargo, wanted: Option<Wanted>, account: Arc<Account>) -> Errand {
        Errand {
            account,
            course: Arc::clone(&self.call.course),
            cargo,
            limits: self.call.limits.of_flight(),
            keys: self.terms.keys,
            label: Arc::clone(&self.terms.label),
            wants: self.call.wants,
            wanted,
        }
    }

    /// The answer of the caller whose request is on its way: whatever it is, it
    /// is this caller's.
    async fn lead(&self, replay: Replay, ledger: &mut Ledger) -> Result<Box<Asked>, Error> {
        ledger.shared = Shared::Asked {
            on_purpose: self.call.directives.no_cache,
            keeps: false,
        };
        match self.read(replay, ledger).await? {
            Began::Answer(asked) | Began::Refused(asked) => Ok(asked),
            // A kept answer that another replica brought.
            Began::Unfit => Err(Error::new(
                Kind::UpstreamProtocol,
                "the kept answer can't be had in this form: send the call again with `Cache-Control: no-cache`",
            )),
        }
    }

    /// Asks again for an answer that is stale, behind whoever gets the old
    /// one. At most one is on its way: where there is one already, nothing is
    /// done.
    fn refresh(&self, cargo: Cargo, ledger: &Ledger) {
        let flights = &self.call.gateway().instance.flights;
        if let Joined::Lead(flight, mut replay) = flights.join(self.terms.keys.own) {
            let account = Account::of_refresh(ledger, flight.audience());
            let errand = self.errand(cargo, None, account);
            tokio::spawn(async move {
                let reading = async { while let Ok(Some(_)) = replay.next().await {} };
                tokio::join!(errand.run(flight), reading);
            });
        }
    }

    /// Reads a recording until there is something for the caller: the first
    /// bytes of a stream, the whole of anything else.
    async fn read(&self, replay: Replay, ledger: &mut Ledger) -> Result<Began, Error> {
        let asked = Instant::now();
        let began = self.begin(replay, asked, ledger).await;
        ledger.attempt.waited += asked.elapsed();
        began
    }

    async fn begin(
        &self,
        mut replay: Replay,
        asked: Instant,
        ledger: &mut Ledger,
    ) -> Result<Began, Error> {
        let head = self.call.bounded(replay.head()).await?;
        let mut head = head.map_err(|broken| failed(broken, ledger))?;
        if matches!(ledger.shared, Shared::Joined) && head.kept.is_none() {
            head = Arc::new(head.for_others());
            ledger.attempt.race.answered_by = head.attempt.race.answered_by.clone();
        }
        let (mut sent, mut form) = (asked, self.call.wants.form);
        if let Some(kept) = head.kept {
            ledger.shared = Shared::Kept(kept);
            self.call.aim_at(&head, ledger);
        } else if let Shared::Asked { keeps, .. } = &mut ledger.shared {
            *keeps = head.keeps;
            ledger.attempt.follow(&head.attempt);
            sent = head.sent;
            // Who asked gets what came, in whatever form.
            form = head.form;
        }
        if head.is_joined {
            ledger.shared = Shared::Joined;
        }
        ledger.attempt.dropped.extend(&head.attempt.dropped);
        if head.status.is_success() && head.form == Form::Stream && form == Form::Stream {
            let first = self.first(&mut replay, ledger).await?;
            let body = Source::Replay(first, replay);
            return Ok(Began::Answer(self.call.asked(&head, body, sent)));
        }
        let (body, rest) = self.whole(replay, ledger).await?;
        Ok(match rest {
            _ if !head.status.is_success() => {
                let asked = self.call.asked(&head, Source::Kept(body), sent);
                match head.is_final() {
                    true => Began::Answer(asked),
                    false => Began::Refused(asked),
                }
            }
            Some(rest) if head.form == form => {
                Began::Answer(self.call.asked(&head, Source::Replay(body, rest), sent))
            }
            Some(_) => Began::Unfit,
            None => match self.formed(&head, form, body) {
                Some((head, body)) => {
                    Began::Answer(self.call.asked(&head, Source::Kept(body), sent))
                }
                None => Began::Unfit,
            },
        })
    }

    /// The first bytes of a stream. None of them where its caller would be kept
    /// without a head for too long.
    async fn first(&self, replay: &mut Replay, ledger: &mut Ledger) -> Result<Bytes, Error> {
        let first = self.call.bounded(replay.next());
        let first = match self.call.limits.head_patience() {
            None => first.await,
            Some(until) => match timeout_at(until, first).await {
                Ok(first) => first,
                Err(_) => return Ok(Bytes::new()),
            },
        };
        let first = first?.map_err(|broken| failed(broken, ledger))?;
        Ok(first.unwrap_or_default())
    }

    /// All of a recording; or its beginning, and the recording, where it is too
    /// large to be held.
    async fn whole(
        &self,
        mut replay: Replay,
        ledger: &mut Ledger,
    ) -> Result<(Bytes, Option<Replay>), Error> {
        let mut body = Bytes::new();
        let mut joined = BytesMut::new();
        loop {
            let next = self.call.bounded(replay.next()).await?;
            let Some(piece) = next.map_err(|broken| failed(broken, ledger))? else {
                break;
            };
            // One piece, the usual case, is not copied.
            if body.is_empty() && joined.is_empty() {
                body = piece;
                continue;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&std::mem::take(&mut body));
            }
            joined.extend_from_slice(&piece);
            if joined.len() > WHOLE_MAX {
                return Ok((joined.freeze(), Some(replay)));
            }
        }
        if !joined.is_empty() {
            body = joined.freeze();
        }
        Ok((body, None))
    }

    /// The same answer in that form; `None` where it has no such form.
    fn formed(&self, head: &Arc<Head>, form: Form, body: Bytes) -> Option<(Arc<Head>, Bytes)> {
        let (body, content_type) = match (head.form, form) {
            (Form::Stream, Form::Whole) => (fold(head.format, &body)?, "application/json"),
            (Form::Whole, Form::Stream) => (
                unfold(head.format, &body, self.call.wants.usage)?,
                "text/event-stream; charset=utf-8",
            ),
            _ => return Some((Arc::clone(head), body)),
        };
        let mut fields = head.fields.clone();
        fields.remove(Name::ContentLength);
        fields.set(Name::ContentType, content_type);
        let head = Arc::new(Head {
            fields,
            ..Head::clone(head)
        });
        Some((head, body))
    }

    /// What was kept, as an answer; `None` where it can't be had in the form
    /// wanted.
    fn kept(&self, hit: &Hit, ledger: &mut Ledger) -> Option<Box<Asked>> {
        let head = Arc::new(Head::kept(hit));
        let (head, body) = self.formed(&head, self.call.wants.form, hit.stored.body().clone())?;
        Some(self.found(Head::clone(&head), body, ledger))
    }
}

/// What its caller is told of a flight that broke off, which is booked as the
/// call of whoever asked for it.
fn failed(broken: Broken<Failure>, ledger: &mut Ledger) -> Error {
    if let (Broken::Failed(failure), Shared::Asked { .. }) = (&broken, ledger.shared) {
        ledger.attempt.follow(&failure.attempt);
    }
    told(broken)
}
