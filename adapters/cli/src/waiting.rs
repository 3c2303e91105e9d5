//! Waiting for jobs, and for those that are created meanwhile: shows, prints and saves what comes, until it is over.

mod incoming;
mod news;
mod stored;
mod telling;

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use jobwatch::driver::Distinct;
use jobwatch::{Finished, FleetEvent, JobRef, Outcomes, Stats};
use jobwatch_reqwest::{Client, WaitAll};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::creating::Creates;
use crate::failure::{ExitStatus, Failure};
use crate::ids::Intake;
use crate::interrupt::Interrupt;
use crate::report::{Report, counted, one_line};
use crate::saving::Saver;
use crate::state::{State, StateNews};
use crate::view::{View, note};
use news::{News, after, next_created, next_ids, next_of_state, next_saved, next_tick};

/// So long the answer to a create is waited for when everything else is to end: it may be a job that is paid for.
const LAST_CREATE: Duration = Duration::from_secs(5);

/// Why a result was not saved when a signal came.
const INTERRUPTED: &str = "jobwatch was interrupted";

/// A wait with all that belongs to it.
pub(crate) struct Waiting<W> {
    all: WaitAll,
    view: View,
    report: Report<W>,
    creates: Option<Creates>,
    /// Ids are printed when jobs are created.
    creates_are_told: bool,
    /// Ids that come in their own time.
    intake: Option<Intake>,
    /// There may be ids that were not read.
    unread: bool,
    /// Ids that are waited for; the same again is no other job.
    known: Distinct,
    saver: Option<Saver>,
    state: Option<State>,
    /// Ends of earlier runs that are told in this one.
    again: Vec<Finished>,
    /// How many of them there were.
    told_again: Outcomes,
    /// Ends to be told one after another, with a detail, and whether that is the end of it.
    tellings: VecDeque<(Finished, Option<String>, bool)>,
    /// Why the state file does not hold everything.
    trouble: Option<String>,
    /// The backend's words that were warned of.
    unknown: HashSet<String>,
    exit: ExitStatus,
    /// Jobs whose end is not known.
    open: usize,
    unfinished: Vec<JobRef>,
    purpose: Purpose,
    /// Nothing more comes of the fleet as it is.
    drained: bool,
    course: Course,
}

/// What becomes of jobs that are created, and of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Create,
    Wait,
    WaitAndSave,
}

/// Whether it is to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    GoesOn,
    Stopped,
    Interrupted,
}

/// What was told, and what is left.
pub(crate) struct Told {
    pub(crate) status: u8,
    pub(crate) unfinished: Vec<JobRef>,
    /// Creates that were not sent, or that nobody knows the end of.
    pub(crate) not_created: u32,
    /// It ended while there may have been more ids to come.
    pub(crate) unread: bool,
    /// The state file does not hold all of it.
    pub(crate) broken: bool,
    /// Where the backend is.
    pub(crate) address: String,
    pub(crate) stats: Stats,
}

impl<W: Write> Waiting<W> {
    /// A wait for nothing yet.
    pub(crate) fn new(client: &Client, view: View, report: Report<W>) -> Self {
        let all = client.wait_all([]);
        Self {
            open: 0,
            all,
            view,
            report,
            creates: None,
            creates_are_told: true,
            intake: None,
            unread: false,
            known: Distinct::default(),
            saver: None,
            state: None,
            again: Vec::new(),
            told_again: Outcomes::default(),
            tellings: VecDeque::new(),
            trouble: None,
            unknown: HashSet::new(),
            exit: ExitStatus::default(),
            unfinished: Vec::new(),
            purpose: Purpose::Wait,
            drained: true,
            course: Course::GoesOn,
        }
    }

    /// Waits for these jobs, for all of them from the start: whenever it is stopped, each is told.
    pub(crate) fn with_jobs(mut self, jobs: impl IntoIterator<Item = JobRef>) -> Self {
        for job in jobs {
            self.add(job);
        }
        self
    }

    /// Creates jobs, too, and waits for them.
    pub(crate) fn with_creates(self, creates: Creates) -> Self {
        Self { creates: Some(creates), ..self }
    }

    /// Waits for the jobs that come this way, too, from when they come.
    pub(crate) fn with_intake(self, intake: Intake) -> Self {
        Self { intake: Some(intake), ..self }
    }

    /// Does not wait for what it creates.
    pub(crate) fn only_creating(self) -> Self {
        Self { purpose: Purpose::Create, ..self }
    }

    /// Saves results; an outcome is told once its result is there.
    pub(crate) fn with_saver(self, saver: Saver) -> Self {
        Self { saver: Some(saver), purpose: Purpose::WaitAndSave, ..self }
    }

    /// Goes on until all jobs have ended; a signal or the limit stops what is left. Gives what was told, and what prints
    /// the rest.
    pub(crate) async fn run(
        mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
        mut keep: impl FnMut(&Finished),
    ) -> Result<(Told, Report<W>), Failure> {
        let told = self.go_on(limit, interrupt, &mut keep).await;
        self.view.close();
        told?;
        let not_created = self.creates.take().map_or(0, |creates| creates.left());
        self.close_state();
        if not_created > 0 {
            self.exit.note_status(4);
        }
        let mut stats = self.all.stats().clone();
        stats.outcomes.merge(&self.told_again);
        let told = Told {
            status: interrupt.status().unwrap_or_else(|| self.exit.code()),
            unfinished: self.unfinished,
            not_created,
            unread: self.unread,
            broken: self.trouble.is_some(),
            address: self.all.fleet().backend().address(),
            stats,
        };
        Ok((told, self.report))
    }

    async fn go_on(
        &mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
        keep: &mut impl FnMut(&Finished),
    ) -> Result<(), Failure> {
        let mut over = pin!(after(limit));
        let mut last_create = pin!(after(None));
        let mut ticks = self.view.period().map(|period| interval_at(Instant::now() + period, period));
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        self.tell_again(keep)?;
        while self.has_more() {
            let news = tokio::select! {
                event = self.all.next_event(), if !self.drained => News::Fleet(event),
                created = next_created(&mut self.creates) => News::Created(created),
                ids = next_ids(&mut self.intake) => News::Ids(ids),
                saved = next_saved(&mut self.saver) => News::Saved(Box::new(saved)),
                news = next_of_state(&mut self.state) => News::State(news),
                () = interrupt.came(), if self.course != Course::Interrupted => News::Interrupted,
                () = &mut over => News::Over,
                () = &mut last_create => News::CreateTakesTooLong,
                () = next_tick(&mut ticks) => News::Tick,
            };
            match news {
                News::Fleet(event) => self.take(event, keep)?,
                News::Created(created) => self.take_created(created)?,
                News::Ids(ids) if ids.is_empty() => self.intake = None,
                News::Ids(ids) => self.take_ids(ids),
                News::Saved(saved) => self.take_saved(*saved, keep)?,
                News::State(StateNews::Trouble(problem)) => {
                    self.take_trouble(problem);
                    last_create.set(after(Some(LAST_CREATE)));
                }
                News::State(news) => self.take_stored(news, keep)?,
                News::Interrupted => {
                    self.stop();
                    self.course = Course::Interrupted;
                    last_create.set(after(Some(LAST_CREATE)));
                    self.stop_saving(keep).await?;
                }
                News::Over => {
                    over.set(after(None));
                    self.stop();
                    last_create.set(after(Some(LAST_CREATE)));
                }
                News::CreateTakesTooLong => {
                    last_create.set(after(None));
                    self.leave_create();
                }
                News::Tick => self.view.tick(self.all.fleet(), self.all.now()),
            }
        }
        Ok(())
    }

    /// Begins what can be begun, and tells whether there is something to wait for.
    fn has_more(&mut self) -> bool {
        // A job of which nobody knows whether it has ended keeps its place.
        let open = self.open;
        let creating = self.creates.as_mut().is_some_and(|creates| creates.start(open));
        let storing = self.state.as_ref().is_some_and(State::is_busy);
        let saving = self.saver.as_ref().is_some_and(Saver::is_busy);
        let more = !self.drained || creating || self.intake.is_some() || saving || storing;
        if !more && self.creates.as_ref().is_some_and(Creates::is_busy) {
            let jobs = counted(open as u64, "job");
            note(format_args!("jobwatch: --max-active leaves no room beside {jobs} whose end is not known"));
        }
        more
    }

    fn take(&mut self, event: Option<FleetEvent>, keep: &mut impl FnMut(&Finished)) -> Result<(), Failure> {
        match event {
            None => self.drained = true,
            Some(FleetEvent::Changed { handle, state }) => {
                self.store_change(handle);
                self.view.changed(self.all.fleet(), handle, &state);
            }
            Some(FleetEvent::UnknownState { state, .. }) => self.warn_of(state),
            Some(FleetEvent::Finished { handle, finished }) => {
                self.exit.note(&finished);
                if finished.outcome.is_jobs_end() {
                    self.open = self.open.saturating_sub(1);
                    if let Some(creates) = &mut self.creates {
                        creates.note_end();
                    }
                } else {
                    self.unfinished.push(finished.job.clone());
                }
                self.view.finished(handle, &finished);
                match &mut self.state {
                    // It comes back when it is safe.
                    Some(state) if finished.outcome.is_jobs_end() => state.end(finished),
                    _ => self.conclude(*finished, keep)?,
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn add(&mut self, job: JobRef) {
        if self.known.is_new(job.id()) {
            let handle = self.all.add(job);
            self.waits_for(handle);
        }
    }

    fn warn_of(&mut self, word: String) {
        if !self.unknown.contains(&word) {
            let told = one_line(&word);
            self.view
                .remark(format_args!("the state {told:?} is unknown to the dialect; a job in it counts as unfinished"));
            self.unknown.insert(word);
        }
    }

    /// Waits for nothing more and creates nothing more; what is under way may still bring something.
    fn stop(&mut self) {
        self.course = self.course.max(Course::Stopped);
        if let Some(intake) = self.intake.take() {
            let (ids, may_have_more) = intake.close();
            self.take_ids(ids);
            if may_have_more {
                self.unread = true;
                self.exit.note_status(4);
            }
        }
        self.all.stopper().stop();
        if let Some(creates) = &mut self.creates {
            creates.stop();
        }
    }
}
