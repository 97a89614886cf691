//! The plain endpoint: a prompt in, its answer out, whoever answers.
//!
//! What people have in front of a model today is an endpoint like this one;
//! their clients must not notice the difference. A field may come in the query
//! or in a JSON body, the body winning.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::attempt::{Limits, Span};
use super::course::Course;
use super::draft::Words;
use super::encoding::Coding;
use super::endpoint::{Flavour, percent_decode};
use super::headers;
use super::intake::Patience;
use super::ledger::Ledger;
use super::plain::{Names, Plain, Refused, Shape, Told, undecodable};
use super::plan::Target;
use super::relay::Form;
use super::reply::{Answered, Body};
use super::share::{Call, Wants};
use super::terms::Asking;
use super::{Asked, Caller, Gateway};
use crate::cache::Form as Kept;
use crate::dialect::Format;
use crate::dialect::generate::{Prompt, Refusal, Style, decode, encode, refusal};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};

/// What a caller of the plain endpoint asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ask {
    prompt: String,
    model: Option<String>,
    system: Option<String>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    stop: Vec<String>,
    seed: Option<i64>,
    timeout: Option<Duration>,
    stream: bool,
    /// Fields that are not of this endpoint; named in `x-nowait-dropped`.
    unknown: Vec<String>,
}

/// The fields of an ask and how each is read. Fields of a batch's own are
/// passed over.
const BATCH_FIELDS: [&str; 2] = ["prompts", "concurrency"];

impl Ask {
    /// Reads an ask from `fields`; `at` is the path they lie under, for
    /// messages.
    pub(super) fn read(fields: &Map<String, Value>, at: &str) -> Result<Self, Error> {
        let mut ask = Self::default();
        let mut has_prompt = false;
        for (name, value) in fields {
            let path = || format!("{at}{name}");
            if value.is_null() && name != "prompt" {
                continue;
            }
            match name.as_str() {
                "prompt" => {
                    ask.prompt = text(value, path)?;
                    has_prompt = true;
                }
                "model" => ask.model = Some(text(value, path)?).filter(|model| !model.is_empty()),
                "system" => ask.system = Some(text(value, path)?),
                "max_tokens" => ask.max_tokens = Some(positive(value, path)?),
                "temperature" => ask.temperature = Some(number(value, path)?),
                "stop" => ask.stop = texts(value, path)?,
                "seed" => ask.seed = Some(integer(value, path)?),
                "timeout" => ask.timeout = Some(duration(value, path)?),
                "stream" => ask.stream = flag(value, path)?,
                other if BATCH_FIELDS.contains(&other) => {}
                _ => ask.unknown.push(path()),
            }
        }
        if !has_prompt {
            return Err(missing(&format!("{at}prompt")));
        }
        Ok(ask)
    }

    /// Bytes of what is said.
    pub(super) fn size(&self) -> u64 {
        let system = self.system.as_deref().unwrap_or_default();
        (self.prompt.len() + system.len()) as u64
    }

    /// The fields that are not of this endpoint, for whoever names them in
    /// this ask's stead.
    pub(super) fn take_unknown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unknown)
    }

    /// Fills in what an endpoint assumes where its caller says nothing.
    fn with_defaults(mut self, flavour: Flavour, gateway: &Gateway) -> Self {
        let generate = &gateway.config.generate;
        match flavour {
            Flavour::Any => self.model = self.model.or_else(|| generate.model.clone()),
            Flavour::Claude => {
                self.model
                    .get_or_insert_with(|| generate.claude_model.clone());
                self.max_tokens.get_or_insert(512);
                self.system
                    .get_or_insert_with(|| "You are a helpful assistant.".to_owned());
            }
        }
        self
    }
}

/// The fields of a request: those of the query, then those of the body.
pub(super) fn fields(query: Option<&str>, body: &[u8]) -> Result<Map<String, Value>, Error> {
    let mut fields = Map::new();
    for (name, value) in url_pairs(query.unwrap_or_default()) {
        fields.insert(name, Value::String(value));
    }
    if body.trim_ascii().is_empty() {
        return Ok(fields);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => {
            fields.extend(body);
            Ok(fields)
        }
        Ok(_) => Err(Error::invalid(
            "the body is not a JSON object: send {\"prompt\": \"…\"}",
        )),
        Err(fault) => Err(Error::invalid(format!("the body is not JSON: {fault}")).because(fault)),
    }
}

/// `name=value` pairs of a query, decoded.
fn url_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
}

fn wrong(path: &str, wanted: &str) -> Error {
    Error::invalid(format!("{path} is not {wanted}")).param(path)
}

fn missing(path: &str) -> Error {
    Error::invalid(format!(
        "{path} is missing: send it as `?prompt=…` or in a JSON body"
    ))
    .param(path)
}

fn text(value: &Value, path: impl Fn() -> String) -> Result<String, Error> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| wrong(&path(), "a string"))
}

fn texts(value: &Value, path: impl Fn() -> String) -> Result<Vec<String>, Error> {
    match value {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(many) => many
            .iter()
            .enumerate()
            .map(|(index, value)| text(value, || format!("{}[{index}]", path())))
            .collect(),
        _ => Err(wrong(&path(), "a string or a list of strings")),
    }
}

/// Numbers and flags may come as text: a query has nothing else.
fn number(value: &Value, path: impl Fn() -> String) -> Result<f64, Error> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| wrong(&path(), "a number"))
}

fn integer(value: &Value, path: impl Fn() -> String) -> Result<i64, Error> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .ok_or_else(|| wrong(&path(), "a whole number"))
}

fn positive(value: &Value, path: impl Fn() -> String) -> Result<u64, Error> {
    integer(value, &path)
        .ok()
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| wrong(&path(), "a whole number above zero"))
}

fn flag(value: &Value, path: impl Fn() -> String) -> Result<bool, Error> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" || text == "1" => Ok(true),
        Value::String(text) if text == "false" || text == "0" => Ok(false),
        _ => Err(wrong(&path(), "true or false")),
    }
}

fn duration(value: &Value, path: impl Fn() -> String) -> Result<Duration, Error> {
    let found = match value {
        Value::Number(seconds) => seconds
            .as_f64()
            .and_then(|s| Duration::try_from_secs_f64(s).ok()),
        Value::String(text) => crate::config::units::duration(text)
            .ok()
            .or_else(|| Duration::try_from_secs_f64(text.parse().ok()?).ok()),
        _ => None,
    };
    found
        .filter(|wait| !wait.is_zero())
        .ok_or_else(|| wrong(&path(), "a duration such as \"10s\", or seconds"))
}

/// The shape a caller wants, by its `Accept` and the ask's `stream`.
pub(super) fn shape(fields: &Fields, ask: &Ask) -> Shape {
    let accepts = |wanted: &str| {
        fields.list(Name::Accept).any(|part| {
            let kind = part.split(|byte| *byte == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
        })
    };
    if accepts("text/plain") {
        Shape::Text
    } else if ask.stream || accepts("text/event-stream") {
        Shape::Events
    } else {
        Shape::Whole
    }
}

/// Answers an ask.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    caller: &Arc<Caller>,
    ask: Ask,
    flavour: Flavour,
    shape: Shape,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let mut ask = ask.with_defaults(flavour, gateway);
    let Some(name) = ask.model.as_deref() else {
        return Err(Error::invalid(
            "model is missing, and no provider here has a usual one: set [generate] model",
        )
        .param("model"));
    };
    let plan = gateway.routes.plan(name)?;
    let candidates = plan.plain_candidates()?;
    let candidates = candidates.allowed(&caller.tenant, name)?;
    let lead = candidates.lead().clone();
    ledger.aim(&lead.target);
    ledger.streamed = shape != Shape::Whole;

    let patience = Patience {
        total: ask.timeout.or(caller.patience.total),
        ..caller.patience
    };
    let span = if ledger.streamed {
        Span::Stream
    } else {
        Span::Whole
    };
    let mut limits = Limits::new(ledger.started, plan.timeouts, patience, span);
    if ask.timeout.is_some() {
        limits = limits.set_in("the caller's field `timeout`");
    }
    let wants = Wants {
        form: match ledger.streamed {
            true => Kept::Stream,
            false => Kept::Whole,
        },
        usage: true,
    };
    let (body, mut dropped) = body_of(&ask, &lead.target, lead.format, ledger.streamed);
    let asking = Asking {
        format: lead.format,
        candidates: &candidates,
        query: None,
        body: &body,
        may_be_cold: true,
        share: plan.share.unwrap_or(gateway.config.generate.share),
        tells_usage: true,
    };
    let terms = asking.terms(gateway, caller);
    let unknown = ask.take_unknown();
    let ask = Arc::new(ask);
    let words = Words::Prompt {
        ask: Arc::clone(&ask),
        stream: ledger.streamed,
    };
    let course = Course::new(
        gateway,
        &plan,
        Arc::clone(&candidates),
        caller,
        words,
        ledger,
    );
    let call = Call {
        course: Arc::new(course),
        directives: caller.directives,
        wants,
        limits,
    };
    ledger.planned(Instant::now());
    let asked = call.begin(terms, None, ledger).await?;
    ledger.answered();
    let target = &ledger.target.clone().unwrap_or(lead.target);
    let format = asked.format;
    if format != lead.format {
        dropped = body_of(&ask, target, format, ledger.streamed).1;
    }
    let answered = if !asked.status.is_success() {
        refused(asked, target, ledger).await?
    } else if ledger.streamed {
        streamed(asked, caller, target, format, shape, ledger).await?
    } else {
        whole(asked, target, format, ledger).await?
    };
    for field in dropped.into_iter().chain(unknown) {
        ledger.attempt.dropped.dropped(field);
    }
    Ok(answered)
}

/// The body of the call upstream, and the fields its format has no place for.
pub(super) fn body_of(
    ask: &Ask,
    target: &Target,
    format: Format,
    streamed: bool,
) -> (Bytes, Vec<String>) {
    let prompt = Prompt {
        model: &target.model,
        prompt: &ask.prompt,
        system: ask.system.as_deref(),
        max_tokens: ask.max_tokens,
        temperature: ask.temperature,
        stop: &ask.stop,
        seed: ask.seed,
        stream: streamed,
    };
    let style = Style {
        max_tokens: target.callee.provider.quirks.limit_field(),
        include_usage: true,
    };
    let encoded = encode(format, &prompt, style);
    let dropped = encoded.dropped.into_iter().map(str::to_owned).collect();
    (encoded.body.into(), dropped)
}

async fn streamed(
    asked: Box<Asked>,
    caller: &Caller,
    target: &Target,
    format: Format,
    shape: Shape,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    if Coding::of(&asked.fields)? != Coding::Identity {
        return Err(undecodable(
            &target.callee.provider.name,
            "a compressed stream came where none was asked for",
        ));
    }
    let mut fields = headers::passed_on(&asked.fields);
    let plain = Plain::new(format, shape, names(target, ledger));
    let may_lose = asked.body.losses().is_some();
    let mut relay = asked.relay(Form::Plain(plain), caller.takes_trailers);
    let begun = relay.begin(&mut ledger.attempt).await;
    if let Some((said, status)) = relay
        .refusal()
        .filter(|_| ledger.attempt.first_content.is_none())
    {
        return problem(said, *status, &fields, target, ledger);
    }
    begun?;
    let content_type = match shape {
        Shape::Text => "text/plain; charset=utf-8",
        Shape::Events | Shape::Whole => "text/event-stream",
    };
    fields.set(Name::ContentType, content_type);
    headers::streaming(&mut fields);
    headers::announce_trailer(&mut fields, caller, may_lose);
    Ok(Answered {
        status: StatusCode::OK,
        fields,
        body: Body::Relay(Box::new(relay)),
    })
}

async fn whole(
    asked: Box<Asked>,
    target: &Target,
    format: Format,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let theirs = headers::passed_on(&asked.fields);
    let body = body(asked, target, ledger).await?;
    let answer = decode(format, &body).map_err(|fault| {
        let name = &target.callee.provider.name;
        undecodable(name, &fault.to_string())
    })?;
    ledger.attempt.usage = answer.usage;
    ledger.attempt.finish = answer.finish;
    let names = names(target, ledger);
    let told =
        serde_json::to_vec(&Told::of(Some(&answer.text), &answer, &names)).map_err(|fault| {
            Error::new(Kind::Internal, "the answer could not be written").because(fault)
        })?;
    let mut answered = Answered::whole(StatusCode::OK, "application/json", told);
    answered.fields.extend(&theirs, |_| true);
    Ok(answered)
}

/// The whole body, decompressed where it came compressed although that was
/// not asked for.
async fn body(asked: Box<Asked>, target: &Target, ledger: &mut Ledger) -> Result<Bytes, Error> {
    let coding = Coding::of(&asked.fields)?;
    let mut relay = asked.relay(Form::Raw, false);
    let body = relay.collect(WHOLE_MAX, &mut ledger.attempt).await?;
    let name = &target.callee.provider.name;
    let body = body.ok_or_else(|| undecodable(name, "it is larger than 32 MiB"))?;
    coding
        .decode(body, WHOLE_MAX)
        .map_err(|fault| undecodable(name, &fault.to_string()))
}

/// The largest answer the plain endpoint holds.
const WHOLE_MAX: usize = 32 << 20;

fn names(target: &Target, ledger: &Ledger) -> Names {
    Names {
        provider: target.callee.provider.name.clone(),
        model: target.model.clone(),
        request_id: ledger.request_id.to_string(),
        cached: ledger.shared.is_kept(),
    }
}

/// A provider's refusal, as a problem with the provider's own status.
async fn refused(
    asked: Box<Asked>,
    target: &Target,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let status = asked.status;
    let theirs = headers::passed_on(&asked.fields);
    let said = refusal(&body(asked, target, ledger).await?);
    problem(&said, status, &theirs, target, ledger)
}

/// What a provider has said in place of an answer, as a problem.
fn problem(
    said: &Refusal,
    status: StatusCode,
    theirs: &Fields,
    target: &Target,
    ledger: &Ledger,
) -> Result<Answered, Error> {
    let name = &target.callee.provider.name;
    let detail = format!("{name} refused the call: {}", said.message);
    let problem = Refused::of(said, status, detail, name, &ledger.request_id);
    let problem = serde_json::to_vec(&problem).map_err(|fault| {
        Error::new(Kind::Internal, "the refusal could not be written").because(fault)
    })?;
    let mut answered = Answered::whole(status, "application/problem+json", problem);
    answered.fields.extend(theirs, |_| true);
    Ok(answered)
}
