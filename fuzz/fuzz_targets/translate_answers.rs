//! See [`nowait::dialect::translate::fuzz_answers`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::translate::fuzz_answers(input));
