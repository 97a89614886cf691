//! A purge in Redis: the other replicas are told, then every master is walked
//! with `SCAN` and what is named is unlinked, a batch at a time, so that Redis
//! answers others in between.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, Value, cmd, from_redis_value};
use tokio::time::timeout;

use super::link::Link;
use super::name::{CHANNEL, is_named, pattern};
use super::state::{State, reason};
use crate::cache::store::{Purge, Remote};

/// Names looked at by one `SCAN`: a fraction of a millisecond of Redis's time.
const BATCH: usize = 500;
/// For one command.
const ANSWER: Duration = Duration::from_secs(2);
/// For all of it: a hundred million names.
const WHOLE: Duration = Duration::from_secs(120);
/// Longer messages are not ours.
const LONGEST_MESSAGE: usize = 4096;

/// Tells the other replicas, then drops what is named.
pub(super) async fn carry_out(state: &State, what: &Purge) -> Remote {
    let Some(link) = state.link() else {
        return Remote::Failed;
    };
    let told = ask::<Value>(
        &link,
        cmd("PUBLISH")
            .arg(CHANNEL)
            .arg(message(what, state.instance())),
    )
    .await;
    let swept = match timeout(WHOLE, Box::pin(sweep(&link, what))).await {
        Ok(swept) => swept,
        Err(_) => Err(too_slow()),
    };
    match told.and(swept) {
        Ok(dropped) => {
            state.counters().redis.purged.inc_by(dropped);
            Remote::Dropped(dropped)
        }
        Err(error) => {
            state.failed(&link, &error);
            tracing::warn!(
                why = reason(&error),
                "a purge could not be carried out in redis"
            );
            Remote::Failed
        }
    }
}

/// Unlinks what is named, on every master there is.
async fn sweep(link: &Link, what: &Purge) -> RedisResult<u64> {
    let Some(cluster) = link.cluster() else {
        let mut dropped = 0;
        let mut cursor = b"0".to_vec();
        loop {
            let (next, names): (Vec<u8>, Vec<Vec<u8>>) = ask(link, &scan(&cursor, what)).await?;
            dropped += unlink(link, what, names).await?;
            cursor = next;
            if cursor == b"0" {
                return Ok(dropped);
            }
        }
    };
    let mut dropped = 0;
    for node in masters(cluster.clone()).await? {
        let mut cursor = b"0".to_vec();
        loop {
            let answer = on(cluster.clone(), node.clone(), scan(&cursor, what)).await?;
            let (next, names): (Vec<u8>, Vec<Vec<u8>>) = from_redis_value(answer)?;
            dropped += unlink(link, what, names).await?;
            cursor = next;
            if cursor == b"0" {
                break;
            }
        }
    }
    Ok(dropped)
}

fn scan(cursor: &[u8], what: &Purge) -> Cmd {
    let mut scan = cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern(what));
    scan.arg("COUNT").arg(BATCH);
    scan
}

/// Drops those that are really meant. In a cluster the client splits them by
/// slot.
async fn unlink(link: &Link, what: &Purge, mut names: Vec<Vec<u8>>) -> RedisResult<u64> {
    names.retain(|name| is_named(what, name));
    if names.is_empty() {
        return Ok(0);
    }
    ask(link, cmd("UNLINK").arg(names)).await
}

async fn ask<T: ::redis::FromRedisValue>(link: &Link, command: &Cmd) -> RedisResult<T> {
    let asked = timeout(ANSWER, link.ask(command)).await;
    asked.unwrap_or_else(|_| Err(too_slow()))
}

async fn on(mut cluster: ClusterConnection, node: RoutingInfo, command: Cmd) -> RedisResult<Value> {
    let asked = timeout(ANSWER, Box::pin(cluster.route_command(command, node))).await;
    asked.unwrap_or_else(|_| Err(too_slow()))
}

/// Where each master is.
async fn masters(cluster: ClusterConnection) -> RedisResult<Vec<RoutingInfo>> {
    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let answer = on(cluster, all, cmd("PING")).await?;
    let nodes: HashMap<String, Value> = from_redis_value(answer)?;
    nodes
        .into_keys()
        .map(|address| {
            let (host, port) = address.rsplit_once(':').ok_or_else(not_an_address)?;
            let port = port.parse().map_err(|_| not_an_address())?;
            let host = host.to_owned();
            Ok(RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress {
                host,
                port,
            }))
        })
        .collect()
}

fn not_an_address() -> RedisError {
    (
        ErrorKind::Client,
        "a cluster node's address is not HOST:PORT",
    )
        .into()
}

fn too_slow() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// A purge as it is told to others, by `instance`.
fn message(what: &Purge, instance: u64) -> String {
    match what {
        Purge::All => format!("{instance:x} all "),
        Purge::Key(key) => format!("{instance:x} key {key}"),
        Purge::Model(model) => format!("{instance:x} model {model}"),
        Purge::Tenant(tenant) => format!("{instance:x} tenant {tenant}"),
    }
}

/// A purge as others tell it; none if it is something else, or our own.
pub(super) fn heard(message: &[u8], instance: u64) -> Option<Purge> {
    if message.len() > LONGEST_MESSAGE {
        return None;
    }
    let (from, what) = std::str::from_utf8(message).ok()?.split_once(' ')?;
    if u64::from_str_radix(from, 16).ok()? == instance {
        return None;
    }
    match what.split_once(' ')? {
        ("all", "") => Some(Purge::All),
        ("key", key) => key.parse().ok().map(Purge::Key),
        ("model", model) => Some(Purge::Model(model.to_owned())),
        ("tenant", tenant) => Some(Purge::Tenant(tenant.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Key;

    #[test]
    fn what_is_told_is_heard() {
        let key = Key::from_bytes([7; 32]);
        for purge in [
            Purge::All,
            Purge::Key(key),
            Purge::Model("a model/of 1".to_owned()),
            Purge::Tenant(String::new()),
        ] {
            let told = message(&purge, 0xabc);
            assert_eq!(heard(told.as_bytes(), 0xabc), None, "our own");
            assert_eq!(heard(told.as_bytes(), 1), Some(purge));
        }
        for odd in [
            "",
            "al",
            "all ",
            "key 12",
            "user x",
            &"x".repeat(5000),
            "model",
        ] {
            assert_eq!(heard(odd.as_bytes(), 1), None, "{odd}");
        }
        assert_eq!(heard(b"2 model \xff", 1), None);
    }
}
