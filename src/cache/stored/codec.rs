//! An answer as bytes, for a place that outlives this process and that others
//! write to.
//!
//! ```text
//! "nwt" version:u8 checksum:16 { flags:u8 format:u8 finish:u8 ttl_ms:u64 took_us:u64
//!   usage:5×u64 type_len:u16 dropped_len:u16 body_len:u32 content-type dropped body }
//! ```
//!
//! Numbers are little-endian. The checksum covers what is in braces and the
//! name the answer is kept under, so that bytes moved to another name are no
//! answer. It finds accidents; whoever may write to the store is trusted.
//! The body is LZ4 where that saves an eighth: in its safe form (no `unsafe`)
//! `lz4_flex` unpacks about as fast as memory is copied, and event streams,
//! which repeat themselves, shrink five times and more. Deflate would pack
//! better and take ten times as long in front of a waiting caller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::{Form, LARGEST_BODY, Label, Stored};
use crate::dialect::{Finish, Format, Usage};

const MAGIC: &[u8; 3] = b"nwt";
/// Changes with every change of the layout below it, as do key names.
pub(in super::super) const VERSION: u8 = 2;
const PREFIX: usize = MAGIC.len() + 1 + CHECKSUM;
const CHECKSUM: usize = 16;
/// Content types are a few words.
const LONGEST_TYPE: usize = 256;
/// What was lost is a header of 32 paths of 100 bytes.
const LONGEST_DROPPED: usize = 4096;
/// LZ4 can't do better than one byte for 255.
const BEST_RATIO: usize = 255;
/// Below this packing saves nothing that is worth a call.
const SMALLEST_PACKED: usize = 128;

const STREAM: u8 = 1;
const PACKED: u8 = 2;
const HAS_USAGE: u8 = 4;
const ESTIMATED: u8 = 8;

/// Why bytes are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unreadable {
    /// Not written by nowait, cut, damaged or moved.
    Junk,
    /// Written by another version.
    Version,
}

/// The answer as bytes to be kept under `name`.
pub(in super::super) fn encode(name: &[u8], stored: &Stored, ttl: Duration) -> Vec<u8> {
    let packed = pack(&stored.body);
    let body = packed.as_deref().unwrap_or(&stored.body);
    let content_type = stored.content_type.as_bytes();
    // A longer one would be refused on the way back.
    let content_type = content_type.get(..LONGEST_TYPE).unwrap_or(content_type);
    let dropped = stored.dropped.as_deref().unwrap_or_default().as_bytes();
    let dropped = dropped.get(..LONGEST_DROPPED).unwrap_or(dropped);
    let usage = stored.usage.unwrap_or_default();
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };

    let size = content_type.len() + dropped.len() + body.len();
    let mut out = Vec::with_capacity(PREFIX + 80 + size);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&[0; CHECKSUM]);
    out.push(
        flag(stored.form == Form::Stream, STREAM)
            | flag(packed.is_some(), PACKED)
            | flag(stored.usage.is_some(), HAS_USAGE)
            | flag(usage.estimated, ESTIMATED),
    );
    out.push(format_code(stored.format));
    out.push(stored.finish.map_or(0, finish_code));
    for number in [
        u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        u64::try_from(stored.took.as_micros()).unwrap_or(u64::MAX),
        usage.input,
        usage.output,
        usage.cached,
        usage.cache_write,
        usage.reasoning,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    // All fit: texts are cut above, and a larger body is never kept.
    out.extend_from_slice(&(content_type.len() as u16).to_le_bytes());
    out.extend_from_slice(&(dropped.len() as u16).to_le_bytes());
    out.extend_from_slice(&(stored.body.len() as u32).to_le_bytes());
    out.extend_from_slice(content_type);
    out.extend_from_slice(dropped);
    out.extend_from_slice(body);
    let sum = checksum(name, &out[PREFIX..]);
    out[PREFIX - CHECKSUM..PREFIX].copy_from_slice(&sum);
    out
}

/// The answer that was kept under `name`, and its ttl. Never allocates more
/// than [`LARGEST_BODY`] and a little.
pub(in super::super) fn decode(
    name: &[u8],
    label: &Arc<Label>,
    bytes: &[u8],
) -> Result<(Stored, Duration), Unreadable> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Unreadable::Junk)?;
    let (&version, rest) = rest.split_first().ok_or(Unreadable::Junk)?;
    if version != VERSION {
        return Err(Unreadable::Version);
    }
    let (sum, payload) = rest.split_at_checked(CHECKSUM).ok_or(Unreadable::Junk)?;
    if sum != checksum(name, payload) {
        return Err(Unreadable::Junk);
    }
    // What follows is what `encode` wrote; it is read with the same care.
    payload_of(label, payload).ok_or(Unreadable::Junk)
}

fn payload_of(label: &Arc<Label>, payload: &[u8]) -> Option<(Stored, Duration)> {
    let mut rest = payload;
    let [flags, format, finish] = take(&mut rest)?;
    let mut number = || take(&mut rest).map(u64::from_le_bytes);
    let ttl = Duration::from_millis(number()?);
    let took = Duration::from_micros(number()?);
    let usage = Usage {
        input: number()?,
        output: number()?,
        cached: number()?,
        cache_write: number()?,
        reasoning: number()?,
        estimated: flags & ESTIMATED != 0,
    };
    let type_len = usize::from(u16::from_le_bytes(take(&mut rest)?));
    let dropped_len = usize::from(u16::from_le_bytes(take(&mut rest)?));
    let body_len = u32::from_le_bytes(take(&mut rest)?) as usize;
    let (content_type, rest) = rest.split_at_checked(type_len)?;
    let (dropped, body) = rest.split_at_checked(dropped_len)?;
    let is_sound = type_len <= LONGEST_TYPE && dropped_len <= LONGEST_DROPPED;
    if !is_sound || body_len > LARGEST_BODY {
        return None;
    }
    let dropped = std::str::from_utf8(dropped).ok()?;
    let body = match flags & PACKED != 0 {
        true => unpack(body, body_len)?,
        false => Some(Bytes::copy_from_slice(body)).filter(|body| body.len() == body_len)?,
    };
    let form = match flags & STREAM != 0 {
        true => Form::Stream,
        false => Form::Whole,
    };
    let stored = Stored {
        usage: (flags & HAS_USAGE != 0).then_some(usage),
        finish: FINISHES
            .into_iter()
            .find(|known| finish_code(*known) == finish),
        took,
        dropped: (!dropped.is_empty()).then(|| dropped.into()),
        ..Stored::owning(
            label.clone(),
            Format::ALL
                .into_iter()
                .find(|known| format_code(*known) == format)?,
            form,
            header(content_type)?,
            body,
        )
    };
    Some((stored, ttl))
}

/// The first `N` bytes, which are taken off.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

/// The two types nearly all answers have cost no allocation.
fn header(content_type: &[u8]) -> Option<HeaderValue> {
    ["application/json", "text/event-stream"]
        .into_iter()
        .find(|known| known.as_bytes() == content_type)
        .map(HeaderValue::from_static)
        .or_else(|| HeaderValue::from_bytes(content_type).ok())
}

/// The body in LZ4, where that is an eighth shorter.
fn pack(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < SMALLEST_PACKED {
        return None;
    }
    let packed = lz4_flex::block::compress(body);
    (packed.len() < body.len() - body.len() / 8).then_some(packed)
}

/// What `packed` says is `len` bytes long, if it can be and is.
fn unpack(packed: &[u8], len: usize) -> Option<Bytes> {
    if len / BEST_RATIO > packed.len() {
        return None;
    }
    let mut body = vec![0; len];
    let written = lz4_flex::block::decompress_into(packed, &mut body).ok()?;
    (written == len).then(|| Bytes::from(body))
}

/// The first half of a BLAKE3 hash over the name, its length before it, and
/// the bytes.
fn checksum(name: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = blake3::Hasher::new();
    hash.update(&(name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(payload);
    let mut sum = [0; CHECKSUM];
    hash.finalize_xof().fill(&mut sum);
    sum
}

/// Never renumbered within a version.
fn format_code(format: Format) -> u8 {
    match format {
        Format::Chat => 1,
        Format::Responses => 2,
        Format::Completions => 3,
        Format::Embeddings => 4,
        Format::Messages => 5,
        Format::CountTokens => 6,
    }
}

const FINISHES: [Finish; 6] = [
    Finish::Stop,
    Finish::Length,
    Finish::ToolCalls,
    Finish::ContentFilter,
    Finish::Error,
    Finish::Other,
];

/// Never renumbered within a version; 0 is none.
fn finish_code(finish: Finish) -> u8 {
    match finish {
        Finish::Stop => 1,
        Finish::Length => 2,
        Finish::ToolCalls => 3,
        Finish::ContentFilter => 4,
        Finish::Error => 5,
        Finish::Other => 6,
    }
}

#[cfg(test)]
mod tests;
