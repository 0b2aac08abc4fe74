#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| qis_fuzz::encode::run(data));
