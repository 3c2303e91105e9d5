//! A job backend to run against: a real HTTP/1.1 server on a real socket, whose jobs, failures and
//! faults are drawn from a seed and therefore repeat.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use jobwatch_simulator::{Durations, FaultKind, Faults, Simulator};
//!
//! let simulator = Simulator::builder()
//!     .durations(Durations::parse("lognormal:480,0.5")?)
//!     .fail_rate(0.1)
//!     .faults(Faults::rate(0.25).only(&[FaultKind::Throttle]))
//!     .speed(10.0)
//!     .seed(7)
//!     .start()?;
//!
//! // Any HTTP client will do; this is the smallest.
//! let mut stream = TcpStream::connect(simulator.address())?;
//! stream.write_all(b"POST /create_job HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
//!
//! let ledger = simulator.ledger();
//! assert_eq!(ledger.jobs.len(), 1);
//! assert!(answer.contains(&*ledger.jobs[0].id));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The wire
//!
//! There is one API so far, [`Api::Tracker`]:
//!
//! | request | answer |
//! |---|---|
//! | `POST /create_job`, any body | 200 `{"job_id":"<uuid>"}` |
//! | `GET /status/{id}` | 200 `{"result":"pending"}`, `"completed"` or `"error"` |
//! | `GET /status/{id}` of an unknown id | 200 `{"result":"Job ID not found"}` |
//! | a known path with another method | 405 with `Allow` |
//! | anything else | 404 |
//! | `GET /_health` | 200, always |
//! | `GET /_ledger` | 200 with the [`Ledger`] |
//!
//! Two headers tell the truth about a job, so that a client's delay can be measured instead of
//! guessed. Both are Unix times of this machine's clock in seconds with nine decimals, such as
//! `1764000000.123456789`:
//!
//! * [`x-jobwatch-created-at`](CREATED_AT): on the answer to a create, and on each honest status
//!   answer for a known job;
//! * [`x-jobwatch-ended-at`](ENDED_AT): when the job really ended, once it has.
//!
//! # Time
//!
//! Durations, the life of the cache and the waits that throttling asks for are simulated time;
//! `speed` says how many simulated seconds a real one holds. Header times and the ledger are real.
//! Nothing ticks: the state of a job is read from the clock when somebody asks.
//!
//! # What repeats
//!
//! The id, the outcome and the duration of the n-th job depend on the seed and on n alone, whatever
//! is asked in between. The fault of the n-th status request depends on the seed and on n alone;
//! which job that request is for is up to the clients.
//!
//! # Faults
//!
//! A status request meets one with the probability given to [`Faults`]; creates, health and ledger
//! never do. A 429 asks for one simulated second and a 503 for two: at speed 1 with
//! `Retry-After: 1` and with `Retry-After` as a date, at any other speed with `retry-after-ms` alone,
//! since `Retry-After` knows whole seconds only. The ledger keeps the end of each such wait, and
//! [`Ledger::asked_too_early`] finds who did not keep to it. Answers of faults carry no
//! `x-jobwatch` header and are never cached.
//!
//! # The cache
//!
//! With a cache, the first honest answer for a status path is repeated as it was, headers and all,
//! until it is too old, with `Age` in whole real seconds added. So a client can be told `pending`
//! after the end, exactly as by a backend with a cache in front.
//!
//! # Limits
//!
//! Each request is a few map look-ups under one short lock, in one thread: thousands of connections
//! are fine, if the process may open as many descriptors (`ulimit -n`). The last million requests
//! and jobs are remembered, counts go on. There is no authentication and no TLS: keep it on loopback.

mod answer;
mod api;
mod cache;
mod clock;
mod durations;
mod faults;
mod jobs;
mod ledger;
mod seed;
mod server;
mod simulator;
mod world;

pub use api::{Api, UnknownApi};
pub use durations::{Durations, DurationsError, LONGEST};
pub use faults::{FaultKind, Faults, FaultsError};
pub use ledger::{JobState, Ledger, LedgerEntry, LedgerJob};
pub use simulator::{Simulator, SimulatorBuilder, StartError, Stopper};

/// The header that tells when a job was created.
pub const CREATED_AT: &str = "x-jobwatch-created-at";

/// The header that tells when a job really ended.
pub const ENDED_AT: &str = "x-jobwatch-ended-at";
