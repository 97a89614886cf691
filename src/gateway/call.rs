//! A call in a dialect: peek, splice the model's name, relay the rest untouched.
//! What a provider of another dialect is asked and answers comes here in the
//! caller's own (`crossing`).

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::attempt::{Limits, Span};
use super::count;
use super::course::Course;
use super::draft::{Given, Words};
use super::encoding::Coding;
use super::events::Events;
use super::headers;
use super::ledger::Ledger;
use super::plan::{Candidates, Plan, Way};
use super::relay::Form;
use super::reply::{Answered, Body};
use super::share::{Call, Wants};
use super::terms::Asking;
use super::{Asked, Caller, Gateway, Source};
use crate::cache::Form as Kept;
use crate::config::Share;
use crate::dialect::Format;
use crate::dialect::peek::{Peek, peek};
use crate::error::Error;
use crate::provider::StreamUsage;

/// Answers a call whose model decides who is asked, or one addressed to
/// `provider` by its path.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    caller: Caller,
    format: Format,
    provider: Option<&str>,
    body: Bytes,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let caller = Arc::new(caller);
    let peek = peek(&body)?;
    if format == Format::CountTokens
        && let Some(counted) = count::estimated(gateway, &caller, provider, &peek, &body, ledger)?
    {
        return Ok(counted);
    }
    let route = match provider {
        None => Route::by_model(gateway, &caller, format, &peek)?,
        Some(name) => Route::by_path(gateway, &caller, format, name, &peek)?,
    };
    let lead = route.candidates.lead();
    ledger.aim(&lead.target);
    ledger.streamed = peek.stream && format.streams();

    let wants = Wants {
        form: match ledger.streamed {
            true => Kept::Stream,
            false => Kept::Whole,
        },
        usage: peek.include_usage,
    };
    let given = Given {
        tells_no_usage: ledger.streamed && !peek.include_usage,
        renames: route.renames,
        peek,
        body,
    };
    let asking = Asking {
        format,
        candidates: &route.candidates,
        query: caller.query.as_deref(),
        body: &given.body,
        may_be_cold: given.peek.may_be_cold,
        share: route.share,
        tells_usage: wants.tells_usage(format) || given.is_told_usage(lead),
    };
    let terms = asking.terms(gateway, &caller);
    let inputs = match format {
        Format::Embeddings => asking.inputs(gateway, &caller, &given.to(lead), terms.is_some()),
        _ => None,
    };
    let span = if ledger.streamed {
        Span::Stream
    } else {
        Span::Whole
    };
    let tells_usage = wants.tells_usage(format);
    let words = Words::Given(given);
    let course = Course::new(
        gateway,
        &route.plan,
        route.candidates,
        &caller,
        words,
        ledger,
    );
    let call = Call {
        course: Arc::new(course),
        directives: caller.directives,
        wants,
        limits: Limits::new(ledger.started, route.plan.timeouts, caller.patience, span),
    };
    ledger.planned(Instant::now());
    let asked = call.begin(terms, inputs, ledger).await?;
    ledger.answered();
    if ledger.streamed && asked.is_event_stream() && asked.status.is_success() {
        // What the caller has not asked for was asked for in its stead, or for
        // somebody else.
        let is_extra = asked.callee.provider.stream_usage == StreamUsage::Ask
            || asked.callee.way(format) != Some(Way::AsItIs)
            || ledger.shared.is_anothers();
        let hide_usage = is_extra && !tells_usage;
        let form = match ledger.shared.as_kept() {
            Some(kept) if kept.passes(hide_usage) => Form::Raw,
            _ => Form::Events(Events::new(format, hide_usage)),
        };
        return streamed(asked, &caller, form, ledger).await;
    }
    ledger.streamed = false;
    whole(asked, format, ledger).await
}

/// Where a call goes.
struct Route {
    plan: Arc<Plan>,
    candidates: Arc<Candidates>,
    /// Which of its calls may share an answer.
    share: Share,
    /// The model goes by the name that the provider has for it.
    renames: bool,
}

impl Route {
    fn by_model(
        gateway: &Gateway,
        caller: &Caller,
        format: Format,
        peek: &Peek,
    ) -> Result<Self, Error> {
        let Some(field) = &peek.model else {
            return Err(
                Error::invalid("the field `model` is missing: name the model to call")
                    .param("model"),
            );
        };
        let plan: Arc<Plan> = gateway.routes.plan(&field.value)?;
        let candidates = plan.candidates(format)?;
        let candidates = candidates.allowed(&caller.tenant, &field.value)?;
        Ok(Self {
            candidates,
            share: plan.share.unwrap_or(gateway.config.cache.share),
            renames: true,
            plan,
        })
    }

    /// The path says who is asked, so the model is left as it is, even absent.
    fn by_path(
        gateway: &Gateway,
        caller: &Caller,
        format: Format,
        provider: &str,
        peek: &Peek,
    ) -> Result<Self, Error> {
        let callee = gateway.callee(provider)?;
        let model = peek
            .model
            .as_ref()
            .map_or("unnamed", |field| field.value.as_str());
        let plan = gateway.routes.plan_of(callee, model)?;
        let candidates = plan.candidates(format)?;
        let candidates = candidates.allowed(&caller.tenant, model)?;
        Ok(Self {
            candidates,
            share: gateway.config.cache.share,
            renames: false,
            plan,
        })
    }
}

async fn streamed(
    mut asked: Box<Asked>,
    caller: &Caller,
    form: Form,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let status = asked.status;
    let mut fields = std::mem::take(&mut asked.fields);
    // A compressed stream passes as it is: its frames can't be seen.
    let form = match Coding::of(&fields) {
        Ok(Coding::Identity) => form,
        _ => Form::Raw,
    };
    let may_lose = asked.body.losses().is_some();
    let mut relay = asked.relay(form, caller.takes_trailers);
    relay.begin(&mut ledger.attempt).await?;
    headers::streaming(&mut fields);
    headers::announce_trailer(&mut fields, caller, may_lose);
    Ok(Answered {
        status,
        fields,
        body: Body::Relay(Box::new(relay)),
    })
}

/// The largest answer held until it is whole, so that one that breaks off
/// still gets a status of its own. Larger ones (embeddings of many inputs,
/// images) are passed on as they arrive.
const WHOLE_MAX: usize = 1 << 20;

async fn whole(
    mut asked: Box<Asked>,
    format: Format,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let status = asked.status;
    let fields = std::mem::take(&mut asked.fields);
    let is_read = status == StatusCode::OK && matches!(Coding::of(&fields), Ok(Coding::Identity));
    let is_estimated = count::is_estimated(&fields);
    let attempt = &mut ledger.attempt;
    let body = if let Source::Kept(body) = asked.body {
        if !body.is_empty() {
            attempt.first_content.get_or_insert_with(Instant::now);
        }
        body
    } else {
        let mut relay = asked.relay(Form::Raw, false);
        match relay.collect(WHOLE_MAX, attempt).await? {
            Some(body) => body,
            None => {
                if is_read {
                    relay.look_at_the_end(format);
                }
                return Ok(Answered {
                    status,
                    fields,
                    body: Body::Relay(Box::new(relay)),
                });
            }
        }
    };
    if is_read {
        // Of a kept one it is known.
        if ledger.shared.as_kept().is_none() {
            (ledger.attempt.usage, ledger.attempt.finish) =
                count::outcome(format, &body, is_estimated);
        }
    }
    Ok(Answered {
        status,
        fields,
        body: Body::Whole(body),
    })
}
