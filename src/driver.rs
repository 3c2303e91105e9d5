//! What a driver is made of, and nobody else needs: those who wait for jobs take `jobwatch-ureq` or `jobwatch-reqwest`, and
//! those who embed the core take [`Fleet`](crate::Fleet) or [`Watch`](crate::Watch).
//!
//! A driver owns an HTTP client and a clock. It is built by a [`ClientBuilder`](crate::ClientBuilder), which hands it a
//! [`Session`]: backend, policy, limits, and what is learned. For each wait it takes a fleet from the session, feeds it the
//! jobs as there is room ([`Feed`]), polls it, sends what it wants sent, sleeps as long as it says, and hands every answer
//! back. Results at addresses of their own are fetched by the rules of a [`Download`]. Bodies are decoded and bounded by
//! `body` (feature `gzip`), and counted by [`meter`].
//!
//! What is in here follows the needs of the two drivers, and may change in a minor release.

#[cfg(feature = "gzip")]
pub mod body;
pub mod meter;

pub use crate::client::{FromSession, Session};
pub use crate::download::{Download, DownloadStep};
pub use crate::fleet::{Distinct, Feed};
