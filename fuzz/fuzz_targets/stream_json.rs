#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bloom_fuzz::stream_json(data));
