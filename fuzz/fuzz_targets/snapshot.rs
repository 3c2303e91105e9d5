//! See [`jobwatch_fuzz::snapshot`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::snapshot(data));
