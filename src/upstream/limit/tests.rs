//! The limits against simulated providers.
