//! See [`nowait::cache::fuzz_replies`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::cache::fuzz_replies(input));
