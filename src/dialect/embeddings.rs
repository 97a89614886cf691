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

/// Where `part`, a slice of `whole`, lies in it.
fn span_in(whole: &str, part: &str) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}
