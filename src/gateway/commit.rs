//! Reads an answer up to its commit point: until then the call may be made
//! again elsewhere, and nobody has been told anything.
//!
//! The head proves little. A stream's head goes out before the model has begun
//! (SSE says 200 early), and an overloaded provider may report it as the first
//! event. What makes an answer this call's is content: the first event that
//! carries some, or all of an answer in one piece. What was read by then
//! travels on with the answer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::timeout_at;

use super::asked::{Asked, Source};
use super::attempt::failure::{Failure, FailureKind};
use super::attempt::pause;
use super::attempt::{Attempt, Limits, Unanswered};
use super::crossing::{self, Crossing};
use super::encoding::Coding;
use super::events::Events;
use super::relay::{Form, Step};
use crate::dialect::{Complaint, Ending, complaint};
use crate::error::{Error, Kind};
use crate::http1::Name;
use crate::sse::{Fields, Framer};

/// An answer that came to nothing before its commit point.
pub(super) struct Broken {
    /// What went wrong.
    pub(super) kind: FailureKind,
    /// What the caller is told, if this is the last word.
    pub(super) told: Told,
}

impl Broken {
    /// What is decided by.
    pub(super) fn failure(&self) -> Failure {
        let failure = Failure::new(self.kind);
        let Told::Said(asked) = &self.told else {
            return failure;
        };
        let fields = &asked.fields;
        let header = |name: &str| {
            let mut fields = fields.iter();
            let found = fields.find(|field| field.text.eq_ignore_ascii_case(name.as_bytes()))?;
            std::str::from_utf8(found.value).ok()
        };
        Failure {
            pause: pause::asked(header, SystemTime::now()),
            is_hopeless: fields.get(Name::XShouldRetry) == Some(b"false"),
            ..failure
        }
    }
}

/// What a caller is told of an attempt that failed.
pub(super) enum Told {
    /// What the provider itself has said.
    Said(Box<Asked>),
    /// What nowait says of it.
    Ours(Error),
}

/// The largest answer in one piece that is read whole before it is passed on.
/// Larger ones (embeddings of many inputs, images) are passed on as they come.
const WHOLE_MAX: usize = 1 << 20;

/// What a stream may send before its first content: pings, roles, settings
/// echoed back. One that sends more is taken as it is.
const PREAMBLE_MAX: usize = 256 << 10;

/// The most of a refusal that is read for what it is about.
const REFUSAL_MAX: usize = 64 << 10;

/// Reads an answer, whose head has come, up to its commit point. A stream in the
/// caller's own format is not held back for it where there is no second attempt
/// it could be for (`is_last`). What is answered to a `crossing` comes out in
/// its caller's format; an error in place of its content is told by a status,
/// even on the last attempt, which is therefore held back too.
pub(super) async fn commit(
    asked: Box<Asked>,
    crossing: Option<&Crossing>,
    is_last: bool,
    attempt: &mut Attempt,
) -> Result<Box<Asked>, Broken> {
    let status = asked.status;
    if !status.is_success() {
        return Err(refused(asked, crossing, attempt).await);
    }
    let asked = match crossing {
        Some(crossing) if asked.is_event_stream() => crossing.stream(asked)?,
        Some(crossing) => {
            let asked = whole(asked, crossing::LARGEST, attempt).await?;
            return crossing.whole(json(crossing.decoded(asked)?)?, attempt);
        }
        None => asked,
    };
    // The frames of a compressed stream can't be seen.
    let is_plain = matches!(Coding::of(&asked.fields), Ok(Coding::Identity));
    match asked.is_event_stream() {
        true if is_plain && (!is_last || crossing.is_some()) => {
            stream(asked, crossing, attempt).await
        }
        true => Ok(asked),
        false => {
            let asked = whole(asked, WHOLE_MAX, attempt).await?;
            match is_plain && status == StatusCode::OK {
                true => json(asked),
                false => Ok(asked),
            }
        }
    }
}

/// Reads a stream until some of it is content.
async fn stream(
    asked: Box<Asked>,
    crossing: Option<&Crossing>,
    attempt: &mut Attempt,
) -> Result<Box<Asked>, Broken> {
    let patience = asked.limits.head_patience();
    let limits = asked.limits;
    let events = Form::Events(Events::new(asked.format, false));
    let (mut begun, mut relay) = asked.begin(events);
    let mut size = 0;
    loop {
        let step = poll_fn(|cx| relay.poll_step(cx, attempt));
        let step = match patience {
            None => step.await,
            Some(until) => match timeout_at(until, step).await {
                Ok(step) => step,
                // The caller waits for its head no longer.
                Err(_) => break,
            },
        };
        match step {
            Step::Data(bytes) => {
                size += bytes.len();
                begun.ready.push_back(bytes);
            }
            Step::End(_) => return Ok(begun.over()),
            Step::Broken(error) => return Err(broken(error, &limits)),
        }
        if relay.ending() == Some(Ending::Failed) && attempt.first_content.is_none() {
            let data = last_data(&begun.ready);
            let about = complaint(None, &data);
            let said = match crossing {
                Some(crossing) => crossing.said_instead(begun.whole(data.into()), about.status()),
                None => begun.going_on(relay),
            };
            return Err(Broken {
                kind: about.into(),
                told: Told::Said(said),
            });
        }
        if attempt.first_content.is_some() || size > PREAMBLE_MAX {
            break;
        }
    }
    Ok(begun.going_on(relay))
}

/// The data of the last event in there.
fn last_data(ready: &VecDeque<Bytes>) -> Vec<u8> {
    let mut framer = Framer::default();
    for bytes in ready {
        framer.push(bytes.clone());
    }
    let mut last = Vec::new();
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            if let Some(data) = Fields::of(frame).data {
                last = data.into_owned();
            }
        }
    }
    last
}

/// Reads an answer in one piece, or as much of it as is held.
async fn whole(
    mut asked: Box<Asked>,
    max: usize,
    attempt: &mut Attempt,
) -> Result<Box<Asked>, Broken> {
    // What came with the head is less than is held of any.
    if let Source::Upstream(body) = &mut asked.body
        && let Some(body) = body.take_whole()
    {
        if !body.is_empty() {
            attempt.first_content.get_or_insert(asked.came);
        }
        asked.body = Source::Kept(body);
        return Ok(asked);
    }
    let limits = asked.limits;
    let (begun, mut relay) = asked.begin(Form::Raw);
    match relay.collect(max, attempt).await {
        Ok(Some(body)) => Ok(begun.whole(body)),
        Ok(None) => Ok(begun.going_on(relay)),
        Err(error) => Err(broken(error, &limits)),
    }
}

/// Refuses what is nobody's answer: every answer of these endpoints is a JSON
/// object. A login page or a proxy's own words with status 200 are none, nor is
/// half of one. What is between the braces is the provider's word and is not
/// read again.
fn json(asked: Box<Asked>) -> Result<Box<Asked>, Broken> {
    let body = asked.ready().trim_ascii();
    let is_object = body.first() == Some(&b'{') && body.last() == Some(&b'}');
    if is_object || !asked.is_whole() {
        return Ok(asked);
    }
    let what = asked.fields.text(Name::ContentType).unwrap_or("untyped");
    let name = &asked.callee.provider.name;
    let error = Error::new(
        Kind::UpstreamProtocol,
        format!(
            "{name} answered 200 with a body ({what}) that is not a JSON object: does its base_url lead to an LLM API?"
        ),
    );
    Err(Broken {
        kind: FailureKind::Protocol,
        told: Told::Ours(error),
    })
}

/// Reads what a refusal is about, as far as its status leaves that open.
async fn refused(asked: Box<Asked>, crossing: Option<&Crossing>, attempt: &mut Attempt) -> Broken {
    let status = asked.status.as_u16();
    let is_open = matches!(status, 400 | 402 | 403 | 413 | 422 | 429);
    let is_plain = matches!(Coding::of(&asked.fields), Ok(Coding::Identity));
    let is_read = is_open && is_plain;
    if !is_read && crossing.is_none() {
        return Broken {
            kind: FailureKind::Status(status),
            told: Told::Said(asked),
        };
    }
    let said = match whole(asked, REFUSAL_MAX, attempt).await {
        Ok(said) => said,
        Err(broken) => return broken,
    };
    let kind = match is_read {
        true => complaint(Some(status), said.ready()).into(),
        false => FailureKind::Status(status),
    };
    let said = match crossing {
        Some(crossing) => crossing.refusal(said),
        None => said,
    };
    Broken {
        kind,
        told: Told::Said(said),
    }
}

fn broken(error: Error, limits: &Limits) -> Broken {
    let kind = match error.kind() {
        Kind::Timeout if limits.is_over() => FailureKind::Deadline,
        Kind::Timeout => FailureKind::FirstToken,
        // The process ends.
        Kind::Overloaded => FailureKind::Deadline,
        _ => FailureKind::Broken,
    };
    Broken {
        kind,
        told: Told::Ours(error),
    }
}

impl From<Unanswered> for Broken {
    fn from(it: Unanswered) -> Self {
        Self {
            kind: it.kind,
            told: Told::Ours(it.error),
        }
    }
}

impl From<Complaint> for FailureKind {
    fn from(about: Complaint) -> Self {
        match about {
            Complaint::ContextLength => Self::ContextLength,
            Complaint::ContentPolicy => Self::ContentPolicy,
            Complaint::Exhausted => Self::Exhausted,
            Complaint::Status(status) => Self::Status(status),
        }
    }
}
