//! The table under one thread; what several may do to each other is checked in
//! `model`.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Flight, Flights, Joined};
use crate::cache::recording::Replay;

type Table = Flights<&'static str, u8, u16>;
type Leader = Flight<&'static str, u8, u16>;

fn lead(table: &Table, key: &'static str) -> (Leader, Replay<u8, u16>) {
    match table.join(key) {
        Joined::Lead(flight, replay) => (flight, replay),
        Joined::Follow(_) => panic!("{key} is under way"),
    }
}

fn follow(table: &Table, key: &'static str) -> Replay<u8, u16> {
    match table.join(key) {
        Joined::Follow(replay) => replay,
        Joined::Lead(..) => panic!("{key} is not under way"),
    }
}

#[test]
fn equal_calls_share_a_flight_and_others_have_their_own() {
    let table = Table::new(64);
    let (mut flight, _leader) = lead(&table, "a");
    let (_other, _other_leader) = lead(&table, "b");
    flight.push(Bytes::from_static(b"ab"));
    let next = follow(&table, "a").poll_next(&mut Context::from_waker(Waker::noop()));
    assert_eq!(next, Poll::Ready(Ok(Some(Bytes::from_static(b"ab")))));
    assert_eq!(table.count(), 2);
}

#[test]
fn who_comes_between_the_end_and_the_keeping_is_served() {
    let table = Table::new(64);
    let (mut flight, _leader) = lead(&table, "a");
    flight.head(1);
    flight.push(Bytes::from_static(b"ab"));
    let body = flight.complete().expect("within the limit");
    let next = follow(&table, "a").poll_next(&mut Context::from_waker(Waker::noop()));
    assert_eq!(next, Poll::Ready(Ok(Some(body))));
    drop(flight);
    assert_eq!(table.count(), 0);
    lead(&table, "a");
}

#[test]
fn a_flight_that_nobody_can_join_makes_place_and_leaves_its_successor_alone() {
    type Spoil = fn(&mut Leader);
    let reasons: [(&str, Spoil); 4] = [
        ("deserted", |_| {}),
        ("failed", |flight| flight.fail(503)),
        ("outgrew its limit", |flight| {
            flight.push(vec![0; 65].into())
        }),
        ("ended without a head", |flight| _ = flight.complete()),
    ];
    for (reason, spoil) in reasons {
        let table = Table::new(64);
        let (mut flight, leader) = lead(&table, "a");
        spoil(&mut flight);
        let _stays = (reason != "deserted").then_some(leader);
        let (successor, _replay) = lead(&table, "a");
        assert_eq!(table.count(), 1, "{reason}");
        drop(flight);
        follow(&table, "a");
        drop(successor);
        assert_eq!(table.count(), 0, "{reason}");
    }
}

#[test]
fn a_dropped_flight_leaves_the_table_before_its_readers_do() {
    let table = Table::new(64);
    let (flight, _leader) = lead(&table, "a");
    drop(flight);
    assert_eq!(table.count(), 0);
}
