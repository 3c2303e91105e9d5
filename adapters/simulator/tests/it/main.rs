//! The simulator over real sockets on loopback, with a client that hides nothing.

mod client;
mod durations;
mod faults;
mod ledger;
mod life;
mod wire;
