//! How many cases the properties are tried with.

use proptest::test_runner::Config as ProptestConfig;

/// So many, or as many as `PROPTEST_CASES` says; `.cargo/config.toml` says which.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}
