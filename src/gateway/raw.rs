//! Anything else a provider serves: any path, method, body and type, passed
//! through over the same connections, with the same key and timing.
//!
//! Nothing is held: bodies stream both ways, so neither `max_body` nor the
//! total timeout applies.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body as _;
use tokio::time::Instant;

use super::asked::{Asked, Charge};
use super::attempt::{Limits, Span, Unanswered};
use super::course::turned_away;
use super::headers::{self, Passage};
use super::incoming::Incoming;
use super::intake::{self, Within};
use super::ledger::Ledger;
use super::plan::Callee;
use super::relay::Form;
use super::reply::{Answered, Body};
use super::upload::Upload;
use super::{Caller, Gateway};
use crate::error::Error;
use crate::http1::Name;
use crate::upstream::admission::{Ask, Permit, Priority};
use crate::upstream::limit::Outcome;
use crate::upstream::{self, Request};

/// Bodies up to this size are held, so that they can be sent again on a fresh
/// connection.
const HELD_MAX: u64 = 64 << 10;

/// Passes a request through to `provider`.
pub(super) async fn answer(
    gateway: &Gateway,
    caller: &Caller,
    provider: &str,
    rest: &str,
    mut body: Incoming,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let allowed = caller.tenant.may_use_all_of(provider);
    let callee = gateway.callee(provider)?;
    allowed?;
    ledger.callee = Some(Arc::clone(callee));
    let timeouts = gateway.routes.timeouts();
    let mut span = Span::Raw;
    let body = match body.size_hint().exact() {
        Some(0) => upstream::Body::Empty,
        Some(size) if size <= HELD_MAX => {
            let within = Within {
                started: ledger.started,
                total: caller.patience.total.unwrap_or(timeouts.total),
            };
            let bytes: Bytes = intake::read(&mut body, HELD_MAX, within).await?;
            ledger.bytes_in = bytes.len() as u64;
            bytes.into()
        }
        _ => {
            span = Span::Upload;
            let taken = Arc::clone(ledger.uploaded.insert(Arc::default()));
            upstream::Body::stream(Upload::new(body, taken))
        }
    };
    let limits = Limits::new(ledger.started, timeouts, caller.patience, span);
    let id = Arc::clone(&ledger.request_id);
    let request = Request {
        method: ledger.method().clone(),
        target: callee.raw_path(rest, caller.query.as_deref())?,
        fields: headers::outgoing(caller, callee, Passage::Raw, &gateway.instance, &id),
        body,
    };

    ledger.planned(Instant::now());
    let priority = caller.manner.priority;
    let asking = once(gateway, callee, request, limits, priority, ledger);
    let mut asked = asking.await.map_err(|unanswered| unanswered.error)?;
    let status = asked.status;
    let is_event_stream = asked.is_event_stream();
    let mut fields = std::mem::take(&mut asked.fields);
    if is_event_stream {
        ledger.streamed = true;
        fields.remove(Name::ContentLength);
        fields.set(Name::XAccelBuffering, "no");
    }
    let relay = asked.relay(Form::Raw, caller.takes_trailers);
    headers::announce_trailer(&mut fields, caller, false);
    Ok(Answered {
        status,
        fields,
        body: Body::Relay(Box::new(relay)),
    })
}

/// Makes the call once: what it does is not known, so it is neither repeated nor
/// hedged.
async fn once(
    gateway: &Gateway,
    callee: &Arc<Callee>,
    request: Request,
    limits: Limits,
    priority: Priority,
    ledger: &mut Ledger,
) -> Result<Box<Asked>, Unanswered> {
    let entry = Ask {
        priority,
        by: limits.deadline(),
        ..Ask::default()
    };
    let mut permit = enter(callee, &entry, ledger).await?;
    let queued = ledger.attempt.timing.queue.take();
    let id = Arc::clone(&ledger.request_id);
    let (now, attempt) = (Instant::now(), &mut ledger.attempt);
    let asking = gateway.ask(callee, request, limits, &id, now, attempt);
    let answer = asking.await;
    if let Some(queued) = queued {
        *ledger.attempt.timing.queue.get_or_insert_default() += queued;
    }
    let answer = answer?;
    permit.report(
        Instant::now(),
        match answer.status.as_u16() {
            429 | 529 => Outcome::Overloaded { again: None },
            503 if answer.fields.get(Name::RetryAfter).is_some() => {
                Outcome::Overloaded { again: None }
            }
            _ => Outcome::Answered,
        },
    );
    let charge = Charge {
        pending: None,
        permit,
    };
    Ok(answer.charged(Some(charge), Instant::now()))
}

/// Waits for its turn at the limit, if it has to.
async fn enter(callee: &Callee, entry: &Ask, ledger: &mut Ledger) -> Result<Permit, Unanswered> {
    let (now, traffic) = (Instant::now(), &callee.traffic);
    if let Some(permit) = traffic.admission.try_enter(now, entry) {
        return Ok(permit);
    }
    let entered = traffic.admission.enter(now, entry).await;
    let waited = now.elapsed();
    traffic.counts.wait.observe(waited.as_secs_f64());
    ledger.attempt.waited += waited;
    ledger.attempt.timing.queue = Some(waited);
    entered.map_err(|turned| turned_away(callee, &turned))
}
