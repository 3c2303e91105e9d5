//! See [`jobwatch_fuzz::operations`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::operations(data));
