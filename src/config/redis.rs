//! Where Redis is: one node, a cluster, or whoever the sentinels say.
//!
//! One key holds a URL, as everybody else's does; the URL says which of the
//! three it is. What is refused is refused without repeating it, for it may
//! hold a password.

use std::fmt;
use std::path::PathBuf;

use crate::provider::Secret;

use super::proxy::{decode, split_port};

/// A Redis, or what speaks like one (Valkey).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where its nodes are.
    pub place: RedisPlace,
    /// Whether connections to nodes and sentinels are over TLS.
    pub tls: bool,
    /// How we introduce ourselves to nodes.
    pub login: Option<Login>,
    /// The database's number; always 0 in a cluster.
    pub database: u32,
}

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisPlace {
    /// One node.
    Node(Node),
    /// One node, behind a socket in the file system.
    Socket(PathBuf),
    /// Nodes of a cluster, which tell of the others; never empty.
    Cluster(Vec<Node>),
    /// Whoever is the master of this name.
    Sentinel {
        /// Who knows; never empty.
        sentinels: Vec<Node>,
        /// What the sentinels call it.
        master: String,
        /// How we introduce ourselves to the sentinels.
        login: Option<Login>,
    },
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// Always set.
    pub port: u16,
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; without one, Redis's `default`.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
}

/// What is wrong with a Redis URL, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisUrl {
    /// A scheme that is none of Redis's.
    #[error(
        "is not a Redis URL; write redis://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT, \
         redis+sentinel://HOST:PORT,HOST:PORT/MASTER or unix:///PATH, and rediss for TLS"
    )]
    Scheme,
    /// A node that is not `host:port`.
    #[error("names a node that is not HOST:PORT")]
    Node,
    /// Commas in a plain URL.
    #[error(
        "names several nodes; write redis+cluster://, or redis+sentinel:// with /MASTER at the end"
    )]
    Several,
    /// A password that is not percent-encoded, or a name alone.
    #[error(
        "does not say user and password as :PASSWORD@ or USER:PASSWORD@, \
         with %40 for @ and %2F for / inside them"
    )]
    Login,
    /// No master's name after the sentinels.
    #[error("names no master; write redis+sentinel://HOST:PORT,HOST:PORT/MASTER")]
    Master,
    /// A database that is not a number.
    #[error("ends in a database that is not a number; write /0, or nothing")]
    Database,
    /// A database where there is only one.
    #[error("names a database; a cluster has only 0")]
    ClusterDatabase,
    /// `unix://` with nothing after it.
    #[error("names no socket; write unix:///run/redis/redis.sock")]
    Socket,
    /// An option that is none of ours.
    #[error(
        "has an option that is not known; there are ?db, ?user and ?password for unix://, \
         ?sentinel_user and ?sentinel_password for redis+sentinel://"
    )]
    Option,
}

/// The ports people leave out.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl RedisUrl {
    /// Reads a URL.
    pub fn parse(url: &Secret) -> Result<Self, InvalidRedisUrl> {
        let (scheme, rest) = url
            .expose()
            .split_once("://")
            .ok_or(InvalidRedisUrl::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let (base, kind) = scheme.split_once('+').unwrap_or((&scheme, ""));
        let tls = match base {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            "unix" if kind.is_empty() => return socket(rest),
            _ => return Err(InvalidRedisUrl::Scheme),
        };
        match kind {
            "" => node(rest, tls),
            "unix" if !tls => socket(rest),
            "cluster" => cluster(rest, tls),
            "sentinel" => sentinel(rest, tls),
            _ => Err(InvalidRedisUrl::Scheme),
        }
    }
}

fn node(rest: &str, tls: bool) -> Result<RedisUrl, InvalidRedisUrl> {
    let parts = Parts::of(rest)?;
    parts.options(&[])?;
    let nodes = nodes(parts.nodes, PORT)?;
    let [node] = <[Node; 1]>::try_from(nodes).map_err(|_| InvalidRedisUrl::Several)?;
    Ok(RedisUrl {
        place: RedisPlace::Node(node),
        tls,
        database: database(parts.path)?,
        login: parts.login,
    })
}

fn cluster(rest: &str, tls: bool) -> Result<RedisUrl, InvalidRedisUrl> {
    let parts = Parts::of(rest)?;
    parts.options(&[])?;
    if database(parts.path)? != 0 {
        return Err(InvalidRedisUrl::ClusterDatabase);
    }
    Ok(RedisUrl {
        place: RedisPlace::Cluster(nodes(parts.nodes, PORT)?),
        tls,
        login: parts.login,
        database: 0,
    })
}

fn sentinel(rest: &str, tls: bool) -> Result<RedisUrl, InvalidRedisUrl> {
    let parts = Parts::of(rest)?;
    let [user, password] = parts.options(&["sentinel_user", "sentinel_password"])?[..] else {
        return Err(InvalidRedisUrl::Option);
    };
    let (master, number) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    let master = decode(master).filter(|name| !name.is_empty());
    Ok(RedisUrl {
        place: RedisPlace::Sentinel {
            sentinels: nodes(parts.nodes, SENTINEL_PORT)?,
            master: master.ok_or(InvalidRedisUrl::Master)?,
            login: login(user, password)?,
        },
        tls,
        database: database(number)?,
        login: parts.login,
    })
}

fn socket(rest: &str) -> Result<RedisUrl, InvalidRedisUrl> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decode(path).filter(|path| path.len() > 1 && path.starts_with('/'));
    let [number, user, password] = options(query, &["db", "user", "password"])?[..] else {
        return Err(InvalidRedisUrl::Option);
    };
    Ok(RedisUrl {
        place: RedisPlace::Socket(path.ok_or(InvalidRedisUrl::Socket)?.into()),
        tls: false,
        login: login(user, password)?,
        database: database(number.unwrap_or_default())?,
    })
}

/// What follows the scheme: `[user:password@]nodes[/path][?query]`.
struct Parts<'a> {
    login: Option<Login>,
    nodes: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, InvalidRedisUrl> {
        // The last `@`: people forget to encode those in a password.
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let login = match userinfo.map(|userinfo| userinfo.split_once(':')) {
            None => None,
            Some(None) => return Err(InvalidRedisUrl::Login),
            Some(Some((user, password))) => {
                login(Some(user).filter(|user| !user.is_empty()), Some(password))?
            }
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (nodes, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            login,
            nodes,
            path: path.strip_suffix('/').unwrap_or(path),
            query,
        })
    }

    fn options(&self, known: &[&str]) -> Result<Vec<Option<&'a str>>, InvalidRedisUrl> {
        options(self.query, known)
    }
}

/// The values of the known options, in their order.
fn options<'a>(query: &'a str, known: &[&str]) -> Result<Vec<Option<&'a str>>, InvalidRedisUrl> {
    let mut found = vec![None; known.len()];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(InvalidRedisUrl::Option)?;
        let at = known.iter().position(|known| *known == name);
        found[at.ok_or(InvalidRedisUrl::Option)?] = Some(value);
    }
    Ok(found)
}

fn login(user: Option<&str>, password: Option<&str>) -> Result<Option<Login>, InvalidRedisUrl> {
    let user = user.map(|user| decode(user).ok_or(InvalidRedisUrl::Login));
    let user = user.transpose()?;
    match password.filter(|password| !password.is_empty()) {
        Some(password) => Ok(Some(Login {
            user,
            password: Secret::new(decode(password).ok_or(InvalidRedisUrl::Login)?),
        })),
        None if user.is_none() => Ok(None),
        None => Err(InvalidRedisUrl::Login),
    }
}

fn nodes(text: &str, port: u16) -> Result<Vec<Node>, InvalidRedisUrl> {
    let one = |text: &str| {
        let (host, written) = split_port(text)?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        (!host.is_empty() && host.chars().all(is_host)).then(|| Node {
            host: host.to_ascii_lowercase(),
            port: written.unwrap_or(port),
        })
    };
    text.split(',')
        .map(|text| one(text).ok_or(InvalidRedisUrl::Node))
        .collect()
}

fn database(text: &str) -> Result<u32, InvalidRedisUrl> {
    match text {
        "" => Ok(0),
        digits => digits.parse().map_err(|_| InvalidRedisUrl::Database),
    }
}

/// The URL without user, password and options: what logs show.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "s" } else { "" };
        match &self.place {
            RedisPlace::Node(node) => write!(f, "redis{s}://{node}"),
            RedisPlace::Socket(path) => write!(f, "unix://{}", path.display()),
            RedisPlace::Cluster(nodes) => {
                write!(f, "redis{s}+cluster://")?;
                list(f, nodes)
            }
            RedisPlace::Sentinel {
                sentinels, master, ..
            } => {
                write!(f, "redis{s}+sentinel://")?;
                list(f, sentinels)?;
                write!(f, "/{master}")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    nodes.iter().enumerate().try_for_each(|(at, node)| {
        let comma = if at > 0 { "," } else { "" };
        write!(f, "{comma}{node}")
    })
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<RedisUrl, InvalidRedisUrl> {
        RedisUrl::parse(&Secret::new(url))
    }

    #[test]
    fn every_form_is_read() {
        // (URL, shown, login, database)
        for (url, shown, login, database) in [
            ("redis://h", "redis://h:6379", "", 0),
            ("redis://H:1/2", "redis://h:1", "", 2),
            ("redis://[::1]:7/", "redis://[::1]:7", "", 0),
            ("valkeys://h", "rediss://h:6379", "", 0),
            ("rediss://:pw@h:1", "rediss://h:1", ":pw", 0),
            ("redis://me:p%40w%2f@h/3", "redis://h:6379", "me:p@w/", 3),
            ("redis://me:p@/w@h", "redis://h:6379", "me:p@/w", 0),
            ("redis://:@h", "redis://h:6379", "", 0),
            ("unix:///run/r.sock", "unix:///run/r.sock", "", 0),
            (
                "redis+unix:///r.s?db=4&user=me&password=pw",
                "unix:///r.s",
                "me:pw",
                4,
            ),
            (
                "redis+cluster://a,b:2,c:3",
                "redis+cluster://a:6379,b:2,c:3",
                "",
                0,
            ),
            (
                "rediss+cluster://u:p@a/0",
                "rediss+cluster://a:6379",
                "u:p",
                0,
            ),
            (
                "redis+sentinel://a,b:2/my-master/5",
                "redis+sentinel://a:26379,b:2/my-master",
                "",
                5,
            ),
            (
                "redis+sentinel://:p@a/m?sentinel_password=q",
                "redis+sentinel://a:26379/m",
                ":p",
                0,
            ),
        ] {
            let read = parse(url).expect(url);
            assert_eq!(read.to_string(), shown, "{url}");
            let found = read.login.as_ref().map_or(String::new(), |login| {
                let user = login.user.as_deref().unwrap_or_default();
                format!("{user}:{}", login.password.expose())
            });
            assert_eq!((found.as_str(), read.database), (login, database), "{url}");
        }
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let read = parse("redis+sentinel://:p@a/m?sentinel_password=q&sentinel_user=s");
        let Ok(RedisUrl {
            place: RedisPlace::Sentinel {
                login: Some(login), ..
            },
            ..
        }) = read
        else {
            panic!("{read:?}");
        };
        assert_eq!(login.user.as_deref(), Some("s"));
        assert_eq!(login.password.expose(), "q");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        use InvalidRedisUrl as Invalid;
        for (url, expected) in [
            ("", Invalid::Scheme),
            ("h:6379", Invalid::Scheme),
            ("http://h", Invalid::Scheme),
            ("redis+ring://h", Invalid::Scheme),
            ("rediss+unix:///r", Invalid::Scheme),
            ("redis://", Invalid::Node),
            ("redis://h:0", Invalid::Node),
            ("redis://h:99999", Invalid::Node),
            ("redis://a b", Invalid::Node),
            ("redis://a,b", Invalid::Several),
            ("redis+cluster://a,,b", Invalid::Node),
            ("redis://sesame@h", Invalid::Login),
            ("redis://sesame:@h", Invalid::Login),
            ("redis://:ses%zzame@h", Invalid::Login),
            ("redis+sentinel://a,b", Invalid::Master),
            ("redis+sentinel://a,b/", Invalid::Master),
            ("redis+sentinel://a/m/sesame", Invalid::Database),
            ("redis://h/sesame", Invalid::Database),
            ("redis+cluster://h/1", Invalid::ClusterDatabase),
            ("unix://", Invalid::Socket),
            ("unix://relative", Invalid::Socket),
            ("redis://h?sesame=1", Invalid::Option),
            ("redis+sentinel://h/m?db", Invalid::Option),
        ] {
            let refused = parse(url).expect_err(url);
            assert_eq!(refused, expected, "{url}");
            assert!(!refused.to_string().contains("sesame"));
        }
        let read = parse("redis+sentinel://u:sesame@h/m?sentinel_password=sesame");
        assert!(!format!("{read:?} {}", read.as_ref().expect("valid")).contains("sesame"));
    }
}
