//! The least HTTP/1.1 client that can tell whether a proxy relayed an answer
//! whole: request bytes are made once, answers are framed but never kept.
//!
//! Its cost is paid on the core the responder runs on, so it does nothing that
//! the measurement doesn't need: no header map, no allocation per call.

use std::io;
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// A keep-alive connection to a proxy or a responder.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// `bytes[start..end]` was read and not yet consumed.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    body: Body,
    keep: bool,
}

/// What is left of the answer being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Done,
    Sized(u64),
    /// Bytes left in the chunk being read; at 0 a size line comes next.
    Chunk(u64),
    /// The CRLF behind a chunk's data comes next.
    ChunkEnd,
    Trailers,
    UntilClose,
}

/// The part of an answer's head that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// What its cache says of it, where one does.
    pub cache: Option<Cache>,
}

/// What became of a call at a cache (`Cache-Status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The answer had been kept.
    Hit,
    /// It was asked for.
    Miss,
    /// Somebody else was asking for it already.
    Joined,
}

impl Connection {
    /// Connects, with `TCP_NODELAY`.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            bytes: vec![0; 16 * 1024],
            start: 0,
            end: 0,
            body: Body::Done,
            keep: true,
        })
    }

    /// Whether the connection can carry another call.
    pub fn is_reusable(&self) -> bool {
        self.keep && self.body == Body::Done && self.start == self.end
    }

    /// Sends a whole request (head and body).
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads the head of the answer, skipping interim (1xx) ones.
    ///
    /// # Errors
    /// Those of the socket, and an answer that is not HTTP/1.1.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            match self.parse()? {
                Some((head, length)) => {
                    self.start += length;
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None => self.fill().await?,
            }
        }
    }

    /// Waits for an interim answer (1xx): a server that has been told
    /// `Expect: 100-continue` sends it when it wants the body, and so has begun.
    ///
    /// # Errors
    /// Those of [`Connection::head`], and a final answer instead.
    pub async fn interim(&mut self) -> Result<()> {
        loop {
            match self.parse()? {
                Some((head, length)) if head.status < 200 => {
                    self.start += length;
                    self.body = Body::Done;
                    return Ok(());
                }
                Some((head, _)) => {
                    return Err(format!("answered {} before the body was sent", head.status).into());
                }
                None => self.fill().await?,
            }
        }
    }

    /// The next bytes of the body as they arrive, freed of their framing;
    /// `None` at its end.
    ///
    /// # Errors
    /// Those of the socket, broken framing, and a connection that ends before
    /// the body does.
    pub async fn chunk(&mut self) -> Result<Option<&[u8]>> {
        loop {
            match self.body {
                Body::Done => return Ok(None),
                Body::Sized(left) | Body::Chunk(left @ 1..) if self.start < self.end => {
                    let now =
                        (self.end - self.start).min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - now as u64;
                    self.body = match self.body {
                        Body::Sized(_) if left == 0 => Body::Done,
                        Body::Sized(_) => Body::Sized(left),
                        _ if left == 0 => Body::ChunkEnd,
                        _ => Body::Chunk(left),
                    };
                    self.start += now;
                    return Ok(Some(&self.bytes[self.start - now..self.start]));
                }
                Body::Chunk(0) => {
                    if let Some(line) = self.line() {
                        let size = chunk_size(&self.bytes[line.0..line.1])?;
                        self.body = if size == 0 {
                            Body::Trailers
                        } else {
                            Body::Chunk(size)
                        };
                        continue;
                    }
                }
                Body::ChunkEnd => {
                    if let Some((from, to)) = self.line() {
                        if from != to {
                            return Err("chunk is longer than its size line says".into());
                        }
                        self.body = Body::Chunk(0);
                        continue;
                    }
                }
                Body::Trailers => {
                    if let Some((from, to)) = self.line() {
                        if from == to {
                            self.body = Body::Done;
                        }
                        continue;
                    }
                }
                Body::UntilClose if self.start < self.end => {
                    let from = std::mem::replace(&mut self.start, self.end);
                    return Ok(Some(&self.bytes[from..self.end]));
                }
                Body::Sized(_) | Body::Chunk(_) | Body::UntilClose => {}
            }
            match self.fill().await {
                Err(_) if self.body == Body::UntilClose => self.body = Body::Done,
                outcome => outcome?,
            }
        }
    }

    /// Sends a request and reads its whole answer, which must be a 200.
    /// Returns the length of the body.
    ///
    /// # Errors
    /// Everything that is not a whole 200, with the beginning of the answer.
    pub async fn call(&mut self, request: &[u8]) -> Result<u64> {
        self.send(request).await?;
        let head = self.head().await?;
        if head.status != 200 {
            return Err(self.refusal(head).await);
        }
        let mut length = 0;
        while let Some(bytes) = self.chunk().await? {
            length += bytes.len() as u64;
        }
        Ok(length)
    }

    /// Words for an answer that should have been a 200.
    pub async fn refusal(&mut self, head: Head) -> Box<dyn std::error::Error + Send + Sync> {
        let body = match self.chunk().await {
            Ok(Some(bytes)) => String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned(),
            _ => String::new(),
        };
        format!("answered {} instead of 200: {body}", head.status).into()
    }

    /// Reads the head if all of it is here; its length beside it.
    fn parse(&mut self) -> Result<Option<(Head, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = answer.parse(&self.bytes[self.start..self.end])?
        else {
            return Ok(None);
        };
        let mut head = Head {
            status: answer.code.unwrap_or_default(),
            cache: None,
        };
        self.keep = true;
        self.body = Body::UntilClose;
        for header in answer.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") && self.body == Body::UntilClose {
                self.body = match std::str::from_utf8(header.value)?.trim().parse()? {
                    0 => Body::Done,
                    length => Body::Sized(length),
                };
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                self.body = Body::Chunk(0);
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.keep = !header.value.eq_ignore_ascii_case(b"close");
            } else if header.name.eq_ignore_ascii_case("cache-status") {
                head.cache = Some(Cache::of(header.value));
            }
        }
        self.keep &= self.body != Body::UntilClose;
        Ok(Some((head, length)))
    }

    /// The next line as `(from, to)` without its CRLF, if all of it is here.
    fn line(&mut self) -> Option<(usize, usize)> {
        let length = memmem::find(&self.bytes[self.start..self.end], b"\r\n")?;
        let from = self.start;
        self.start += length + 2;
        Some((from, from + length))
    }

    /// Waits for more bytes. The end of the connection is an error here:
    /// whoever calls this needs more.
    async fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == self.bytes.len() {
                return Err("the answer's head is larger than 16 KiB".into());
            }
        }
        match self.stream.read(&mut self.bytes[self.end..]).await? {
            0 => {
                self.keep = false;
                Err("connection closed before the answer ended".into())
            }
            more => {
                self.end += more;
                Ok(())
            }
        }
    }
}

/// Asks `to` for a page of text, over a connection of its own.
///
/// # Errors
/// Those of the socket, and anything but a whole 200 of text.
pub async fn get(to: SocketAddr, path: &str) -> Result<String> {
    let mut connection = Connection::open(to).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {to}\r\n\r\n");
    connection.send(request.as_bytes()).await?;
    let head = connection.head().await?;
    if head.status != 200 {
        return Err(connection.refusal(head).await);
    }
    let mut text = Vec::new();
    while let Some(bytes) = connection.chunk().await? {
        text.extend_from_slice(bytes);
    }
    Ok(String::from_utf8(text)?)
}

impl Cache {
    /// Reads nowait's `Cache-Status`, or the word nginx has for it.
    fn of(value: &[u8]) -> Self {
        let says = |word: &[u8]| memmem::find(value, word).is_some();
        if says(b"; hit") || says(b"HIT") {
            Self::Hit
        } else if says(b"collapsed") {
            Self::Joined
        } else {
            Self::Miss
        }
    }
}

/// Counts the events of an event stream, however it is cut into pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventCount {
    /// Blank lines seen so far.
    pub events: u64,
    after_newline: bool,
}

impl EventCount {
    /// Takes the next piece; returns how many events ended in it.
    pub fn see(&mut self, piece: &[u8]) -> u64 {
        let before = self.events;
        let mut rest = 0;
        for newline in memchr::memchr_iter(b'\n', piece) {
            let adjacent = newline == rest && (newline > 0 || self.after_newline);
            self.events += u64::from(adjacent);
            rest = newline + 1;
        }
        if let Some(&last) = piece.last() {
            self.after_newline = last == b'\n';
        }
        self.events - before
    }
}

fn chunk_size(line: &[u8]) -> Result<u64> {
    let digits = std::str::from_utf8(line)?;
    let digits = digits.split(';').next().unwrap_or(digits).trim();
    Ok(u64::from_str_radix(digits, 16)
        .map_err(|_| format!("chunk size {digits:?} is not a number"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Reads `answer`, sent in pieces of `cut` bytes; gives the body back.
    async fn read(answer: &'static [u8], cut: usize) -> Result<(u16, Vec<u8>, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut connection = Connection::open(listener.local_addr()?).await?;
        let (mut peer, _) = listener.accept().await?;
        peer.set_nodelay(true)?;
        tokio::spawn(async move {
            for piece in answer.chunks(cut) {
                let _ = peer.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        });
        let head = connection.head().await?;
        let mut body = Vec::new();
        while let Some(bytes) = connection.chunk().await? {
            body.extend_from_slice(bytes);
        }
        Ok((head.status, body, connection.is_reusable()))
    }

    #[tokio::test]
    async fn answers_are_framed_however_they_are_cut() {
        let cases: [(&[u8], u16, &[u8], bool); 5] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", true),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nserver-timing: a\r\n\r\n",
                200,
                b"hello!",
                true,
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", 404, b"", true),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil close", 200, b"until close", false),
            (b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", 503, b"x", false),
        ];
        for (answer, status, body, reusable) in cases {
            for cut in [1, 3, 7, 1000] {
                let (got, bytes, kept) =
                    read(answer, cut).await.expect("the answer is well formed");
                assert_eq!(
                    (got, bytes.as_slice(), kept),
                    (status, body, reusable),
                    "cut at {cut}"
                );
            }
        }
    }

    #[tokio::test]
    async fn broken_answers_are_named() {
        for answer in [
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".as_slice(),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n".as_slice(),
            b"SSH-2.0-nope\r\n".as_slice(),
        ] {
            assert!(
                read(answer, 1000).await.is_err(),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }

    #[test]
    fn a_cache_is_understood() {
        for (value, says) in [
            ("nowait; hit; ttl=3599", Cache::Hit),
            ("HIT", Cache::Hit),
            ("nowait; fwd=miss; collapsed", Cache::Joined),
            ("nowait; fwd=miss; stored", Cache::Miss),
            ("nowait; fwd=bypass", Cache::Miss),
            ("MISS", Cache::Miss),
        ] {
            assert_eq!(Cache::of(value.as_bytes()), says, "{value}");
        }
    }

    #[test]
    fn events_are_counted_however_they_are_cut() {
        let stream = b"data: a\n\ndata: b\n\n: ping\n\ndata: [DONE]\n\n";
        for cut in 1..stream.len() {
            let mut count = EventCount::default();
            let seen: u64 = stream.chunks(cut).map(|piece| count.see(piece)).sum();
            assert_eq!((seen, count.events), (4, 4), "cut at {cut}");
        }
    }
}
