//! Chat there and back.
