//! The fuzz body of what reads requests: chunking changes nothing, and nothing
//! that could be read in two ways is read at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body::Body as _;
use tokio::io::{AsyncRead, ReadBuf};

use super::reading::Inbox;
use crate::gateway::incoming::Incoming;
use crate::http1::{Fields, Name};

/// Fuzz body: the first eight bytes say how the rest is cut into reads. Panics
/// where the requests differ from those of the same bytes in one read.
#[doc(hidden)]
pub fn fuzz_requests(input: &[u8]) {
    let Some((sizes, wire)) = input.split_at_checked(8) else {
        return;
    };
    let whole = read(wire, &[]);
    let cut = read(wire, sizes);
    assert_eq!(whole, cut, "cut: the requests differ");
    let data: usize = whole.iter().map(|request| request.body.len()).sum();
    assert!(data <= wire.len(), "data from nowhere");
}

/// What a request has turned out to be.
#[derive(Debug, PartialEq)]
struct Told {
    head: String,
    body: Vec<u8>,
    /// Its body has come to its end.
    done: bool,
}

/// The whole requests that `wire` begins with, read in pieces of `sizes` in
/// turn; in one, if there are none. What follows a refusal, or half a head,
/// is none.
fn read(wire: &[u8], sizes: &[u8]) -> Vec<Told> {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut pieces = Pieces { wire, sizes, at: 0 };
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    loop {
        let (asked, body) = match inbox.begin() {
            Ok(Some(next)) => next,
            Err(_) => return all,
            Ok(None) => match inbox.poll_head(&mut pieces, cx) {
                Poll::Ready(Ok(Some(Ok(next)))) => next,
                Poll::Ready(Ok(None)) => continue,
                _ => return all,
            },
        };
        assert_clear(&asked.head.fields);
        let mut told = Told {
            head: format!("{:?} {:?} {:?}", asked.head, asked.framing, asked.manner),
            body: Vec::new(),
            done: false,
        };
        take(body, &mut inbox, &mut pieces, &mut told, cx);
        let done = told.done;
        all.push(told);
        if !done {
            return all;
        }
    }
}

/// Takes a body to its end, or as far as it comes.
fn take(
    mut body: Incoming,
    inbox: &mut Inbox,
    pieces: &mut Pieces<'_>,
    told: &mut Told,
    cx: &mut Context<'_>,
) {
    loop {
        match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                told.body.extend(frame.into_data().unwrap_or_default());
            }
            Poll::Ready(Some(Err(_))) => return,
            Poll::Ready(None) => {
                told.done = true;
                return;
            }
            Poll::Pending => {
                let heard = inbox.poll(pieces, cx);
                assert!(heard.is_ready(), "a body that is wanted is read");
            }
        }
    }
}

/// The head of a request that two servers read alike.
fn assert_clear(fields: &Fields) {
    assert!(fields.all(Name::Host).count() <= 1);
    let lengths = fields.all(Name::ContentLength).count();
    let codings = fields.all(Name::TransferEncoding).count();
    assert!(lengths + codings <= 1, "framed twice");
    for field in fields.iter() {
        let is_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
        assert!(
            field.text.iter().all(is_name),
            "{field_text:?}",
            field_text = field.text
        );
        assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}

/// Bytes as they come from a caller who then leaves.
struct Pieces<'a> {
    wire: &'a [u8],
    sizes: &'a [u8],
    at: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pieces = self.get_mut();
        let size = match pieces.sizes {
            [] => pieces.wire.len(),
            sizes => usize::from(sizes[pieces.at % sizes.len()]).max(1),
        };
        pieces.at += 1;
        let size = size.min(pieces.wire.len()).min(into.remaining());
        let (piece, rest) = pieces.wire.split_at(size);
        into.put_slice(piece);
        pieces.wire = rest;
        Poll::Ready(Ok(()))
    }
}
