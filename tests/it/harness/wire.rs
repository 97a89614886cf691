//! HTTP/1.1 on a blocking socket, read without a library: a test that looks
//! at bytes must not have them tidied up on the way.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// A socket, in the clear or not.
pub(crate) trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

/// One end of a connection.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    tcp: TcpStream,
    /// Read and not taken yet.
    held: Vec<u8>,
}

/// A start line and the headers below it, their names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    ToEnd,
    Over,
}

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Vec<u8>),
    /// The end as announced, with the trailers.
    End(Vec<(String, String)>),
    /// The connection ended first.
    Cut,
}

/// A whole body, or what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) whole: bool,
}

impl Head {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        Self {
            first: lines.next().unwrap_or_default().to_owned(),
            headers: lines.map(field).collect(),
        }
    }

    /// How the body of a request with this head ends; that of a response, if
    /// nothing is said, with the connection.
    pub(crate) fn framing(&self, unsaid: Framing) -> Framing {
        if self.get("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        match self.get("content-length") {
            Some(length) => Framing::Length(length.parse().expect("a length")),
            None => unsaid,
        }
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        let io = Box::new(tcp.try_clone().expect("a second handle"));
        Self::over(io, tcp)
    }

    /// A connection whose bytes go through `io`, which lies on `tcp`.
    pub(crate) fn over(io: Box<dyn Io>, tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).expect("a connected socket");
        tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        tcp.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self {
            io,
            tcp,
            held: Vec::new(),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes)?;
        self.io.flush()
    }

    /// Reads once; 0 at the end, however the connection ended.
    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut chunk = [0; 64 << 10];
        match self.io.read(&mut chunk) {
            Ok(read) => {
                self.held.extend_from_slice(&chunk[..read]);
                read
            }
            Err(fault) if is_late(&fault) => panic!("nothing came within {PATIENCE:?}"),
            Err(_) => 0,
        }
    }

    /// Takes so much of what is held; by whole copies, which a build without
    /// optimisation does as fast as any other.
    fn take(&mut self, size: usize) -> Vec<u8> {
        let rest = self.held.split_off(size);
        std::mem::replace(&mut self.held, rest)
    }

    /// A head; `None` where the connection ended before one.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let text = self.take(end + 4);
                return Some(Head::parse(&text));
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    /// The next part of a body.
    #[track_caller]
    pub(crate) fn piece(&mut self, framing: &mut Framing) -> Piece {
        match framing {
            Framing::Over | Framing::Length(0) => Piece::End(Vec::new()),
            Framing::Length(left) => {
                if self.held.is_empty() && self.fill() == 0 {
                    return Piece::Cut;
                }
                let take = self
                    .held
                    .len()
                    .min(usize::try_from(*left).expect("64 bits"));
                *left -= take as u64;
                Piece::Data(self.take(take))
            }
            Framing::ToEnd => {
                if self.held.is_empty() && self.fill() == 0 {
                    *framing = Framing::Over;
                    return Piece::End(Vec::new());
                }
                Piece::Data(std::mem::take(&mut self.held))
            }
            Framing::Chunked => self.chunk(framing),
        }
    }

    fn chunk(&mut self, framing: &mut Framing) -> Piece {
        let Some(line) = self.line() else {
            return Piece::Cut;
        };
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).expect("the size of a chunk");
        if size == 0 {
            let mut trailers = Vec::new();
            loop {
                match self.line() {
                    None => return Piece::Cut,
                    Some(line) if line.is_empty() => break,
                    Some(line) => trailers.push(field(&line)),
                }
            }
            *framing = Framing::Over;
            return Piece::End(trailers);
        }
        while self.held.len() < size + 2 {
            if self.fill() == 0 {
                return Piece::Cut;
            }
        }
        let data = self.take(size);
        self.take(2);
        Piece::Data(data)
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n") {
                let line = self.take(end + 2);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    #[track_caller]
    pub(crate) fn payload(&mut self, mut framing: Framing) -> Payload {
        let mut payload = Payload::default();
        loop {
            match self.piece(&mut framing) {
                Piece::Data(data) => payload.bytes.extend_from_slice(&data),
                Piece::End(trailers) => {
                    payload.trailers = trailers;
                    payload.whole = true;
                    return payload;
                }
                Piece::Cut => return payload,
            }
        }
    }

    /// Whether the other end closes, or resets, and says nothing more.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> bool {
        self.held.is_empty() && self.fill() == 0
    }

    /// Drops what was read and not taken.
    pub(crate) fn forget(&mut self) {
        self.held.clear();
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.tcp);
        socket
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("a socket");
    }
}

pub(crate) fn is_late(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}
