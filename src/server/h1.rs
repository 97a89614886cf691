//! HTTP/1.1 with callers: one request at a time on a connection, on one task.
//!
//! There is no queue between the connection and the request it carries: the
//! task polls the answer, and while that waits, the caller, so that one who
//! leaves takes its call along (`docs/decisions/0007-own-http1-server.md`). A
//! connection that waits holds no buffer; what it reads ahead is bounded.

mod body;
mod encode;
mod fuzz;
mod head;
mod outgoing;
mod reading;
mod waiting;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

pub use fuzz::fuzz_requests;

use self::head::{Asked, Manner, Refused};
use self::outgoing::{Answer, Outgoing};
use self::reading::{Heard, Inbox};
use self::waiting::Waiting;
use crate::error::{Error, Kind};
use crate::gateway::Head;
use crate::gateway::drain::Drain;
use crate::gateway::incoming::Incoming;
use crate::http1::{Response, with_scratch};

/// Bytes of a head.
const MAX_HEAD: usize = 128 << 10;

/// How long a caller may take over a request's head, once it has begun.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(10);

/// How long a connection is kept without a request: longer than the clients'
/// own pools keep theirs, so that they close first and no request meets a
/// closing connection.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(75);

/// How much is read off behind an answer that ends its connection, for how long,
/// and how long its caller may pause.
const READ_OFF: usize = 64 << 20;
const READ_OFF_MAX: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What answers the requests of a connection.
pub(super) trait Service {
    /// The body of an answer. Its error cuts the connection.
    type Body: http_body::Body<Data = Bytes> + Unpin;

    /// Answers a request.
    fn answer(
        &self,
        head: Head,
        body: Incoming,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers one that is none; `head` is what could be read of its own.
    fn refuse(&self, head: &Head, why: &Error) -> Response<Self::Body>;

    /// The end of the process.
    fn drain(&self) -> &Drain;
}

/// Serves one connection to its end.
pub(super) async fn serve<IO, S>(io: IO, service: &S)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    let mut connection = Connection {
        io,
        inbox: Inbox::default(),
        outgoing: Outgoing::default(),
    };
    let mut waiting = Waiting::new(service.drain());
    while let Some(next) = connection.next(&mut waiting).await {
        let (answer, manner) = match next {
            Ok((Asked { head, manner, .. }, body)) => {
                let answer = pin!(service.answer(head, body));
                let Some(answer) = connection.attend(answer).await else {
                    return;
                };
                (answer, manner)
            }
            Err(Refused(head, why)) => (service.refuse(&head, &why), REFUSED),
        };
        let manner = Manner {
            keeps: manner.keeps && !waiting.is_draining() && connection.inbox.can_rest(),
            ..manner
        };
        let mut answer = Answer::new(answer, manner);
        if !connection.tell(&mut answer).await {
            return;
        }
        if !answer.keeps {
            if connection.part().await.is_ok() && !connection.inbox.is_over() {
                connection.read_off().await;
            }
            return;
        }
    }
    // Whoever says nothing more hears as much, if it listens.
    let _ = connection.part().await;
}

/// Nothing is believed of a request that is none, but that it waits for an
/// answer.
const REFUSED: Manner = Manner {
    to_head: false,
    is_old: false,
    keeps: false,
};

/// A caller's connection.
struct Connection<IO> {
    io: IO,
    inbox: Inbox,
    outgoing: Outgoing,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// The next request. `None` where there is none: the caller left or said
    /// nothing for long, or the process ends.
    async fn next(
        &mut self,
        waiting: &mut Waiting<'_>,
    ) -> Option<Result<(Asked, Incoming), Refused>> {
        let mut late = None;
        poll_fn(|cx| self.poll_next(&mut late, waiting, cx)).await
    }

    fn poll_next(
        &mut self,
        late: &mut Option<Instant>,
        waiting: &mut Waiting<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Asked, Incoming), Refused>>> {
        loop {
            if let Some(next) = self.inbox.begin().transpose() {
                return Poll::Ready(Some(next));
            }
            let had_begun = self.inbox.has_begun();
            match self.inbox.poll_head(&mut self.io, cx) {
                Poll::Ready(Ok(Some(next))) => return Poll::Ready(Some(next)),
                Poll::Ready(Ok(None)) => {
                    if !had_begun {
                        // From the first byte on the time counts.
                        *late = None;
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => {
                    let begun = self.inbox.has_begun();
                    if waiting.is_draining() && !begun {
                        return Poll::Ready(None);
                    }
                    let most = if begun { HEAD_MAX } else { IDLE_MAX };
                    let at = *late.get_or_insert_with(|| Instant::now() + most);
                    ready!(waiting.poll_until(at, cx));
                    return Poll::Ready(self.inbox.too_slow().map(Err));
                }
            }
        }
    }

    /// Waits for an answer, and reads what of the request it wants. `None`
    /// where the caller left.
    async fn attend<T>(&mut self, mut answer: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Some(answer));
                }
                match ready!(self.poll_caller(cx)) {
                    Heard::More => {}
                    Heard::Gone => return Poll::Ready(None),
                }
            }
        })
        .await
    }

    /// Sends an answer, no faster than the caller takes it. Whether all of it
    /// is with the kernel: else the caller left, or must see that there is no
    /// more.
    async fn tell<B>(&mut self, answer: &mut Answer<B>) -> bool
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(sent) = self.outgoing.poll(answer, &mut self.io, cx) {
                    return Poll::Ready(sent.is_ok());
                }
                match ready!(self.inbox.poll(&mut self.io, cx)) {
                    Heard::More => {}
                    Heard::Gone => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Reads of the caller what is wanted now, and else whether it is still
    /// there.
    fn poll_caller(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if self.inbox.owes_a_word(cx) {
            self.outgoing.go_on();
        }
        // If it doesn't get through now, it goes before the answer.
        let _ = self.outgoing.poll_write(&mut self.io, cx);
        self.inbox.poll(&mut self.io, cx)
    }

    /// Says that nothing more will come.
    async fn part(&mut self) -> io::Result<()> {
        let goodbye = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx));
        timeout(PAUSE_MAX, goodbye).await?
    }

    /// Reads off what the caller is still sending: a connection closed with
    /// bytes unread is reset, and the reset overtakes the answer.
    async fn read_off(&mut self) {
        let until = Instant::now() + READ_OFF_MAX;
        let mut left = Some(READ_OFF);
        while let Some(most) = left {
            // One that has stopped writing is reading.
            let pause = Instant::now() + PAUSE_MAX;
            let read = poll_fn(|cx| read(&mut self.io, cx, |bytes| bytes.len()));
            left = match timeout_at(until.min(pause), read).await {
                Ok(Ok(Some(size))) => most.checked_sub(size),
                _ => None,
            };
        }
    }
}

/// Reads once and hands on what came; `None` at the end.
fn read<IO: AsyncRead + Unpin, T>(
    io: &mut IO,
    cx: &mut Context<'_>,
    take: impl FnOnce(&mut [u8]) -> T,
) -> Poll<io::Result<Option<T>>> {
    with_scratch(|scratch| {
        let mut into = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(cx, &mut into))?;
        let came = into.filled_mut();
        Poll::Ready(Ok((!came.is_empty()).then(|| take(came))))
    })
}

/// The error of a head that does not come to its end.
fn late() -> Error {
    Error::new(
        Kind::RequestTimeout,
        "the request's head was not whole within 10s: send it in one go",
    )
}

#[cfg(test)]
mod tests;
