//! See [`nowait::upstream::fuzz_answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::upstream::fuzz_answer(input));
