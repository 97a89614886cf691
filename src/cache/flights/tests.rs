//! The table under one thread.
