//! See [`nowait::sse::fuzz_framer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::sse::fuzz_framer(input));
