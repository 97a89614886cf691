//! What holds on every path, over random worlds and sequences of events.

use proptest::prelude::*;

use super::*;

/// One step of chance.
#[derive(Clone, Debug)]
enum Event {
    /// The n-th attempt that runs is sent.
    Sent(usize),
    /// The n-th attempt that runs fails, with a pause in milliseconds.
    Fails(usize, FailureKind, Option<u64>),
    /// The n-th attempt that runs brings content.
    Wins(usize),
    /// Milliseconds pass.
    Passes(u64),
    /// The race is asked when it wanted to be.
    Rings,
    /// A target changes.
    Is(usize, Health),
}

/// A [`Readiness`] whose time is in milliseconds from the beginning.
#[derive(Clone, Copy, Debug)]
enum Health {
    Well,
    PausedUntil(u64),
    Out,
}

impl Health {
    fn since(self, zero: Instant) -> Readiness {
        match self {
            Self::Well => Ready,
            Self::PausedUntil(at) => Paused(zero + ms(at)),
            Self::Out => Ejected,
        }
    }
}

fn kinds() -> impl Strategy<Value = FailureKind> {
    use FailureKind::{Broken, ContentPolicy, Deadline, Exhausted, Protocol, Reset};
    let others = vec![
        Connect,
        Reset,
        FirstToken,
        Broken,
        Protocol,
        ContextLength,
        ContentPolicy,
        Exhausted,
        Busy,
        Deadline,
    ];
    prop_oneof![
        (400u16..600).prop_map(Status),
        Just(Status(429)),
        Just(Status(503)),
        proptest::sample::select(others),
    ]
}

fn effects() -> impl Strategy<Value = Effect> {
    proptest::sample::select(vec![Effect::Nothing, Effect::Trace, Effect::Act])
}

fn healths() -> impl Strategy<Value = Health> {
    prop_oneof![
        3 => Just(Health::Well),
        1 => Just(Health::Out),
        1 => (0u64..20_000).prop_map(Health::PausedUntil),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let pause = proptest::option::of(0u64..90_000);
    prop_oneof![
        4 => (0usize..2).prop_map(Event::Sent),
        4 => (0usize..2, kinds(), pause).prop_map(|(nth, kind, pause)| Event::Fails(nth, kind, pause)),
        1 => (0usize..2).prop_map(Event::Wins),
        2 => (0u64..3_000).prop_map(Event::Passes),
        4 => Just(Event::Rings),
        2 => (0usize..5, healths()).prop_map(|(place, is)| Event::Is(place, is)),
    ]
}

/// Follows a race and objects to what may never be.
struct Watch {
    race: Race,
    rules: Rules,
    world: Scripted,
    zero: Instant,
    now: Instant,
    rng: fastrand::Rng,
    /// Attempt and place.
    running: Vec<(usize, usize)>,
    begun: usize,
    hedge: Option<usize>,
    /// One that was silent had another beside it.
    doubted: bool,
    /// Places ruled out.
    barred: Vec<usize>,
    /// Nothing may be begun any more.
    is_final: bool,
    is_won: bool,
    given_up: Option<Blame>,
    rings: Option<Instant>,
}

impl Watch {
    fn new(rules: Rules, world: Scripted, zero: Instant, seed: u64) -> Self {
        Self {
            race: Race::new(rules, world.targets.len()),
            rules,
            world,
            zero,
            now: zero,
            rng: fastrand::Rng::with_seed(seed),
            running: Vec::new(),
            begun: 0,
            hedge: None,
            doubted: false,
            barred: Vec::new(),
            is_final: false,
            is_won: false,
            given_up: None,
            rings: None,
        }
    }

    fn is_over(&self) -> bool {
        self.is_won || self.given_up.is_some()
    }

    /// Asks until there is something to wait for.
    fn ask(&mut self) {
        loop {
            let step = self.race.next(self.now, &mut self.world);
            let is_late = self.rules.deadline.is_some_and(|at| at <= self.now);
            let has_verdict = self.is_won || matches!(step, Step::GiveUp(_));
            assert!(!is_late || has_verdict, "no verdict at the deadline");
            match step {
                Step::Start {
                    attempt,
                    place,
                    why,
                } => {
                    self.starts(attempt, place, why);
                    continue;
                }
                Step::Wait(until) => self.waits(until),
                Step::GiveUp(blame) => self.gives_up(blame),
            }
            let again = self.race.next(self.now, &mut self.world);
            assert_eq!(again, step, "asked again, it says something else");
            return;
        }
    }

    fn starts(&mut self, attempt: usize, place: usize, why: Why) {
        assert!(!self.is_final && !self.is_over());
        assert_eq!(attempt, self.begun, "numbered in order");
        assert!(place < self.world.targets.len());
        assert!(!self.barred.contains(&place), "asks what was ruled out");
        assert_eq!(why == First, attempt == 0);
        if why == Why::Hedge {
            assert!(self.hedge.is_none(), "a second hedge");
            assert_eq!(self.world.effect, Effect::Nothing);
            assert_eq!(self.running.len(), 1);
            assert_eq!(self.world.targets[place], Ready);
            self.hedge = Some(attempt);
        } else {
            assert!(
                self.running.is_empty() || self.may_doubt(),
                "a retry beside one that runs"
            );
            self.doubted |= !self.running.is_empty();
        }
        self.begun += 1;
        let hedges = usize::from(self.hedge.is_some());
        assert!(self.begun <= self.rules.attempts.max(1) as usize + hedges);
        self.running.push((attempt, place));
    }

    fn may_doubt(&self) -> bool {
        let can = self.rules.patience.is_some() && self.world.effect == Effect::Nothing;
        can && self.running.len() == 1 && !self.doubted
    }

    fn waits(&mut self, until: Option<Instant>) {
        assert!(self.given_up.is_none());
        assert!(until.is_none_or(|at| at > self.now), "waits for the past");
        let is_idle = self.running.is_empty() && !self.is_won;
        assert!(!is_idle || until.is_some(), "waits for nothing");
        if let (Some(until), Some(deadline)) = (until, self.rules.deadline) {
            assert!(until <= deadline, "sleeps through the deadline");
        }
        self.rings = until;
    }

    fn gives_up(&mut self, blame: Blame) {
        assert!(!self.is_won);
        assert!(self.given_up.is_none_or(|before| before == blame));
        if let Blame::Attempt(attempt) = blame {
            assert!(attempt < self.begun);
        }
        self.given_up = Some(blame);
        self.running.clear();
    }

    fn happens(&mut self, event: &Event) {
        let nth = |nth: &usize| self.running.get(*nth).copied();
        match event {
            Event::Sent(at) => {
                if let Some((attempt, _)) = nth(at) {
                    self.race.sent(attempt, self.now);
                }
            }
            Event::Fails(at, kind, pause) => {
                if let Some((attempt, place)) = nth(at) {
                    self.fails(attempt, place, *kind, *pause);
                }
            }
            Event::Wins(at) => {
                if let Some((attempt, _)) = nth(at) {
                    self.wins(attempt);
                }
            }
            Event::Passes(millis) => self.passes(self.now + ms(*millis)),
            Event::Rings => self.now = self.rings.unwrap_or(self.now),
            Event::Is(place, is) => {
                let count = self.world.targets.len();
                self.world.targets[place % count] = is.since(self.zero);
            }
        }
        self.ask();
    }

    /// Time passes, and whenever the race wanted to be asked it is.
    fn passes(&mut self, to: Instant) {
        while let Some(at) = self.rings.filter(|at| *at < to && !self.is_over()) {
            self.now = at;
            self.ask();
        }
        self.now = to;
    }

    fn fails(&mut self, attempt: usize, place: usize, kind: FailureKind, pause: Option<u64>) {
        let failure = Failure::new(kind).pause(pause.map(ms));
        match verdict(&failure, self.rules.fallback_on, self.world.effect) {
            Verdict::Final if self.hedge != Some(attempt) => self.is_final = true,
            Verdict::Final | Verdict::Other => self.barred.push(place),
            Verdict::Elsewhere | Verdict::Patient => {}
        }
        self.race.failed(
            attempt,
            &failure,
            self.world.effect,
            self.now,
            &mut self.rng,
        );
        self.running.retain(|(other, _)| *other != attempt);
    }

    fn wins(&mut self, attempt: usize) {
        let loser = self.race.won(attempt, self.now);
        self.running.retain(|(other, _)| *other != attempt);
        let loser = loser.map(|loser| (loser.attempt, loser.place));
        assert_eq!(loser, self.running.first().copied());
        self.running.clear();
        self.is_won = true;
    }
}

proptest! {
    #[test]
    fn no_path_breaks_a_rule_and_each_ends(
        (attempts, effect, is_bounded, rule) in (0u32..5, effects(), any::<bool>(), kinds()),
        (patience, p99) in (proptest::option::of(0u64..9_000), proptest::option::of(0u64..4_000)),
        (p95, retries, objects) in (proptest::option::of(0u64..2_000), 0u32..4, any::<bool>()),
        targets in proptest::collection::vec(healths(), 1..5),
        script in proptest::collection::vec(events(), 0..60),
        seed in any::<u64>(),
    ) {
        let zero = Instant::now();
        let rules = Rules {
            attempts,
            patience: patience.map(ms),
            deadline: is_bounded.then(|| zero + ms(15_000)),
            fallback_on: Fallbacks::default().on(rule),
            ..rules(zero)
        };
        let world = Scripted {
            targets: targets.into_iter().map(|health| health.since(zero)).collect(),
            p95: p95.map(ms),
            p99: p99.map(ms),
            effect,
            retries,
            objection: objects.then_some(Reason::NoBudget),
            paid: Vec::new(),
            medians: Vec::new(),
            hedged: Vec::new(),
            late: Vec::new(),
            withheld: Vec::new(),
        };
        let mut watch = Watch::new(rules, world, zero, seed);
        watch.ask();
        for event in &script {
            watch.happens(event);
        }
        // From anywhere, failing whatever is begun brings it to its end.
        for _ in 0..100 {
            if watch.is_over() {
                return Ok(());
            }
            match watch.running.first() {
                Some(_) => watch.happens(&Event::Fails(0, Connect, None)),
                None => watch.happens(&Event::Rings),
            }
        }
        prop_assert!(false, "it does not end");
    }
}
