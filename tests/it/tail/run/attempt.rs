//! The life of an attempt: through the door, to the target, and out again.

use std::time::Duration;

use nowait::dialect::sharing::Effect;
use nowait::gateway::attempt::failure::{Failure, FailureKind};
use nowait::gateway::attempt::race::Why;
use nowait::upstream::admission::queue::{Ask, Priority, Ticket};
use nowait::upstream::limit::{self, Class};
use nowait::upstream::quota::Told;
use nowait::upstream::standing::{End, Pending, Turn};

use super::super::door::{Entry, Permit};
use super::super::outcome::Tried;
use super::super::scenario::FaultKind;
use super::super::server::{Fate, Visit};
use super::{Event, Run};

/// One try of a call, wherever it is.
pub(super) struct Attempt {
    call: usize,
    /// Its number in the race.
    number: usize,
    target: usize,
    phase: Phase,
    /// What it waits for, if for a quota.
    turn: Option<Turn>,
    pub(super) pending: Option<Pending>,
    permit: Option<Permit>,
    /// What its answer tells is left of a quota.
    left: Option<Told>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It was just decided, or waits for the target's quota.
    Begun,
    /// In the line before the target's limit.
    Queued(Ticket),
    /// In the target's own line.
    InLine,
    /// In a slot; the first content will come, and the rest after that.
    Served {
        rest: Duration,
        warm: bool,
    },
    /// In a slot, its content goes to the caller.
    Streaming,
    /// It will fail.
    Failing {
        kind: FaultKind,
        retry_after: Option<Duration>,
    },
    Over,
}

impl Run<'_> {
    pub(super) fn start(&mut self, call: usize, number: usize, place: usize, why: Why) {
        let (at, now) = (self.at(), self.now());
        let this = &mut self.calls[call];
        let target = this.ranking[place];
        let attempt = self.attempts.len();
        assert_eq!(
            number,
            this.attempts.len(),
            "attempts are numbered in order"
        );
        this.attempts.push(attempt);
        self.outcome.attempts.push(Tried {
            at,
            stream: this.stream,
            target,
            hedge: why == Why::Hedge,
            sent: false,
            won: false,
            refused: false,
            held: None,
        });
        self.attempts.push(Attempt {
            call,
            number,
            target,
            phase: Phase::Begun,
            turn: None,
            pending: None,
            permit: None,
            left: None,
        });
        let yields = self.is_batch(call);
        let this = &self.calls[call];
        let turn = self.gateway.turn(target, &this.asked, yields, now);
        match turn.filter(|turn| why != Why::Hedge && turn.at() < this.deadline) {
            Some(turn) => {
                self.agenda.enter(turn.at(), Event::Turn { attempt });
                self.attempts[attempt].turn = Some(turn);
            }
            None => self.knock(attempt),
        }
    }

    fn is_batch(&self, call: usize) -> bool {
        let callers = self.streams[self.calls[call].stream].callers;
        callers.batch && self.gateway.policy.priorities
    }

    /// An attempt has waited for the target's quota, if it still does.
    pub(super) fn turn_comes(&mut self, attempt: usize) {
        if self.attempts[attempt].turn.take().is_some() {
            self.knock(attempt);
            // When it is late depends on when it was sent.
            self.step(self.attempts[attempt].call);
        }
    }

    /// An attempt comes to the target's door.
    fn knock(&mut self, attempt: usize) {
        let now = self.now();
        let Attempt { call, target, .. } = self.attempts[attempt];
        let is_batch = self.is_batch(call);
        let this = &self.calls[call];
        let ask = Ask {
            priority: if is_batch {
                Priority::Batch
            } else {
                Priority::Interactive
            },
            class: Some(Class::new(1, this.asked.input)),
            by: Some(this.deadline),
            expected: None,
        };
        let Some(door) = &mut self.gateway.targets[target].door else {
            return self.send(attempt);
        };
        match door.enter(now, &ask, attempt) {
            Entry::In(permit) => {
                self.attempts[attempt].permit = Some(permit);
                self.send(attempt);
            }
            Entry::Waits(ticket, displaced) => {
                self.attempts[attempt].phase = Phase::Queued(ticket);
                if let Some(displaced) = displaced {
                    self.turned(displaced);
                }
                self.admit(target);
            }
            Entry::Turned => self.turned(attempt),
        }
    }

    /// An attempt is not let in.
    fn turned(&mut self, attempt: usize) {
        self.attempts[attempt].phase = Phase::Over;
        let Attempt { call, number, .. } = self.attempts[attempt];
        let failure = Failure::new(FailureKind::Busy);
        let now = self.now();
        let race = &mut self.calls[call].race;
        race.failed(
            number,
            &failure,
            Effect::Nothing,
            now,
            &mut self.gateway.rng,
        );
        self.step(call);
    }

    /// Those that wait at a target's door are let in, as far as there is room.
    pub(super) fn admit(&mut self, target: usize) {
        let now = self.now();
        let next = |run: &mut Self| run.gateway.targets[target].door.as_mut()?.next(now);
        while let Some((attempt, permit)) = next(self) {
            self.attempts[attempt].permit = permit;
            if permit.is_none() {
                self.turned(attempt);
                continue;
            }
            self.send(attempt);
            // When it is late depends on when it was sent.
            self.step(self.attempts[attempt].call);
        }
        let door = self.gateway.targets[target].door.as_ref();
        if let Some(at) = door.and_then(|door| door.look_again(now))
            && self.doors[target].is_none_or(|planned| planned > at)
        {
            self.doors[target] = Some(at);
            self.agenda.enter(at, Event::Door { target });
        }
    }

    /// An attempt goes to its target.
    fn send(&mut self, attempt: usize) {
        let (at, now) = (self.at(), self.now());
        let Attempt {
            call,
            number,
            target,
            ..
        } = self.attempts[attempt];
        let this = &mut self.calls[call];
        let visit = Visit {
            attempt,
            call,
            number: this.tries,
            input: this.asked.input,
            output: this.asked.output,
            session: this.asked.session,
        };
        this.tries += 1;
        this.race.sent(number, now);
        let late = now + self.gateway.policy.first_token.0;
        if late < this.deadline {
            self.agenda.enter(late, Event::Late { attempt });
        }
        self.outcome.attempts[attempt].sent = true;
        self.attempts[attempt].phase = Phase::InLine;
        let pending = self.gateway.begin(target, &this.asked, now);
        self.attempts[attempt].pending = Some(pending);
        let fate = self.servers[target].arrive(at, visit);
        self.attempts[attempt].left = self.servers[target].left(at);
        self.meet(attempt, fate);
    }

    /// An attempt's fate is known.
    fn meet(&mut self, attempt: usize, fate: Fate) {
        let this = &mut self.attempts[attempt];
        let after = match fate {
            Fate::Waits => return,
            Fate::Served { first, rest, warm } => {
                this.phase = Phase::Served { rest, warm };
                self.outcome.attempts[attempt].held = Some(first + rest);
                first
            }
            Fate::Fails {
                after,
                kind,
                retry_after,
            } => {
                this.phase = Phase::Failing { kind, retry_after };
                self.outcome.attempts[attempt].refused = kind == FaultKind::Status(429);
                after
            }
        };
        let at = self.now() + after;
        self.agenda.enter(at, Event::Heard { attempt });
    }

    pub(super) fn heard(&mut self, attempt: usize) {
        match self.attempts[attempt].phase {
            Phase::Served { rest, warm } => self.answered(attempt, rest, warm),
            Phase::Failing { kind, retry_after } => {
                let kind = match kind {
                    FaultKind::Connect => FailureKind::Connect,
                    FaultKind::Reset => FailureKind::Reset,
                    FaultKind::Broken => FailureKind::Broken,
                    FaultKind::Silence => FailureKind::FirstToken,
                    FaultKind::Status(status) => FailureKind::Status(status),
                };
                self.failed(attempt, kind, retry_after);
            }
            // It was cancelled before.
            Phase::Begun | Phase::Queued(_) | Phase::InLine | Phase::Streaming | Phase::Over => {}
        }
    }

    fn answered(&mut self, attempt: usize, rest: Duration, warm: bool) {
        let (now, at) = (self.now(), self.at());
        let this = &mut self.attempts[attempt];
        let (call, number) = (this.call, this.number);
        if let Some(pending) = &mut this.pending {
            pending.first_content(now);
        }
        this.phase = Phase::Streaming;
        self.report(attempt, limit::Outcome::Answered);
        self.tell(attempt);
        self.agenda.enter(now + rest, Event::Ended { attempt });
        if let Some(loser) = self.calls[call].race.won(number, now) {
            let loser = self.calls[call].attempts[loser.attempt];
            self.drop(loser);
        }
        self.outcome.attempts[attempt].won = true;
        let told = &mut self.outcome.calls[call];
        told.content = Some(at - told.at);
        told.warm = warm;
        self.calls[call].is_over = true;
    }

    /// An answer tells what is left of the target's quota, if it does.
    fn tell(&self, attempt: usize) {
        let this = &self.attempts[attempt];
        if let (Some(pending), Some(left)) = (&this.pending, this.left)
            && self.gateway.policy.heeds_pauses
        {
            pending.told(self.now(), left);
        }
    }

    pub(super) fn late(&mut self, attempt: usize) {
        let phase = self.attempts[attempt].phase;
        if matches!(
            phase,
            Phase::InLine | Phase::Served { .. } | Phase::Failing { .. }
        ) {
            self.failed(attempt, FailureKind::FirstToken, None);
        }
    }

    fn failed(&mut self, attempt: usize, kind: FailureKind, retry_after: Option<Duration>) {
        let now = self.now();
        self.report(
            attempt,
            match (kind, retry_after) {
                (FailureKind::Status(429 | 529), again)
                | (FailureKind::Status(503), again @ Some(_)) => {
                    limit::Outcome::Overloaded { again }
                }
                _ => limit::Outcome::Failed,
            },
        );
        self.tell(attempt);
        self.vacate(attempt);
        let this = &mut self.attempts[attempt];
        let (call, number) = (this.call, this.number);
        let heeded = self.gateway.policy.heeds_pauses;
        let pause = retry_after.filter(|_| heeded);
        let end = match kind {
            FailureKind::Status(429) if heeded => End::Limited { pause },
            FailureKind::Status(500..=504 | 529) => End::Failed,
            FailureKind::Status(_) => End::Refused,
            _ => End::Failed,
        };
        if let Some(pending) = this.pending.take() {
            pending.end(now, end);
        }
        let failure = Failure::new(kind).pause(pause);
        let race = &mut self.calls[call].race;
        race.failed(
            number,
            &failure,
            Effect::Nothing,
            now,
            &mut self.gateway.rng,
        );
        self.step(call);
    }

    pub(super) fn ended(&mut self, attempt: usize) {
        if !matches!(self.attempts[attempt].phase, Phase::Streaming) {
            return;
        }
        let (now, at) = (self.now(), self.at());
        self.vacate(attempt);
        let this = &mut self.attempts[attempt];
        let call = &self.calls[this.call];
        if let Some(pending) = this.pending.take() {
            let tokens = Some(call.asked.output as u32);
            pending.end(now, End::Answered { tokens });
        }
        self.again(call.stream, at);
    }

    /// Nobody waits for an attempt any more: it is cancelled.
    pub(super) fn drop(&mut self, attempt: usize) {
        let now = self.now();
        self.vacate(attempt);
        if let Some(pending) = self.attempts[attempt].pending.take()
            && self.gateway.policy.censors
        {
            pending.end(now, End::Cut);
        }
    }

    /// The first is heard of an attempt.
    fn report(&mut self, attempt: usize, outcome: limit::Outcome) {
        let now = self.now();
        let Attempt { target, permit, .. } = &mut self.attempts[attempt];
        let door = self.gateway.targets[*target].door.as_mut();
        if let (Some(door), Some(permit)) = (door, permit) {
            door.report(now, permit, outcome);
        }
    }

    /// An attempt is no longer where it was.
    fn vacate(&mut self, attempt: usize) {
        let now = self.now();
        let this = &mut self.attempts[attempt];
        let target = this.target;
        let server = &mut self.servers[target];
        let door = self.gateway.targets[target].door.as_mut();
        let (phase, permit) = (this.phase, this.permit.take());
        this.phase = Phase::Over;
        this.turn = None;
        match (door, phase, permit) {
            (Some(door), Phase::Queued(ticket), _) => door.leave(now, ticket),
            (Some(door), _, Some(permit)) => door.give_back(now, permit),
            _ => {}
        }
        match phase {
            Phase::InLine => server.leave_line(attempt),
            Phase::Served { .. } | Phase::Streaming => server.leave(),
            Phase::Begun | Phase::Queued(_) | Phase::Failing { .. } | Phase::Over => {}
        }
        self.call_up(target);
        self.admit(target);
    }

    /// The weather at a target has changed.
    pub(super) fn turn(&mut self, target: usize) {
        let (now, at) = (self.now(), self.at());
        let slots = self.servers[target].slots(at);
        if self.gateway.policy.limit == "known"
            && let Some(door) = &mut self.gateway.targets[target].door
        {
            door.know(slots.expect("a capacity that is known"), now);
        }
        self.call_up(target);
        self.admit(target);
    }

    /// Those that wait at a target get the slots that are free.
    fn call_up(&mut self, target: usize) {
        let at = self.at();
        while let Some((visit, fate)) = self.servers[target].call_up(at) {
            self.meet(visit.attempt, fate);
        }
    }
}
