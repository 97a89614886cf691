//! See [`nowait::dialect::fold::fuzz_fold`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::fold::fuzz_fold(input));
