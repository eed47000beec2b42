#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| udpush::fuzzing::tokens(bytes));
