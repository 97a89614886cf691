//! See [`nowait::dialect::unfold::fuzz_unfold`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::unfold::fuzz_unfold(input));
