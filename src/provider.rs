//! Who serves a model: base URL, authentication, dialect and quirks, as data.
