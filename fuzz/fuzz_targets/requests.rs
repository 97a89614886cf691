//! See [`nowait::server::fuzz_requests`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nowait::server::fuzz_requests(input));
