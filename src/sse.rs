//! Server-sent events: frames over bytes. Knows no JSON and does no I/O.
