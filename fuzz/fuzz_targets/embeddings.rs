//! See [`nowait::dialect::embeddings::fuzz_embeddings`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::dialect::embeddings::fuzz_embeddings(input));
