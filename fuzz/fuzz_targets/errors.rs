//! See [`nowait::dialect::error::fuzz_error`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::error::fuzz_error(input));
