//! A stream in the caller's own format: whole frames on, unchanged, each looked
//! at as it passes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::dialect::{Format, Watch};
use crate::sse::Framer;

/// A stream relayed frame by frame.
pub struct Events {
    pub(super) format: Format,
    pub(super) framer: Framer,
    pub(super) watch: Watch,
    /// The caller didn't ask for the usage chunk that nowait asked for.
    hide_usage: bool,
    /// A part of a frame has gone out and its end has not.
    pub(super) within_frame: bool,
}

impl Events {
    /// At the start of a stream of `format`.
    pub fn new(format: Format, hide_usage: bool) -> Self {
        Self {
            format,
            framer: Framer::default(),
            watch: Watch::new(format),
            hide_usage,
            within_frame: false,
        }
    }

    /// Whether `other` passes on the same frames, all of them.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self.format == other.format && !self.hide_usage && !other.hide_usage
    }

    /// Takes a chunk, makes ready the frames that are whole, and tells whether
    /// any of them was content.
    pub(super) fn take(&mut self, chunk: Bytes, ready: &mut VecDeque<Bytes>) -> bool {
        self.framer.push(chunk);
        let mut content = false;
        while let Some(run) = self.framer.next_run() {
            if run.is_part() {
                if run.opens_part {
                    content |= self.watch.see_part(&run.bytes).content;
                }
                self.within_frame = true;
                ready.push_back(run.bytes);
                continue;
            }
            self.within_frame = false;
            let mut hidden = Vec::new();
            let mut at = 0;
            for frame in run.frames() {
                let seen = self.watch.see(frame);
                content |= seen.content;
                if seen.usage_only && self.hide_usage {
                    hidden.push(at..at + frame.len());
                }
                at += frame.len();
            }
            if hidden.is_empty() {
                ready.push_back(run.bytes);
                continue;
            }
            let mut from = 0;
            for gap in hidden {
                if gap.start > from {
                    ready.push_back(run.bytes.slice(from..gap.start));
                }
                from = gap.end;
            }
            if from < run.bytes.len() {
                ready.push_back(run.bytes.slice(from..));
            }
        }
        content
    }
}
