//! See [`nowait::dialect::watch::fuzz_watch`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::watch::fuzz_watch(input));
