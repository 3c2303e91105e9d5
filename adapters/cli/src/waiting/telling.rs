//! From an end that is known to a line on standard output: saved first where that is wanted, and one at a time where what
//! was told is kept.

use std::io::Write;

use jobwatch::{Finished, Outcome};

use super::{Course, INTERRUPTED, Purpose, Waiting};
use crate::failure::Failure;
use crate::report::one_line;
use crate::saving::Saved;
use crate::state::State;
use crate::view::note;

impl<W: Write> Waiting<W> {
    /// Tells the ends of earlier runs.
    pub(super) fn tell_again(&mut self, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        for finished in std::mem::take(&mut self.again) {
            self.conclude(finished, keep)?;
        }
        Ok(())
    }

    /// An end is to be told, once its result is saved where that is wanted.
    pub(super) fn conclude(&mut self, finished: Finished, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        let made = self.purpose == Purpose::WaitAndSave && finished.outcome == Outcome::Succeeded;
        match &mut self.saver {
            Some(saver) if made => saver.save(finished),
            None if made => self.take_saved((finished, Err(INTERRUPTED.to_owned())), keep)?,
            _ => self.tell(finished, None, true, keep)?,
        }
        Ok(())
    }

    pub(super) fn take_saved(
        &mut self,
        (mut finished, saved): (Finished, Result<Saved, String>),
        keep: &mut impl FnMut(&Finished),
    ) -> Result<(), Failure> {
        // What an interruption has cut short is told and saved when it goes on.
        let is_over = !matches!(&saved, Err(problem) if problem == INTERRUPTED);
        let detail = match saved {
            Ok(saved) => {
                for path in &saved.replaced {
                    self.view.remark(format_args!("{} was replaced", path.display()));
                }
                saved.files.first().map(|first| match saved.files.len() - 1 {
                    0 => first.display().to_string(),
                    more => format!("{} and {more} more", first.display()),
                })
            }
            Err(problem) => {
                let problem = format!("the result was not saved: {problem}");
                self.exit.note_status(5);
                let id = one_line(finished.job.id());
                self.view.aside(|| note(format_args!("jobwatch: {id}: {}", one_line(&problem))));
                finished.error = Some(problem);
                None
            }
        };
        self.tell(finished, detail, is_over, keep)
    }

    /// An end is told now, or, where ends are kept, as soon as the one before it is marked as told.
    fn tell(
        &mut self,
        finished: Finished,
        detail: Option<String>,
        is_over: bool,
        keep: &mut impl FnMut(&Finished),
    ) -> Result<(), Failure> {
        if self.state.is_some() && finished.outcome.is_jobs_end() {
            self.tellings.push_back((finished, detail, is_over));
            return self.tell_next(keep);
        }
        self.print(&finished, detail.as_deref(), keep)
    }

    fn print(
        &mut self,
        finished: &Finished,
        detail: Option<&str>,
        keep: &mut impl FnMut(&Finished),
    ) -> Result<(), Failure> {
        let printed = self.view.print(|| self.report.finished(finished, detail));
        // The signal that ends us has ended who reads, too; that a wait was stopped is told on standard error as well.
        let is_known_elsewhere = self.course == Course::Interrupted && !finished.outcome.is_jobs_end();
        printed.or_else(|error| if is_known_elsewhere { Ok(()) } else { Err(error) })?;
        keep(finished);
        Ok(())
    }

    /// Tells the next end, once it is its turn. After a crash in between it is told again, and no other is.
    pub(super) fn tell_next(&mut self, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        while self.state.as_ref().is_some_and(State::may_tell) {
            let Some((finished, detail, is_over)) = self.tellings.pop_front() else { break };
            self.print(&finished, detail.as_deref(), keep)?;
            if let Some(state) = self.state.as_mut().filter(|_| is_over) {
                state.told(finished.job.id());
            }
        }
        Ok(())
    }

    pub(super) async fn stop_saving(&mut self, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        if let Some(mut saver) = self.saver.take() {
            for finished in saver.stop().await {
                self.take_saved((finished, Err(INTERRUPTED.to_owned())), keep)?;
            }
        }
        Ok(())
    }
}
