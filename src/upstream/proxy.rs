//! A tunnel through an HTTP proxy (RFC 9110, 9.3.6).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fault::{Fault, FaultKind};
use super::origin::{Origin, Proxy};
use super::wire::Plain;

/// No proxy needs more to say yes or no.
const MAX_HEAD: usize = 8 * 1024;

/// Asks `proxy`, reached over `io`, for a tunnel to `origin`. After `Ok` what
/// is written to `io` reaches the origin.
pub(super) async fn tunnel(io: &mut Plain, proxy: &Proxy, origin: &Origin) -> Result<(), Fault> {
    let authority = origin.host_port();
    let failed = |why: &dyn std::fmt::Display| {
        let Proxy { host, port, .. } = proxy;
        let what = format!("asking the proxy {host}:{port} for a tunnel to {authority}: {why}");
        Fault::new(FaultKind::Proxy, what)
    };
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(auth) = &proxy.auth {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(auth.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    io.write_all(&head)
        .await
        .map_err(|error| failed(&error.kind()))?;

    let mut answer = Vec::with_capacity(512);
    // The origin is silent until it is spoken to, so nothing after the head is
    // swallowed here.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_HEAD {
            return Err(failed(&"its answer is too long"));
        }
        let read = io
            .read_buf(&mut answer)
            .await
            .map_err(|error| failed(&error.kind()))?;
        if read == 0 {
            return Err(failed(&"it closed the connection"));
        }
    }
    let first = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    match status(first) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(failed(&"it wants other credentials (407)")),
        Some(status) => Err(failed(&format_args!("it answered {status}"))),
        None => Err(failed(&"its answer is not HTTP")),
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(answer: &'static [u8]) -> (Result<(), Fault>, String) {
        let (near, mut far) = tokio::io::duplex(4096);
        let proxy = Proxy {
            host: "proxy".into(),
            port: 3128,
            auth: Some(http::HeaderValue::from_static("Basic c2VjcmV0")),
        };
        let origin = Origin::new(true, "api.test", 443);
        let serve = async {
            let mut request = vec![0; 1024];
            let read = far.read(&mut request).await.unwrap();
            far.write_all(answer).await.unwrap();
            drop(far);
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        let mut io = Plain::Memory(near);
        tokio::join!(tunnel(&mut io, &proxy, &origin), serve)
    }

    #[tokio::test]
    async fn a_proxy_says_yes_no_or_nonsense() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 Connection established\r\n\r\n"[..], None),
            (b"HTTP/1.0 204 Fine\r\nVia: x\r\n\r\n", None),
            (
                b"HTTP/1.1 407 No\r\n\r\n",
                Some("wants other credentials (407)"),
            ),
            (b"HTTP/1.1 502 No\r\n\r\n", Some("it answered 502")),
            (b"SSH-2.0-x\r\n\r\n", Some("not HTTP")),
            (b"HTTP/1.1 200 OK\r\n", Some("closed the connection")),
        ] {
            let (outcome, request) = ask(answer).await;
            assert!(request.starts_with("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"));
            assert!(request.contains("Proxy-Authorization: Basic c2VjcmV0\r\n"));
            match (outcome, expected) {
                (Ok(()), None) => {}
                (Err(fault), Some(text)) => {
                    assert!(fault.message().contains(text), "{fault}");
                    assert!(!fault.message().contains("c2V"), "{fault}");
                }
                (outcome, _) => panic!("{outcome:?} for {answer:?}"),
            }
        }
    }
}
