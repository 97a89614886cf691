//! What stays, for how long, and what it takes.

use super::super::stored::samples;
use std::time::Duration;

use super::*;

const MIB: u64 = 1 << 20;
const FRESH: Wanted = Wanted {
    max_age: None,
    stale: Duration::ZERO,
};

fn key(of: u64) -> Key {
    let mut bytes = [0; 32];
    // Spread as a hash would be.
    bytes[..8].copy_from_slice(&of.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    bytes[8..16].copy_from_slice(&of.to_le_bytes());
    Key::from_bytes(bytes)
}

fn hour() -> Life {
    Life::new(Duration::from_secs(3600))
}

fn fill(memory: &Memory, keys: std::ops::Range<u64>, size: usize) {
    let body = vec![b'x'; size];
    for of in keys {
        memory.keep(key(of), Arc::new(samples::stored(&body)), hour());
    }
}

#[test]
fn what_is_kept_is_found_until_it_is_too_old() {
    let memory = Memory::new(MIB, metrics::cache::Cache::default());
    let made = Instant::now();
    let life = Life {
        seen: made,
        ..Life::new(Duration::from_secs(60))
    };
    assert!(memory.keep(key(1), Arc::new(samples::stored("one")), life));
    let find = |of, at, wanted: &Wanted| {
        let found = memory.find(&key(of), wanted, made + Duration::from_secs(at));
        found.map(|hit| {
            (
                hit.stored.body().clone(),
                hit.age.as_secs(),
                hit.ttl.as_secs(),
            )
        })
    };
    let stale = Wanted {
        stale: Duration::from_secs(600),
        ..FRESH
    };
    assert_eq!(find(1, 59, &FRESH), Ok(("one".into(), 59, 60)));
    assert_eq!(find(1, 60, &FRESH), Err(Miss::Expired));
    assert_eq!(find(1, 119, &stale), Ok(("one".into(), 119, 60)));
    assert_eq!(find(2, 0, &FRESH), Err(Miss::Absent));
    assert_eq!(memory.sweep(made + Duration::from_secs(119)), 0);
    assert_eq!(memory.sweep(made + Duration::from_secs(120)), 1);
    assert_eq!((memory.len(), memory.bytes()), (0, 0));
    assert_eq!(find(1, 0, &FRESH), Err(Miss::Absent));
}

#[test]
fn a_later_answer_takes_the_place_of_an_earlier_one() {
    let memory = Memory::new(MIB, metrics::cache::Cache::default());
    memory.keep(key(1), Arc::new(samples::stored("one")), hour());
    memory.keep(key(1), Arc::new(samples::stored("two")), hour());
    let hit = memory.get(&key(1), &FRESH).expect("what was kept");
    assert_eq!(hit.stored.body(), "two");
    assert_eq!(memory.len(), 1);
}

#[test]
fn what_is_larger_than_an_eighth_is_not_kept() {
    for (bytes, size, is_kept) in [
        (MIB, 100 << 10, true),
        (MIB, 128 << 10, false),
        (MIB, 2 << 20, false),
        (1024 * MIB, 8 << 20, false),
        (1024 * MIB, 7 << 20, true),
        (0, 0, false),
        (1, 0, false),
    ] {
        let memory = Memory::new(bytes, metrics::cache::Cache::default());
        fill(&memory, 0..1, size);
        assert_eq!(
            memory.get(&key(0), &FRESH).is_ok(),
            is_kept,
            "{size} of {bytes}"
        );
    }
}

#[test]
fn room_is_made_and_what_is_being_read_stays() {
    let counters = metrics::cache::Cache::default();
    let memory = Memory::new(MIB, counters.clone());
    fill(&memory, 0..1, 4096);
    let read = memory.get(&key(0), &FRESH).expect("what was kept");
    fill(&memory, 1..2000, 4096);
    assert!(memory.bytes() <= MIB, "{}", memory.bytes());
    assert!(memory.bytes() > MIB * 9 / 10, "{}", memory.bytes());
    assert_eq!(counters.evictions.get(), 2000 - memory.len() as u64);
    assert_eq!(counters.bytes.get(), memory.bytes() as i64);
    assert_eq!(read.stored.body().len(), 4096);
}

/// Half the memory is asked for all the time, ten times its size passes once.
#[test]
fn a_scan_does_not_push_out_what_is_asked_for() {
    let memory = Memory::new(4 * MIB, metrics::cache::Cache::default());
    fill(&memory, 0..400, 4096);
    let asked_for = |memory: &Memory| {
        (0..400)
            .filter(|of| memory.get(&key(*of), &FRESH).is_ok())
            .count()
    };
    for round in 0..20 {
        asked_for(&memory);
        let from = 1000 + round * 500;
        fill(&memory, from..from + 500, 4096);
    }
    assert!(asked_for(&memory) >= 380, "{}", asked_for(&memory));
}

#[test]
fn a_purge_drops_what_it_names_and_counts_it() {
    let counters = metrics::cache::Cache::default();
    let memory = Memory::new(MIB, counters.clone());
    for (of, tenant, model) in [(1, "a", "x"), (2, "a", "y"), (3, "b", "x")] {
        let mut stored = samples::stored("{}");
        stored.label = samples::label(tenant, model);
        memory.keep(key(of), Arc::new(stored), hour());
    }
    assert_eq!(memory.purge(|_, label| &*label.tenant == "a"), 2);
    assert!(memory.get(&key(3), &FRESH).is_ok());
    assert_eq!(memory.purge(|which, _| *which == key(3)), 1);
    assert_eq!(memory.purge(|_, _| true), 0);
    assert_eq!(counters.memory.purged.get(), 3);
}

/// The bound is on what the process takes, so it is measured from outside: in
/// a process of its own, which this test starts from itself.
#[test]
fn memory_takes_what_it_may() {
    const CHILD: &str = "NOWAIT_TEST_MEMORY";
    // (bound, what 100,000 entries of 4 KB take of it)
    for (bound, least) in [(448 * MIB, 0.85), (128 * MIB, 0.9)] {
        if let Ok(asked) = std::env::var(CHILD) {
            if asked != bound.to_string() {
                continue;
            }
            let memory = Memory::new(bound, metrics::cache::Cache::default());
            let before = resident();
            fill(&memory, 0..100_000, 4096);
            let grown = resident() - before;
            println!("{CHILD} {grown} {} {}", memory.bytes(), memory.len());
            return;
        }
        let name = "cache::memory::tests::memory_takes_what_it_may";
        let output = std::process::Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, bound.to_string())
            .output()
            .expect("this binary runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.split(CHILD).nth(1).expect("a measurement");
        let grown: f64 = line
            .split(' ')
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("bytes");
        let share = grown / bound as f64;
        println!(
            "{share:.3} of {bound}:{}",
            line.lines().next().unwrap_or_default()
        );
        assert!((least..1.15).contains(&share), "{share} of {bound}: {line}");
    }
}

/// The memory of this process that is really there, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).expect("the second field is pages");
    pages.parse::<u64>().expect("a number") * 4096
}
