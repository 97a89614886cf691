//! The framer's fuzz body: chunking changes nothing.

use bytes::Bytes;

use super::{Fields, Framer, Piece};

/// Fuzz body: the first byte chooses the limit, the next eight how the rest
/// is cut into chunks. Panics where the bytes handed out differ from those
/// put in, or the frames from those of the same bytes in one chunk.
#[doc(hidden)]
pub fn fuzz_framer(input: &[u8]) {
    let Some((head, stream)) = input.split_at_checked(9) else {
        return;
    };
    let max = usize::from(head[0]).max(1);
    let whole = cut(stream, &[], max);
    let pieces = cut(stream, &head[1..], max);
    assert_eq!(joined(&whole), stream, "one chunk: bytes differ");
    assert_eq!(joined(&pieces), stream, "cut: bytes differ");
    assert_eq!(frames(&whole), frames(&pieces), "frames differ");
    for frame in frames(&whole) {
        assert!(frame.len() <= max, "a frame over the limit");
        let _ = Fields::of(&frame);
    }
}

/// Everything a framer hands out for `stream` cut into chunks of `sizes` in
/// turn; in one chunk if there are none. The last piece is the rest. Even
/// sizes are read as runs, odd ones frame by frame.
fn cut(stream: &[u8], sizes: &[u8], max: usize) -> Vec<Piece> {
    let mut framer = Framer::new(max);
    let mut pieces = Vec::new();
    let mut left = stream;
    let mut sizes = sizes.iter().copied().cycle();
    while !left.is_empty() {
        let size = sizes.next().map_or(left.len(), usize::from).min(left.len());
        let (chunk, rest) = left.split_at(size);
        left = rest;
        framer.push(Bytes::copy_from_slice(chunk));
        if size % 2 == 1 {
            pieces.extend(std::iter::from_fn(|| framer.next()));
        }
        while let Some(run) = framer.next_run() {
            if run.is_part() {
                pieces.push(Piece::Part(run.bytes.clone()));
            }
            pieces.extend(
                run.frames()
                    .map(|frame| Piece::Frame(Bytes::copy_from_slice(frame))),
            );
        }
        if size == 0 && sizes.clone().take(8).all(|size| size == 0) {
            sizes = [].iter().copied().cycle();
        }
    }
    pieces.push(Piece::Part(framer.rest()));
    pieces
}

fn joined(pieces: &[Piece]) -> Vec<u8> {
    pieces
        .iter()
        .flat_map(|piece| piece.clone().into_bytes())
        .collect()
}

fn frames(pieces: &[Piece]) -> Vec<Bytes> {
    pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Frame(frame) => Some(frame.clone()),
            Piece::Part(_) => None,
        })
        .collect()
}
