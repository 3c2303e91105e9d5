//! The simulator over real sockets on loopback, with a client that hides nothing.

mod azure;
mod client;
mod durations;
mod faults;
mod heygen;
mod ledger;
mod life;
mod limits;
mod rfc9110;
mod wire;
