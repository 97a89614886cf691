//! Why some bytes are not a message of HTTP/1.1.

use std::fmt;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A first line that is none.
    FirstLine,
    /// Another version of HTTP.
    Version,
    FieldName,
    FieldValue,
    TooManyFields,
    /// A head of too many bytes.
    TooLarge,
    /// A length that is not one, or two that differ.
    Length,
    /// A transfer coding that HTTP/1.0 does not have.
    Coded,
    ChunkSize,
    ChunkEnd,
    /// Too many bytes of chunk extensions.
    Extensions,
    Trailers,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstLine => "its first line is none",
            Self::Version => "it is not of HTTP/1.0 or HTTP/1.1",
            Self::FieldName => "a line of its head has no field's name",
            Self::FieldValue => "a field has a control byte in its value",
            Self::TooManyFields => "its head has too many fields",
            Self::TooLarge => "its head is over 128 KiB",
            Self::Length => "its content-length is not one number",
            Self::Coded => "HTTP/1.0 has no transfer-encoding",
            Self::ChunkSize => "a chunk has no size that could be read",
            Self::ChunkEnd => "a chunk does not end where it says",
            Self::Extensions => "its chunks have more than 16 KiB of extensions",
            Self::Trailers => "what follows the last chunk are not fields",
        })
    }
}
