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
//! # The wires
//!
//! [`Api`] says which one is spoken. On all of them a known path with another method is answered with
//! 405 and `Allow`, any other path with 404, `GET /_health` with 200, always, and `GET /_ledger` with
//! the [`Ledger`]. Bodies of creates are ignored, except by `heygen-v3`.
//!
//! ## `tracker`
//!
//! | request | answer |
//! |---|---|
//! | `POST /create_job` | 200 `{"job_id":"<uuid>"}` |
//! | `GET /status/{id}` | 200 `{"result":"pending"}`, `"completed"` or `"error"` |
//! | `GET /status/{id}` of an unknown id | 200 `{"result":"Job ID not found"}` |
//!
//! ## `heygen-v3`
//!
//! | request | answer |
//! |---|---|
//! | `POST /v3/video-translations` `{"output_languages":["…",…],"title"?}` | 200 `{"data":{"video_translation_ids":["<uuid>",…]}}`, one job for each language |
//! | the same with an `Idempotency-Key` of the last 24 simulated hours | the same answer; 409 `idempotency_mismatch` if the body is another |
//! | `GET /v3/video-translations/{id}` | 200 `{"data":{"id","status","output_language","created_at","title"?,"duration"?,"video_url"?,"failure_message"?}}` |
//! | `GET /v3/video-translations/statuses?video_translation_ids=a,b,…` | 200 `{"data":[{"video_id","status"},…],"has_more":false,"next_token":null}` |
//! | `DELETE /v3/video-translations/{id}` | 200 `{"data":{"id"}}`: cancelled, and unknown from then on |
//! | `GET /files/{id}.mp4?Expires=…&Signature=…` | 200 `video/mp4` |
//!
//! A job is `pending` for the first tenth of its time, then `running`, then `completed` or `failed`;
//! for two simulated seconds `completed` comes with `"video_url":null`. The status of many (1 to 100
//! ids) says `queued`, `processing`, `completed`, `failed` and `not_found` instead, never in the order
//! that was asked for, and one answer in 20 leaves a job out. The presigned URL holds for a real hour,
//! is answered with 400 when the request carries `x-api-key` or `authorization`, and with 403 when the
//! signature is wrong. Refusals are `{"error":{"code","message","param"?}}`: 400 `invalid_parameter`,
//! 404 `not_found`.
//!
//! ## `rfc9110`
//!
//! | request | answer |
//! |---|---|
//! | `POST /jobs` | 202 with `Location: /jobs/{id}`, a hint and no body |
//! | `GET /jobs/{id}` | 202 with a hint; 303 with `Location: /jobs/{id}/result` after a success |
//! | `GET /jobs/{id}/result` | 200 `{"id","output"}`; 404 before the end |
//! | `DELETE /jobs/{id}` | 204, and everything about the job is 410 from then on |
//!
//! HTTP has no status for a failed job: a 5xx says that reading the status failed, and a 200 is a
//! success. Here a failed job is 410, like a cancelled one; the body is a problem document (RFC 9457)
//! whose `title` tells them apart. An unknown id is 404.
//!
//! ## `azure`
//!
//! | request | answer |
//! |---|---|
//! | `POST /operations` | 202 with the absolute `Operation-Location: …/operations/{id}?api-version=2024-01-01` and no body |
//! | `GET /operations/{id}?api-version=…` | 200 `{"id","status","percentComplete","result"?,"error"?}`, with a hint before the end |
//! | the same without `api-version` | 400 |
//! | `DELETE /operations/{id}` | 202: cancelled, unless it has ended before |
//!
//! `status` is `NotStarted` for the first tenth, then `Running`, then `Succeeded`, `Failed` or
//! `Canceled`. An unknown id is 404.
//!
//! # Hints
//!
//! A hint asks to wait for one simulated second. It is `Retry-After: 1` at speed 1, and
//! `retry-after-ms` alone at any other speed, since `Retry-After` knows whole seconds only. The ledger
//! keeps the end of each such wait, and [`Ledger::asked_too_early`] finds who did not keep to it.
//!
//! # Keys and limits of a backend
//!
//! [`api_key`](SimulatorBuilder::api_key) asks for a key, and
//! [`set_api_key`](Simulator::set_api_key) changes it in the middle: 401 `unauthorized` without it.
//! [`max_active`](SimulatorBuilder::max_active) limits the unfinished jobs: a create beyond it is 429
//! `rate_limit_exceeded` with a hint. Both hold for every API.
//!
//! # The truth
//!
//! Two headers tell the truth about a job, so that a client's delay can be measured instead of
//! guessed. Both are Unix times of this machine's clock in seconds with nine decimals, such as
//! `1764000000.123456789`:
//!
//! * [`x-jobwatch-created-at`](CREATED_AT): on the answer to a create, and on each honest answer for
//!   one known job;
//! * [`x-jobwatch-ended-at`](ENDED_AT): when the job really ended, once it has.
//!
//! The status of many jobs has neither; for those, look into the ledger.
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
//! is asked in between. The fault of the n-th status request depends on the seed and on n alone, and
//! so do the order of the states of many jobs and the one that is left out; which jobs that request is
//! for is up to the clients. Requests that are refused do not count here.
//!
//! # Faults
//!
//! A status request, for one job or for many, meets one with the probability given to [`Faults`];
//! nothing else ever does. A 429 asks for one simulated second and a 503 for two, as hints do, but the
//! 503 at speed 1 with a date. Answers of faults carry no `x-jobwatch` header and are never cached.
//!
//! Where the HTTP status is the state, as in `rfc9110`, a made-up 200 would be a success that nobody
//! can tell from a true one. There `html` and `truncated` have the status 502.
//!
//! # The cache
//!
//! With a cache, the first honest answer for a status path (for many jobs, for the same jobs in the same
//! order) is repeated as it was, headers and all,
//! until it is too old, with `Age` in whole real seconds added. So a client can be told `pending`
//! after the end, exactly as by a backend with a cache in front.
//!
//! # Limits
//!
//! Each request is a few map look-ups for each of its jobs under one short lock, in one thread: thousands of connections
//! are fine, if the process may open as many descriptors (`ulimit -n`). The last million requests
//! and jobs are remembered, counts go on. A create's body is looked at up to 1 MiB. A key is compared in
//! the open and there is no TLS: keep it on loopback.

mod answer;
mod api;
mod asked;
mod backend;
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

/// The code of the package's page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
