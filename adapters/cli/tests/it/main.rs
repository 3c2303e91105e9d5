//! The program `jobwatch` from the outside: its binary, real sockets on loopback, its output and its exit status.

mod apis;
mod backend;
mod cancel;
mod compare;
#[cfg(unix)]
mod crashes;
mod demo;
mod dialects;
mod fields;
mod files;
mod headers;
mod help;
mod history;
mod interrupts;
mod keys;
mod named_flags;
mod numbers;
mod pictures;
mod pipes;
mod plan;
mod policy;
#[path = "../../../pgmq/tests/it/postgres.rs"]
#[allow(dead_code)] // the tests of queues use more of it
mod postgres;
#[cfg(unix)]
mod printed;
mod program;
mod python;
mod queue;
#[cfg(unix)]
mod recording;
mod saving;
mod shells;
mod simulate;
mod state;
mod status;
mod stream;
mod submit;
mod submit_wait;
#[cfg(unix)]
mod terminal;
mod trouble;
mod wait;
mod worker;
mod worker_crashes;
