//! TLS and what leads to it, over real sockets.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A TLS end for `localhost` that offers `alpn`, and who believes it.
fn identity(alpn: &[&str]) -> (TlsAcceptor, Arc<tls::Trust>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut store = RootCertStore::empty();
    store.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), tls::Trust::only(store))
}

/// Serves either version of HTTP, whichever the handshake settles on.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut io) = acceptor.accept(io).await else {
                return;
            };
            if io.get_ref().1.alpn_protocol() != Some(b"h2") {
                while request_of(&mut io).await.is_some() {
                    io.write_all(HELLO).await.unwrap();
                }
                return;
            }
            let mut server = ::h2::server::handshake(io).await.unwrap();
            while let Some(Ok((_, mut respond))) = server.accept().await {
                let response = http::Response::new(());
                let mut body = respond.send_response(response, false).unwrap();
                body.send_data(Bytes::from("hello"), true).unwrap();
            }
        });
    }
}

async fn upstream_of(alpn: &[&str], options: Options) -> (Arc<Upstream>, metrics::Pool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, trust) = identity(alpn);
    tokio::spawn(serve(listener, acceptor));
    let origin = Origin::new(true, "localhost", port);
    let metrics = metrics::Pool::default();
    let options = Options { trust, ..options };
    let upstream = Upstream::new(origin, options, Cores::one(), metrics.clone());
    (upstream, metrics)
}

#[tokio::test]
async fn both_sides_settle_on_a_version() {
    use Protocol::{One, Two};
    for (offered, wanted, spoken) in [
        (&["h2", "http/1.1"][..], Http::Auto, Two),
        (&["http/1.1"], Http::Auto, One),
        (&[], Http::Auto, One),
        (&["h2", "http/1.1"], Http::One, One),
        (&["h2", "http/1.1"], Http::Two, Two),
    ] {
        let options = Options {
            http: wanted,
            ..options()
        };
        let (upstream, metrics) = upstream_of(offered, options).await;
        for count in 0..3 {
            let (timing, body) = call(&upstream, post("/x", "{}")).await.unwrap();
            assert_eq!(body, "hello");
            assert_eq!(timing.protocol, Some(spoken), "{offered:?} {wanted:?}");
            assert_eq!(timing.tls.is_some(), count == 0);
            assert_eq!(timing.connect.is_some(), count == 0);
        }
        assert_eq!(metrics.handshakes[0].get(), 1);
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_with_advice() {
    let (stranger, _) = identity(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, stranger));
    let (_, trust) = identity(&[]);
    let options = Options { trust, ..options() };
    let origin = Origin::new(true, "localhost", port);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    let fault = call(&upstream, get("/")).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Tls);
    let message = fault.message();
    assert!(message.contains(&format!("localhost:{port}")), "{message}");
    assert!(message.contains("ca_file"), "{message}");
}

#[tokio::test]
async fn many_at_once_to_a_host_nothing_is_known_of() {
    for alpn in ["h2", "http/1.1"] {
        let (upstream, metrics) = upstream_of(&[alpn], options()).await;
        let calls: Vec<_> = (0..60)
            .map(|_| {
                let upstream = upstream.clone();
                tokio::spawn(async move { call(&upstream, get("/")).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let dialled = metrics.handshakes[0].get();
        // Thrice what is needed, if the machine is so busy that dials count as
        // overdue.
        let most = if alpn == "h2" { 12 } else { 180 };
        assert!((1..=most).contains(&dialled), "{alpn}: {dialled}");
    }
}

#[tokio::test]
async fn a_tunnel_leads_through_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin_address = listener.local_addr().unwrap();
    let (acceptor, trust) = identity(&["h2"]);
    tokio::spawn(serve(listener, acceptor));
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = proxy.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let request = request_of(&mut client).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut far = tokio::net::TcpStream::connect(origin_address)
            .await
            .unwrap();
        tokio::spawn(async move {
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut far).await;
        });
        request
    });
    let options = Options {
        trust,
        proxy: Some(Proxy {
            host: "127.0.0.1".into(),
            port,
            auth: None,
        }),
        ..options()
    };
    // The proxy does not look the name up, so neither do we.
    let origin = Origin::new(true, "localhost", 443);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    let (timing, body) = call(&upstream, get("/")).await.unwrap();
    assert_eq!(body, "hello");
    assert!(timing.connect.is_some() && timing.tls.is_some());
    let request = asked.await.unwrap();
    assert!(request.starts_with("CONNECT localhost:443 HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_ends_at_the_connect_timeout() {
    let (dialer, mut acceptor) = Dialer::listening(1024);
    let options = Options {
        transport: Transport::Memory(dialer),
        trust: identity(&[]).1,
        connect_timeout: Duration::from_secs(9),
        ..options()
    };
    let origin = Origin::new(true, "localhost", 443);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    let started = Instant::now();
    let calling = call(&upstream, get("/"));
    let silent = async {
        let mut stalled = Vec::new();
        while let Some(io) = acceptor.accept().await {
            stalled.push(io);
        }
    };
    tokio::select! {
        outcome = calling => {
            let fault = outcome.unwrap_err();
            assert_eq!(fault.kind(), FaultKind::ConnectTimeout);
            assert_eq!(fault.message(), "connecting to localhost:443 took longer than 5s");
            assert_eq!(started.elapsed(), Duration::from_secs(5));
        }
        () = silent => panic!("the upstream is there"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_dial_overtakes_a_stalled_one() {
    let (dialer, mut acceptor) = Dialer::listening(16 * 1024);
    let (tls, trust) = identity(&[]);
    let options = Options {
        transport: Transport::Memory(dialer),
        trust,
        ..options()
    };
    let origin = Origin::new(true, "localhost", 443);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    tokio::spawn(async move {
        let _stalled = acceptor.accept().await.unwrap();
        let mut io = tls.accept(acceptor.accept().await.unwrap()).await.unwrap();
        while request_of(&mut io).await.is_some() {
            io.write_all(HELLO).await.unwrap();
        }
    });
    let started = Instant::now();
    let (timing, _) = call(&upstream, get("/")).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(timing.cold);
}

#[tokio::test(start_paused = true)]
async fn a_connection_given_back_beats_a_dial_which_becomes_a_spare() {
    let (dialer, mut acceptor) = Dialer::listening(16 * 1024);
    let (tls, trust) = identity(&[]);
    let options = Options {
        transport: Transport::Memory(dialer),
        trust,
        ..options()
    };
    let origin = Origin::new(true, "localhost", 443);
    let upstream = Upstream::new(origin, options, Cores::one(), metrics::Pool::default());
    // The first is served at once, the second's handshake takes a while.
    tokio::spawn(async move {
        let mut connections = Vec::new();
        for delay in [0, 500] {
            let io = acceptor.accept().await.unwrap();
            let tls = tls.clone();
            connections.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let mut io = tls.accept(io).await.unwrap();
                while request_of(&mut io).await.is_some() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    io.write_all(HELLO).await.unwrap();
                }
            }));
        }
        for connection in connections {
            connection.await.unwrap();
        }
    });
    call(&upstream, get("/")).await.unwrap();
    let ((first, _), (second, _)) = {
        let (first, second) = tokio::join!(call(&upstream, get("/")), call(&upstream, get("/")));
        (first.unwrap(), second.unwrap())
    };
    assert!(first.queue.is_none() && !first.cold);
    assert_eq!(second.queue.map(|queue| queue.as_millis()), Some(100));
    assert!(!second.cold && second.reused);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gauges = upstream.gauges();
    assert_eq!((gauges.open, gauges.idle, gauges.warm), (2, 2, 1));
}
