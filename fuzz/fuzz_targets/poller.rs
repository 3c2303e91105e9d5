//! See [`jobwatch_fuzz::poller`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| jobwatch_fuzz::poller(data));
