//! See [`jobwatch_fuzz::hints`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::hints(data));
