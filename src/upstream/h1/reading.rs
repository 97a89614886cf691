//! An answer out of bytes, however they are cut: first its head, then its
//! body. No I/O.

use bytes::Bytes;

use super::MAX_HEAD;
use super::head::{self, Head, Parsed};
use crate::http1::{Decoder, Malformed};

/// An answer whose head has not come yet.
pub(super) struct Beginning {
    /// The request was HEAD.
    to_head: bool,
    /// Anything of the answer has come.
    pub(super) heard: bool,
    /// The head as far as it has come; empty if it comes in one read.
    partial: Vec<u8>,
}

/// An answer's head, and its body from there.
pub(super) type Begun = (Head, Reading);

/// An answer whose body is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) decoder: Decoder,
    /// Data that were read and not handed out.
    pub(super) ready: Bytes,
    /// The connection may be used again after the body.
    pub(super) keeps: bool,
}

impl Beginning {
    /// Before anything has come; `to_head` says that the request is HEAD.
    pub(super) fn new(to_head: bool) -> Self {
        Self {
            to_head,
            heard: false,
            partial: Vec::new(),
        }
    }

    /// Takes what was read; the answer, if that completes its head.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<Option<Begun>, Malformed> {
        self.heard = true;
        if self.partial.is_empty() {
            let (skipped, begun) = begin(bytes, self.to_head)?;
            if begun.is_none() {
                self.partial.extend_from_slice(&bytes[skipped..]);
            }
            return Ok(begun);
        }
        self.partial.extend_from_slice(bytes);
        let (skipped, begun) = begin(&mut self.partial, self.to_head)?;
        if begun.is_none() {
            self.partial.drain(..skipped);
        }
        Ok(begun)
    }
}

/// Reads the head that `bytes` begin with, and says how many bytes of interim
/// answers stood before it.
fn begin(bytes: &mut [u8], to_head: bool) -> Result<(usize, Option<Begun>), Malformed> {
    let mut skipped = 0;
    loop {
        let left = &mut bytes[skipped..];
        match head::parse(left, to_head)? {
            Parsed::Partial => {
                too_large(left.len())?;
                return Ok((skipped, None));
            }
            Parsed::Interim(length) => skipped += length,
            Parsed::Final(length, head) => {
                too_large(length)?;
                let mut reading = Reading {
                    decoder: Decoder::new(head.framing),
                    ready: Bytes::new(),
                    keeps: head.keeps,
                };
                reading.take(&mut left[length..]);
                return Ok((skipped, Some((head, reading))));
            }
        }
    }
}

fn too_large(length: usize) -> Result<(), Malformed> {
    match length > MAX_HEAD {
        true => Err(Malformed::TooLarge),
        false => Ok(()),
    }
}

impl Reading {
    /// Takes what was read. Nothing may be ready before.
    pub(super) fn take(&mut self, bytes: &mut [u8]) {
        let decoded = self.decoder.decode(bytes);
        // Exactly as much as is held: an event may wait for its reader.
        self.ready = Bytes::copy_from_slice(&bytes[decoded.data]);
        // Whatever follows the body, it was not asked for.
        self.keeps &= decoded.taken == bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_its_limit_however_it_comes() {
        let line = |size: usize| format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(size));
        for (size, piece) in [
            (MAX_HEAD, MAX_HEAD / 2),
            (MAX_HEAD, 1000),
            (MAX_HEAD * 2, MAX_HEAD * 2),
        ] {
            let mut text = line(size).into_bytes();
            text.extend_from_slice(b"\r\n\r\n");
            let mut beginning = Beginning::new(false);
            let refused = text
                .chunks_mut(piece)
                .find_map(|bytes| beginning.take(bytes).err());
            assert_eq!(refused, Some(Malformed::TooLarge), "{piece}");
        }
    }

    #[test]
    fn interim_answers_are_forgotten_as_they_come() {
        let mut beginning = Beginning::new(false);
        for _ in 0..10_000 {
            let mut half = *b"102 x\r\n\r\nHTTP/1.1 ";
            if !beginning.heard {
                assert!(
                    beginning
                        .take(&mut b"HTTP/1.1 ".to_owned())
                        .unwrap()
                        .is_none()
                );
            }
            assert!(beginning.take(&mut half).unwrap().is_none());
        }
        let begun = beginning.take(&mut b"204 x\r\n\r\n".to_owned()).unwrap();
        let (head, reading) = begun.unwrap();
        assert_eq!(head.status, 204);
        assert!(reading.keeps && reading.decoder.is_done());
    }
}
