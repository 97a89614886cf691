//! From a stream to the whole object: what an unstreamed call would have got.
//!
//! A stream says the same as a whole answer, cut into deltas. Folding puts
//! them together again, so that one kept answer serves both kinds of callers.
//! Strings are joined as they were escaped and everything else is moved as it
//! was written; nothing is made up but what a whole answer must have. A
//! stream that isn't complete and in good order isn't folded at all.

mod chat;
mod grown;
mod messages;
mod responses;

use bytes::Bytes;

pub(super) use chat::Form;
pub(super) use grown::is_name;

use super::Format;
use crate::sse::{Fields, Framer};

/// The whole answer that `stream`, all the bytes of an event stream, adds up
/// to; its JSON is compact where nowait writes it.
///
/// `None` where the stream has no terminal event or something after it,
/// reports an error, or isn't of `format`, and for formats without streams.
/// Where it reported no usage the answer has none.
pub fn fold(format: Format, stream: &[u8]) -> Option<Bytes> {
    let whole = match format {
        Format::Chat => chat::fold(Form::Chat, stream),
        Format::Completions => chat::fold(Form::Completions, stream),
        Format::Responses => responses::fold(stream),
        Format::Messages => messages::fold(stream),
        Format::Embeddings | Format::CountTokens => None,
    };
    whole.map(Into::into)
}

/// What a frame was to the folding of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    /// It was the terminal event.
    End,
}

/// Shows `take` the event name and data of each frame that has data, until it
/// gives up. Nothing unless it took the terminal event last.
fn each_event(
    stream: &[u8],
    mut take: impl FnMut(Option<&[u8]>, &str) -> Option<Step>,
) -> Option<()> {
    let mut step = Step::More;
    let mut see = |frame: &[u8]| {
        let fields = Fields::of(frame);
        let data = fields.data.unwrap_or_default();
        if data.trim_ascii().is_empty() {
            return Some(());
        }
        let data = simdutf8::basic::from_utf8(&data).ok()?;
        // OpenRouter ends Responses with chat's sentinel as well.
        if step == Step::End {
            return (data.trim_ascii() == "[DONE]").then_some(());
        }
        step = take(fields.event, data)?;
        Some(())
    };
    // The stream is in memory already, so no frame is too large to be held.
    let mut framer = Framer::new(stream.len());
    framer.push(Bytes::copy_from_slice(stream));
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            see(frame)?;
        }
    }
    see(&framer.rest())?;
    (step == Step::End).then_some(())
}

/// Fuzz body: the first byte chooses the format; the rest is a stream. Panics
/// where folding does, where it makes something that isn't an object, or
/// where it makes it of a stream that a watch finds failed or cut.
#[doc(hidden)]
pub fn fuzz_fold(input: &[u8]) {
    let Some((&choice, stream)) = input.split_first() else {
        return;
    };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let Some(whole) = fold(format, stream) else {
        return;
    };
    assert!(whole.starts_with(b"{"));
    serde_json::from_slice::<serde::de::IgnoredAny>(&whole).expect("what is folded is JSON");
    let mut watch = super::Watch::new(format);
    let mut framer = Framer::new(stream.len());
    framer.push(Bytes::copy_from_slice(stream));
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            watch.see(frame);
        }
    }
    watch.see(&framer.rest());
    assert_eq!(watch.ending(), super::Ending::Terminal);
}

#[cfg(test)]
mod tests;
