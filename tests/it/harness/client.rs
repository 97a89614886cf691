//! A caller that says exactly what it is told to, at the pace it is told.

use std::net::{Shutdown, SocketAddr, TcpStream};

use super::wire::{Framing, Head, Piece, Wire, find};

/// A connection to the gateway.
pub(crate) struct Client {
    pub(crate) wire: Wire,
}

/// A response whose head has come.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    /// The statuses of what came before it (1xx).
    pub(crate) before: Vec<u16>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Its body ended as it was announced to.
    pub(crate) whole: bool,
    pub(crate) before: Vec<u16>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway accepts");
        Self {
            wire: Wire::new(stream),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes.as_ref()).expect("the gateway reads");
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        self.wire
            .tcp()
            .shutdown(Shutdown::Write)
            .expect("an open connection");
    }

    /// The head of the next response that is not an interim one.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut before = Vec::new();
        loop {
            let head = self.wire.head().expect("an answer, not a closed door");
            let status = status(&head);
            if (100..200).contains(&status) {
                before.push(status);
                continue;
            }
            let framing = match status {
                204 | 304 => Framing::Over,
                _ => head.framing(Framing::ToEnd),
            };
            return Answer {
                status,
                head,
                framing,
                before,
            };
        }
    }

    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        let answer = self.answer();
        let payload = self.wire.payload(answer.framing);
        Reply {
            status: answer.status,
            head: answer.head,
            body: payload.bytes,
            trailers: payload.trailers,
            whole: payload.whole,
            before: answer.before,
        }
    }

    /// Reads of a body until it contains `wanted`; returns what was read.
    #[track_caller]
    pub(crate) fn until(&mut self, answer: &mut Answer, wanted: &str) -> Vec<u8> {
        let mut seen = Vec::new();
        while find(&seen, wanted.as_bytes()).is_none() {
            match self.wire.piece(&mut answer.framing) {
                Piece::Data(data) => seen.extend_from_slice(&data),
                other => panic!(
                    "{other:?} before {wanted:?}, after {:?}",
                    String::from_utf8_lossy(&seen)
                ),
            }
        }
        seen
    }

    /// The rest of a body.
    #[track_caller]
    pub(crate) fn rest(&mut self, answer: &Answer) -> super::wire::Payload {
        self.wire.payload(answer.framing)
    }
}

fn status(head: &Head) -> u16 {
    let word = head.first.split(' ').nth(1);
    word.and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no status line: {:?}", head.first))
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }
}

/// A request with a body of known length.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = head("POST", path, headers);
    request.truncate(request.len() - 2);
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

/// The head of a request, which ends there unless `headers` say otherwise.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: gateway.test\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}
