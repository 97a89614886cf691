//! What an unstreamed answer says of itself, beside the answer.

use super::{Finish, Format, Usage};

/// See [`read`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model the provider says it used.
    pub model: Option<String>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// What it took.
    pub usage: Option<Usage>,
}

/// Reads a whole body.
pub fn read(format: Format, body: &[u8]) -> Told {
    let _ = (format, body);
    Told::default()
}

/// Reads only the usage of a whole body; cheaper than [`read`].
pub fn usage_of(format: Format, body: &[u8]) -> Option<Usage> {
    let _ = (format, body);
    None
}
