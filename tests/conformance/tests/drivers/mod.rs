//! The drivers under test.

pub(crate) mod reqwest;
pub(crate) mod ureq;
