//! A call in a dialect to a provider of the same: peek, splice the model's
//! name, relay the rest untouched.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::attempt::{Limits, Span};
use super::draft::Draft;
use super::encoding::Coding;
use super::events::Events;
use super::headers::{self, Passage};
use super::ledger::Ledger;
use super::plan::{Plan, Target};
use super::relay::Form;
use super::reply::{Answered, Body};
use super::share::{Call, Wants};
use super::terms::Asking;
use super::{Asked, Caller, Gateway};
use crate::cache::Form as Kept;
use crate::config::{Share, Timeouts};
use crate::dialect::peek::{self, Peek, peek};
use crate::dialect::{Format, answer};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};
use crate::provider::StreamUsage;
use crate::upstream;

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
    let route = match provider {
        None => Route::by_model(gateway, &caller, format, &peek)?,
        Some(name) => Route::by_path(gateway, &caller, format, name, &peek)?,
    };
    let target = &route.target;
    ledger.aim(target);
    ledger.streamed = peek.stream && format.streams();

    let asks_usage = ledger.streamed
        && format == Format::Chat
        && !peek.include_usage
        && target.callee.provider.stream_usage == StreamUsage::Ask;
    let wants = Wants {
        form: match ledger.streamed {
            true => Kept::Stream,
            false => Kept::Whole,
        },
        usage: peek.include_usage,
    };
    let asking = Asking {
        format,
        target,
        query: caller.query.as_deref(),
        body: &body,
        share: route.share,
        tells_usage: wants.tells_usage(format) || asks_usage,
    };
    let terms = asking.terms(gateway, &caller);
    let sent = if asks_usage {
        peek::ask_usage(&body, &peek, route.rename.then_some(&target.model)).into()
    } else {
        match &peek.model {
            Some(field) if route.rename => {
                let pieces = peek::splice(&body, field.span.clone(), &target.model);
                upstream::Body::Spliced(Box::new(pieces))
            }
            _ => body.clone().into(),
        }
    };
    let inputs = match format {
        Format::Embeddings => asking.inputs(gateway, &caller, &sent, terms.is_some()),
        _ => None,
    };
    let span = if ledger.streamed {
        Span::Stream
    } else {
        Span::Whole
    };
    let call = Call {
        gateway,
        target,
        format,
        directives: caller.directives,
        wants,
        limits: Limits::new(ledger.started, route.timeouts, caller.patience, span),
    };
    ledger.planned(Instant::now());
    let draft = Draft {
        caller: Arc::clone(&caller),
        format,
        passage: Passage::Watched,
        request_id: Arc::clone(&ledger.request_id),
    };
    let asked = call.begin(terms, inputs, draft, sent, ledger).await?;
    if ledger.streamed && asked.is_event_stream() && asked.status.is_success() {
        let hide_usage = asks_usage || (ledger.shared.is_anothers() && !wants.tells_usage(format));
        return streamed(asked, &caller, Events::new(format, hide_usage), ledger).await;
    }
    ledger.streamed = false;
    whole(asked, format, ledger).await
}

/// Where a call goes.
struct Route {
    target: Arc<Target>,
    timeouts: Timeouts,
    /// Which of its calls may share an answer.
    share: Share,
    /// The provider calls the model something else than the caller does.
    rename: bool,
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
        let target = Arc::clone(plan.target(format)?);
        caller.tenant.may_use(&field.value, &target.full_name)?;
        Ok(Self {
            rename: target.model != field.value,
            timeouts: plan.timeouts,
            share: plan.share.unwrap_or(gateway.config.cache.share),
            target,
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
        if !callee.provider.dialect.speaks(format) {
            return Err(Error::invalid(format!(
                "{provider} speaks the {} dialect and has no such endpoint",
                callee.provider.dialect.as_str()
            )));
        }
        let model = peek
            .model
            .as_ref()
            .map_or("unnamed", |field| field.value.as_str());
        let target = gateway.routes.target_of(callee, model)?;
        caller.tenant.may_use(model, &target.full_name)?;
        Ok(Self {
            rename: false,
            timeouts: gateway.routes.timeouts(),
            share: gateway.config.cache.share,
            target,
        })
    }
}

async fn streamed(
    mut asked: Asked,
    caller: &Caller,
    events: Events,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let status = asked.status;
    let mut fields = std::mem::take(&mut asked.fields);
    // A compressed stream passes as it is: its frames can't be seen.
    let form = match Coding::of(&fields) {
        Ok(Coding::Identity) => Form::Events(events),
        _ => Form::Raw,
    };
    let mut relay = asked.relay(form, caller.takes_trailers);
    relay.begin(&mut ledger.attempt).await?;
    headers::streaming(&mut fields);
    headers::announce_trailer(&mut fields, caller);
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

async fn whole(mut asked: Asked, format: Format, ledger: &mut Ledger) -> Result<Answered, Error> {
    let status = asked.status;
    let fields = std::mem::take(&mut asked.fields);
    let callee = Arc::clone(&asked.callee);
    let mut relay = asked.relay(Form::Raw, false);
    let is_read = status == StatusCode::OK && matches!(Coding::of(&fields), Ok(Coding::Identity));
    let Some(body) = relay.collect(WHOLE_MAX, &mut ledger.attempt).await? else {
        if is_read {
            relay.look_at_the_end(format);
        }
        return Ok(Answered {
            status,
            fields,
            body: Body::Relay(Box::new(relay)),
        });
    };
    if is_read {
        if !looks_like_json(&body) {
            return Err(not_json(&callee.provider.name, &fields));
        }
        (ledger.attempt.usage, ledger.attempt.finish) = answer::outcome(format, &body);
    }
    Ok(Answered {
        status,
        fields,
        body: Body::Whole(body),
    })
}

/// Every answer of these endpoints is a JSON object. A login page or a proxy's
/// own words with status 200 are nobody's answer, nor is half of one. What is
/// between the braces is the provider's word and is not read again.
fn looks_like_json(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.first() == Some(&b'{') && body.last() == Some(&b'}')
}

fn not_json(provider: &str, fields: &Fields) -> Error {
    let what = fields.text(Name::ContentType).unwrap_or("untyped");
    Error::new(
        Kind::UpstreamProtocol,
        format!(
            "{provider} answered 200 with a body ({what}) that is not a JSON object: does its base_url lead to an LLM API?"
        ),
    )
}
