//! Whose books a call is in that several may read.
//!
//! Such a call is made by a task of its own, so whoever asked for it may have left
//! when it ends, or there never was anybody: a stale answer is asked for again
//! behind the one who got the old one. What it took is booked once all the same:
//! by its caller as long as that one is there, else here, in a line of its own.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;

use super::attempt::Attempt;
use super::flight::{Failure, Head};
use super::ledger::{Ledger, Origin};
use super::plan::Target;
use crate::cache::recording::Audience;
use crate::dialect::{Finish, Usage};
use crate::error::Error;

/// Who waits for a call at its end.
pub(super) struct Account {
    origin: Origin,
    audience: Audience<Head, Failure>,
    state: Mutex<State>,
}

/// How far booking is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Its caller is there.
    Open,
    /// It has ended while its caller was there.
    Ended(Option<Usage>, Option<Finish>),
    /// It goes on, and nobody will book it.
    Nobodys(Background),
    /// It is booked.
    Booked,
}

/// Why a call is booked that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Background {
    /// It brings anew what was stale.
    Refresh,
    /// Its caller has left it to others.
    Left,
}

impl Background {
    /// The word for it in logs and metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Left => "left",
        }
    }
}

/// How the books of a call's caller are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// It has got all of the answer.
    Complete,
    /// It has left.
    Left,
    /// It was told of an error.
    Failed,
}

/// How a call ended.
pub(super) struct Ended {
    pub(super) attempt: Attempt,
    /// What readers were told.
    pub(super) told: Result<StatusCode, Error>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("request_id", &self.origin.request_id)
            .field("state", &*self.state.lock())
            .finish_non_exhaustive()
    }
}

impl Account {
    /// That of a call whose caller's books are `ledger`.
    pub(super) fn of(ledger: &Ledger, audience: Audience<Head, Failure>) -> Arc<Self> {
        Self::new(ledger, audience, State::Open)
    }

    /// That of a call which brings anew what the caller of `ledger` got.
    pub(super) fn of_refresh(ledger: &Ledger, audience: Audience<Head, Failure>) -> Arc<Self> {
        Self::new(ledger, audience, State::Nobodys(Background::Refresh))
    }

    fn new(ledger: &Ledger, audience: Audience<Head, Failure>, state: State) -> Arc<Self> {
        Arc::new(Self {
            origin: ledger.origin(),
            audience,
            state: Mutex::new(state),
        })
    }

    /// Its caller's books are closed: `attempt` is what they will say. One that
    /// leaves others to read on, or fails for reasons of its own, leaves what the
    /// call takes to this.
    pub(super) fn close(&self, end: Close, attempt: &mut Attempt) {
        let mut state = self.state.lock();
        let goes_on = match end {
            Close::Complete => false,
            Close::Left => !self.audience.is_gone(),
            Close::Failed => self.audience.is_served(),
        };
        *state = match *state {
            State::Ended(usage, finish) if end == Close::Left => {
                attempt.usage = usage.or(attempt.usage);
                attempt.finish = finish.or(attempt.finish);
                State::Booked
            }
            State::Open if goes_on => {
                (attempt.usage, attempt.finish) = (None, None);
                State::Nobodys(Background::Left)
            }
            State::Nobodys(why) => State::Nobodys(why),
            State::Open | State::Ended(..) | State::Booked => State::Booked,
        };
    }

    /// The call has ended, for whoever was asked. `lead` is who was thought of first.
    pub(super) fn end(&self, ended: Ended, lead: &Arc<Target>) {
        let Ended { attempt, told } = ended;
        let why = {
            let mut state = self.state.lock();
            let (next, why) = match *state {
                State::Open => (State::Ended(attempt.usage, attempt.finish), None),
                State::Nobodys(why) => (State::Booked, Some(why)),
                done @ (State::Ended(..) | State::Booked) => (done, None),
            };
            *state = next;
            why
        };
        // Of a call that nobody is left to be told of, only what it took is booked.
        let is_due = |why: &Background| *why == Background::Refresh || attempt.usage.is_some();
        if let Some(why) = why.filter(is_due) {
            Ledger::background(&self.origin, why, attempt, told, lead);
        }
    }
}
