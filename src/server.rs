//! Accepting callers: listeners, runtimes, TLS, drain.
