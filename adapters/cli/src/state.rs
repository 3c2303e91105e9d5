//! `--state FILE`: what a crash must not lose is in the file before anybody relies on it.
//!
//! The file is written on a thread of its own, so that a slow disk holds no request up; what has to be on the disk first
//! comes back as [`StateNews`].

use std::path::Path;
use std::sync::Arc;

use jobwatch::store::{BackendKey, Change, Intent, Kept, Record, Store};
use jobwatch::{Backend, Finished, JobRef, SubmitError};
use jobwatch_reqwest::Client;
use jobwatch_sqlite::{Error, Journal, Sqlite};
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::report::{counted, one_line};

/// A state file before anything is waited for.
pub(crate) struct StateFile {
    store: Sqlite,
    backend: BackendKey,
}

/// A state file that is written while jobs are waited for.
pub(crate) struct State {
    journal: Arc<Journal<Sqlite>>,
    came: mpsc::UnboundedReceiver<StateNews>,
    news: mpsc::UnboundedSender<StateNews>,
    /// News that are still to come, beside trouble.
    pending: usize,
    /// An outcome was told, and that is not written yet.
    telling: bool,
}

/// What comes of the file.
#[derive(Debug)]
pub(crate) enum StateNews {
    /// This end is on the disk, and may be told.
    Ended(Box<Finished>),
    /// That the last outcome was told is written: the next can be told.
    Told,
    /// What is known of these jobs.
    Found(Vec<(JobRef, Option<Record>)>),
    /// Something could not be written or read.
    Trouble(String),
}

impl StateFile {
    /// Opens the file for jobs of this backend.
    pub(crate) fn open(path: &Path, backend: &Backend) -> Result<Self, Failure> {
        let store = Sqlite::open(path).map_err(|error| failure(&error))?;
        Ok(Self { store, backend: BackendKey::of(backend) })
    }

    /// Hands over every job that is left: those to be waited for, and ends that were perhaps not told.
    pub(crate) fn take_up(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), Failure> {
        self.store.unfinished(&self.backend, take).map_err(|error| failure(&error))
    }

    /// What is known of these jobs; those of which nothing is are in the file from now on.
    pub(crate) fn find(&mut self, jobs: Vec<JobRef>) -> Result<Vec<(JobRef, Option<Record>)>, Failure> {
        find(&mut self.store, &self.backend, jobs).map_err(|error| failure(&error))
    }

    /// Creates whose end nobody heard.
    pub(crate) fn intents(&mut self) -> Result<Vec<Intent>, Failure> {
        self.store.intents(&self.backend).map_err(|error| failure(&error))
    }

    /// What else is in the file and is not touched, in a sentence.
    pub(crate) fn elsewhere(&self) -> Result<Option<String>, Failure> {
        let left = self.store.left().map_err(|error| failure(&error))?;
        let is_ours = |dialect: &str, url: &str| (dialect, url) == (&self.backend.dialect, &self.backend.base_url);
        let others: Vec<_> = left
            .iter()
            .filter(|left| !is_ours(&left.dialect, &left.base_url))
            .map(|left| format!("{} of {} at {}", counted(left.jobs, "job"), left.dialect, left.base_url))
            .collect();
        let path = self.store.path().display();
        Ok((!others.is_empty()).then(|| one_line(&format!("left alone in {path}: {}", others.join(", ")))))
    }

    pub(crate) fn path(&self) -> &Path {
        self.store.path()
    }

    /// From now on it is written beside the waiting.
    pub(crate) fn start(self) -> Result<State, Failure> {
        let (news, came) = mpsc::unbounded_channel();
        let journal = Journal::start(self.store, self.backend).map_err(Failure::local)?;
        Ok(State { journal: Arc::new(journal), came, news, pending: 0, telling: false })
    }
}

fn find(store: &mut Sqlite, backend: &BackendKey, jobs: Vec<JobRef>) -> Result<Vec<(JobRef, Option<Record>)>, Error> {
    let (mut found, mut new) = (Vec::new(), Vec::new());
    for job in jobs {
        let record = store.find(backend, job.id())?;
        if record.is_none() {
            new.push(Change::Added(Kept::Job(job.clone())));
        }
        found.push((job, record));
    }
    if !new.is_empty() {
        store.write(backend, &new)?;
    }
    Ok(found)
}

/// A wrong file is a mistake in the command, anything else is trouble of the machine.
fn failure(error: &Error) -> Failure {
    if error.is_wrong_file() { Failure::usage(error) } else { Failure::local(error) }
}

impl State {
    /// What comes next. Comes never while there is nothing to come; dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> StateNews {
        let Some(news) = self.came.recv().await else { return std::future::pending().await };
        self.pending -= usize::from(!matches!(news, StateNews::Trouble(_)));
        self.telling &= !matches!(news, StateNews::Told);
        news
    }

    /// Something is still to come.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending > 0
    }

    /// Writes what nobody waits for.
    pub(crate) fn note(&self, changes: Vec<Change>) {
        let news = self.news.clone();
        self.journal.write(changes, move |written| {
            if let Err(error) = written {
                let _ = news.send(StateNews::Trouble(error.to_string()));
            }
        });
    }

    /// Writes an end, which then comes back as news; also where it could not be written, after the trouble.
    pub(crate) fn end(&mut self, finished: Box<Finished>) {
        self.pending += 1;
        let news = self.news.clone();
        self.journal.write(vec![Change::Ended(finished.clone())], move |written| {
            if let Err(error) = written {
                let _ = news.send(StateNews::Trouble(error.to_string()));
            }
            let _ = news.send(StateNews::Ended(finished));
        });
    }

    /// Writes that the outcome of this job was told, and until then no other may be: after a crash this one is told again,
    /// and no other is.
    pub(crate) fn told(&mut self, id: &str) {
        self.pending += 1;
        self.telling = true;
        let news = self.news.clone();
        self.journal.write(vec![Change::Told(id.to_owned())], move |written| {
            if let Err(error) = written {
                let _ = news.send(StateNews::Trouble(error.to_string()));
            }
            let _ = news.send(StateNews::Told);
        });
    }

    /// An outcome can be told now.
    pub(crate) fn may_tell(&self) -> bool {
        !self.telling
    }

    /// Looks these jobs up, which come as news when those of which nothing is known are in the file.
    pub(crate) fn find(&mut self, jobs: Vec<JobRef>, backend: &Backend) {
        self.pending += 1;
        let (news, key) = (self.news.clone(), BackendKey::of(backend));
        self.journal.ask(move |store| {
            let found = match store {
                Some(store) => find(store, &key, jobs.clone()).map_err(|error| error.to_string()),
                None => Err("the state file is not read any more".to_owned()),
            };
            let found = found.unwrap_or_else(|problem| {
                let _ = news.send(StateNews::Trouble(problem));
                // They are waited for, and told, all the same.
                jobs.into_iter().map(|job| (job, None)).collect()
            });
            let _ = news.send(StateNews::Found(found));
        });
    }

    /// What creates with its intent in the file.
    pub(crate) fn creator(&self) -> Creator {
        Creator { journal: Arc::clone(&self.journal), news: self.news.clone() }
    }

    /// Waits until everything is on the disk, and tells what went wrong with it.
    pub(crate) fn close(self) -> Option<String> {
        let Self { journal, mut came, .. } = self;
        drop(journal);
        std::iter::from_fn(|| came.try_recv().ok()).find_map(|news| match news {
            StateNews::Trouble(problem) => Some(problem),
            StateNews::Ended(_) | StateNews::Told | StateNews::Found(_) => None,
        })
    }
}

/// Creates jobs: the intent is on the disk before the request is sent, and the ids are before they are told.
#[derive(Clone)]
pub(crate) struct Creator {
    journal: Arc<Journal<Sqlite>>,
    news: mpsc::UnboundedSender<StateNews>,
}

impl Creator {
    /// A create that is new.
    pub(crate) async fn create(&self, client: &Client, body: Vec<u8>) -> Result<Vec<JobRef>, SubmitError> {
        let intent = client.intent(body);
        if let Err(problem) = self.commit(Change::Intended(intent.clone())).await {
            let _ = self.news.send(StateNews::Trouble(problem));
            return Err(SubmitError::unsent("it could not be written down before it was to be sent"));
        }
        self.carry_out(client, &intent).await
    }

    /// One of an earlier run, or one that was just written down.
    pub(crate) async fn carry_out(&self, client: &Client, intent: &Intent) -> Result<Vec<JobRef>, SubmitError> {
        let created = client.create_intended(intent).await;
        let jobs = match &created {
            Ok(jobs) => jobs.clone(),
            // Whether there is a job can still be found out, under the key.
            Err(error) if error.maybe_created && error.created.is_empty() && intent.key().is_some() => return created,
            Err(error) => error.created.clone(),
        };
        if let Err(problem) = self.commit(Change::Settled { intent: intent.id().to_owned(), jobs }).await {
            let _ = self.news.send(StateNews::Trouble(problem));
        }
        created
    }

    async fn commit(&self, change: Change) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        self.journal.write(vec![change], move |written| drop(done.send(written.map_err(|error| error.to_string()))));
        written.await.unwrap_or_else(|_| Err("the state file is not written any more".to_owned()))
    }
}
