//! An answer on its way out: what it is made of, the headers that lie about it,
//! and the course its body takes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRAILER};
use tokio::time::Instant;

use super::dice::Dice;
use super::fault::Fault;
use super::line::Switch;
use super::orders::Orders;
use super::playback::{Play, Playback, Source, Strike};
use super::script::Script;
use super::tally::Tally;

/// The size of an event that no reader should have to hold.
const OVERSIZED: usize = 2 << 20;

/// What an answer is made of, before it is given a head and a time.
pub(crate) struct Reply {
    pub(crate) content: Content,
    pub(crate) content_type: &'static str,
    /// Tokens read.
    pub(crate) input: u64,
    /// Tokens said, where that is known already.
    pub(crate) output: u64,
    /// Tokens that take their time before an unstreamed answer is whole.
    pub(crate) longest: u64,
}

/// What a body holds.
pub(crate) enum Content {
    Whole(Bytes),
    Stream(Box<Script>),
    /// So many bytes of no meaning.
    Blocks(Source, u64),
}

impl Reply {
    /// An answer that is one JSON document.
    pub(crate) fn json(body: Bytes) -> Self {
        Self {
            content: Content::Whole(body),
            content_type: "application/json",
            input: 0,
            output: 0,
            longest: 0,
        }
    }
}

/// Sets the headers that a fault changes.
pub(crate) fn mark(headers: &mut HeaderMap, content: &Content, fault: Option<Fault>, is_h2: bool) {
    match (fault, content) {
        (Some(Fault::WrongLength), Content::Whole(bytes)) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() + 100));
        }
        // More than any stream here is long.
        (Some(Fault::WrongLength), Content::Stream(_)) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(1 << 30));
        }
        (Some(Fault::WrongLength), Content::Blocks(_, length)) => {
            headers.insert(
                CONTENT_LENGTH,
                HeaderValue::from(length.saturating_add(100)),
            );
        }
        (Some(Fault::Gzip), _) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (Some(Fault::Trailers), _) => {
            headers.insert(TRAILER, HeaderValue::from_static("x-sim-trailer"));
        }
        (Some(Fault::Goaway), _) if !is_h2 => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // A clean end before the stated length would be no clean end.
        (Some(Fault::Truncate(_)), _) => {}
        (_, Content::Blocks(_, length)) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(*length));
        }
        _ => {}
    }
}

/// The course one body takes: its time, and what happens on the way.
pub(crate) struct Course<'a> {
    pub(crate) orders: &'a Orders,
    /// When the first event is due.
    pub(crate) due: Instant,
    pub(crate) dice: Dice,
    /// The connection that goes with a reset: on HTTP/1.1.
    pub(crate) connection: Option<Arc<Switch>>,
    pub(crate) request_id: String,
    pub(crate) tally: Tally,
}

impl Course<'_> {
    /// The body.
    pub(crate) fn play(self, content: Content) -> Playback {
        let fault = self.orders.fault;
        let is_stream = matches!(content, Content::Stream(_));
        let source = match content {
            Content::Whole(bytes) if !strikes_body(fault) => {
                return Playback::whole(bytes, Some(self.tally));
            }
            Content::Whole(bytes) => Source::Pieces(pieces(bytes, fault).into_iter()),
            Content::Stream(script) => Source::Script(script),
            Content::Blocks(source, _) => source,
        };
        let mut play = Play::new(source, self.due);
        play.dice = self.dice;
        if is_stream {
            play.gap = self.orders.gap.clone();
            play.burst = self.orders.burst;
        }
        match fault {
            Some(Fault::Drip(bytes)) => play.drip = usize::try_from(bytes).ok(),
            Some(Fault::Gzip) => play.compress(),
            Some(Fault::Trailers) => play.trailers = true,
            Some(Fault::WrongLength) => play.lingers = true,
            _ => {
                play.strike = strike(
                    fault,
                    play.source.pieces(),
                    self.connection,
                    self.request_id,
                )
            }
        }
        Playback::play(play, self.tally)
    }
}

/// What strikes in the body, and after how many events. Of an answer in
/// `pieces`, any N beyond them means "before the last".
fn strike(
    fault: Option<Fault>,
    pieces: Option<u64>,
    connection: Option<Arc<Switch>>,
    request_id: String,
) -> Option<(u64, Strike)> {
    let at = |n: u64| pieces.map_or(n, |pieces| n.min(pieces.saturating_sub(1)));
    Some(match (fault?, pieces) {
        (Fault::ResetAt(n), _) => (at(n), Strike::Reset(connection)),
        (Fault::StallAt(n), _) => (at(n), Strike::Stall),
        (Fault::Truncate(n), _) => (at(n), Strike::End),
        (Fault::Malformed(n), None) => (
            n,
            Strike::Insert(Bytes::from_static(b"data: {\"malformed\": [,\n\n")),
        ),
        (Fault::Oversized(n), None) => (n, Strike::Oversized(OVERSIZED)),
        (Fault::Error(n), None) => (n, Strike::Error(request_id)),
        _ => return None,
    })
}

/// Whether a fault strikes a body that would be one honest piece.
fn strikes_body(fault: Option<Fault>) -> bool {
    matches!(
        fault,
        Some(
            Fault::ResetAt(_)
                | Fault::StallAt(_)
                | Fault::Truncate(_)
                | Fault::Malformed(_)
                | Fault::Drip(_)
                | Fault::WrongLength
                | Fault::Gzip
                | Fault::Trailers
        )
    )
}

/// An unstreamed body as the pieces its fault strikes between.
fn pieces(body: Bytes, fault: Option<Fault>) -> Vec<Bytes> {
    match fault {
        Some(Fault::ResetAt(_) | Fault::StallAt(_) | Fault::Truncate(_)) => {
            let half = body.len() / 2;
            vec![body.slice(..half), body.slice(half..)]
        }
        Some(Fault::Malformed(_)) => vec![Bytes::from_static(b"{\"malformed\": [,")],
        _ => vec![body],
    }
}
