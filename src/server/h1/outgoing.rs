//! An answer on its way out: all that is ready in one write, and nothing more
//! asked for before that is taken.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use tokio::io::AsyncWrite;

use super::encode::{self, Framing};
use super::head::Manner;
use crate::http1::Response;

/// Pieces of a body up to this size are copied behind each other; larger ones
/// are written from where they are.
const SMALL: usize = 4 << 10;

/// How much is gathered for one write before a large piece.
const PAGE_MAX: usize = 16 << 10;

thread_local! {
    /// What is gathered into, by one connection at a time.
    static PAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What has been made ready and not been taken.
#[derive(Default)]
pub(super) struct Outgoing {
    page: Bytes,
    /// A large piece behind it.
    large: Bytes,
    /// What ends that piece.
    end: &'static [u8],
}

/// An answer that is being sent.
pub(super) struct Answer<B> {
    /// Another may follow it on its connection.
    pub(super) keeps: bool,
    /// To be written before anything of the body.
    head: Option<encode::Head>,
    body: B,
    framing: Framing,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Going,
    /// There is no more of it for now.
    Asleep,
    /// All of it is made ready.
    Ended,
    /// It broke off.
    Broken,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> Answer<B> {
    /// `answer`, to a request made in that manner.
    pub(super) fn new(answer: Response<B>, manner: Manner) -> Self {
        let Response {
            status,
            fields,
            body,
        } = answer;
        let length = body.size_hint().exact();
        let framing = Framing::of(status, &fields, length, manner);
        let head = encode::Head {
            status,
            fields,
            framing,
            length,
            // An end that is told by the connection's is its end.
            manner: Manner {
                keeps: manner.keeps && framing != Framing::UntilClose,
                ..manner
            },
        };
        Self {
            keeps: head.manner.keeps,
            head: Some(head),
            body,
            framing,
            stage: match framing {
                Framing::None => Stage::Ended,
                _ => Stage::Going,
            },
        }
    }

    /// Writes to `page` what is ready of it. A large piece, and what ends it,
    /// stays where it is and belongs behind that.
    fn gather(&mut self, page: &mut Vec<u8>, cx: &mut Context<'_>) -> (Bytes, &'static [u8]) {
        if let Some(head) = self.head.take() {
            head.write_to(page);
        }
        while self.stage == Stage::Going && page.len() < PAGE_MAX {
            if self.framing == Framing::Length(0) {
                self.stage = Stage::Ended;
                break;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => self.stage = Stage::Asleep,
                Poll::Ready(None) => self.end(page, None),
                Poll::Ready(Some(Err(_))) => self.stage = Stage::Broken,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        let end = self.frame(page, data.len());
                        if data.len() > SMALL {
                            return (data, end);
                        }
                        page.extend_from_slice(&data);
                        page.extend_from_slice(end);
                    }
                    Err(frame) => self.end(page, frame.into_trailers().ok().as_ref()),
                },
            }
        }
        (Bytes::new(), b"")
    }

    /// Writes what stands before a piece of so many bytes; what stands behind
    /// it is returned.
    fn frame(&mut self, page: &mut Vec<u8>, size: usize) -> &'static [u8] {
        match &mut self.framing {
            Framing::Chunked => {
                encode::chunk_size(page, size);
                b"\r\n"
            }
            Framing::Length(left) => {
                // More than was announced would be the next answer's head.
                match left.checked_sub(size as u64) {
                    Some(less) => *left = less,
                    None => self.stage = Stage::Broken,
                }
                b""
            }
            Framing::None | Framing::UntilClose => b"",
        }
    }

    /// The body has ended: is the answer whole?
    fn end(&mut self, page: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
        self.stage = match self.framing {
            Framing::Length(_) => Stage::Broken,
            Framing::None | Framing::UntilClose => Stage::Ended,
            Framing::Chunked => {
                encode::last_chunk(page, trailers);
                Stage::Ended
            }
        };
    }
}

impl Outgoing {
    /// Tells a caller that waits for it to send its body.
    pub(super) fn go_on(&mut self) {
        self.page = Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Sends what is ready of an answer, to its end; an error where that can't
    /// be reached.
    pub(super) fn poll<B, IO>(
        &mut self,
        answer: &mut Answer<B>,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        IO: AsyncWrite + Unpin,
    {
        if answer.stage == Stage::Asleep {
            answer.stage = Stage::Going;
        }
        loop {
            ready!(self.poll_write(io, cx))?;
            match answer.stage {
                Stage::Going => {}
                Stage::Ended if answer.head.is_some() => {}
                Stage::Ended => return Poll::Ready(Ok(())),
                Stage::Asleep => return Poll::Pending,
                Stage::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            let mut page = PAGE.take();
            page.clear();
            let (large, end) = answer.gather(&mut page, cx);
            let written = self.write_first(&page, large, end, io, cx);
            PAGE.set(page);
            written?;
        }
    }

    /// Writes once, and keeps what is not taken.
    fn write_first<IO: AsyncWrite + Unpin>(
        &mut self,
        page: &[u8],
        mut large: Bytes,
        end: &'static [u8],
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let written = match write(page, &large, end, io, cx) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        let left = page.get(written..).unwrap_or_default();
        let of_large = written.saturating_sub(page.len()).min(large.len());
        let of_end = written.saturating_sub(page.len() + large.len());
        large.advance(of_large);
        *self = Self {
            page: Bytes::copy_from_slice(left),
            large,
            end: &end[of_end..],
        };
        Ok(())
    }

    /// Writes what was not taken before.
    pub(super) fn poll_write<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !(self.page.is_empty() && self.large.is_empty() && self.end.is_empty()) {
            let mut written = ready!(write(&self.page, &self.large, self.end, io, cx))?;
            for piece in [&mut self.page, &mut self.large] {
                let part = written.min(piece.len());
                piece.advance(part);
                written -= part;
            }
            self.end = &self.end[written..];
        }
        Pin::new(io).poll_flush(cx)
    }
}

/// Writes the three behind each other, once.
fn write<IO: AsyncWrite + Unpin>(
    page: &[u8],
    large: &[u8],
    end: &[u8],
    io: &mut IO,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if page.len() + large.len() + end.len() == 0 {
        return Poll::Ready(Ok(0));
    }
    let written = match large.is_empty() && end.is_empty() {
        true => ready!(Pin::new(io).poll_write(cx, page)),
        false => {
            let slices = [page, large, end].map(IoSlice::new);
            ready!(Pin::new(io).poll_write_vectored(cx, &slices))
        }
    };
    Poll::Ready(match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    })
}
