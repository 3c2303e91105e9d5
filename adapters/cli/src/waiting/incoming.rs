//! Jobs that come while others are waited for: ids that are read, and creates that are answered.

use std::io::Write;

use jobwatch::JobRef;

use super::{Course, Purpose, Waiting};
use crate::creating::{Created, Creates};
use crate::failure::Failure;
use crate::report::one_line;
use crate::view::note;

impl<W: Write> Waiting<W> {
    /// Each id is waited for. A line that is no id is told at once and ends the reading, not the wait for those before it.
    pub(super) fn take_ids(&mut self, ids: Vec<Result<JobRef, Failure>>) {
        let mut asked = Vec::new();
        for id in ids {
            match id {
                Ok(job) if self.state.is_some() => asked.push(job),
                Ok(job) => self.add(job),
                Err(failure) => {
                    self.intake = None;
                    self.exit.note_status(failure.status);
                    self.view.aside(|| note(format_args!("jobwatch: {}", one_line(&failure.message))));
                }
            }
        }
        self.look_up(asked);
    }

    pub(super) fn take_created(&mut self, created: Created) -> Result<(), Failure> {
        let (jobs, failure) = match created {
            Created::TryAgain => return Ok(()),
            Created::NoPlace(message) => {
                self.view
                    .remark(format_args!("no place for another job yet, to be tried again: {}", one_line(&message)));
                return Ok(());
            }
            Created::Jobs(jobs) => (jobs, None),
            Created::Again(jobs) => {
                self.view.remark(format_args!("a create that was cut short earlier is answered now"));
                (jobs, None)
            }
            Created::Failed(jobs, failure) => (jobs, Some(failure)),
        };
        for job in jobs {
            if self.creates_are_told {
                self.view.print(|| self.report.created(job.id()))?;
            }
            if self.purpose != Purpose::Create {
                self.add(job);
            }
        }
        if self.course != Course::GoesOn {
            // It is not waited for, but told like the others.
            self.all.stopper().stop();
        }
        if let Some(failure) = failure {
            self.exit.note_status(failure.status);
            self.view.aside(|| note(format_args!("jobwatch: {}", failure.message)));
        }
        Ok(())
    }

    pub(super) fn leave_create(&mut self) {
        if self.creates.as_mut().is_some_and(Creates::abandon) {
            self.exit.note_status(4);
            let kept = if self.state.is_some() { "; what became of it is found out when it goes on" } else { "" };
            let problem = format!("a create was not answered in time and may have made a job{kept}");
            self.view.aside(|| note(format_args!("jobwatch: {problem}")));
        }
    }
}
