//! See [`jobwatch_fuzz::policy`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::policy(data));
