//! See [`nowait::dialect::fuzz_scan`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::fuzz_scan(input));
