//! A connection of a core's own to one Redis node: opened, and introduced.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{ConnectionAddr, ConnectionInfo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::wire::{self, Next, Reply};
use crate::config::{self, Login, RedisUrl};

/// To connect and to introduce ourselves.
const CONNECT: Duration = Duration::from_secs(3);
/// What is said to an introduction are a few words.
const LONGEST: usize = 512;

/// An open connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A node, and how to be let in.
pub(super) struct Door {
    place: Place,
    login: Option<Login>,
    database: u32,
}

enum Place {
    Tcp(String, u16),
    Tls(String, u16, Arc<ClientConfig>),
    Unix(PathBuf),
}

impl Door {
    /// The one that `info` leads to. Reads certificates where there is TLS.
    pub(super) fn of(info: &ConnectionInfo, url: &RedisUrl, tls: &config::Tls) -> io::Result<Self> {
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(host.clone(), *port),
            ConnectionAddr::TcpTls { host, port, .. } => {
                Place::Tls(host.clone(), *port, Arc::new(trusting(tls)?))
            }
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self {
            place,
            login: url.login.clone(),
            database: url.database,
        })
    }

    /// Connects and introduces ourselves.
    pub(super) async fn open(&self) -> io::Result<Box<dyn Io>> {
        timeout(CONNECT, async {
            let mut io = self.connect().await?;
            self.introduce(&mut io).await?;
            Ok(io)
        })
        .await?
    }

    async fn connect(&self) -> io::Result<Box<dyn Io>> {
        Ok(match &self.place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Tcp(host, port) => Box::new(tcp(host, *port).await?),
            Place::Tls(host, port, config) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, tcp(host, *port).await?).await?)
            }
        })
    }

    /// Says who we are and which database is meant. The `PING` at the end finds
    /// out whether we are let in where there is nothing else to say: one
    /// client too many is accepted, told so and sent away.
    async fn introduce(&self, io: &mut Box<dyn Io>) -> io::Result<()> {
        let mut said = Vec::with_capacity(128);
        let mut answers = 1;
        if let Some(login) = &self.login {
            let password = login.password.expose().as_bytes();
            match &login.user {
                Some(user) => wire::command(&mut said, [b"AUTH", user.as_bytes(), password]),
                None => wire::command(&mut said, [b"AUTH", password]),
            }
            answers += 1;
        }
        if self.database != 0 {
            let database = self.database.to_string();
            wire::command(&mut said, [b"SELECT", database.as_bytes()]);
            answers += 1;
        }
        wire::command(&mut said, [b"PING"]);
        io.write_all(&said).await?;
        io.flush().await?;
        let (mut heard, mut length) = ([0; LONGEST], 0);
        while answers > 0 {
            let junk = || io::Error::from(io::ErrorKind::InvalidData);
            match wire::next(&heard[..length], 0).map_err(|_| junk())? {
                Next::Reply(Reply::Done, taken) => {
                    heard.copy_within(taken..length, 0);
                    length -= taken;
                    answers -= 1;
                }
                Next::Reply(..) => return Err(io::ErrorKind::PermissionDenied.into()),
                Next::Needs(_) => match io.read(&mut heard[length..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => length += more,
                },
            }
        }
        Ok(())
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Commands are small writes, which Nagle's algorithm would hold back for 40 ms.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Believes the certificates of `[tls] ca_file`, and them alone, where there is
/// one; else the system's.
fn trusting(tls: &config::Tls) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
                let certificate = certificate.map_err(io::Error::other)?;
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
