//! See [`jobwatch_fuzz::history`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::history(data));
