//! Every order of the steps of two or three threads that share a recording or
//! a table of flights.
//!
//! Each check is a handful of steps, because the orders grow with their
//! factorial; loom reports how it came to a failure. A wake-up that is lost
//! shows as a deadlock, a lock taken twice too.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use loom::future::block_on;
use loom::model::Builder;
use loom::thread;
use nowait_model::cache::flights::{Flight, Flights, Joined};
use nowait_model::cache::recording::{Broken, Recorder, Replay, recording};

type Head = &'static str;
type Failure = &'static str;
type Reader = Replay<Head, Failure>;
type Table = Flights<u8, Head, Failure>;

/// What a reader saw, up to the end it saw.
#[derive(Debug, PartialEq)]
struct Seen {
    head: Result<Head, Broken<Failure>>,
    bytes: Vec<u8>,
    end: Result<(), Broken<Failure>>,
}

/// Runs `check` through all orders with at most `preemptions` switches away
/// from a thread that could go on.
fn every_order(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(check);
}

fn read(mut replay: Reader) -> Seen {
    block_on(async move {
        let head = replay.head().await.map(|head| *head);
        let mut bytes = Vec::new();
        let end = loop {
            match replay.next().await {
                Ok(Some(piece)) => {
                    assert!(!piece.is_empty());
                    bytes.extend_from_slice(&piece);
                }
                Ok(None) => break Ok(()),
                Err(broken) => break Err(broken),
            }
        };
        assert_eq!(replay.next().await.map(|_| ()), end, "an end stays");
        Seen { head, bytes, end }
    })
}

/// Asks once.
fn is_ready<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> bool {
    block_on(poll_fn(|cx| Poll::Ready(poll(cx).is_ready())))
}

fn complete(bytes: &[u8]) -> Seen {
    Seen {
        head: Ok("head"),
        bytes: bytes.to_vec(),
        end: Ok(()),
    }
}

fn write(recorder: &mut Recorder<Head, Failure>, pieces: &[&'static [u8]]) {
    recorder.head("head");
    for piece in pieces {
        recorder.push(Bytes::from_static(piece));
    }
}

/// Two readers of one flight, the table.
fn two_readers() -> (Flight<u8, Head, Failure>, Reader, Reader, Table) {
    let table = Table::new(1 << 10);
    let (Joined::Lead(flight, leader), Joined::Follow(follower)) = (table.join(1), table.join(1))
    else {
        panic!("one leads, one follows");
    };
    (flight, leader, follower, table)
}

#[test]
fn every_reader_sees_the_same_bytes_and_no_wake_up_is_lost() {
    every_order(2, || {
        let (mut flight, leader, follower, table) = two_readers();
        let leader = thread::spawn(move || read(leader));
        let follower = thread::spawn(move || read(follower));
        write(&mut flight, &[b"a", b"b"]);
        assert_eq!(flight.complete().as_deref(), Some(&b"ab"[..]));
        drop(flight);
        assert_eq!(leader.join().expect("read"), complete(b"ab"));
        assert_eq!(follower.join().expect("read"), complete(b"ab"));
        assert_eq!(table.count(), 0);
    });
}

#[test]
fn a_failure_comes_after_what_came_before_it() {
    every_order(2, || {
        let (mut flight, leader, follower, _) = two_readers();
        let leader = thread::spawn(move || read(leader));
        let follower = thread::spawn(move || read(follower));
        write(&mut flight, &[b"a"]);
        flight.fail("503");
        drop(flight);
        let seen = Seen {
            head: Ok("head"),
            bytes: b"a".to_vec(),
            end: Err(Broken::Failed("503")),
        };
        assert_eq!(leader.join().expect("read"), seen);
        assert_eq!(follower.join().expect("read"), seen);
    });
}

#[test]
fn a_dropped_recorder_is_abandoned_to_all() {
    every_order(3, || {
        let (flight, leader, follower, _) = two_readers();
        let leader = thread::spawn(move || read(leader));
        let follower = thread::spawn(move || read(follower));
        drop(flight);
        let seen = Seen {
            head: Err(Broken::Abandoned),
            bytes: Vec::new(),
            end: Err(Broken::Abandoned),
        };
        assert_eq!(leader.join().expect("read"), seen);
        assert_eq!(follower.join().expect("read"), seen);
    });
}

#[test]
fn who_joins_at_the_end_has_all_of_it_or_leads_a_flight() {
    every_order(3, || {
        let table = Table::new(1 << 10);
        let Joined::Lead(mut flight, leader) = table.join(1) else {
            panic!("an empty table");
        };
        let late = thread::spawn({
            let table = table.clone();
            move || match table.join(1) {
                Joined::Follow(replay) => assert_eq!(read(replay), complete(b"ab")),
                Joined::Lead(mut flight, replay) => {
                    write(&mut flight, &[b"cd"]);
                    flight.complete();
                    assert_eq!(read(replay), complete(b"cd"));
                }
            }
        });
        write(&mut flight, &[b"a", b"b"]);
        flight.complete();
        drop(flight);
        late.join().expect("read");
        drop(leader);
        assert_eq!(table.count(), 0, "each flight takes its own entry");
    });
}

/// What a newcomer does: reads along, or leads, and then is still there to be
/// joined.
fn come(table: &Table) -> Option<Flight<u8, Head, Failure>> {
    match table.join(1) {
        Joined::Follow(replay) => {
            assert_eq!(read(replay), complete(b"ab"), "attached to one given up");
            None
        }
        Joined::Lead(mut flight, replay) => {
            write(&mut flight, &[b"c"]);
            flight.complete();
            assert_eq!(read(replay), complete(b"c"));
            Some(flight)
        }
    }
}

#[test]
fn who_joins_while_the_last_leaves_keeps_it_alive_or_leads() {
    every_order(3, || {
        let table = Table::new(1 << 10);
        let Joined::Lead(mut flight, last) = table.join(1) else {
            panic!("an empty table");
        };
        let newcomer = thread::spawn({
            let table = table.clone();
            move || come(&table)
        });
        let leaving = thread::spawn(move || drop(last));
        // The recorder gives up if it is deserted at this moment.
        let is_deserted = is_ready(|cx| flight.poll_deserted(cx));
        if !is_deserted {
            write(&mut flight, &[b"a", b"b"]);
            flight.complete();
        }
        drop(flight);
        leaving.join().expect("left");
        let led = newcomer.join().expect("read");
        assert!(led.is_some() || !is_deserted);
        assert_eq!(
            table.count(),
            usize::from(led.is_some()),
            "its own entry only"
        );
    });
}

#[test]
fn the_recorder_learns_that_the_last_reader_left() {
    every_order(3, || {
        let (flight, leader, follower, table) = two_readers();
        let leaving = thread::spawn(move || drop(leader));
        let reading = thread::spawn(move || {
            let mut follower = follower;
            // Leaves in the middle of a wait.
            assert!(!is_ready(|cx| follower.poll_next(cx)));
        });
        block_on(flight.deserted());
        assert!(
            matches!(table.join(1), Joined::Lead(..)),
            "nobody joins what is given up"
        );
        leaving.join().expect("left");
        reading.join().expect("left");
    });
}

#[test]
fn two_who_come_at_once_share_one_flight() {
    every_order(3, || {
        let table = Table::new(1 << 10);
        let come = |table: Table| {
            move || match table.join(1) {
                Joined::Lead(mut flight, replay) => {
                    write(&mut flight, &[b"a"]);
                    flight.complete();
                    assert_eq!(read(replay), complete(b"a"));
                    Some(flight)
                }
                Joined::Follow(replay) => {
                    assert_eq!(read(replay), complete(b"a"));
                    None
                }
            }
        };
        let one = thread::spawn(come(table.clone()));
        let other = come(table.clone())();
        let one = one.join().expect("read");
        assert!(one.is_some() != other.is_some(), "one call, one leader");
    });
}

#[test]
fn a_lone_slow_reader_holds_the_recorder_and_frees_it() {
    every_order(3, || {
        let (mut recorder, replay) = recording::<Head, Failure>(1);
        let reader = thread::spawn(move || read(replay));
        recorder.head("head");
        for piece in [&b"ab"[..], b"cd", b"ef"] {
            block_on(recorder.room());
            recorder.push(Bytes::from_static(piece));
        }
        assert_eq!(recorder.complete(), None, "it outgrew its limit");
        assert_eq!(reader.join().expect("read"), complete(b"abcdef"));
    });
}

#[test]
fn a_reader_who_leaves_frees_the_recorder() {
    every_order(3, || {
        let (mut recorder, replay) = recording::<Head, Failure>(1);
        let leaving = thread::spawn(move || drop(replay));
        recorder.push(Bytes::from_static(b"ab"));
        block_on(recorder.room());
        block_on(recorder.deserted());
        leaving.join().expect("left");
    });
}

#[test]
fn who_lags_a_window_behind_is_cut_and_keeps_nobody_waiting() {
    every_order(3, || {
        let table = Table::new(1);
        let (Joined::Lead(mut flight, mut fast), Joined::Follow(slow)) =
            (table.join(1), table.join(1))
        else {
            panic!("one leads, one follows");
        };
        let slow = thread::spawn(move || read(slow));
        write(&mut flight, &[b"ab"]);
        assert_eq!(block_on(fast.next()), Ok(Some(Bytes::from_static(b"ab"))));
        assert!(is_ready(|cx| flight.poll_room(cx)), "one has read it all");
        flight.push(Bytes::from_static(b"cd"));
        flight.complete();
        assert_eq!(block_on(fast.next()), Ok(Some(Bytes::from_static(b"cd"))));
        assert_eq!(block_on(fast.next()), Ok(None));
        let slow = slow.join().expect("read");
        match slow.end {
            Ok(()) => assert_eq!(slow.bytes, b"abcd"),
            Err(broken) => {
                assert_eq!(broken, Broken::Lagging);
                assert!(b"abcd".starts_with(&slow.bytes));
            }
        }
    });
}
