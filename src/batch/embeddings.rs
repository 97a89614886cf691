//! Concurrent embedding calls of one group, sent as one.
//!
//! A call finds nothing of its group under way: it goes at once, by itself,
//! byte for byte, on its caller's own task. Else it waits until one returns,
//! the batch is full, or [`WINDOW`] has passed, and goes with all that wait.
//! So a batch grows while the provider is busy, and nobody waits for company
//! that may not come.
//!
//! What waits is bounded by what one call may hold, so there is no queue: a
//! full batch leaves at once, and a group that has nothing under way is gone.

mod conduct;
mod table;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::dialect::embeddings::{Ask, Fault, Kind, Piece};
use conduct::{Seat, Way};
use table::Table;

/// How long a call waits for others at most, where one is under way: a few
/// percent of what a provider takes for one call.
pub const WINDOW: Duration = Duration::from_millis(5);

/// What one merged call may hold. A caller who alone asks for more goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Inputs.
    pub inputs: usize,
    /// Tokens of all inputs, as estimated by [`Ask::tokens`].
    pub tokens: u64,
}

impl Limits {
    /// Fills what a provider allows only so far: 256 inputs, for everyone in
    /// it waits for the whole answer (1,536 numbers each: 8 MB); half the
    /// tokens, for they are estimated.
    pub fn within(inputs: usize, tokens: u64) -> Self {
        Self {
            inputs: inputs.min(256),
            tokens: tokens / 2,
        }
    }
}

/// Why an upstream call gave no vectors. `E` is what callers get to know of
/// it: status, headers and body, or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// The provider refused what was asked (400, 413, 422): perhaps one
    /// caller's fault, so a merged call is tried again in halves.
    Refused(E),
    /// Anything else (429, 5xx, connect, timeout): everybody's.
    Failed(E),
}

/// What comes of an upstream call: the head of a successful answer, as the
/// gateway has it, and its body.
pub type Outcome<H, E> = Result<(H, Bytes), Failure<E>>;

/// What a caller gets.
#[derive(Clone, Debug)]
pub struct Answered<H> {
    /// The head of the upstream answer its vectors came in.
    pub head: H,
    /// The vectors.
    pub got: Got,
    /// How many callers' inputs travelled in that call; 1 for alone.
    pub callers: usize,
    /// How many inputs travelled in it.
    pub inputs: usize,
    /// Whether it went out by this caller's own means: true for exactly one of
    /// its callers.
    pub carried: bool,
    /// How long the call waited for others before it first went out.
    pub waited: Duration,
}

/// The vectors a caller gets.
#[derive(Clone, Debug)]
pub enum Got {
    /// The provider's answer to the caller's own body, as it came.
    Whole(Bytes),
    /// One piece for each input of its [`Ask`], in order.
    Pieces(Vec<Piece>),
}

/// Why a caller gets no vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// What the provider said, or why it said nothing.
    Upstream(E),
    /// An answer to some of the caller's inputs that can't be taken apart.
    Unreadable(Fault),
    /// The task that had the call ended without an outcome: it panicked, or
    /// the process is ending.
    Lost,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(error) => error.fmt(f),
            Self::Unreadable(fault) => fault.fmt(f),
            Self::Lost => f.write_str("the merged call was lost before it was answered"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Error<E> {}

/// The embedding calls of the process. Cheap to clone; clones are one.
///
/// `K` is the key of a group: two calls of one group must mean the same but
/// for their inputs, and be allowed to share (provider, model, dimensions,
/// format, user and unknown fields, headers that mean something, tenant).
pub struct Batches<K: Clone + Eq + Hash, H, E> {
    /// Inputs of two kinds don't fit in one list, so the kind is part of the
    /// key.
    table: Arc<Table<(K, Kind), H, E>>,
}

impl<K, H, E> Batches<K, H, E>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    H: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// A table with nothing under way.
    #[expect(
        clippy::new_without_default,
        reason = "there is one, and it is made on purpose"
    )]
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new()),
        }
    }

    /// Asks for `ask`'s inputs, with others of `group` where there are some.
    ///
    /// `send` sends a body upstream and gives its whole answer. It may be
    /// called for a body that holds other callers' inputs too, from a task of
    /// its own, while this caller is gone; and several times where such a body
    /// is refused: at most 1 + 2·⌈log₂ n⌉ calls for n callers of whom one is
    /// at fault, and 2n − 1 whatever happens.
    ///
    /// Dropping the future takes the caller out; a call all of whose callers
    /// left is dropped. Deadlines are the caller's to keep. Must be called in a
    /// tokio runtime: what gathers runs on the runtime of the first who waits.
    pub async fn ask<S, F>(
        &self,
        group: K,
        limits: Limits,
        ask: Ask,
        send: S,
    ) -> Result<Answered<H>, Error<E>>
    where
        S: Fn(Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome<H, E>> + Send + 'static,
    {
        let group = (group, ask.kind());
        if let Some(_under_way) = self.table.alone(&group, limits, &ask) {
            return conduct::alone(ask, send).await;
        }
        let (reply, answer) = oneshot::channel();
        let way: Way<H, E> = Arc::new(move |body| Box::pin(send(body)));
        self.table.wait(group, limits, Seat::new(ask, way, reply));
        answer.await.unwrap_or(Err(Error::Lost))
    }
}

impl<K: Clone + Eq + Hash, H, E> Clone for Batches<K, H, E> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

impl<K: Clone + Eq + Hash, H, E> fmt::Debug for Batches<K, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
