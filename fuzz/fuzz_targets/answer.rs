//! See [`nowait::dialect::answer::fuzz_answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::answer::fuzz_answer(input));
