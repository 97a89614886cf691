//! Where in the caller's body something stood, to name it when it is lost.

use std::fmt;

/// A place in a list of the caller's body, such as `messages[3].content[1]`.
///
/// All places are equal: where something stood is no part of what it means.
#[derive(Clone, Copy, Debug)]
pub struct At {
    list: &'static str,
    /// None where `list` is a field by itself.
    index: Option<u32>,
    /// A list in that element, and the place in it.
    inner: Option<(&'static str, u32)>,
}

impl At {
    /// The field `name` itself.
    pub const fn field(name: &'static str) -> Self {
        Self {
            list: name,
            index: None,
            inner: None,
        }
    }

    /// The element `index` of the list `list`.
    pub fn element(list: &'static str, index: usize) -> Self {
        Self {
            index: Some(clamp(index)),
            ..Self::field(list)
        }
    }

    /// The element `index` of the list `list` in this place. A third level is
    /// told by its second.
    pub fn within(self, list: &'static str, index: usize) -> Self {
        Self {
            inner: self.inner.or(Some((list, clamp(index)))),
            ..self
        }
    }
}

fn clamp(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Default for At {
    fn default() -> Self {
        Self::field("")
    }
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.list)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        match self.inner {
            Some((list, index)) => write!(f, ".{list}[{index}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_paths() {
        let rows = [
            (At::field("system"), "system"),
            (At::element("tools", 2), "tools[2]"),
            (
                At::element("messages", 3).within("content", 1),
                "messages[3].content[1]",
            ),
            (
                At::element("messages", 3)
                    .within("content", 1)
                    .within("content", 7),
                "messages[3].content[1]",
            ),
        ];
        for (at, path) in rows {
            assert_eq!(at.to_string(), path);
        }
    }
}
