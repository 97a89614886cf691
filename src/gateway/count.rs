//! Tokens counted here, where no provider of the model can be asked; and what
//! marks an estimate as one.
//!
//! `/v1/messages/count_tokens` is Anthropic's. Its callers call it before the
//! call itself, whoever serves the model, and rather take an estimate that says
//! it is one than a refusal.

use http::StatusCode;

use super::ledger::Ledger;
use super::reply::Answered;
use super::{Caller, Gateway};
use crate::dialect::estimate::count_tokens;
use crate::dialect::peek::Peek;
use crate::dialect::{Finish, Format, Usage, answer};
use crate::error::Error;
use crate::http1::{Fields, Name, NameSet};

/// The header that names what of an answer is an estimate.
const ESTIMATED: &[u8] = b"x-nowait-estimated";

/// The estimate, where nobody who serves the model counts.
pub(super) fn estimated(
    gateway: &Gateway,
    caller: &Caller,
    provider: Option<&str>,
    peek: &Peek,
    body: &[u8],
    ledger: &mut Ledger,
) -> Result<Option<Answered>, Error> {
    let Some(name) = peek.model.as_ref().map(|field| field.value.as_str()) else {
        return Ok(None);
    };
    let plan = match provider {
        None => gateway.routes.plan(name)?,
        Some(provider) => gateway.routes.plan_of(gateway.callee(provider)?, name)?,
    };
    if plan.candidates(Format::CountTokens).is_ok() {
        return Ok(None);
    }
    let lead = &plan.targets[0];
    let (tenant, full) = (&caller.tenant, &lead.full_name);
    let allowed = tenant.may_use(name, name);
    allowed.or_else(|refused| tenant.may_use(full, full).map_err(|_| refused))?;
    ledger.aim(lead);
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| Error::invalid("reading the request body: it is not UTF-8"))?;
    let told = format!("{{\"input_tokens\":{}}}", count_tokens(text)?);
    let mut answered = Answered::whole(StatusCode::OK, "application/json", told.into_bytes());
    answered.fields.push_text(ESTIMATED, b"input_tokens");
    Ok(Some(answered))
}

/// Says of an answer that what it tells of its tokens is an estimate.
pub(super) fn mark(fields: &mut Fields) {
    if !is_estimated(fields) {
        fields.push_text(ESTIMATED, b"usage");
    }
}

/// Whether it says so.
pub(super) fn is_estimated(fields: &Fields) -> bool {
    let is_it = |name: &[u8]| name.eq_ignore_ascii_case(ESTIMATED);
    fields.may_have(NameSet::of(&[Name::XNowaitOther]))
        && fields.iter().any(|field| is_it(field.text))
}

/// What a whole answer took, and how it ended. Tokens are an estimate where its
/// head says so.
pub(super) fn outcome(
    format: Format,
    body: &[u8],
    is_estimated: bool,
) -> (Option<Usage>, Option<Finish>) {
    let (usage, finish) = answer::outcome(format, body);
    let usage = usage.map(|usage| Usage {
        estimated: usage.estimated || is_estimated,
        ..usage
    });
    (usage, finish)
}
