//! TLS on either side: whom nowait believes, and who can believe nowait.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::client::Client;
use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::Gateway;
use crate::harness::upstream::{Step, Upstream};
use crate::harness::wire::Wire;

/// A certificate that vouches for itself.
struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
    key: rcgen::KeyPair,
}

fn certificate(name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    change(&mut params);
    let made = params.self_signed(&key).expect("a certificate");
    Certificate {
        der: made.der().clone(),
        pem: made.pem(),
        key,
    }
}

impl Certificate {
    fn server(&self) -> Arc<rustls::ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a certificate");
        Arc::new(config)
    }
}

/// A file that is gone with its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nowait-{}-{name}", std::process::id()));
        fs::write(&path, text).expect("a writable folder");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn config(port: u16, ca_file: &str) -> String {
    let mut text = format!(
        "[tls]\nroots = \"bundled\"\n{ca_file}\n[generate]\nmodel = \"up/m\"\nshare = \"off\"\n"
    );
    for (name, dialect, path) in [("up", "openai", "/v1"), ("claude", "anthropic", "")] {
        text += &format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"https://localhost:{port}{path}\"\n\
             [providers.{name}.pool]\nwarm = 0\n"
        );
    }
    text
}

#[test]
fn only_certificates_that_are_vouched_for_are_believed() {
    let good = certificate("localhost", |_| {});
    let expired = certificate("localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let other = certificate("elsewhere.test", |_| {});
    for (name, presented, trusted, words) in [
        ("unknown", &good, None, "invalid peer certificate"),
        ("another", &good, Some(&other), "invalid peer certificate"),
        ("expired", &expired, Some(&expired), "expired"),
        ("misnamed", &other, Some(&other), "not valid for name"),
        ("good", &good, Some(&good), ""),
    ] {
        let upstream = Upstream::with_tls([], presented.server());
        let file = trusted.map(|trusted| File::new(&format!("{name}.pem"), &trusted.pem));
        let ca_file = file.as_ref().map_or_else(String::new, |file| {
            format!("ca_file = \"{}\"", file.0.display())
        });
        let gateway = Gateway::new(&config(upstream.address.port(), &ca_file));
        for door in DOORS {
            if words.is_empty() {
                upstream.add(vec![Step::Send(door.answer())]);
                let reply = gateway.call(door.call(false));
                assert_eq!(reply.status, 200, "{name}: {}", reply.text());
                let timing = reply.head.get("server-timing").expect("timings");
                let shook_hands = timing.contains("tls;dur=");
                assert_eq!(
                    shook_hands,
                    door != Door::Plain,
                    "once per provider: {timing}"
                );
                upstream.add(door.stream());
                assert!(gateway.call(door.call(true)).whole, "{name}");
                continue;
            }
            let reply = gateway.call(door.call(false));
            let said = door.assert_error(&reply, 502, "upstream_unreachable");
            assert!(said.contains("localhost"), "{name}: {said}");
            assert!(said.contains(words), "{name}: {said}");
        }
        let sent = if words.is_empty() { 6 } else { 0 };
        assert_eq!(
            upstream.seen().len(),
            sent,
            "{name}: nothing is sent to a stranger"
        );
    }
}

#[test]
fn a_provider_that_does_not_speak_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP here\r\n");
            // What is left unread would turn the end into a reset.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let gateway = Gateway::new(&config(port, ""));
    for door in DOORS {
        let reply = gateway.call(door.call(false));
        let said = door.assert_error(&reply, 502, "upstream_unreachable");
        assert!(said.contains("the TLS handshake with localhost"), "{said}");
    }
}

#[test]
fn callers_are_served_over_tls_with_a_certificate_of_ones_own() {
    let certificate = certificate("gateway.test", |_| {});
    let cert = File::new("cert.pem", &certificate.pem);
    let key = File::new("key.pem", &certificate.key.serialize_pem());
    let upstream = Upstream::always(Door::Chat.answer());
    let tls = format!(
        "[server.tls]\ncert = \"{}\"\nkey = \"{}\"",
        cert.0.display(),
        key.0.display()
    );
    let gateway = Gateway::with_server(&tls, &crate::harness::gateway::both(upstream.address));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = std::net::TcpStream::connect(gateway.address).expect("the gateway accepts");
    let name = "gateway.test".try_into().expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let io = rustls::StreamOwned::new(session, tcp.try_clone().expect("a second handle"));
    let mut client = Client {
        wire: Wire::over(Box::new(io), tcp),
    };
    client.send(Door::Chat.call(false));
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, Door::Chat.answer_body())
    );

    // One that speaks in the clear is hung up on, and nobody else notices.
    let mut plain = gateway.client();
    plain.send(Door::Chat.call(false));
    while !plain.wire.ends() {
        plain.wire.forget();
    }
    client.send(Door::Chat.call(false));
    assert_eq!(client.reply().status, 200);
}
