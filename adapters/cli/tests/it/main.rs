//! The program `jobwatch` from the outside: its binary, real sockets on loopback, its output and its exit status.

mod backend;
mod demo;
mod files;
mod headers;
mod help;
mod interrupts;
mod pipes;
mod policy;
mod program;
mod simulate;
mod status;
mod submit;
mod trouble;
mod wait;
