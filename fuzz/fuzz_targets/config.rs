//! See [`nowait::config::fuzz`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::config::fuzz(input));
