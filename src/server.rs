//! Accepting callers: listeners, runtimes, TLS, drain.

pub mod pages;
