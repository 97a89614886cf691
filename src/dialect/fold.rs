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

use std::borrow::Cow;

use bytes::Bytes;

pub(super) use chat::Form;
pub(super) use grown::is_name;

use super::Format;
use super::json::scan::Scan;
use super::watch::template::Template;
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

/// An answer that a stream's events are folded into.
trait Folding {
    /// Takes the next event: its name, if it has one, and its data. Nothing
    /// where the stream can't be folded.
    fn take<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Option<Step<'d>>;

    /// Takes an event that differs from the last one taken, a [`Step::Text`],
    /// in its text and in nothing that counts.
    fn take_text(&mut self, text: &str) -> Option<()>;
}

/// What an event was to the folding of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'d> {
    More,
    /// All it did was to add this text, which is a part of its data. To do it
    /// again would change nothing else.
    Text(&'d str),
    /// It was the terminal event.
    End,
}

/// Folds all of `stream` into `answer`. Nothing unless the terminal event is
/// the last.
fn fold_into(answer: &mut impl Folding, stream: &[u8]) -> Option<()> {
    // The stream is in memory already, so no frame is too large to be held.
    let mut framer = Framer::new(stream.len());
    framer.push(Bytes::copy_from_slice(stream));
    let mut frames = FrameFolding {
        answer,
        template: Template::default(),
        has_ended: false,
    };
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            frames.take(frame)?;
        }
    }
    frames.take(&framer.rest())?;
    frames.has_ended.then_some(())
}

struct FrameFolding<'a, A> {
    answer: &'a mut A,
    /// The last event that only added a text: most are followed by more of
    /// their kind, which needn't be read.
    template: Template,
    has_ended: bool,
}

impl<A: Folding> FrameFolding<'_, A> {
    fn take(&mut self, frame: &[u8]) -> Option<()> {
        if !self.has_ended
            && let Some(text) = self.template.text(frame)
        {
            let quoted = frame.get(text.start - 1..=text.end)?;
            let quoted = simdutf8::basic::from_utf8(quoted).ok()?;
            Scan::new(quoted).skip().ok()?;
            return self.answer.take_text(&quoted[1..quoted.len() - 1]);
        }
        let fields = Fields::of(frame);
        let bytes = fields.data.unwrap_or_default();
        let data = simdutf8::basic::from_utf8(&bytes).ok()?;
        if data.trim_ascii().is_empty() {
            return Some(());
        }
        // OpenRouter ends Responses with chat's sentinel as well.
        if self.has_ended {
            return (data.trim_ascii() == "[DONE]").then_some(());
        }
        let step = self.answer.take(fields.event, data)?;
        self.has_ended = step == Step::End;
        match step {
            Step::Text(text) if matches!(bytes, Cow::Borrowed(_)) => {
                let start = text.as_ptr() as usize - frame.as_ptr() as usize;
                self.template.learn(frame, start..start + text.len());
            }
            _ => self.template = Template::default(),
        }
        Some(())
    }
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
