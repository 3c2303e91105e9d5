//! One suite of stories over real sockets that every driver of [`jobwatch`] must pass.
//!
//! A story is a plain function from a [`Driver`] to nothing. It starts a [`Server`] that answers by a script and
//! remembers every request, has the driver's client wait for jobs, and asserts the outcome, the counts, and what the
//! server saw. [`conformance!`] makes each of them a `#[test]` of the driver's own:
//!
//! ```
//! mod carrier_pigeon {
//!     # use jobwatch_conformance::{Client, Driver, Setup};
//!     # struct CarrierPigeon;
//!     # impl Driver for CarrierPigeon {
//!     #     fn client(&self, _: Setup) -> Box<dyn Client> { unimplemented!() }
//!     # }
//!     // struct CarrierPigeon; impl Driver for CarrierPigeon { … }
//!     jobwatch_conformance::conformance!(CarrierPigeon);
//! }
//! ```
//!
//! Delays are real but short. Time is asserted from below alone, by the server's clock; from above there is only
//! [`HANG_GUARD`], which turns a driver that hangs into a test that fails.
//!
//! Not told here: proxies, and what a server with a trusted certificate does, which the drivers' own tests tell with
//! [`TlsServer`]; wake-ups, for which the drivers have no face; how much
//! memory a body takes, of which the server sees only how many bytes were read.

// A story panics where a driver fails it: that is what it is for.
#![allow(clippy::missing_panics_doc)]

mod answer;
mod driver;
mod kiln;
mod logbook;
mod server;
pub mod stories;
mod stranger;
mod tls;

pub use answer::Answer;
pub use driver::{Add, Client, Driver, HANG_GUARD, Provider, Setup, Stop, tell};
pub use server::{Log, Request, Server};
pub use tls::{Identity, TlsServer};

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// The guide's code, compiled here, where both clients are at hand.
#[cfg(doctest)]
mod guide {
    macro_rules! chapters {
        ($($name:ident)*) => {
            $(
                #[doc = include_str!(concat!("../../../src/guide/", stringify!($name), ".md"))]
                mod $name {}
            )*
        };
    }

    chapters! {
        ten_lines one_job clients many_jobs own_backend outcomes limits learning schedules nothing_lost many_machines
        embedding observing testing cost coming_from stability
    }
}
