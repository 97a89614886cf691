//! Our own certificate.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::ServerTls;

/// Reads the certificate and key, and makes what accepts callers with them.
pub(super) fn acceptor(files: &ServerTls) -> io::Result<TlsAcceptor> {
    let named = |what: &str, path: &std::path::Path, fault: &dyn std::fmt::Display| {
        io::Error::other(format!("reading the {what} {}: {fault}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|fault| named("certificate", &files.cert, &fault))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|fault| named("key", &files.key, &fault))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|fault| named("certificate", &files.cert, &fault))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
