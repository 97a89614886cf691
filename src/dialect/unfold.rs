//! From a whole answer to the stream a streamed call would have got.
//!
//! The events are those the provider sends, in its order, but each text comes
//! in one delta: the answer is all there and goes out at full speed. Values
//! travel as they were written, unknown ones too, without the white space
//! between them: a line break would end an event's line.

mod chat;
mod messages;
mod responses;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr, memchr2};

use super::Format;
use super::fold::Form;
use super::members::ObjectWriter;

/// The complete stream that says what `whole`, the body of an unstreamed
/// answer, says. `include_usage` is what a chat or completions call asks for
/// in `stream_options`; the other formats' streams always report usage.
///
/// `None` where the body is no successful answer of `format` (an error, a
/// response that failed or isn't done), and for formats without streams.
pub fn unfold(format: Format, whole: &[u8], include_usage: bool) -> Option<Bytes> {
    let whole = compact(simdutf8::basic::from_utf8(whole).ok()?);
    let stream = match format {
        Format::Chat => chat::unfold(Form::Chat, &whole, include_usage),
        Format::Completions => chat::unfold(Form::Completions, &whole, include_usage),
        Format::Responses => responses::unfold(&whole),
        Format::Messages => messages::unfold(&whole),
        Format::Embeddings | Format::CountTokens => None,
    };
    stream.map(Into::into)
}

/// Appends one event: its name in the frame and as its data's `type`, as
/// Anthropic and the Responses API have it, and the members that `write`
/// adds.
fn named_event(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    event(out, |event| {
        event.text("type", name);
        write(event);
    });
}

/// Appends one event without a name.
fn event(out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.extend_from_slice(b"data: ");
    let mut data = ObjectWriter::begin(out);
    write(&mut data);
    data.end();
    out.extend_from_slice(b"\n\n");
}

/// `json` without white space between its values, if there is a line break.
/// What isn't JSON stays what isn't JSON.
fn compact(json: &str) -> Cow<'_, str> {
    let mut left = json.trim_ascii();
    if memchr2(b'\n', b'\r', left.as_bytes()).is_none() {
        return left.into();
    }
    let mut out = String::with_capacity(left.len());
    while !left.is_empty() {
        let (between, string) = left.split_at(memchr(b'"', left.as_bytes()).unwrap_or(left.len()));
        out.extend(between.split_ascii_whitespace());
        let (string, rest) = string.split_at(string_end(string.as_bytes()));
        out.push_str(string);
        left = rest;
    }
    out.into()
}

/// The length of the string that `json` begins with, quotes included.
fn string_end(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(stop) = memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += stop + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    json.len()
}

/// Fuzz body: the first byte chooses the format and whether usage is asked
/// for; the rest is a whole answer. Panics where unfolding does, or where the
/// stream it makes isn't a complete one to a watch.
#[doc(hidden)]
pub fn fuzz_unfold(input: &[u8]) {
    let Some((&choice, whole)) = input.split_first() else {
        return;
    };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let Some(stream) = unfold(format, whole, choice >= 128) else {
        return;
    };
    let mut watch = super::Watch::new(format);
    let mut framer = crate::sse::Framer::new(stream.len());
    framer.push(stream);
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            watch.see(frame);
        }
    }
    assert!(framer.rest().is_empty());
    assert_eq!(watch.ending(), super::Ending::Terminal);
}

#[cfg(test)]
mod tests;
