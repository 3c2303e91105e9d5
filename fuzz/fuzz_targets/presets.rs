//! See [`jobwatch_fuzz::presets`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::presets(data));
