//! How far a call's arguments have come.

use crate::dialect::ir::Text;

/// Follows JSON that arrives in pieces, to see where its object ends. It
/// counts braces outside of strings and checks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Progress {
    /// Takes the next piece; says whether the object is whole with it.
    pub(super) fn take(&mut self, piece: &Text<'_>) -> bool {
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
    pub(super) fn has_begun(&self) -> bool {
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
