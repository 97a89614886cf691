//! See [`nowait::dialect::sharing::fuzz_sharing`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::sharing::fuzz_sharing(input));
