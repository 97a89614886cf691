//! See [`nowait::dialect::canonical::fuzz_canonical`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::canonical::fuzz_canonical(input));
