//! Queues and workers on a real PostgreSQL.
// Helpers may panic like the tests, and have threads and clocks of their own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::cast_precision_loss)]

mod at_work;
mod backend;
mod ended;
mod guards;
mod outages;
mod postgres;
mod queues;
mod rates;
mod workers;
