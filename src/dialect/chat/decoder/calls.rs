//! One call of a streamed answer, and how far its arguments have come.

use super::Each;
use crate::dialect::ir::{Event, Json, Piece, Place, Text};
use crate::dialect::members::is_object;

/// A call that has opened.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: u64,
    pub(super) place: Place,
    progress: Progress,
    is_open: bool,
    is_custom: bool,
}

impl Call {
    /// A call at its beginning: the `index`th, by the provider's count.
    pub(super) fn open(index: u64, place: Place, is_custom: bool) -> Self {
        Self {
            index,
            place,
            progress: Progress::default(),
            is_open: true,
            is_custom,
        }
    }

    /// Adds to the arguments; closes the call where they are whole.
    pub(super) fn add(&mut self, arguments: Option<&str>, each: Each<'_>) {
        let Some(raw) = arguments else { return };
        let text = match Text::of_json(raw) {
            Some(text) => text,
            None if is_object(raw) => Json::scanned(raw).as_text(),
            None => return,
        };
        if text.is_empty() || !self.is_open {
            return;
        }
        let is_whole = !self.is_custom && self.progress.take(&text);
        each(Event::Delta {
            place: self.place,
            piece: Piece::Text(text),
        });
        if is_whole {
            self.close(each);
        }
    }

    /// The call is complete, whatever has come of it.
    pub(super) fn close(&mut self, each: Each<'_>) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let place = self.place;
        if !self.is_custom && !self.progress.has_begun() {
            let piece = Piece::Text(Text::plain("{}"));
            each(Event::Delta { place, piece });
        }
        each(Event::Close { place });
    }
}

/// Follows JSON that arrives in pieces, to see where its object ends. It
/// counts braces outside of strings and checks nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Progress {
    /// Takes the next piece; says whether the object is whole with it.
    fn take(&mut self, piece: &Text<'_>) -> bool {
        for byte in piece.resolved().bytes() {
            self.has_begun |= !byte.is_ascii_whitespace();
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.has_begun && self.depth == 0 && !self.in_string
    }

    /// Whether anything but white space has come.
    fn has_begun(&self) -> bool {
        self.has_begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_when_its_last_brace_has_come() {
        let rows: [(&[&str], usize); 5] = [
            (&["{", "\"a", "\":1", "}"], 3),
            (&["{}"], 0),
            (&["{\"a\":\"}\\", "\"}", "\"}"], 2),
            (&["{\"a\":[{}", "]}"], 1),
            (&[" ", "{", "}"], 2),
        ];
        for (pieces, last) in rows {
            let mut progress = Progress::default();
            let whole = pieces
                .iter()
                .position(|piece| progress.take(&Text::plain(piece)));
            assert_eq!(whole, Some(last), "{pieces:?}");
        }
    }
}
