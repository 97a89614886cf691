//! One run: calls come, the gateway's policies decide, targets answer.

mod attempt;

use std::time::Duration;

use nowait::gateway::attempt::race::{Blame, Race, Step};
use tokio::time::Instant;

use super::agenda::Agenda;
use super::arrivals::{Asked, Stream};
use super::gateway::{Gateway, Sight};
use super::outcome::{Outcome, Sample, Told};
use super::scenario::{Policy, Scenario};
use super::server::Server;
use attempt::Attempt;

/// How often limits and delays are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Plays a scenario under a policy.
pub(crate) fn play(scenario: &Scenario, policy: &Policy) -> Outcome {
    let mut run = Run::new(scenario, policy);
    run.begin();
    while let Some(event) = run.agenda.next() {
        run.happen(event);
    }
    run.outcome.peaks = run.servers.iter().map(|server| server.peak).collect();
    run.outcome
}

enum Event {
    /// A call of a stream comes, the first of so many at once.
    Arrive { stream: usize, leads: bool },
    /// A caller asks again after an error.
    Again { call: usize },
    /// A race wanted to be woken.
    Wake { call: usize },
    /// The first is heard of an attempt: content, or a failure.
    Heard { attempt: usize },
    /// No content came in the time that a first token may take.
    Late { attempt: usize },
    /// The last token has come.
    Ended { attempt: usize },
    /// The weather has changed.
    Weather,
    /// An attempt has waited for a quota.
    Turn { attempt: usize },
    /// Time alone may have made room at a target's door.
    Door { target: usize },
    /// Time to look at limits and delays.
    Look,
}

struct Run<'a> {
    scenario: &'a Scenario,
    base: Instant,
    agenda: Agenda<Event>,
    streams: Vec<Stream<'a>>,
    servers: Vec<Server<'a>>,
    gateway: Gateway<'a>,
    calls: Vec<Call>,
    attempts: Vec<Attempt>,
    /// When each target's door is looked at next.
    doors: Vec<Option<Instant>>,
    outcome: Outcome,
}

/// A caller's call, as often as it asks.
struct Call {
    stream: usize,
    asked: Asked,
    deadline: Instant,
    /// How often its caller may still ask again.
    retries: u32,
    ranking: Vec<usize>,
    race: Race,
    /// Those of the race that runs, by their numbers in it.
    attempts: Vec<usize>,
    /// All so far.
    tries: usize,
    /// When its race is asked next.
    wakes: Option<Instant>,
    is_over: bool,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, policy: &'a Policy) -> Self {
        let base = Instant::now();
        let stream =
            |(index, callers)| Stream::new(callers, scenario.seed, index, scenario.length.0);
        Self {
            scenario,
            base,
            agenda: Agenda::new(base),
            streams: scenario.callers.iter().enumerate().map(stream).collect(),
            servers: (0..scenario.targets.len())
                .map(|index| Server::new(scenario, index))
                .collect(),
            gateway: Gateway::new(scenario, policy, base),
            calls: Vec::new(),
            attempts: Vec::new(),
            doors: vec![None; scenario.targets.len()],
            outcome: Outcome::default(),
        }
    }

    fn begin(&mut self) {
        for at in self.scenario.changes() {
            self.agenda.enter(self.base + at, Event::Weather);
        }
        for stream in 0..self.streams.len() {
            for (index, at) in self.streams[stream].first().into_iter().enumerate() {
                let leads = index == 0;
                self.agenda
                    .enter(self.base + at, Event::Arrive { stream, leads });
            }
        }
        self.agenda.enter(self.base, Event::Look);
    }

    fn now(&self) -> Instant {
        self.agenda.now()
    }

    /// The time since the beginning.
    fn at(&self) -> Duration {
        self.agenda.at()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { stream, leads } => self.arrive(stream, leads),
            Event::Again { call } => self.ask(call),
            Event::Wake { call } => {
                self.calls[call].wakes = None;
                self.step(call);
            }
            Event::Heard { attempt } => self.heard(attempt),
            Event::Late { attempt } => self.late(attempt),
            Event::Ended { attempt } => self.ended(attempt),
            Event::Weather => (0..self.servers.len()).for_each(|target| self.turn(target)),
            Event::Turn { attempt } => self.turn_comes(attempt),
            Event::Door { target } => {
                self.doors[target] = None;
                self.admit(target);
            }
            Event::Look => self.look(),
        }
    }

    fn arrive(&mut self, stream: usize, leads: bool) {
        let at = self.at();
        if leads && let Some(next) = self.streams[stream].after(at) {
            let many = self.streams[stream].at_once();
            for index in 0..many {
                let leads = index == 0;
                self.agenda
                    .enter(self.base + next, Event::Arrive { stream, leads });
            }
        }
        let asked = self.streams[stream].ask();
        let callers = self.streams[stream].callers;
        let deadline = self.now() + callers.patience.0;
        let call = self.calls.len();
        self.calls.push(Call {
            stream,
            asked,
            deadline,
            retries: callers.retries,
            ranking: Vec::new(),
            race: Race::new(self.gateway.rules(deadline), 1),
            attempts: Vec::new(),
            tries: 0,
            wakes: None,
            is_over: false,
        });
        self.outcome.calls.push(Told {
            at,
            stream,
            content: None,
            has_session: asked.session.is_some(),
            warm: false,
        });
        self.ask(call);
    }

    /// A caller asks, for the first time or again.
    fn ask(&mut self, call: usize) {
        let now = self.now();
        if self.calls[call].is_over {
            return;
        }
        let ranking = self.gateway.rank(&self.calls[call].asked, now);
        let rules = self.gateway.rules(self.calls[call].deadline);
        self.calls[call].race = Race::new(rules, ranking.len());
        self.calls[call].ranking = ranking;
        self.calls[call].attempts.clear();
        self.step(call);
    }

    /// Does what the race says until it has to wait.
    fn step(&mut self, call: usize) {
        let now = self.now();
        loop {
            let this = &mut self.calls[call];
            if this.is_over {
                return;
            }
            let attempts = &mut self.attempts;
            let alone = this
                .attempts
                .iter()
                .rev()
                .find(|of| attempts[**of].pending.is_some());
            let alone = alone.copied().and_then(|of| attempts[of].pending.as_mut());
            let mut sight = Sight {
                gateway: &mut self.gateway,
                ranking: &this.ranking,
                alone,
            };
            match this.race.next(now, &mut sight) {
                Step::Start {
                    attempt,
                    place,
                    why,
                } => self.start(call, attempt, place, why),
                Step::Wait(Some(at)) => return self.wake(call, at),
                Step::Wait(None) => return,
                Step::GiveUp(blame) => return self.gave_up(call, blame),
            }
        }
    }

    /// Asks the race again at `at`, or before.
    fn wake(&mut self, call: usize, at: Instant) {
        let this = &mut self.calls[call];
        if this.wakes.is_none_or(|planned| planned > at) {
            this.wakes = Some(at);
            self.agenda.enter(at, Event::Wake { call });
        }
    }

    /// A caller of a closed loop asks the next.
    fn again(&mut self, stream: usize, at: Duration) {
        if let Some(next) = self.streams[stream].again(at) {
            let event = Event::Arrive {
                stream,
                leads: false,
            };
            self.agenda.enter(self.base + next, event);
        }
    }

    /// All attempts have failed: the caller is told so.
    fn gave_up(&mut self, call: usize, blame: Blame) {
        let at = self.at();
        self.drop_all(call);
        let this = &mut self.calls[call];
        // Whoever has waited as long as it would does not ask again.
        let is_told = blame != Blame::Deadline;
        let again = is_told && this.retries > 0 && !this.race.has_spent_retries();
        if again {
            // As the official SDKs do: half a second, a second, less up to a quarter.
            let made = self.streams[this.stream].callers.retries - this.retries;
            this.retries -= 1;
            let chance = self.streams[this.stream].chance();
            let wait = Duration::from_millis(500 << made).mul_f64(1.0 - 0.25 * chance);
            let when = self.agenda.now() + wait;
            return self.agenda.enter(when, Event::Again { call });
        }
        this.is_over = true;
        let stream = this.stream;
        self.again(stream, at);
    }

    fn drop_all(&mut self, call: usize) {
        for index in 0..self.calls[call].attempts.len() {
            self.drop(self.calls[call].attempts[index]);
        }
    }

    fn look(&mut self) {
        let (now, at) = (self.now(), self.at());
        // A quantile takes long to find in a build for tests.
        let is_second = at.subsec_nanos() == 0;
        for target in 0..self.servers.len() {
            self.outcome.samples.push(Sample {
                at,
                target,
                limit: self.gateway.targets[target]
                    .door
                    .as_ref()
                    .map(|door| door.limit(now)),
                slots: self.servers[target].slots(at),
                delay: is_second.then(|| self.gateway.delay(target, now)).flatten(),
            });
        }
        if at < self.scenario.length.0 {
            self.agenda.enter(now + LOOK, Event::Look);
        }
    }
}
