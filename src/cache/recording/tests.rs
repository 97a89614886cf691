//! Recordings under one thread.
