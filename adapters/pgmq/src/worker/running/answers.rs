//! What a worker makes of the database's answers.

use std::collections::HashSet;

use tokio::time::Instant;

use super::super::outbox::End;
use super::super::{MOST_CRASHES, News, Until, WorkerError};
use super::Running;
use super::requests::{BEAT, Done};
use crate::{Adopted, Claim, Error};

impl<T: FnMut(News<'_>)> Running<T> {
    /// Takes what came of a request.
    pub(super) fn take(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Adopted { asked, left, result } => {
                self.busy.adopt = false;
                if let Some(adopted) = self.heard(result, now) {
                    self.take_adopted(asked, left, adopted, now);
                }
            }
            Done::Extended { began, result } => {
                self.busy.extend = false;
                if let Some(lost) = self.heard(result, now) {
                    self.times.extend_at = began + self.times.extension;
                    self.take_lost(&lost);
                }
            }
            Done::Recorded { batch, result } => {
                self.busy.record = false;
                self.take_recorded(batch, result, now);
            }
            Done::Progressed { news, result } => {
                self.busy.progress = false;
                // Of those that are owned no more the next extension tells.
                if self.heard(result, now).is_none() {
                    self.owned.take_back(news);
                }
            }
            Done::Granted { demand, result } => {
                self.busy.grant = false;
                if let Some(grant) = self.heard(result, now) {
                    self.owned.note_begun(self.all.fleet(), &demand, grant.requests);
                    self.pace.granted(grant, now);
                }
            }
            Done::Beaten(result) => {
                self.busy.beat = false;
                if self.heard(result, now).is_some() {
                    self.times.beat_at = now + BEAT;
                }
            }
            Done::SetAside { batch, result } => {
                self.busy.set_aside = false;
                match self.heard(result, now) {
                    Some(gone) => self.take_set_aside(&batch, &gone),
                    None => self.aside.extend(batch),
                }
            }
            Done::Released { batch, result } => {
                self.busy.release = false;
                match (self.heard(result, now), &mut self.leaving) {
                    (Some(kept), _) => {
                        self.summary.handed_back += kept.len() as u64;
                        self.summary.lost += (batch.len() - kept.len()) as u64;
                    }
                    (None, Some(leaving)) => leaving.jobs.extend(batch),
                    (None, None) => {}
                }
            }
        }
    }

    /// The answer, if there was one. An outage passes; whatever else the database refuses ends the work.
    fn heard<A>(&mut self, result: Result<A, Error>, now: Instant) -> Option<A> {
        match result {
            Ok(answer) => {
                self.note_answer(now);
                Some(answer)
            }
            Err(Error::Outage(problem)) => {
                self.note_outage(&problem, now);
                None
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// The database refuses what cannot be done without. It is not asked again and again.
    fn fail(&mut self, error: Error) {
        self.leave(Some(WorkerError::Queue(error)));
        if let Some(leaving) = &mut self.leaving {
            leaving.deadline = Instant::now();
        }
    }

    fn take_adopted(&mut self, asked: usize, left: Option<u64>, adopted: Vec<Adopted>, now: Instant) {
        let count = adopted.len();
        for Adopted { claim, job, tries } in adopted {
            match job {
                Err(problem) => self.aside.push((claim, format!("it cannot be read: {problem}"))),
                Ok((job, _)) if tries >= MOST_CRASHES => {
                    let reason = format!("{tries} workers in a row died while they looked at the job {:?}", job.id());
                    self.aside.push((claim, reason));
                }
                // A database that lost its last commits in a crash gives out the same ownership again.
                Ok(_) if self.owned.handle(claim).is_some() => {}
                Ok((job, snapshot)) => {
                    let resumed = snapshot.and_then(|snapshot| self.all.add_snapshot(snapshot).ok());
                    // A snapshot that cannot be used costs the wait's past and not the job.
                    let handle = resumed.unwrap_or_else(|| self.all.add(job));
                    self.owned.insert(handle, claim);
                }
            }
        }
        self.times.note_adopted(count, asked, self.worker.longest_idle(), now);
        if count > 0 {
            (self.tell)(News::Adopted(count));
        }
        match self.until {
            Until::Once if count < asked || self.room() == 0 => self.adopting = false,
            Until::Drained if left == Some(0) => self.adopting = false,
            _ => {}
        }
    }

    fn take_lost(&mut self, lost: &[Claim]) {
        let mut count = 0;
        for claim in lost {
            if let Some(handle) = self.owned.handle(*claim) {
                self.owned.remove(handle);
                self.all.release(handle);
                count += 1;
            }
        }
        if count > 0 {
            self.summary.lost += count as u64;
            (self.tell)(News::Lost(count));
        }
    }

    fn take_recorded(&mut self, batch: Vec<End>, result: Result<Vec<i64>, Error>, now: Instant) {
        if let Err(Error::Value(problem)) = &result {
            self.note_answer(now);
            if let Err(error) = self.outbox.take_back_refused(batch, problem) {
                self.fail(error);
            }
            return;
        }
        let Some(recorded) = self.heard(result, now) else { return self.outbox.take_back(batch) };
        let recorded: HashSet<i64> = recorded.into_iter().collect();
        for End { claim, finished } in batch {
            if recorded.contains(&claim.id) {
                self.summary.recorded += 1;
                (self.tell)(News::Recorded(&finished));
            } else {
                self.summary.lost += 1;
                (self.tell)(News::Lost(1));
            }
        }
    }

    fn take_set_aside(&mut self, batch: &[(Claim, String)], gone: &[i64]) {
        for (_, reason) in batch.iter().filter(|(claim, _)| gone.contains(&claim.id)) {
            self.summary.set_aside += 1;
            (self.tell)(News::SetAside(reason));
        }
    }
}
