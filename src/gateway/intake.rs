//! What the caller sent: the body by bounded reading, and the deadlines it sets
//! by header.
//!
//! Nothing here knows a provider. Authentication has happened before the first
//! byte of a body is read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::incoming::Incoming;
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};

/// How long a caller may pause while sending its body.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The time a call has.
#[derive(Clone, Copy, Debug)]
pub struct Within {
    /// When its head had been read.
    pub started: Instant,
    /// How long it may take from there.
    pub total: Duration,
}

/// Reads a whole body of at most `limit` bytes within the time of its call.
///
/// A refused body is left unread: what that means for its connection is the
/// server's affair. The common one came with its head and isn't copied.
pub async fn read(body: &mut Incoming, limit: u64, within: Within) -> Result<Bytes, Error> {
    if let Incoming::Whole(bytes) = body {
        return bounded(std::mem::take(bytes), limit);
    }
    let told = body.size_hint().lower();
    if told > limit {
        return Err(too_large(Some(told), limit));
    }
    let Some(first) = chunk(body, within).await? else {
        return Ok(Bytes::new());
    };
    if body.is_end_stream() {
        return bounded(first, limit);
    }
    let mut whole = BytesMut::with_capacity((told as usize).max(first.len()));
    whole.extend_from_slice(&first);
    while let Some(next) = chunk(body, within).await? {
        if (whole.len() + next.len()) as u64 > limit {
            return Err(too_large(None, limit));
        }
        whole.extend_from_slice(&next);
    }
    Ok(whole.freeze())
}

fn bounded(bytes: Bytes, limit: u64) -> Result<Bytes, Error> {
    if bytes.len() as u64 > limit {
        return Err(too_large(Some(bytes.len() as u64), limit));
    }
    Ok(bytes)
}

async fn chunk(body: &mut Incoming, within: Within) -> Result<Option<Bytes>, Error> {
    loop {
        let deadline = within.started + within.total;
        let until = deadline.min(Instant::now() + PAUSE_MAX);
        let frame = match timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(fault))) => {
                return Err(Error::invalid(format!(
                    "reading the request body: {fault}: send all of it, framed as HTTP says"
                ))
                .because(fault));
            }
            Err(_) if until == deadline => {
                return Err(Error::new(
                    Kind::RequestTimeout,
                    format!(
                        "the request body was not whole within {}, all the time this call has ([timeout] total, x-nowait-timeout)",
                        crate::config::units::show_duration(within.total)
                    ),
                ));
            }
            Err(_) => {
                return Err(Error::new(
                    Kind::RequestTimeout,
                    "the request body stopped coming: send it without pauses of over 30 s",
                ));
            }
        };
        // Trailers of a request mean nothing to any dialect.
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
}

fn too_large(size: Option<u64>, limit: u64) -> Error {
    let size = size.map_or_else(|| "more".to_owned(), |size| format!("{size} bytes"));
    Error::new(
        Kind::RequestTooLarge,
        format!(
            "the request body has {size}, the limit is {limit}: send less, raise [server] max_body, \
             or upload through /{{provider}}/…, which streams"
        ),
    )
}

/// The deadlines a caller sets by header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// `x-nowait-timeout`: for the whole call.
    pub total: Option<Duration>,
    /// The SDKs' `x-stainless-timeout` / `x-stainless-read-timeout`: for the
    /// head of the answer.
    pub head: Option<Duration>,
}

impl Patience {
    /// Reads them. The SDKs' are hints that a caller did not write by hand, so
    /// what can't be read of them is passed over.
    pub fn of(fields: &Fields) -> Result<Self, Error> {
        let total = match fields.get(Name::XNowaitTimeout) {
            None => None,
            Some(_) => Some(
                fields
                    .text(Name::XNowaitTimeout)
                    .and_then(|text| crate::config::units::duration(text).ok())
                    .filter(|wait| !wait.is_zero())
                    .ok_or_else(|| {
                        Error::invalid(
                            "the header x-nowait-timeout is not a duration: write 10s, 800ms or 2m",
                        )
                        .param("x-nowait-timeout")
                    })?,
            ),
        };
        let seconds = |name| {
            let seconds: f64 = fields.text(name)?.trim().parse().ok()?;
            (seconds > 0.0)
                .then(|| Duration::try_from_secs_f64(seconds).ok())
                .flatten()
        };
        let head = match (
            seconds(Name::XStainlessTimeout),
            seconds(Name::XStainlessReadTimeout),
        ) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(Self { total, head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_set_deadlines_by_header() {
        let secs = Duration::from_secs;
        for (headers, expected) in [
            (&[][..], Some((None, None))),
            (&[("x-nowait-timeout", "10s")], Some((Some(secs(10)), None))),
            (&[("x-nowait-timeout", "soon")], None),
            (&[("x-nowait-timeout", "0s")], None),
            (
                &[("x-stainless-timeout", "600")],
                Some((None, Some(secs(600)))),
            ),
            (
                &[("x-stainless-read-timeout", "1.5")],
                Some((None, Some(Duration::from_millis(1500)))),
            ),
            (
                &[
                    ("x-stainless-timeout", "9"),
                    ("x-stainless-read-timeout", "4"),
                ],
                Some((None, Some(secs(4)))),
            ),
            (&[("x-stainless-timeout", "NOT_GIVEN")], Some((None, None))),
            (&[("x-stainless-timeout", "1e300")], Some((None, None))),
        ] {
            let fields = headers.iter().copied().collect();
            let found = Patience::of(&fields).ok().map(|p| (p.total, p.head));
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}
