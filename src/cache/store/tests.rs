//! The two levels against real servers and scripted ones.

mod direct;
mod servers;

use self::servers::{Folder, Script, Server, ask, free_port, is_installed, scripted};
use super::*;
use crate::cache::stored::samples;
use crate::config::{RedisUrl, Roots, Scope, Secret, Share, Tls};
use crate::metrics::cache::{Cache as Counters, Miss, Unwritten};

const ANY: Wanted = Wanted {
    max_age: None,
    stale: Duration::ZERO,
};
/// For look-ups that are expected to find something, on a machine that may be
/// busy with other tests.
const PATIENT: Duration = Duration::from_secs(20);

struct Replica {
    store: Store,
    counters: Counters,
}

impl Replica {
    fn new(url: &str) -> Self {
        Self::with(url, None, PATIENT)
    }

    fn with(url: &str, ca_file: Option<std::path::PathBuf>, deadline: Duration) -> Self {
        let config = config::Cache {
            share: Share::All,
            ttl: Duration::from_secs(60),
            memory: 16 << 20,
            scope: Scope::Tenant,
            redis: Some(RedisUrl::parse(&Secret::new(url)).expect("a Redis URL")),
        };
        let tls = Tls {
            roots: Roots::System,
            ca_file,
        };
        let counters = Counters::default();
        let store = Store::open_within(&config, &tls, counters.clone(), deadline);
        Self {
            store: store.expect("a thread"),
            counters,
        }
    }

    /// One that has found its Redis.
    async fn connected(url: &str) -> Self {
        let replica = Self::new(url);
        replica.is_connected(true).await;
        replica.is_direct().await;
        replica
    }

    /// Waits until look-ups go over a connection of this core's own.
    async fn is_direct(&self) {
        let redis = self.store.redis.as_ref().expect("it has one");
        until(|| redis.is_direct()).await;
    }

    async fn is_connected(&self, is: bool) {
        until(|| self.counters.connected.get() == i64::from(is)).await;
    }

    fn keep(&self, of: u8, tenant: &str, model: &str) {
        self.store.keep(key(of), answer(of, tenant, model));
    }

    /// Keeps and waits until it was written.
    async fn write(&self, of: u8, tenant: &str, model: &str) {
        let before = self.counters.redis.stores.get();
        self.keep(of, tenant, model);
        until(|| self.counters.redis.stores.get() > before).await;
    }

    async fn remote(&self, of: u8, tenant: &str, model: &str) -> Option<Hit> {
        let label = samples::label(tenant, model);
        self.store.get_remote(&key(of), None, &label, &ANY).await
    }

    fn missed(&self, why: Miss) -> u64 {
        self.counters.redis.missed(why).get()
    }

    fn unwritten(&self, why: Unwritten) -> u64 {
        self.counters.unwritten(why).get()
    }
}

fn key(of: u8) -> Key {
    Key::from_bytes([of; 32])
}

fn body(of: u8) -> String {
    format!("{{\"answer\":\"{}\"}}", format!("word{of} ").repeat(100))
}

fn answer(of: u8, tenant: &str, model: &str) -> Stored {
    let mut stored = samples::stored(body(of));
    stored.label = samples::label(tenant, model);
    stored
}

/// Waits for what other threads and processes do, which nothing here can signal.
async fn until(mut is_so: impl FnMut() -> bool) {
    let from = Instant::now();
    while !is_so() {
        assert!(from.elapsed() < Duration::from_secs(60), "waited in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_one_replica_keeps_another_finds() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let url = format!("{}/3", server.url());
    let (one, two) = tokio::join!(Replica::connected(&url), Replica::connected(&url));
    one.write(1, "a", "m").await;
    assert!(one.store.get(&key(1), &ANY).is_some());
    assert!(two.store.get(&key(1), &ANY).is_none());
    let hit = two.remote(1, "a", "m").await.expect("what the other kept");
    assert_eq!(hit.stored.body(), body(1).as_bytes());
    assert!(hit.is_fresh());
    // And has it in memory now.
    assert_eq!(
        two.store.get(&key(1), &ANY).expect("filled").stored.body(),
        body(1).as_bytes()
    );
    assert!(two.remote(2, "a", "m").await.is_none());
    assert!(two.remote(1, "b", "m").await.is_none());
    assert_eq!(
        (two.counters.redis.hits.get(), two.missed(Miss::Absent)),
        (1, 2)
    );
    // It is held for twice its ttl, and says how old it is.
    let name = server_names(&url).pop().expect("a name");
    let left: u64 = ask(&url, &["PTTL", &name]);
    assert!((100_000..=120_000).contains(&left), "{left}");
    let _: u8 = ask(&url, &["PEXPIRE", &name, "50000"]);
    let stale = Wanted {
        stale: Duration::from_secs(60),
        ..ANY
    };
    assert!(two.remote(1, "a", "m").await.is_none());
    assert_eq!(two.missed(Miss::Expired), 1);
    let label = samples::label("a", "m");
    let hit = two
        .store
        .get_remote(&key(1), None, &label, &stale)
        .await
        .expect("a stale one");
    assert!((70..80).contains(&hit.age.as_secs()), "{:?}", hit.age);
    assert!(hit.seconds_left() < -8, "{}", hit.seconds_left());
}

fn server_names(url: &str) -> Vec<String> {
    ask(url, &["KEYS", "*"])
}

#[tokio::test]
async fn a_purge_reaches_redis_and_the_other_replicas() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = tokio::join!(Replica::connected(&url), Replica::connected(&url));
    for (of, tenant, model) in [(1, "a", "x"), (2, "a", "y"), (3, "b", "x"), (4, "b", "z")] {
        one.write(of, tenant, model).await;
        assert!(two.remote(of, tenant, model).await.is_some());
    }
    let _: String = ask(&server.url(), &["SET", "somebody:else", "1"]);
    let count = |store: &Store| {
        (1..=4)
            .filter(|of| store.get(&key(*of), &ANY).is_some())
            .count()
    };
    for (what, dropped, left) in [
        (Purge::Model("openai/x".into()), 2, 2),
        (Purge::Key(key(9)), 0, 2),
        (Purge::Key(key(2)), 1, 1),
        (Purge::Tenant("b".into()), 1, 0),
    ] {
        let purged = one.store.purge(&what).await;
        let expected = Purged {
            memory: dropped,
            redis: Remote::Dropped(dropped),
        };
        assert_eq!(purged, expected, "{what:?}");
        assert_eq!(count(&one.store), left, "{what:?}");
        until(|| count(&two.store) == left).await;
    }
    for of in 0..200 {
        one.keep(of, "a", "m");
    }
    // A purge comes after what was kept before it.
    assert_eq!(
        one.store.purge(&Purge::All).await.redis,
        Remote::Dropped(200)
    );
    assert_eq!(server_names(&server.url()), ["somebody:else"]);
}

#[tokio::test]
async fn a_redis_that_restarts_is_missed_and_found_again() {
    if !is_installed() {
        return;
    }
    let folder = Folder::new();
    let socket = folder.0.join("r.sock");
    let socket = socket.to_str().expect("text");
    let start = || Server::start(&["--unixsocket", socket]);
    let server = start();
    let replica = Replica::connected(&format!("unix://{socket}")).await;
    replica.write(1, "a", "m").await;
    drop(server);
    assert!(replica.remote(1, "a", "m").await.is_none());
    assert_eq!(replica.missed(Miss::Error) + replica.missed(Miss::Open), 1);
    replica.is_connected(false).await;
    replica.keep(2, "a", "m");
    assert_eq!(replica.unwritten(Unwritten::Unreachable), 1);
    assert_eq!(replica.store.purge(&Purge::All).await.redis, Remote::Failed);
    let _server = start();
    replica.is_connected(true).await;
    replica.is_direct().await;
    replica.write(3, "a", "m").await;
    assert!(replica.remote(3, "a", "m").await.is_some());
    assert!(replica.remote(1, "a", "m").await.is_none());
}

#[tokio::test]
async fn what_redis_does_badly_is_a_miss_with_a_reason() {
    for (script, reasons) in [
        (Script::Hangs, [Miss::Error, Miss::Open]),
        (Script::Babbles, [Miss::Junk, Miss::Error]),
        (Script::Lies, [Miss::Junk, Miss::Junk]),
    ] {
        let replica = Replica::connected(&scripted(script)).await;
        assert!(replica.remote(1, "a", "m").await.is_none());
        let [one, or] = reasons.map(|why| replica.missed(why));
        assert!(one + or >= 1, "{reasons:?}: {:?}", replica.counters.redis);
    }
}

#[tokio::test]
async fn a_connection_that_dies_between_two_commands_is_made_again() {
    let replica = Replica::connected(&scripted(Script::Hangs)).await;
    for round in 1..=3 {
        assert!(replica.remote(1, "a", "m").await.is_none());
        until(|| replica.missed(Miss::Error) + replica.missed(Miss::Open) >= round).await;
        replica.is_connected(false).await;
        replica.is_connected(true).await;
    }
}

#[tokio::test]
async fn a_silent_redis_is_asked_five_times_and_then_left_alone() {
    let replica = Replica::with(&scripted(Script::Silent), None, DEADLINE);
    replica.is_connected(true).await;
    replica.is_direct().await;
    for _ in 0..20 {
        assert!(replica.remote(1, "a", "m").await.is_none());
    }
    // On a machine so busy that a second passes, a probe goes out as well.
    let timeouts = replica.missed(Miss::Timeout);
    assert!((5..=7).contains(&timeouts), "{timeouts}");
    assert_eq!(replica.missed(Miss::Open), 20 - timeouts);
}

#[tokio::test]
async fn nobody_waits_for_a_redis_that_is_not_there() {
    for url in [
        format!("redis://127.0.0.1:{}", free_port()),
        format!("redis+cluster://127.0.0.1:{}", free_port()),
        format!("redis+sentinel://127.0.0.1:{}/m", free_port()),
        "unix:///nowhere/redis.sock".to_owned(),
    ] {
        let replica = Replica::new(&url);
        replica.keep(1, "a", "m");
        assert!(replica.store.get(&key(1), &ANY).is_some());
        assert!(replica.remote(1, "a", "m").await.is_none());
        assert_eq!(replica.missed(Miss::Open), 1, "{url}");
        assert_eq!(replica.unwritten(Unwritten::Unreachable), 1, "{url}");
    }
}

#[tokio::test]
async fn foreign_values_are_junk() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let replica = Replica::connected(&server.url()).await;
    replica.write(1, "a", "m").await;
    let url = server.url();
    let name = server_names(&url).pop().expect("a name");
    let hex = key(1).to_string();
    assert_eq!(name, format!("nowait:2:a:openai:m:{hex}"));
    let set = |value: &str| ask::<String>(&url, &["SET", &name, value, "PX", "60000"]);
    let junk = |seen: u64| {
        assert_eq!(replica.missed(Miss::Junk), seen);
    };
    set("{\"some\":\"JSON\"}");
    assert!(replica.remote(1, "a", "m").await.is_none());
    junk(1);
    set("nwt\u{2}another version");
    assert!(replica.remote(1, "a", "m").await.is_none());
    junk(2);
    set(&"x".repeat(5 << 20));
    assert!(replica.remote(1, "a", "m").await.is_none());
    junk(3);
    // Cut, moved to another name, without an end.
    replica.write(1, "a", "m").await;
    let _: u64 = server.ask(&["COPY", &name, &name.replace(":a:", ":b:")]);
    assert!(replica.remote(1, "b", "m").await.is_none());
    junk(4);
    let _: u64 = server.ask(&["PERSIST", &name]);
    assert!(replica.remote(1, "a", "m").await.is_none());
    junk(5);
    let _: u64 = server.ask(&["DEL", &name]);
    let _: u64 = server.ask(&["RPUSH", &name, "x"]);
    assert!(replica.remote(1, "a", "m").await.is_none());
    junk(6);
    // None of it is held against Redis.
    replica.write(2, "a", "m").await;
    assert!(replica.remote(2, "a", "m").await.is_some());
}

#[tokio::test]
async fn a_redis_that_refuses_writes_still_answers() {
    if !is_installed() {
        return;
    }
    for command in [
        &["CONFIG", "SET", "maxmemory", "1"][..],
        &["REPLICAOF", "127.0.0.1", "1"],
    ] {
        let server = Server::start(&[]);
        let replica = Replica::connected(&server.url()).await;
        replica.write(1, "a", "m").await;
        let _: String = server.ask(command);
        replica.keep(2, "a", "m");
        until(|| replica.unwritten(Unwritten::Refused) == 1).await;
        assert!(replica.remote(1, "a", "m").await.is_some(), "{command:?}");
    }
}

#[tokio::test]
async fn who_may_ask_is_redis_matter() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&["--requirepass", "ses@me"]);
    let at = format!("127.0.0.1:{}", server.port);
    let admin = format!("redis://:ses%40me@{at}");
    let user = [
        "ACL",
        "SETUSER",
        "web",
        "on",
        ">open",
        "~nowait:*",
        "&nowait:*",
        "+@all",
    ];
    let _: String = ask(&admin, &user);
    for right in [
        &admin,
        &format!("redis://default:ses@me@{at}"),
        &format!("redis://web:open@{at}"),
    ] {
        let replica = Replica::connected(right).await;
        replica.write(1, "a", "m").await;
        assert!(replica.remote(1, "a", "m").await.is_some());
    }
    for wrong in [
        format!("redis://{at}"),
        format!("redis://:wrong@{at}"),
        format!("redis://web:ses@me@{at}"),
    ] {
        let replica = Replica::new(&wrong);
        assert!(replica.remote(1, "a", "m").await.is_none());
        assert_eq!(replica.missed(Miss::Open), 1, "{wrong}");
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_certificates_of_the_configuration() {
    if !is_installed() {
        return;
    }
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(file("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    let port = free_port();
    let text = |name| file(name).to_string_lossy().into_owned();
    let _server = Server::start_on(
        port,
        &[
            "--tls-port",
            &port.to_string(),
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            &text("cert.pem"),
            "--tls-key-file",
            &text("key.pem"),
        ],
    );
    let url = format!("rediss://localhost:{port}");
    let replica = Replica::with(&url, Some(file("cert.pem")), PATIENT);
    replica.is_connected(true).await;
    replica.write(1, "a", "m").await;
    // Over the connection that is watched, and over its own.
    assert!(replica.remote(1, "a", "m").await.is_some());
    replica.is_direct().await;
    assert!(replica.remote(1, "a", "m").await.is_some());
    let stranger = Replica::new(&url);
    assert!(stranger.remote(1, "a", "m").await.is_none());
    assert_eq!(stranger.missed(Miss::Open), 1);
}

#[tokio::test]
async fn sentinels_say_who_is_the_master() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&["--requirepass", "pw"]);
    let sentinel = Server::start(&["--sentinel"]);
    let port = server.port.to_string();
    let _: String = sentinel.ask(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"]);
    let _: String = sentinel.ask(&["SENTINEL", "SET", "main", "auth-pass", "pw"]);
    let nobody = free_port();
    let url = format!(
        "redis+sentinel://:pw@127.0.0.1:{nobody},127.0.0.1:{}/main/2",
        sentinel.port
    );
    let replica = Replica::connected(&url).await;
    replica.write(1, "a", "m").await;
    assert!(replica.remote(1, "a", "m").await.is_some());
    let there = format!("redis://:pw@127.0.0.1:{port}/2");
    assert_eq!(server_names(&there).len(), 1);
}

#[tokio::test]
async fn a_cluster_of_three_is_one_cache() {
    if !is_installed() {
        return;
    }
    let start = || {
        let bus = free_port().to_string();
        Server::start(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "1000",
            "--cluster-require-full-coverage",
            "no",
        ])
    };
    let mut servers = [start(), start(), start()];
    let addresses: Vec<_> = servers
        .iter()
        .map(|server| format!("127.0.0.1:{}", server.port))
        .collect();
    let made = std::process::Command::new("redis-cli")
        .args(["--cluster", "create", "--cluster-yes"])
        .args(&addresses)
        .output()
        .expect("redis-cli comes with redis-server");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stdout)
    );
    for server in &servers {
        until(|| {
            server
                .ask::<String>(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok")
        })
        .await;
    }
    let url = format!("redis+cluster://{}", addresses[..2].join(","));
    let (one, two) = tokio::join!(Replica::connected(&url), Replica::connected(&url));
    for of in 0..60 {
        one.keep(of, "a", if of % 2 == 0 { "x" } else { "y" });
    }
    until(|| one.counters.redis.stores.get() == 60).await;
    for server in &servers {
        assert!(
            !server_names(&server.url()).is_empty(),
            "each has its share"
        );
    }
    for of in 0..60 {
        let model = if of % 2 == 0 { "x" } else { "y" };
        let hit = two
            .remote(of, "a", model)
            .await
            .expect("what the other kept");
        assert_eq!(hit.stored.body(), body(of).as_bytes());
    }
    let purged = one.store.purge(&Purge::Model("x".into())).await;
    assert_eq!(
        purged,
        Purged {
            memory: 30,
            redis: Remote::Dropped(30)
        }
    );
    until(|| two.store.memory.len() == 30).await;
    // With one of them gone, what the others have is still found.
    let gone = servers.len() - 1;
    let lost = server_names(&servers[gone].url()).len();
    drop(std::mem::replace(&mut servers[gone], start()));
    let mut found = 0;
    for of in (1..60).step_by(2) {
        let label = samples::label("a", "y");
        let key = key(of);
        let hit = two.store.get_remote(&key, None, &label, &ANY).await;
        found += usize::from(hit.is_some());
    }
    println!("{found} of 30 found, {lost} were on the lost node");
    assert!(found > 0, "nothing was found");
}
