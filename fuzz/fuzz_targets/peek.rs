//! See [`nowait::dialect::peek::fuzz_peek`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::peek::fuzz_peek(input));
