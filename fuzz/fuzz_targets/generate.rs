//! See [`nowait::dialect::generate::fuzz_generate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::generate::fuzz_generate(input));
