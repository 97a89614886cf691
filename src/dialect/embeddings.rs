//! Embedding calls taken apart and put together by where things lie in them.
//!
//! Several callers' inputs travel in one request ([`compose`]), and one answer
//! becomes several ([`assemble`]), without a vector being read: its bytes go
//! on as they came, and so does everything around it but two things, the
//! `index` of each item and the numbers of `usage`. The unit is a [`Piece`],
//! what one input got; by itself it is the answer its input would have got
//! alone, and that is how a cache keeps it.
//!
//! OpenAI's form (platform.openai.com/docs/api-reference/embeddings), which
//! compatible servers share.

mod answer;
mod ask;
mod usage;

use std::fmt;

pub use answer::{Answer, Piece, assemble};
pub use ask::{Ask, Kind, compose};

/// Why an answer can't be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Fuzz body: a request, a byte 0, and an answer to it. Panics where what was
/// taken apart and put together isn't what it was.
#[doc(hidden)]
pub fn fuzz_embeddings(input: &[u8]) {
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let mut half = || bytes::Bytes::copy_from_slice(halves.next().unwrap_or_default());
    let (request, answer) = (half(), half());
    let Some(ask) = Ask::read(request.clone()) else {
        return;
    };
    assert_eq!(compose([&ask]), request, "a lone call changed");
    let twice = Ask::read(compose([&ask, &ask])).expect("two calls are one call");
    assert!(twice.inputs().eq(ask.inputs().chain(ask.inputs())));
    assert_eq!(twice.kind(), ask.kind());
    let Ok(read) = Answer::read(answer, ask.len()) else {
        return;
    };
    let pieces = read.pieces(&ask.weights().collect::<Vec<_>>());
    let again = assemble(&pieces);
    let read = Answer::read(again.clone(), ask.len()).expect("an answer put together is one");
    assert_eq!(assemble(&read.pieces(&vec![1; ask.len()])), again);
    for piece in &pieces {
        let alone = piece.alone();
        let read = Piece::read(alone.clone()).expect("a piece alone is an answer");
        assert_eq!(read.alone(), alone);
    }
}
