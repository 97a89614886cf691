//! An answer's vectors, and answers made of several answers' vectors.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr, memchr2};

use super::Fault;
use super::usage::{Count, Number, counts};
use crate::dialect::json::scan::{Invalid, Scan};
use crate::dialect::json::span_in;

/// An answer, and where its vectors and counts lie.
#[derive(Clone, Debug)]
pub struct Answer {
    body: Bytes,
    /// In the order of the inputs; never empty.
    items: Vec<Item>,
    /// Where the items lie, from the first one's start to the last one's end.
    list: Range<usize>,
    /// What stands between two items.
    between: Bytes,
    /// In the order they stand in; none lies in `list`.
    counts: Vec<Count>,
}

/// One element of `data`.
#[derive(Clone, Debug)]
struct Item {
    span: Range<usize>,
    /// Where the value of `index` lies.
    index: Range<usize>,
}

impl Answer {
    /// Reads the answer to a call for `inputs` vectors. There must be exactly
    /// that many, each with an `index` of its own from 0 up.
    pub fn read(body: Bytes, inputs: usize) -> Result<Self, Fault> {
        let text = simdutf8::basic::from_utf8(&body).map_err(|_| fault("is not UTF-8"))?;
        let outline =
            Outline::read(text).map_err(|Invalid| fault("is not a list of embeddings"))?;
        let found = outline.items.len();
        if found != inputs {
            return Err(fault(&format!("has {found} vectors for {inputs} inputs")));
        }
        let (Some((first, _)), Some((last, _))) = (outline.items.first(), outline.items.last())
        else {
            return Err(fault("has no vector"));
        };
        let list = first.span.start..last.span.end;
        let between = match outline.items.get(1) {
            Some((second, _)) => body.slice(first.span.end..second.span.start),
            // As it would be if elements begin on lines of their own.
            None => {
                let before = &body[..list.start];
                let space = before.trim_ascii_end().len();
                [b",", &before[space..]].concat().into()
            }
        };
        let counts = match outline.usage {
            Some(usage) => counts(usage, span_in(text, usage).start)
                .map_err(|Invalid| fault("has a usage that can't be read"))?,
            None => Vec::new(),
        };
        Ok(Self {
            items: in_order(outline.items)?,
            list,
            between,
            counts,
            body,
        })
    }

    /// What each input got. The counts are divided by `weights`, one for each
    /// input, so that they add up to the answer's.
    pub fn pieces(self, weights: &[u64]) -> Vec<Piece> {
        debug_assert_eq!(weights.len(), self.items.len(), "a weight for each input");
        let mut shares: Vec<_> = self
            .counts
            .iter()
            .map(|count| count.number.shares(weights).into_iter())
            .collect();
        let answer = Arc::new(self);
        (0..answer.items.len())
            .map(|item| Piece {
                item,
                counts: shares.iter_mut().filter_map(Iterator::next).collect(),
                answer: Arc::clone(&answer),
            })
            .collect()
    }
}

/// What one input got: its vector, and its part of the counts. Keeps the
/// answer it was in alive; a cache keeps [`Piece::alone`] instead.
#[derive(Clone, Debug)]
pub struct Piece {
    answer: Arc<Answer>,
    /// Its place in the answer.
    item: usize,
    /// One for each of the answer's.
    counts: Box<[Number]>,
}

impl Piece {
    /// The piece that an answer of a single vector is: what [`Piece::alone`]
    /// wrote, or what a provider answered to a single input.
    pub fn read(alone: Bytes) -> Result<Self, Fault> {
        let answer = Arc::new(Answer::read(alone, 1)?);
        Ok(Self {
            item: 0,
            counts: answer.counts.iter().map(|count| count.number).collect(),
            answer,
        })
    }

    /// The answer that its input would have got alone.
    pub fn alone(&self) -> Bytes {
        assemble(std::slice::from_ref(self))
    }

    /// The piece's part of the count at `path` of its usage.
    fn count(&self, path: &str) -> Option<Number> {
        let found = self.answer.counts.iter().zip(&self.counts);
        found
            .into_iter()
            .find(|(count, _)| count.path == path)
            .map(|(_, number)| *number)
    }
}

/// One answer of all `pieces` in turn, which may come from several answers. All
/// around the vectors is as it is in the largest of these, but that indices
/// are those of `pieces` and counts the sums of theirs.
///
/// Nothing for no pieces, which no call is about.
pub fn assemble(pieces: &[Piece]) -> Bytes {
    let Some(frame) = pieces
        .iter()
        .map(|piece| &piece.answer)
        // The first of equals, where there are some.
        .rev()
        .max_by_key(|answer| answer.items.len())
    else {
        return Bytes::new();
    };
    let vectors: usize = pieces.iter().map(Piece::len).sum();
    let around = frame.body.len() - frame.list.len() + pieces.len() * (frame.between.len() + 20);
    let mut out = Vec::with_capacity(vectors + around);
    write_counted(&mut out, frame, 0..frame.list.start, pieces);
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(&frame.between);
        }
        let (body, item) = (&piece.answer.body, &piece.answer.items[piece.item]);
        out.extend_from_slice(&body[item.span.start..item.index.start]);
        Number::Whole(index as u64).write(&mut out);
        out.extend_from_slice(&body[item.index.end..item.span.end]);
    }
    write_counted(&mut out, frame, frame.list.end..frame.body.len(), pieces);
    out.into()
}

/// Appends a part of `frame` with the sums of the pieces' counts in it.
fn write_counted(out: &mut Vec<u8>, frame: &Answer, part: Range<usize>, pieces: &[Piece]) {
    let mut from = part.start;
    for count in &frame.counts {
        if part.contains(&count.span.start) {
            let mut sum = count.number.zero();
            for number in pieces.iter().filter_map(|piece| piece.count(&count.path)) {
                sum += number;
            }
            out.extend_from_slice(&frame.body[from..count.span.start]);
            sum.write(out);
            from = count.span.end;
        }
    }
    out.extend_from_slice(&frame.body[from..part.end]);
}

impl Piece {
    /// The bytes of its item.
    fn len(&self) -> usize {
        self.answer.items[self.item].span.len()
    }
}

/// What stands in an answer, in the order it stands there.
struct Outline<'a> {
    /// Each with its `index`.
    items: Vec<(Item, usize)>,
    usage: Option<&'a str>,
}

impl<'a> Outline<'a> {
    fn read(text: &'a str) -> Result<Self, Invalid> {
        let (mut data, mut usage) = (None, None);
        let mut scan = Scan::new(text);
        scan.object(|scan, key| match &*key {
            "data" if data.is_none() => {
                data = Some(items(scan, text)?);
                Ok(())
            }
            "usage" if usage.is_none() => {
                usage = Some(scan.skip()?);
                Ok(())
            }
            "data" | "usage" => Err(Invalid),
            _ => scan.skip().map(drop),
        })?;
        scan.end()?;
        Ok(Self {
            items: data.ok_or(Invalid)?,
            usage: usage.filter(|usage| usage.starts_with('{')),
        })
    }
}

fn items(scan: &mut Scan<'_>, text: &str) -> Result<Vec<(Item, usize)>, Invalid> {
    let mut items = Vec::new();
    scan.array(|scan| {
        scan.peek();
        let start = text.len() - scan.rest().len();
        let mut index = None;
        scan.object(|scan, key| match &*key {
            "index" if index.is_none() => {
                index = Some(scan.skip()?);
                Ok(())
            }
            "index" => Err(Invalid),
            "embedding" => pass_vector(scan),
            _ => scan.skip().map(drop),
        })?;
        let index = index.ok_or(Invalid)?;
        let item = Item {
            span: start..text.len() - scan.rest().len(),
            index: span_in(text, index),
        };
        items.push((item, index.parse().map_err(|_| Invalid)?));
        Ok(())
    })?;
    Ok(items)
}

/// Passes a vector. A list without text or lists in it ends at the first
/// bracket, whatever its numbers are: they are the provider's words to the
/// caller, and to read each takes twenty times as long (256 vectors of 1,536:
/// 11 against 0.5 ms, in which a core does nothing else).
fn pass_vector(scan: &mut Scan<'_>) -> Result<(), Invalid> {
    let is_list = scan.peek() == b'[';
    let numbers = scan.rest().get(1..).filter(|_| is_list);
    let end = numbers.and_then(|numbers| memchr(b']', numbers.as_bytes()));
    if let (Some(numbers), Some(end)) = (numbers, end)
        && memchr2(b'"', b'[', &numbers.as_bytes()[..end]).is_none()
    {
        *scan = Scan::new(&numbers[end + 1..]);
        return Ok(());
    }
    scan.skip().map(drop)
}

/// The items by their `index`, which must be 0 and up without a gap.
fn in_order(mut items: Vec<(Item, usize)>) -> Result<Vec<Item>, Fault> {
    items.sort_by_key(|(_, index)| *index);
    let is_complete = items
        .iter()
        .enumerate()
        .all(|(at, (_, index))| at == *index);
    if !is_complete {
        return Err(fault("has an index twice or leaves one out"));
    }
    Ok(items.into_iter().map(|(item, _)| item).collect())
}

fn fault(what: &str) -> Fault {
    Fault(format!("the answer {what}"))
}

#[cfg(test)]
mod tests;
