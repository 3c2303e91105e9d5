//! The store on real files, with real processes beside it.
#![allow(clippy::unwrap_used)] // in shared functions too

mod files;
mod journal;
mod processes;
mod rows;
mod support;
