//! The order of the queue as tables, and what it says of waits against what
//! then happens.

use super::*;
use crate::upstream::limit::Rule;

const NOW: Load = Load {
    in_flight: 1,
    answering: 0,
    waiting: 0,
};

fn of(priority: Priority) -> Ask {
    Ask {
        priority,
        ..Ask::default()
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

struct Bench {
    start: Instant,
    limit: Limit,
    queue: Queue<usize>,
}

impl Bench {
    fn new(limit: usize, capacity: usize) -> Self {
        let start = Instant::now();
        Self {
            start,
            limit: Limit::new(Rule::Fixed(limit), start),
            queue: Queue::new(capacity),
        }
    }

    fn join(&mut self, at: f64, ask: &Ask, who: usize) -> Result<Option<usize>, Turned> {
        let now = self.start + seconds(at);
        let joined = self.queue.join(now, ask, &self.limit, NOW, who)?;
        Ok(joined.displaced.map(|(who, _)| who))
    }

    /// Who is let in, with `in_flight` calls of the limit.
    fn next(&mut self, at: f64, in_flight: usize) -> Option<usize> {
        let load = Load { in_flight, ..NOW };
        match self
            .queue
            .next(self.start + seconds(at), &self.limit, load)?
        {
            Next::Served(who, _) => Some(who),
            // Told apart from who is served.
            Next::Late(who, turned) => {
                assert_eq!(turned.why, Why::Late);
                Some(1000 + who)
            }
        }
    }
}

#[test]
fn interactive_before_batch_and_the_oldest_first() {
    let mut bench = Bench::new(10, 100);
    bench.join(0.0, &of(Priority::Batch), 1).unwrap();
    bench.join(0.1, &of(Priority::Interactive), 2).unwrap();
    bench.join(0.2, &of(Priority::Batch), 3).unwrap();
    bench.join(0.3, &of(Priority::Interactive), 4).unwrap();
    let order: Vec<_> = std::iter::from_fn(|| bench.next(0.4, 0)).collect();
    assert_eq!(order, [2, 4, 1, 3]);
    assert!(bench.queue.is_empty());
}

#[test]
fn batch_leaves_a_tenth_and_has_its_turn_all_the_same() {
    let mut bench = Bench::new(10, 100);
    for who in 0..3 {
        bench.join(0.0, &of(Priority::Batch), who).unwrap();
    }
    assert_eq!(bench.next(0.1, 9), None, "the last place is not theirs");
    assert_eq!(bench.next(0.1, 8), Some(0));
    // An endless stream of interactive calls on a full upstream.
    let mut served = Vec::new();
    for turn in 0..20 {
        bench
            .join(0.1, &of(Priority::Interactive), 100 + turn)
            .unwrap();
        served.extend(
            bench
                .next(0.1, 9)
                .filter(|who| *who < 100)
                .map(|who| (turn, who)),
        );
    }
    assert_eq!(served, [(9, 1), (19, 2)]);
}

#[test]
fn under_overload_the_newest_goes_first() {
    let mut bench = Bench::new(1, 100);
    for (at, who) in [(0.0, 0), (0.5, 1), (0.9, 2)] {
        bench.join(at, &of(Priority::Interactive), who).unwrap();
    }
    assert_eq!(bench.next(1.0, 0), Some(0), "nobody has waited for long");
    assert_eq!(bench.next(1.6, 0), Some(2), "the oldest has");
    bench.join(1.7, &of(Priority::Interactive), 3).unwrap();
    assert_eq!(bench.next(1.8, 0), Some(3));
    assert_eq!(bench.next(1.8, 0), Some(1));
}

#[test]
fn a_full_queue_turns_away_who_would_be_served_last() {
    let mut bench = Bench::new(1, 2);
    let interactive = of(Priority::Interactive);
    bench.join(0.0, &of(Priority::Batch), 0).unwrap();
    bench.join(0.0, &of(Priority::Batch), 1).unwrap();
    let turned = bench.join(0.0, &of(Priority::Batch), 2).unwrap_err();
    assert_eq!(turned.why, Why::Full);
    assert_eq!(bench.join(0.1, &interactive, 3).unwrap(), Some(1));
    assert_eq!(bench.join(0.2, &interactive, 4).unwrap(), Some(0));
    assert_eq!(bench.join(0.3, &interactive, 5).unwrap_err().why, Why::Full);
    // Under overload the oldest would be last.
    assert_eq!(bench.join(1.5, &interactive, 6).unwrap(), Some(3));
    assert_eq!(bench.queue.len(), 2);
}

#[test]
fn nobody_is_served_after_the_deadline_or_waits_in_vain() {
    let mut bench = Bench::new(1, 10);
    let by = |at: f64| Ask {
        by: Some(bench.start + seconds(at)),
        expected: Some(seconds(2.0)),
        ..Ask::default()
    };
    let (soon, later, passed) = (by(3.0), by(30.0), by(0.0));
    assert_eq!(bench.join(0.0, &passed, 9).unwrap_err().why, Why::Hopeless);
    // Two seconds of wait and two of its own.
    let turned = bench.join(0.0, &soon, 9).unwrap_err();
    assert_eq!(
        (turned.why, turned.retry_after),
        (Why::Hopeless, seconds(2.0))
    );
    bench.join(0.0, &later, 0).unwrap();
    bench.join(0.0, &later, 1).unwrap();
    assert_eq!(bench.next(29.0, 0), Some(1));
    assert_eq!(bench.next(30.0, 0), Some(1000), "told, not served");
    assert_eq!(bench.next(30.0, 0), None);
}

#[test]
fn who_leaves_is_not_served() {
    let mut bench = Bench::new(1, 10);
    let now = bench.start;
    let ticket = |bench: &mut Bench, who| {
        let ask = Ask::default();
        let joined = bench.queue.join(now, &ask, &bench.limit, NOW, who);
        joined.unwrap().ticket
    };
    let (one, two) = (ticket(&mut bench, 1), ticket(&mut bench, 2));
    assert_eq!(bench.queue.leave(now, one), Some(1));
    assert_eq!(bench.queue.leave(now, one), None);
    assert_eq!(bench.next(0.0, 0), Some(2));
    assert_eq!(bench.queue.leave(now, two), None, "served");
}

/// Calls of one second on ten places, and a queue that is kept at `depth`.
/// What a newcomer is told is compared with what it takes to drain the queue.
#[test]
fn retry_after_is_about_what_the_queue_takes() {
    for depth in [1usize, 20, 100] {
        for expected in [None, Some(seconds(0.5)), Some(seconds(3.0))] {
            let mut bench = Bench::new(10, depth);
            let load = Load {
                in_flight: 10,
                ..NOW
            };
            let ask = Ask {
                priority: Priority::Batch,
                expected,
                ..Ask::default()
            };
            let mut at = 0.0;
            for call in 0..300 {
                at = f64::from(call) * 0.1;
                let now = bench.start + seconds(at);
                while bench.queue.len() < depth {
                    let joined = bench.queue.join(now, &ask, &bench.limit, load, 0);
                    assert!(joined.is_ok());
                }
                bench.queue.ended(now + seconds(0.1));
                assert_eq!(bench.next(at + 0.1, 8), Some(0));
            }
            let now = bench.start + seconds(at + 0.1);
            bench.queue.join(now, &ask, &bench.limit, load, 0).unwrap();
            let turned = bench
                .queue
                .join(now, &ask, &bench.limit, load, 0)
                .unwrap_err();
            let truth = (depth + 1) as f64 * 0.1;
            let told = turned.retry_after.as_secs_f64();
            assert!(
                told > truth * 0.7 && told < truth * 1.4,
                "{depth} {expected:?}: {told} for {truth}"
            );
        }
    }
}
