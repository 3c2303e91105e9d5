//! Benchmarks of the core; `cargo bench -p jobwatch-benches` runs them.
