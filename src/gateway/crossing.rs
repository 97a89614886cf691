//! A call to a provider of another dialect: written in the provider's words,
//! answered in the caller's.
//!
//! What it says is written once per target, before anything is sent
//! ([`Crossing::write`]), so that a target which can't be asked costs nothing.
//! What comes back is turned into the caller's format before anybody looks at
//! it: a stream on its way ([`Crossed`]), all else once it is here. Commit
//! points, flights, recordings and the cache know no other format than the
//! caller's.

use std::borrow::Cow;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::uri::PathAndQuery;
use http_body::Frame;

use super::asked::{Asked, Source};
use super::attempt::Attempt;
use super::attempt::failure::FailureKind;
use super::commit::{Broken, Told};
use super::count as estimates;
use super::draft::Draft;
use super::encoding::Coding;
use super::headers;
use super::plan::{Callee, Candidate};
use super::relay::{cut_short, unfit};
use crate::config::OnLoss;
use crate::dialect::ir::Failure;
use crate::dialect::loss::Losses;
use crate::dialect::translate::{self, Exchange, Outgoing, Stream, Translated, Wire, count, embed};
use crate::dialect::{Dialect, Ending, Format, complaint, unfold};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};

/// A call as one target is asked it.
#[derive(Debug)]
pub(super) struct Crossing {
    /// The caller's form.
    format: Format,
    /// Theirs too in which it is told of errors.
    client: Wire,
    provider: Wire,
    exchange: Exchange,
    sought: Sought,
    pub(super) body: Bytes,
    pub(super) path: PathAndQuery,
    /// Headers it needs beside those of every call to this provider.
    pub(super) headers: Vec<(&'static str, Cow<'static, str>)>,
    /// What of it could not be said.
    pub(super) losses: Losses,
}

/// What is asked for, and so what an answer is read as.
#[derive(Debug)]
enum Sought {
    /// What a model says.
    Words,
    Vectors(embed::Vectors),
    Count,
}

impl Crossing {
    /// Writes the call for `candidate`, which takes it as `provider`.
    ///
    /// # Errors
    /// What can't be asked of it, or not without a loss where `on_loss` wants
    /// none.
    pub(super) fn write(
        draft: &Draft,
        candidate: &Candidate,
        provider: Wire,
        on_loss: OnLoss,
    ) -> Result<Self, Error> {
        let (target, format) = (&candidate.target, candidate.format);
        let callee = &target.callee;
        let client = Wire::of(format).or_else(|| Wire::native(format.dialect()));
        let client = client.expect("every format is of a dialect that has a form");
        let body = draft.body(candidate);
        let to = translate::Target {
            model: &target.model,
            quirks: callee.provider.quirks,
            marks_cache: candidate.marks_cache,
        };
        let (outgoing, mut exchange, sought) =
            said(format, (client, provider), &body, &to, &draft.request_id)?;
        let Outgoing {
            body,
            path,
            headers,
            losses,
            ..
        } = outgoing;
        if on_loss == OnLoss::Reject
            && let Some(error) = losses.refused()
        {
            return Err(error);
        }
        // What it took is always told, for the books and for other callers; who
        // did not ask for it does not see it.
        exchange.include_usage = true;
        Ok(Self {
            format,
            client,
            provider,
            exchange,
            sought,
            body: body.into(),
            path: callee.path_of(&path, &target.model, provider.dialect())?,
            headers,
            losses,
        })
    }

    /// The dialect it is written in.
    pub(super) fn dialect(&self) -> Dialect {
        self.provider.dialect()
    }

    /// A stream that has begun, as one of the caller's format.
    pub(super) fn stream(&self, asked: Box<Asked>) -> Result<Box<Asked>, Broken> {
        match Coding::of(&asked.fields) {
            Ok(Coding::Identity) => {}
            _ => {
                return Err(unreadable(
                    &asked.callee,
                    "a compressed stream came, which was not asked for",
                ));
            }
        }
        let crossed = Crossed {
            inner: asked.body,
            stream: Stream::new(self.provider, self.client, &self.exchange),
            is_over: false,
        };
        Ok(Box::new(Asked {
            fields: self.fields(&asked.fields, EVENTS),
            body: Source::Crossed(Box::new(crossed)),
            ..*asked
        }))
    }

    /// What came in one piece, without its coding.
    pub(super) fn decoded(&self, asked: Box<Asked>) -> Result<Box<Asked>, Broken> {
        let coding = Coding::of(&asked.fields)
            .map_err(|error| unreadable(&asked.callee, error.message()))?;
        let Source::Kept(body) = &asked.body else {
            return Err(unreadable(
                &asked.callee,
                "it is larger than 32 MiB, and more than that is not translated",
            ));
        };
        let body = coding.decode(body.clone(), LARGEST);
        let body = body.map_err(|fault| unreadable(&asked.callee, &fault.to_string()))?;
        Ok(Box::new(Asked {
            body: Source::Kept(body),
            ..*asked
        }))
    }

    /// An answer in one piece, as one of the caller's format. One that was
    /// asked for as a stream becomes one.
    pub(super) fn whole(
        &self,
        asked: Box<Asked>,
        attempt: &mut Attempt,
    ) -> Result<Box<Asked>, Broken> {
        let (translated, is_estimated) = match self.read(asked.ready()) {
            Ok(read) => read,
            Err(failure) if failure.code.is_some() || failure.status.is_some() => {
                return Err(Broken {
                    kind: complaint(None, asked.ready()).into(),
                    told: Told::Said(self.said_instead(asked, failure.status())),
                });
            }
            Err(failure) => return Err(unreadable(&asked.callee, &failure.message)),
        };
        attempt.dropped.extend(&translated.losses);
        let body = Bytes::from(translated.body);
        let events = self
            .exchange
            .stream
            .then(|| unfold(self.format, &body, true))
            .flatten();
        let (content_type, body) = match events {
            Some(events) => (EVENTS, events),
            None => (JSON, body),
        };
        let mut fields = self.fields(&asked.fields, content_type);
        if is_estimated {
            estimates::mark(&mut fields);
        }
        Ok(Box::new(Asked {
            fields,
            body: Source::Kept(body),
            ..*asked
        }))
    }

    /// What a provider's whole answer says, in the caller's words; and whether
    /// what it took is a guess.
    fn read(&self, body: &[u8]) -> Result<(Translated, bool), Failure> {
        let without_loss = |body| Translated {
            body,
            losses: Losses::default(),
        };
        Ok(match &self.sought {
            Sought::Words => {
                let told = translate::answer(self.provider, self.client, body, &self.exchange)?;
                (told, false)
            }
            Sought::Vectors(vectors) => {
                let told = vectors.answer(body)?;
                (without_loss(told.body), told.usage.estimated)
            }
            Sought::Count => (without_loss(count::answer(body)?), false),
        })
    }

    /// An error that came with a good status, in place of an answer, as the
    /// refusal of that status which it is.
    pub(super) fn said_instead(&self, asked: Box<Asked>, status: u16) -> Box<Asked> {
        self.refusal(Box::new(Asked {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            ..*asked
        }))
    }

    /// A refusal, as one of the caller's dialect.
    pub(super) fn refusal(&self, said: Box<Asked>) -> Box<Asked> {
        let body = Bytes::copy_from_slice(said.ready());
        let coding = Coding::of(&said.fields).unwrap_or(Coding::Identity);
        let body = coding.decode(body.clone(), LARGEST).unwrap_or(body);
        let told = translate::failure(self.client, said.status.as_u16(), &body, &self.exchange);
        let mut fields = self.fields(&said.fields, JSON);
        if let Some(wait) = told.retry_after
            && !fields.has(Name::RetryAfter)
        {
            headers::retry_after(&mut fields, wait);
        }
        Box::new(Asked {
            status: StatusCode::from_u16(told.status).unwrap_or(said.status),
            fields,
            body: Source::Kept(told.body.into()),
            ..*said
        })
    }

    /// The headers of an answer of the caller's dialect.
    fn fields(&self, theirs: &Fields, content_type: &str) -> Fields {
        let mut fields = headers::passed_on(theirs);
        fields.set(Name::ContentType, content_type);
        if self.client.dialect() == Dialect::Anthropic {
            // Anthropic's clients look for an id here.
            fields.set(Name::RequestId, &self.exchange.id);
        }
        fields
    }
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// The largest answer in one piece that is translated, in bytes: what the plain
/// endpoint holds too.
pub(super) const LARGEST: usize = 32 << 20;

fn unreadable(callee: &Callee, why: &str) -> Broken {
    let name = &callee.provider.name;
    Broken {
        kind: FailureKind::Protocol,
        told: Told::Ours(Error::new(
            Kind::UpstreamProtocol,
            format!("the answer of {name} can't be translated: {why}"),
        )),
    }
}

/// What a call of `format` says, in the second form, and what its answer is
/// read by.
fn said(
    format: Format,
    (client, provider): (Wire, Wire),
    body: &Bytes,
    to: &translate::Target<'_>,
    id: &str,
) -> Result<(Outgoing, Exchange, Sought), Error> {
    let nothing = || Exchange {
        id: id.to_owned(),
        ..Exchange::default()
    };
    Ok(match format {
        Format::Embeddings => {
            let (outgoing, vectors) = embed::request(body, to)?;
            (outgoing, nothing(), Sought::Vectors(vectors))
        }
        Format::CountTokens => (count::request(body, to)?, nothing(), Sought::Count),
        Format::Chat | Format::Responses | Format::Completions | Format::Messages => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = since.unwrap_or_default().as_secs();
            let (outgoing, exchange) = translate::request(client, provider, body, to, id, now)?;
            (outgoing, exchange, Sought::Words)
        }
    })
}

/// A stream of a provider's, read as one of the caller's.
pub struct Crossed {
    inner: Source,
    stream: Stream,
    is_over: bool,
}

impl Crossed {
    /// What the caller's format had no place for until now.
    pub(super) fn losses(&self) -> &Losses {
        self.stream.losses()
    }

    /// Whether it is known that nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The caller's frames for the next piece of the provider's, however many
    /// that are: none is as good as any other sign of life.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        callee: &Callee,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // Who reports a failure says nothing after it.
        if self.is_over || self.stream.ending() == Ending::Failed {
            self.is_over = true;
            return Poll::Ready(None);
        }
        if let Some(what) = self.stream.fault() {
            self.is_over = true;
            return Poll::Ready(Some(Err(unfit(&callee.provider.name, what))));
        }
        let mut out = Vec::new();
        match ready!(self.inner.poll_frame(cx, callee)) {
            None => {
                self.is_over = true;
                if !self.stream.close(&mut out) {
                    return Poll::Ready(Some(Err(cut_short(callee))));
                }
                if out.is_empty() {
                    return Poll::Ready(None);
                }
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => self.stream.push(chunk, &mut out),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}
