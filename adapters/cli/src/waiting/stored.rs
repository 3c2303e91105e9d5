//! A wait whose jobs are kept in a state file.

use std::io::Write;
use std::time::{Duration, SystemTime};

use jobwatch::store::{Change, Intent, Kept, Record, Standing};
use jobwatch::{Finished, JobHandle, JobRef};
use jobwatch_reqwest::Client;

use super::{Course, Waiting};
use crate::creating::Creates;
use crate::failure::Failure;
use crate::report::{counted, one_line};
use crate::state::{State, StateFile, StateNews};
use crate::view::note;

impl<W: Write> Waiting<W> {
    /// Goes on with the jobs of a state file that have not ended or were not told, and with these: of one that has ended
    /// the outcome is told again. From now on everything is kept in the file.
    pub(crate) fn with_state(
        mut self,
        mut file: StateFile,
        client: &Client,
        jobs: Vec<JobRef>,
    ) -> Result<Self, Failure> {
        let digest = client.backend().dialect().digest();
        // One by one: a million snapshots need not be in memory twice.
        file.take_up(&mut |record| self.take_up(digest, record))?;
        let mut left = vec![(self.open, "job"), (self.again.len(), "outcome to be told again")];
        let is_asked = !jobs.is_empty() || self.intake.is_some();
        for (job, record) in file.find(jobs)? {
            self.take_found(digest, job, record);
        }
        let intents = file.intents()?;
        left.push((intents.len(), "create that was cut short"));
        left.retain(|(count, _)| *count > 0);
        let left: Vec<_> = left.iter().map(|(count, what)| counted_first(*count as u64, what)).collect();
        let path = one_line(&file.path().display().to_string());
        if !left.is_empty() {
            self.view.remark(format_args!("going on with what is in {path}: {}", left.join(", ")));
        } else if !is_asked {
            self.view.remark(format_args!("there are no unfinished jobs of this backend in {path}"));
        }
        if let Some(others) = file.elsewhere()? {
            self.view.remark(format_args!("{others}"));
        }
        self.creates_are_told = false;
        self.keep_in(file, client, intents)
    }

    /// Keeps the jobs that are created in a state file, and finishes the creates of earlier runs. The jobs of earlier runs
    /// are left alone.
    pub(crate) fn with_state_of_creates(self, mut file: StateFile, client: &Client) -> Result<Self, Failure> {
        let intents = file.intents()?;
        self.keep_in(file, client, intents)
    }

    fn keep_in(mut self, file: StateFile, client: &Client, intents: Vec<Intent>) -> Result<Self, Failure> {
        let state = file.start()?;
        let (backend, now) = (client.backend(), self.all.now());
        let (repeatable, lost): (Vec<_>, Vec<_>) =
            intents.into_iter().partition(|intent| intent.can_be_repeated(&backend, now));
        for intent in lost {
            self.exit.note_status(4);
            self.view.aside(|| note(format_args!("jobwatch: {}", maybe_submitted(&intent))));
            // It was told, and is not told again.
            state.note(vec![Change::Settled { intent: intent.id().to_owned(), jobs: Vec::new() }]);
        }
        let creates = self.creates.take();
        let creates = creates.or_else(|| (!repeatable.is_empty()).then(|| Creates::new(client.clone(), Vec::new(), 0)));
        self.creates = creates.map(|creates| creates.with_state(state.creator(), repeatable));
        self.state = Some(state);
        Ok(self)
    }

    /// Goes on with what a store knows of a job.
    fn take_up(&mut self, digest: u64, record: Record) {
        match record.standing {
            Standing::Ended { finished, .. } => {
                if self.known.is_new(finished.job.id()) {
                    self.exit.note(&finished);
                    self.told_again.count(finished.outcome);
                    self.again.push(*finished);
                }
            }
            Standing::Open(kept) => {
                let job = kept.job().clone();
                if !self.known.is_new(job.id()) {
                    return;
                }
                let snapshot = match kept {
                    // What another version of the dialect has remembered may mean something else now.
                    Kept::Wait(snapshot) if record.digest == digest => self.all.add_snapshot(snapshot.anew()).ok(),
                    _ => None,
                };
                let handle = snapshot.unwrap_or_else(|| self.all.add(job));
                self.waits_for(handle);
            }
        }
    }

    /// Goes on with a job that was asked for.
    fn take_found(&mut self, digest: u64, job: JobRef, record: Option<Record>) {
        match record {
            Some(record) => self.take_up(digest, record),
            None => self.add(job),
        }
    }

    pub(super) fn waits_for(&mut self, handle: JobHandle) {
        self.view.added(handle);
        self.open += 1;
        self.drained = false;
    }

    /// Asks the state file for jobs that came by themselves.
    pub(super) fn look_up(&mut self, jobs: Vec<JobRef>) {
        if let Some(state) = self.state.as_mut().filter(|_| !jobs.is_empty()) {
            state.find(jobs, self.all.fleet().backend());
        }
    }

    pub(super) fn take_stored(&mut self, news: StateNews, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        match news {
            StateNews::Ended(finished) => self.conclude(*finished, keep),
            StateNews::Told => self.tell_next(keep),
            StateNews::Found(found) => {
                let digest = self.all.fleet().backend().dialect().digest();
                for (job, record) in found {
                    self.take_found(digest, job, record);
                }
                if self.course != Course::GoesOn {
                    // They are not waited for, but told like the others.
                    self.all.stopper().stop();
                }
                self.tell_again(keep)
            }
            StateNews::Trouble(problem) => {
                self.take_trouble(problem);
                Ok(())
            }
        }
    }

    /// Nothing is safe any more: what is known is told, and nothing new begun.
    pub(super) fn take_trouble(&mut self, problem: String) {
        if self.note_trouble(problem) {
            self.stop();
        }
    }

    /// A job is in another state.
    pub(super) fn store_change(&mut self, handle: JobHandle) {
        if let (Some(state), Some(snapshot)) = (&self.state, self.all.fleet().snapshot(handle)) {
            state.note(vec![Change::Moved(Box::new(snapshot))]);
        }
    }

    /// Waits until everything is on the disk.
    pub(super) fn close_state(&mut self) {
        if let Some(problem) = self.state.take().and_then(State::close) {
            self.note_trouble(problem);
        }
    }

    /// Tells the first of them; the others say the same.
    fn note_trouble(&mut self, problem: String) -> bool {
        let is_first = self.trouble.is_none();
        if is_first {
            self.exit.note_status(5);
            self.view.aside(|| note(format_args!("jobwatch: {}", one_line(&problem))));
            self.trouble = Some(problem);
        }
        is_first
    }
}

/// `1 outcome to be told again`, `2 outcomes to be told again`.
fn counted_first(count: u64, what: &str) -> String {
    match what.split_once(' ') {
        Some((word, rest)) => format!("{} {rest}", counted(count, word)),
        None => counted(count, what),
    }
}

/// A create of an earlier run that is not sent again.
fn maybe_submitted(intent: &Intent) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(intent.at().as_nanos());
    let at = humantime::format_rfc3339_seconds(at);
    let why = match intent.key() {
        Some(_) => "its idempotency key is too old",
        None => "it had no idempotency key",
    };
    format!(
        "maybe submitted: a create of {at} was cut short, and nobody knows whether it made a job; {why}, and it is not sent again"
    )
}
