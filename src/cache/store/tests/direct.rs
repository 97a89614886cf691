//! Look-ups over a core's own connection: what goes out once, what comes late,
//! what is large.

use super::*;

#[tokio::test]
async fn of_two_names_the_younger_answer_is_found() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let replica = Replica::connected(&server.url()).await;
    let label = samples::label("a", "m");
    let (first, second) = (key(1), key(2));
    let store = &replica.store;
    let look = || store.get_remote(&first, Some(&second), &label, &ANY);
    assert!(look().await.is_none());
    assert_eq!(replica.missed(Miss::Absent), 1, "one look-up");
    replica.write(2, "a", "m").await;
    assert_eq!(
        look().await.expect("the other").stored.body(),
        body(2).as_bytes()
    );
    replica.write(1, "a", "m").await;
    assert_eq!(
        look().await.expect("the first").stored.body(),
        body(1).as_bytes()
    );
    for name in server_names(&server.url()) {
        if name.ends_with(&key(1).to_string()) {
            let _: u8 = server.ask(&["PEXPIRE", &name, "70000"]);
        }
    }
    assert_eq!(
        look().await.expect("the younger").stored.body(),
        body(2).as_bytes()
    );
    assert!(
        replica.store.get(&key(2), &ANY).is_some(),
        "under its own name"
    );
}

#[tokio::test]
async fn what_is_asked_at_once_is_asked_once() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = tokio::join!(Replica::connected(&url), Replica::connected(&url));
    one.write(1, "a", "m").await;
    let (first, second, other) = tokio::join!(
        two.remote(1, "a", "m"),
        two.remote(1, "a", "m"),
        two.remote(1, "b", "m")
    );
    assert!(first.is_some() && second.is_some() && other.is_none());
    assert_eq!(
        (
            two.counters.redis.hits.get(),
            two.counters.memory.stores.get()
        ),
        (2, 1)
    );
    let calls: String = server.ask(&["INFO", "commandstats"]);
    assert!(calls.contains("cmdstat_getrange:calls=2,"), "{calls}");
}

#[tokio::test]
async fn the_largest_answers_come_whole_one_after_the_other() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = tokio::join!(Replica::connected(&url), Replica::connected(&url));
    // Of bytes that can't be packed.
    let mut random = fastrand::Rng::with_seed(1);
    for (of, length) in [(1, 520_000), (2, 10), (3, 500_000), (4, 70_000)] {
        let body: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        let mut stored = samples::stored(body);
        stored.label = samples::label("a", "m");
        one.store.keep(key(of), stored);
    }
    until(|| one.counters.redis.stores.get() == 4).await;
    let found = tokio::join!(
        two.remote(1, "a", "m"),
        two.remote(2, "a", "m"),
        two.remote(3, "a", "m"),
        two.remote(4, "a", "m")
    );
    let length = |hit: &Option<Hit>| hit.as_ref().map(|hit| hit.stored.body().len());
    let lengths = [&found.0, &found.1, &found.2, &found.3].map(length);
    assert_eq!(
        lengths,
        [Some(520_000), Some(10), Some(500_000), Some(70_000)]
    );
}

#[tokio::test]
async fn a_late_reply_is_nobody_elses() {
    let late = Duration::from_millis(50);
    let replica = Replica::with(&scripted(Script::Late), None, late);
    replica.is_connected(true).await;
    replica.is_direct().await;
    assert!(replica.remote(1, "a", "m").await.is_none());
    assert_eq!(replica.missed(Miss::Timeout), 1);
    // The answer to the first, which is junk, comes with that to the second.
    assert!(replica.remote(2, "a", "m").await.is_none());
    assert_eq!(
        (replica.missed(Miss::Absent), replica.missed(Miss::Junk)),
        (1, 0)
    );
}
