//! Connections to Redis: made, watched, made again.
//!
//! One connection carries everything: commands are multiplexed, and what other
//! replicas publish is pushed over it (RESP3, Redis 6 and later). It is made
//! anew, with growing pauses, when it breaks or doesn't answer pings; in a
//! cluster the client mends single nodes itself, and all of it is made anew
//! only when no node answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::cluster::{ClusterClient, ClusterClientBuilder};
use ::redis::cluster_async::ClusterConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo,
    RedisError, RedisResult, TlsCertificates, TlsMode, Value, cmd,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::dial::Door;
use super::name::CHANNEL;
use super::purging;
use super::state::{State, reason};
use crate::cache::store::Purge;
use crate::config::{self, Login, Node, RedisPlace, RedisUrl};

/// To connect, introduce ourselves and subscribe, sentinels asked first.
const CONNECT: Duration = Duration::from_secs(3);
/// For one command that no caller waits for.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two pings: a dead peer that sends nothing is noticed within two.
const PING: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What was connected for so long was well: the next pause is the first again.
const WELL: Duration = Duration::from_secs(10);
/// Purges heard of and not yet carried out.
const HEARD: usize = 64;

/// A connection.
#[derive(Clone)]
pub(super) struct Link {
    number: u64,
    /// Whether somebody else may be the master by now, and can be asked for.
    is_elected: bool,
    way: Way,
    beyond: Arc<Beyond>,
}

/// What a connection leads to, for others that are to lead there too.
pub(super) enum Beyond {
    Node(Door),
    Cluster(Box<ClusterClient>),
}

#[derive(Clone)]
enum Way {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// One more to the same cluster, driven by the calling core.
    pub(super) async fn own(
        number: u64,
        client: &ClusterClient,
        beyond: Arc<Beyond>,
    ) -> RedisResult<Self> {
        Ok(Self {
            number,
            is_elected: false,
            way: Way::Cluster(client.get_async_connection().await?),
            beyond,
        })
    }

    /// Where it leads to.
    pub(super) fn beyond(&self) -> Arc<Beyond> {
        Arc::clone(&self.beyond)
    }

    /// Whether sentinels chose this node, and may have chosen another since.
    pub(super) fn is_elected(&self) -> bool {
        self.is_elected
    }

    /// Asks one command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.way.clone() {
            Way::One(mut one) => command.query_async(&mut one).await,
            Way::Cluster(mut cluster) => Box::pin(command.query_async(&mut cluster)).await,
        }
    }

    /// Asks several in one round trip; in a cluster they are about one name.
    pub(super) async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        match self.way.clone() {
            Way::One(mut one) => commands.query_async(&mut one).await,
            Way::Cluster(mut cluster) => Box::pin(commands.query_async(&mut cluster)).await,
        }
    }

    /// The cluster, if it is one.
    pub(super) fn cluster(&self) -> Option<ClusterConnection> {
        match &self.way {
            Way::One(_) => None,
            Way::Cluster(cluster) => Some(cluster.clone()),
        }
    }

    /// Whether a connection that gave this error is of no more use.
    pub(super) fn is_broken_by(&self, error: &RedisError) -> bool {
        match self.way {
            Way::Cluster(_) => false,
            Way::One(_) => {
                error.is_unrecoverable_error()
                    || (error.is_io_error() && !error.is_timeout())
                    || error.kind() == ErrorKind::Parse
            }
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.number).finish()
    }
}

/// What Redis sends without being asked, for connections to come.
#[derive(Clone)]
pub(super) struct Push {
    state: Arc<State>,
    heard: mpsc::Sender<Purge>,
    /// Set when a purge found no room among those waiting.
    overflowed: Arc<AtomicBool>,
}

/// Purges of other replicas, as they come in.
pub(super) struct Heard {
    purges: mpsc::Receiver<Purge>,
    overflowed: Arc<AtomicBool>,
}

impl Heard {
    /// The next one; none once no connection can come any more.
    pub(super) async fn next(&mut self) -> Option<Purge> {
        let purge = self.purges.recv().await?;
        let all = self.overflowed.swap(false, SeqCst);
        Some(if all { Purge::All } else { purge })
    }
}

/// A place for what is pushed, and where purges come out.
pub(super) fn push(state: Arc<State>) -> (Push, Heard) {
    let (heard, purges) = mpsc::channel(HEARD);
    let overflowed = Arc::new(AtomicBool::new(false));
    let push = Push {
        state,
        heard,
        overflowed: overflowed.clone(),
    };
    (push, Heard { purges, overflowed })
}

impl Push {
    /// Takes what connection `number` was sent. Never waits: it is called by
    /// the task that reads answers.
    fn take(&self, number: u64, is_one: bool, info: &PushInfo) {
        match (&info.kind, info.data.as_slice()) {
            (PushKind::Disconnection, _) if is_one => self.state.broken(number),
            (PushKind::Message, [_, Value::BulkString(message)]) => {
                let Some(purge) = purging::heard(message, self.state.instance()) else {
                    return;
                };
                // More at once than fits is as good as everything.
                if self.heard.try_send(purge).is_err() {
                    self.overflowed.store(true, SeqCst);
                }
            }
            _ => {}
        }
    }
}

/// Connects, watches, and connects again, forever.
pub(super) async fn keep_connected(state: &State, url: &RedisUrl, tls: &config::Tls, push: Push) {
    let mut pause = FIRST_PAUSE;
    loop {
        let number = state.next_number();
        let why = match timeout(CONNECT, connect(url, tls, number, &push)).await {
            Err(_) => "connecting took too long",
            Ok(Err(error)) => reason(&error),
            Ok(Ok((way, beyond))) => {
                let link = Link {
                    number,
                    is_elected: matches!(url.place, RedisPlace::Sentinel { .. }),
                    way,
                    beyond: Arc::new(beyond),
                };
                state.is_up(link.clone());
                let since = Instant::now();
                let why = watch(state, &link).await;
                if since.elapsed() > WELL {
                    pause = FIRST_PAUSE;
                }
                why
            }
        };
        state.is_away(why);
        // Replicas that lost the same Redis don't come back in step.
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits until the connection is of no more use, and says why.
async fn watch(state: &State, link: &Link) -> &'static str {
    let pinged = async {
        let mut failures = 0;
        while failures < 2 {
            sleep(PING).await;
            match timeout(ANSWER, link.ask::<Value>(&cmd("PING"))).await {
                Ok(Ok(_)) => failures = 0,
                _ => failures += 1,
            }
        }
    };
    tokio::select! {
        () = state.until_broken(link.number) => "the connection broke",
        () = pinged => "it doesn't answer pings",
    }
}

async fn connect(
    url: &RedisUrl,
    tls: &config::Tls,
    number: u64,
    push: &Push,
) -> RedisResult<(Way, Beyond)> {
    let trusted = trusted(url, tls)?;
    let client = match &url.place {
        RedisPlace::Node(node) => {
            let info = info(address(node, url.tls), url)?;
            match trusted {
                Some(trusted) => Client::build_with_tls(info, trusted)?,
                None => Client::open(info)?,
            }
        }
        RedisPlace::Socket(path) => Client::open(info(ConnectionAddr::Unix(path.clone()), url)?)?,
        RedisPlace::Sentinel {
            sentinels,
            master,
            login,
        } => sentinel(sentinels, master, login.as_ref(), url, trusted).await?,
        RedisPlace::Cluster(nodes) => {
            let own = cluster(nodes, url, trusted.clone())?.build()?;
            let watched = cluster(nodes, url, trusted)?;
            let way = Box::pin(watch_cluster(watched, number, push)).await?;
            return Ok((way, Beyond::Cluster(Box::new(own))));
        }
    };
    let door = Door::of(client.get_connection_info(), url, tls)?;
    Ok((one(&client, number, push).await?, Beyond::Node(door)))
}

/// The certificates of `[tls] ca_file`, and they alone, where there is one; else
/// the system's.
fn trusted(url: &RedisUrl, tls: &config::Tls) -> RedisResult<Option<TlsCertificates>> {
    let Some(file) = tls.ca_file.as_ref().filter(|_| url.tls) else {
        return Ok(None);
    };
    Ok(Some(TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(file)?),
    }))
}

fn address(node: &Node, tls: bool) -> ConnectionAddr {
    let (host, port) = (node.host.clone(), node.port);
    if tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn info(address: ConnectionAddr, url: &RedisUrl) -> RedisResult<ConnectionInfo> {
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(url.database));
    if let Some(login) = &url.login {
        settings = settings.set_password(login.password.expose());
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
    }
    Ok(address
        .into_connection_info()?
        .set_redis_settings(settings)
        .set_tcp_settings(tcp()))
}

/// Commands are small writes, which Nagle's algorithm would hold back for 40 ms.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

async fn one(client: &Client, number: u64, push: &Push) -> RedisResult<Way> {
    let push = push.clone();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(move |pushed: PushInfo| {
            push.take(number, true, &pushed);
            Ok::<(), ()>(())
        });
    let mut one = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    one.subscribe(CHANNEL).await?;
    Ok(Way::One(one))
}

async fn watch_cluster(
    builder: ClusterClientBuilder,
    number: u64,
    push: &Push,
) -> RedisResult<Way> {
    let push = push.clone();
    let builder = builder.push_sender(move |pushed: PushInfo| {
        push.take(number, false, &pushed);
        Ok::<(), ()>(())
    });
    let mut cluster = builder.build()?.get_async_connection().await?;
    cluster.subscribe(CHANNEL).await?;
    Ok(Way::Cluster(cluster))
}

fn cluster(
    nodes: &[Node],
    url: &RedisUrl,
    trusted: Option<TlsCertificates>,
) -> RedisResult<ClusterClientBuilder> {
    let infos: RedisResult<Vec<_>> = nodes
        .iter()
        .map(|node| info(address(node, url.tls), url))
        .collect();
    let mut builder = ClusterClientBuilder::new(infos?)
        .use_protocol(ProtocolVersion::RESP3)
        .tcp_settings(tcp())
        .connection_timeout(CONNECT)
        .response_timeout(ANSWER)
        // Two for a slot that moved; what takes longer is a miss anyway.
        .retries(2);
    if url.tls {
        builder = builder.tls(TlsMode::Secure);
    }
    if let Some(trusted) = trusted {
        builder = builder.certs(trusted);
    }
    Ok(builder)
}

/// Whoever the sentinels say is the master.
async fn sentinel(
    sentinels: &[Node],
    master: &str,
    login: Option<&Login>,
    url: &RedisUrl,
    trusted: Option<TlsCertificates>,
) -> RedisResult<Client> {
    let addresses = sentinels.iter().map(|node| address(node, url.tls));
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_redis_db(i64::from(url.database));
    if url.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(trusted) = trusted {
        builder = builder
            .set_client_to_redis_certificates(trusted.clone())
            .set_client_to_sentinel_certificates(trusted);
    }
    if let Some(login) = &url.login {
        builder = builder.set_client_to_redis_password(login.password.expose());
        if let Some(user) = &login.user {
            builder = builder.set_client_to_redis_username(user);
        }
    }
    if let Some(login) = login {
        builder = builder.set_client_to_sentinel_password(login.password.expose());
        if let Some(user) = &login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
    }
    builder.build()?.async_get_client().await
}
