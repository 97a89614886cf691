//! Looks at the frames of a stream that is being relayed.
//!
//! A delta, which is nearly every frame, is recognised by its bytes and never
//! parsed; JSON is read only in frames that may carry usage, an end or an
//! error. What a watch doesn't understand it ignores: it never judges a frame.

use super::{Finish, Format, Usage};

/// What one frame was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It carries some of the answer: text, reasoning, a tool call.
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
    /// A finish reason was seen but no terminal event. Some compatible
    /// servers leave `[DONE]` out: should the bytes end here the caller has
    /// the answer, but it isn't proven whole.
    Implied,
    /// Its terminal event was seen.
    Terminal,
    /// The provider reported an error.
    Failed,
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct Watch {
    format: Format,
    usage: Option<Usage>,
    finish: Option<Finish>,
    ending: Ending,
    /// Content events, and the bytes of their text as escaped on the wire.
    events: u64,
    text: u64,
    frames: u64,
}

impl Watch {
    /// A watch at the start of a stream of `format`.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            usage: None,
            finish: None,
            ending: Ending::Open,
            events: 0,
            text: 0,
            frames: 0,
        }
    }

    /// Takes the next frame.
    pub fn see(&mut self, frame: &[u8]) -> Seen {
        let _ = frame;
        Seen::default()
    }

    /// Takes the first part of a frame too large to be held.
    pub fn see_part(&mut self, opening: &[u8]) -> Seen {
        let _ = opening;
        Seen::default()
    }

    /// How the stream stands now.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// What the call took: as reported, else estimated from what was streamed.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Why the answer ended, if that was seen.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The number of content events seen.
    pub fn content_events(&self) -> u64 {
        self.events
    }

    /// The next `sequence_number` of a Responses stream.
    pub fn next_sequence_number(&self) -> u64 {
        self.frames
    }
}
