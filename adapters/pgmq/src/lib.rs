//! Several machines wait for the jobs of one queue: a PostgreSQL database with pgmq's functions.
//!
//! A message is a job. Workers own messages under a visibility timeout, run their jobs in their own fleet, and record each
//! outcome in one transaction with the deletion of its message. A worker that dies loses nothing: its jobs are adopted by
//! others when their leases end.
//!
//! ```no_run
//! use jobwatch_pgmq::{Destination, JobRef, Queue, Until, Worker};
//! use jobwatch_reqwest::{Client, Dialect};
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = Queue::open("postgres://localhost/jobs", "videos").await?;
//! let (dialect, url) = (Dialect::tracker(), "http://127.0.0.1:5000");
//! let destination = Destination::new(&dialect, Some(url), "default")?;
//!
//! queue.enqueue(&destination, &[JobRef::new("7f0c")?]).await?; // anywhere
//!
//! let client = Client::builder(dialect).base_url(url).rate(None).build()?; // on every machine
//! let worker = Worker::new(queue, client, destination);
//! let summary = worker.run(Until::Drained, std::future::pending(), |_| ()).await?;
//! println!("{} recorded", summary.recorded);
//! # Ok(())
//! # }
//! ```
//!
//! How it is used from a terminal, and what it costs, is told in [the guide](jobwatch::guide::many_machines).
//!
//! # In the database
//!
//! [`Queue::open`] loads pgmq's functions where the database does not have them, as the extension or otherwise, and the
//! schema `jobwatch` with what pgmq lacks. `jobwatch.results` is for everybody to read: one row for each wait that has
//! ended, with `queue`, `id`, `outcome`, `reason`, `state`, `result`, `error`, `requests`, `worker` and `ended_at`.
//!
//! # What is guaranteed
//!
//! * Each job in the queue gets exactly one outcome, whatever becomes of workers and of the server, as long as what the
//!   server has committed stays committed. An outcome that is the job's end is final; one that ends only a wait
//!   (`timed_out`, `gave_up`, `rejected`) is recorded like the others, and enqueuing the job again replaces it by a fresh wait.
//! * A job whose worker died waits no longer than the lease, as long as another worker has room.
//! * An owner whose lease has ended and whose job was adopted by another changes nothing: extending, rewriting, recording
//!   and handing back ask for the epoch of the ownership.
//! * The requests of all workers with one rate, one origin and one name of a credential follow each other at the rate's
//!   interval; what could not be sent at its instant may follow within a second, at most 50 ms' worth at once.
//! * Credentials are named in messages and never contained in them, and a worker sends its own to its own address alone.
//!
//! Not guaranteed: that a job is looked at by one worker at a time. One that was cut off from the database while others
//! were not may look once more at jobs that it has lost; it gets no further requests granted.

mod error;
mod message;
mod queue;
mod schema;
mod status;
mod worker;

pub use error::Error;
pub use jobwatch::{Finished, JobRef, JobSnapshot, Outcome, RateLimit};
pub use message::Destination;
pub use queue::{Adopted, Claim, Enqueued, Grant, Queue};
pub use status::{QueueStatus, WorkerStatus};
pub use worker::{
    DEFAULT_LEASE, DEFAULT_MAX_JOBS, MOST_CRASHES, News, SHORTEST_LEASE, Summary, Until, Worker, WorkerError,
};

/// The code of the package's page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
