//! See [`jobwatch_fuzz::dialect_life`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::dialect_life(data));
