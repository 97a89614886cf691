//! See [`nowait::dialect::translate::embed::fuzz_others`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::translate::embed::fuzz_others(input));
