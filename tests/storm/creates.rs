//! One create, as often as its key allows: a paid job is never made twice, nor in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwatch::{AttemptId, Backend, JobRef, Policy, Submit, SubmitAction, SubmitError, Timestamp, TransportError};

use super::client::{Client, backend};
use super::clock::Clock;
use super::dice::Dice;
use super::ledger::Delivery;
use super::server::Server;
use super::speech::{Asked, HOME, Speech};

pub(crate) struct Create {
    submit: Submit<Arc<Backend>, Arc<Policy>>,
    pub(crate) client: usize,
    clock: Clock,
    speech: &'static Speech,
    policy: Arc<Policy>,
    key: u64,
    /// The attempt of each request.
    wire: BTreeMap<u64, AttemptId>,
    sent: u64,
    renewals: u64,
    sent_at: Option<Timestamp>,
    started: Timestamp,
    done: bool,
    pub(crate) alarm: u64,
    /// The jobs in the ledger that are its work.
    pub(crate) created: Vec<usize>,
    /// How often the backend has lost its memory meanwhile.
    pub(crate) amnesias: usize,
}

pub(crate) enum Next {
    Send { number: u64, asked: Asked, over: u64 },
    Sleep(u64),
    Renew,
    Created(Vec<(JobRef, String)>),
    Nothing,
}

impl Create {
    pub(crate) fn new(now: u64, which: usize, client: &Client, dice: &mut Dice) -> Self {
        let (speech, mut clock) = (client.speech, client.clock.clone());
        let policy = Arc::clone(&client.policies[0].policy);
        clock.forget();
        let started = clock.hear(now);
        let (backend, mut rng) = (Arc::new(backend(speech, client.key)), crate::http_support::rng(dice.roll()));
        let mut submit = Submit::new(backend, Arc::clone(&policy), b"{}".to_vec(), started, &mut rng);
        if client.renewable {
            submit = submit.with_renewal();
        }
        assert_eq!(submit.idempotency_key().is_some(), speech.keyed);
        Self {
            submit,
            client: which,
            clock,
            speech,
            policy,
            key: client.key,
            wire: BTreeMap::new(),
            sent: 0,
            renewals: 0,
            sent_at: None,
            started,
            done: false,
            alarm: 0,
            created: Vec::new(),
            amnesias: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn poll(&mut self, world: u64, server: &Server) -> Next {
        if self.done {
            return Next::Nothing;
        }
        let now = self.clock.hear(world);
        match self.submit.poll(now) {
            SubmitAction::Sleep { until } => {
                assert!(until > now || now == Timestamp::MAX, "no hot loop: a create sleeps until {until} at {now}");
                Next::Sleep(self.clock.when(until))
            }
            SubmitAction::Renew => Next::Renew,
            SubmitAction::Created(jobs) => {
                self.done = true;
                Next::Created(self.check_created(jobs, server))
            }
            SubmitAction::Failed(error) => {
                self.done = true;
                self.check_failed(&error);
                Next::Nothing
            }
            SubmitAction::Send { id, request, timeout } => {
                let asked = Asked::of(&request);
                self.check_request(now, &asked);
                let number = self.sent;
                (self.sent, self.sent_at) = (self.sent + 1, Some(now));
                self.wire.insert(number, id);
                Next::Send { number, asked, over: self.clock.when(now.saturating_add(timeout)) }
            }
        }
    }

    fn check_request(&self, now: Timestamp, asked: &Asked) {
        assert!(asked.url.starts_with(HOME), "credentials: created at {}", asked.url);
        assert_eq!(asked.api_key, Some(format!("key-{}", self.key)), "credentials: not the present ones");
        assert_eq!(asked.idempotency_key.as_deref(), self.submit.idempotency_key(), "creates: another key");
        // What was refused for its credentials was not done.
        assert!(self.speech.keyed || self.sent <= self.renewals, "creates: repeated without a key");
        let deadline = self.policy.total_timeout().map(|total| self.started.saturating_add(total));
        let is_final = deadline.is_some_and(|deadline| now >= deadline);
        let next = self.sent_at.map_or(now, |at| at.saturating_add(self.policy.min_delay()));
        assert!(now >= next || is_final, "distance: created at {:?} and {now}", self.sent_at);
    }

    pub(crate) fn deliver(&mut self, world: u64, number: u64, delivery: &Delivery) {
        let (now, id) = (self.clock.hear(world), self.wire[&number]);
        match delivery {
            Delivery::Reply(reply) => self.submit.handle_response(now, id, &reply.response),
            Delivery::Error(error) => self.submit.handle_error(now, id, &TransportError::new(*error, "the wire")),
        }
    }

    pub(crate) fn renewed(&mut self, world: u64, key: Option<u64>) {
        let now = self.clock.hear(world);
        // With other credentials it goes again at once.
        (self.renewals, self.sent_at) = (self.renewals + 1, None);
        match key {
            Some(key) => {
                self.key = key;
                self.submit.renewed(now, Ok(Arc::new(backend(self.speech, key))));
            }
            None => self.submit.renewed(now, Err("nobody has another".to_owned())),
        }
    }

    /// What it says it created, with the names that the backend has for it.
    fn check_created(&self, jobs: Vec<JobRef>, server: &Server) -> Vec<(JobRef, String)> {
        assert!(!jobs.is_empty(), "creates: created nothing");
        self.check_once();
        let name = |job: &JobRef| {
            let number = self.created.iter().copied().find(|number| {
                let id = &server.jobs[*number].id;
                id == job.id() || job.id().ends_with(&format!("/v1/jobs/{}", super::speech::encoded(id)))
            });
            server.jobs[number.expect("creates: it is in the ledger")].id.clone()
        };
        jobs.into_iter()
            .map(|job| {
                let id = name(&job);
                (job, id)
            })
            .collect()
    }

    fn check_failed(&self, error: &SubmitError) {
        self.check_once();
        let told = error.maybe_created || !error.created.is_empty();
        assert!(self.created.is_empty() || told, "creates: {:?} in silence, {error:?}", self.created);
        assert!(!error.to_string().is_empty());
    }

    fn check_once(&self) {
        let most = 1 + self.amnesias;
        assert!(self.created.len() <= most, "creates: {} jobs, {} memories", self.created.len(), most);
    }
}
