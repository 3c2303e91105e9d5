//! What must survive a crash, and where it is kept.
//!
//! A look that is forgotten costs one harmless request, so looks are not written down. What is paid for is the job, and a
//! program that wants to lose none writes a [`Change`] at these moments, of which a job has about three:
//!
//! | moment | change | to be written |
//! |---|---|---|
//! | a create is about to be sent | [`Intended`](Change::Intended), with its idempotency key | before it is sent |
//! | the create was answered | [`Settled`](Change::Settled), with the ids | before they are told |
//! | a job is to be waited for whose id came from elsewhere | [`Added`](Change::Added) | before it is asked for |
//! | its state is another ([`FleetEvent::Changed`](crate::FleetEvent::Changed)) | [`Moved`](Change::Moved) | whenever it may be |
//! | it has ended | [`Ended`](Change::Ended) | before the outcome is told |
//! | the outcome was told | [`Told`](Change::Told) | before the next one is told |
//!
//! Two of them need not survive a power cut, only the end of the process: a move that is forgotten costs a request, and an
//! outcome that nobody marked as told is told again.
//!
//! A wait that has ended while its job may go on (timed out, given up, rejected, stopped) changes nothing: the job is
//! unfinished, and is waited for again with a fresh budget ([`JobSnapshot::anew`]).
//!
//! After a crash, [`Store::unfinished`] tells the jobs to wait for, and the outcomes that were not told or whose telling
//! was cut short: these are told again rather than never. [`Store::intents`] tells the creates of which nobody heard the
//! end; [`Submit::of_intent`](crate::Submit::of_intent) repeats those that can make no second job.
//!
//! An address that moved (a permanent redirect) is written with the next change of state; until then the old one leads to
//! it again.

use core::fmt;
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::submit::can_repeat;
use crate::{Backend, Finished, JobRef, JobSnapshot, Timestamp};

/// Where jobs are kept so that a crash loses none: a file, a database.
///
/// One program at a time may write for a backend. Methods may block, for as long as a disk takes.
pub trait Store {
    /// Why something could not be read or written.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Writes all of these, in their order, or none. When it returns, they survive the loss of the process and, if one of
    /// them is [lasting](Change::is_lasting), of power.
    ///
    /// # Errors
    /// Nothing was written.
    fn write(&mut self, backend: &BackendKey, changes: &[Change]) -> Result<(), Self::Error>;

    /// Hands over, in the order in which they came, every job that has not ended, as far as is known, or whose outcome was
    /// not told.
    ///
    /// # Errors
    /// They cannot be read, or what was stored is damaged. Some may have been handed over.
    fn unfinished(&mut self, backend: &BackendKey, take: &mut dyn FnMut(Record)) -> Result<(), Self::Error>;

    /// What is known of the job with this id, whether it has ended or not.
    ///
    /// # Errors
    /// It cannot be read.
    fn find(&mut self, backend: &BackendKey, id: &str) -> Result<Option<Record>, Self::Error>;

    /// The creates that may have been sent and whose end is not known, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    fn intents(&mut self, backend: &BackendKey) -> Result<Vec<Intent>, Self::Error>;
}

/// Whose jobs: one store can hold those of several backends, and each is told its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendKey {
    /// The dialect's name.
    pub dialect: String,
    /// The address, without secrets.
    pub base_url: String,
    /// The dialect's [digest](crate::Dialect::digest), kept with each job. It does not tell backends apart: a description
    /// that was mended is about the same jobs.
    pub digest: u64,
}

impl BackendKey {
    /// The key of this backend. Credentials are no part of it.
    pub fn of(backend: &Backend) -> Self {
        let dialect = backend.dialect();
        Self { dialect: dialect.name().to_string(), base_url: backend.address(), digest: dialect.digest() }
    }
}

/// Something that happened and must not be forgotten; the [module](self) tells when each is due.
#[derive(Clone, Debug)]
pub enum Change {
    /// A create is about to be sent.
    Intended(Intent),
    /// A create is over: it made these jobs, or none, or what it made was told to be unknown.
    Settled {
        /// The [id](Intent::id) of the intent.
        intent: String,
        /// The jobs. Those that are known already stay what they are.
        jobs: Vec<JobRef>,
    },
    /// A job is waited for. One that is known already stays what it is.
    Added(Kept),
    /// A job is in another state. Nothing happens where it is not known, or has ended.
    Moved(Box<JobSnapshot>),
    /// A job has ended. The first end stands. Nothing happens for the end of a wait that is not
    /// [the job's](crate::Outcome::is_jobs_end).
    Ended(Box<Finished>),
    /// The outcome of the job with this id was told.
    Told(String),
}

impl Change {
    /// Whether it has to survive the loss of power, with all that was written before it: a sync of the disk is worth more
    /// than all the rest of a write.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Intended(_) | Self::Settled { .. } | Self::Added(_) | Self::Ended(_) => true,
            Self::Moved(_) | Self::Told(_) => false,
        }
    }
}

/// What is kept of a job that has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nobody has waited for it yet.
    Job(JobRef),
    /// Where the wait for it stood.
    Wait(Box<JobSnapshot>),
}

impl Kept {
    /// The job.
    pub fn job(&self) -> &JobRef {
        match self {
            Self::Job(job) => job,
            Self::Wait(snapshot) => snapshot.job(),
        }
    }
}

/// What a store knows of one job.
#[derive(Clone, Debug)]
pub struct Record {
    /// How often it was written, from 1.
    pub revision: u64,
    /// The [digest](BackendKey::digest) of the dialect by which it was written last: what a [snapshot](Kept::Wait)
    /// remembers of another one is worth no more than the job's id.
    pub digest: u64,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a job stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It has not ended, as far as is known.
    Open(Kept),
    /// It has ended.
    Ended {
        /// How.
        finished: Box<Finished>,
        /// The outcome was told. Without this it may have been told, too: the program ended in that moment.
        told: bool,
    },
}

/// A create that is about to be sent, to be stored before it is. The body is stored with it, or it could not be repeated.
#[derive(Clone, PartialEq, Eq)]
pub struct Intent {
    id: String,
    key: Option<String>,
    body: Vec<u8>,
    at: Timestamp,
    may_have_been_sent: bool,
}

impl Intent {
    /// A create at this backend with this body, which is JSON already or empty. The entropy must be drawn for it alone, not
    /// from a seed: under the key of another create the backend would make no job.
    pub fn new(backend: &Backend, body: Vec<u8>, now: Timestamp, entropy: u128) -> Self {
        let id = format!("{entropy:032x}");
        let key = backend.has_idempotency_key().then(|| id.clone());
        Self { id, key, body, at: now, may_have_been_sent: false }
    }

    /// One that a store gives back: it may have been sent.
    pub fn stored(id: String, key: Option<String>, body: Vec<u8>, at: Timestamp) -> Self {
        Self { id, key, body, at, may_have_been_sent: true }
    }

    /// Names it; never sent.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The idempotency key, where the dialect has one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The request's body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When it was made.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether somebody may have sent it before.
    pub fn may_have_been_sent(&self) -> bool {
        self.may_have_been_sent
    }

    /// Whether it can be sent again now without making a second job: it has a key, which the backend will remember for
    /// another minute.
    pub fn can_be_repeated(&self, backend: &Backend, now: Timestamp) -> bool {
        can_repeat(backend, self.key(), self.at, now)
    }
}

impl fmt::Debug for Intent {
    /// Leaves out the body, which is the caller's own and may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intent")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("at", &self.at)
            .field("may_have_been_sent", &self.may_have_been_sent)
            .finish_non_exhaustive()
    }
}
