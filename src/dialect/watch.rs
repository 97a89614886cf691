//! Looks at the frames of a stream that is being relayed.
//!
//! A delta, which is nearly every frame, is recognised by its bytes and never
//! parsed; JSON is read only in frames that may carry usage, an end or an
//! error. What a watch doesn't understand it ignores: it never judges a frame.

mod chat;
mod messages;
mod responses;
mod scan;
pub(super) mod template;

pub(super) use chat::{FINISH_REASON, is_an_error};
pub(super) use responses::incomplete_reason;

use std::borrow::Cow;
use std::ops::Range;

use super::{Finish, Format, Usage};
use crate::sse::Fields;

/// What one frame was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It carries some of the answer: text, reasoning, a tool call. A chunk
    /// that only names the role, or opens an empty block, doesn't.
    pub content: bool,
    /// It is the format's terminal event.
    pub end: bool,
    /// It is the provider's error event.
    pub error: bool,
    /// It is the chunk that exists only to report usage (chat and completions
    /// with `include_usage`), which a caller who didn't ask mustn't see.
    pub usage_only: bool,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing that ends it was seen: should the bytes end here, it was cut.
    Open,
    /// A finish reason was seen but no terminal event; chat and completions
    /// only. Some compatible servers leave `[DONE]` out: should the bytes end
    /// here in good order the caller has the answer, though it isn't proven
    /// whole (another choice may have been on its way), so it isn't kept.
    Implied,
    /// Its terminal event was seen.
    Terminal,
    /// The provider reported an error, whatever came after it.
    Failed,
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct Watch {
    format: Format,
    ending: Ending,
    finish: Option<Finish>,
    usage: Option<Usage>,
    /// Whether `usage` is the last word and not a first report.
    usage_final: bool,
    id: Option<Box<str>>,
    model: Option<Box<str>>,
    /// Frames with content.
    events: u64,
    /// Bytes of their text, as escaped on the wire.
    text: u64,
    /// Frames with data.
    frames: u64,
    /// Whether a Responses stream called a function: it says "completed" of
    /// that too.
    called: bool,
    /// What the last delta looked like.
    template: template::Template,
    /// Where in its data the current frame's text lies, if the frame is
    /// nothing but a delta.
    delta_text: Option<Range<usize>>,
}

impl Watch {
    /// A watch at the start of a stream of `format`. Formats without streams
    /// are taken as their dialect's usual one.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            ending: Ending::Open,
            finish: None,
            usage: None,
            usage_final: false,
            id: None,
            model: None,
            events: 0,
            text: 0,
            frames: 0,
            called: false,
            template: template::Template::default(),
            delta_text: None,
        }
    }

    /// Takes the next frame, complete or (the last one of a stream) without
    /// its closing blank line.
    pub fn see(&mut self, frame: &[u8]) -> Seen {
        if let Some(text) = self.template.text(frame) {
            self.frames += 1;
            self.events += 1;
            self.text += text.len() as u64;
            return Seen {
                content: true,
                ..Seen::default()
            };
        }
        self.examine(frame)
    }

    /// Reads a frame that isn't like the last delta.
    fn examine(&mut self, frame: &[u8]) -> Seen {
        let fields = Fields::of(frame);
        let Some(data) = fields.data else {
            return Seen::default();
        };
        self.frames += 1;
        self.delta_text = None;
        let seen = match self.format {
            Format::Chat | Format::Completions | Format::Embeddings => {
                chat::see(self, fields.event, &data)
            }
            Format::Responses => responses::see(self, fields.event, &data),
            Format::Messages | Format::CountTokens => messages::see(self, fields.event, &data),
        };
        self.note(seen);
        if let (Some(text), Cow::Borrowed(data)) = (self.delta_text.take(), data) {
            let start = data.as_ptr() as usize - frame.as_ptr() as usize;
            self.template
                .learn(frame, start + text.start..start + text.end);
        }
        seen
    }

    /// Takes the first part of a frame too large to be held; its later parts
    /// need not be shown. Only its kind is known then, not its usage.
    pub fn see_part(&mut self, opening: &[u8]) -> Seen {
        let fields = Fields::of(opening);
        self.frames += 1;
        let seen = match self.format {
            Format::Chat | Format::Completions | Format::Embeddings => Seen {
                content: fields.data.is_some(),
                ..Seen::default()
            },
            Format::Responses | Format::Messages | Format::CountTokens => {
                let data = fields.data.unwrap_or_default();
                match fields.event.or_else(|| scan::leading_type(&data)) {
                    None => Seen::default(),
                    Some(name) if self.format == Format::Responses => responses::kind(name),
                    Some(name) => messages::kind(name),
                }
            }
        };
        self.note(seen);
        seen
    }

    /// How the stream stands now.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// What the call took: as reported, else with `output` estimated from
    /// what was streamed. `None` as long as there is neither.
    pub fn usage(&self) -> Option<Usage> {
        match self.usage {
            Some(usage) if self.usage_final => Some(usage),
            // A stream cut before its last report: the first one has the
            // input, and 1 to 5 for the output.
            Some(usage) => Some(Usage {
                output: usage.output.max(self.estimate()),
                estimated: true,
                ..usage
            }),
            None if self.events == 0 => None,
            None => Some(Usage {
                output: self.estimate(),
                estimated: true,
                ..Usage::default()
            }),
        }
    }

    /// Why the answer ended, if that was seen.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The provider's id of the answer, if a frame that was read had it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The model the provider says it uses, if a frame that was read had it.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The number of content events seen.
    pub fn content_events(&self) -> u64 {
        self.events
    }

    /// The next `sequence_number` of a Responses stream, whose events are
    /// numbered from 0.
    pub fn next_sequence_number(&self) -> u64 {
        self.frames
    }

    fn note(&mut self, seen: Seen) {
        self.events += u64::from(seen.content);
        if seen.error {
            self.ending = Ending::Failed;
        } else if seen.end && self.ending != Ending::Failed {
            self.ending = Ending::Terminal;
        }
    }

    /// Tokens by two rules of thumb: four bytes of text each, and no event
    /// without one. The larger, since either alone comes out too small: the
    /// first for short words and tool calls, the second for providers that
    /// send several tokens at once.
    fn estimate(&self) -> u64 {
        self.text.div_ceil(4).max(self.events)
    }

    fn add_text(&mut self, text: Option<&Range<usize>>) {
        self.text += text.map_or(0, |text| text.len() as u64);
    }

    fn report(&mut self, usage: Option<Usage>, last: bool) {
        let Some(later) = usage else { return };
        self.usage = Some(match self.usage {
            Some(earlier) => earlier.merged(later),
            None => later,
        });
        self.usage_final |= last;
    }

    /// Keeps the first id and model told.
    fn name(&mut self, id: Option<&str>, model: Option<&str>) {
        if self.id.is_none() {
            self.id = id.filter(|id| !id.is_empty()).map(Box::from);
        }
        if self.model.is_none() {
            self.model = model.filter(|model| !model.is_empty()).map(Box::from);
        }
    }
}

/// Fuzz body: the first byte chooses the format; the rest is a stream. Panics
/// where the watch does, where what it says contradicts itself, or where
/// recognising deltas by their last differs from reading each.
#[doc(hidden)]
pub fn fuzz_watch(input: &[u8]) {
    let Some((&choice, stream)) = input.split_first() else {
        return;
    };
    let mut watch = Watch::new(Format::ALL[usize::from(choice) % Format::ALL.len()]);
    let mut reading_each = watch.clone();
    let mut framer = crate::sse::Framer::new(512);
    framer.push(bytes::Bytes::copy_from_slice(stream));
    let mut contents = 0;
    while let Some(run) = framer.next_run() {
        if run.opens_part {
            contents += u64::from(watch.see_part(&run.bytes).content);
            reading_each.see_part(&run.bytes);
        }
        for frame in run.frames() {
            let seen = watch.see(frame);
            assert_eq!(seen, reading_each.examine(frame));
            contents += u64::from(seen.content);
        }
    }
    contents += u64::from(watch.see(&framer.rest()).content);
    assert_eq!(watch.content_events(), contents);
    assert!(contents == 0 || watch.usage().is_some());
}

#[cfg(test)]
mod tests;
