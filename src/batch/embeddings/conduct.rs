//! One batch on its way: sent, answered, divided, or tried again in halves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answered, Error, Failure, Got, Outcome};
use crate::dialect::embeddings::{Answer, Ask, compose};

/// Sends a body upstream.
pub(super) type Way<H, E> = Arc<dyn Fn(Bytes) -> Sending<H, E> + Send + Sync>;

/// An upstream call under way.
pub(super) type Sending<H, E> = Pin<Box<dyn Future<Output = Outcome<H, E>> + Send>>;

/// A caller who waits, with what its call takes.
pub(super) struct Seat<H, E> {
    pub(super) ask: Ask,
    way: Way<H, E>,
    /// Closed once the caller has left.
    reply: oneshot::Sender<Result<Answered<H>, Error<E>>>,
    since: Instant,
    waited: Duration,
}

impl<H, E> Seat<H, E> {
    /// The seat of a caller who begins to wait now.
    pub(super) fn new(
        ask: Ask,
        way: Way<H, E>,
        reply: oneshot::Sender<Result<Answered<H>, Error<E>>>,
    ) -> Self {
        Self {
            ask,
            way,
            reply,
            since: Instant::now(),
            waited: Duration::ZERO,
        }
    }
}

/// Sends one caller's call on its caller's own task.
pub(super) async fn alone<H, E, F>(
    ask: Ask,
    send: impl Fn(Bytes) -> F,
) -> Result<Answered<H>, Error<E>>
where
    F: Future<Output = Outcome<H, E>>,
{
    lone(&ask, send(compose([&ask])).await, Duration::ZERO)
}

/// What a caller gets of a call that was only its own.
fn lone<H, E>(
    ask: &Ask,
    outcome: Outcome<H, E>,
    waited: Duration,
) -> Result<Answered<H>, Error<E>> {
    let (head, body) = match outcome {
        Ok(answer) => answer,
        Err(Failure::Refused(error) | Failure::Failed(error)) => {
            return Err(Error::Upstream(error));
        }
    };
    let got = if ask.is_whole() {
        Got::Whole(body)
    } else {
        let answer = Answer::read(body, ask.len()).map_err(Error::Unreadable)?;
        Got::Pieces(answer.pieces(&ask.weights().collect::<Vec<_>>()))
    };
    Ok(Answered {
        head,
        got,
        callers: 1,
        inputs: ask.len(),
        carried: true,
        waited,
    })
}

/// Takes a batch to its end: every caller has its answer or has left.
pub(super) async fn conduct<H, E>(mut seats: Vec<Seat<H, E>>)
where
    H: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    for seat in &mut seats {
        seat.waited = seat.since.elapsed();
    }
    settle(seats).await;
}

/// Sends for those who are still there. A refusal, or an answer that can't be
/// divided, is somebody's fault or that of merging: both halves are tried
/// again, at once, until who is left is alone and gets what it would have got
/// alone.
///
/// The calls are a tree of n leaves: 2n − 1 of them if everybody is at fault,
/// and 1 + 2·⌈log₂ n⌉ if one is.
fn settle<H, E>(mut seats: Vec<Seat<H, E>>) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    H: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    Box::pin(async move {
        seats.retain(|seat| !seat.reply.is_closed());
        let Some(first) = seats.first() else {
            return;
        };
        let sending = (first.way)(compose(seats.iter().map(|seat| &seat.ask)));
        let outcome = tokio::select! {
            biased;
            () = all_left(&mut seats) => return,
            outcome = sending => outcome,
        };
        if let Some(mut seats) = hand_out(seats, outcome) {
            let others = seats.split_off(seats.len().div_ceil(2));
            tokio::join!(settle(seats), settle(others));
        }
    })
}

/// Ends once every caller has left.
async fn all_left<H, E>(seats: &mut [Seat<H, E>]) {
    // Each is waited for in turn, in whichever order they leave.
    for seat in seats {
        seat.reply.closed().await;
    }
}

/// Gives everyone its part of an outcome; gives everyone back who must be
/// asked for again, which are two at least.
fn hand_out<H: Clone, E: Clone>(
    mut seats: Vec<Seat<H, E>>,
    outcome: Outcome<H, E>,
) -> Option<Vec<Seat<H, E>>> {
    if seats.len() == 1 {
        let seat = seats.remove(0);
        let answered = lone(&seat.ask, outcome, seat.waited);
        // Who left in the meantime needs nothing; the same below.
        drop(seat.reply.send(answered));
        return None;
    }
    match outcome {
        Ok((head, body)) => divide(seats, &head, body),
        Err(Failure::Refused(_)) => Some(seats),
        Err(Failure::Failed(error)) => {
            for seat in seats {
                drop(seat.reply.send(Err(Error::Upstream(error.clone()))));
            }
            None
        }
    }
}

/// Gives everyone its pieces of one answer; everyone back where it can't be
/// divided: from a server that takes no lists, or makes one vector of them.
fn divide<H: Clone, E>(seats: Vec<Seat<H, E>>, head: &H, body: Bytes) -> Option<Vec<Seat<H, E>>> {
    let weights: Vec<_> = seats.iter().flat_map(|seat| seat.ask.weights()).collect();
    let (callers, inputs) = (seats.len(), weights.len());
    let Ok(answer) = Answer::read(body, inputs) else {
        return Some(seats);
    };
    let mut pieces = answer.pieces(&weights).into_iter();
    for (at, seat) in seats.into_iter().enumerate() {
        let answered = Answered {
            head: head.clone(),
            got: Got::Pieces(pieces.by_ref().take(seat.ask.len()).collect()),
            callers,
            inputs,
            carried: at == 0,
            waited: seat.waited,
        };
        drop(seat.reply.send(Ok(answered)));
    }
    None
}
