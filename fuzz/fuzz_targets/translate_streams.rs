//! See [`nowait::dialect::translate::fuzz_streams`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::translate::fuzz_streams(input));
