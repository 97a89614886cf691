//! Whom to believe, and the handshake.
//!
//! Reading the system's certificates takes tens of milliseconds, so it happens
//! once per process, off the start-up path, when a TLS connection is first
//! needed.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::Http;
use super::fault::{Fault, FaultKind};
use super::origin::Origin;
use super::timing::Protocol;
use super::wire::{Plain, Wire};

/// Which certificate authorities are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's; Mozilla's, with a warning, where it has none.
    #[default]
    System,
    /// Mozilla's, as compiled in.
    Bundled,
}

/// The certificate authorities in force and the TLS sessions remembered;
/// shared by all upstreams of a configuration.
#[derive(Debug)]
pub struct Trust {
    roots: Roots,
    ca_file: Option<PathBuf>,
    store: OnceCell<Arc<RootCertStore>>,
    /// By [`Http`]: what is offered by ALPN differs.
    configs: [OnceCell<Arc<ClientConfig>>; 3],
}

impl Trust {
    /// `roots`, and the authorities in `ca_file` (PEM) besides. Nothing is
    /// read yet.
    pub fn new(roots: Roots, ca_file: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            roots,
            ca_file,
            store: OnceCell::new(),
            configs: Default::default(),
        })
    }

    /// Exactly the authorities in `store`.
    pub fn only(store: RootCertStore) -> Arc<Self> {
        Arc::new(Self {
            roots: Roots::Bundled,
            ca_file: None,
            store: OnceCell::new_with(Some(Arc::new(store))),
            configs: Default::default(),
        })
    }

    /// The configuration for connections that may speak `http`.
    pub(super) async fn config(&self, http: Http) -> Result<Arc<ClientConfig>, Fault> {
        let config = self.configs[http as usize].get_or_try_init(|| async {
            let roots = self.store().await?;
            let provider = Arc::new(ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| Fault::new(FaultKind::Tls, "setting TLS up").because(error))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = match http {
                Http::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
                Http::One => vec![b"http/1.1".to_vec()],
                Http::Two => vec![b"h2".to_vec()],
            };
            Ok::<_, Fault>(Arc::new(config))
        });
        config.await.cloned()
    }

    async fn store(&self) -> Result<Arc<RootCertStore>, Fault> {
        let store = self.store.get_or_try_init(|| async {
            let (roots, ca_file) = (self.roots, self.ca_file.clone());
            // Reads files and parses some 140 certificates.
            tokio::task::spawn_blocking(move || read(roots, ca_file).map(Arc::new))
                .await
                .map_err(|error| {
                    Fault::new(FaultKind::Tls, "reading certificates").because(error)
                })?
        });
        store.await.cloned()
    }
}

fn read(roots: Roots, ca_file: Option<PathBuf>) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    if roots == Roots::System {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            tracing::warn!(
                "the system has no CA certificates, so the bundled ones are used; \
                 install ca-certificates, or set [tls] roots = \"bundled\""
            );
        }
    }
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = ca_file {
        let wrong = |why: String| {
            let path = path.display();
            Fault::new(
                FaultKind::Tls,
                format!("reading [tls] ca_file {path}: {why}"),
            )
        };
        let certificates =
            CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))?;
        let before = store.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        if store.len() == before {
            return Err(wrong("it holds no certificate".to_owned()));
        }
    }
    Ok(store)
}

/// Shakes hands over `io` and says what both sides speak.
pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    origin: &Origin,
    http: Http,
    io: Plain,
) -> Result<(Wire, Protocol), Fault> {
    let name = ServerName::try_from(origin.host.clone()).map_err(|error| {
        Fault::new(
            FaultKind::Tls,
            format!(
                "{:?} is not a name to check a certificate against",
                origin.host
            ),
        )
        .because(error)
    })?;
    let stream = TlsConnector::from(config)
        .connect(name, io)
        .await
        .map_err(|error| {
            let hint = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    "; if it is signed by an authority of your own, name that in [tls] ca_file"
                }
                _ => "",
            };
            let what = format!("the TLS handshake with {origin}: {error}{hint}");
            Fault::new(FaultKind::Tls, what).because(error)
        })?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Two,
        // A peer without ALPN that was told to speak HTTP/2 is taken at the
        // configuration's word.
        None if http == Http::Two => Protocol::Two,
        _ => Protocol::One,
    };
    Ok((Wire::Tls(Box::new(stream)), protocol))
}
