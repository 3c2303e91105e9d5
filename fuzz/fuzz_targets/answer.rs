//! See [`jobwatch_fuzz::answer`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::answer(data));
